//! Scratch files of other machines: a client that reads and removes them, and the server.
//!
//! ```text
//!  request: u8: what to do │ u64: offset │ u32: bytes │ u32: length of the path │ path
//!  answer:  u8: outcome    │ u32: length │ bytes of the file, or a text
//! ```

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use holdall::executor::{FileTransfer, Home, ScratchDirectory};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::message::{Hello, address_of};
use crate::net::{BlockingDuplex, Stream, connect_blocking};
use crate::tls::Security;

/// Maximum number of bytes in an answer.
const MAX_BYTES: usize = 1 << 20;

/// Maximum length of a path, in bytes.
const MAX_PATH_BYTES: usize = 64 << 10;

/// Requests.
const READ: u8 = 0;
const REMOVE: u8 = 1;

/// Outcomes.
const DONE: u8 = 0;
const NOT_FOUND: u8 = 1;
const FAILED: u8 = 2;

type Connection = Box<dyn BlockingDuplex>;

/// Access of this process to the files of other machines.
pub(crate) struct FileClient {
    home: Home,
    security: Security,
    /// Maximum time of a call that waits for another machine.
    patience: Duration,
    /// Connections that no thread uses.
    connections: Mutex<HashMap<Home, Vec<Connection>>>,
    /// Files to remove, for the thread that does so. It is started with the first.
    removals: Mutex<Option<mpsc::Sender<(Home, PathBuf)>>>,
}

impl FileClient {
    /// Creates the access for a process with files at `home`.
    pub(crate) fn new(home: Home, security: Security, patience: Duration) -> Self {
        Self {
            home,
            security,
            patience,
            connections: Mutex::default(),
            removals: Mutex::default(),
        }
    }

    /// Sends a request for `buffer.len()` bytes, and fills the start of `buffer` with the answer.
    fn request(
        &self,
        what: u8,
        home: &Home,
        path: &Path,
        offset: u64,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let known = lock(&self.connections).get_mut(home).and_then(Vec::pop);
        let mut connection = match known {
            Some(connection) => connection,
            None => self.connect(home)?,
        };
        let length = buffer.len().min(MAX_BYTES);
        let path = path.as_os_str().as_bytes();
        let mut request = vec![what];
        request.extend(offset.to_le_bytes());
        request.extend((length as u32).to_le_bytes());
        request.extend((path.len() as u32).to_le_bytes());
        request.extend(path);
        connection.write_all(&request)?;
        connection.flush()?;
        let mut head = [0; 5];
        connection.read_exact(&mut head)?;
        let [outcome, length @ ..] = head;
        let length = u32::from_le_bytes(length) as usize;
        let answer = if outcome == DONE {
            let buffer = buffer.get_mut(..length);
            let buffer = buffer.ok_or_else(|| io::Error::other("the answer is too long"))?;
            connection.read_exact(buffer)?;
            Ok(length)
        } else {
            let mut text = vec![0; length.min(MAX_BYTES)];
            connection.read_exact(&mut text)?;
            let text = String::from_utf8_lossy(&text).into_owned();
            let kind = if outcome == NOT_FOUND {
                io::ErrorKind::NotFound
            } else {
                io::ErrorKind::Other
            };
            Err(io::Error::new(kind, text))
        };
        let mut connections = lock(&self.connections);
        connections
            .entry(home.clone())
            .or_default()
            .push(connection);
        answer
    }

    fn connect(&self, home: &Home) -> io::Result<Connection> {
        let hello = Hello::Files {
            home: home.name().to_owned(),
        };
        connect_blocking(address_of(home), &self.security, &hello, self.patience)
    }

    /// Starts the thread that removes files, with connections of its own.
    fn start_removals(&self) -> io::Result<mpsc::Sender<(Home, PathBuf)>> {
        let (send, files) = mpsc::channel::<(Home, PathBuf)>();
        let client = Self::new(self.home.clone(), self.security.clone(), self.patience);
        let remove = move || {
            let mut lost: Option<Home> = None;
            for (home, path) in files {
                // Files of a lost machine are many, and each would take the whole time limit.
                if lost.as_ref() == Some(&home) {
                    continue;
                }
                let outcome = client.request(REMOVE, &home, &path, 0, &mut []);
                let is_lost = outcome.is_err_and(|error| error.kind() != io::ErrorKind::NotFound);
                if is_lost {
                    lost = Some(home);
                }
            }
        };
        thread::Builder::new()
            .name("holdall-removals".to_owned())
            .spawn(remove)?;
        Ok(send)
    }
}

impl FileTransfer for FileClient {
    fn home(&self) -> &Home {
        &self.home
    }

    fn read(&self, home: &Home, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.request(READ, home, path, offset, buffer)
    }

    fn remove(&self, home: &Home, path: &Path) {
        let mut removals = lock(&self.removals);
        if removals.is_none() {
            // Without a thread, the files are removed with their directory.
            *removals = self.start_removals().ok();
        }
        if let Some(removals) = &*removals {
            let _ = removals.send((home.clone(), path.to_owned()));
        }
    }
}

/// Serves requests for the scratch files of this process until the connection is closed. If `directory` is set, serves
/// only files in it.
///
/// # Errors
///
/// Returns an error when the connection is closed.
pub(crate) async fn serve(mut stream: Stream, directory: Option<&Path>) -> io::Result<()> {
    let mut open: Option<(PathBuf, File)> = None;
    let mut buffer = vec![0; MAX_BYTES];
    loop {
        let what = stream.read_u8().await?;
        let offset = stream.read_u64_le().await?;
        let length = (stream.read_u32_le().await? as usize).min(MAX_BYTES);
        let path_length = stream.read_u32_le().await? as usize;
        if path_length > MAX_PATH_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut path = vec![0; path_length];
        stream.read_exact(&mut path).await?;
        let path = Path::new(OsStr::from_bytes(&path));
        let is_allowed = directory.is_none_or(|directory| path.parent() == Some(directory));
        // The system may have to wait for the disk.
        let outcome = tokio::task::block_in_place(|| match what {
            _ if !is_allowed => Err(io::ErrorKind::NotFound.into()),
            READ => read(path, offset, &mut buffer[..length], &mut open),
            REMOVE => ScratchDirectory::remove(path).map(|()| 0),
            _ => Err(io::ErrorKind::InvalidData.into()),
        });
        let text;
        let (outcome, bytes) = match outcome {
            Ok(length) => (DONE, &buffer[..length]),
            Err(error) => {
                text = error.to_string();
                let is_missing = error.kind() == io::ErrorKind::NotFound;
                (if is_missing { NOT_FOUND } else { FAILED }, text.as_bytes())
            }
        };
        let [a, b, c, d] = (bytes.len() as u32).to_le_bytes();
        stream.write_all(&[outcome, a, b, c, d]).await?;
        stream.write_all(bytes).await?;
        stream.flush().await?;
    }
}

/// Reads from a file, which stays open for the next request.
fn read(
    path: &Path,
    offset: u64,
    buffer: &mut [u8],
    open: &mut Option<(PathBuf, File)>,
) -> io::Result<usize> {
    let file = match open {
        Some((known, file)) if known == path => file,
        _ => {
            let file = ScratchDirectory::open(path)?;
            &mut open.insert((path.to_owned(), file)).1
        }
    };
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A panic while a lock is held leaves these values consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
