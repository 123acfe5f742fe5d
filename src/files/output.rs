//! Writing to a file system: outputs whose files appear together, or not at all.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::encoder::Compression;
use crate::storage::codec;

/// Options of an output. The defaults are those of [`write_text`](crate::Bag::write_text).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputOptions {
    /// Whether an existing output is replaced.
    pub overwrite: bool,
    /// Whether the output must survive a power failure once it is committed.
    pub durable: bool,
    /// Whether the files are added to those of an existing output.
    pub append: bool,
    /// Compression of the files, which holdall applies before a file system receives them.
    pub compression: Option<Compression>,
    /// Whether the output is a single file. holdall sets it: other files in the directory are not part of the output.
    pub single_file: bool,
}

impl Default for OutputOptions {
    fn default() -> Self {
        Self {
            overwrite: false,
            durable: true,
            append: false,
            compression: None,
            single_file: false,
        }
    }
}

impl OutputOptions {
    /// Sets whether an existing output is replaced. Default: `false`.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::files::OutputOptions;
    ///
    /// let options = OutputOptions::default().overwrite(true);
    /// assert!(options.overwrite && options.durable);
    /// ```
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Sets whether the output must survive a power failure once it is committed. Default: `true`.
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Sets whether the files are added to those of an existing output. Default: `false`.
    ///
    /// Their numbers follow those of the existing files, which must have the same extension. All new files appear, or
    /// none. With [`overwrite`](Self::overwrite), the error is [`InvalidSetting`](crate::ErrorKind::InvalidSetting).
    #[must_use]
    pub fn append(mut self, append: bool) -> Self {
        self.append = append;
        self
    }

    /// Sets the compression of the files. Default: `None`.
    #[must_use]
    pub fn compression(mut self, compression: impl Into<Option<Compression>>) -> Self {
        self.compression = compression.into();
        self
    }
}

/// An output that a [`FileSystem`](super::FileSystem) has begun, in the process that runs the action. Nothing of it is
/// visible.
///
/// Dropping it aborts the output: the file system deletes all files that tasks have written for it, or makes sure that
/// they are deleted later. That happens if a task fails, if the job is stopped, and after a failed
/// [`commit`](Self::commit). Some tasks may still be writing.
pub trait PendingOutput: Send {
    /// Returns what tasks need to create files of this output. It is sent to them.
    ///
    /// # Errors
    ///
    /// Returns an error if a value cannot be serialised.
    fn token(&self) -> io::Result<Token>;

    /// Makes files visible: all of them, or none. They replace files with the same paths.
    ///
    /// `files` has what [`PendingFile::finish`] has returned, in the order of the partitions. A partition that was
    /// attempted several times has only one file in it. The files of all other attempts must not appear.
    ///
    /// If the process is killed during this call, it depends on the file system which files are visible.
    ///
    /// # Errors
    ///
    /// Returns an error if the files could not be made visible. Implementations should then leave none of them
    /// visible.
    fn commit(self: Box<Self>, files: Vec<Token>) -> io::Result<()>;
}

/// A file that a task is writing for an output. Nothing of it is visible.
///
/// Dropping it without [`finish`](Self::finish) discards the file.
pub trait PendingFile: Write {
    /// Completes the file, and returns what [`PendingOutput::commit`] needs to make it visible.
    ///
    /// # Errors
    ///
    /// Returns an error if the file could not be completed.
    fn finish(self: Box<Self>) -> io::Result<Token>;
}

/// A value that one part of a [`FileSystem`](super::FileSystem) passes to another part in a different process, for
/// example the identifier of an upload.
///
/// # Examples
///
/// ```
/// use holdall::files::Token;
///
/// let token = Token::new(&("upload 7".to_owned(), vec![1_u32, 2]))?;
/// let (upload, parts): (String, Vec<u32>) = token.get()?;
/// assert_eq!((upload.as_str(), parts.len()), ("upload 7", 2));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token(Vec<u8>);

impl Token {
    /// Serialises a value.
    ///
    /// # Errors
    ///
    /// Returns an error if serde cannot serialise the value.
    pub fn new<T: Serialize>(value: &T) -> io::Result<Self> {
        let mut bytes = Vec::new();
        codec::encode_own(value, &mut bytes)?;
        Ok(Self(bytes))
    }

    /// Returns the value, which must have the type that was passed to [`new`](Self::new).
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are not those of a `T`.
    pub fn get<T: Deserialize<'static>>(&self) -> io::Result<T> {
        Ok(codec::decode(&self.0)?)
    }
}
