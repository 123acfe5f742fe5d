//! Options for reading text: the delimiter, the maximum length of a record, and the treatment of invalid UTF-8.

use serde::{Deserialize, Serialize};

use super::compression::DecoderOptions;
use crate::counter::BadRecords;
use crate::error::{Error, ErrorKind, Result};
use crate::files::FileSystems;

/// Treatment of bytes that are not valid UTF-8.
///
/// Text in UTF-16 or UTF-32 always fails with [`UnsupportedFormat`](crate::ErrorKind::UnsupportedFormat), because
/// almost none of it would remain. It is recognised by a byte order mark, or by zeros in every second byte or in three
/// of four bytes. The latter does not apply if the delimiter contains a zero.
///
/// # Examples
///
/// ```
/// use holdall::{InvalidUtf8, TextReader};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("text");
/// std::fs::write(&path, b"good\nb\xffd\n").unwrap();
/// let lines = |invalid| TextReader::new().invalid_utf8(invalid).read(&path)?.collect();
/// assert_eq!(lines(InvalidUtf8::Replace)?, ["good", "b\u{fffd}d"]);
/// assert_eq!(lines(InvalidUtf8::Skip)?, ["good"]);
/// assert!(lines(InvalidUtf8::Fail).is_err());
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum InvalidUtf8 {
    /// Fails with the path and the offset of the first invalid byte.
    #[default]
    Fail,
    /// Replaces invalid bytes by U+FFFD, the replacement character, like [`String::from_utf8_lossy`].
    Replace,
    /// Drops each line that contains invalid bytes.
    Skip,
}

/// Options for reading text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TextOptions {
    /// Bytes that end a record. With `"\n"`, a `"\r"` directly before it belongs to the ending, too.
    ///
    /// Only readers of bytes support a delimiter that is not UTF-8; see [`check_text`](Self::check_text).
    pub(crate) delimiter: Vec<u8>,
    /// Maximum length of a record without its ending, in bytes. A longer record is an error, so that it cannot exhaust
    /// the memory.
    pub(crate) max_line_bytes: usize,
    pub(crate) invalid_utf8: InvalidUtf8,
    /// If `true`, the first record of each file is skipped.
    pub(crate) skips_header: bool,
    /// `false` for readers of bytes: they validate nothing, and accept UTF-16 as it is.
    pub(crate) is_text: bool,
    /// `true` for readers of archives, whose formats are not supported as records.
    pub(crate) may_be_archive: bool,
    /// Target size of the byte ranges of large files and of the packs of small ones, in bytes. By default, derived from
    /// the input.
    pub(crate) split_bytes: Option<u64>,
    pub(crate) decoding: DecoderOptions,
    /// Label of the encoding of the text, if it is not UTF-8.
    pub(crate) encoding: Option<String>,
    /// Takes lines and files that cannot be read.
    pub(crate) bad: Option<BadRecords>,
    /// The file systems of the inputs. They are serialised separately.
    #[serde(skip)]
    pub(crate) file_systems: FileSystems,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            delimiter: b"\n".to_vec(),
            max_line_bytes: 64 << 20,
            invalid_utf8: InvalidUtf8::Fail,
            skips_header: false,
            is_text: true,
            may_be_archive: false,
            split_bytes: None,
            decoding: DecoderOptions::default(),
            encoding: None,
            bad: None,
            file_systems: FileSystems::default(),
        }
    }
}

impl TextOptions {
    /// Minimum of [`max_line_bytes`](Self::max_line_bytes): a byte order mark must fit into the buffer.
    const MIN_LINE_BYTES: usize = 4;

    /// Returns whether records are lines of the file itself, which can be counted in it. Those of a converted text cannot.
    pub(crate) fn has_lines(&self) -> bool {
        self.delimiter == b"\n" && self.encoding.is_none()
    }

    /// Returns what [`for_each_text`](super::for_each_text) does with invalid text.
    pub(crate) fn utf8_policy(&self) -> (InvalidUtf8, Option<&BadRecords>, bool) {
        (self.invalid_utf8, self.bad.as_ref(), self.has_lines())
    }

    /// Returns an error for values with which nothing can be read.
    pub(crate) fn check(&self) -> Result<()> {
        if self.delimiter.is_empty() {
            return Err(invalid("delimiter", String::new(), "at least one byte"));
        }
        if self.max_line_bytes < Self::MIN_LINE_BYTES {
            return Err(invalid(
                "max_line_bytes",
                self.max_line_bytes.to_string(),
                "at least 4",
            ));
        }
        if self.split_bytes == Some(0) {
            return Err(invalid("partition_bytes", "0".to_owned(), "at least 1"));
        }
        let is_dictionary = |bytes: &Vec<u8>| bytes.starts_with(b"\x37\xa4\x30\xec");
        if !self.decoding.zstd_dictionaries.iter().all(is_dictionary) {
            return Err(invalid(
                "zstd_dictionary",
                "other bytes".to_owned(),
                "the content of a file that `zstd --train` has written",
            ));
        }
        #[cfg(feature = "encodings")]
        if let Some(label) = &self.encoding
            && encoding_rs::Encoding::for_label(label.as_bytes()).is_none()
        {
            return Err(invalid(
                "encoding",
                label.clone(),
                "a label of the Encoding Standard, such as `latin1` or `utf-16`",
            ));
        }
        Ok(())
    }

    /// Like [`check`](Self::check), and also refuses a delimiter that is not UTF-8, because it could cut a character in
    /// two.
    pub(crate) fn check_text(&self) -> Result<()> {
        self.check()?;
        if std::str::from_utf8(&self.delimiter).is_err() {
            let value = self.delimiter.escape_ascii().to_string();
            return Err(invalid("delimiter", value, "UTF-8, or a reader of bytes"));
        }
        Ok(())
    }
}

fn invalid(setting: &'static str, value: String, expected: &'static str) -> Error {
    Error::new(ErrorKind::InvalidSetting {
        setting,
        value,
        expected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_accepted() {
        assert!(TextOptions::default().check_text().is_ok());
    }

    #[test]
    fn unusable_values_are_refused() {
        let refused = |options: TextOptions| options.check().unwrap_err().to_string();
        let defaults = TextOptions::default;
        assert!(
            refused(TextOptions {
                delimiter: Vec::new(),
                ..defaults()
            })
            .contains("delimiter")
        );
        assert!(
            refused(TextOptions {
                max_line_bytes: 3,
                ..defaults()
            })
            .contains("max_line_bytes")
        );
        assert!(
            refused(TextOptions {
                split_bytes: Some(0),
                ..defaults()
            })
            .contains("partition_bytes")
        );
    }

    #[test]
    fn a_delimiter_for_bytes_is_no_delimiter_for_text() {
        let options = TextOptions {
            delimiter: vec![0xff],
            ..TextOptions::default()
        };
        assert!(options.check().is_ok());
        assert!(
            options
                .check_text()
                .unwrap_err()
                .to_string()
                .contains(r"\xff")
        );
    }
}
