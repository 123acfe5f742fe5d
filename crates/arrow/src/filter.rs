//! Conditions on columns: they select rows, and by the statistics of a file, the row groups that may have such rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_arith::boolean::{and_kleene as and, not, or_kleene as or};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Datum, Float64Array, Int64Array, RecordBatch, Scalar,
    StringArray, UInt64Array,
};
use arrow_buffer::BooleanBuffer;
use arrow_cast::{CastOptions, cast, cast_with_options};
use arrow_ord::cmp;
use arrow_schema::{ArrowError, DataType, Schema};
use arrow_select::nullif::nullif;
use serde::{Deserialize, Serialize};

type Result<T, E = ArrowError> = std::result::Result<T, E>;

/// A condition on the columns of a Parquet file, for [`ParquetReader::filter`](crate::ParquetReader::filter).
///
/// As in SQL, a comparison with a null is not true. Neither is one with NaN.
///
/// # Examples
///
/// ```
/// use holdall_arrow::column;
///
/// let filter = column("pages").gt(3).and(column("user").eq("ada").or(column("user").is_null()));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filter(Node);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Node {
    Compare(String, Comparison, Value),
    IsNull(String),
    IsNotNull(String),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Comparison {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
}

/// A value with which a column is compared: a Boolean, a number or a text. A text is parsed if the column has dates,
/// times or decimal numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Value {
    /// A Boolean.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// A floating-point number.
    Float(f64),
    /// A text.
    Text(String),
}

macro_rules! values_from {
    ($($type:ty => $variant:ident,)*) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

values_from! {
    bool => Bool, i8 => Int, i16 => Int, i32 => Int, i64 => Int, u8 => UInt, u16 => UInt, u32 => UInt, u64 => UInt,
    f32 => Float, f64 => Float, &str => Text, String => Text,
}

/// A column, by its name. [`column()`] returns it, and its methods return a [`Filter`].
#[derive(Clone, Debug)]
pub struct Column(String);

/// Returns the column with a name, for a [`Filter`].
#[must_use]
pub fn column(name: impl Into<String>) -> Column {
    Column(name.into())
}

impl Column {
    fn compare(self, comparison: Comparison, value: Value) -> Filter {
        Filter(Node::Compare(self.0, comparison, value))
    }

    /// Returns the condition that the value is equal to `value`.
    #[must_use]
    pub fn eq(self, value: impl Into<Value>) -> Filter {
        self.compare(Comparison::Eq, value.into())
    }

    /// Returns the condition that the value is not equal to `value`, and not null.
    #[must_use]
    pub fn not_eq(self, value: impl Into<Value>) -> Filter {
        self.compare(Comparison::NotEq, value.into())
    }

    /// Returns the condition that the value is less than `value`.
    #[must_use]
    pub fn lt(self, value: impl Into<Value>) -> Filter {
        self.compare(Comparison::Lt, value.into())
    }

    /// Returns the condition that the value is less than or equal to `value`.
    #[must_use]
    pub fn lt_eq(self, value: impl Into<Value>) -> Filter {
        self.compare(Comparison::LtEq, value.into())
    }

    /// Returns the condition that the value is greater than `value`.
    #[must_use]
    pub fn gt(self, value: impl Into<Value>) -> Filter {
        self.compare(Comparison::Gt, value.into())
    }

    /// Returns the condition that the value is greater than or equal to `value`.
    #[must_use]
    pub fn gt_eq(self, value: impl Into<Value>) -> Filter {
        self.compare(Comparison::GtEq, value.into())
    }

    /// Returns the condition that the value is null.
    #[must_use]
    pub fn is_null(self) -> Filter {
        Filter(Node::IsNull(self.0))
    }

    /// Returns the condition that the value is not null.
    #[must_use]
    pub fn is_not_null(self) -> Filter {
        Filter(Node::IsNotNull(self.0))
    }
}

impl Filter {
    /// Returns the condition that both are true.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(Node::And(Box::new(self.0), Box::new(other.0)))
    }

    /// Returns the condition that at least one of them is true.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(Node::Or(Box::new(self.0), Box::new(other.0)))
    }

    /// Returns the names of the columns.
    pub(crate) fn columns(&self) -> BTreeSet<&str> {
        let leaves = self.0.leaves().into_iter();
        leaves.map(|(column, _)| column).collect()
    }

    /// Checks that a file has the columns, and that their types can be compared with the values.
    pub(crate) fn check(&self, schema: &Schema) -> Result<()> {
        self.0.leaves().into_iter().try_for_each(|(column, value)| {
            let data_type = schema.field_with_name(column)?.data_type();
            let literal = value.map(|value| value.to_array(column, data_type));
            literal.transpose().map(drop)
        })
    }

    /// Returns for each row whether the condition is true. A null stands for `false`.
    pub(crate) fn rows(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        self.0.rows(batch)
    }

    /// Returns for each row group whether some of its rows may satisfy the condition.
    pub(crate) fn row_groups(&self, statistics: &dyn Statistics) -> Result<Vec<bool>> {
        let groups = self.0.row_groups(statistics)?;
        Ok(groups.iter().map(|may| may != Some(false)).collect())
    }
}

/// The statistics of the row groups of a file: arrays with an element for each row group. A null stands for an unknown
/// value.
pub(crate) trait Statistics {
    fn min(&self, column: &str) -> Result<ArrayRef>;
    fn max(&self, column: &str) -> Result<ArrayRef>;
    fn nulls(&self, column: &str) -> Result<UInt64Array>;
    fn rows(&self) -> UInt64Array;
}

impl Node {
    /// Returns the columns of all conditions, with the values that they are compared with.
    fn leaves(&self) -> Vec<(&str, Option<&Value>)> {
        match self {
            Self::Compare(column, _, value) => vec![(column, Some(value))],
            Self::IsNull(column) | Self::IsNotNull(column) => vec![(column, None)],
            Self::And(left, right) | Self::Or(left, right) => {
                [left.leaves(), right.leaves()].concat()
            }
        }
    }

    fn rows(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let array = |name: &str| {
            let missing = || ArrowError::SchemaError(format!("there is no column `{name}`"));
            batch.column_by_name(name).ok_or_else(missing)
        };
        let bits = |bits| Ok(BooleanArray::new(bits, None));
        let is_not_null = |array: &ArrayRef| match array.logical_nulls() {
            Some(nulls) => nulls.into_inner(),
            None => BooleanBuffer::new_set(array.len()),
        };
        match self {
            Self::Compare(column, comparison, value) => {
                compare(column, array(column)?, *comparison, value)
            }
            Self::IsNull(column) => bits(!&is_not_null(array(column)?)),
            Self::IsNotNull(column) => bits(is_not_null(array(column)?)),
            Self::And(left, right) => and(&left.rows(batch)?, &right.rows(batch)?),
            Self::Or(left, right) => or(&left.rows(batch)?, &right.rows(batch)?),
        }
    }

    fn row_groups(&self, statistics: &dyn Statistics) -> Result<BooleanArray> {
        use Comparison::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
        let unknown = || BooleanArray::new_null(statistics.rows().len());
        match self {
            Self::Compare(column, comparison, value) => {
                let min = |comparison| {
                    compare(
                        column,
                        &without_nan(statistics.min(column)?)?,
                        comparison,
                        value,
                    )
                };
                let max = |comparison| {
                    compare(
                        column,
                        &without_nan(statistics.max(column)?)?,
                        comparison,
                        value,
                    )
                };
                match comparison {
                    Lt | LtEq => min(*comparison),
                    Gt | GtEq => max(*comparison),
                    Eq => and(&min(LtEq)?, &max(GtEq)?),
                    // The statistics may be shortened values, which are bounds only.
                    NotEq => Ok(unknown()),
                }
            }
            Self::IsNull(column) => {
                cmp::gt(&statistics.nulls(column)?, &UInt64Array::new_scalar(0))
            }
            Self::IsNotNull(column) => cmp::lt(&statistics.nulls(column)?, &statistics.rows()),
            Self::And(left, right) => and(
                &left.row_groups(statistics)?,
                &right.row_groups(statistics)?,
            ),
            Self::Or(left, right) => or(
                &left.row_groups(statistics)?,
                &right.row_groups(statistics)?,
            ),
        }
    }
}

impl Value {
    /// Returns the value as the only element of an array of `data_type`.
    fn to_array(&self, column: &str, data_type: &DataType) -> Result<ArrayRef> {
        let data_type = match data_type {
            DataType::Dictionary(_, values) => values,
            other => other,
        };
        let own: ArrayRef = match self {
            Self::Bool(value) => Arc::new(BooleanArray::from(vec![*value])),
            Self::Int(value) => Arc::new(Int64Array::from(vec![*value])),
            Self::UInt(value) => Arc::new(UInt64Array::from(vec![*value])),
            Self::Float(value) => Arc::new(Float64Array::from(vec![*value])),
            Self::Text(value) => Arc::new(StringArray::from(vec![value.as_str()])),
        };
        let failed = || {
            let reason =
                format!("column `{column}` is {data_type}, which cannot be compared with {self:?}");
            ArrowError::InvalidArgumentError(reason)
        };
        // A cast turns a Boolean into a number and a number into a text, whose order is another one.
        let same_kind = match self {
            Self::Bool(_) => *data_type == DataType::Boolean,
            Self::Int(_) | Self::UInt(_) | Self::Float(_) => data_type.is_numeric(),
            Self::Text(_) => !data_type.is_numeric() || data_type.is_decimal(),
        };
        let options = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        let value = cast_with_options(&own, data_type, &options).ok();
        let value = value.filter(|_| same_kind).ok_or_else(failed)?;
        if own.data_type().is_numeric() && !data_type.is_floating() {
            // A fraction is lost in an integer.
            let back =
                cast_with_options(&value, own.data_type(), &options).map_err(|_| failed())?;
            if back.to_data() != own.to_data() {
                return Err(failed());
            }
        }
        Ok(value)
    }
}

fn compare(
    column: &str,
    array: &ArrayRef,
    comparison: Comparison,
    value: &Value,
) -> Result<BooleanArray> {
    match array.data_type().is_floating() {
        true => compare_floats(column, array, comparison, value),
        false => compare_total(
            array,
            comparison,
            value.to_array(column, array.data_type())?,
        ),
    }
}

/// Compares floating-point numbers as IEEE 754 does. arrow orders NaN after all numbers, and -0 before 0.
fn compare_floats(
    column: &str,
    array: &ArrayRef,
    comparison: Comparison,
    value: &Value,
) -> Result<BooleanArray> {
    use Comparison::{Eq, GtEq, Lt, LtEq, NotEq};
    let compare = |comparison| compare_floats(column, array, comparison, value);
    match comparison {
        Eq => return and(&compare(LtEq)?, &compare(GtEq)?),
        NotEq => return and(&not(&compare(Eq)?)?, &is_number(array)?),
        _ => {}
    }
    let is_zero = matches!(value, Value::Int(0) | Value::UInt(0)) || *value == Value::Float(0.0);
    let zero = Value::Float(if matches!(comparison, Lt | GtEq) {
        -0.0
    } else {
        0.0
    });
    let value = if is_zero { &zero } else { value };
    let compared = compare_total(
        array,
        comparison,
        value.to_array(column, array.data_type())?,
    )?;
    and(&compared, &is_number(array)?)
}

/// Compares values in the order of arrow.
fn compare_total(
    array: &dyn Datum,
    comparison: Comparison,
    value: ArrayRef,
) -> Result<BooleanArray> {
    let value = &Scalar::new(value);
    match comparison {
        Comparison::Eq => cmp::eq(array, value),
        Comparison::NotEq => cmp::neq(array, value),
        Comparison::Lt => cmp::lt(array, value),
        Comparison::LtEq => cmp::lt_eq(array, value),
        Comparison::Gt => cmp::gt(array, value),
        Comparison::GtEq => cmp::gt_eq(array, value),
    }
}

/// Returns for each element of an array of floating-point numbers whether it is not NaN.
fn is_number(array: &ArrayRef) -> Result<BooleanArray> {
    let bound = |value| cast(&Float64Array::from(vec![value]), array.data_type());
    let least = compare_total(array, Comparison::GtEq, bound(f64::NEG_INFINITY)?)?;
    let greatest = compare_total(array, Comparison::LtEq, bound(f64::INFINITY)?)?;
    and(&least, &greatest)
}

/// Replaces NaN, which some programs write as statistics, by null.
fn without_nan(array: ArrayRef) -> Result<ArrayRef> {
    match array.data_type().is_floating() {
        true => nullif(&array, &not(&is_number(&array)?)?),
        false => Ok(array),
    }
}
