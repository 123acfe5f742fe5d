//! However a job ends, nothing is left in the spill directory.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdall::{Bag, Context, ErrorKind};

use super::common::{Files, ON_PURPOSE, names_in, quiet_panics};
use super::{EXECUTORS, child, tight};

const TASKS: usize = 40;

/// Returns more pairs than seven threads can hold. The keys are long, and most of them are distinct.
fn many_pairs(context: &Context) -> Bag<(String, u64)> {
    let numbers = context.range_partitioned(0..4_000, TASKS);
    let key = |n| format!("{n}{}", "-".repeat(2_700));
    numbers.map(move |n| (key(n * 7 % 3_750), n)).boxed()
}

/// Tells a closure whether its job has files, and the test whether it has ever had any.
#[derive(Clone)]
struct Witness {
    directory: Arc<Path>,
    has_spilled: Arc<AtomicBool>,
}

impl Witness {
    fn new(files: &Files) -> Self {
        Self {
            directory: files.root().into(),
            has_spilled: Arc::default(),
        }
    }

    fn sees_files(&self) -> bool {
        let sees = names_in(&self.directory).len() == 1;
        self.has_spilled.fetch_or(sees, Ordering::Relaxed);
        sees
    }

    #[track_caller]
    fn saw_files_that_are_gone(&self) {
        assert!(self.has_spilled.load(Ordering::Relaxed), "it did not spill");
        assert_eq!(names_in(&self.directory), [""; 0]);
    }
}

/// Returns a keyed bag of each kind of shuffle.
fn shuffled(context: &Context) -> [Bag<(String, u64)>; 3] {
    [
        many_pairs(context).sum_by_key(),
        many_pairs(context).reduce_by_key(|a, _| a),
        many_pairs(context).repartition(30),
    ]
}

/// Runs `behaviour` with a bag of each kind of shuffle, on each executor. The directory must be empty afterwards.
fn leaves_nothing(behaviour: impl Fn(Bag<(String, u64)>, &Witness)) {
    quiet_panics();
    for (executor, _) in [EXECUTORS[0], EXECUTORS[2]] {
        let files = Files::new();
        let context = tight(executor, files.root()).build();
        for bag in shuffled(&context.expect("the settings are right")) {
            let witness = Witness::new(&files);
            behaviour(bag, &witness);
            witness.saw_files_that_are_gone();
        }
    }
}

#[test]
fn nothing_is_left_after_success() {
    leaves_nothing(|bag, witness| {
        let inside = witness.clone();
        let bag = bag.inspect(move |_| {
            inside.sees_files();
        });
        assert!(bag.count().unwrap() >= 3_750);
    });
}

#[test]
fn nothing_is_left_after_an_error_behind_the_shuffle() {
    leaves_nothing(|bag, witness| {
        let inside = witness.clone();
        let failing = bag.try_map(move |pair| {
            let is_late = inside.sees_files() && pair.1 % 300 == 299;
            if is_late { Err("enough") } else { Ok(pair) }
        });
        let error = failing.count().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Closure { .. }), "{error}");
    });
}

#[test]
fn nothing_is_left_after_an_error_before_the_shuffle() {
    for (executor, _) in EXECUTORS {
        let files = Files::new();
        let context = tight(executor, files.root()).build().unwrap();
        let witness = Witness::new(&files);
        let inside = witness.clone();
        let failing = many_pairs(&context).try_map(move |pair| {
            let is_late = pair.1 > 3_000 && inside.sees_files();
            if is_late { Err("enough") } else { Ok(pair) }
        });
        let error = failing.sum_by_key().count().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Closure { .. }), "{error}");
        witness.saw_files_that_are_gone();
    }
}

#[test]
fn nothing_is_left_after_a_panic() {
    leaves_nothing(|bag, witness| {
        let inside = witness.clone();
        let failing = bag.map(move |pair| {
            assert!(!inside.sees_files() || pair.1 % 300 != 299, "{ON_PURPOSE}");
            pair
        });
        let error = failing.count().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::TaskPanicked { .. }),
            "{error}"
        );
    });
}

#[test]
fn nothing_is_left_after_an_iterator_is_dropped() {
    leaves_nothing(|bag, witness| {
        let mut pairs = bag.iter().unwrap();
        assert!(pairs.next().is_some());
        assert!(witness.sees_files());
        drop(pairs);
    });
}

#[test]
fn nothing_is_left_after_an_iterator_has_ended() {
    leaves_nothing(|bag, witness| {
        let mut pairs = bag.iter().unwrap();
        assert!(pairs.next().is_some() && witness.sees_files());
        assert!(pairs.by_ref().all(|pair| pair.is_ok()));
    });
}

#[test]
fn nothing_is_left_after_a_few_are_taken() {
    leaves_nothing(|bag, witness| {
        let inside = witness.clone();
        let bag = bag.inspect(move |_| {
            inside.sees_files();
        });
        assert_eq!(bag.take(3).unwrap().len(), 3);
        assert!(bag.first().unwrap().is_some());
    });
}

/// Not a test of its own: a process that has spilled, and waits to be killed.
#[test]
fn child_spills() {
    let Some((directory, _)) = child::task() else {
        return;
    };
    #[cfg(unix)]
    child::heed_signals();
    let context = tight(EXECUTORS[2].0, &directory).build().unwrap();
    let is_first = AtomicBool::new(true);
    let waiting = many_pairs(&context).sum_by_key().inspect(move |_| {
        if is_first.swap(false, Ordering::Relaxed) {
            child::wait_for_the_end();
        }
    });
    let _ = waiting.count();
}

fn spilling_child(files: &Files) -> child::Child {
    child::Child::start("scratch::child_spills", files.root(), "")
}

#[test]
fn what_a_killed_process_has_left_is_swept_and_nothing_else() {
    let files = Files::new();
    let sweep = || drop(tight(EXECUTORS[0].0, files.root()).build().unwrap());
    let mut dead = spilling_child(&files);
    let of_dead = files.names();
    assert_eq!(of_dead.len(), 1);
    let living = spilling_child(&files);
    assert_eq!(files.names().len(), 2);
    sweep();
    assert_eq!(files.names().len(), 2, "both live");
    dead.send("KILL");
    dead.wait();
    assert_eq!(files.names().len(), 2);
    sweep();
    let left = files.names();
    assert!(left.len() == 1 && left != of_dead, "{left:?}");
    let of_living = names_in(&files.path(&left[0]));
    assert!(of_living.len() > 1, "its files are there: {of_living:?}");
    drop(living); // killed as well
    sweep();
    assert!(files.names().is_empty());
}

#[cfg(unix)]
#[test]
fn a_signal_takes_the_files_and_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;
    for (name, number) in [("INT", 2), ("TERM", 15)] {
        let files = Files::new();
        let mut child = spilling_child(&files);
        assert_eq!(files.names().len(), 1);
        child.send(name);
        assert_eq!(child.wait().signal(), Some(number));
        assert!(files.names().is_empty());
    }
}
