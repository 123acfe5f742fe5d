//! `write_text_by_key`: a directory of text for each key.

use std::fmt::Display;
use std::marker::PhantomData;
use std::path::Path;

use super::output::Sink;
use super::{Bag, TextWriter, WriteLine, Written};
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::files::NewOutput;
use crate::operators::actions::{FilesOfKeys, WriteByKey};
use crate::operators::group_by_key::Group;
use crate::pipeline::{Data, Pipeline};

impl<K: Data + Eq, V: Data, P: Pipeline<Out = (K, V)>> Bag<(K, V), P> {
    /// Writes the values of each key as lines of text, into a directory that is named after the key. Wide: values are
    /// grouped by key in a shuffle. Runs a job.
    ///
    /// `path` becomes a directory with a directory for each key, such as `visits/2024-05-01`. It has one file, whose lines
    /// are the values in the order of the bag. Values are written as by [`write_text`](Bag::write_text). Like its output,
    /// all directories appear together, once everything is written, or not at all.
    ///
    /// The name of a directory is the key as `Display` formats it. The characters `/`, `\`, `%`, control characters, and a
    /// `.` or `_` at the start are replaced by `%` and two hexadecimal digits for each byte. An empty key becomes `%`. Keys
    /// that are displayed in the same way share a directory.
    ///
    /// To compress the files or to give them a header, use a [`TextWriter`].
    ///
    /// Returns the number of records and bytes, and the files, in the order of [`group_by_key`](Bag::group_by_key).
    ///
    /// # Errors
    ///
    /// Returns [`OutputExists`](crate::ErrorKind::OutputExists) if `path` exists and is not an empty directory,
    /// [`Io`](crate::ErrorKind::Io) if a file cannot be written, for example because the name of a directory would be too
    /// long, or the same errors as [`collect`](Bag::collect).
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// let path = dir.path().join("numbers");
    /// let parity = |n: &u32| if n % 2 == 0 { "even" } else { "odd" };
    /// let written = holdall::range(1..6_u32).key_by(parity).write_text_by_key(&path)?;
    /// assert_eq!((written.records, written.files.len()), (5, 2));
    /// assert_eq!(holdall::read_text(path.join("odd"))?.collect()?, ["1", "3", "5"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn write_text_by_key<Form>(&self, path: impl AsRef<Path>) -> Result<Written>
    where
        K: Display,
        V: WriteLine<Form, Owned = V>,
        Form: 'static,
    {
        TextWriter::new().write_by_key(self, path)
    }
}

impl TextWriter {
    /// Writes the values of each key as lines of text, into a directory that is named after the key. Runs a job. See
    /// [`Bag::write_text_by_key`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Bag::write_text_by_key`], and [`InvalidSetting`](crate::ErrorKind::InvalidSetting) with
    /// [`overwrite`](Self::overwrite), [`append`](Self::append) or [`single_file`](Self::single_file).
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::{Compression, TextWriter};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("visits");
    /// let visits = holdall::from_vec(vec![("ada", 3), ("grace", 5), ("ada", 2)]);
    /// let writer = TextWriter::new().compression(Compression::Gzip).header("pages");
    /// writer.write_by_key(&visits, &path)?;
    /// assert_eq!(holdall::read_text(path.join("ada"))?.collect()?, ["pages", "3", "2"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn write_by_key<K, V, P, Form>(
        &self,
        bag: &Bag<(K, V), P>,
        path: impl AsRef<Path>,
    ) -> Result<Written>
    where
        K: Data + Eq + Display,
        V: Data + WriteLine<Form, Owned = V>,
        P: Pipeline<Out = (K, V)>,
        Form: 'static,
    {
        let refused = [
            ("overwrite", self.output.overwrite),
            ("append", self.output.append),
            ("single_file", self.is_single_file),
        ];
        if let Some((setting, _)) = refused.into_iter().find(|(_, is_set)| *is_set) {
            return Err(Error::new(ErrorKind::InvalidSetting {
                setting,
                value: "true".to_owned(),
                expected: "`false` for a directory per key",
            }));
        }
        let sink = KeySink {
            output: bag.context.begin_output(path, &self.output)?,
            header: self.header.clone(),
            types: PhantomData,
        };
        bag.clone().group_by_key().write(sink)
    }
}

/// A directory with a directory for each key. Dropping it deletes what has been written.
struct KeySink<K, V, Form> {
    output: NewOutput,
    header: Option<String>,
    types: PhantomData<fn(K, V) -> Form>,
}

impl<K, V, Form> Sink<Group<K, V>> for KeySink<K, V, Form>
where
    K: Data + Display,
    V: Data + WriteLine<Form, Owned = V>,
    Form: 'static,
{
    type Writer = WriteByKey<K, V, Form>;
    type Output = Written;

    fn begin(&mut self, partitions: Option<usize>) -> Result<WriteByKey<K, V, Form>, BoxError> {
        Ok(WriteByKey {
            output: self.output.writer("", partitions)?,
            header: self.header.clone(),
            partitions: partitions.unwrap_or(1),
            types: PhantomData,
        })
    }

    fn commit(self, parts: Vec<FilesOfKeys>) -> Result<Written, BoxError> {
        Ok(Written::commit(
            self.output,
            parts.into_iter().flatten().collect(),
        )?)
    }

    fn name(&self) -> &'static str {
        "write_text_by_key"
    }
}
