//! `read_text`: the records of text files, borrowed from the buffer they are read into. A source.

mod pulled;

use std::marker::PhantomData;
use std::mem;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::slice;
use std::sync::Arc;

use pulled::PulledText;

use crate::error::{PlaceError as _, Result};
use crate::files::FileSystems;
use crate::pipeline::Pipeline;
use crate::portable::{Loader, Portable, Saver};
use crate::task::{
    Flow, Partition, PartitionStream, Site, SourcePosition, Task, add_note, pullers,
};
use crate::text::{
    Delimiter, Helpers, Needle, Portion, Split, SplitReader, TextBlock, TextKind, TextOptions,
    TextPieces, count_lines, for_each_byte_line, for_each_line, for_each_match, for_each_text,
};

/// Size of the pieces in which a stream, or a large compressed file, is read, in bytes.
const PIECE_BYTES: usize = 8 << 20;

/// The pipeline that reads text, for the bags of [`read_text`](crate::read_text) and [`TextReader`](crate::TextReader).
///
/// Other sources have no public type, because [`boxed`](crate::Bag::boxed) makes them fit for structs and signatures.
/// Text that is boxed is passed on line by line, however, while methods such as [`words`](crate::Bag::words) process
/// whole blocks of this pipeline.
///
/// # Examples
///
/// ```
/// use holdall::{Bag, ReadText};
///
/// struct Log {
///     lines: Bag<str, ReadText<str>>,
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("log");
/// std::fs::write(&path, "started\nended\n").unwrap();
/// let log = Log { lines: holdall::read_text(&path)? };
/// assert_eq!(log.lines.first()?.as_deref(), Some("started"));
/// # Ok::<(), holdall::Error>(())
/// ```
pub struct ReadText<T: ?Sized> {
    pub(crate) portions: Vec<Portion>,
    pub(crate) options: TextOptions,
    pub(crate) delimiter: Delimiter,
    pub(crate) records: PhantomData<fn(&T)>,
    pub(crate) site: Site,
}

impl<T: ?Sized> std::fmt::Debug for ReadText<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadText")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized> Portable for ReadText<T> {
    fn save(&self, to: &mut Saver) -> Result<()> {
        self.site.save(to)?;
        to.data(&(&self.portions, &self.options))?;
        if to.is_key() {
            self.portions
                .iter()
                .flat_map(Portion::splits)
                .try_for_each(|split| {
                    let Some(state) = split.state()? else {
                        return to.refuse_key(&split.path.display().to_string());
                    };
                    to.data(&state)
                })?;
        }
        self.options.file_systems.save(to)
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        let site = Site::load(from)?;
        let (portions, mut options) = from.data::<(_, TextOptions)>()?;
        options.file_systems = FileSystems::load(from)?;
        Ok(Self {
            portions,
            delimiter: Delimiter::new(&options.delimiter),
            options,
            records: PhantomData,
            site,
        })
    }
}

impl<T: ?Sized> ReadText<T> {
    /// Returns a partition for each portion, except that each piece of a stream is a partition.
    fn stream(&self) -> PartitionStream<'_> {
        let mut portions = self.portions.iter().enumerate();
        let mut open: Option<(Arc<Path>, TextPieces)> = None;
        let mut is_first = false;
        let mut partitions = 0;
        let mut pull = move || {
            let pulled = loop {
                if let Some((path, pieces)) = &mut open {
                    if let Some(piece) = pieces.next_piece()? {
                        if let Some(note) = pieces.take_note() {
                            add_note(note);
                        }
                        let input_bytes = pieces.count_input_bytes();
                        let path = Arc::clone(path);
                        break PulledText::Piece {
                            path,
                            piece,
                            is_first: mem::take(&mut is_first),
                            input_bytes,
                        };
                    }
                    open = None;
                }
                match portions.next() {
                    None => return Ok(None),
                    Some((_, Portion::Stream(split))) => {
                        let pullers = pullers();
                        let helpers = Helpers::of(pullers.count, pullers.budget);
                        let pieces = TextPieces::open(split, &self.options, PIECE_BYTES, helpers)?;
                        open = Some((Arc::clone(&split.path), pieces));
                        is_first = true;
                    }
                    Some((index, _)) => break PulledText::Portion(index),
                }
            };
            partitions += 1;
            Ok(Some(Partition::with(partitions - 1, pulled)))
        };
        Box::new(move || pull().at(self.site))
    }

    fn partitions(&self) -> Option<usize> {
        let is_stream = |portion: &Portion| matches!(portion, Portion::Stream(_));
        (!self.portions.iter().any(is_stream)).then_some(self.portions.len())
    }

    /// Pushes the blocks of a partition, each with the path of its file.
    pub(super) fn for_each_block(
        &self,
        partition: Partition,
        task: &Task<'_>,
        push: &mut impl FnMut(&Arc<Path>, TextBlock<'_>) -> Result<Flow>,
    ) -> Result<Flow> {
        self.for_each_file_block(partition, task, &mut |path, block, _| push(path, block))
    }

    /// Pushes the blocks of a partition, each with the path of its file, and with whether it is the first of that file.
    pub(super) fn for_each_file_block(
        &self,
        partition: Partition,
        task: &Task<'_>,
        push: &mut impl FnMut(&Arc<Path>, TextBlock<'_>, bool) -> Result<Flow>,
    ) -> Result<Flow> {
        let index = partition.index;
        let portion = match partition.into_payload::<PulledText>() {
            Some(PulledText::Piece {
                path,
                piece,
                is_first,
                input_bytes,
                ..
            }) => {
                task.count_read(input_bytes);
                return push(&path, piece.block(), is_first).at(self.site);
            }
            Some(PulledText::Portion(index)) => &self.portions[index],
            None => &self.portions[index],
        };
        let splits = match portion {
            Portion::Split(split) => slice::from_ref(split),
            Portion::Pack(splits) => splits,
            Portion::Stream(_) => unreachable!("a stream comes in pieces"),
        };
        self.read_splits(splits, task, push).at(self.site)
    }

    fn read_splits(
        &self,
        splits: &[Split],
        task: &Task<'_>,
        push: &mut impl FnMut(&Arc<Path>, TextBlock<'_>, bool) -> Result<Flow>,
    ) -> Result<Flow> {
        let own = SplitReader::new(task.resources().scratch.has_homes());
        let reader = task.split_reader().unwrap_or(&own);
        for split in splits {
            let count = &|bytes| task.count_read(bytes);
            let mut is_first = split.start == 0;
            let flow = reader.read(split, &self.options, count, &mut |block| {
                if task.is_stopped() {
                    return Ok(ControlFlow::Break(()));
                }
                push(&split.path, block, mem::take(&mut is_first))
            })?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Returns whether a partition begins at the start of a file.
    pub(super) fn starts_file(&self, partition: &Partition) -> bool {
        let index = match partition.payload::<PulledText>() {
            Some(PulledText::Piece { is_first, .. }) => return *is_first,
            Some(PulledText::Portion(index)) => *index,
            None => partition.index,
        };
        match &self.portions[index] {
            Portion::Split(split) => split.start == 0,
            Portion::Pack(_) => true,
            Portion::Stream(_) => unreachable!("a stream comes in pieces"),
        }
    }

    /// Returns whether each partition begins at the start of a file.
    pub(crate) fn starts_files(&self) -> bool {
        self.portions.iter().all(|portion| match portion {
            Portion::Split(split) => split.start == 0,
            Portion::Pack(_) => true,
            Portion::Stream(_) => false,
        })
    }
}

/// Division of blocks into pieces of records of type `T`, of which the offset in the file is known.
pub trait RecordPieces<T: ?Sized> {
    /// Passes each piece of a block to `push`, with its offset in the file.
    #[doc(hidden)]
    fn for_each_piece(
        &self,
        path: &Arc<Path>,
        block: TextBlock<'_>,
        task: &Task<'_>,
        push: &mut impl FnMut(&T, u64) -> Flow,
    ) -> Result<Flow>;
}

impl RecordPieces<str> for ReadText<str> {
    #[inline]
    fn for_each_piece(
        &self,
        path: &Arc<Path>,
        block: TextBlock<'_>,
        task: &Task<'_>,
        push: &mut impl FnMut(&str, u64) -> Flow,
    ) -> Result<Flow> {
        let policy = self.options.utf8_policy();
        for_each_text(block, &self.delimiter, policy, path, |text, offset| {
            let origin = TextOrigin::new(task, path, text.as_bytes(), offset, &self.options);
            Ok(origin.watch(push(text, offset)))
        })
    }
}

impl RecordPieces<[u8]> for ReadText<[u8]> {
    #[inline]
    fn for_each_piece(
        &self,
        path: &Arc<Path>,
        block: TextBlock<'_>,
        task: &Task<'_>,
        push: &mut impl FnMut(&[u8], u64) -> Flow,
    ) -> Result<Flow> {
        let origin = TextOrigin::new(task, path, block.bytes, block.offset, &self.options);
        Ok(origin.watch(push(block.bytes, block.offset)))
    }
}

impl Pipeline for ReadText<str> {
    type Out = str;

    fn partitions(&self) -> Option<usize> {
        self.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(&str) -> Flow,
    {
        self.for_each_block(partition, task, &mut |path, block| {
            self.for_each_piece(path, block, task, &mut |text, _| {
                for_each_line(text, &self.delimiter, |line| {
                    task.enter_record(line.as_bytes());
                    sink(line)
                })
            })
        })
    }

    #[inline]
    fn run_text<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(&str, TextKind) -> Flow,
    {
        if self.delimiter.bytes() != b"\n" {
            return self.run(partition, task, &mut |record| {
                sink(record, TextKind::Record)
            });
        }
        self.for_each_block(partition, task, &mut |path, block| {
            self.for_each_piece(path, block, task, &mut |text, _| {
                sink(text, TextKind::Lines)
            })
        })
    }

    fn run_containing<S>(
        &self,
        needle: &Needle,
        partition: Partition,
        task: &Task<'_>,
        sink: &mut S,
    ) -> Result<Flow>
    where
        S: FnMut(&str) -> Flow,
    {
        self.for_each_block(partition, task, &mut |path, block| {
            self.for_each_piece(path, block, task, &mut |text, _| {
                for_each_match(text.as_bytes(), &self.delimiter, needle, |range| {
                    let line = &text[range];
                    task.enter_record(line.as_bytes());
                    sink(line)
                })
            })
        })
    }

    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        let mut count = 0;
        let _ = self.for_each_block(partition, task, &mut |path, block| {
            self.for_each_piece(path, block, task, &mut |text, _| {
                count += count_lines(text.as_bytes(), &self.delimiter);
                ControlFlow::Continue(())
            })
        })?;
        Ok(count)
    }
}

impl Pipeline for ReadText<[u8]> {
    type Out = [u8];

    fn partitions(&self) -> Option<usize> {
        self.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(&[u8]) -> Flow,
    {
        self.for_each_block(partition, task, &mut |path, block| {
            self.for_each_piece(path, block, task, &mut |bytes, _| {
                for_each_byte_line(bytes, &self.delimiter, |line| {
                    task.enter_record(line);
                    sink(line)
                })
            })
        })
    }

    fn run_containing<S>(
        &self,
        needle: &Needle,
        partition: Partition,
        task: &Task<'_>,
        sink: &mut S,
    ) -> Result<Flow>
    where
        S: FnMut(&[u8]) -> Flow,
    {
        self.for_each_block(partition, task, &mut |path, block| {
            self.for_each_piece(path, block, task, &mut |bytes, _| {
                for_each_match(bytes, &self.delimiter, needle, |range| {
                    let line = &bytes[range];
                    task.enter_record(line);
                    sink(line)
                })
            })
        })
    }

    fn count(&self, partition: Partition, task: &Task<'_>) -> Result<u64> {
        let mut count = 0;
        let _ = self.for_each_block(partition, task, &mut |_, block| {
            count += count_lines(block.bytes, &self.delimiter);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(count)
    }
}

/// Tracks the current record, and reports it to the task if an error or a panic occurs.
pub(super) struct TextOrigin<'a, 'job> {
    task: &'a Task<'job>,
    /// Address of the record, and the position, of another text whose closure reads this text.
    around: (Option<NonZeroUsize>, SourcePosition),
}

impl<'a, 'job> TextOrigin<'a, 'job> {
    /// `offset` is that of the block in the file.
    pub(super) fn new(
        task: &'a Task<'job>,
        path: &Arc<Path>,
        block: &[u8],
        offset: u64,
        options: &TextOptions,
    ) -> Self {
        let has_lines = options.has_lines();
        let position = SourcePosition::of_block(path, block, offset, has_lines);
        let around = (task.replace_record(None), task.position().replace(position));
        Self { task, around }
    }

    /// Returns `flow`. If it breaks because of an error, reports the record first.
    pub(super) fn watch(&self, flow: Flow) -> Flow {
        if flow.is_break() && self.task.has_failed() {
            self.task.note_origin();
        }
        flow
    }
}

impl Drop for TextOrigin<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.task.note_origin();
        }
        let (record, position) = std::mem::take(&mut self.around);
        self.task.replace_record(record);
        self.task.position().replace(position);
    }
}

/// Formats the number of files and bytes for the user.
pub(crate) fn describe(files: usize, bytes: u64) -> String {
    let files = if files == 1 {
        "1 file".to_owned()
    } else {
        format!("{files} files")
    };
    format!("{files}, {bytes} bytes")
}
