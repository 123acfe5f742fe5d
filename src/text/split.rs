//! Files to portions of about equal size: large files are cut into byte ranges, small ones packed together.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Result, plain};

use super::delimiter::Delimiter;
use super::inputs::InputFile;
use super::options::TextOptions;
use super::source::version_if_plain;
use super::version::Version;

/// A byte range of a file: the records of it whose first byte lies there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Split {
    #[serde(with = "plain")]
    pub(crate) path: Arc<Path>,
    pub(crate) start: u64,
    /// `u64::MAX` for the end of the file, wherever that is. Compressed files are read to their end in any case.
    pub(crate) end: u64,
    /// How much there seems to be to read, for the size of a buffer.
    pub(super) expected_bytes: u64,
    /// The state of a file that is read in several ranges, which only fit together as long as that holds.
    pub(super) version: Option<Version>,
}

impl Split {
    /// All of a file, to its end when it is read.
    pub(super) fn whole(path: &Arc<Path>, expected_bytes: u64) -> Self {
        Self {
            path: Arc::clone(path),
            start: 0,
            end: u64::MAX,
            expected_bytes,
            version: None,
        }
    }
}

/// What is read in one go; the portions of an input in order give its records in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Portion {
    Split(Split),
    /// Several, one after the other.
    Pack(Vec<Split>),
    /// A compressed file or a stream, to be read as [`TextPieces`](super::TextPieces) while others work on what has been read.
    ///
    /// Only one thread can decode a file. If a file is a large part of the input, the rest would wait for it, so at least
    /// its lines are shared. If there are many, each thread decodes its own, and nothing has to be handed over. A pipe is
    /// open in one process only.
    Stream(#[serde(with = "plain")] Arc<Path>),
}

/// With more portions than this, each gets larger. A number of the input's, not of this machine's cores: results must
/// not depend on the machine, and a portion more costs little.
const PORTIONS: u64 = 256;
const MIN_SPLIT_BYTES: u64 = 1 << 20;
const MAX_SPLIT_BYTES: u64 = 64 << 20;

/// What opening a file costs, in bytes that could be read meanwhile; so that 100,000 empty files are packed too.
const FILE_COST_BYTES: u64 = 16 << 10;

/// A compressed file becomes a stream if it is larger than this and than an eighth of the input.
const MIN_STREAM_BYTES: u64 = 4 << 20;

/// Divides `files`. Only large files are opened, since their format decides.
///
/// # Errors
///
/// If such a file cannot be read or has a format that cannot, or an option has a value that cannot be used.
pub(crate) fn plan(files: &[InputFile], options: &TextOptions) -> Result<Vec<Portion>> {
    options.check()?;
    let total_bytes = files.iter().map(|file| file.bytes).sum();
    let total_cost: u64 = files.iter().map(cost).sum();
    let split_bytes = options
        .split_bytes
        .unwrap_or_else(|| (total_cost / PORTIONS).clamp(MIN_SPLIT_BYTES, MAX_SPLIT_BYTES));
    let mut plan = SplitPlan {
        split_bytes,
        total_bytes,
        can_cut: !Delimiter::new(&options.delimiter).overlaps_itself(),
        options,
        portions: Vec::new(),
        pack: Vec::new(),
        pack_cost: 0,
    };
    for file in files {
        plan.add(file)?;
    }
    plan.close_pack();
    Ok(plan.portions)
}

fn cost(file: &InputFile) -> u64 {
    file.bytes.saturating_add(FILE_COST_BYTES)
}

struct SplitPlan<'o> {
    // Settings.
    options: &'o TextOptions,
    split_bytes: u64,
    total_bytes: u64,
    can_cut: bool,

    // What there is so far, and the small files that are not in it yet.
    portions: Vec<Portion>,
    pack: Vec<Split>,
    pack_cost: u64,
}

impl SplitPlan<'_> {
    fn add(&mut self, file: &InputFile) -> Result<()> {
        let may_be_stream = file.bytes > MIN_STREAM_BYTES && file.bytes > self.total_bytes / 8;
        if file.is_stream {
            self.push(Portion::Stream(Arc::clone(&file.path)));
        } else if file.bytes <= self.split_bytes && !may_be_stream {
            self.pack(file);
        } else {
            match version_if_plain(&file.path, self.options)? {
                None if may_be_stream => self.push(Portion::Stream(Arc::clone(&file.path))),
                Some(version) if file.bytes > self.split_bytes && self.can_cut => {
                    self.cut(&file.path, version);
                }
                _ => self.pack(file),
            }
        }
        Ok(())
    }

    /// Into ranges that differ by one byte at most, none of them larger than the split size. The last one goes to the end
    /// of the file, wherever that is when it is read.
    fn cut(&mut self, path: &Arc<Path>, version: Version) {
        let bytes = version.bytes;
        let ranges = bytes.div_ceil(self.split_bytes).max(1);
        let boundary = |i: u64| (u128::from(bytes) * u128::from(i) / u128::from(ranges)) as u64;
        for i in 0..ranges {
            let (start, end) = (boundary(i), boundary(i + 1));
            self.push(Portion::Split(Split {
                path: Arc::clone(path),
                start,
                end: if i + 1 == ranges { u64::MAX } else { end },
                expected_bytes: end - start,
                version: Some(version),
            }));
        }
    }

    fn pack(&mut self, file: &InputFile) {
        let cost = cost(file);
        if self.pack_cost.saturating_add(cost) > self.split_bytes {
            self.close_pack();
        }
        self.pack.push(Split::whole(&file.path, file.bytes));
        self.pack_cost += cost;
    }

    fn push(&mut self, portion: Portion) {
        self.close_pack();
        self.portions.push(portion);
    }

    fn close_pack(&mut self) {
        if !self.pack.is_empty() {
            self.portions
                .push(Portion::Pack(std::mem::take(&mut self.pack)));
            self.pack_cost = 0;
        }
    }
}

#[cfg(test)]
mod tests;
