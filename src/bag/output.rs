//! Bags to files.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::Bag;
use crate::error::{Error, ErrorKind, Result};
use crate::operators::actions::{WriteText, create};
use crate::pipeline::{Pipeline, Record};
use crate::task::Site;

pub use crate::operators::actions::Line;

impl<T: Record + ?Sized, P: Pipeline<Out = T>> Bag<T, P> {
    /// Writes each record as a line of text, into a new directory. Runs a job.
    ///
    /// The directory has a file for each partition, `part-00000`, `part-00001` and so on; read in the order of their
    /// names, they give the records in order. Each line ends with `\n`; a record that has one in it becomes several
    /// lines. The directory appears whole, once everything is written, or not at all; it is made in the directory above
    /// it, under a hidden name.
    ///
    /// Records are written as `Display` writes them, which pairs cannot be: give them a form by
    /// [`map`](Bag::map), as in `map(|(word, count)| format!("{word}\t{count}"))`. A [`TextWriter`] can be told to
    /// replace what is there.
    ///
    /// # Errors
    ///
    /// [`OutputExists`](crate::ErrorKind::OutputExists) if there is something at `path`; [`Io`](crate::ErrorKind::Io)
    /// if a file cannot be written; or as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let path = dir.path().join("squares");
    /// holdall::range(0..1000).map(|n| n * n).write_text(&path)?;
    /// assert_eq!(holdall::read_text(&path)?.count()?, 1000);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn write_text(&self, path: impl AsRef<Path>) -> Result<()>
    where
        T: Line,
    {
        TextWriter::new().write(self, path)
    }
}

/// Writes text where the rules of [`write_text`](Bag::write_text) will not do.
///
/// # Examples
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("numbers");
/// holdall::range(0..10).write_text(&path)?;
/// holdall::TextWriter::new().overwrite(true).write(&holdall::range(0..3), &path)?;
/// assert_eq!(holdall::read_text(&path)?.collect()?, ["0", "1", "2"]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a writer does nothing until it is given a bag"]
pub struct TextWriter {
    overwrite: bool,
}

impl TextWriter {
    /// A writer with the rules of [`write_text`](Bag::write_text).
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("numbers");
    /// holdall::TextWriter::new().write(&holdall::range(0..3), &path)?;
    /// assert_eq!(holdall::read_text(&path)?.count()?, 3);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a file or directory that is there is replaced, once the new one is whole. It is not, unless set.
    ///
    /// A directory must be one that was written so, with nothing in it but files such as `part-00000`; anything else in it
    /// is [`NotAnOutput`](crate::ErrorKind::NotAnOutput), and nothing is touched.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("numbers");
    /// let writer = holdall::TextWriter::new().overwrite(true);
    /// writer.write(&holdall::range(0..9), &path)?;
    /// writer.write(&holdall::range(0..2), &path)?;
    /// assert_eq!(holdall::read_text(&path)?.count()?, 2);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Writes each record of `bag` as a line of text. Runs a job. See [`Bag::write_text`].
    ///
    /// # Errors
    ///
    /// As [`Bag::write_text`].
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("numbers");
    /// let writer = holdall::TextWriter::new();
    /// writer.write(&holdall::range(0..3), &path)?;
    /// let error = writer.write(&holdall::range(0..3), &path).unwrap_err();
    /// assert!(error.to_string().ends_with("exists already"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn write<T, P>(&self, bag: &Bag<T, P>, path: impl AsRef<Path>) -> Result<()>
    where
        T: Line + ?Sized,
        P: Pipeline<Out = T>,
    {
        let site = Site::new("write_text");
        let path = path.as_ref();
        self.refuse_existing(path)?;
        let unfinished = Unfinished::create(path)?;
        let write = WriteText {
            site,
            directory: unfinished.part("out")?,
            attempts: unfinished.part("attempts")?,
            // Names in order are partitions in order, which takes more digits where there may be any number of them.
            digits: match bag.pipeline.partitions() {
                Some(partitions) if partitions <= 100_000 => 5,
                _ => 10,
            },
        };
        let mut partitions = 0;
        bag.run(&write, |_, ()| {
            partitions += 1;
            ControlFlow::Continue(())
        })?;
        if partitions == 0 {
            // A directory without any file is not something that can be read.
            create(&write.path(0))?;
        }
        self.refuse_existing(path)?;
        unfinished.replace(&write.directory, path)
    }

    fn refuse_existing(&self, path: &Path) -> Result<()> {
        // A link that leads nowhere is something, too.
        if !self.overwrite && path.symlink_metadata().is_ok() {
            let path = path.to_owned();
            return Err(Error::new(ErrorKind::OutputExists { path }));
        }
        check_replaceable(path, path)
    }
}

/// Refuses a directory, which is known to the user as `path`, if anything but parts of an output is in it.
fn check_replaceable(directory: &Path, path: &Path) -> Result<()> {
    if !directory.symlink_metadata().is_ok_and(|what| what.is_dir()) {
        return Ok(());
    }
    let cannot_read = |source| Error::io("read", path, source);
    for entry in fs::read_dir(directory).map_err(cannot_read)? {
        let entry = entry.map_err(cannot_read)?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("part-"));
        let is_part = number.is_some_and(|number| {
            number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        if !(is_part && entry.file_type().map_err(cannot_read)?.is_file()) {
            return Err(Error::new(ErrorKind::NotAnOutput {
                path: path.to_owned(),
                found: path.join(name),
            }));
        }
    }
    Ok(())
}

/// A directory for what is not whole yet, which is removed in the end.
struct Unfinished {
    directory: tempfile::TempDir,
}

impl Unfinished {
    /// Beside `path`, so that it can be moved there in one step.
    fn create(path: &Path) -> Result<Self> {
        // If the directory above is not there yet, it is made when all is well.
        let is_there = |above: &&Path| !above.as_os_str().is_empty() && above.exists();
        let parent = path.ancestors().skip(1).find(is_there);
        let parent = parent.unwrap_or(Path::new("."));
        let directory = tempfile::Builder::new()
            .prefix(".holdall-")
            .tempdir_in(parent)
            .map_err(|source| Error::io("create", path, source))?;
        Ok(Self { directory })
    }

    /// A new directory in it, by a path that does not depend on where the process is. It is for those to see who may
    /// see what this process writes, since it is going to be the output.
    fn part(&self, name: &str) -> Result<PathBuf> {
        let part = self.directory.path().join(name);
        let created = fs::create_dir(&part).and_then(|()| std::path::absolute(&part));
        created.map_err(|source| Error::io("create", &part, source))
    }

    /// Moves `whole`, which is in it, to `path`.
    fn replace(&self, whole: &Path, path: &Path) -> Result<()> {
        let renamed = |source| Error::io("create", path, source);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|source| Error::io("create", parent, source))?;
        }
        if path.symlink_metadata().is_ok() {
            // Both moves are within one file system; what was there goes only when the new one is in its place.
            let old = Self::create(path)?;
            let aside = old.directory.path().join("old");
            fs::rename(path, &aside).map_err(renamed)?;
            // It may have been filled meanwhile.
            let replaced = check_replaceable(&aside, path)
                .and_then(|()| fs::rename(whole, path).map_err(renamed));
            if replaced.is_err() {
                fs::rename(&aside, path).map_err(renamed)?;
                return replaced;
            }
        } else {
            fs::rename(whole, path).map_err(renamed)?;
        }
        Ok(())
    }
}
