//! Repeats calls of a file system that have failed with a transient error.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::any::AnyFileSystem;

/// Maximum number of attempts for a call, or for the next bytes of a file.
const MAX_ATTEMPTS: u32 = 6;

/// Pause before the third attempt. The second follows immediately, because a connection may have been lost that was not
/// used for long. Each further pause is twice as long as the one before it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Pauses after an attempt that failed. Returns `false` if no attempt may follow.
pub(super) fn pause(attempts: u32, stop: Option<&Receiver<()>>) -> bool {
    if attempts >= MAX_ATTEMPTS {
        return false;
    }
    let pause = match attempts {
        1 => return true,
        attempts => FIRST_PAUSE * 2_u32.pow(attempts - 2),
    };
    match stop {
        Some(stop) => stop.recv_timeout(pause) == Err(RecvTimeoutError::Timeout),
        None => {
            thread::sleep(pause);
            true
        }
    }
}

/// Calls `call` until it succeeds, fails with an error that is not transient, or has failed too often.
pub(super) fn retry<R>(
    file_system: &AnyFileSystem,
    mut call: impl FnMut() -> io::Result<R>,
) -> io::Result<R> {
    let mut attempts = 0;
    loop {
        let error = match call() {
            Ok(result) => return Ok(result),
            Err(error) => error,
        };
        attempts += 1;
        if !file_system.get().is_transient(&error) || !pause(attempts, None) {
            return Err(error);
        }
    }
}
