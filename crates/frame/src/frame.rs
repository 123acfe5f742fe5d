//! Frames: their plan, and the methods that add to it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::{MemTable, TableProvider, provider_as_source, source_as_provider};
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, UNNAMED_TABLE, ident};
use datafusion::prelude::DataFrame;
use holdall::{Context, Error, Result};

use crate::failure::invalid;
use crate::files::Files;
use crate::grouped::GroupedFrame;
use crate::session::state;
use crate::sort_key::IntoSortKey;

/// Rows with named and typed columns, which are described by a plan, and computed by DataFusion.
///
/// Methods that describe a frame return immediately, with an error if a column does not exist or has the wrong type. Actions
/// run a job. The [crate] describes the order of the rows, memory and errors.
///
/// # Examples
///
/// ```
/// use holdall_frame::{avg, col, lit, read_csv};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # std::env::set_current_dir(&dir).unwrap();
/// std::fs::write("flights.csv", "carrier,delay\nUA,2\nAA,-3\nUA,14\n")?;
/// let flights = read_csv("flights.csv")?;
/// let delays = flights.filter(col("delay").gt(lit(0)))?.group_by([col("carrier")])?.agg([avg(col("delay"))])?;
/// assert_eq!(delays.collect::<(String, f64)>()?, [("UA".to_owned(), 8.0)]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone)]
pub struct Frame {
    context: Context,
    data: DataFrame,
    /// The column of the index.
    index: Option<String>,
}

impl Frame {
    /// Returns the rows of a table.
    pub(crate) fn of_table(context: &Context, table: Arc<dyn TableProvider>) -> Result<Self> {
        let source = provider_as_source(table);
        let plan = LogicalPlanBuilder::scan(UNNAMED_TABLE, source, None);
        let plan = plan.and_then(LogicalPlanBuilder::build).map_err(invalid)?;
        Ok(Self {
            context: context.clone(),
            data: DataFrame::new(state().clone(), plan),
            index: None,
        })
    }

    /// Returns a frame with the rows of record batches, which have the columns of `schema`.
    ///
    /// The batches stay in memory, and do not count towards the budget.
    ///
    /// # Errors
    ///
    /// Returns an error if a batch has other columns.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Context;
    /// use holdall_frame::{Frame, read_csv};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// std::fs::write("planes.csv", "tailnum,seats\nN10156,55\n")?;
    /// let planes = read_csv("planes.csv")?;
    /// let copy = Frame::from_batches(&Context::default(), planes.schema(), planes.batches()?)?;
    /// assert_eq!(copy.count()?, 1);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn from_batches(
        context: &Context,
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    ) -> Result<Self> {
        let table = MemTable::try_new(schema, vec![batches]).map_err(invalid)?;
        Self::of_table(context, Arc::new(table))
    }

    /// Returns the context of its jobs.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Has the jobs of this frame, and of the frames that are derived from it, run in `context`: with its memory and its
    /// limits.
    #[must_use]
    pub fn in_context(mut self, context: &Context) -> Self {
        self.context = context.clone();
        self
    }

    /// Returns the names and types of the columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.data.schema().inner())
    }

    pub(crate) fn plan(&self) -> &LogicalPlan {
        self.data.logical_plan()
    }

    /// Returns the table, if the frame is all rows of files.
    pub(crate) fn files(&self) -> Option<Files> {
        files_of(self.plan())
    }

    /// Returns the number and the size of the files that the plan reads, unless filters rule them out.
    pub(crate) fn input(&self) -> (usize, u64) {
        let mut input = (0, 0);
        let add = |plan: &LogicalPlan| {
            if let Some(files) = files_of(plan) {
                input.0 += files.files.len();
                input.1 += files.bytes();
            }
            Ok(TreeNodeRecursion::Continue)
        };
        // The closure returns no errors.
        let _ = self.plan().apply(add);
        input
    }

    pub(crate) fn index(&self) -> Option<&str> {
        self.index.as_deref()
    }

    pub(crate) fn with_index(mut self, column: &str) -> Self {
        self.index = Some(column.to_owned());
        self
    }

    /// Applies methods of DataFusion's [`DataFrame`] that only add to its plan, such as `unnest_columns` or `union`.
    ///
    /// # Errors
    ///
    /// Returns the error of `methods`.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_frame::read_csv;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// std::fs::write("flights.csv", "carrier,delay\nUA,2\nAA,-3\nUA,14\n")?;
    /// let carriers = read_csv("flights.csv")?.transform(|data| data.select_columns(&["carrier"])?.distinct())?;
    /// assert_eq!(carriers.count()?, 2);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn transform(
        &self,
        methods: impl FnOnce(DataFrame) -> PlanResult<DataFrame>,
    ) -> Result<Self> {
        let data = methods(self.data.clone()).map_err(invalid)?;
        let has_column = |index: &String| data.schema().has_column_with_unqualified_name(index);
        Ok(Self {
            context: self.context.clone(),
            index: self.index.clone().filter(has_column),
            data,
        })
    }

    /// Keeps the rows for which `predicate` is true. Keeps the order.
    ///
    /// # Errors
    ///
    /// Returns an error if a column does not exist, or has another type.
    pub fn filter(&self, predicate: Expr) -> Result<Self> {
        self.transform(|data| data.filter(predicate))
    }

    /// Returns these columns, which may be computed. Keeps the order.
    ///
    /// # Errors
    ///
    /// Returns an error if a column does not exist, or has another type.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_frame::{col, lit, read_csv};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// std::fs::write("flights.csv", "carrier,miles\nUA,1400\nAA,1089\n")?;
    /// let flights = read_csv("flights.csv")?;
    /// let metric = flights.select([col("carrier"), (col("miles") * lit(1.609)).alias("km")])?;
    /// assert_eq!(metric.collect::<(String, f64)>()?[0], ("UA".to_owned(), 1400.0 * 1.609));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn select(&self, columns: impl IntoIterator<Item = Expr>) -> Result<Self> {
        let columns: Vec<_> = columns.into_iter().collect();
        self.transform(|data| data.select(columns))
    }

    /// Adds a column, or replaces the one with this name. Keeps the order.
    ///
    /// # Errors
    ///
    /// Returns an error if a column of the expression does not exist, or has another type.
    pub fn with_column(&self, name: &str, value: Expr) -> Result<Self> {
        self.transform(|data| data.with_column(name, value))
    }

    /// Begins a computation for the groups of rows with equal keys. [`agg`](GroupedFrame::agg) completes it.
    ///
    /// # Errors
    ///
    /// Returns an error if a column does not exist.
    pub fn group_by(&self, keys: impl IntoIterator<Item = Expr>) -> Result<GroupedFrame> {
        GroupedFrame::new(self, keys.into_iter().collect())
    }

    /// Computes aggregates of all rows: a frame with one row.
    ///
    /// # Errors
    ///
    /// Returns an error if a column does not exist, or has another type.
    pub fn agg(&self, aggregates: impl IntoIterator<Item = Expr>) -> Result<Self> {
        let aggregates: Vec<_> = aggregates.into_iter().collect();
        self.transform(|data| data.aggregate(Vec::new(), aggregates))
    }

    /// Sorts the rows: by the first key, then by the second, and so on. A key is the name of a column, an expression, or an
    /// expression with an order, such as `col("delay").sort(false, false)` for the largest first. Nulls come last, unless
    /// the key says otherwise.
    ///
    /// Sorting spills to scratch files if the memory budget is exhausted.
    ///
    /// # Errors
    ///
    /// Returns an error if a column does not exist.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_frame::{col, read_csv};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// std::fs::write("flights.csv", "carrier,delay\nUA,2\nAA,-3\nUA,14\n")?;
    /// let latest = read_csv("flights.csv")?.sort_by([col("delay").sort(false, false)])?.limit(1)?;
    /// assert_eq!(latest.collect::<(String, i64)>()?, [("UA".to_owned(), 14)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn sort_by<K: IntoSortKey>(&self, keys: impl IntoIterator<Item = K>) -> Result<Self> {
        let keys = keys.into_iter().map(IntoSortKey::into_sort_key).collect();
        self.transform(|data| data.sort(keys))
    }

    /// Keeps the first `rows` rows of a frame that is sorted, or any `rows` rows of another frame.
    ///
    /// # Errors
    ///
    /// Returns an error if the plan is invalid.
    pub fn limit(&self, rows: usize) -> Result<Self> {
        self.transform(|data| data.limit(0, Some(rows)))
    }

    /// Returns the expression of a column of this frame.
    pub(crate) fn column(&self, name: &str) -> Result<Expr> {
        let schema = self.data.schema();
        if schema.has_column_with_unqualified_name(name) {
            return Ok(ident(name));
        }
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let names: Vec<_> = names.collect();
        let message = format!(
            "there is no column `{name}`; the columns are {}",
            names.join(", ")
        );
        Err(Error::other(message))
    }

    /// Returns the columns, with the qualifiers by which the plan knows them.
    pub(crate) fn columns(&self) -> Vec<Column> {
        self.data.schema().columns()
    }

    pub(crate) fn data(&self) -> &DataFrame {
        &self.data
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.plan().display_indent())
    }
}

/// Returns the table of a plan that reads all rows of files.
fn files_of(plan: &LogicalPlan) -> Option<Files> {
    let LogicalPlan::TableScan(scan) = plan else {
        return None;
    };
    let table = source_as_provider(&scan.source).ok()?;
    let table: &dyn Any = &*table;
    table.downcast_ref().cloned()
}
