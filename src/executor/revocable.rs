//! Work that threads of a pool may begin for as long as its owner is there, and that is waited for only once begun.
//!
//! A scope of rayon waits for all that was spawned, begun or not. So a job that is started by a thread for which the
//! whole pool waits would wait for the pool in turn, and neither would ever go on: a closure that joins a thread with
//! an action in it does so, and `iter` on a thread of the pool. What is lent is taken back instead.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A share in the work. Once the owner has taken it back, there is nothing to do any more.
#[derive(Clone)]
pub(super) struct RevocableJob(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// `None` once it was taken back.
    work: Option<&'static (dyn Fn() + Sync)>,
    /// How many threads may work at once.
    most: usize,
    running: usize,
    has_begun: bool,
}

/// Lends `work` to whom `with` gives a [`RevocableJob`], `most` threads of them at once; returns when no thread works on it.
#[expect(
    unsafe_code,
    reason = "rayon has no scope that can be left while there are spawned jobs that have not begun"
)]
pub(super) fn run_revocable<R>(
    work: &(dyn Fn() + Sync),
    most: usize,
    with: impl FnOnce(&RevocableJob) -> R,
) -> R {
    // SAFETY: only the lifetime is another. The reference lies in `State::work`, from where `RevocableJob::work` copies it after
    // it has counted itself as running, under the same lock. `TakeBack`, which is dropped before this function returns
    // or unwinds, waits until nobody is running and empties `State::work` before it lets go of that lock. So nobody has
    // the reference, or uses it, once the borrow ends that it was made of.
    let work = unsafe { mem::transmute::<&(dyn Fn() + Sync), &'static (dyn Fn() + Sync)>(work) };
    let revocable = RevocableJob(Arc::new(Shared {
        state: Mutex::new(State {
            work: Some(work),
            most,
            running: 0,
            has_begun: false,
        }),
        changed: Condvar::new(),
    }));
    let _take_back = TakeBack(&revocable);
    with(&revocable)
}

impl RevocableJob {
    /// Works, unless it was taken back or enough others do.
    pub(super) fn work(&self) {
        let mut state = self.lock();
        let Some(work) = state.work.filter(|_| state.running < state.most) else {
            return;
        };
        state.running += 1;
        state.has_begun = true;
        drop(state);
        self.0.changed.notify_all();
        let _running = Running(self);
        work();
    }

    /// Waits until a thread begins, but no longer than this. Whether one has.
    pub(super) fn begins_within(&self, timeout: Duration) -> bool {
        let wait = self
            .0
            .changed
            .wait_timeout_while(self.lock(), timeout, |state| !state.has_begun);
        let (state, _) = wait.unwrap_or_else(PoisonError::into_inner);
        state.has_begun
    }

    /// The program's code never runs while it is locked.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that works; unwinding ends that, too.
struct Running<'l>(&'l RevocableJob);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.0.changed.notify_all();
    }
}

/// Dropped, it waits for those who have begun, and takes the work back.
struct TakeBack<'l>(&'l RevocableJob);

impl Drop for TakeBack<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        // As long as one works there may be something left for those who have not begun yet.
        while state.running > 0 {
            let changed = &self.0.0.changed;
            state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.work = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn what_was_taken_back_is_not_begun() {
        let calls = AtomicUsize::new(0);
        let count = || _ = calls.fetch_add(1, Ordering::SeqCst);
        let late = run_revocable(&count, 1, |revocable| {
            assert!(!revocable.begins_within(Duration::from_millis(1)));
            revocable.work();
            revocable.work();
            assert!(revocable.begins_within(Duration::ZERO));
            revocable.clone()
        });
        late.work();
        assert_eq!(calls.into_inner(), 2);
    }

    #[test]
    fn what_has_begun_is_waited_for() {
        let ended = AtomicUsize::new(0);
        let work = || {
            thread::sleep(Duration::from_millis(20));
            ended.fetch_add(1, Ordering::SeqCst);
        };
        run_revocable(&work, 2, |revocable| {
            for _ in 0..2 {
                let revocable = revocable.clone();
                thread::spawn(move || revocable.work());
            }
            assert!(revocable.begins_within(Duration::MAX));
        });
        let now = ended.load(Ordering::SeqCst);
        assert!(now >= 1);
        thread::sleep(Duration::from_millis(50));
        assert_eq!(ended.load(Ordering::SeqCst), now);
    }

    #[test]
    fn no_more_work_at_once_than_may() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(5));
            now.fetch_sub(1, Ordering::SeqCst);
        };
        run_revocable(&work, 2, |revocable| {
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| revocable.work());
                }
            });
        });
        assert!((1..=2).contains(&most.into_inner()));
    }

    #[test]
    fn a_panic_ends_the_loan() {
        let late = std::panic::catch_unwind(|| {
            run_revocable(&|| (), 1, |_| panic!("on purpose"));
        });
        assert!(late.is_err());
    }
}
