//! Transfers scratch files between processes over Unix sockets. A home is the name of a socket in a directory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use holdall::executor::{FileTransfer, Home, ScratchDirectory};

/// Time after which a home that does not answer counts as lost.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Length of a request that has a file removed.
const REMOVE: u32 = u32::MAX;

/// Answers in place of a length.
const NOT_FOUND: u32 = u32::MAX;
const FAILED: u32 = u32::MAX - 1;

/// The files of other processes, as this process reaches them.
pub(crate) struct Sockets {
    directory: PathBuf,
    home: Home,
    connections: Mutex<HashMap<Home, UnixStream>>,
}

impl Sockets {
    /// Serves the files of this process at its home.
    pub(crate) fn serve(directory: &Path, home: Home) -> io::Result<Self> {
        let listener = UnixListener::bind(directory.join(home.name()))?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // The connection ends with an error when the other process closes it.
                thread::spawn(move || _ = answer(stream));
            }
        });
        Ok(Self {
            directory: directory.to_owned(),
            home,
            connections: Mutex::default(),
        })
    }

    /// Sends a request: offset, length and path. Fills the start of `buffer` with the answer.
    fn request(
        &self,
        home: &Home,
        path: &Path,
        offset: u64,
        length: u32,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        let known = self.connections.lock().expect("no panic").remove(home);
        let mut stream = match known {
            Some(stream) => stream,
            None => {
                let stream = UnixStream::connect(self.directory.join(home.name()))?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                stream.set_write_timeout(Some(TIMEOUT))?;
                stream
            }
        };
        let path = path.as_os_str().as_bytes();
        let mut request = offset.to_le_bytes().to_vec();
        request.extend(length.to_le_bytes());
        request.extend(
            u32::try_from(path.len())
                .expect("a short path")
                .to_le_bytes(),
        );
        request.extend(path);
        stream.write_all(&request)?;
        let answer = match number(&mut stream)? {
            NOT_FOUND => Err(io::ErrorKind::NotFound.into()),
            FAILED => Err(io::Error::other("the file cannot be read")),
            length => {
                stream.read_exact(&mut buffer[..length as usize])?;
                Ok(length as usize)
            }
        };
        let mut connections = self.connections.lock().expect("no panic");
        connections.insert(home.clone(), stream);
        answer
    }
}

fn number(stream: &mut UnixStream) -> io::Result<u32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

fn answer(mut stream: UnixStream) -> io::Result<()> {
    let mut open: Option<(PathBuf, File)> = None;
    loop {
        let mut offset = [0; 8];
        stream.read_exact(&mut offset)?;
        let offset = u64::from_le_bytes(offset);
        let length = number(&mut stream)?;
        let mut path = vec![0; number(&mut stream)? as usize];
        stream.read_exact(&mut path)?;
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(&path));
        let answer = if length == REMOVE {
            ScratchDirectory::remove(&path).map(|()| Vec::new())
        } else {
            open = open.filter(|(known, _)| *known == path);
            read(&path, offset, length, &mut open)
        };
        match answer {
            Ok(bytes) => {
                let length = u32::try_from(bytes.len()).expect("no longer than requested");
                stream.write_all(&length.to_le_bytes())?;
                stream.write_all(&bytes)?;
            }
            Err(error) => {
                let is_missing = error.kind() == io::ErrorKind::NotFound;
                let answer = if is_missing { NOT_FOUND } else { FAILED };
                stream.write_all(&answer.to_le_bytes())?;
            }
        }
    }
}

/// Reads a file, which stays open for the next request.
fn read(
    path: &Path,
    offset: u64,
    length: u32,
    open: &mut Option<(PathBuf, File)>,
) -> io::Result<Vec<u8>> {
    let (_, file) = match open {
        Some(open) => open,
        None => open.insert((path.to_owned(), ScratchDirectory::open(path)?)),
    };
    let mut bytes = vec![0; length.min(1 << 20) as usize];
    let count = file.read_at(&mut bytes, offset)?;
    bytes.truncate(count);
    Ok(bytes)
}

impl FileTransfer for Sockets {
    fn home(&self) -> &Home {
        &self.home
    }

    fn read(&self, home: &Home, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let length = u32::try_from(buffer.len().min(1 << 20)).expect("a short buffer");
        self.request(home, path, offset, length, buffer)
    }

    fn remove(&self, home: &Home, path: &Path) {
        // The home may be lost.
        let _ = self.request(home, path, 0, REMOVE, &mut []);
    }
}
