//! `write_text`: writes a file for each partition.

use std::any::Any;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
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
/// Implemented for every sized type that is `Display`, and for `str` and `[u8]`. A `[u8]` is written unchanged.
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
pub trait WriteLine: Record {
    /// Writes the line and a line break.
    #[doc(hidden)]
    fn write_line(record: Self::Peek<'_>, output: &mut impl Write) -> io::Result<()>;
}

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

/// Writes the records of each partition to a file, which gets its final name when it is complete. A partition may be
/// attempted several times, even in several processes at the same time.
pub(crate) struct WriteText {
    pub(crate) site: Site,
    /// Final directory of the files.
    pub(crate) directory: PathBuf,
    /// Directory of the files while they are written.
    pub(crate) attempts: PathBuf,
    /// Number of digits in the names of the files.
    pub(crate) digits: usize,
    /// Whether the output will be synchronised with the disk.
    pub(crate) is_durable: bool,
}

portable! {
    [] WriteText { site: part, directory: path, attempts: path, digits: data, is_durable: data }
}

impl WriteText {
    /// Returns the path of the file of a partition.
    pub(crate) fn path(&self, partition: usize) -> PathBuf {
        let digits = self.digits;
        self.directory.join(format!("part-{partition:0digits$}"))
    }

    /// Returns a path that no other attempt uses.
    fn attempt(&self) -> PathBuf {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.attempts
            .join(format!("{}-{number}", std::process::id()))
    }
}

impl<T: WriteLine + ?Sized> Action<T> for WriteText {
    type Part = ();

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<()>
    where
        P: Pipeline<Out = T>,
    {
        let path = self.attempt();
        let output = create(&path)?;
        let mut text = BufWriter::with_capacity(BUFFER_BYTES, Uninterrupted(&output));
        let mut outcome = Ok(());
        let _ = pipeline.run(partition, task, &mut |record| {
            // `Display` may be user code.
            outcome = task.call(&self.site, || T::write_line(T::peek(&record), &mut text));
            if outcome.is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        outcome
            .and_then(|()| text.flush())
            .map_err(|source| file::write_error("write", &path, 0, source))?;
        if task.has_failed() || task.is_stopped() {
            return Ok(());
        }
        if self.is_durable {
            file::start_writing(&output);
        }
        let named = self.path(task.partition());
        fs::rename(&path, &named).map_err(|source| file::write_error("create", &named, 0, source))
    }

    sent_whole!(T);
}

pub(crate) fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|source| file::write_error("create", path, 0, source))
}
