//! File systems: where inputs are read from and outputs are written to, other than local files.
//!
//! A path such as `s3://bucket/logs/*.gz` begins with a *scheme*.
//! [`ContextBuilder::file_system`](crate::ContextBuilder::file_system) adds a [`FileSystem`] for a scheme. From then on,
//! each method of the context and of its bags that takes a path of text accepts paths with the scheme.
//!
//! ```
//! use std::fs::{self, File};
//! use std::io::{self, Seek, SeekFrom};
//! use std::ops::Range;
//! use std::path::{Path, PathBuf};
//!
//! use holdall::Context;
//! use holdall::files::{FileInfo, FileSystem, OpenedFile};
//! use serde::{Deserialize, Serialize};
//!
//! /// The files of one directory, by their names.
//! #[derive(Serialize, Deserialize)]
//! struct Archive {
//!     directory: PathBuf,
//! }
//!
//! impl FileSystem for Archive {
//!     fn list(&self, prefix: &str) -> io::Result<Vec<FileInfo>> {
//!         let mut files = Vec::new();
//!         for entry in fs::read_dir(&self.directory)? {
//!             let entry = entry?;
//!             let name = entry.file_name().to_string_lossy().into_owned();
//!             if name.starts_with(prefix) {
//!                 files.push(FileInfo::new(name, entry.metadata()?.len()));
//!             }
//!         }
//!         Ok(files)
//!     }
//!
//!     fn open(&self, path: &str, range: Range<u64>) -> io::Result<OpenedFile> {
//!         let mut file = File::open(self.directory.join(path))?;
//!         file.seek(SeekFrom::Start(range.start))?;
//!         Ok(OpenedFile::new(file))
//!     }
//! }
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let directory = dir.path().to_owned();
//! fs::write(directory.join("a.log"), "one\ntwo\n")?;
//! fs::write(directory.join("b.log"), "three\n")?;
//! let context = Context::builder().file_system("archive", Archive { directory }).build()?;
//! assert_eq!(context.read_text("archive://*.log")?.collect()?, ["one", "two", "three"]);
//! # Ok::<(), holdall::Error>(())
//! ```
//!
//! # Paths
//!
//! A path belongs to a file system if it begins with a letter, any number of letters, digits, `+`, `-` and `.`, and
//! `://`. All other paths are local; in particular, a local directory `a:` is read by `a:/b` or `./a:/b`. The scheme
//! `file` stands for local files: `file:///data/x` is the path `/data/x`. Schemes are compared without regard to case.
//! A file system receives the part after the `://` unchanged: nothing in it is decoded. It must be UTF-8.
//!
//! Directories and patterns have the same meaning as [on the local file system](crate::IntoInputs). A store that has
//! keys and no directories counts as having a directory for each part of a key that ends at a `/`.
//!
//! # Writing
//!
//! [`write_text`](crate::Bag::write_text) calls [`begin`](FileSystem::begin) in the process that runs the action, and
//! [`create`](FileSystem::create) in each task. At the end, [`PendingOutput::commit`] receives the files of the attempts
//! that count:
//!
//! ```text
//!   begin ─> PendingOutput ─token─> in each task:  create ─> PendingFile ─> write, … ─> finish ─> token ─┐
//!                  │                                                      all tokens, in order           │
//!                  └──────────────────────────> commit, or drop to abort <───────────────────────────────┘
//! ```
//!
//! The package `holdall-test-extensions` in holdall's repository contains a file system that writes.
//!
//! # Formats
//!
//! A format of another crate, which implements [`Source`](crate::Source) and [`Sink`](crate::Sink), reads and writes files
//! of every file system, too. [`Context::find_files`](crate::Context::find_files) returns an [`InputFile`] for each file,
//! and [`Context::begin_output`](crate::Context::begin_output) a [`NewOutput`]. For a single file, use
//! [`Context::create_file`](crate::Context::create_file).
//!
//! # Worker processes
//!
//! The settings of a file system are sent to [worker processes](crate#worker-processes) by serde, like the state of
//! [`with`](crate::Bag::with), with each stage that reads from it. Only what serde writes is sent. For a connection or a
//! cache, implement serde for the settings alone, by `#[serde(from = "…", into = "…")]`.

mod any;
pub(crate) mod archive;
mod buffered_file;
mod directory;
mod encoder;
mod failure;
mod file;
mod file_reader;
mod file_system;
mod file_systems;
mod input_file;
mod inputs;
mod local;
mod name_pattern;
mod new_file;
mod new_output;
mod output;
mod path;
mod pattern;
mod range_reader;
mod read_ahead;
mod remote_reader;
mod retry;
mod shuffle_directory;
mod shuffle_files;
mod state;
mod walk;

pub(crate) use any::AnyFileSystem;
pub(crate) use buffered_file::attempt_name;
pub(crate) use directory::InputDirectory;
pub use encoder::Compression;
pub(crate) use failure::{ReadFailure, changed, read_error};
pub use file::{FileInfo, OpenedFile};
pub(crate) use file_reader::FileReader;
pub use file_system::FileSystem;
pub use file_systems::register;
pub(crate) use file_systems::{FileSystems, invalid_scheme, is_valid_scheme};
pub(crate) use input_file::Listed;
pub use input_file::{InputFile, InputReader};
pub use inputs::IntoInputs;
pub(crate) use inputs::discover;
pub use local::LocalFiles;
pub use new_file::NewFile;
pub use new_output::{FinishedFile, NewOutput, OutputFile, OutputWriter};
pub(crate) use new_output::{part_digits, part_name};
pub use output::{OutputOptions, PendingFile, PendingOutput, Token};
pub(crate) use path::{check_local, local_path};
pub use pattern::PathPattern;
pub(crate) use remote_reader::RemoteReader;
pub use shuffle_directory::ShuffleDirectory;
pub(crate) use shuffle_files::ShuffleFiles;
pub(crate) use state::FileState;
