//! The storage levels of `persist`.

/// Where [`persist`](crate::Bag::persist) stores records.
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
