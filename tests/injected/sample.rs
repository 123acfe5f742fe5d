//! Selects the runs, and has the tests that perform them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use super::common::Files;
use super::faults::{Effect, Fault, Operation, Scope, Times};
use super::harness::{Outcome, Report, Run, Scene};
use super::program::{EXECUTORS, WORK};

/// Number of directories in which the program runs concurrently. Many runs only wait, for a worker or a time limit.
const PLACES: usize = 10;

/// Default number of runs for each operation of the program.
const RUNS: u64 = 20;

/// A random number generator with a fixed sequence for each seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Outcomes of the runs.
#[derive(Default)]
pub(crate) struct Tally {
    /// Number of right answers, of errors, and of runs in which no call failed, for each operation of the program and
    /// for each kind of call.
    runs: Mutex<[BTreeMap<&'static str, [u64; 3]>; 2]>,
    wrong: Mutex<Vec<String>>,
}

impl Tally {
    pub(crate) fn add(&self, run: &Run, report: &Report) {
        let index = match &report.outcome {
            Ok(_) if run.fault.is_some() && report.affected == 0 => 2,
            Ok(Outcome::Right) => 0,
            Ok(Outcome::Error) => 1,
            Err(reason) => {
                eprintln!("{run}: {reason}");
                return lock(&self.wrong).push(format!("{run}: {reason}"));
            }
        };
        let [works, calls] = &mut *lock(&self.runs);
        works.entry(run.work).or_default()[index] += 1;
        if let Some(fault) = run.fault {
            calls.entry(fault.operation.label()).or_default()[index] += 1;
        }
    }

    /// Prints the numbers of runs. Returns the number of right answers.
    ///
    /// # Panics
    ///
    /// Panics if a run was wrong.
    pub(crate) fn finish(self) -> u64 {
        let runs = lock(&self.runs);
        for (name, [right, errors, undisturbed]) in runs.iter().flatten() {
            eprintln!("{name}: {right} right answers, {errors} errors, {undisturbed} undisturbed");
        }
        let wrong = lock(&self.wrong);
        let number = wrong.len();
        assert!(
            number == 0,
            "{number} runs were wrong:\n{}",
            wrong.join("\n")
        );
        let [works, _] = &*runs;
        works.values().map(|[right, ..]| right).sum()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Assigns tasks in order to one thread per directory.
pub(crate) fn in_places<T: Send>(
    tasks: impl Iterator<Item = T> + Send,
    run: impl Fn(&Scene<'_>, T) + Sync,
) {
    let tasks = Mutex::new(tasks);
    let next = || lock(&tasks).next();
    thread::scope(|scope| {
        for _ in 0..PLACES {
            scope.spawn(|| {
                let files = Files::new();
                let scene = Scene::new(files.root());
                while let Some(task) = next() {
                    run(&scene, task);
                }
            });
        }
    });
}

pub(crate) fn undisturbed(work: &'static str, executor: &'static str) -> Run {
    Run {
        work,
        executor,
        limits: String::new(),
        user: None,
        fault: None,
    }
}

fn combinations() -> impl Iterator<Item = (&'static str, &'static str)> + Send {
    let works = WORK.iter().map(|(work, _)| *work);
    works.flat_map(|work| EXECUTORS.map(|executor| (work, executor)))
}

/// Returns the ways in which the calls of an operation can be affected.
fn ways(operation: Operation) -> Vec<(Effect, Times)> {
    let errors = operation.errors().iter().map(|error| Effect::Error(*error));
    let mut effects: Vec<_> = errors.collect();
    if operation.may_be_short() {
        effects.push(Effect::Short);
    }
    let each = effects.into_iter();
    let mut ways: Vec<_> = each
        .flat_map(|effect| [(effect, Times::Once), (effect, Times::Always)])
        .collect();
    if operation.is_interruptible() {
        let interrupted = Effect::Error(libc::EINTR);
        ways.extend([
            (interrupted, Times::Once),
            (interrupted, Times::Alternately),
        ]);
        // std repeats most other calls indefinitely.
        if matches!(operation, Operation::Send | Operation::Receive) {
            ways.push((interrupted, Times::Always));
        }
    }
    ways
}

#[test]
fn every_run_is_right_or_a_clean_error_and_leaves_nothing() {
    let setting = std::env::var("HOLDALL_FAULTS").ok();
    let tally = Tally::default();
    if setting.as_deref() == Some("all") {
        all(&tally);
    } else {
        let runs = setting.map_or(RUNS, |setting| setting.parse().expect("a number or `all`"));
        let seed = std::env::var("HOLDALL_FAULTS_SEED").ok();
        let seed = seed.map_or(1, |seed| seed.parse().expect("a number"));
        some(runs, seed, &tally);
    }
    tally.finish();
}

/// Makes each call fail in each way, until a run ends before the call is reached.
fn all(tally: &Tally) {
    let faults = |executor| {
        let operations = Operation::ALL.iter().copied();
        let ways = operations.flat_map(|operation| {
            let ways = ways(operation).into_iter();
            ways.map(move |(effect, times)| (operation, effect, times))
        });
        ways.flat_map(move |(operation, effect, times)| {
            let scopes = match (executor, times) {
                ("processes:2", Times::Always) => &[Scope::All, Scope::Driver, Scope::Workers][..],
                _ => &[Scope::All],
            };
            scopes.iter().map(move |scope| Fault {
                operation,
                effect,
                times,
                scope: *scope,
                first: 1,
            })
        })
    };
    let tasks = combinations().flat_map(|(work, executor)| {
        faults(executor).map(move |fault| (undisturbed(work, executor), fault))
    });
    in_places(tasks, |scene, (run, fault)| {
        // A fault that ends no run and begins early affects the later calls, too.
        let last = match (fault.effect, fault.times) {
            (Effect::Short, Times::Always) | (_, Times::Alternately) => 2,
            _ => u64::MAX,
        };
        for first in 1..=last {
            let fault = Some(Fault { first, ..fault });
            let run = Run {
                fault,
                ..run.clone()
            };
            let report = scene.run(&run);
            tally.add(&run, &report);
            if report.affected == 0 {
                break;
            }
        }
    });
}

/// Makes randomly chosen calls fail, in `runs` runs for each operation of the program.
fn some(runs: u64, seed: u64, tally: &Tally) {
    let counts = Mutex::new(BTreeMap::new());
    in_places(combinations(), |scene, (work, executor)| {
        let run = undisturbed(work, executor);
        let report = scene.run(&run);
        assert_eq!(report.outcome, Ok(Outcome::Right), "{run}");
        lock(&counts).insert((work, executor), report.counts);
    });
    let counts = counts.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let tasks = (0..runs * WORK.len() as u64).map(|number| {
        let (work, _) = WORK[number as usize % WORK.len()];
        let executor = random.pick(&EXECUTORS);
        let counts = &counts[&(work, executor)];
        let count = |operation: Operation| counts[operation as usize];
        let operations = Operation::ALL.iter().copied();
        let operations: Vec<_> = operations
            .filter(|operation| count(*operation) > 0)
            .collect();
        let operation = random.pick(&operations);
        let (effect, times) = random.pick(&ways(operation));
        let scope = match executor {
            "processes:2" => random.pick(&[Scope::All, Scope::All, Scope::Driver, Scope::Workers]),
            _ => Scope::All,
        };
        // Choose early calls more often: if the run ends early, it does not reach the late ones.
        let last = 1 + random.below(count(operation));
        let first = 1 + random.below(last);
        let fault = Fault {
            operation,
            effect,
            times,
            scope,
            first,
        };
        Run {
            fault: Some(fault),
            ..undisturbed(work, executor)
        }
    });
    in_places(tasks, |scene, run| tally.add(&run, &scene.run(&run)));
}

/// Runs `count` on worker processes while calls fail.
fn count_on_workers(operation: Operation, error: i32, times: Times, first: u64) -> Report {
    let files = Files::new();
    let fault = Fault {
        operation,
        effect: Effect::Error(error),
        times,
        scope: Scope::All,
        first,
    };
    let run = Run {
        fault: Some(fault),
        ..undisturbed("count", "processes:2")
    };
    Scene::new(files.root()).run(&run)
}

#[test]
fn one_worker_does_the_work_of_two_if_the_other_cannot_be_started() {
    for (first, outcome) in [(1, Outcome::Error), (2, Outcome::Right)] {
        let report = count_on_workers(Operation::Spawn, libc::EAGAIN, Times::Always, first);
        assert_eq!(report.outcome, Ok(outcome), "from start {first} on");
        assert!(report.affected > 0);
    }
}

#[test]
fn a_worker_is_ended_even_if_waiting_for_it_fails() {
    for (error, times) in [
        (libc::EINTR, Times::Alternately),
        (libc::ECHILD, Times::Always),
    ] {
        let report = count_on_workers(Operation::Wait, error, times, 1);
        assert!(report.outcome.is_ok(), "{:?}", report.outcome);
        assert!(report.affected > 0);
    }
}

#[test]
fn a_directory_goes_even_if_a_look_into_it_fails_once() {
    let files = Files::new();
    let scene = Scene::new(files.root());
    for error in [libc::EIO, libc::ENOENT] {
        for first in 20..40 {
            let fault = Fault {
                operation: Operation::Open,
                effect: Effect::Error(error),
                times: Times::Once,
                scope: Scope::All,
                first,
            };
            let run = Run {
                fault: Some(fault),
                ..undisturbed("overwrite", "inline")
            };
            let outcome = scene.run(&run).outcome;
            assert!(outcome.is_ok(), "{run}: {outcome:?}");
        }
    }
}
