//! Recognises that a process is a worker, and identifies its driver.
//!
//! A process inherits environment variables and standard input from the process that starts it, and passes them to the
//! processes that it starts. So neither of them makes a process a worker, nor do both together:
//!
//! 1. The variable names the socket that standard input must be. Processes that a worker starts have a different
//!    standard input, and do not inherit the variable either.
//! 2. The other end must belong to the process that started this one, with the same user and the same program.
//! 3. The first message from the other end must be the token that the variable contains.
//!
//! A process that meets condition 1 was started as a worker. If it does not meet 2 or 3, its driver has most likely
//! ended. It must not continue with `main`, so it exits.

use std::fmt::{self, Display, Formatter};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::{geteuid, getppid};

use super::channel::{Command, Received, Receiver};
use super::forget;
use super::token::DriverToken;
use crate::storage::environment;

/// This program, even if its file has been replaced or removed.
pub(super) const PROGRAM: &str = "/proc/self/exe";

/// The environment variable that names the socket and the token. A worker removes it when it accepts the summons.
pub(super) const VARIABLE: &str = "HOLDALL_WORKER";

/// Maximum time that a worker waits for the token: far longer than sending it takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The data that makes a process a worker: `NUMBER:SOCKET:TOKEN` in the variable.
#[derive(Debug)]
pub(super) struct Summons {
    number: usize,
    /// Inode number of the socket, which is unique among open sockets.
    socket: u64,
    token: DriverToken,
}

impl Summons {
    /// Creates a summons for worker `number`, to the other end of `channel`.
    pub(super) fn new(number: usize, channel: &UnixStream) -> io::Result<Self> {
        Ok(Self {
            number,
            socket: socket_number(channel)?.ok_or(io::ErrorKind::InvalidInput)?,
            token: DriverToken::new()?,
        })
    }

    /// Returns the summons of this process, if it has one.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot determine what standard input is. In this case, the process may be a
    /// worker, so it must not run `main`.
    pub(super) fn of_this_process() -> io::Result<Option<Self>> {
        let variable = environment::variable(VARIABLE);
        let summons = variable.and_then(|text| Self::parse(text.to_str()?));
        match summons {
            Some(summons) if socket_number(io::stdin())? == Some(summons.socket) => {
                Ok(Some(summons))
            }
            _ => Ok(None),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let mut next = || parts.next();
        Some(Self {
            number: next()?.parse().ok()?,
            socket: next()?.parse().ok()?,
            token: DriverToken::parse(next()?),
        })
    }

    /// Moves the channel from standard input to a descriptor that the user's closures cannot read from, and verifies
    /// the process at the other end.
    pub(super) fn accept(&self) -> io::Result<UnixStream> {
        let channel = io::stdin().as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        forget::forget_variable(VARIABLE);
        let peer = rustix::net::sockopt::socket_peercred(&channel)?;
        if Some(peer.pid) != getppid() || peer.uid != geteuid() {
            return Err(io::Error::other(
                "its driver has ended, or is another process",
            ));
        }
        let driver = fs::metadata(format!("/proc/{}/exe", peer.pid.as_raw_nonzero()))?;
        let program = fs::metadata(PROGRAM)?;
        if (driver.dev(), driver.ino()) != (program.dev(), program.ino()) {
            return Err(io::Error::other("its driver is another program"));
        }
        let channel = UnixStream::from(channel);
        let mut receiver = Receiver::new(channel.try_clone()?, Some(TIMEOUT))?;
        match receiver.receive()? {
            Received::Message(Command::Begin(token), _) if token == self.token => {}
            Received::Closed => return Err(io::Error::other("its driver has ended")),
            _ => return Err(io::Error::other("its driver did not say the token")),
        }
        Ok(channel)
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    pub(super) fn token(&self) -> &DriverToken {
        &self.token
    }
}

impl Display for Summons {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.number, self.socket, self.token)
    }
}

/// Returns the inode number of a socket, or `None` if `socket` is not one.
fn socket_number(socket: impl AsFd) -> io::Result<Option<u64>> {
    let found = rustix::fs::fstat(socket)?;
    let is_socket = rustix::fs::FileType::from_raw_mode(found.st_mode).is_socket();
    Ok(is_socket.then_some(found.st_ino))
}
