//! The whole content of an [`InputFile`], decompressed if necessary.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, ErrorContext, ErrorKind, Result};
use crate::files::{InputFile, read_error};

use super::format::{Format, HEAD_BYTES};
use super::options::TextOptions;
use super::source::TextInput;

impl InputFile {
    /// Opens the file for reading all of its content, decompressed if necessary.
    ///
    /// The formats are those of [`read_text`](crate::read_text), recognised by the content of the file. The content need
    /// not be text. The file must not have changed since it was found, see [`open`](InputFile::open).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`open`](InputFile::open), and
    /// [`UnsupportedFormat`](crate::ErrorKind::UnsupportedFormat) for archives and for formats of records. The reader
    /// returns errors about damaged content, with the path.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Read;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("text");
    /// std::fs::write(&path, "short")?; // or what `gzip`, `zstd`, `bzip2` and `xz` write
    /// let files = holdall::Context::default().find_files(&path)?;
    /// let mut text = String::new();
    /// files[0].open_decoded()?.read_to_string(&mut text)?;
    /// assert_eq!(text, "short");
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn open_decoded(&self) -> Result<impl Read + Send + use<>> {
        Ok(DecodedReader {
            input: TextInput::of_input(self, false, true)?,
            path: Arc::clone(&self.path),
        })
    }

    /// Returns whether the file is compressed, by its first bytes. Then [`open_decoded`](InputFile::open_decoded) decodes
    /// it, and a part of it cannot be read alone.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`open_decoded`](InputFile::open_decoded).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Write;
    ///
    /// use holdall::files::OutputOptions;
    /// use holdall::{Compression, Context};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("text");
    /// let context = Context::default();
    /// let mut file = context.create_file(&path, &OutputOptions::default().compression(Compression::Gzip))?;
    /// write!(file, "short")?;
    /// file.commit()?;
    /// assert!(context.find_files(&path)?[0].is_compressed()?);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn is_compressed(&self) -> Result<bool> {
        let format = Format::of(&self.head()?, &TextOptions::default(), &self.path)?;
        Ok(format != Format::Plain)
    }
}

impl InputFile {
    /// Returns the first bytes, as many as determine a format.
    pub(crate) fn head(&self) -> Result<Vec<u8>> {
        let mut head = Vec::new();
        self.open(0..HEAD_BYTES as u64)?.read_to_end(&mut head)?;
        Ok(head)
    }

    /// Opens the file for reading all of its content, decompressed if necessary. Unlike
    /// [`open_decoded`](Self::open_decoded), accepts archives.
    pub(crate) fn open_any(&self) -> Result<impl Read + Send + use<>> {
        Ok(DecodedReader {
            input: TextInput::of_input(self, false, false)?,
            path: Arc::clone(&self.path),
        })
    }

    /// Like [`open_decoded`](Self::open_decoded), and refuses text in UTF-16 and UTF-32.
    #[cfg(feature = "csv")]
    pub(crate) fn open_text(&self) -> Result<impl Read + Send + use<>> {
        Ok(DecodedReader {
            input: TextInput::of_input(self, true, true)?,
            path: Arc::clone(&self.path),
        })
    }

    /// Reads all of the content, decompressed if necessary. See [`open_decoded`](InputFile::open_decoded).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`open_decoded`](InputFile::open_decoded) and its reader.
    pub fn read(&self) -> Result<Vec<u8>> {
        let mut content = Vec::with_capacity(usize::try_from(self.bytes()).unwrap_or(0));
        self.open_decoded()?.read_to_end(&mut content)?;
        Ok(content)
    }

    /// Reads all of the content as text, decompressed if necessary. Drops a UTF-8 byte order mark at the start.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`read`](InputFile::read), and [`InvalidUtf8`](crate::ErrorKind::InvalidUtf8) if the
    /// content is not UTF-8.
    pub fn read_text(&self) -> Result<String> {
        let text = String::from_utf8(self.read()?).map_err(|error| {
            Error::new(ErrorKind::InvalidUtf8 {
                path: self.path().to_owned(),
                offset: error.utf8_error().valid_up_to() as u64,
                context: ErrorContext::default(),
            })
        })?;
        Ok(match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        })
    }
}

/// Reads the content of a file. Its errors name the path.
struct DecodedReader {
    input: TextInput,
    path: Arc<Path>,
}

impl Read for DecodedReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(out);
        read.map_err(|error| read_error(&self.path, None, error).into())
    }
}
