//! Stages of one job that do not depend on each other run at the same time, and no result shows it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use holdall::events::Event;
use holdall::executor::{RemoteExecutor, Stage, Tasks, Worker};
use holdall::{Bag, Context, ContextBuilder, Counter, ErrorKind, Executor, StorageLevel};

use crate::common::{Files, ON_PURPOSE, assert_empty, quiet_panics, settings, within_the_limit};

/// Time after which a task gives up waiting for another one. It only passes if a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

type Pairs = Bag<(u64, u64)>;

/// Records in a directory that `name` has begun.
fn note(root: &Path, name: &str) {
    File::create(root.join(name)).expect("room for a file");
}

/// Waits until `name` has begun, at most for `limit`. Returns whether it has.
fn wait_for(root: &Path, name: &str, limit: Duration) -> bool {
    let start = Instant::now();
    while !root.join(name).exists() {
        if start.elapsed() > limit {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

/// Records in a directory that `own` has begun, and waits until `other` has.
fn meet(root: &Path, own: &str, other: &str) -> bool {
    note(root, own);
    wait_for(root, other, PATIENCE)
}

/// Returns one partition of pairs, whose task waits until the task of `other` has begun.
fn meeting(context: &Context, root: &Path, own: &'static str, other: &'static str) -> Pairs {
    let numbers = context.range_partitioned(0..100, 1);
    let names = (root.to_owned(), own.to_owned(), other.to_owned());
    let pairs = numbers.with(names).map(|(root, own, other), n| {
        assert!(n > 0 || meet(root, own, other), "{own} is alone");
        (n % 10, n)
    });
    pairs.boxed()
}

/// Contexts that run at least two tasks at a time, with a spill directory.
fn parallel(spill: &Path) -> Vec<(&'static str, Context)> {
    let on = |executor| Context::builder().executor(executor);
    let mut builders = vec![
        ("threads:2", on(Executor::Threads(2))),
        ("threads:8", on(Executor::Threads(8))),
    ];
    if cfg!(target_os = "linux") {
        builders.push(("processes:2", on(Executor::Processes(2))));
    }
    let build = |builder: ContextBuilder| {
        let builder = builder.spill_directory(spill).progress(false);
        builder.build().expect("the settings are right")
    };
    let builders = builders.into_iter();
    builders
        .map(|(name, builder)| (name, build(builder)))
        .collect()
}

/// Runs `behaviour` on contexts that run at least two tasks at a time. It also receives a directory of its own. Asserts
/// that nothing is left behind.
fn on_parallel_executors(behaviour: impl Fn(&Context, &Path) + Send + Sync + 'static) {
    let behaviour = Arc::new(behaviour);
    let spill = Files::new();
    for (name, context) in parallel(spill.root()) {
        let (behaviour, files) = (Arc::clone(&behaviour), Files::new());
        within_the_limit(name, move || behaviour(&context, files.root()));
        assert_empty(spill.root());
    }
}

fn sorted<R: Ord>(mut records: Vec<R>) -> Vec<R> {
    records.sort();
    records
}

/// Returns the pairs that [`meeting`] returns.
fn expected_pairs() -> Vec<(u64, u64)> {
    (0..100).map(|n| (n % 10, n)).collect()
}

#[test]
fn the_sides_of_a_join_run_at_the_same_time() {
    on_parallel_executors(|context, root| {
        let left = meeting(context, root, "left", "right");
        let right = meeting(context, root, "right", "left");
        let joined = left.join(right).collect().expect("rows");
        let pairs = expected_pairs();
        let rows = pairs.iter().flat_map(|(key, left)| {
            let matching = pairs.iter().filter(move |(other, _)| other == key);
            matching.map(move |(_, right)| (*key, (*left, *right)))
        });
        assert_eq!(sorted(joined), sorted(rows.collect()));
    });
}

#[test]
fn the_parts_of_a_union_and_their_stages_run_at_the_same_time() {
    on_parallel_executors(|context, root| {
        let one = meeting(context, root, "one", "two").sum_by_key();
        let two = meeting(context, root, "two", "one").group_by_key();
        let two = two.map_values(|values| values.into_iter().sum::<u64>());
        let union = one.boxed().union(two.boxed());
        let sums: Vec<_> = (0..10).map(|key| (key, 450 + 10 * key)).collect();
        let both = sums.iter().chain(&sums).copied().collect();
        assert_eq!(sorted(union.collect().expect("sums")), sorted(both));
    });
}

/// The threads that found no work while the first stages ran must come back for the later ones.
#[test]
fn a_stage_that_may_begin_runs_while_another_one_still_runs() {
    on_parallel_executors(|context, root| {
        // The long stage ends when the second of two stages has begun.
        let long = meeting(context, root, "long", "second").sum_by_key();
        let first = context.range_partitioned(0..100, 1).map(|n| (n % 10, n));
        let second = first.sum_by_key().with(root.to_owned());
        let second = second.map(|root, pair| {
            File::create(root.join("second")).expect("room for a file");
            pair
        });
        let second = second.repartition(2);
        let sums: Vec<_> = (0..10).map(|key| (key, 450 + 10 * key)).collect();
        let both = sums.iter().chain(&sums).copied().collect();
        let union = long.boxed().union(second.boxed());
        assert_eq!(sorted(union.collect().expect("sums")), sorted(both));
    });
}

/// Iterators live in the driver, and each is read by one thread at a time.
#[test]
fn slow_iterators_are_read_at_the_same_time() {
    on_parallel_executors(|context, root| {
        let numbers = |own: &'static str, other: &'static str| {
            let root = root.to_owned();
            let numbers = (0..100_u64).inspect(move |n| {
                assert!(*n > 0 || meet(&root, own, other), "{own} is alone");
            });
            context.from_iter(numbers).map(|n| (n, n))
        };
        let joined = numbers("left", "right").join(numbers("right", "left"));
        assert_eq!(joined.count().expect("rows"), 100);
    });
}

#[test]
fn a_job_has_no_more_workers_than_slots() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let started = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&started);
    let observer = move |event: &Event| {
        if let Event::WorkerStarted { worker, .. } = event {
            seen.lock().expect("no panic").push(*worker);
        }
    };
    let builder = Context::builder().executor(Executor::Processes(2));
    let context = builder.observer(observer).progress(false).build();
    let context = context.expect("the settings are right");
    within_the_limit("processes:2", move || {
        for partitions in [1, 2, 5] {
            let bags = (0..4_u64).map(|side| {
                let numbers = context.range_partitioned(0..100, partitions);
                numbers
                    .map(|n| (n % 10, n))
                    .sum_by_key()
                    .with(side)
                    .map(|side, n| (*side, n))
            });
            let all = holdall::union_all(bags);
            assert_eq!(all.count().expect("a count"), 40);
        }
    });
    let started = started.lock().expect("no panic");
    assert!(started.len() <= 2, "{started:?}");
}

#[test]
fn an_observer_sees_stages_that_run_at_the_same_time() {
    let spill = Files::new();
    let on = |executor| Context::builder().executor(executor);
    let mut builders = vec![on(Executor::Threads(2))];
    if cfg!(target_os = "linux") {
        builders.push(on(Executor::Processes(2)));
    }
    for builder in builders {
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&events);
        let observer = move |event: &Event| seen.lock().expect("no panic").push(event.clone());
        let builder = builder.spill_directory(spill.root()).observer(observer);
        let context = builder.progress(false).build().expect("good settings");
        let files = Files::new();
        within_the_limit("an observer", move || {
            let left = meeting(&context, files.root(), "left", "right");
            let right = meeting(&context, files.root(), "right", "left");
            assert_eq!(left.join(right).count().expect("a count"), 1_000);
            let summary = context.last_job().expect("it ran");
            let numbers: Vec<_> = summary.stages.iter().map(|stage| stage.stage).collect();
            assert_eq!(numbers, [1, 2, 3]);
            for stage in &summary.stages[..2] {
                assert_eq!((stage.tasks, stage.shuffled_records), (1, 100));
            }
            let longest = summary.stages.iter().map(|stage| stage.elapsed).max();
            assert!(longest.expect("stages") <= summary.elapsed);
            let events = events.lock().expect("no panic");
            let started = |stage: usize| {
                let is_it = |event: &Event| matches!(event, Event::StageStarted { stage: this, .. } if *this == stage);
                events.iter().position(is_it).expect("it started")
            };
            let done = |stage: usize| {
                let is_it = |event: &Event| matches!(event, Event::StageDone { summary, .. } if summary.stage == stage);
                events.iter().position(is_it).expect("it is done")
            };
            assert!(started(1) < started(2) && started(2) < done(1).min(done(2)));
            assert!(done(1).max(done(2)) < started(3));
        });
    }
}

#[test]
fn an_error_in_one_stage_ends_the_others() {
    quiet_panics();
    on_parallel_executors(|context, root| {
        for panics in [true, false] {
            let name = |side: &str| format!("{side}-{panics}");
            let numbers = context.range_partitioned(0..100, 1);
            let names = (root.to_owned(), name("left"), name("right"), panics);
            let failing = numbers
                .with(names)
                .try_map(|(root, own, other, panics), n| {
                    if n > 0 || !meet(root, own, other) {
                        return Ok((n, n));
                    }
                    assert!(!*panics, "{ON_PURPOSE}");
                    Err(ON_PURPOSE)
                });
            // It would take hours.
            let endless = context.range_partitioned(0..u64::MAX / 2, 1);
            let names = (root.to_owned(), name("right"), name("left"));
            let endless = endless.with(names).map(|(root, own, other), n| {
                assert!(n > 0 || meet(root, own, other));
                (n % 10, n)
            });
            let error = failing.join(endless.boxed()).count().expect_err("it fails");
            let is_expected = match error.kind() {
                ErrorKind::TaskPanicked { .. } => panics,
                ErrorKind::Closure { .. } => !panics,
                _ => false,
            };
            assert!(is_expected, "{error}");
            assert_eq!(error.context().and_then(|context| context.stage), Some(2));
        }
    });
}

#[test]
fn an_iterator_that_is_dropped_ends_all_stages() {
    on_parallel_executors(|context, root| {
        let endless = |own: &str, other: &str| {
            let numbers = context.range_partitioned(0..u64::MAX / 2, 1);
            let names = (root.to_owned(), own.to_owned(), other.to_owned());
            let pairs = numbers.with(names).map(|(root, own, other), n| {
                assert!(n > 0 || meet(root, own, other));
                (n % 10, 1)
            });
            pairs.boxed().sum_by_key()
        };
        let union = endless("one", "two").union(endless("two", "one"));
        let sums = union.iter().expect("an iterator");
        assert!(meet(root, "driver", "one"));
        drop(sums);
    });
}

/// The results of plans with stages that do not depend on each other.
fn results(context: &Context) -> Vec<(&'static str, Vec<String>)> {
    let numbers = |count: u64, partitions: usize| context.range_partitioned(0..count, partitions);
    let left = || numbers(900, 3).map(|n| (n * 7 % 300, n)).boxed();
    let right = || numbers(500, 1).map(|n| (n * 3 % 400, n)).boxed();
    let mut results = Vec::new();
    macro_rules! add {
        ($name:expr, $bag:expr) => {{
            let records = $bag.map(|record| format!("{record:?}")).collect();
            results.push(($name, records.expect($name)));
        }};
    }
    macro_rules! joins {
        ($($method:ident)*) => { $(
            add!(stringify!($method), left().$method(right()));
            add!(stringify!($method), right().$method(left()));
        )* };
    }
    joins!(join left_join right_join full_join semi_join anti_join intersection subtract cogroup);
    add!("join of unknown length", {
        let keys = context.from_iter(0..200_u64).map(|n| (n * 2, n));
        keys.join(left())
    });
    let shared = left().sum_by_key();
    add!("diamond", {
        let halves = shared.clone().map(|(key, sum)| (key / 2, sum)).sum_by_key();
        let thirds = shared.clone().map(|(key, sum)| (key / 3, sum)).sum_by_key();
        halves.join(thirds).join(shared.clone())
    });
    add!("union", {
        let sorted = left().sort_by_key(|(_, n)| std::cmp::Reverse(*n)).boxed();
        let parts = [shared.clone().boxed(), sorted, right().distinct().boxed()];
        holdall::union_all(parts)
    });
    let kept = right().repartition(3).persist(StorageLevel::MemoryThenDisk);
    add!("persisted", kept.clone().join(left()));
    add!("persisted again", kept.join(left().union(right())).sort());
    results
}

/// Builds a context with few partitions for the joins.
fn with_few_partitions(builder: ContextBuilder) -> Context {
    let builder = builder.shuffle_partitions(5).progress(false);
    builder.build().expect("the settings are right")
}

#[test]
fn results_are_the_same_on_every_executor() {
    let inline = Context::builder().executor(Executor::Inline);
    let expected = Arc::new(results(&with_few_partitions(inline)));
    let mut builders = settings();
    builders.push((
        "threads:8",
        Context::builder().executor(Executor::Threads(8)),
    ));
    if cfg!(target_os = "linux") {
        let processes = Context::builder().executor(Executor::Processes(2));
        builders.push(("processes:2", processes));
    }
    for (name, builder) in builders {
        let (context, expected) = (with_few_partitions(builder), Arc::clone(&expected));
        within_the_limit(name, move || {
            for (found, expected) in results(&context).iter().zip(&*expected) {
                assert!(found == expected, "{}", expected.0);
            }
        });
    }
}

#[test]
fn counters_are_exact_over_stages_that_run_at_the_same_time() {
    on_parallel_executors(|context, root| {
        let seen = Counter::new("seen");
        let side = |own, other| {
            let pairs = meeting(context, root, own, other).with(seen.clone());
            pairs.map(|seen, pair| {
                seen.add(1);
                pair
            })
        };
        let joined = side("left", "right").join(side("right", "left"));
        assert_eq!(joined.count().expect("rows"), 1_000);
        assert_eq!(seen.value(), 200);
    });
}

/// Cuts all spill files of a job in half, when called for the first time.
fn damage_once(root: &Path) {
    if File::create_new(root.join("struck")).is_err() {
        return;
    }
    let entries = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
    for job in entries(root.join("spill")) {
        let files = entries(job.path()).map(|file| file.path());
        for path in files.filter(|path| !path.ends_with("lock")) {
            if let Ok(file) = File::options().write(true).open(&path) {
                let length = file.metadata().expect("a file").len();
                file.set_len(length / 2).expect("to cut it");
            }
        }
    }
}

/// Both stages that read the damaged output run when it is damaged.
#[test]
fn damage_that_two_stages_find_is_repaired_for_both() {
    let on = |executor| Context::builder().executor(executor);
    let mut builders = vec![
        ("threads:2", on(Executor::Threads(2)).memory(2 << 20)),
        ("threads:4", on(Executor::Threads(4)).memory(4 << 20)),
    ];
    if cfg!(target_os = "linux") {
        builders.push(("processes:2", on(Executor::Processes(2))));
    }
    for (name, builder) in builders {
        let files = Files::new();
        let builder = builder.spill_directory(files.path("spill"));
        let context = builder.shuffle_partitions(3).progress(false).build();
        let context = context.expect("good settings");
        within_the_limit(name, move || {
            let (root, seen) = (files.root().to_owned(), Counter::new("seen"));
            let texts = context.range_partitioned(0..12_000, 4).with(seen.clone());
            let texts = texts.map(|seen, n| {
                seen.add(1);
                (n % 3_000, format!("{n:0500}"))
            });
            let shared = texts.group_by_key().coalesce(1);
            let side = |own: &str, other: &str| {
                let names = (root.clone(), own.to_owned(), other.to_owned());
                let lengths = shared
                    .clone()
                    .with(names)
                    .map(|(root, own, other), (key, texts)| {
                        if !root.join(own).exists() {
                            assert!(meet(root, own, other), "{own} is alone");
                            damage_once(root);
                        }
                        (
                            key,
                            texts.into_iter().map(|text| text.len() as u64).sum::<u64>(),
                        )
                    });
                lengths.sum_by_key()
            };
            let joined = side("left", "right").join(side("right", "left"));
            let rows = joined.collect().expect("rows");
            assert_eq!(rows.len(), 3_000);
            assert!(rows.iter().all(|(_, lengths)| *lengths == (2_000, 2_000)));
            assert!(root.join("struck").exists());
            assert_eq!(seen.value(), 12_000);
            drop(context);
            assert_empty(&root.join("spill"));
        });
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_worker_that_is_lost_in_one_stage_is_replaced() {
    let files = Files::new();
    let builder = Context::builder().executor(Executor::Processes(2));
    let context = builder.progress(false).build().expect("good settings");
    within_the_limit("processes:2", move || {
        let left = meeting(&context, files.root(), "left", "right");
        let left = left.with(files.path("mark")).map(|mark, pair| {
            if File::create_new(mark).is_ok() {
                std::process::abort();
            }
            pair
        });
        let right = meeting(&context, files.root(), "right", "left");
        assert_eq!(left.join(right).count().expect("rows"), 1_000);
        assert!(files.path("mark").exists());
    });
}

/// Runs up to two tasks of each stage at a time, each on a worker of its own.
#[derive(Default)]
struct Counting {
    workers: AtomicUsize,
    /// Number of tasks that run now, and their maximum.
    running: AtomicUsize,
    most: Arc<AtomicUsize>,
    /// Held by the only call of `run`, if the executor runs one stage after the other.
    is_alone: Option<Mutex<()>>,
}

impl RemoteExecutor for Counting {
    fn slots(&self) -> usize {
        2
    }

    fn run(&self, stage: &Stage, tasks: &Tasks<'_>) -> holdall::Result<()> {
        let _alone = self
            .is_alone
            .as_ref()
            .map(|alone| alone.lock().expect("no panic"));
        let work = || {
            let mut worker = Worker::new(self.workers.fetch_add(1, Ordering::SeqCst));
            while let Some(task) = tasks.next() {
                let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
                self.most.fetch_max(running, Ordering::SeqCst);
                let outcome = worker.run(stage, &task, &mut |partition, number, chunk| {
                    tasks.chunk(&task, partition, number, chunk);
                });
                self.running.fetch_sub(1, Ordering::SeqCst);
                match outcome {
                    Ok(report) => tasks.done(&task, report),
                    Err(error) => tasks.failed(&task, error),
                }
            }
        };
        thread::scope(|scope| {
            scope.spawn(work);
            work();
        });
        Ok(())
    }
}

#[test]
fn a_custom_executor_has_no_more_tasks_than_slots() {
    for is_alone in [false, true] {
        let executor = Counting {
            is_alone: is_alone.then(Mutex::default),
            ..Counting::default()
        };
        let most = Arc::clone(&executor.most);
        let spill = Files::new();
        let builder = Context::builder().spill_directory(spill.root());
        let context = with_few_partitions(builder.remote_executor(executor));
        let inline = Context::builder().executor(Executor::Inline);
        let expected = results(&with_few_partitions(inline));
        let found = within_the_limit("a custom executor", move || {
            if !is_alone {
                let files = Files::new();
                let left = meeting(&context, files.root(), "left", "right");
                let right = meeting(&context, files.root(), "right", "left");
                assert_eq!(left.join(right).count().expect("rows"), 1_000);
            }
            results(&context)
        });
        assert!(found == expected);
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert_empty(spill.root());
    }
}

/// The thread that calls the action may be the only one of its pool.
#[test]
fn an_action_on_a_thread_of_the_pool_runs_both_sides() {
    for threads in [1, 2, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.expect("threads");
        within_the_limit("a pool", move || {
            pool.install(|| {
                rayon::scope(|scope| {
                    for _ in 0..4 {
                        scope.spawn(|_| {
                            let context = Context::builder().executor(Executor::GlobalThreads);
                            let context = context.progress(false).build().expect("good settings");
                            let side = |count| {
                                let numbers = context.range_partitioned(0..count, 2);
                                numbers.map(|n| {
                                    let (a, b) = rayon::join(|| n % 10, || n);
                                    (a, b)
                                })
                            };
                            let rows = side(50).join(side(60)).join(side(10));
                            assert_eq!(rows.count().expect("rows"), 300);
                        });
                    }
                });
            });
        });
    }
}

/// A broadcast output must stay in memory, and may need half of the budget. Tasks of other stages could hold the other
/// half and more.
#[test]
fn a_stage_with_a_broadcast_output_runs_alone() {
    let files = Files::new();
    let context = Context::builder().threads(2).progress(false).build();
    let context = context.expect("the settings are right");
    let running = |name: &'static str, other: &'static str| {
        let numbers = context.range_partitioned(0..10, 1);
        let names = (files.root().to_owned(), name.to_owned(), other.to_owned());
        numbers.with(names).map(|(root, name, other), n| {
            let own = root.join(name);
            match n {
                0 => note(root, name),
                9 => {
                    let overlaps = wait_for(root, other, Duration::from_millis(100));
                    assert!(!overlaps, "{name} runs together with {other}");
                    fs::remove_file(own).expect("it was noted");
                }
                _ => {}
            }
            (n, n)
        })
    };
    let large = running("large", "small").partition_by(4);
    let joined = large.join_broadcast(running("small", "large"));
    assert_eq!(joined.count().expect("both stages run"), 10);
}
