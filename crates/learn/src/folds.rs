//! Division of rows into folds.

use std::collections::HashMap;
use std::hash::Hash;

use holdall::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::sampler::Sampler;

/// A division of rows into folds, for cross-validation.
///
/// Each fold is once the test set, while the others are the training set. Without a seed, rows are assigned as
/// `KFold` and `StratifiedKFold` of scikit-learn assign them, so that scores can be compared.
///
/// # Examples
///
/// ```
/// use holdall_learn::Folds;
///
/// let folds = Folds::consecutive(5, 2)?;
/// assert_eq!((folds.test(0), folds.training(0)), (vec![0, 1, 2], vec![3, 4]));
/// assert_eq!((folds.test(1), folds.training(1)), (vec![3, 4], vec![0, 1, 2]));
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folds {
    count: usize,
    /// Fold of each row.
    assigned: Vec<usize>,
}

impl Folds {
    /// Divides rows into consecutive folds of almost equal length. The first ones are longer by a row if necessary.
    ///
    /// # Errors
    ///
    /// Returns an error if there are fewer than two folds, or fewer rows than folds.
    pub fn consecutive(rows: usize, folds: usize) -> Result<Self> {
        check(folds, rows)?;
        let lengths = (0..folds).map(|fold| (rows + folds - 1 - fold) / folds);
        let assigned = lengths.enumerate();
        let assigned = assigned.flat_map(|(fold, length)| std::iter::repeat_n(fold, length));
        Ok(Self {
            count: folds,
            assigned: assigned.collect(),
        })
    }

    /// Divides rows into random folds of almost equal length. The same seed results in the same folds.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`consecutive`](Self::consecutive).
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_learn::Folds;
    ///
    /// let folds = Folds::shuffled(100, 4, 7)?;
    /// assert_eq!(folds, Folds::shuffled(100, 4, 7)?);
    /// assert_eq!((folds.test(3).len(), folds.training(3).len()), (25, 75));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn shuffled(rows: usize, folds: usize, seed: u64) -> Result<Self> {
        let mut shuffled = Self::consecutive(rows, folds)?;
        Sampler::new(seed).shuffle(&mut shuffled.assigned);
        Ok(shuffled)
    }

    /// Divides rows into folds in which each class has almost the same share as in all rows. Within a class, the first
    /// rows belong to the first fold, and so on.
    ///
    /// # Errors
    ///
    /// Returns an error if there are fewer than two folds, or if every class has fewer rows than there are folds.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_learn::Folds;
    ///
    /// let folds = Folds::stratified(&["no", "no", "yes", "no", "yes", "no"], 2)?;
    /// assert_eq!((folds.test(0), folds.test(1)), (vec![0, 1, 2], vec![3, 4, 5]));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn stratified<L: Eq + Hash>(labels: &[L], folds: usize) -> Result<Self> {
        Self::stratify(labels, folds, |_| {})
    }

    /// Like [`stratified`](Self::stratified), but the rows of a class are assigned at random. The same seed results in
    /// the same folds.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`stratified`](Self::stratified).
    pub fn stratified_shuffled<L: Eq + Hash>(
        labels: &[L],
        folds: usize,
        seed: u64,
    ) -> Result<Self> {
        let mut sampler = Sampler::new(seed);
        Self::stratify(labels, folds, |assigned| sampler.shuffle(assigned))
    }

    fn stratify<L: Eq + Hash>(
        labels: &[L],
        folds: usize,
        mut arrange: impl FnMut(&mut [usize]),
    ) -> Result<Self> {
        check(folds, labels.len())?;
        // Classes in the order of their first rows.
        let mut numbers = HashMap::new();
        let mut sizes = Vec::new();
        let mut classes = Vec::with_capacity(labels.len());
        for label in labels {
            let class = *numbers.entry(label).or_insert(sizes.len());
            if class == sizes.len() {
                sizes.push(0);
            }
            sizes[class] += 1;
            classes.push(class);
        }
        if sizes.iter().all(|size| *size < folds) {
            return Err(Error::other(format!(
                "cannot divide the rows into {folds} folds: no class has as many rows; use fewer folds"
            )));
        }
        // Dealing out the rows, sorted by class, in turn to the folds makes all folds equally long.
        let mut dealt = 0;
        let mut folds_of_class = Vec::with_capacity(sizes.len());
        for size in sizes {
            let mut assigned: Vec<_> = (dealt..dealt + size).map(|row| row % folds).collect();
            dealt += size;
            assigned.sort_unstable();
            arrange(&mut assigned);
            folds_of_class.push(assigned.into_iter());
        }
        let assigned = classes
            .iter()
            .filter_map(|class| folds_of_class[*class].next());
        Ok(Self {
            count: folds,
            assigned: assigned.collect(),
        })
    }

    /// Uses a division that is given by the fold of each row. For rows that belong together, such as those of one
    /// patient.
    ///
    /// # Errors
    ///
    /// Returns an error if there are fewer than two folds, or if a fold before the last has no rows.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_learn::Folds;
    ///
    /// assert_eq!(Folds::assigned([1, 0, 1])?.test(1), [0, 2]);
    /// assert!(Folds::assigned([0, 2]).is_err());
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn assigned(folds: impl IntoIterator<Item = usize>) -> Result<Self> {
        let assigned: Vec<_> = folds.into_iter().collect();
        let count = assigned.iter().max().map_or(0, |last| last + 1);
        check(count, assigned.len())?;
        let mut has_rows = vec![false; count];
        assigned.iter().for_each(|fold| has_rows[*fold] = true);
        match has_rows.iter().position(|has_rows| !has_rows) {
            Some(fold) => Err(Error::other(format!(
                "fold {fold} of {count} folds has no rows; number folds from 0 without gaps"
            ))),
            None => Ok(Self { count, assigned }),
        }
    }

    /// Number of folds.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Number of rows in all folds.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.assigned.len()
    }

    /// Returns the rows of a fold, in ascending order.
    #[must_use]
    pub fn test(&self, fold: usize) -> Vec<usize> {
        self.rows_where(|of_row| of_row == fold)
    }

    /// Returns the rows of all other folds, in ascending order.
    #[must_use]
    pub fn training(&self, fold: usize) -> Vec<usize> {
        self.rows_where(|of_row| of_row != fold)
    }

    fn rows_where(&self, is_wanted: impl Fn(usize) -> bool) -> Vec<usize> {
        let rows = self.assigned.iter().enumerate();
        rows.filter(|(_, fold)| is_wanted(**fold))
            .map(|(row, _)| row)
            .collect()
    }
}

fn check(folds: usize, rows: usize) -> Result<()> {
    if folds < 2 || folds > rows {
        return Err(Error::other(format!(
            "cannot divide {rows} rows into {folds} folds: use at least 2 folds, and at most one for each row"
        )));
    }
    Ok(())
}
