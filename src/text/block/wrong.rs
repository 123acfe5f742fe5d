//! Wrong content of a file: lines that are too long, and damage as its cause.

use std::io::Read as _;

use super::TextBlockReader;
use crate::counter::BadRecord;
use crate::error::{Error, ErrorContext, ErrorKind, Result};
use crate::files::read_error;

/// Maximum amount of text that is decoded after wrong content, to find out whether the file is damaged, in bytes. Larger
/// values find the damage of longer files; smaller ones report the error earlier.
const MAX_READ_ON_BYTES: usize = 1 << 30;

impl TextBlockReader {
    /// Returns the damage of a compressed file as the cause of an error of its content, or `error` if no damage follows.
    /// Decoders find damage after they have returned text, some only by a checksum at the end.
    #[cold]
    pub(in crate::text) fn cause_of(&mut self, error: Error) -> Error {
        self.done = true;
        if !self.source.is_decoded() {
            return error;
        }
        if let Some(damage) = self.failed.take() {
            return damage;
        }
        let mut read_bytes = 0;
        while !self.exhausted && read_bytes < MAX_READ_ON_BYTES {
            match self.source.read(&mut self.buffer) {
                Ok(0) => self.exhausted = true,
                Ok(read) => read_bytes += read,
                Err(damage) => return read_error(&self.path, None, damage),
            }
        }
        error
    }

    /// Records that the line at `start` is too long, or returns an error.
    #[cold]
    pub(super) fn skip_long_line(&mut self, start: usize) -> Result<()> {
        let (offset, limit_bytes) = (self.position(start), self.max_line_bytes);
        let Some(bad) = &self.bad else {
            let error = Error::new(ErrorKind::LineTooLong {
                path: self.path.to_path_buf(),
                offset,
                limit_bytes,
                context: ErrorContext::default(),
            });
            return Err(self.cause_of(error));
        };
        let reason = format!("the line is longer than the limit of {limit_bytes} bytes");
        bad.reject(BadRecord {
            text: None,
            is_line: self.has_lines,
            ..BadRecord::of_line(&self.path, offset, reason, b"")
        })
    }
}
