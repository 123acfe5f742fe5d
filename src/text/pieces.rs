//! A large compressed file or a stream, read by one thread in pieces that others can work on.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Result;

use super::block::{TextBlock, TextBlockReader};
use super::options::TextOptions;

/// The least size of a piece: enough work to outweigh handing it to another thread.
pub(crate) const MIN_PIECE_BYTES: usize = 4 << 20;

/// The text of a file, decoded if it is compressed, in pieces of whole records, in order.
#[derive(Debug)]
pub(crate) struct TextPieces {
    reader: Box<TextBlockReader>,
}

/// Whole records of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TextPiece {
    /// Where it starts in the decompressed file.
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
}

impl TextPiece {
    /// The same, borrowed.
    pub(crate) fn block(&self) -> TextBlock<'_> {
        TextBlock {
            bytes: &self.bytes,
            offset: self.offset,
        }
    }
}

impl TextPieces {
    /// `piece_bytes` is what a piece has at most, but for a longer record; at least [`MIN_PIECE_BYTES`] is taken.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or read, or is a stream that has been read before.
    pub(crate) fn open(
        path: &Arc<Path>,
        options: &TextOptions,
        piece_bytes: usize,
    ) -> Result<Self> {
        Self::open_sized(path, options, piece_bytes.max(MIN_PIECE_BYTES))
    }

    fn open_sized(path: &Arc<Path>, options: &TextOptions, piece_bytes: usize) -> Result<Self> {
        let reader = TextBlockReader::open_stream(path, options, piece_bytes)?;
        Ok(Self { reader })
    }

    /// Decodes the next piece; `None` after the last.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is damaged or cut short, or has a record longer than the options allow.
    pub(crate) fn next_piece(&mut self) -> Result<Option<TextPiece>> {
        let block = self.reader.next_block()?;
        Ok(block.map(|block| TextPiece {
            offset: block.offset,
            bytes: block.bytes.to_vec(),
        }))
    }

    /// What has been read of the file, compressed if it is, since this was last called.
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

    use super::*;

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
            let mut pieces =
                TextPieces::open_sized(&path, &TextOptions::default(), piece_bytes).unwrap();
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
    fn damage_ends_the_pieces_with_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path: Arc<Path> = directory.path().join("f.gz").into();
        write_gzip(&path, "text\n");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let error = TextPieces::open(&path, &TextOptions::default(), 0)
            .and_then(|mut pieces| pieces.next_piece())
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("f.gz: the gzip data is cut short"),
            "{error}"
        );
    }
}
