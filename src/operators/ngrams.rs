//! `ngrams`: neighbouring words of text files, across the ends of lines and partitions, but not of files.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::read_text::{ReadText, RecordPieces};
use super::scan::{Scan, Summarized};
use crate::error::Result;
use crate::pipeline::{Call, Pipeline, TextSlice};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, Site, Task};
use crate::text::{for_each_byte_line, for_each_line};

/// Records of text files: `str` or `[u8]`.
pub trait FileText: TextSlice {
    /// Pushes the records of a partition, and `None` before the first record of each file.
    #[doc(hidden)]
    fn for_each_in_files(
        text: &ReadText<Self>,
        partition: Partition,
        task: &Task<'_>,
        sink: &mut impl FnMut(Option<&Self>) -> Flow,
    ) -> Result<Flow>;
}

impl FileText for str {
    fn for_each_in_files(
        text: &ReadText<str>,
        partition: Partition,
        task: &Task<'_>,
        sink: &mut impl FnMut(Option<&str>) -> Flow,
    ) -> Result<Flow> {
        text.for_each_file_block(partition, task, &mut |path, block, is_first| {
            if is_first && sink(None).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            text.for_each_piece(path, block, task, &mut |lines, _| {
                for_each_line(lines, &text.delimiter, |line| {
                    task.enter_record(line.as_bytes());
                    sink(Some(line))
                })
            })
        })
    }
}

impl FileText for [u8] {
    fn for_each_in_files(
        text: &ReadText<[u8]>,
        partition: Partition,
        task: &Task<'_>,
        sink: &mut impl FnMut(Option<&[u8]>) -> Flow,
    ) -> Result<Flow> {
        text.for_each_file_block(partition, task, &mut |path, block, is_first| {
            if is_first && sink(None).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            text.for_each_piece(path, block, task, &mut |bytes, _| {
                for_each_byte_line(bytes, &text.delimiter, |line| {
                    task.enter_record(line);
                    sink(Some(line))
                })
            })
        })
    }
}

/// A rule that finds the words of a record.
pub(crate) trait SplitWords<T: ?Sized>: Portable + Send + Sync + 'static {
    fn for_each_word(&self, text: &T, task: &Task<'_>, sink: &mut dyn FnMut(&T) -> Flow) -> Flow;
}

/// Splits at white space, as `words` does.
pub(crate) struct AtSpace;

portable! { [] AtSpace {} }

impl<T: TextSlice + ?Sized> SplitWords<T> for AtSpace {
    fn for_each_word(&self, text: &T, _: &Task<'_>, sink: &mut dyn FnMut(&T) -> Flow) -> Flow {
        text.for_each_word(sink)
    }
}

/// Calls a closure that emits the words.
pub(crate) struct WordsByClosure<C> {
    pub(crate) op: C,
    pub(crate) site: Site,
}

portable! { [C: Portable] WordsByClosure<C> { site: part, op: part } }

impl<T, C> SplitWords<T> for WordsByClosure<C>
where
    T: TextSlice + ?Sized,
    C: for<'a, 'e> Call<(&'a T, &'e mut (dyn FnMut(&T) + 'e)), Out = ()>,
{
    fn for_each_word(&self, text: &T, task: &Task<'_>, sink: &mut dyn FnMut(&T) -> Flow) -> Flow {
        let mut flow = ControlFlow::Continue(());
        let mut emit = |word: &T| {
            // An empty record stands for the start of a file.
            if flow.is_continue() && !word.as_bytes().is_empty() {
                flow = sink(word);
            }
        };
        task.call(&self.site, || self.op.call((text, &mut emit)));
        flow
    }
}

/// The words of text files, and an empty record at the start of each file.
pub(crate) struct FileWords<T: ?Sized, W> {
    pub(crate) parent: Arc<ReadText<T>>,
    pub(crate) words: W,
    pub(crate) records: PhantomData<fn(&T)>,
}

portable! {
    [T: ?Sized, W: Portable] FileWords<T, W> { parent: part, words: part, records: part }
}

impl<T, W> Pipeline for FileWords<T, W>
where
    T: FileText + ?Sized,
    ReadText<T>: Pipeline<Out = T>,
    W: SplitWords<T>,
{
    type Out = T;

    fn partitions(&self) -> Option<usize> {
        Pipeline::partitions(&*self.parent)
    }

    fn stream(&self) -> PartitionStream<'_> {
        Pipeline::stream(&*self.parent)
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(&T) -> Flow,
    {
        T::for_each_in_files(&self.parent, partition, task, &mut |record| match record {
            Some(record) => self.words.for_each_word(record, task, sink),
            None => T::from_bytes(&[]).map_or(ControlFlow::Continue(()), &mut *sink),
        })
    }
}

/// Neighbouring words, joined by spaces.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Gram {
    text: Vec<u8>,
    /// Length of each word, in bytes.
    lengths: VecDeque<usize>,
    /// Whether a file begins before the first word.
    begins_file: bool,
}

impl Gram {
    /// Adds a word, or clears the words at the start of a file. Keeps only the last `most` words.
    fn push(&mut self, word: &[u8], most: usize) {
        if word.is_empty() {
            self.text.clear();
            self.lengths.clear();
            self.begins_file = true;
            return;
        }
        if self.lengths.len() == most
            && let Some(first) = self.lengths.pop_front()
        {
            self.text.drain(..self.text.len().min(first + 1));
        }
        if most > 0 {
            if !self.lengths.is_empty() {
                self.text.push(b' ');
            }
            self.text.extend_from_slice(word);
            self.lengths.push_back(word.len());
        }
    }

    fn words(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.lengths.iter().map(move |length| {
            let word = &self.text[start..start + length];
            start += length + 1;
            word
        })
    }
}

/// Each sequence of `n` words that is not interrupted by an empty record.
pub(crate) struct Ngrams {
    pub(crate) n: usize,
}

portable! { [] Ngrams { n: data } }

impl<T: TextSlice + ?Sized> Scan<T> for Ngrams {
    type Out = T;
    /// The last `n - 1` words since the start of a file.
    type Summary = Gram;
    type State = Gram;

    fn empty(&self) -> Gram {
        Gram::default()
    }

    fn add(&self, last: &mut Gram, word: &T) -> Flow {
        last.push(word.as_bytes(), self.n - 1);
        ControlFlow::Continue(())
    }

    fn states(&self, partitions: Vec<Summarized<Gram>>) -> Vec<Gram> {
        let mut last = Gram::default();
        let state = |partition: Summarized<Gram>| {
            let state = last.clone();
            if partition.summary.begins_file {
                last = partition.summary;
            } else {
                let words = partition.summary.words();
                words.for_each(|word| last.push(word, self.n - 1));
            }
            state
        };
        partitions.into_iter().map(state).collect()
    }

    fn push<S>(&self, gram: &mut Gram, word: &T, sink: &mut S) -> Flow
    where
        S: FnMut(&T) -> Flow,
    {
        gram.push(word.as_bytes(), self.n);
        if gram.lengths.len() < self.n {
            return ControlFlow::Continue(());
        }
        // Whole words are valid text.
        T::from_bytes(&gram.text).map_or(ControlFlow::Continue(()), sink)
    }
}
