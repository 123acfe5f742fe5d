//! `write_text`: writes a file for each partition.

use std::any::Any;
use std::fmt::Display;
use std::io::{self, Write};
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::write::{Attempt, PartitionWriter};
use crate::error::{BoxError, Result};
use crate::files::{FinishedFile, OutputFile, OutputWriter};
use crate::pipeline::Record;

/// A record that [`write_text`](crate::Bag::write_text) can write as a line.
///
/// Implemented for every sized type that is `Display`, and for `str`, `[u8]` and `Vec<u8>`. Bytes are written
/// unchanged. Pairs are not `Display`; format them by [`map`](crate::Bag::map).
///
/// The compiler infers `Form`. In bounds, the default is right for all types except `Vec<u8>`.
///
/// ```compile_fail
/// holdall::range(0..3).map(|n| (n, n)).write_text("pairs")?; // `(i32, i32)` cannot be written as a line of text
/// # Ok::<(), holdall::Error>(())
/// ```
///
/// # Examples
///
/// ```
/// use std::fmt;
///
/// struct Count(&'static str, u64);
///
/// impl fmt::Display for Count {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         write!(f, "{}\t{}", self.0, self.1)
///     }
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("counts");
/// holdall::range(0..1).map(|n| Count("bags", n)).write_text(&path)?;
/// assert_eq!(holdall::read_text(&path)?.collect()?, ["bags\t0"]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written as a line of text",
    note = "bring records into a form by `map`, such as `map(|(key, value)| format!(\"{{key}}\\t{{value}}\"))`"
)]
pub trait WriteLine<Form = Displayed>: Record {
    /// Writes the line and a line break.
    #[doc(hidden)]
    fn write_line(record: Self::Peek<'_>, output: &mut impl Write) -> io::Result<()>;
}

/// The form of a line that `Display` writes, or that borrowed bytes are.
#[derive(Debug)]
pub struct Displayed;

/// The form of a line that consists of owned bytes. Without it, the implementation for `Vec<u8>` would overlap that for
/// `Display`, which the standard library may implement for `Vec<u8>` one day.
#[derive(Debug)]
pub struct OwnedBytes;

impl<T: Display + 'static> WriteLine for T {
    #[inline]
    fn write_line(record: &T, output: &mut impl Write) -> io::Result<()> {
        match (record as &dyn Any).downcast_ref::<String>() {
            // Formatting it takes several times as long.
            Some(text) => <[u8]>::write_line(text.as_bytes(), output),
            None => writeln!(output, "{record}"),
        }
    }
}

impl WriteLine for str {
    #[inline]
    fn write_line(record: &str, output: &mut impl Write) -> io::Result<()> {
        <[u8]>::write_line(record.as_bytes(), output)
    }
}

impl WriteLine for [u8] {
    #[inline]
    fn write_line(record: &[u8], output: &mut impl Write) -> io::Result<()> {
        output.write_all(record)?;
        output.write_all(b"\n")
    }
}

impl WriteLine<OwnedBytes> for Vec<u8> {
    #[inline]
    fn write_line(record: &Self, output: &mut impl Write) -> io::Result<()> {
        <[u8]>::write_line(record, output)
    }
}

/// Writes the lines of each partition to a file.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct WriteText<Form> {
    pub(crate) output: OutputWriter,
    /// First line of each file.
    pub(crate) header: Option<String>,
    pub(crate) form: PhantomData<fn() -> Form>,
}

impl<Form> WriteText<Form> {
    /// Creates the file of a partition, with its header.
    pub(crate) fn create(&self, partition: usize, attempt: &str) -> Result<OutputFile> {
        let mut file = self.output.create(partition, attempt)?;
        if let Some(header) = &self.header {
            str::write_line(header, &mut file)?;
        }
        Ok(file)
    }
}

impl<T: WriteLine<Form> + ?Sized, Form: 'static> PartitionWriter<T> for WriteText<Form> {
    /// The file, and the number of records in it.
    type Open = (OutputFile, u64);
    type Part = (FinishedFile, u64);

    fn open(&self, attempt: &Attempt) -> Result<(OutputFile, u64), BoxError> {
        Ok((self.create(attempt.partition(), attempt.name())?, 0))
    }

    #[inline]
    fn write(
        &self,
        (file, records): &mut (OutputFile, u64),
        record: T::Ref<'_>,
    ) -> Result<(), BoxError> {
        T::write_line(T::peek(&record), file)?;
        *records += 1;
        Ok(())
    }

    fn finish(&self, (file, records): (OutputFile, u64)) -> Result<(FinishedFile, u64), BoxError> {
        Ok((file.finish()?, records))
    }
}
