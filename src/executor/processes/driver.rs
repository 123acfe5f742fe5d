//! How a process knows that it is a worker, and of which driver.
//!
//! Environment variables and standard input come from whoever starts a program, and are inherited by what it starts. So
//! neither alone makes a process a worker, nor do both:
//!
//! 1. The variable names the socket that standard input must be. What a worker starts has another standard input, and
//!    does not have the variable either.
//! 2. The other end must belong to the process that started this one, of the same user and the same program.
//! 3. What comes first from there must be the token, which is in the variable, too.
//!
//! A process of which 1 holds was meant to be a worker. If 2 or 3 does not hold, most likely because the driver has
//! ended meanwhile, it must not go on with `main`, and ends.

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

/// This program, also when its file has been replaced or removed.
pub(super) const PROGRAM: &str = "/proc/self/exe";

/// Set in a worker until it is one.
pub(super) const VARIABLE: &str = "HOLDALL_WORKER";

/// How long a worker waits for the token: far longer than it takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What makes a process a worker: `NUMBER:SOCKET:TOKEN` in the variable.
#[derive(Debug)]
pub(super) struct Summons {
    number: usize,
    /// The number that the system has given the socket. No other open socket has it.
    socket: u64,
    token: DriverToken,
}

impl Summons {
    /// A summons for worker `number`, to the other end of `channel`.
    pub(super) fn new(number: usize, channel: &UnixStream) -> io::Result<Self> {
        Ok(Self {
            number,
            socket: socket_number(channel)?.ok_or(io::ErrorKind::InvalidInput)?,
            token: DriverToken::new()?,
        })
    }

    /// That of this process, if it has one.
    ///
    /// # Errors
    ///
    /// If the system does not say what standard input is. This process may be a worker then, and must not run `main`.
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

    /// Takes the channel that standard input is to where no closure of the program can read from it, and makes sure who
    /// is at the other end.
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

/// The number of a socket; none if it is something else.
fn socket_number(socket: impl AsFd) -> io::Result<Option<u64>> {
    let found = rustix::fs::fstat(socket)?;
    let is_socket = rustix::fs::FileType::from_raw_mode(found.st_mode).is_socket();
    Ok(is_socket.then_some(found.st_ino))
}
