//! Selects the records that are checked.

use crate::error::Result;

/// Checks the first records, and then fewer and fewer: checking all of them would cost as much as encoding them.
#[derive(Debug, Default)]
pub(crate) struct Sampling {
    records: u64,
    /// Number of the next record that is checked.
    next: u64,
    checked_bytes: usize,
}

/// Number of records at the start that are all checked.
const FIRST: u64 = 8;

/// Number of checked bytes after which no further record is checked. The first record is always checked.
const MAX_BYTES: usize = 1 << 20;

impl Sampling {
    /// Calls `check` if this record should be checked. `check` returns the length of the record in bytes.
    #[inline(always)]
    pub(crate) fn check(&mut self, check: impl FnOnce() -> Result<usize>) -> Result<()> {
        self.records += 1;
        if self.records < self.next {
            return Ok(());
        }
        self.next = match self.records < FIRST {
            true => self.records + 1,
            false => self.records.saturating_mul(2),
        };
        if self.checked_bytes < MAX_BYTES {
            self.checked_bytes = self.checked_bytes.saturating_add(check()?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(records: u64, bytes: usize) -> Vec<u64> {
        let (mut sampling, mut checked) = (Sampling::default(), Vec::new());
        for record in 1..=records {
            let check = || {
                checked.push(record);
                Ok(bytes)
            };
            sampling.check(check).unwrap();
        }
        checked
    }

    #[test]
    fn ever_fewer_records_are_checked() {
        assert_eq!(checked(70, 1), [1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64]);
        assert_eq!(checked(70, MAX_BYTES / 2), [1, 2]);
        assert_eq!(checked(70, usize::MAX), [1]);
    }
}
