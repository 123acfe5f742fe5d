//! Reads splits one after another, each with the reader of the previous one.
//!
//! If your program requests small partitions, a large file is cut into thousands of splits, and a thread mostly reads
//! some that follow each other. The reader of the previous split can continue with the next one: it opens no file,
//! allocates no buffer and searches for no first record. Nothing is read twice, and one call reads several splits.

use std::cell::Cell;
use std::ops::ControlFlow;

use crate::counter::BadRecord;
use crate::error::{Error, ErrorKind, Result};

use super::block::{BLOCK_BYTES, TextBlockReader};
use super::options::TextOptions;
use super::split::Split;
use super::start::TextBlock;

/// Reads splits on one thread, and keeps its file open until it reads another or is dropped.
#[derive(Default)]
pub(crate) struct SplitReader {
    /// Empty while a split is being read. If another split is read in the meantime, for example by a nested task, it
    /// gets a new reader. In a box, because decoders are large and would be moved for each split.
    last: Cell<Option<Box<TextBlockReader>>>,
    /// Whether another machine may have planned the splits.
    is_elsewhere: bool,
}

impl SplitReader {
    /// Creates a reader of splits that another machine may have planned, if `is_elsewhere`.
    pub(crate) fn new(is_elsewhere: bool) -> Self {
        Self {
            last: Cell::default(),
            is_elsewhere,
        }
    }

    /// Passes the records of `split` to `on_block`, block by block, until `on_block` returns `Break`.
    ///
    /// Passes the number of bytes read from the file, compressed if it is, to `count_read` after each block.
    ///
    /// A whole file, and the last split of a file, are read to the end, including text that is appended in the
    /// meantime.
    ///
    /// # Errors
    ///
    /// Returns errors of the file system, and an error if the format is unsupported or a record is longer than
    /// `options` allow. For one of several splits, also returns an error if the file has changed in any way other than
    /// by growing, or is another one on this machine.
    pub(crate) fn read(
        &self,
        split: &Split,
        options: &TextOptions,
        count_read: &impl Fn(u64),
        on_block: &mut impl FnMut(TextBlock<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        let here;
        let split = match self.is_elsewhere {
            false => split,
            true => match split.on_other_machine() {
                Ok(split) => {
                    here = split;
                    &here
                }
                Err(error) => return skip(error, split, options),
            },
        };
        let mut reader = match TextBlockReader::open(split, options, BLOCK_BYTES, self.last.take())
        {
            Ok(reader) => reader,
            Err(error) => return skip(error, split, options),
        };
        let flow = match push_blocks(&mut reader, count_read, on_block) {
            Ok(flow) => flow,
            Err(Unread::File(error)) => return skip(error, split, options),
            Err(Unread::Block(error)) if matches!(error.kind(), ErrorKind::InvalidUtf8 { .. }) => {
                return Err(reader.cause_of(error));
            }
            Err(Unread::Block(error)) => return Err(error),
        };
        if flow.is_break() {
            reader.pause();
        }
        self.last
            .set(Some(reader).filter(|reader| !reader.has_grown()));
        Ok(flow)
    }
}

/// Skips the rest of a file that cannot be read, if bad files are skipped.
#[cold]
fn skip(error: Error, split: &Split, options: &TextOptions) -> Result<ControlFlow<()>> {
    match &options.bad {
        Some(bad) if is_bad_file(&error) => {
            bad.reject(BadRecord::of_file(&split.path, error.to_string()))?;
            Ok(ControlFlow::Continue(()))
        }
        _ => Err(error),
    }
}

/// Returns whether an error is that of a single file.
pub(super) fn is_bad_file(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Io { .. }
            | ErrorKind::InputChanged { .. }
            | ErrorKind::InputDiffers { .. }
            | ErrorKind::UnsupportedFormat { .. }
            | ErrorKind::LineTooLong { .. }
    )
}

/// Reason for which a split was not read to its end.
enum Unread {
    /// The file could not be read.
    File(Error),
    /// A block could not be processed.
    Block(Error),
}

fn push_blocks(
    reader: &mut TextBlockReader,
    count_read: &impl Fn(u64),
    on_block: &mut impl FnMut(TextBlock<'_>) -> Result<ControlFlow<()>>,
) -> Result<ControlFlow<()>, Unread> {
    loop {
        let flow = match reader.next_block().map_err(Unread::File)? {
            Some(block) => Some(on_block(block).map_err(Unread::Block)?),
            None => None,
        };
        count_read(reader.count_input_bytes());
        match flow {
            Some(ControlFlow::Continue(())) => {}
            Some(stop) => return Ok(stop),
            None => return Ok(ControlFlow::Continue(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use super::super::version::Version;
    use super::*;

    /// Returns the text of a split, and the number of bytes read from the file for it.
    fn read(reader: &SplitReader, split: &Split) -> Result<(Vec<u8>, u64)> {
        let (input_bytes, mut text) = (Cell::new(0), Vec::new());
        let count = |bytes| input_bytes.set(input_bytes.get() + bytes);
        let flow = reader.read(split, &TextOptions::default(), &count, &mut |block| {
            text.extend_from_slice(block.bytes);
            Ok(ControlFlow::Continue(()))
        })?;
        assert!(flow.is_continue());
        Ok((text, input_bytes.into_inner()))
    }

    #[test]
    fn bytes_are_counted_and_it_stops_early() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let content = "some line\n".repeat(100_000);
        fs::write(&path, &content).unwrap();
        let split = Split::whole(&path.into(), content.len() as u64);
        let reader = SplitReader::default();
        for _ in 0..2 {
            let (text, input_bytes) = read(&reader, &split).unwrap();
            assert!(text == content.as_bytes());
            assert_eq!(input_bytes, content.len() as u64);
        }

        let (input_bytes, mut blocks) = (Cell::new(0), 0);
        let count = |bytes| input_bytes.set(input_bytes.get() + bytes);
        let flow = reader.read(&split, &TextOptions::default(), &count, &mut |_| {
            blocks += 1;
            Ok(ControlFlow::Break(()))
        });
        assert!(flow.unwrap().is_break());
        assert_eq!((blocks, input_bytes.into_inner()), (1, BLOCK_BYTES as u64));
        assert!(read(&reader, &split).unwrap().0 == content.as_bytes());
    }

    #[test]
    fn splits_that_follow_each_other_are_read_once() {
        let directory = tempfile::tempdir().unwrap();
        let path: Arc<Path> = directory.path().join("f").into();
        let content: String = (0..100_000).map(|n| format!("{n}\n")).collect();
        fs::write(&path, &content).unwrap();
        let end = content.len() as u64;
        let version = Version::of(&mut fs::File::open(&path).unwrap()).unwrap();
        let split = |start: u64| Split {
            path: Arc::clone(&path),
            start,
            end: end.min(start + 10_000),
            expected_bytes: 10_000,
            version: Some(version),
            planned: None,
            listed: None,
            units: None,
        };
        let reader = SplitReader::default();
        let splits = (0..end).step_by(10_000).map(split);
        let read_all = splits.map(|split| read(&reader, &split).unwrap());
        let (texts, input_bytes): (Vec<_>, Vec<_>) = read_all.unzip();
        assert!(texts.concat() == content.as_bytes());
        assert_eq!(input_bytes.iter().sum::<u64>(), end);
        // Few calls read the file, and none reads much further than requested.
        assert!(input_bytes.iter().filter(|bytes| **bytes > 0).count() < 20);
        let mut read_bytes = 0;
        for (split_end, bytes) in (10_000..).step_by(10_000).zip(&input_bytes) {
            read_bytes += bytes;
            assert!(read_bytes < split_end + split_end / 4 + 4_000);
        }

        // The file is not opened again, either.
        if cfg!(unix) {
            fs::remove_file(&path).unwrap();
            assert_eq!(read(&reader, &split(20_000)).unwrap().0, texts[2]);
            assert_eq!(read(&reader, &split(0)).unwrap().0, texts[0]);
            let other = SplitReader::default();
            assert!(read(&other, &split(0)).unwrap_err().is_io());
        }
    }

    #[test]
    fn a_buffer_that_grew_is_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let content = vec![b'x'; 3 * BLOCK_BYTES];
        fs::write(&path, &content).unwrap();
        let reader = SplitReader::default();
        let (text, _) = read(&reader, &Split::whole(&path.into(), 0)).unwrap();
        assert!(text == content);
        assert!(reader.last.take().is_none());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_without_a_size_is_read() {
        let path: Arc<Path> = Path::new("/proc/self/status").into();
        if path.exists() {
            let (text, _) = read(&SplitReader::default(), &Split::whole(&path, 0)).unwrap();
            assert!(text.starts_with(b"Name:"));
        }
    }
}
