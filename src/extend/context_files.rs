//! Files of a context, for formats of other crates.

use std::path::Path;

use crate::context::Context;
use crate::error::{PlaceError as _, Result};
use crate::files::{InputFile, IntoInputs, NewFile, NewOutput, OutputOptions, discover};
use crate::task::Site;

impl Context {
    /// Returns the files that `inputs` name: local ones, and those of the [file systems](crate#file-systems) of the
    /// context.
    ///
    /// For a [`Source`](crate::Source) that reads a format. [`InputFile`] has an example, and tells how a file is read.
    /// The paths and patterns are those of [`read_text`](Context::read_text), and so is the order of the files. Pipes and
    /// devices are found, but cannot be opened.
    ///
    /// # Errors
    ///
    /// Returns [`NoInput`](crate::ErrorKind::NoInput) if a path, directory or pattern stands for no file,
    /// [`InvalidPattern`](crate::ErrorKind::InvalidPattern) if a pattern is invalid,
    /// [`UnknownScheme`](crate::ErrorKind::UnknownScheme) if a path begins with an unknown scheme, and
    /// [`Io`](crate::ErrorKind::Io) if a directory cannot be read.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// std::fs::write("a.bin", [1; 10])?;
    /// std::fs::write("b.bin", [2; 20])?;
    /// let files = holdall::Context::default().find_files("*.bin")?;
    /// let found: Vec<_> = files.iter().map(|file| (file.path().to_str().unwrap(), file.bytes())).collect();
    /// assert_eq!(found, [("a.bin", 10), ("b.bin", 20)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn find_files(&self, inputs: impl IntoInputs) -> Result<Vec<InputFile>> {
        self.find_files_at(Site::new("find_files"), inputs)
    }

    pub(crate) fn find_files_at(
        &self,
        site: Site,
        inputs: impl IntoInputs,
    ) -> Result<Vec<InputFile>> {
        discover(&inputs.into_inputs(), &self.file_systems()).at(site)
    }

    /// Begins an output: a directory of files at `path`, which appears whole or not at all, on the
    /// [file system](crate#file-systems) of the path.
    ///
    /// For a [`Sink`](crate::Sink) that writes a format. [`NewOutput`] has an example. By default, nothing is replaced, and
    /// the output is on disk when it is [committed](NewOutput::commit).
    ///
    /// # Errors
    ///
    /// Returns [`OutputExists`](crate::ErrorKind::OutputExists) or [`NotAnOutput`](crate::ErrorKind::NotAnOutput) if
    /// something exists at `path` that may not be replaced, [`UnknownScheme`](crate::ErrorKind::UnknownScheme) if it
    /// begins with an unknown scheme, and [`Io`](crate::ErrorKind::Io) if the file system fails.
    #[track_caller]
    pub fn begin_output(
        &self,
        path: impl AsRef<Path>,
        options: &OutputOptions,
    ) -> Result<NewOutput> {
        NewOutput::begin(&self.file_systems(), path.as_ref(), options).at_caller()
    }

    /// Creates a single file at `path`, which appears with its whole content or not at all, on the
    /// [file system](crate#file-systems) of the path.
    ///
    /// Missing parent directories are created. With [`overwrite`](OutputOptions::overwrite), the file replaces another
    /// file or a link in one step, but no directory.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`begin_output`](Context::begin_output).
    ///
    /// # Examples
    ///
    /// The lines of a bag in one file:
    ///
    /// ```
    /// use holdall::Context;
    /// use holdall::files::OutputOptions;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let path = dir.path().join("squares.txt");
    /// let context = Context::default();
    /// let mut file = context.create_file(&path, &OutputOptions::default())?;
    /// context.range(0..4).map(|n| n * n).write_to(&mut file)?;
    /// assert!(!path.exists());
    /// file.commit()?;
    /// assert_eq!(std::fs::read_to_string(&path)?, "0\n1\n4\n9\n");
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn create_file(&self, path: impl AsRef<Path>, options: &OutputOptions) -> Result<NewFile> {
        NewFile::create(&self.file_systems(), path.as_ref(), options).at_caller()
    }
}
