//! Calls back at an instant. One thread waits for all timers of the process, as long as there are any.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::error::{Error, ErrorKind, Result, caught};
use crate::storage::process_number;

type Callback = Box<dyn FnOnce() + Send>;

/// The timers, by time and number, so that the next one is the first.
static TIMERS: Mutex<Timers> = Mutex::new(Timers {
    callbacks: BTreeMap::new(),
    last: 0,
    runs_in: None,
});

/// Notified if another timer is the next, or if there are none.
static CHANGED: Condvar = Condvar::new();

struct Timers {
    callbacks: BTreeMap<(Instant, u64), Callback>,
    last: u64,
    /// The process in which the thread runs. A forked copy of the process does not have the thread.
    runs_in: Option<u64>,
}

/// A timer. Dropping it revokes the call, unless the call has begun.
#[derive(Debug)]
pub(super) struct Timer((Instant, u64));

impl Timer {
    /// Calls `callback` at `time`, on another thread. It must return at once.
    ///
    /// # Errors
    ///
    /// Returns an error if the thread cannot be started.
    pub(super) fn new(time: Instant, callback: impl FnOnce() + Send + 'static) -> Result<Self> {
        let mut timers = lock();
        let process = Some(process_number());
        if timers.runs_in != process {
            timers.callbacks.clear();
            let started = thread::Builder::new()
                .name("holdall-timer".to_owned())
                .spawn(wait);
            started.map_err(|source| Error::new(ErrorKind::Threads(source)))?;
            timers.runs_in = process;
        }
        timers.last += 1;
        let key = (time, timers.last);
        timers.callbacks.insert(key, Box::new(callback));
        CHANGED.notify_all();
        Ok(Self(key))
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let mut timers = lock();
        let callback = timers.callbacks.remove(&self.0);
        if timers.callbacks.is_empty() {
            CHANGED.notify_all();
        }
        drop(timers);
        drop(callback);
    }
}

/// Calls back until there are no timers.
fn wait() {
    let mut timers = lock();
    while let Some(next) = timers.callbacks.first_entry() {
        let (time, _) = *next.key();
        let left = time.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let callback = next.remove();
            drop(timers);
            // It may drop the last reference to a job, and with it values of the user, which may panic.
            let _ = caught(None, || {
                callback();
                Ok(())
            });
            timers = lock();
        } else {
            let waited = CHANGED.wait_timeout(timers, left);
            timers = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
    timers.runs_in = None;
}

/// No callback runs while the lock is held.
fn lock() -> MutexGuard<'static, Timers> {
    TIMERS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn timers_call_in_order_unless_they_are_dropped() {
        let (send, called) = mpsc::channel();
        let after = |millis, name| {
            let send = mpsc::Sender::clone(&send);
            let time = Instant::now() + Duration::from_millis(millis);
            Timer::new(time, move || send.send(name).unwrap()).unwrap()
        };
        let timers = [after(40, "last"), after(0, "first"), after(20, "second")];
        let revoked = after(30, "never");
        drop(revoked);
        drop(after(60_000, "later"));
        let order = [(); 3].map(|()| called.recv().unwrap());
        assert_eq!(order, ["first", "second", "last"]);
        drop(timers);
        drop(send);
        assert!(called.recv().is_err());
    }

    #[test]
    fn a_panic_keeps_no_other_timer_from_its_call() {
        let (send, called) = mpsc::channel();
        let now = Instant::now();
        let panics = Timer::new(now, || std::panic::resume_unwind(Box::new(()))).unwrap();
        let calls = Timer::new(now, move || send.send(()).unwrap()).unwrap();
        assert!(called.recv().is_ok());
        drop((panics, calls));
    }
}
