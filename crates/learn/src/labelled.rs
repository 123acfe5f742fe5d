//! Rows of numbers with labels.

use std::path::Path;

use holdall::{BoxError, Context, Result};
use serde::{Deserialize, Serialize};

use crate::estimator::Dataset;

/// Rows of numbers, each with the label of its class.
///
/// # Examples
///
/// ```
/// use holdall_learn::Labelled;
///
/// let flowers = Labelled::new([([5.1, 3.5], 0), ([6.2, 2.9], 1)])?;
/// assert_eq!((flowers.row(1), flowers.labels()), (&[6.2, 2.9][..], &[0, 1][..]));
/// # Ok::<(), holdall::BoxError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Labelled {
    columns: usize,
    values: Vec<f64>,
    labels: Vec<i32>,
}

impl Labelled {
    /// Creates a data set of rows with their labels.
    ///
    /// # Errors
    ///
    /// Returns an error if the rows have different lengths.
    pub fn new<R: AsRef<[f64]>>(
        rows: impl IntoIterator<Item = (R, i32)>,
    ) -> Result<Self, BoxError> {
        let mut data = Self {
            columns: 0,
            values: Vec::new(),
            labels: Vec::new(),
        };
        for (number, (row, label)) in rows.into_iter().enumerate() {
            let row = row.as_ref();
            if number == 0 {
                data.columns = row.len();
            }
            if row.len() != data.columns {
                let (length, columns) = (row.len(), data.columns);
                return Err(
                    format!("row {number} has {length} values, but row 0 has {columns}").into(),
                );
            }
            data.values.extend_from_slice(row);
            data.labels.push(label);
        }
        Ok(data)
    }

    /// Reads text files, plain or compressed, in which each line has numbers with commas between them. The last number
    /// is the label. Runs a job.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read, if a line has a value that is no number or a label that is no integer
    /// (it names the file and the line), or if the lines have different lengths.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// use holdall_learn::Labelled;
    ///
    /// std::fs::write("flowers.csv", "5.1,3.5,0\n6.2,2.9,1\n")?;
    /// let flowers = Labelled::read(&holdall::Context::default(), "flowers.csv")?;
    /// assert_eq!(flowers, Labelled::new([([5.1, 3.5], 0), ([6.2, 2.9], 1)])?);
    /// # Ok::<(), holdall::BoxError>(())
    /// ```
    #[track_caller]
    pub fn read(context: &Context, path: impl AsRef<Path>) -> Result<Self> {
        let rows = context.read_text(path.as_ref())?.try_map(parse);
        Self::new(rows.collect()?).map_err(holdall::Error::other)
    }

    /// Number of values in each row.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Returns the values of a row.
    ///
    /// # Panics
    ///
    /// Panics if there is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..][..self.columns]
    }

    /// Returns the labels of all rows.
    #[must_use]
    pub fn labels(&self) -> &[i32] {
        &self.labels
    }
}

impl Dataset for Labelled {
    fn rows(&self) -> usize {
        self.labels.len()
    }
}

fn parse(line: &str) -> Result<(Vec<f64>, i32), BoxError> {
    let number = |field: &str| {
        let field = field.trim();
        let number = field.parse::<f64>();
        number.map_err(|_| format!("{field:?} is no number"))
    };
    let mut row = line.split(',').map(number).collect::<Result<Vec<_>, _>>()?;
    let label = row.pop().unwrap_or_default();
    if label as i32 as f64 != label {
        return Err(format!("the label {label} is no integer").into());
    }
    Ok((row, label as i32))
}
