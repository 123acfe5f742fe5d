//! `write_text`: writes a file for each partition.

use std::any::Any;
use std::fmt::Display;
use std::io::{self, BufWriter, IntoInnerError, Write};
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::write::{Attempt, PartitionWriter};
use crate::error::{BoxError, Result};
use crate::files::{OutputWriter, PendingFile, Token};
use crate::pipeline::Record;
use crate::storage::file::Uninterrupted;

const BUFFER_BYTES: usize = 64 << 10;

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
    /// Number of digits in the names of the files.
    pub(crate) digits: usize,
    pub(crate) form: PhantomData<fn() -> Form>,
}

/// Returns the name of the file of a partition.
pub(crate) fn part_name(partition: usize, digits: usize) -> String {
    format!("part-{partition:0digits$}")
}

/// Returns the number of digits in the names of the files. The order of the names must be the order of the partitions.
/// If their number is unknown, that takes more digits.
pub(crate) fn part_digits(partitions: Option<usize>) -> usize {
    match partitions {
        Some(partitions) if partitions <= 100_000 => 5,
        _ => 10,
    }
}

/// A file of text that is being written.
pub(crate) struct TextFile {
    name: String,
    text: BufWriter<Counted>,
    records: u64,
}

/// A file that counts the bytes that are written to it.
struct Counted {
    file: Box<dyn PendingFile>,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = Uninterrupted(&mut *self.file).write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: WriteLine<Form> + ?Sized, Form: 'static> PartitionWriter<T> for WriteText<Form> {
    type Open = TextFile;
    /// Number of records, and of bytes, and the file.
    type Part = (u64, u64, Token);

    fn open(&self, attempt: &Attempt) -> Result<TextFile, BoxError> {
        let name = part_name(attempt.partition(), self.digits);
        let file = self.output.create(&name, attempt.name())?;
        Ok(TextFile {
            name,
            text: BufWriter::with_capacity(BUFFER_BYTES, Counted { file, bytes: 0 }),
            records: 0,
        })
    }

    #[inline]
    fn write(&self, open: &mut TextFile, record: T::Ref<'_>) -> Result<(), BoxError> {
        let written = T::write_line(T::peek(&record), &mut open.text);
        written.map_err(|source| self.output.failed(&open.name, source))?;
        open.records += 1;
        Ok(())
    }

    fn finish(&self, open: TextFile) -> Result<(u64, u64, Token), BoxError> {
        let TextFile {
            name,
            text,
            records,
        } = open;
        let failed = |source| self.output.failed(&name, source);
        let flushed = text.into_inner().map_err(IntoInnerError::into_error);
        let Counted { file, bytes } = flushed.map_err(failed)?;
        let token = file.finish().map_err(failed)?;
        Ok((records, bytes, token))
    }
}
