//! Which runs there are, and the tests that take them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::faults::{Effect, Fault, Operation, Scope, Times};
use super::harness::{Outcome, Place, Report, Run};
use super::program::{EXECUTORS, WORK};

/// How many places there are in which the program runs at the same time.
const PLACES: usize = 2;

/// The number of runs for each operation of the program, unless the environment says otherwise.
const RUNS: u64 = 40;

/// A fixed sequence for each seed.
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

/// What became of the runs of each operation of the program.
#[derive(Default)]
struct Tally {
    /// Right answers, errors and runs in which no call failed.
    runs: BTreeMap<&'static str, [u64; 3]>,
    wrong: Vec<String>,
}

impl Tally {
    fn add(&mut self, run: &Run, report: &Report) {
        let index = match &report.outcome {
            Ok(_) if report.affected == 0 => 2,
            Ok(Outcome::Right) => 0,
            Ok(Outcome::Error) => 1,
            Err(reason) => {
                eprintln!("{run}: {reason}");
                return self.wrong.push(format!("{run}: {reason}"));
            }
        };
        self.runs.entry(run.work).or_default()[index] += 1;
    }

    fn finish(self) {
        for (work, [right, errors, undisturbed]) in &self.runs {
            println!("{work}: {right} right answers, {errors} errors, {undisturbed} undisturbed");
        }
        let wrong = self.wrong.len();
        assert!(
            wrong == 0,
            "{wrong} runs were wrong:\n{}",
            self.wrong.join("\n")
        );
    }
}

/// Hands out tasks in order to a thread for each place.
fn in_places<T: Send>(tasks: impl Iterator<Item = T> + Send, run: impl Fn(&Place, T) + Sync) {
    let tasks = Mutex::new(tasks);
    let next = || tasks.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..PLACES {
            scope.spawn(|| {
                let place = Place::new();
                while let Some(task) = next() {
                    run(&place, task);
                }
            });
        }
    });
}

fn undisturbed(work: &'static str, executor: &'static str) -> Run {
    Run {
        work,
        executor,
        limits: String::new(),
        fault: None,
    }
}

fn combinations() -> impl Iterator<Item = (&'static str, &'static str)> + Send {
    let works = WORK.iter().map(|(work, _)| *work);
    works.flat_map(|work| EXECUTORS.map(|executor| (work, executor)))
}

/// In how many ways the calls of an operation may be affected.
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
        // For ever it would be no interruption.
        let interrupted = Effect::Error(libc::EINTR);
        ways.extend([
            (interrupted, Times::Once),
            (interrupted, Times::Alternately),
        ]);
    }
    ways
}

#[test]
fn every_run_is_right_or_a_clean_error_and_leaves_nothing() {
    let setting = std::env::var("HOLDALL_FAULTS").ok();
    let tally = Mutex::<Tally>::default();
    let add = |run: &Run, report: &Report| {
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.add(run, report);
    };
    if setting.as_deref() == Some("all") {
        all(&add);
    } else {
        let runs = setting.map_or(RUNS, |setting| setting.parse().expect("a number or `all`"));
        let seed = std::env::var("HOLDALL_FAULTS_SEED").ok();
        let seed = seed.map_or(1, |seed| seed.parse().expect("a number"));
        some(runs, seed, &add);
    }
    tally
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .finish();
}

/// Has each call fail in each way, until a run is over before its turn has come.
fn all(add: &(impl Fn(&Run, &Report) + Sync)) {
    let tasks = combinations().flat_map(|(work, executor)| {
        let operations = Operation::ALL.iter();
        operations.flat_map(move |operation| {
            ways(*operation)
                .into_iter()
                .flat_map(move |(effect, times)| {
                    let scopes = match (executor, times) {
                        ("processes:2", Times::Always) => {
                            &[Scope::All, Scope::Driver, Scope::Workers][..]
                        }
                        _ => &[Scope::All],
                    };
                    scopes
                        .iter()
                        .map(move |scope| (work, executor, *operation, effect, times, *scope))
                })
        })
    });
    in_places(
        tasks,
        |place, (work, executor, operation, effect, times, scope)| {
            for first in 1.. {
                let fault = Fault {
                    operation,
                    effect,
                    times,
                    scope,
                    first,
                };
                let run = Run {
                    fault: Some(fault),
                    ..undisturbed(work, executor)
                };
                let report = place.run(&run);
                add(&run, &report);
                if report.affected == 0 {
                    break;
                }
            }
        },
    );
}

/// Has calls fail that are chosen at random, in `runs` runs for each operation of the program.
fn some(runs: u64, seed: u64, add: &(impl Fn(&Run, &Report) + Sync)) {
    let counts = Mutex::new(BTreeMap::new());
    in_places(combinations(), |place, (work, executor)| {
        let run = undisturbed(work, executor);
        let report = place.run(&run);
        assert_eq!(report.outcome, Ok(Outcome::Right), "{run}");
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.insert((work, executor), report.counts);
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
        let first = 1 + random.below(count(operation));
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
    in_places(tasks, |place, run| add(&run, &place.run(&run)));
}
