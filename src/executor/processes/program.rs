//! Checks whether this program can be started again as a worker, builds the command that starts it, and implements
//! `init`.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use memchr::memmem;

use super::driver::{self, PROGRAM, Summons};
use super::worker;
use crate::error::{Error, ErrorKind, Result};
use crate::executor::remote::WorkerHome;
use crate::storage::environment;
use crate::storage::file::uninterrupted;
use crate::task::is_in_task;

/// Whether `init` was called in this process.
static IS_CALLED: AtomicBool = AtomicBool::new(false);

/// Whether this process is a worker.
static IS_WORKER: AtomicBool = AtomicBool::new(false);

/// See [`holdall::init`](crate::init). In a worker, `home` returns the place for its files.
pub(in crate::executor) fn init(home: impl FnOnce() -> io::Result<Option<WorkerHome>>) {
    IS_CALLED.store(true, Ordering::SeqCst);
    let summons = match Summons::of_this_process() {
        Ok(Some(summons)) => summons,
        Ok(None) => return,
        Err(error) => worker::refuse(&error),
    };
    IS_WORKER.store(true, Ordering::SeqCst);
    match summons.accept().and_then(|channel| Ok((channel, home()?))) {
        Ok((channel, home)) => worker::work(summons.number(), summons.token(), channel, home),
        Err(error) => worker::refuse(&error),
    }
}

/// Returns the command that starts a worker for the other end of `channel`.
pub(super) fn command(summons: &Summons, channel: UnixStream) -> Command {
    let mut command = Command::new(PROGRAM);
    let test = test_name();
    // A `main` that begins with `init` ignores these arguments.
    let in_module = |module: &str| format!("{module}::{test}");
    command.args([&*test, &*in_module("tests"), &*in_module("common")]);
    command.args(["--exact", "--nocapture", "--test-threads", "1"]);
    command
        .arg0(format!("holdall-worker-{}", summons.number()))
        .env(driver::VARIABLE, summons.to_string())
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(channel)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for the driver, which may handle it and continue.
        .process_group(0);
    command
}

/// Returns an error if the processes that it starts would run `main` instead of becoming workers, and would start
/// workers themselves. In a closure, the error is the same as on every other executor.
pub(super) fn check() -> Result<()> {
    let refuse = |reason: &str| {
        let reason = reason.to_owned();
        Err(Error::new(ErrorKind::WorkerStart { reason }))
    };
    if is_in_task() {
        return Err(Error::new(ErrorKind::NestedJob));
    }
    if environment::is_privileged() {
        return refuse("this program has privileges that its caller lacks, as with set-user-id");
    }
    match Summons::of_this_process() {
        Ok(None) if !IS_WORKER.load(Ordering::SeqCst) => {}
        Ok(_) => {
            return refuse(
                "this process is a worker; run the action before the job, or in a context with threads",
            );
        }
        Err(error) => return refuse(&error.to_string()),
    }
    if IS_CALLED.load(Ordering::SeqCst) {
        return Ok(());
    }
    match is_test() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::new(ErrorKind::NoInit)),
        Err(error) => refuse(&format!("cannot read {PROGRAM}: {error}")),
    }
}

/// Returns whether this is a test program with the test that calls `init`.
fn is_test() -> io::Result<bool> {
    static IS_TEST: OnceLock<bool> = OnceLock::new();
    if let Some(is_test) = IS_TEST.get() {
        return Ok(*is_test);
    }
    let is_test = contains(File::open(PROGRAM)?, test_name().as_bytes())?;
    Ok(*IS_TEST.get_or_init(|| is_test))
}

/// Returns the name of the test that calls `init`. The name is assembled here, because the program must not contain it
/// otherwise.
fn test_name() -> String {
    "rekrow_lladloh".chars().rev().collect()
}

fn contains(mut file: impl Read, name: &[u8]) -> io::Result<bool> {
    let mut buffer = vec![0; 1 << 20];
    let mut kept = 0;
    loop {
        let length = match uninterrupted(|| file.read(&mut buffer[kept..]))? {
            0 => return Ok(false),
            length => kept + length,
        };
        if memmem::find(&buffer[..length], name).is_some() {
            return Ok(true);
        }
        // The name may extend across two reads.
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
