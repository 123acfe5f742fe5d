//! Groups of rows with equal keys.

use datafusion::logical_expr::Expr;
use holdall::Result;

use crate::frame::Frame;

/// The groups of rows of a frame with equal keys. Returned by [`Frame::group_by`].
#[derive(Clone, Debug)]
#[must_use = "call `agg`"]
pub struct GroupedFrame {
    frame: Frame,
    keys: Vec<Expr>,
}

impl GroupedFrame {
    pub(crate) fn new(frame: &Frame, keys: Vec<Expr>) -> Result<Self> {
        // Reports columns that do not exist.
        frame.select(keys.clone())?;
        Ok(Self {
            frame: frame.clone(),
            keys,
        })
    }

    /// Computes aggregates of each group: a frame with a row for each group, in any order. Its columns are the keys,
    /// followed by the aggregates.
    ///
    /// Null is a key, too. Aggregates ignore nulls. The groups spill to scratch files if the memory budget is exhausted.
    ///
    /// # Errors
    ///
    /// Returns an error if a column does not exist, or has another type.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_frame::{col, count, max, read_csv};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// std::fs::write("flights.csv", "carrier,delay\nUA,2\nAA,-3\nUA,14\n")?;
    /// let flights = read_csv("flights.csv")?;
    /// let groups = flights.group_by([col("carrier")])?.agg([count(col("delay")), max(col("delay")).alias("max")])?;
    /// let rows = groups.sort_by(["carrier"])?.collect::<(String, i64, i64)>()?;
    /// assert_eq!(rows, [("AA".to_owned(), 1, -3), ("UA".to_owned(), 2, 14)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn agg(&self, aggregates: impl IntoIterator<Item = Expr>) -> Result<Frame> {
        let (keys, aggregates) = (self.keys.clone(), aggregates.into_iter().collect());
        self.frame
            .transform(|data| data.aggregate(keys, aggregates))
    }
}
