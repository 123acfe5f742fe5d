//! Writing of formats: a directory with a file for each partition.

use std::marker::PhantomData;

use super::{Sink, Written};
use crate::error::{BoxError, Result};
use crate::files::{FinishedFile, NewOutput, attempt_name};
pub use crate::operators::actions::RecordFormat;
use crate::operators::actions::WriteFormat;
use crate::pipeline::Record;

/// A [`Sink`] that writes a directory with a file for each partition, in a [`RecordFormat`]. It returns a [`Written`].
///
/// A bag without partitions results in one file without records.
///
/// # Examples
///
/// Texts with their lengths before them:
///
/// ```
/// use std::io::Write;
///
/// use holdall::files::{OutputFile, OutputOptions};
/// use holdall::{BoxError, Context, FormatSink, RecordFormat};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Prefixed;
///
/// impl RecordFormat<String> for Prefixed {
///     type Open = OutputFile;
///
///     fn open(&self, file: OutputFile) -> Result<OutputFile, BoxError> {
///         Ok(file)
///     }
///
///     fn write(&self, file: &mut OutputFile, text: &String) -> Result<(), BoxError> {
///         file.write_all(&u32::try_from(text.len())?.to_le_bytes())?;
///         Ok(file.write_all(text.as_bytes())?)
///     }
///
///     fn finish(&self, file: OutputFile) -> Result<OutputFile, BoxError> {
///         Ok(file)
///     }
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// let path = dir.path().join("texts");
/// let output = Context::default().begin_output(&path, &OutputOptions::default())?;
/// let texts = holdall::from_vec_partitioned(vec!["a".to_owned(), "bag".to_owned()], 1);
/// let written = texts.write(FormatSink::new(output, Prefixed).name("write_prefixed").extension("txt"))?;
/// assert_eq!((written.records, written.bytes), (2, 12));
/// assert_eq!(written.files, [path.join("part-00000.txt")]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "pass it to `Bag::write`"]
pub struct FormatSink<F> {
    output: NewOutput,
    format: F,
    name: &'static str,
    extension: &'static str,
}

impl<F> FormatSink<F> {
    /// Creates a sink for an output that [`Context::begin_output`](crate::Context::begin_output) has begun.
    pub fn new(output: NewOutput, format: F) -> Self {
        Self {
            output,
            format,
            name: "write",
            extension: "",
        }
    }

    /// Sets the name of the method that runs the action, for errors and [events](crate::events). Default: `write`.
    pub fn name(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Sets the extension of the files: letters and digits, such as `csv`. Default: none.
    pub fn extension(mut self, extension: &'static str) -> Self {
        self.extension = extension;
        self
    }
}

impl<T: Record + ?Sized, F: RecordFormat<T> + Clone> Sink<T> for FormatSink<F> {
    type Writer = WriteFormat<T, F>;
    type Output = Written;

    fn begin(&mut self, partitions: Option<usize>) -> Result<WriteFormat<T, F>, BoxError> {
        Ok(WriteFormat {
            output: self.output.writer(self.extension, partitions)?,
            format: self.format.clone(),
            records: PhantomData,
        })
    }

    fn commit(self, mut parts: Vec<(FinishedFile, u64)>) -> Result<Written, BoxError> {
        if parts.is_empty() {
            let writer = self.output.writer(self.extension, Some(0))?;
            let open = self.format.open(writer.create(0, &attempt_name())?)?;
            parts.push((self.format.finish(open)?.finish()?, 0));
        }
        Ok(Written::commit(self.output, parts)?)
    }

    fn name(&self) -> &'static str {
        self.name
    }
}
