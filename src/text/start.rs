//! Blocks of text, and where the reading of a split starts.

use super::options::TextOptions;
use super::split::Split;

pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whole records. Each includes its delimiter, except a last record of the file that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextBlock<'a> {
    pub(crate) bytes: &'a [u8],
    /// Offset of the block in the (decompressed) file.
    pub(crate) offset: u64,
}

/// Returns the offset at which the search for the first record of a split begins, and the offset from which the file is
/// read.
pub(super) fn search_start(split: &Split, options: &TextOptions) -> (u64, u64) {
    // A delimiter that ends exactly at the start of the split shows that a record begins there.
    let search_from = split.start.saturating_sub(options.delimiter.len() as u64);
    // A byte order mark matters only if the search could begin within it.
    let is_near_mark = search_from < BYTE_ORDER_MARK.len() as u64;
    (search_from, if is_near_mark { 0 } else { search_from })
}
