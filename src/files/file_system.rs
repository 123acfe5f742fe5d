//! `FileSystem`: a place for files, which a program or another crate defines.

use std::io;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::file::{FileInfo, OpenedFile};
use super::output::{OutputOptions, PendingFile, PendingOutput, Token};
use super::pattern::PathPattern;

/// A place for files: an object store, a server, an archive.
///
/// The value contains the settings by which it finds and reads files. They are sent to worker processes; see the
/// [module](super), which also has an example.
///
/// Reading needs [`list`](Self::list) and [`open`](Self::open). Writing also needs [`begin`](Self::begin),
/// [`create`](Self::create) and [`remove`](Self::remove).
///
/// Methods are called from any thread, also concurrently.
pub trait FileSystem: Serialize + Deserialize<'static> + Send + Sync + 'static {
    /// Returns all files whose paths begin with `prefix`, in any order.
    ///
    /// The prefix can end anywhere in a name: `logs/2024-` lists `logs/2024-01.gz` and `logs/2024-02/a.gz`. If no path
    /// begins with it, returns an empty list.
    ///
    /// # Errors
    ///
    /// Returns an error if the files cannot be listed. If the error is [transient](Self::is_transient), the call is
    /// repeated.
    fn list(&self, prefix: &str) -> io::Result<Vec<FileInfo>>;

    /// Returns the files that a path, a directory or a pattern stands for, in any order.
    ///
    /// By default, selects them from what [`list`](Self::list) returns, by a [`PathPattern`]. Implement this method if
    /// the file system has a cheaper way, for example if it can list one directory without those below.
    ///
    /// # Errors
    ///
    /// Returns an error if the pattern is invalid, or if the files cannot be listed.
    fn find(&self, path: &str) -> io::Result<Vec<FileInfo>> {
        let pattern = PathPattern::new(path);
        pattern.select(self.list(pattern.prefix())?)
    }

    /// Opens a file for reading from the byte `range.start` on.
    ///
    /// The reader is expected to be read up to `range.end`, which is at most the size of the file. It may end there, or
    /// return more bytes. If it ends earlier, or with a [transient](Self::is_transient) error, the file is opened again
    /// at the byte that was reached.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened. If the error is transient, the call is repeated.
    fn open(&self, path: &str, range: Range<u64>) -> io::Result<OpenedFile>;

    /// Begins an output: files in the directory `path`, which appear together once the output is committed. Called in the
    /// process that runs the action.
    ///
    /// holdall has checked what is at `path`, and [removes](Self::remove) old files after the commit. The method need
    /// not do so, even if [`overwrite`](OutputOptions::overwrite) is set.
    ///
    /// # Errors
    ///
    /// Returns an error if the output cannot be created. By default, always does: the file system is read-only.
    fn begin(&self, path: &str, options: &OutputOptions) -> io::Result<Box<dyn PendingOutput>> {
        let _ = (path, options);
        Err(read_only())
    }

    /// Creates a file of an output. Called in tasks, with the token of the [`PendingOutput`].
    ///
    /// The same file may be created several times, also concurrently and in different processes: a task is tried again
    /// if its worker process is lost. `attempt` differs each time, and consists of digits and `-`.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be created. By default, always does.
    fn create(
        &self,
        output: &Token,
        name: &str,
        attempt: &str,
    ) -> io::Result<Box<dyn PendingFile>> {
        let _ = (output, name, attempt);
        Err(read_only())
    }

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be removed. That it does not exist,
    /// [`NotFound`](io::ErrorKind::NotFound), counts as success. By default, always returns an error.
    fn remove(&self, path: &str) -> io::Result<()> {
        let _ = path;
        Err(read_only())
    }

    /// Returns whether a failed call may succeed if it is repeated.
    ///
    /// A call that finds, opens, reads or removes a file is repeated up to five times if it fails in this way: first
    /// immediately, then after pauses of 0.1 to 0.8 seconds. Any progress of a reader resets the count. Calls that begin,
    /// create, write or commit are not repeated.
    ///
    /// By default, lost and refused connections, timeouts, and files that end too early
    /// ([`UnexpectedEof`](io::ErrorKind::UnexpectedEof)) are transient.
    fn is_transient(&self, error: &io::Error) -> bool {
        use io::ErrorKind as Kind;
        matches!(
            error.kind(),
            Kind::BrokenPipe
                | Kind::ConnectionAborted
                | Kind::ConnectionRefused
                | Kind::ConnectionReset
                | Kind::HostUnreachable
                | Kind::Interrupted
                | Kind::NetworkDown
                | Kind::NetworkUnreachable
                | Kind::NotConnected
                | Kind::TimedOut
                | Kind::UnexpectedEof
                | Kind::WouldBlock
        )
    }

    /// Returns the number of bytes that are read ahead of each task. Default: 0.
    ///
    /// If it is not 0, a task reads a file by a thread of its own, which reads on while the task computes. Use it if
    /// reading waits for a network. The bytes are kept in memory that does not count towards the memory budget. The
    /// thread ends with the task.
    fn read_ahead_bytes(&self) -> usize {
        0
    }
}

fn read_only() -> io::Error {
    let reason = "the file system is read-only";
    io::Error::new(io::ErrorKind::Unsupported, reason)
}
