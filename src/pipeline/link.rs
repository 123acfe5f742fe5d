//! Links of a lineage, which are dropped in a loop, so that a lineage of any length can be dropped.

use std::any::Any;
use std::cell::RefCell;
use std::mem;
use std::ops::Deref;
use std::sync::Arc;

use super::stack;

type Anything = Arc<dyn Any + Send + Sync>;

/// Target of a [`Link`].
pub(crate) trait Linked: Send + Sync + 'static {
    fn into_any(self: Arc<Self>) -> Anything;
}

impl<T: Send + Sync + 'static> Linked for T {
    fn into_any(self: Arc<Self>) -> Anything {
        self
    }
}

/// An `Arc` to an earlier part of a lineage.
///
/// Dropping an `Arc` drops its target within the same call, and so on recursively: a chain of 100,000 operators would
/// need more stack than a thread has. A link instead leaves its target to a loop in the outermost drop on this thread.
pub(crate) struct Link<T: ?Sized + Linked>(Option<Arc<T>>);

impl<T: ?Sized + Linked> Link<T> {
    pub(crate) fn new(target: Arc<T>) -> Self {
        Self(Some(target))
    }
}

impl<T: ?Sized + Linked> Clone for Link<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: ?Sized + Linked> Deref for Link<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        match &self.0 {
            Some(target) => target,
            None => unreachable!("only dropping a link takes its target"),
        }
    }
}

impl<T: ?Sized + Linked> Drop for Link<T> {
    fn drop(&mut self) {
        if let Some(target) = self.0.take() {
            drop_in_turn(target.into_any());
        }
    }
}

/// Targets that wait to be dropped on this thread.
#[derive(Default)]
struct Waiting {
    targets: Vec<Anything>,
    /// `true` while a drop further up the stack drains the targets.
    is_draining: bool,
}

thread_local! {
    static WAITING: RefCell<Waiting> = RefCell::default();
}

fn drop_in_turn(target: Anything) {
    let mut target = Some(target);
    let is_first = WAITING.try_with(|waiting| {
        let mut waiting = waiting.borrow_mut();
        waiting.targets.extend(target.take());
        !mem::replace(&mut waiting.is_draining, true)
    });
    match is_first {
        Ok(true) => drain(),
        Ok(false) => {}
        // The thread is ending and no longer has a queue.
        Err(_) => stack::grown(|| drop(target)),
    }
}

fn drain() {
    /// Ends the loop even if a target panics. The next link that this thread drops then drops the remaining targets.
    struct Draining;
    impl Drop for Draining {
        fn drop(&mut self) {
            WAITING.with_borrow_mut(|waiting| waiting.is_draining = false);
        }
    }
    let _draining = Draining;
    while let Some(target) = WAITING.with_borrow_mut(|waiting| waiting.targets.pop()) {
        drop(target);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    struct Ring {
        _next: Option<Link<Ring>>,
        panics: bool,
        dropped: Arc<AtomicUsize>,
    }

    impl Drop for Ring {
        fn drop(&mut self) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            assert!(!self.panics, "on purpose");
        }
    }

    fn chain(length: usize, panics: bool, dropped: &Arc<AtomicUsize>) -> Option<Link<Ring>> {
        (0..length).fold(None, |next, index| {
            Some(Link::new(Arc::new(Ring {
                _next: next,
                panics: panics && index == length / 2,
                dropped: Arc::clone(dropped),
            })))
        })
    }

    const SMALL_STACK: usize = 64 << 10;

    #[test]
    fn a_chain_of_any_length_is_dropped_on_a_small_stack() {
        let dropped = Arc::default();
        let long = chain(100_000, false, &dropped);
        let thread = thread::Builder::new().stack_size(SMALL_STACK);
        thread.spawn(|| drop(long)).unwrap().join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 100_000);
    }

    #[test]
    fn a_chain_is_dropped_when_its_thread_ends() {
        thread_local! {
            static KEPT: RefCell<Option<Link<Ring>>> = const { RefCell::new(None) };
        }
        let dropped = Arc::default();
        let long = chain(10_000, false, &dropped);
        let thread = thread::Builder::new().stack_size(SMALL_STACK);
        let keep = move || KEPT.set(long);
        thread.spawn(keep).unwrap().join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 10_000);
    }

    #[test]
    fn a_target_that_panics_does_not_keep_the_others() {
        let dropped = Arc::default();
        let bad = chain(100, true, &dropped);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(bad))).is_err());
        drop(chain(1, false, &dropped));
        assert_eq!(dropped.load(Ordering::Relaxed), 101);
    }
}
