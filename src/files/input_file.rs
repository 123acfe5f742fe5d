//! Input files: their path and size, and how a part of one is read.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::any::AnyFileSystem;
use super::failure::{changed, read_error};
use super::file::FileInfo;
use super::file_reader::{FileReader, RawReader};
use super::path::local_path;
use super::remote_reader::RemoteReader;
use super::state::FileState;
use crate::error::{Error, Result, plain};

/// A file that [`Context::find_files`](crate::Context::find_files) has found: a local one, or one of a
/// [file system](crate::files).
///
/// A [`Source`](crate::Source) keeps such files, or uses them as splits. serde sends them to worker processes, together
/// with the settings of their file system. So the source reads files of any store, without knowing which.
///
/// A file is read as it was found: exactly its bytes at that time, even if it has grown. If it has changed otherwise,
/// reading fails with [`InputChanged`](crate::ErrorKind::InputChanged). For a local file, any change of its identity, size
/// or time of modification counts. A file system compares the [versions](FileInfo::version) that it knows.
///
/// # Examples
///
/// The last bytes of each file:
///
/// ```
/// use std::io::Read;
/// use std::ops::ControlFlow;
///
/// use holdall::files::InputFile;
/// use holdall::{Bag, BoxError, Context, IntoInputs, Pipeline, Reading, Source};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Tails {
///     files: Vec<InputFile>,
/// }
///
/// impl Source for Tails {
///     type Split = InputFile;
///     type Item = [u8];
///
///     fn splits(&self) -> Result<Vec<InputFile>, BoxError> {
///         Ok(self.files.clone())
///     }
///
///     fn read(
///         &self,
///         file: &InputFile,
///         reading: &Reading<'_>,
///         mut emit: impl FnMut(&[u8]) -> ControlFlow<()>,
///     ) -> Result<(), BoxError> {
///         reading.set_file(file.path());
///         let mut tail = Vec::new();
///         file.open(file.bytes().saturating_sub(4)..file.bytes())?.read_to_end(&mut tail)?;
///         let _ = emit(&tail);
///         Ok(())
///     }
/// }
///
/// fn read_tails(context: &Context, inputs: impl IntoInputs) -> holdall::Result<Bag<[u8], impl Pipeline<Out = [u8]>>> {
///     context.from_source(Tails { files: context.find_files(inputs)? })
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// # std::env::set_current_dir(&dir).unwrap();
/// std::fs::write("a", "a long text")?;
/// std::fs::write("b", "ab")?;
/// assert_eq!(read_tails(&Context::default(), ["a", "b"])?.collect()?, [&b"text"[..], b"ab"]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
pub struct InputFile {
    #[serde(with = "plain")]
    pub(crate) path: Arc<Path>,
    /// Its size when it was found; 0 if it has none.
    pub(crate) bytes: u64,
    /// Whether only this process can read it, from the start to the end: a pipe, a device, or a file without a name.
    pub(crate) is_stream: bool,
    pub(crate) store: FileStore,
}

/// Location of a file, and the state in which it was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum FileStore {
    Local(FileState),
    Remote {
        file_system: AnyFileSystem,
        version: Option<String>,
    },
}

/// A file of a file system, as it was listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) bytes: u64,
    pub(crate) version: Option<String>,
}

impl InputFile {
    /// Describes a file that a file system has found. Its path includes the scheme.
    pub(super) fn listed(info: FileInfo, file_system: &AnyFileSystem) -> Self {
        Self {
            path: Path::new(&info.path).into(),
            bytes: info.bytes,
            is_stream: false,
            store: FileStore::Remote {
                file_system: file_system.clone(),
                version: info.version,
            },
        }
    }

    /// Describes a local file that need not exist.
    #[cfg(test)]
    pub(crate) fn local(path: &Path, bytes: u64) -> Self {
        let (file, modified) = ((0, 0), 0);
        let state = FileState {
            file,
            bytes,
            modified,
        };
        Self {
            path: path.into(),
            bytes,
            is_stream: false,
            store: FileStore::Local(state),
        }
    }

    /// `may_be_link` is false if the path is known to be no link.
    pub(super) fn new(path: &Path, metadata: &Metadata, may_be_link: bool) -> Self {
        let mut file = Self {
            path: path.into(),
            bytes: if metadata.is_file() {
                metadata.len()
            } else {
                0
            },
            is_stream: !metadata.is_file(),
            store: FileStore::Local(FileState::of(metadata)),
        };
        if metadata.is_file() && leads_to_process(path, may_be_link) {
            match fs::canonicalize(path) {
                Ok(path) if is_at(metadata, &path) => file.path = path.into(),
                // It has no name any more.
                _ => file.is_stream = true,
            }
        }
        file
    }

    /// Returns the state of a file of another file system than the local one.
    pub(crate) fn as_listed(&self) -> Option<Listed> {
        match &self.store {
            FileStore::Local(_) => None,
            FileStore::Remote { version, .. } => Some(Listed {
                bytes: self.bytes,
                version: version.clone(),
            }),
        }
    }

    /// Returns the state of a local file that is no stream.
    pub(crate) fn local_state(&self) -> Option<FileState> {
        match &self.store {
            FileStore::Local(state) => Some(*state).filter(|_| !self.is_stream),
            FileStore::Remote { .. } => None,
        }
    }

    /// Returns `true` if the file is read through a [`FileSystem`](super::FileSystem), and `false` if it is a local file.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(self.store, FileStore::Remote { .. })
    }

    /// Returns the path, with its scheme if it has one.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the size that the file had when it was found, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the version that the file system has reported, if it knows one. Local files have none.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        match &self.store {
            FileStore::Local(_) => None,
            FileStore::Remote { version, .. } => version.as_deref(),
        }
    }

    /// Opens the file for reading the bytes of `range`, or up to its end if that comes first.
    ///
    /// Reading from a file system is repeated after [transient errors](super::FileSystem::is_transient), and a thread
    /// [reads ahead](super::FileSystem::read_ahead_bytes) if the file system asks for it. Such a file is opened by the
    /// first call of `read`.
    ///
    /// # Errors
    ///
    /// Returns [`Io`](crate::ErrorKind::Io) if a local file cannot be opened, and
    /// [`InputChanged`](crate::ErrorKind::InputChanged) if it has changed. The reader returns the same errors, with the
    /// path and the byte, converted to an [`io::Error`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::Read;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("text");
    /// std::fs::write(&path, "to be or not")?;
    /// let files = holdall::Context::default().find_files(&path)?;
    /// let mut text = String::new();
    /// files[0].open(6..8)?.read_to_string(&mut text)?;
    /// assert_eq!((files[0].bytes(), text.as_str()), (12, "or"));
    ///
    /// std::fs::write(&path, "that is")?;
    /// assert!(files[0].open(0..4).unwrap_err().to_string().contains("it has changed"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn open(&self, range: Range<u64>) -> Result<InputReader> {
        Ok(InputReader {
            raw: self.open_raw(range)?,
            path: Arc::clone(&self.path),
        })
    }

    pub(crate) fn open_raw(&self, range: Range<u64>) -> Result<RawReader> {
        let end = range.end.min(self.bytes);
        let start = range.start.min(end);
        let source = match &self.store {
            FileStore::Local(state) => FileReader::Local(self.open_local(state, start)?),
            FileStore::Remote {
                file_system,
                version,
            } => {
                let path = super::path::split_scheme(&self.path);
                let path = path.and_then(|(_, path)| str::from_utf8(path).ok());
                let path = path.unwrap_or_default();
                let version = version.as_deref();
                let mut reader = RemoteReader::new(file_system, path, version, end, start);
                reader.expect_end(end);
                FileReader::Remote(Box::new(reader))
            }
        };
        Ok(RawReader::new(source, start, end))
    }

    fn open_local(&self, state: &FileState, start: u64) -> Result<File> {
        let at_path = |source| Error::io("open", &self.path, source);
        if self.is_stream {
            let reason = "it is a pipe or a device, of which no part can be read";
            return Err(at_path(io::Error::new(io::ErrorKind::Unsupported, reason)));
        }
        let mut file = File::open(local_path(&self.path)).map_err(at_path)?;
        if FileState::of(&file.metadata().map_err(at_path)?) != *state {
            return Err(changed(&self.path));
        }
        if self.bytes == 0 && file.read(&mut [0]).map_err(at_path)? > 0 {
            let reason = "it has content, although its size is 0, as files of the kernel do; read a copy of it";
            return Err(at_path(io::Error::new(io::ErrorKind::Unsupported, reason)));
        }
        file.seek(SeekFrom::Start(start)).map_err(at_path)?;
        Ok(file)
    }
}

impl fmt::Debug for InputFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputFile")
            .field("path", &self.path)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// Reads a part of an [`InputFile`].
#[derive(Debug)]
pub struct InputReader {
    raw: RawReader,
    path: Arc<Path>,
}

impl Read for InputReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.raw.read(out);
        read.map_err(|error| read_error(&self.path, Some(self.raw.position()), error).into())
    }
}

/// Whether a path is another file in each process, as `/dev/stdin` is.
fn leads_to_process(path: &Path, may_be_link: bool) -> bool {
    const MAX_LINKS: usize = 40;
    const OF_PROCESS: [&str; 3] = ["/proc", "/dev/fd", "/dev/stdin"];
    let is_of_process = |path: &Path| OF_PROCESS.iter().any(|start| path.starts_with(start));
    let follow = |path: &PathBuf| Some(path.parent()?.join(fs::read_link(path).ok()?));
    let links = std::iter::successors(Some(path.to_owned()), follow);
    is_of_process(path) || may_be_link && links.take(MAX_LINKS).any(|path| is_of_process(&path))
}

#[cfg(unix)]
fn is_at(metadata: &Metadata, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let is_same = |other: Metadata| (other.dev(), other.ino()) == (metadata.dev(), metadata.ino());
    fs::metadata(path).is_ok_and(is_same)
}

#[cfg(not(unix))]
fn is_at(_: &Metadata, _: &Path) -> bool {
    true
}
