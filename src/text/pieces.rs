//! A large compressed file or a stream, which one thread reads in pieces that other threads process.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Result;

use super::block::TextBlockReader;
use super::compression::{Codec, Helpers};
use super::delimiter::Delimiter;
use super::options::{InvalidUtf8, TextOptions};
use super::split::Split;
use super::start::TextBlock;
use super::utf8::for_each_text;

/// Minimum size of a piece, in bytes. Processing a smaller piece would take too little time compared with passing it to
/// another thread.
pub(crate) const MIN_PIECE_BYTES: usize = 4 << 20;

/// The (decompressed) text of a file as a sequence of pieces, each of whole records.
#[derive(Debug)]
pub(crate) struct TextPieces {
    reader: Box<TextBlockReader>,
    path: Arc<Path>,
    /// Whether text that is not UTF-8 is an error.
    refuses_bytes: bool,
    /// Number of pieces so far.
    pieces: usize,
}

/// Whole records of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TextPiece {
    /// Offset of the piece in the decompressed file.
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
}

impl TextPiece {
    /// Returns the piece as a borrowed block.
    pub(crate) fn block(&self) -> TextBlock<'_> {
        TextBlock {
            bytes: &self.bytes,
            offset: self.offset,
        }
    }
}

impl TextPieces {
    /// Opens the file of a split of a whole file. `piece_bytes`, or [`MIN_PIECE_BYTES`] if that is more, is the maximum
    /// size of a piece, unless a record is longer. `helpers` decode it in advance.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or read, or is a stream that has been read before.
    pub(crate) fn open(
        split: &Split,
        options: &TextOptions,
        piece_bytes: usize,
        helpers: Helpers,
    ) -> Result<Self> {
        Self::open_sized(split, options, piece_bytes.max(MIN_PIECE_BYTES), helpers)
    }

    fn open_sized(
        split: &Split,
        options: &TextOptions,
        piece_bytes: usize,
        helpers: Helpers,
    ) -> Result<Self> {
        let refuses_bytes = options.is_text
            && options.bad.is_none()
            && matches!(options.invalid_utf8, InvalidUtf8::Fail);
        // What this thread skips would belong to no task.
        let options = TextOptions {
            bad: None,
            ..options.clone()
        };
        let reader = TextBlockReader::open_stream(split, &options, piece_bytes, helpers)?;
        Ok(Self {
            reader,
            path: Arc::clone(&split.path),
            refuses_bytes,
            pieces: 0,
        })
    }

    /// Returns the next piece, or `None` after the last.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, is damaged or truncated, or has a record longer than the options
    /// allow.
    pub(crate) fn next_piece(&mut self) -> Result<Option<TextPiece>> {
        let Some(block) = self.reader.next_block()? else {
            return Ok(None);
        };
        let piece = TextPiece {
            offset: block.offset,
            bytes: block.bytes.to_vec(),
        };
        self.pieces += 1;
        if self.refuses_bytes
            && self.reader.is_decoded()
            && let Err(error) = self.check_utf8(&piece)
        {
            return Err(self.reader.cause_of(error));
        }
        Ok(Some(piece))
    }

    /// Returns the error that the task of a piece would return. Text that is not UTF-8 may be what a damaged file was
    /// decoded to, which only this thread can find out: the job must not depend on which of the threads is faster.
    fn check_utf8(&self, piece: &TextPiece) -> Result<()> {
        let (delimiter, policy) = (Delimiter::new(b"\n"), (InvalidUtf8::Fail, None, false));
        let ignore = |_: &str, _| Ok(ControlFlow::Continue(()));
        for_each_text(piece.block(), &delimiter, policy, &self.path, ignore).map(drop)
    }

    /// Returns why one thread decodes the file, once several pieces show that it is large.
    pub(crate) fn take_note(&self) -> Option<String> {
        let codec = self
            .reader
            .decoded_on_one_thread()
            .filter(|_| self.pieces == 2)?;
        let tools = match codec {
            Codec::Bzip2 | Codec::Xz => "`xz -T0`",
            Codec::Gzip => "`bgzip`",
            Codec::Lz4 | Codec::Snappy | Codec::Zstd => "`pzstd`",
        };
        Some(format!(
            "one thread decoded {}, because its {codec} data has no parts that are independent; {tools} writes such parts",
            self.path.display()
        ))
    }

    /// Returns the number of bytes of the file, compressed if it is, that have been read since the last call.
    pub(crate) fn count_input_bytes(&mut self) -> u64 {
        self.reader.count_input_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::super::split_reader::SplitReader;
    use super::*;
    use crate::error::Error;
    use crate::storage::memory::MemoryBudget;

    fn helper() -> Helpers {
        Helpers::of(2, MemoryBudget::unlimited())
    }

    fn write_gzip(path: &Path, text: &str) {
        let mut encoder = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap();
    }

    #[test]
    fn pieces_are_the_text_and_end_at_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path: Arc<Path> = directory.path().join("f.gz").into();
        let text: String = (0..1_000).map(|n| format!("line {n}\n")).collect();
        write_gzip(&path, &text);
        for piece_bytes in [1, 10, 100, 1_000, 1 << 20] {
            let split = Split::whole(&path, 0);
            let mut pieces =
                TextPieces::open_sized(&split, &TextOptions::default(), piece_bytes, helper())
                    .unwrap();
            let mut decoded = Vec::new();
            while let Some(piece) = pieces.next_piece().unwrap() {
                assert_eq!(piece.block().offset, decoded.len() as u64);
                assert_eq!(piece.bytes.last(), Some(&b'\n'));
                decoded.extend(piece.bytes);
            }
            assert_eq!(decoded, text.as_bytes());
            assert_eq!(pieces.count_input_bytes(), path.metadata().unwrap().len());
        }
    }

    #[test]
    fn damage_comes_before_what_it_was_decoded_to() {
        let directory = tempfile::tempdir().unwrap();
        let path: Arc<Path> = directory.path().join("f.gz").into();
        let text = [&b"text\n".repeat(1_000)[..], b"\xff\n", &b"x".repeat(200)].concat();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&text).unwrap();
        let content = encoder.finish().unwrap();
        let mut damaged = content.clone();
        let checksum = content.len() - 8;
        damaged[checksum] ^= 1;
        let options = |max_line_bytes| TextOptions {
            max_line_bytes,
            ..TextOptions::default()
        };
        let split = Split::whole(&path, 0);
        let of_pieces = |options: &TextOptions| {
            let mut pieces = TextPieces::open_sized(&split, options, 100, helper())?;
            while pieces.next_piece()?.is_some() {}
            Ok(())
        };
        let of_split = |options: &TextOptions| {
            let (reader, policy) = (SplitReader::default(), options.utf8_policy());
            let read = reader.read(&split, options, &|_| {}, &mut |block| {
                let delimiter = Delimiter::new(b"\n");
                let go_on = |_: &str, _| Ok(ControlFlow::Continue(()));
                for_each_text(block, &delimiter, policy, &path, go_on)
            });
            read.map(drop)
        };
        let check = |options: &TextOptions, expected: &str| {
            for outcome in [of_pieces(options), of_split(options)] {
                let error: Error = outcome.unwrap_err();
                assert!(error.to_string().contains(expected), "{error}");
            }
        };
        std::fs::write(&path, damaged).unwrap();
        check(&options(1_000), "the checksum does not match");
        check(&options(3), "the checksum does not match");
        std::fs::write(&path, content).unwrap();
        check(&options(1_000), "invalid UTF-8 at byte 5000");
        check(&options(3), "the line at byte 0 is longer");
    }

    #[test]
    fn damage_ends_the_pieces_with_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path: Arc<Path> = directory.path().join("f.gz").into();
        write_gzip(&path, "text\n");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let error = TextPieces::open(
            &Split::whole(&path, 0),
            &TextOptions::default(),
            0,
            helper(),
        )
        .and_then(|mut pieces| {
            while pieces.next_piece()?.is_some() {}
            Ok(())
        })
        .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("f.gz: the gzip data is cut short"),
            "{error}"
        );
    }
}
