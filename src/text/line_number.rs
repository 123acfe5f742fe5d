//! Numbers of lines, which are searched only for errors and for samples of bad records.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::counter::{BadRecord, BadRecords};

use super::options::TextOptions;
use super::source::TextInput;
use super::split::Split;

/// Maximum number of bytes that are read to find the number of a line. It takes about a second.
const MAX_SEARCH_BYTES: u64 = 1 << 30;

/// Returns the number of the line at `offset` in a local file, counted from 1. Returns `None` if it would take too long
/// to find it, and if the file cannot be read again.
pub(crate) fn line_at(path: &Path, offset: u64) -> Option<u64> {
    let is_file =
        std::fs::metadata(crate::files::local_path(path)).is_ok_and(|found| found.is_file());
    if !is_file || offset > MAX_SEARCH_BYTES {
        return None;
    }
    let options = TextOptions {
        is_text: false,
        ..TextOptions::default()
    };
    let whole = Split::whole(&Arc::from(path), 0);
    let mut text = TextInput::open(&whole, &options).ok()?.take(offset);
    let mut block = vec![0; 64 << 10];
    let (mut lines, mut read_bytes) = (1, 0);
    loop {
        match text.read(&mut block).ok()? {
            0 => return (read_bytes == offset).then_some(lines),
            read => {
                lines += memchr::memchr_iter(b'\n', &block[..read]).count() as u64;
                read_bytes += read as u64;
            }
        }
    }
}

impl BadRecords {
    /// Returns the first bad records that jobs have skipped, up to [`max_samples`](Self::max_samples) of them, in the
    /// order of the jobs, stages, partitions and records.
    ///
    /// Reads the files up to the samples again, to find the numbers of their lines.
    #[must_use]
    pub fn samples(&self) -> Vec<BadRecord> {
        let mut samples = self.first();
        for sample in samples.iter_mut().filter(|sample| sample.is_line) {
            if let (Some(path), Some(offset)) = (&sample.path, sample.offset) {
                sample.line = line_at(path, offset);
            }
        }
        samples
    }
}
