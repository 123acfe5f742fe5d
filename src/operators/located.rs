//! `with_origin`, `with_line_numbers`: the records of text files, each with its place. A source.

use std::fmt;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::read_text::{ReadText, RecordPieces};
use super::scan::{Numbered, Summarized, not_repeatable, of_summaries};
use crate::error::{Result, plain};
use crate::id::ShuffleId;
use crate::pipeline::{Pipeline, Record, Ref, TextSlice};
use crate::portable::portable;
use crate::task::{Flow, Partition, PartitionStream, Site, Task};
use crate::text::count_lines;

/// The type of a record with its place in a file: a bag of `Located<str>` has records `(Origin, &str)`.
///
/// [`Bag::with_origin`](crate::Bag::with_origin) and [`Bag::with_line_numbers`](crate::Bag::with_line_numbers) return such
/// bags. Closures receive the pair by value, and `filter` and the like receive a reference to the text. An owned record is
/// `(OriginBuf, String)`.
pub struct Located<T: ?Sized> {
    text: PhantomData<fn(&T)>,
    _unsized: [u8],
}

impl<T: ?Sized> fmt::Debug for Located<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

/// Place of a record in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Origin<'a> {
    /// The file.
    pub path: &'a Path,
    /// The start of the record in the file, in bytes of the (decompressed) text.
    pub offset: u64,
    /// The number of the record in the file, counted from 1: that of the line. `None` unless
    /// [`with_line_numbers`](crate::Bag::with_line_numbers) has been called.
    pub line: Option<u64>,
}

/// An owned [`Origin`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OriginBuf {
    /// The file.
    #[serde(with = "plain")]
    pub path: PathBuf,
    /// The start of the record in the file, in bytes of the (decompressed) text.
    pub offset: u64,
    /// The number of the record in the file, counted from 1.
    pub line: Option<u64>,
}

impl Origin<'_> {
    /// Returns an owned copy.
    #[must_use]
    pub fn to_owned(self) -> OriginBuf {
        OriginBuf {
            path: self.path.to_owned(),
            offset: self.offset,
            line: self.line,
        }
    }
}

impl OriginBuf {
    /// Returns it as a borrowed value.
    #[must_use]
    pub fn as_origin(&self) -> Origin<'_> {
        Origin {
            path: &self.path,
            offset: self.offset,
            line: self.line,
        }
    }
}

/// Writes `FILE:LINE`, or `FILE byte N` if the line is unknown.
impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.line {
            Some(line) => write!(f, "{path}:{line}"),
            None => write!(f, "{path} byte {}", self.offset),
        }
    }
}

impl<T: TextSlice + ?Sized> Record for Located<T> {
    type Ref<'a> = (Origin<'a>, &'a T);
    type Peek<'a> = (Origin<'a>, &'a T);
    type Owned = (OriginBuf, T::Owned);

    #[inline]
    fn peek<'s>(record: &'s (Origin<'_>, &T)) -> (Origin<'s>, &'s T) {
        *record
    }

    #[inline]
    fn peek_owned((origin, text): &(OriginBuf, T::Owned)) -> (Origin<'_>, &T) {
        (origin.as_origin(), T::peek_owned(text))
    }

    #[inline]
    fn into_owned((origin, text): (Origin<'_>, &T)) -> (OriginBuf, T::Owned) {
        (origin.to_owned(), T::into_owned(text))
    }

    #[inline]
    fn lend<R>((origin, text): (OriginBuf, T::Owned), f: impl FnOnce(Ref<'_, Self>) -> R) -> R {
        T::lend(text, |text| f((origin.as_origin(), text)))
    }

    #[inline]
    fn cross(
        record: (Origin<'_>, &T),
        _: &mut Vec<(OriginBuf, T::Owned)>,
        each: &mut dyn for<'a> FnMut((Origin<'a>, &'a T)) -> Flow,
    ) -> Flow {
        each(record)
    }
}

/// Number of lines of the last file of a partition.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct FileLines {
    /// Whether the start of that file is in the partition.
    has_start: bool,
    /// Number of its lines in the partition, without its header.
    lines: u64,
}

/// Counts the lines of each partition.
pub(crate) struct CountLines<T: ?Sized> {
    pub(crate) text: Arc<ReadText<T>>,
}

portable! { [T: ?Sized] CountLines<T> { text: part } }

impl<T: TextSlice + ?Sized> Pipeline for CountLines<T>
where
    ReadText<T>: Pipeline<Out = T>,
{
    type Out = ((), Numbered<FileLines>);

    fn partitions(&self) -> Option<usize> {
        self.text.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.text.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(((), Numbered<FileLines>)) -> Flow,
    {
        let index = partition.index;
        let mut last = FileLines {
            has_start: self.text.starts_file(&partition),
            lines: 0,
        };
        let mut file = None;
        let flow = self
            .text
            .for_each_block(partition, task, &mut |path, block| {
                if file
                    .replace(Arc::clone(path))
                    .is_some_and(|last| !Arc::ptr_eq(&last, path))
                {
                    last = FileLines {
                        has_start: true,
                        lines: 0,
                    };
                }
                last.lines += count_lines(block.bytes, &self.text.delimiter);
                Ok(ControlFlow::Continue(()))
            })?;
        if flow.is_break() {
            return Ok(flow);
        }
        let summarized = Summarized {
            summary: last,
            records: 0,
            is_whole: true,
        };
        Ok(sink(((), (index, summarized))))
    }
}

/// Adds its place to each record.
pub(crate) struct WithOrigin<T: ?Sized> {
    pub(crate) text: Arc<ReadText<T>>,
    pub(crate) lines: LineNumbers,
    pub(crate) site: Site,
}

portable! { [T: ?Sized] WithOrigin<T> { site: part, text: part, lines: data } }

/// Source of the numbers of lines.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum LineNumbers {
    Unknown,
    /// Each partition begins at the start of a file.
    FromStart,
    /// [`CountLines`] has counted them.
    Counted(ShuffleId),
}

impl<T: ?Sized> WithOrigin<T> {
    /// Returns the number of lines of the first file of a partition that are in earlier partitions.
    fn lines_before(&self, partition: &Partition, task: &Task<'_>) -> Result<u64> {
        let index = partition.index;
        let LineNumbers::Counted(counts) = self.lines else {
            return Ok(0);
        };
        if self.text.starts_file(partition) {
            return Ok(0);
        }
        let make = |counts: Vec<Numbered<FileLines>>| {
            let mut before = 0;
            let start = |(number, Summarized { summary, .. }): Numbered<FileLines>| {
                let start = (number, before);
                before = summary.lines + if summary.has_start { 0 } else { before };
                start
            };
            counts.into_iter().map(start).collect::<Vec<_>>()
        };
        let read = |starts: &Vec<(usize, u64)>| {
            let at = starts.binary_search_by_key(&index, |(number, _)| *number);
            at.ok().map(|at| starts[at].1)
        };
        let lines = of_summaries(counts, self.site, task, make, read)?;
        lines.ok_or_else(|| not_repeatable(self.site))
    }
}

impl<T: TextSlice + ?Sized> Pipeline for WithOrigin<T>
where
    ReadText<T>: Pipeline<Out = T> + RecordPieces<T>,
{
    type Out = Located<T>;

    fn partitions(&self) -> Option<usize> {
        self.text.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.text.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, Located<T>>) -> Flow,
    {
        let delimiter = &self.text.delimiter;
        let knows_lines = !matches!(self.lines, LineNumbers::Unknown);
        let header = u64::from(self.text.options.skips_header);
        // Number of lines before the block.
        let mut before = header + self.lines_before(&partition, task)?;
        let mut file = None;
        self.text
            .for_each_block(partition, task, &mut |path, block| {
                if file
                    .replace(Arc::clone(path))
                    .is_some_and(|last| !Arc::ptr_eq(&last, path))
                {
                    before = header;
                }
                let mut counted = 0;
                let mut count = |end: usize| {
                    if knows_lines {
                        before += count_lines(&block.bytes[counted..end], delimiter);
                        counted = end;
                    }
                    before
                };
                let flow = self
                    .text
                    .for_each_piece(path, block, task, &mut |piece, offset| {
                        let mut line = count((offset - block.offset) as usize);
                        let address = piece.as_bytes().as_ptr().addr();
                        piece.for_each_record(delimiter, |record| {
                            task.enter_record(record.as_bytes());
                            line += 1;
                            let in_piece = record.as_bytes().as_ptr().addr() - address;
                            let origin = Origin {
                                path,
                                offset: offset + in_piece as u64,
                                line: knows_lines.then_some(line),
                            };
                            sink((origin, record))
                        })
                    })?;
                count(block.bytes.len());
                Ok(flow)
            })
    }
}
