//! The local file system as a `FileSystem`. Readers of text open local files without it.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::file::{FileInfo, OpenedFile};
use super::file_system::FileSystem;
use super::output::{OutputOptions, PendingFile, PendingOutput, Token};
use crate::error::{Result, plain};
use crate::storage::file::{self, Uninterrupted, is_missing};
use crate::storage::output::{Existing, Output, SingleFile, files_below};

/// The local file system, with absolute or relative paths that are UTF-8.
///
/// Paths without a scheme need no file system. Use this type to build another file system on it;
/// [`OpenedFile::map_reader`] has an example.
///
/// # Examples
///
/// ```
/// use holdall::Context;
/// use holdall::files::LocalFiles;
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("text");
/// std::fs::write(&path, "one\ntwo\n")?;
/// let context = Context::builder().file_system("local", LocalFiles).build()?;
/// assert_eq!(context.read_text(format!("local://{}", path.display()))?.count()?, 2);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalFiles;

impl FileSystem for LocalFiles {
    /// Follows links to files, but not links to directories.
    fn list(&self, prefix: &str) -> io::Result<Vec<FileInfo>> {
        let mut found = Vec::new();
        let mut directories = vec![prefix[..prefix.rfind('/').map_or(0, |at| at + 1)].to_owned()];
        while let Some(directory) = directories.pop() {
            let is_here = directory.is_empty();
            let entries = match fs::read_dir(if is_here { "." } else { &*directory }) {
                Err(error) if is_missing(&error) => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name().into_string();
                let path = name.map(|name| format!("{directory}{name}"));
                let Some(path) = path.ok().filter(|path| path.starts_with(prefix)) else {
                    continue;
                };
                if entry.file_type()?.is_dir() {
                    directories.push(path + "/");
                    continue;
                }
                match fs::metadata(&path) {
                    Ok(metadata) if metadata.is_file() => {
                        let file = FileInfo::new(path, metadata.len());
                        found.push(file.version(version_of(&metadata)));
                    }
                    Err(error) if !is_missing(&error) => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(found)
    }

    fn open(&self, path: &str, range: Range<u64>) -> io::Result<OpenedFile> {
        let mut file = File::open(path)?;
        let version = version_of(&file.metadata()?);
        file.seek(SeekFrom::Start(range.start))?;
        Ok(OpenedFile::new(file).version(version))
    }

    fn begin(&self, path: &str, options: &OutputOptions) -> io::Result<Box<dyn PendingOutput>> {
        let path = Path::new(path);
        Ok(begin(path, path, options)?)
    }

    fn create(
        &self,
        output: &Token,
        name: &str,
        attempt: &str,
    ) -> io::Result<Box<dyn PendingFile>> {
        let output: LocalOutput = output.get()?;
        let path = output.attempts.join(attempt);
        let file = File::create(&path);
        let file = file.map_err(|source| file::write_error("create", &path, 0, source))?;
        let named = output.parts.join(name);
        if let Some((directory, _)) = name.rsplit_once('/') {
            let directory = output.parts.join(directory);
            match fs::create_dir(&directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(file::write_error("create", &directory, 0, error).into());
                }
                _ => {}
            }
        }
        Ok(Box::new(LocalFile {
            file,
            path,
            name: name.to_owned(),
            named,
            is_durable: output.is_durable,
        }))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// Begins an output at a local path, which errors call `path`.
pub(super) fn begin(
    path: &Path,
    local: &Path,
    options: &OutputOptions,
) -> Result<Box<dyn PendingOutput>> {
    // Other files in the directory are not part of a single file.
    let existing = match options.append || options.single_file {
        true => Existing::Kept,
        false => Existing::replaced_if(options.overwrite),
    };
    let output = Output::create(path, local, existing, options.durable)?;
    Ok(Box::new(output))
}

/// Begins a file at a local path, which errors call `path`.
pub(super) fn begin_file(
    path: &Path,
    local: &Path,
    options: &OutputOptions,
) -> Result<(Box<dyn PendingOutput>, Box<dyn PendingFile>)> {
    let output = SingleFile::create(path, local, options.overwrite, options.durable)?;
    let file = LocalFile {
        file: output.open()?,
        path: output.unfinished(),
        name: String::new(),
        named: output.finished(),
        is_durable: options.durable,
    };
    Ok((Box::new(output), Box::new(file)))
}

impl PendingOutput for SingleFile {
    fn token(&self) -> io::Result<Token> {
        Token::new(&())
    }

    fn commit(self: Box<Self>, _: Vec<Token>) -> io::Result<()> {
        Ok(self.finish()?)
    }
}

/// Returns a version that another file with the same name does not have, nor the same file after it was written to.
fn version_of(metadata: &Metadata) -> String {
    #[cfg(unix)]
    let file = {
        use std::os::unix::fs::MetadataExt;
        (metadata.dev(), metadata.ino())
    };
    #[cfg(not(unix))]
    let file = ();
    format!("{file:?} {} {:?}", metadata.len(), metadata.modified().ok())
}

/// Settings with which a task creates files of a local output.
#[derive(Serialize, Deserialize)]
struct LocalOutput {
    /// Directory of complete files.
    #[serde(with = "plain")]
    parts: PathBuf,
    /// Directory of the files that are being written.
    #[serde(with = "plain")]
    attempts: PathBuf,
    is_durable: bool,
}

impl PendingOutput for Output {
    fn token(&self) -> io::Result<Token> {
        Token::new(&LocalOutput {
            parts: self.parts(),
            attempts: self.attempts().to_owned(),
            is_durable: self.is_durable(),
        })
    }

    /// All complete files are in the directory of the output, by their names. A task that has completed a file may have
    /// failed afterwards.
    fn commit(self: Box<Self>, files: Vec<Token>) -> io::Result<()> {
        let names = files.iter().map(Token::get);
        let names: HashSet<String> = names.collect::<io::Result<_>>()?;
        for name in files_below(&self.parts())? {
            if !name.to_str().is_some_and(|name| names.contains(name)) {
                let path = self.parts().join(&name);
                fs::remove_file(&path)?;
                if let Some(directory) = path.parent().filter(|_| name.iter().count() > 1) {
                    // Fails unless it is empty.
                    let _ = fs::remove_dir(directory);
                }
            }
        }
        Ok(self.finish()?)
    }
}

/// A file that gets its name when it is complete. The file of another attempt may have that name already.
struct LocalFile {
    file: File,
    path: PathBuf,
    /// Name in the output. There may be a directory before it.
    name: String,
    named: PathBuf,
    is_durable: bool,
}

impl Write for LocalFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = Uninterrupted(&self.file).write(bytes);
        written.map_err(|source| file::write_error("write", &self.path, 0, source).into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PendingFile for LocalFile {
    fn finish(self: Box<Self>) -> io::Result<Token> {
        if self.is_durable {
            file::start_writing(&self.file);
        }
        fs::rename(&self.path, &self.named)
            .map_err(|source| file::write_error("create", &self.named, 0, source))?;
        Token::new(&self.name)
    }
}
