//! Actions that return the rows of a frame, or numbers of them.

use datafusion::arrow::array::{Int64Array, RecordBatch};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::lit;
use datafusion::physical_plan::displayable;
use futures::TryStreamExt;
use holdall::extend::EngineJob;
use holdall::{Error, Result};
use serde::de::DeserializeOwned;

use crate::failure::{cause, invalid};
use crate::frame::Frame;
use crate::job::run;
use crate::session::state;

impl Frame {
    /// Describes a job of this frame.
    #[track_caller]
    pub(crate) fn job(&self, action: &'static str) -> EngineJob {
        let job = EngineJob::new(action, "frame");
        match self.input() {
            (0, _) => job,
            (files, bytes) => job.detail(format!("{files} files")).input_bytes(bytes),
        }
    }

    /// Returns the rows as record batches, in their order. Runs a job.
    ///
    /// The batches do not count towards the memory budget.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Engine`](holdall::ErrorKind::Engine) if a file cannot be read or an expression cannot be
    /// computed, and the errors of the file system.
    #[track_caller]
    pub fn batches(&self) -> Result<Vec<RecordBatch>> {
        self.batches_by(self.job("batches"))
    }

    pub(crate) fn batches_by(&self, job: EngineJob) -> Result<Vec<RecordBatch>> {
        let batches = run(self.context(), job, self.plan(), async |running| {
            running
                .each_partition(|_, batches| async {
                    batches.try_collect::<Vec<_>>().await.map_err(cause)
                })
                .await
        })?;
        Ok(batches.into_iter().flatten().collect())
    }

    /// Returns the rows as values, in their order. Runs a job.
    ///
    /// serde maps rows to values: a struct takes the columns with the names of its fields, a tuple takes the first columns,
    /// and an `Option` may be null. Other columns are not computed for a struct if it is [selected](Self::select) before.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`batches`](Self::batches), and an error with the column if a row does not have the form of
    /// `T`.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_frame::read_csv;
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize, PartialEq, Debug)]
    /// struct Flight {
    ///     carrier: String,
    ///     delay: Option<f64>,
    /// }
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// std::fs::write("flights.csv", "day,carrier,delay\n1,UA,2.5\n2,AA,\n")?;
    /// let flights: Vec<Flight> = read_csv("flights.csv")?.collect()?;
    /// assert_eq!(flights[1], Flight { carrier: "AA".to_owned(), delay: None });
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn collect<T: DeserializeOwned>(&self) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        for batch in self.batches_by(self.job("collect"))? {
            rows.append(&mut holdall_arrow::from_batch(&batch)?);
        }
        Ok(rows)
    }

    /// Returns the number of rows. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`batches`](Self::batches).
    #[track_caller]
    pub fn count(&self) -> Result<u64> {
        let job = self.job("count");
        let counted = self.agg([count(lit(1))])?.batches_by(job)?;
        let count = counted.first().and_then(|batch| {
            let counts = batch.column(0).as_any().downcast_ref::<Int64Array>()?;
            u64::try_from(counts.value(0)).ok()
        });
        count.ok_or_else(|| Error::other("the count is missing"))
    }

    /// Returns the plan as text: which files are read, and how.
    ///
    /// # Errors
    ///
    /// Returns an error if the plan is invalid.
    pub fn explain(&self) -> Result<String> {
        let plan = futures::executor::block_on(state().create_physical_plan(self.plan()));
        let plan = plan.map_err(invalid)?;
        Ok(displayable(&*plan).indent(false).to_string())
    }
}
