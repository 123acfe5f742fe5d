//! Which of many records are checked.

use crate::error::Result;

/// Has the first records checked, and then ever fewer: all of them would cost as much as the records.
#[derive(Debug, Default)]
pub(crate) struct Sampling {
    records: u64,
    checked_bytes: usize,
}

/// Number of records that are checked first.
const FIRST: u64 = 8;

/// Maximum number of bytes that are checked, but for the first record.
const MAX_BYTES: usize = 1 << 20;

impl Sampling {
    /// Calls `check` for a record that is to be checked. It returns the number of its bytes.
    #[inline(always)]
    pub(crate) fn check(&mut self, check: impl FnOnce() -> Result<usize>) -> Result<()> {
        self.records += 1;
        let is_due = self.records <= FIRST || self.records.is_power_of_two();
        if is_due && self.checked_bytes < MAX_BYTES {
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
