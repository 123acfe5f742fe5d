//! Divides files into portions of similar size: cuts large files into byte ranges, and packs small ones together.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::error::Result;
use crate::files::InputFile;

use super::compression::{Codec, UnitRange, Units};
use super::delimiter::Delimiter;
use super::options::TextOptions;
use super::planned::PlannedFile;
use super::source::{FileLayout, inspect_local, is_plain};
use super::split::{Portion, Split};
use super::split_reader::is_bad_file;
use super::version::Version;

/// Target number of portions. If there would be more, each becomes larger. The number does not depend on the cores of
/// the machine, because results must not depend on the machine, and an additional portion costs little.
const PORTIONS: u64 = 256;
const MIN_SPLIT_BYTES: u64 = 1 << 20;
const MAX_SPLIT_BYTES: u64 = 64 << 20;

/// Cost of opening a file, expressed as the number of bytes that could be read in that time. It limits the size of
/// packs even if 100,000 files are empty.
const FILE_COST_BYTES: u64 = 16 << 10;

/// Minimum size of a compressed file that becomes a stream, in bytes. It must also be larger than an eighth of the
/// input.
const MIN_STREAM_BYTES: u64 = 4 << 20;

/// Maximum number of files of a file system that are inspected at the same time. More would take less time if there are
/// hundreds of large files, but a server may refuse hundreds of connections.
const MAX_INSPECTIONS: usize = 16;

/// Divides `files` into portions. Opens only large files, whose format decides how they are divided.
///
/// # Errors
///
/// Returns an error if such a file cannot be read or has an unsupported format, or if an option has an invalid value.
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
        can_cut: !Delimiter::new(&options.delimiter).overlaps_itself()
            && options.encoding.is_none(),
        options,
        portions: Vec::new(),
        pack: Vec::new(),
        pack_cost: 0,
    };
    let mut are_plain = plan.inspect(files).into_iter();
    for file in files {
        plan.add(file, &mut are_plain)?;
    }
    plan.close_pack();
    Ok(plan.portions)
}

/// Returns the next file that no thread has taken, with its number.
fn numbered<'f>(files: &[&'f InputFile], next: &AtomicUsize) -> Option<(usize, &'f InputFile)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    files.get(index).map(|file| (index, *file))
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

    // The portions so far, and the small files that are not in a portion yet.
    portions: Vec<Portion>,
    pack: Vec<Split>,
    pack_cost: u64,
}

impl SplitPlan<'_> {
    fn may_be_stream(&self, file: &InputFile) -> bool {
        file.bytes > MIN_STREAM_BYTES && file.bytes > self.total_bytes / 8
    }

    fn is_small(&self, file: &InputFile) -> bool {
        file.bytes <= self.split_bytes && !self.may_be_stream(file)
    }

    /// Returns whether each large file of a file system is plain, in the order of the files.
    ///
    /// Inspects several files at the same time, because a file system may need a while to open one.
    fn inspect(&self, files: &[InputFile]) -> Vec<Result<bool>> {
        let is_inspected = |file: &&InputFile| file.is_remote() && !self.is_small(file);
        let files: Vec<_> = files.iter().filter(is_inspected).collect();
        let next = AtomicUsize::new(0);
        let inspect = || {
            let mut inspected = Vec::new();
            while let Some((index, file)) = numbered(&files, &next) {
                inspected.push((index, is_plain(&file.into(), self.options)));
            }
            inspected
        };
        let mut inspected = thread::scope(|scope| {
            let helpers = 1..files.len().min(MAX_INSPECTIONS);
            // Without helpers, it only takes longer.
            let start = |_| thread::Builder::new().spawn_scoped(scope, inspect).ok();
            let helpers: Vec<_> = helpers.filter_map(start).collect();
            let mut inspected = inspect();
            for helper in helpers {
                match helper.join() {
                    Ok(others) => inspected.extend(others),
                    Err(panic) => resume_unwind(panic),
                }
            }
            inspected
        });
        inspected.sort_by_key(|(index, _)| *index);
        inspected
            .into_iter()
            .map(|(_, is_plain)| is_plain)
            .collect()
    }

    /// Adds a file. `are_plain` has the next results of [`inspect`](Self::inspect).
    fn add(
        &mut self,
        file: &InputFile,
        are_plain: &mut impl Iterator<Item = Result<bool>>,
    ) -> Result<()> {
        let may_be_stream = self.may_be_stream(file);
        if file.is_stream {
            self.push(Portion::Stream(file.into()));
        } else if self.is_small(file) {
            self.pack(file);
        } else {
            let layout = match file.is_remote() {
                false => self.read(inspect_local(&file.path, self.options, self.split_bytes))?,
                true => {
                    let is_plain = are_plain.next().unwrap_or(Ok(false));
                    self.read(is_plain)?
                        .filter(|is_plain| *is_plain)
                        .map(|_| FileLayout::Plain(None))
                }
            };
            let can_cut = self.can_cut && file.bytes > self.split_bytes;
            match layout {
                Some(FileLayout::Plain(version)) if can_cut => self.cut(file, version),
                Some(FileLayout::Units(version, compression, units))
                    if can_cut && units.starts.len() > 1 =>
                {
                    self.cut_at_units(file, version, compression, &units);
                }
                Some(FileLayout::Plain(_)) if self.options.encoding.is_none() => self.pack(file),
                _ if may_be_stream && self.options.bad.is_none() => {
                    self.push(Portion::Stream(file.into()));
                }
                _ => self.pack(file),
            }
        }
        Ok(())
    }

    /// Returns what the start of a file shows. If bad files are skipped, the task that reads the file does so.
    fn read<R>(&self, start: Result<R>) -> Result<Option<R>> {
        match start {
            Err(error) if self.options.bad.is_some() && is_bad_file(&error) => Ok(None),
            start => start.map(Some),
        }
    }

    /// Cuts a file into ranges whose sizes differ by at most one byte, and do not exceed the split size. The last range
    /// extends to the end of the file when it is read.
    fn cut(&mut self, file: &InputFile, version: Option<Version>) {
        let bytes = version.map_or(file.bytes, |version| version.bytes());
        let ranges = bytes.div_ceil(self.split_bytes).max(1);
        let boundary = |i: u64| (u128::from(bytes) * u128::from(i) / u128::from(ranges)) as u64;
        for i in 0..ranges {
            let (start, end) = (boundary(i), boundary(i + 1));
            self.push(Portion::Split(Split {
                path: Arc::clone(&file.path),
                start,
                end: if i + 1 == ranges { u64::MAX } else { end },
                expected_bytes: end - start,
                version,
                planned: PlannedFile::of_file(file),
                listed: file.as_listed(),
                units: None,
            }));
        }
    }

    /// Cuts a compressed file into ranges of its text that begin at units.
    ///
    /// A range begins one delimiter after the start of a unit, so that the search for its first record begins at the
    /// unit, and the text before need not be decoded.
    fn cut_at_units(
        &mut self,
        file: &InputFile,
        version: Version,
        compression: Codec,
        units: &Units,
    ) {
        let delimiter_bytes = self.options.delimiter.len() as u64;
        for (index, start) in units.starts.iter().enumerate() {
            let next = units.starts.get(index + 1).copied();
            let place = |text: u64| if text > 0 { text + delimiter_bytes } else { 0 };
            let end_of_text = next.map_or(units.text_bytes, |next| next.text);
            self.push(Portion::Split(Split {
                path: Arc::clone(&file.path),
                start: place(start.text),
                end: next.map_or(u64::MAX, |next| place(next.text)),
                expected_bytes: end_of_text - start.text,
                version: Some(version),
                planned: PlannedFile::of_file(file),
                listed: None,
                units: Some(UnitRange {
                    compression,
                    start: *start,
                    next,
                }),
            }));
        }
    }

    fn pack(&mut self, file: &InputFile) {
        let cost = cost(file);
        if self.pack_cost.saturating_add(cost) > self.split_bytes {
            self.close_pack();
        }
        self.pack.push(file.into());
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
