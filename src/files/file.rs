//! Files that a file system has found or opened.

use std::fmt;
use std::io::Read;

use serde::{Deserialize, Serialize};

/// A file that a [`FileSystem`](super::FileSystem) has found.
///
/// # Examples
///
/// ```
/// use holdall::files::FileInfo;
///
/// let file = FileInfo::new("bucket/a.gz", 1234).version("\"5d41402a\"");
/// assert_eq!((file.path.as_str(), file.bytes), ("bucket/a.gz", 1234));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileInfo {
    /// The path, without the scheme.
    pub path: String,
    /// Size of the file, in bytes. Exactly as many bytes are read.
    pub bytes: u64,
    /// Identifies the content of the file, for example an entity tag or a generation. `None` if the file system does
    /// not know it.
    pub version: Option<String>,
}

impl FileInfo {
    /// Describes a file without a version.
    pub fn new(path: impl Into<String>, bytes: u64) -> Self {
        Self {
            path: path.into(),
            bytes,
            version: None,
        }
    }

    /// Sets the version, so that a change of the file is noticed: a file whose version is another one when it is read
    /// fails with [`InputChanged`](crate::ErrorKind::InputChanged).
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }
}

/// A file that a [`FileSystem`](super::FileSystem) has opened for reading.
///
/// # Examples
///
/// ```
/// use holdall::files::OpenedFile;
///
/// let response = &b"the bytes"[..];
/// let file = OpenedFile::new(response).version("\"5d41402a\"");
/// # let _ = file;
/// ```
pub struct OpenedFile {
    pub(super) reader: Box<dyn Read + Send>,
    pub(super) version: Option<String>,
}

impl OpenedFile {
    /// Wraps a reader, which begins at the requested byte.
    pub fn new(reader: impl Read + Send + 'static) -> Self {
        Self {
            reader: Box::new(reader),
            version: None,
        }
    }

    /// Sets the version of the open file. It is compared with that of the [`FileInfo`], if both are known.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Wraps the reader by another one, and keeps the version: for a file system that is built on another one, and
    /// decrypts what that one reads, for example.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{self, Read};
    /// use std::ops::Range;
    ///
    /// use holdall::Context;
    /// use holdall::files::{FileInfo, FileSystem, LocalFiles, OpenedFile};
    /// use serde::{Deserialize, Serialize};
    ///
    /// /// Local files whose bits are inverted.
    /// #[derive(Serialize, Deserialize)]
    /// struct Inverted;
    ///
    /// impl FileSystem for Inverted {
    ///     fn list(&self, prefix: &str) -> io::Result<Vec<FileInfo>> {
    ///         LocalFiles.list(prefix)
    ///     }
    ///
    ///     fn open(&self, path: &str, range: Range<u64>) -> io::Result<OpenedFile> {
    ///         Ok(LocalFiles.open(path, range)?.map_reader(Inverter))
    ///     }
    /// }
    ///
    /// struct Inverter<R>(R);
    ///
    /// impl<R: Read> Read for Inverter<R> {
    ///     fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
    ///         let read = self.0.read(out)?;
    ///         out[..read].iter_mut().for_each(|byte| *byte = !*byte);
    ///         Ok(read)
    ///     }
    /// }
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("text");
    /// std::fs::write(&path, b"one\ntwo\n".map(|byte| !byte))?;
    /// let context = Context::builder().file_system("inverted", Inverted).build()?;
    /// assert_eq!(context.read_text(format!("inverted://{}", path.display()))?.collect()?, ["one", "two"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn map_reader<R>(self, wrap: impl FnOnce(Box<dyn Read + Send>) -> R) -> Self
    where
        R: Read + Send + 'static,
    {
        Self {
            reader: Box::new(wrap(self.reader)),
            version: self.version,
        }
    }
}

impl fmt::Debug for OpenedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedFile")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
