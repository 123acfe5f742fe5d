//! Work that the threads of a pool may begin until its owner revokes it. The owner waits only for threads that have
//! begun.
//!
//! A scope of rayon waits for everything that was spawned, even if it has not begun. Assume that the whole pool waits
//! for a thread, and that this thread starts a job in such a scope. It would wait for the pool, and neither would ever
//! continue. This happens if a closure joins a thread that runs an action, or with `iter` on a thread of the pool. The
//! owner of a revocable job instead revokes the work that has not begun.

use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Time that the owner works alone. A small job is done by then. If several threads ran its tasks, which take about a
/// microsecond each, they would mostly wait for each other's locks, and the job would take five times as long.
const HEAD_START: Duration = Duration::from_micros(50);

/// The work, which receives the handle that it was begun by.
type Work = dyn Fn(&RevocableJob) + Sync;

/// A handle to the work. It does nothing once the owner has revoked the work.
#[derive(Clone)]
pub(super) struct RevocableJob(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    start: Instant,
}

struct State {
    /// `None` once the work has been revoked.
    work: Option<&'static Work>,
    /// Maximum number of threads that work concurrently.
    most: usize,
    running: usize,
    has_begun: bool,
    /// Number of calls of [`RevocableJob::summon`].
    summons: usize,
}

/// Lends `work` to at most `most` threads at a time, by the [`RevocableJob`] that `with` receives. Returns when no
/// thread works on it any more.
#[expect(
    unsafe_code,
    reason = "rayon has no scope that can be left while there are spawned jobs that have not begun"
)]
pub(super) fn run_revocable<R>(
    work: &(dyn Fn(&RevocableJob) + Sync),
    most: usize,
    with: impl FnOnce(&RevocableJob) -> R,
) -> R {
    // SAFETY: the transmutation only extends the lifetime. The reference is stored in `State::work`.
    // `RevocableJob::work` copies it from there after it has counted itself as running, under the same lock. `TakeBack`
    // is dropped before this function returns or unwinds. It waits until no thread is running, and clears `State::work`
    // before it releases that lock. So no thread holds or uses the reference after the borrow of `work` has ended.
    let work = unsafe { mem::transmute::<&(dyn Fn(&RevocableJob) + Sync), &'static Work>(work) };
    let revocable = RevocableJob(Arc::new(Shared {
        state: Mutex::new(State {
            work: Some(work),
            most,
            running: 0,
            has_begun: false,
            summons: 0,
        }),
        changed: Condvar::new(),
        start: Instant::now(),
    }));
    let _take_back = TakeBack(&revocable);
    with(&revocable)
}

impl RevocableJob {
    /// Works, but not before the owner has had a head start.
    pub(super) fn help(&self) {
        thread::sleep(HEAD_START.saturating_sub(self.0.start.elapsed()));
        self.work();
    }

    /// Works, unless the work has been revoked or enough threads are working.
    pub(super) fn work(&self) {
        let mut state = self.lock();
        let Some(work) = state.work.filter(|_| state.running < state.most) else {
            return;
        };
        state.running += 1;
        state.has_begun = true;
        let mut seen = state.summons;
        drop(state);
        self.0.changed.notify_all();
        let running = Running(self);
        loop {
            work(self);
            // A summons counts a thread that is about to leave as present, so that thread works again.
            let mut state = self.lock();
            if state.summons == seen {
                state.running -= 1;
                break;
            }
            seen = state.summons;
        }
        mem::forget(running);
        self.0.changed.notify_all();
    }

    /// Works, and again after each summons, until no other thread works either.
    pub(super) fn work_to_the_end(&self) {
        let mut seen = self.lock().summons;
        loop {
            self.work();
            let mut state = self.lock();
            while state.running > 0 && state.summons == seen {
                let changed = &self.0.changed;
                state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.running == 0 {
                return;
            }
            seen = state.summons;
        }
    }

    /// Returns the number of threads that are missing from the work, for the caller to have them begin it again. Those
    /// that are leaving stay.
    pub(super) fn summon(&self) -> usize {
        let mut state = self.lock();
        state.summons += 1;
        let missing = state.most - state.running;
        drop(state);
        self.0.changed.notify_all();
        missing
    }

    /// Waits for at most `timeout` until a thread begins. Returns whether one has.
    pub(super) fn begins_within(&self, timeout: Duration) -> bool {
        let wait = self
            .0
            .changed
            .wait_timeout_while(self.lock(), timeout, |state| !state.has_begun);
        let (state, _) = wait.unwrap_or_else(PoisonError::into_inner);
        state.has_begun
    }

    /// No code of the user runs while the lock is held.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a thread as working until it is dropped, also by unwinding.
struct Running<'l>(&'l RevocableJob);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.0.changed.notify_all();
    }
}

/// When dropped, waits for the threads that have begun, and revokes the work.
struct TakeBack<'l>(&'l RevocableJob);

impl Drop for TakeBack<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        // While a thread works, some work may be left for threads that have not begun yet.
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
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_was_taken_back_is_not_begun() {
        let calls = AtomicUsize::new(0);
        let count = |_: &RevocableJob| _ = calls.fetch_add(1, Ordering::SeqCst);
        let late = run_revocable(&count, 1, |revocable| {
            assert!(!revocable.begins_within(Duration::from_millis(1)));
            revocable.work();
            revocable.help();
            assert!(revocable.begins_within(Duration::ZERO));
            revocable.clone()
        });
        late.work();
        assert_eq!(calls.into_inner(), 2);
    }

    #[test]
    fn what_has_begun_is_waited_for() {
        let ended = AtomicUsize::new(0);
        let work = |_: &RevocableJob| {
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
        let work = |_: &RevocableJob| {
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
    fn who_has_left_or_is_leaving_is_summoned() {
        let (calls, left) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |revocable: &RevocableJob| {
            match calls.fetch_add(1, Ordering::SeqCst) {
                // The other thread has not begun, and this one is present.
                0 => left.store(revocable.summon(), Ordering::SeqCst),
                // The thread that summoned works again.
                1 => assert_eq!(revocable.summon(), 1),
                _ => {}
            }
        };
        run_revocable(&work, 2, RevocableJob::work);
        assert_eq!((calls.into_inner(), left.into_inner()), (3, 1));
    }

    #[test]
    fn the_owner_works_again_while_others_work() {
        let (owner, calls) = (thread::current().id(), AtomicUsize::new(0));
        let (send, begun) = mpsc::channel();
        let begun = Mutex::new(begun);
        let has_summoned = AtomicUsize::new(0);
        let work = |revocable: &RevocableJob| {
            if thread::current().id() == owner {
                calls.fetch_add(1, Ordering::SeqCst);
                return;
            }
            if has_summoned.fetch_add(1, Ordering::SeqCst) > 0 {
                return;
            }
            send.send(()).unwrap();
            let before = calls.load(Ordering::SeqCst);
            revocable.summon();
            while calls.load(Ordering::SeqCst) == before {
                thread::yield_now();
            }
        };
        run_revocable(&work, 2, |revocable| {
            let other = revocable.clone();
            thread::spawn(move || other.work());
            begun.lock().unwrap().recv().unwrap();
            revocable.work_to_the_end();
        });
        assert!(calls.into_inner() >= 1);
    }

    #[test]
    fn a_panic_ends_the_loan() {
        let late = std::panic::catch_unwind(|| {
            run_revocable(&|_| (), 1, |_| panic!("on purpose"));
        });
        assert!(late.is_err());
    }
}
