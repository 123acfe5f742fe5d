//! Whether and how this program can be started again as a worker, and what `init` does in one.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use memchr::memmem;

use super::worker;
use crate::error::{Error, ErrorKind, Result};

/// Set in workers, and in what they start: the number of the worker, and what makes its marks.
const VARIABLE: &str = "HOLDALL_WORKER";

/// This program, also when its file has been replaced or removed.
const PROGRAM: &str = "/proc/self/exe";

/// Whether `init` was called in this process.
static IS_CALLED: AtomicBool = AtomicBool::new(false);

/// See [`holdall::init`](crate::init).
pub(in crate::executor) fn init() {
    IS_CALLED.store(true, Ordering::SeqCst);
    let Some((number, token)) = identity() else {
        return;
    };
    // What a worker starts has the variable too, but another standard input.
    if let Ok(Some(channel)) = take_channel() {
        worker::work(number, &mark(&token), channel);
    }
}

/// Who this worker is, if it is one.
fn identity() -> Option<(usize, String)> {
    let value = env::var(VARIABLE).ok()?;
    let (number, token) = value.split_once(':')?;
    Some((number.parse().ok()?, token.to_owned()))
}

/// Moves the channel that standard input is to where no closure of the program can take it for its input.
fn take_channel() -> io::Result<Option<UnixStream>> {
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    if !stdin.metadata()?.file_type().is_socket() {
        return Ok(None);
    }
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(Some(UnixStream::from(std::os::fd::OwnedFd::from(stdin))))
}

/// The line that a worker prints for the driver to know how far its output has come.
pub(super) fn mark(token: &str) -> String {
    format!("[holdall {token}]")
}

/// The command that starts worker `number`.
pub(super) fn command(number: usize, token: &str, channel: UnixStream) -> Command {
    let mut command = Command::new(PROGRAM);
    let test = test_name();
    // For a `main` that begins with `init` these mean nothing.
    let in_module = |module: &str| format!("{module}::{test}");
    command.args([&*test, &*in_module("tests"), &*in_module("common")]);
    command.args(["--exact", "--nocapture", "--test-threads", "1"]);
    command
        .arg0(format!("holdall-worker-{number}"))
        .env(VARIABLE, format!("{number}:{token}"))
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(channel)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for the driver, which may mean to go on.
        .process_group(0);
    command
}

/// Refuses to start workers where they would not become workers.
pub(super) fn check() -> Result<()> {
    if env::var_os(VARIABLE).is_some() {
        let reason = "this process is a worker, or was started by one".to_owned();
        return Err(Error::new(ErrorKind::WorkerStart { reason }));
    }
    if IS_CALLED.load(Ordering::SeqCst) || is_test() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::NoInit))
}

/// Whether this is a test program with the test that calls `init`.
fn is_test() -> bool {
    static IS_TEST: OnceLock<bool> = OnceLock::new();
    *IS_TEST.get_or_init(|| {
        File::open(PROGRAM)
            .is_ok_and(|file| contains(file, test_name().as_bytes()).unwrap_or(false))
    })
}

/// The name of the test that calls `init`. It is put together here, since the program would contain it otherwise.
fn test_name() -> String {
    "rekrow_lladloh".chars().rev().collect()
}

fn contains(mut file: impl Read, name: &[u8]) -> io::Result<bool> {
    let mut buffer = vec![0; 1 << 20];
    let mut kept = 0;
    loop {
        let length = match file.read(&mut buffer[kept..]) {
            Ok(0) => return Ok(false),
            Ok(length) => kept + length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if memmem::find(&buffer[..length], name).is_some() {
            return Ok(true);
        }
        // It may lie across two pieces.
        kept = length.min(name.len() - 1);
        buffer.copy_within(length - kept..length, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_wherever_it_lies() {
        let size = 1 << 20;
        for at in [0, 5, size - 4, size, 2 * size - 3, 3 * size - 4] {
            let mut bytes = vec![b'-'; 3 * size];
            bytes[at..at + 4].copy_from_slice(b"name");
            assert!(contains(&bytes[..], b"name").unwrap(), "at {at}");
            assert!(!contains(&bytes[..], b"names").unwrap(), "at {at}");
        }
    }
}
