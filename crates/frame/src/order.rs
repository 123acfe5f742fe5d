//! Checks that rows are in the order of a column.

use std::cmp::Ordering;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, make_comparator};
use datafusion::arrow::compute::SortOptions;
use datafusion::error::Result;

/// Compares each row with the one before it.
#[derive(Debug)]
pub(crate) struct RowOrder {
    column: usize,
    /// Value of the last row.
    last: Option<ArrayRef>,
    /// Number of rows that were checked.
    rows: u64,
}

impl RowOrder {
    pub(crate) fn new(column: usize) -> Self {
        Self {
            column,
            last: None,
            rows: 0,
        }
    }

    /// Returns the number of the first row that is less than the one before it, counted over all batches from 0. Nulls
    /// come last.
    pub(crate) fn check(&mut self, batch: &RecordBatch) -> Result<Option<u64>> {
        let values = batch.column(self.column);
        if values.is_empty() {
            return Ok(None);
        }
        let options = SortOptions {
            descending: false,
            nulls_first: false,
        };
        if let Some(last) = &self.last {
            let compare = make_comparator(last, values, options)?;
            if compare(0, 0) == Ordering::Greater {
                return Ok(Some(self.rows));
            }
        }
        let compare = make_comparator(values, values, options)?;
        let is_less = |row: &usize| compare(row - 1, *row) == Ordering::Greater;
        let unsorted = (1..values.len()).find(is_less);
        let unsorted = unsorted.map(|row| self.rows + row as u64);
        self.rows += values.len() as u64;
        self.last = Some(values.slice(values.len() - 1, 1));
        Ok(unsorted)
    }
}
