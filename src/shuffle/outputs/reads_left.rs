//! The number of times that a partition will still be read.

/// A countdown of the reads that the plan has counted. After the last one, a partition is empty, and one read more would
/// silently lose its records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadsLeft(usize);

impl ReadsLeft {
    pub(crate) fn new(readers: usize) -> Self {
        Self(readers)
    }

    /// Counts a read. Returns whether it is the last one.
    ///
    /// # Panics
    ///
    /// Panics if the plan has counted fewer reads.
    pub(crate) fn count(&mut self) -> bool {
        let left = self.0.checked_sub(1);
        self.0 = left.expect("the plan should count each read of a partition");
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "the plan should count each read")]
    fn more_reads_than_planned_panic() {
        let mut reads = ReadsLeft::new(2);
        assert!(!reads.count());
        assert!(reads.count());
        reads.count();
    }
}
