//! The levels of storage that `persist` can be told to use.

/// Where [`persist`](crate::Bag::persist) keeps records.
///
/// # Examples
///
/// ```
/// use holdall::StorageLevel;
///
/// // More than memory, and dear to compute.
/// let parsed = holdall::from_vec(vec!["1", "2"]).map(|text| text.parse::<u32>().ok());
/// let parsed = parsed.persist(StorageLevel::Disk);
/// assert_eq!(parsed.count()?, 2);
/// assert_eq!(parsed.collect()?, [Some(1), Some(2)]); // read back
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StorageLevel {
    /// In memory as long as there is room; what there is no room for is computed again when it is needed. The
    /// partitions of a bag whose number of partitions is not known go to the disk instead, since they cannot be
    /// computed one by one.
    Memory,
    /// In memory as long as there is room, and then on the disk.
    #[default]
    MemoryThenDisk,
    /// On the disk.
    Disk,
}
