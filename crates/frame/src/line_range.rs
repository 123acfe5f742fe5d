//! The lines of a part of a local file.

use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

use datafusion::physical_plan::metrics::Count;
use holdall::files::{InputFile, InputReader};

/// Number of bytes that are read in one call.
const BLOCK_BYTES: usize = 64 << 10;

/// Reads the lines that begin in a range of a file.
pub(crate) struct LineRange {
    reader: BufReader<InputReader>,
    /// Counts the bytes.
    read: Count,
    /// Position of the reader in the file.
    at: u64,
    /// The first `\n` from here on is the end of the last line.
    last: u64,
    /// End of the last line, once it is known.
    end: u64,
}

impl LineRange {
    pub(crate) fn open(file: &InputFile, range: Range<u64>, read: Count) -> io::Result<Self> {
        // A line also begins at the start of the range if the byte before it ends one.
        let mut at = range.start.saturating_sub(1);
        let reader = file.open(at..file.bytes()).map_err(io::Error::other)?;
        let mut reader = BufReader::with_capacity(BLOCK_BYTES, reader);
        if range.start > 0 {
            at += reader.skip_until(b'\n')? as u64;
        }
        Ok(Self {
            reader,
            read,
            at,
            last: range.end.saturating_sub(1),
            end: if at < range.end { u64::MAX } else { at },
        })
    }
}

impl BufRead for LineRange {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.end {
            return Ok(&[]);
        }
        let block = self.reader.fill_buf()?;
        let before = usize::try_from(self.last.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let rest = block.get(before..).unwrap_or_default();
        Ok(match rest.iter().position(|byte| *byte == b'\n') {
            Some(line_end) => {
                let len = before + line_end + 1;
                self.end = self.at + len as u64;
                &block[..len]
            }
            None => block,
        })
    }

    fn consume(&mut self, bytes: usize) {
        self.at += bytes as u64;
        self.read.add(bytes);
        self.reader.consume(bytes);
    }
}

impl Read for LineRange {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_in_one_range() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        for text in [
            "",
            "\n",
            "a",
            "ab\n\ncd\nefg\n",
            "ab\nc\n\n\ndef",
            "abcdefgh\nij\n",
        ] {
            std::fs::write(&path, text).unwrap();
            let files = holdall::Context::default().find_files(&path).unwrap();
            let bytes = text.len() as u64;
            for first in 0..=bytes {
                for second in first..=bytes {
                    let count = Count::new();
                    let of_range = |range| {
                        let mut lines = String::new();
                        let mut reader = LineRange::open(&files[0], range, count.clone()).unwrap();
                        reader.read_to_string(&mut lines).unwrap();
                        lines
                    };
                    let parts = [0..first, first..second, second..bytes].map(of_range);
                    assert_eq!(parts.concat(), text, "{first}, {second}");
                    assert!(
                        parts
                            .iter()
                            .all(|part| part.ends_with('\n') || text.ends_with(part))
                    );
                    assert_eq!(count.value(), text.len());
                }
            }
        }
    }
}
