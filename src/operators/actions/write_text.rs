//! `write_text`: writes a file for each partition.

use std::any::Any;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Result;
use crate::pipeline::{Action, Pipeline, Record};
use crate::portable::portable;
use crate::storage::file::{self, Uninterrupted};
use crate::task::{Partition, Site, Task};

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

/// Writes the records of each partition to a file, which gets its final name when it is complete. A partition may be
/// attempted several times, even in several processes at the same time.
pub(crate) struct WriteText<Form> {
    pub(crate) site: Site,
    /// Final directory of the files.
    pub(crate) directory: PathBuf,
    /// Directory of the files while they are written.
    pub(crate) attempts: PathBuf,
    /// Number of digits in the names of the files.
    pub(crate) digits: usize,
    /// Whether the output will be synchronised with the disk.
    pub(crate) is_durable: bool,
    pub(crate) form: PhantomData<fn() -> Form>,
}

portable! {
    [Form] WriteText<Form> {
        site: part, directory: path, attempts: path, digits: data, is_durable: data, form: part,
    }
}

impl<Form> WriteText<Form> {
    /// Returns the name of the file of a partition.
    pub(crate) fn name(&self, partition: usize) -> String {
        let digits = self.digits;
        format!("part-{partition:0digits$}")
    }

    /// Returns the path of the file of a partition.
    pub(crate) fn path(&self, partition: usize) -> PathBuf {
        self.directory.join(self.name(partition))
    }

    /// Returns a path that no other attempt uses.
    fn attempt(&self) -> PathBuf {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.attempts
            .join(format!("{}-{number}", std::process::id()))
    }
}

/// A writer that counts bytes.
struct Counted<W> {
    output: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl<T: WriteLine<Form> + ?Sized, Form: 'static> Action<T> for WriteText<Form> {
    /// Number of records, and of bytes.
    type Part = (u64, u64);

    fn site(&self) -> Site {
        self.site
    }

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<(u64, u64)>
    where
        P: Pipeline<Out = T>,
    {
        let path = self.attempt();
        let output = create(&path)?;
        let counted = Counted {
            output: Uninterrupted(&output),
            bytes: 0,
        };
        let mut text = BufWriter::with_capacity(BUFFER_BYTES, counted);
        let mut records = 0;
        let mut outcome = Ok(());
        let _ = pipeline.run(partition, task, &mut |record| {
            // `Display` may be user code.
            outcome = task.call(&self.site, || T::write_line(T::peek(&record), &mut text));
            if outcome.is_ok() {
                records += 1;
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        outcome
            .and_then(|()| text.flush())
            .map_err(|source| file::write_error("write", &path, 0, source))?;
        let written = (records, text.get_ref().bytes);
        if task.has_failed() || task.is_stopped() {
            return Ok(written);
        }
        if self.is_durable {
            file::start_writing(&output);
        }
        let named = self.path(task.partition());
        fs::rename(&path, &named)
            .map_err(|source| file::write_error("create", &named, 0, source))?;
        Ok(written)
    }

    sent_whole!(T);
}

pub(crate) fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|source| file::write_error("create", path, 0, source))
}
