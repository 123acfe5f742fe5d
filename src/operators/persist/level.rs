//! The storage levels of `persist`.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// The storage in which [`persist`](crate::Bag::persist) keeps records.
///
/// Written as `memory`, `memory-then-disk` or `disk`, for example on command lines. Default:
/// [`MemoryThenDisk`](Self::MemoryThenDisk).
///
/// # Examples
///
/// ```
/// use holdall::StorageLevel;
///
/// // Larger than memory, and expensive to compute.
/// let parsed = holdall::from_vec(vec!["1", "2"]).map(|text| text.parse::<u32>().ok());
/// let parsed = parsed.persist(StorageLevel::Disk);
/// assert_eq!(parsed.count()?, 2);
/// assert_eq!(parsed.collect()?, [Some(1), Some(2)]); // read back
///
/// assert_eq!("memory-then-disk".parse::<StorageLevel>()?, StorageLevel::MemoryThenDisk);
/// assert_eq!(StorageLevel::Disk.to_string(), "disk");
/// assert!("tape".parse::<StorageLevel>().is_err());
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StorageLevel {
    /// In memory, if the budget allows it. Other partitions are computed again when they are needed. If the number of
    /// partitions of the bag is unknown, they cannot be computed one by one, so they are written to disk instead.
    Memory,
    /// In memory, if the budget allows it, and otherwise on disk.
    #[default]
    MemoryThenDisk,
    /// On disk.
    Disk,
}

impl StorageLevel {
    const ALL: [Self; 3] = [Self::Memory, Self::MemoryThenDisk, Self::Disk];
}

impl fmt::Display for StorageLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::MemoryThenDisk => "memory-then-disk",
            Self::Disk => "disk",
        })
    }
}

impl FromStr for StorageLevel {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let level = Self::ALL
            .into_iter()
            .find(|level| level.to_string() == text);
        level.ok_or_else(|| {
            Error::new(ErrorKind::InvalidSetting {
                setting: "storage level",
                value: text.to_owned(),
                expected: "memory, memory-then-disk or disk",
            })
        })
    }
}
