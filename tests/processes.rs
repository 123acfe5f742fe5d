//! Worker processes: the answers are the same, whatever happens to the workers.
#![cfg(target_os = "linux")]

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Files, STOPPED_AT_START, assert_empty, names_in, within_the_limit};
use holdall::executor::{RemoteExecutor, Stage, Tasks, Worker};
use holdall::{Bag, Context, ContextBuilder, Counter, ErrorKind, Executor, Result, StorageLevel};

fn processes(n: usize) -> ContextBuilder {
    let builder = Context::builder().executor(Executor::Processes(n));
    builder
        .progress(false)
        .worker_timeout(Duration::from_secs(20))
}

/// Returns contexts that run on worker processes, and on this thread.
fn both(spill: &Path) -> [Context; 2] {
    let inline = Context::builder().executor(Executor::Inline);
    [processes(2), inline].map(|builder| {
        let builder = builder.spill_directory(spill).shuffle_partitions(5);
        builder.build().expect("the settings are right")
    })
}

fn context(n: usize, files: &Files) -> Context {
    let builder = processes(n).spill_directory(files.path("spill"));
    builder.build().expect("the settings are right")
}

fn assert_same<R: PartialEq + std::fmt::Debug>(work: impl Fn(&Context) -> Result<R>) {
    let files = Files::new();
    let [processes, inline] = both(&files.path("spill"));
    assert_eq!(
        work(&processes).expect("an answer"),
        work(&inline).expect("an answer")
    );
    drop((processes, inline));
    assert_empty(&files.path("spill"));
}

/// Returns `true` if a process exists and has not ended.
fn is_there(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"));
    // The state follows the name, which is in parentheses.
    stat.is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .starts_with(" Z")
    })
}

fn waits_until(is_so: impl Fn() -> bool, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while !is_so() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Returns `true` to the first caller, in any process.
fn is_first(mark: &Path) -> bool {
    File::create_new(mark).is_ok()
}

fn worker_ids(context: &Context) -> Vec<u32> {
    let ids = context
        .range_partitioned(0..50, 50)
        .map(|_| std::process::id());
    let mut ids = ids.collect().expect("numbers");
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[test]
fn records_are_the_same_as_in_one_process() {
    within_the_limit("processes", || {
        let files = Files::new();
        let text: String = (0..5_000)
            .map(|n| format!("w{} x{}\n", n % 91, n * n % 1013))
            .collect();
        let path = files.write("texts/a.txt", &text);
        let zipped = files.write_gzip("texts/b.txt.gz", &[text.as_bytes()]);
        assert_same(|context| context.read_text(&path)?.words().count_by_value().collect());
        assert_same(|context| {
            context
                .read_text(&zipped)?
                .words()
                .count_by_value()
                .collect()
        });
        assert_same(|context| {
            context
                .range(0..10_000)
                .map(|n| n * 7 % 1_001)
                .sort()
                .collect()
        });
    });
}

#[test]
fn wide_operators_and_actions_give_the_same_as_in_one_process() {
    within_the_limit("processes", || {
        assert_same(|context| {
            let pairs = context.range(0..1_000).map(|n| (n % 10, n));
            let sums = pairs.clone().sum_by_key();
            sums.join(
                pairs
                    .group_by_key()
                    .map(|(key, values)| (key, values.count())),
            )
            .collect()
        });
        assert_same(|context| {
            context
                .from_iter(0..3_000_u64)
                .filter(|n| n % 3 == 0)
                .collect()
        });
        assert_same(|context| {
            let strings = context.from_vec(vec!["a".to_owned(), "b".to_owned(), "a".to_owned()]);
            strings.distinct().collect()
        });
        assert_same(|context| {
            context
                .range(0..1_000_u64)
                .map(|n| (n % 7, n))
                .reduce_by_key(|a, b| a.wrapping_mul(31).wrapping_add(b))
                .collect()
        });
        assert_same(|context| {
            context
                .range(0..1_000)
                .repartition(7)
                .map(|n| n + 1)
                .collect()
        });
        assert_same(|context| context.range(0..1_000).take(10));
        assert_same(|context| context.range(0..1_000).find(|n| n % 900 == 899));
        assert_same(|context| context.range(0..1_000).max_by_key(|n| n % 100));
        assert_same(|context| {
            let odd = context.from_iter(0..3_000_u64).filter(|n| n % 2 == 1);
            odd.sample(0.3, 5).zip_with_index().collect()
        });
        assert_same(|context| context.range(0..1_000).sum::<u64>());
        assert_same(|context| {
            context
                .range(0..1_000)
                .map(|n| n as f64 / 7.0)
                .fold(0.0, |a, b| a + b)
        });
    });
}

#[test]
fn records_can_be_iterated_with_other_actions_between() {
    within_the_limit("processes", || {
        let files = Files::new();
        let context = context(2, &files);
        let mut expected = 0;
        for n in context
            .range_partitioned(0..3_000, 30)
            .iter()
            .expect("a start")
        {
            assert_eq!(n.expect("a number"), expected);
            if expected % 1_000 == 0 {
                assert_eq!(context.range(0..100).count().expect("a count"), 100);
            }
            expected += 1;
        }
        assert_eq!(expected, 3_000);
        let mut endless = context.from_iter(0_u64..).iter().expect("a start");
        assert_eq!(
            endless
                .by_ref()
                .nth(5_000)
                .expect("more")
                .expect("a number"),
            5_000
        );
        drop(endless);
    });
}

#[test]
fn a_closure_that_captures_is_refused_before_anything_runs() {
    within_the_limit("processes", || {
        let files = Files::new();
        let context = context(2, &files);
        let factor = std::hint::black_box(3);
        let numbers = context.range(0..10);
        let (products, line) = (numbers.map(move |n| n * factor), line!());
        let error = products.sum::<u64>().unwrap_err();
        let ErrorKind::CapturingClosure { context: place, .. } = error.kind() else {
            panic!("{error}");
        };
        assert_eq!(place.operator, Some("map"));
        assert_eq!(place.location.expect("a line").line(), line);
        assert!(error.to_string().contains("`with`"), "{error}");
        let products = context
            .range(0..10)
            .with(factor)
            .map(|factor, n| n * factor);
        assert_eq!(products.sum::<u64>().expect("a sum"), 135);
    });
}

#[test]
fn actions_hand_their_state_to_the_workers() {
    within_the_limit("processes", || {
        // Prevents the compiler from making a constant of the number.
        let seven = std::hint::black_box(7_u64);
        let numbers = |context: &Context| context.range_partitioned(1..1_000, 10).with(seven);
        assert_same(|context| numbers(context).reduce(|seven, a, b| a * b % seven + 1));
        assert_same(|context| numbers(context).fold(0, |seven, a, b| a ^ (b * seven)));
        assert_same(|context| {
            numbers(context).aggregate(
                Vec::new(),
                |seven, mut found, n| {
                    if n % seven == 3 {
                        found.push(n);
                    }
                    found
                },
                |seven, mut found, later| {
                    found.extend(later.into_iter().filter(|n| n % seven == 3));
                    found
                },
            )
        });
        assert_same(|context| {
            numbers(context).top_by(5, |seven, a, b| (a % seven).cmp(&(b % seven)))
        });
        assert_same(|context| {
            numbers(context).bottom_by(5, |seven, a, b| (a % seven).cmp(&(b % seven)))
        });
        assert_same(|context| numbers(context).min_by(|seven, a, b| (a % seven).cmp(&(b % seven))));
        assert_same(|context| numbers(context).max_by(|seven, a, b| (a % seven).cmp(&(b % seven))));
        // If a method has no twin, the state is attached one step earlier.
        assert_same(|context| {
            let found = numbers(context).filter(|seven, n| n * n % seven == 4);
            found.first()
        });
        assert_same(|context| {
            let found = numbers(context).filter(|seven, n| n % seven == 9);
            found.is_empty()
        });
        assert_same(|context| {
            let keyed = numbers(context).key_by(|seven, n| n % seven);
            keyed.top_by_key(5, |(key, _)| *key)
        });
        assert_same(|context| {
            let seen = Counter::new("seen");
            let numbers = context.range_partitioned(0..1_000, 10);
            let numbers = numbers.with((seven, seen.clone()));
            numbers.for_each(|(seven, seen), n| seen.add(n % seven))?;
            Ok(seen.value())
        });
        assert_same(|context| {
            let limit = |most: u64| {
                let texts = context.range_partitioned(0..100, 10).with(most);
                texts.try_for_each(|most, n| if n < *most { Ok(()) } else { Err("too many") })
            };
            let error = limit(55).expect_err("there are more").to_string();
            limit(100).map(|()| error.ends_with(": too many"))
        });
    });
}

#[test]
fn wide_operators_hand_their_state_to_the_workers() {
    within_the_limit("processes", || {
        let seven = std::hint::black_box(7_u64);
        let pairs = |context: &Context| {
            let numbers = context.range_partitioned(0..1_000, 10).with(seven);
            numbers.key_by(|seven, n| n % seven).with(seven)
        };
        assert_same(|context| {
            let reduced = pairs(context).reduce_by_key(|seven, a, b| a * b % seven + 1);
            let again = reduced.with(seven);
            again.map_values(|seven, n| n + seven).collect()
        });
        assert_same(|context| {
            let folded = pairs(context).fold_by_key(0, |seven, a, b| *a ^= b * seven);
            folded.collect()
        });
        assert_same(|context| {
            let sums = pairs(context).aggregate_by_key(
                0,
                |seven, sum, n| *sum += n / seven,
                |_, sum, later| *sum += later,
            );
            sums.collect()
        });
        assert_same(|context| {
            let firsts = pairs(context).combine_by_key(
                |seven, n| vec![n + seven],
                |seven, kept, n| kept.push(n + seven),
                |seven, kept, later| {
                    kept.extend(later);
                    kept.truncate(*seven as usize);
                },
            );
            firsts
                .map_values(|kept| kept.into_iter().take(3).collect::<Vec<_>>())
                .collect()
        });
        assert_same(|context| {
            let groups = context.range(0..100).map(|n| (n % 3, n)).group_by_key();
            let groups = groups.with(seven);
            let kept = groups.map_values(|seven, values| values.filter(|n| n % seven == 0).sum());
            kept.map_values(|sum: u64| sum).collect()
        });
    });
}

#[test]
fn sorts_and_whole_partitions_hand_their_state_to_the_workers() {
    within_the_limit("processes", || {
        let seven = std::hint::black_box(7_u64);
        let numbers = |context: &Context| context.range_partitioned(0..1_000, 10).with(seven);
        assert_same(|context| {
            let sorted = numbers(context).sort_by(|seven, a, b| (a % seven).cmp(&(b % seven)));
            sorted.collect()
        });
        assert_same(|context| {
            let keyed = numbers(context).key_by(|seven, n| n % seven);
            keyed.sort_by(|a, b| a.0.cmp(&b.0)).values().collect()
        });
        assert_same(|context| {
            let sums = numbers(context).map_partitions(|seven, numbers, emit| {
                let mut sum = *seven;
                numbers.for_each(|n| sum += n);
                emit(sum);
            });
            sums.collect()
        });
    });
}

/// Ways in which a worker ends.
const ENDS: [(&str, fn()); 4] = [
    ("abort", || std::process::abort()),
    ("exit", || std::process::exit(3)),
    ("signal", || signal_self("KILL")),
    ("stack", overflow_the_stack),
];

fn overflow_the_stack() {
    fn deeper(n: u64) -> u64 {
        let room = std::hint::black_box([n; 1000]);
        if room[0] == u64::MAX {
            return 0;
        }
        deeper(n + 1) + room[(n % 1000) as usize]
    }
    deeper(0);
}

fn signal_self(signal: &str) {
    let id = std::process::id().to_string();
    let sent = Command::new("kill").args(["-s", signal, &id]).status();
    sent.expect("kill can be run");
    std::thread::sleep(Duration::from_secs(30));
}

fn end_by(name: &str) {
    let (_, end) = ENDS
        .iter()
        .find(|(end, _)| *end == name)
        .expect("it is one of them");
    end();
}

/// Returns a bag whose closure ends its worker at the number 55, once for each mark that does not exist yet.
fn deadly(context: &Context, mark: PathBuf, name: &str, seen: &Counter) -> Bag<(u64, u64)> {
    let numbers = context.range_partitioned(0..1_000, 20);
    let numbers = numbers.with((mark, name.to_owned(), seen.clone()));
    let pairs = numbers.map(|(mark, name, seen), n| {
        seen.add(1);
        if n == 555 && is_first(mark) {
            end_by(name);
        }
        (n % 13, n)
    });
    pairs.sum_by_key()
}

fn expected_sums() -> Vec<(u64, u64)> {
    let context = Context::builder()
        .executor(Executor::Inline)
        .build()
        .expect("a context");
    let sums = context.range(0..1_000).map(|n| (n % 13, n)).sum_by_key();
    sums.collect().expect("sums")
}

#[test]
fn a_worker_that_dies_changes_nothing() {
    within_the_limit("processes", || {
        for (name, _) in ENDS {
            let files = Files::new();
            let context = context(2, &files);
            let seen = Counter::new("seen");
            let sums = deadly(&context, files.path("mark"), name, &seen);
            assert_eq!(
                sums.collect().expect("an answer"),
                expected_sums(),
                "{name}"
            );
            assert!(files.path("mark").exists(), "{name}: nobody died");
            assert_eq!(seen.value(), 1_000, "{name}");
            drop((sums, context));
            assert_empty(&files.path("spill"));
        }
    });
}

#[test]
fn a_task_that_always_kills_is_given_up_with_its_place() {
    within_the_limit("processes", || {
        let files = Files::new();
        let context = context(2, &files);
        let numbers = context.range_partitioned(0..1_000, 20);
        let line = line!() + 1;
        let deadly = numbers.map(|n| if n == 555 { std::process::abort() } else { n });
        let error = deadly.count().unwrap_err();
        let ErrorKind::TooManyAttempts {
            context: place,
            attempts: 4,
            last,
            ..
        } = error.kind()
        else {
            panic!("{error}");
        };
        assert_eq!(
            (place.stage, place.partition, place.operator),
            (Some(1), Some(11), Some("map"))
        );
        assert_eq!(place.location.expect("a line").line(), line);
        let ErrorKind::WorkerLost { cause, .. } = last.kind() else {
            panic!("{last}");
        };
        assert_eq!(cause, "killed by signal 6");
        // The context can still be used.
        assert_eq!(context.range(0..10).count().expect("a count"), 10);
    });
}

#[test]
fn a_worker_that_is_stopped_is_replaced() {
    within_the_limit("processes", || {
        let files = Files::new();
        let builder = context_builder(&files).worker_timeout(Duration::from_millis(500));
        let context = builder.build().expect("the settings are right");
        let numbers = context
            .range_partitioned(0..100, 20)
            .with(files.path("mark"));
        let numbers = numbers.map(|mark, n| {
            if n == 50 && is_first(mark) {
                signal_self("STOP");
            }
            n
        });
        assert_eq!(numbers.sum::<u64>().expect("a sum"), 4_950);
        assert!(files.path("mark").exists());
    });
}

fn context_builder(files: &Files) -> ContextBuilder {
    processes(2).spill_directory(files.path("spill"))
}

#[test]
fn a_panic_is_an_error_at_once() {
    within_the_limit("processes", || {
        let files = Files::new();
        let context = context(2, &files);
        let numbers = context.range_partitioned(0..100, 10);
        let numbers = numbers.with(files.path("attempts"));
        let line = line!() + 1;
        let numbers = numbers.map(|attempts, n| {
            if n == 42 {
                let mut file = File::options().append(true).create(true).open(attempts);
                file.as_mut()
                    .expect("a file")
                    .write_all(b"x")
                    .expect("room");
                panic!("on purpose, at {n}");
            }
            n
        });
        let error = numbers.count().unwrap_err();
        let ErrorKind::TaskPanicked {
            context: place,
            message,
            ..
        } = error.kind()
        else {
            panic!("{error}");
        };
        assert_eq!(message, "on purpose, at 42");
        assert_eq!(
            (place.operator, place.stage, place.partition),
            (Some("map"), Some(1), Some(4))
        );
        assert_eq!(place.location.expect("a line").line(), line);
        assert_eq!(fs::read(files.path("attempts")).expect("a file"), b"x");

        let numbers = context
            .range(0..100)
            .try_map(|n| if n < 7 { Ok(n) } else { Err("too many") });
        let error = numbers.count().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Closure { .. }), "{error}");
        assert!(error.to_string().ends_with(": too many"), "{error}");
    });
}

#[test]
fn an_action_in_a_closure_is_refused_in_a_worker_too() {
    within_the_limit("processes", || {
        let files = Files::new();
        let context = context(1, &files);
        let nested = context.range(0..6).map(|n| {
            let executor = match n % 2 {
                0 => Executor::Inline,
                _ => Executor::Processes(1),
            };
            let inner = Context::builder().executor(executor).build();
            let error = inner.and_then(|inner| inner.range(0..n).count());
            matches!(error.unwrap_err().kind(), ErrorKind::NestedJob)
        });
        assert_eq!(nested.collect().expect("answers"), [true; 6]);
    });
}

#[test]
fn workers_end_with_their_context() {
    within_the_limit("processes", || {
        let files = Files::new();
        let context = context(2, &files);
        let ids = worker_ids(&context);
        assert!(
            (1..=2).contains(&ids.len()) && !ids.contains(&std::process::id()),
            "{ids:?}"
        );
        assert!(ids.iter().all(|id| is_there(*id)), "they are kept");
        assert!(worker_ids(&context).iter().any(|id| ids.contains(id)));
        drop(context);
        assert!(!ids.iter().any(|id| is_there(*id)));
        assert_empty(&files.path("spill"));
    });
}

#[test]
fn lost_and_damaged_files_are_recomputed() {
    within_the_limit("processes", || {
        for how in ["remove", "truncate", "flip"] {
            let files = Files::new();
            let context = context(2, &files);
            let pairs = context.range_partitioned(0..2_000, 20).map(|n| (n % 97, n));
            let sums = pairs.sum_by_key();
            let state = (files.path("mark"), files.path("spill"), how.to_owned());
            let harmed = sums.with(state).map(|(mark, spill, how), pair| {
                if is_first(mark) {
                    harm(spill, how);
                }
                pair
            });
            // Data that is read after the harm belongs to the second or third stage.
            let counts = harmed.map(|(_, sum)| sum % 10).count_by_value();
            let inline = Context::builder()
                .executor(Executor::Inline)
                .build()
                .expect("a context");
            let expected = inline.range(0..2_000).map(|n| (n % 97, n)).sum_by_key();
            let expected = expected.map(|(_, sum)| sum % 10).count_by_value().collect();
            assert_eq!(
                counts.collect().expect("an answer"),
                expected.expect("an answer"),
                "{how}"
            );
            assert!(files.path("mark").exists(), "{how}");
            drop((counts, context));
            assert_empty(&files.path("spill"));
        }
    });
}

/// Harms all spill files below `spill`.
fn harm(spill: &Path, how: &str) {
    for job in names_in(spill) {
        let job = spill.join(job);
        for name in names_in(&job) {
            let path = job.join(&name);
            if name == "lock" {
                continue;
            }
            match how {
                "remove" => fs::remove_file(&path).expect("it was there"),
                "truncate" => {
                    let file = File::options().write(true).open(&path).expect("a file");
                    let length = file.metadata().expect("a length").len();
                    file.set_len(length / 2).expect("it is cut");
                }
                _ => {
                    let mut bytes = fs::read(&path).expect("a file");
                    let middle = bytes.len() / 2;
                    // A partition without records has no bytes.
                    if let Some(byte) = bytes.get_mut(middle) {
                        *byte ^= 4;
                    }
                    fs::write(&path, bytes).expect("room");
                }
            }
        }
    }
}

#[test]
fn damaged_files_of_a_persisted_bag_are_computed_again() {
    within_the_limit("processes", || {
        for how in ["remove", "truncate", "flip"] {
            let files = Files::new();
            let context = context(2, &files);
            let pairs = context.range_partitioned(0..2_000, 20).map(|n| (n % 97, n));
            // When the damage is found, the input of the sums has been deleted.
            let sums = pairs.sum_by_key().persist(StorageLevel::Disk);
            let expected = sums.collect().expect("an answer");
            harm(&files.path("spill"), how);
            assert_eq!(sums.collect().expect("an answer"), expected, "{how}");
            assert_eq!(sums.count().expect("an answer"), 97, "{how}");
            drop((sums, context));
            assert_empty(&files.path("spill"));
        }
    });
}

#[test]
fn what_is_persisted_is_computed_once() {
    within_the_limit("processes", || {
        for level in [
            StorageLevel::Memory,
            StorageLevel::Disk,
            StorageLevel::MemoryThenDisk,
        ] {
            let files = Files::new();
            let context = context(2, &files);
            let computed = Counter::new("computed");
            let numbers = context.range_partitioned(0..100, 10).with(computed.clone());
            let squares = numbers.map(|computed, n| {
                computed.add(1);
                n * n
            });
            let squares = squares.persist(level);
            for _ in 0..3 {
                assert_eq!(squares.sum::<u64>().expect("a sum"), 328_350);
            }
            assert_eq!(computed.value(), 100, "{level:?}");
            drop((squares, context));
            assert_empty(&files.path("spill"));
        }
    });
}

#[test]
fn little_memory_is_enough() {
    within_the_limit("processes", || {
        let files = Files::new();
        let builder = context_builder(&files).memory(2 << 20);
        let context = builder.build().expect("the settings are right");
        let numbers = context.range(0..40_000).map(|n| n * 7919 % 20_011);
        assert_eq!(numbers.clone().distinct().count().expect("a count"), 20_011);
        let sorted = numbers.sort().collect().expect("numbers");
        assert!(sorted.is_sorted() && sorted.len() == 40_000);
        drop(context);
        assert_empty(&files.path("spill"));
    });
}

/// Each worker has an equal share, which must suffice for a shuffle.
#[test]
fn too_little_memory_for_the_workers_is_refused_before_they_start() {
    within_the_limit("processes", || {
        let files = Files::new();
        let kinds = |memory: usize| {
            let context = context_builder(&files).memory(memory as u64).build();
            let context = context.expect("the settings are right");
            let numbers = || context.range(0..10).map(|n| (n, n));
            [
                numbers().sum_by_key().keys().boxed(),
                numbers().group_by_key().map(|(key, _)| key).boxed(),
                numbers().sort().keys().boxed(),
                numbers().repartition(2).keys().boxed(),
                numbers().join(numbers()).keys().boxed(),
                numbers().join_broadcast(numbers()).keys().boxed(),
                numbers()
                    .distinct()
                    .persist(StorageLevel::Disk)
                    .keys()
                    .boxed(),
            ]
        };
        let least = 2 << 20;
        for bag in kinds(least - 1) {
            let error = bag.count().unwrap_err();
            let ErrorKind::BudgetTooSmall {
                needed_bytes,
                budget_bytes,
                ..
            } = error.kind()
            else {
                panic!("expected too small a budget, got {error}");
            };
            assert_eq!((*needed_bytes, *budget_bytes), (least, least - 1));
        }
        assert!(!files.path("spill").exists());
        for bag in kinds(least) {
            assert_eq!(bag.count().expect("a count"), 10);
        }
        assert_empty(&files.path("spill"));
    });
}

const CHILD: &str = "HOLDALL_TEST_CHILD_DIRECTORY";

/// Returns a command that runs a helper test of this program.
fn child(test: &str, files: &Files) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([
        test,
        "--exact",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    command.env(CHILD, files.root());
    command
}

fn child_directory() -> PathBuf {
    std::env::var_os(CHILD)
        .expect("it is run by another test")
        .into()
}

#[test]
fn workers_end_when_the_driver_is_killed_and_scratch_is_swept() {
    within_the_limit("processes", || {
        let files = Files::new();
        let mut driver = child("driver_that_is_killed", &files)
            .spawn()
            .expect("a process");
        let ids = || {
            let names = names_in(files.root());
            let ids = names
                .iter()
                .filter_map(|name| name.strip_prefix("id-")?.parse().ok());
            ids.collect::<Vec<u32>>()
        };
        assert!(waits_until(|| ids().len() == 2, Duration::from_secs(20)));
        assert!(ids().iter().all(|id| is_there(*id)));
        driver.kill().expect("it was there");
        driver.wait().expect("it is a child");
        let all_gone = || !ids().iter().any(|id| is_there(*id));
        assert!(waits_until(all_gone, Duration::from_secs(2)));
        assert_eq!(names_in(&files.path("spill")).len(), 1, "what it left");
        let context = context(1, &files);
        assert_empty(&files.path("spill"));
        drop(context);
    });
}

#[test]
#[ignore = "part of the test above"]
fn driver_that_is_killed() {
    let directory = child_directory();
    let builder = processes(2).spill_directory(directory.join("spill"));
    let context = builder.build().expect("the settings are right");
    let numbers = context.range_partitioned(0..2, 2).with(directory);
    let sleepy = numbers.map(|directory, n| {
        let id = std::process::id();
        fs::write(directory.join(format!("id-{id}")), "").expect("room");
        std::thread::sleep(Duration::from_secs(60));
        n
    });
    let _ = sleepy.count();
}

#[test]
fn a_worker_that_is_stopped_before_it_is_ready_is_replaced() {
    within_the_limit("processes", || {
        let files = Files::new();
        let stopped = files.write("stopped", "");
        let mut driver = child("driver_of_a_worker_that_is_stopped", &files);
        let status = driver.env(STOPPED_AT_START, &stopped).status();
        assert!(status.expect("a process").success());
        assert!(!stopped.exists(), "no worker was stopped");
    });
}

#[test]
#[ignore = "part of the test above"]
fn driver_of_a_worker_that_is_stopped() {
    let builder = processes(2).spill_directory(child_directory().join("spill"));
    let builder = builder.worker_timeout(Duration::from_secs(1));
    let context = builder.build().expect("the settings are right");
    let numbers = context.range_partitioned(0..20, 20);
    assert_eq!(numbers.count().expect("a count"), 20);
}

#[test]
fn what_workers_print_is_printed_with_their_number() {
    within_the_limit("processes", || {
        let files = Files::new();
        let output = child("driver_that_prints", &files)
            .output()
            .expect("a process");
        let [stdout, stderr] = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8(bytes).expect("they print text"));
        for (text, name) in [(&stdout, "out"), (&stderr, "error")] {
            let (before, _) = text.split_once("the action is over").expect("it was");
            for n in 0..20 {
                // The first line may follow other output of the test program.
                let end = format!("] {name} {n}");
                let is_it = |line: &str| line.contains("[worker ") && line.ends_with(&end);
                assert!(before.lines().any(is_it), "{name} {n} in\n{text}");
            }
            assert!(!text.contains("[worker 1] running"), "{text}");
        }
    });
}

#[test]
#[ignore = "part of the test above"]
#[expect(clippy::print_stdout, reason = "what is printed is looked at")]
fn driver_that_prints() {
    let builder = processes(2).spill_directory(child_directory().join("spill"));
    let context = builder.build().expect("the settings are right");
    let numbers = context.range_partitioned(0..20, 20).inspect(|n| {
        println!("out {n}");
        eprintln!("error {n}");
    });
    assert_eq!(numbers.count().expect("a count"), 20);
    println!("the action is over");
    eprintln!("the action is over");
}

#[test]
fn an_action_that_has_enough_ends_the_others() {
    within_the_limit("processes", || {
        let files = Files::new();
        let context = context(2, &files);
        let start = Instant::now();
        let numbers = context.range_partitioned(0..100, 100).map(|n| {
            if n > 0 {
                std::thread::sleep(Duration::from_secs(60));
            }
            n
        });
        assert_eq!(numbers.first().expect("a number"), Some(0));
        let error = numbers
            .try_map(|_| Err::<u64, _>("on purpose"))
            .count()
            .unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Closure { .. }), "{error}");
        // Far less than the closures would take that the job does not wait for.
        assert!(start.elapsed() < Duration::from_secs(40));
    });
}

/// Runs each task a second time, as if it belonged to another stage, and discards the result.
struct InTurn;

impl RemoteExecutor for InTurn {
    fn slots(&self) -> usize {
        1
    }

    fn run(&self, stage: &Stage, tasks: &Tasks<'_>) -> Result<()> {
        let mut worker = Worker::new(1);
        let mut other = stage.clone();
        other.id = u64::MAX;
        while let Some(task) = tasks.next() {
            let outcome = worker.run(stage, &task, &mut |partition, number, chunk| {
                tasks.chunk(&task, partition, number, chunk);
            });
            match outcome {
                Ok(report) => tasks.done(&task, report),
                Err(error) => tasks.failed(&task, error),
            }
            worker.run(&other, &task, &mut |_, _, _| {})?;
        }
        Ok(())
    }
}

#[test]
fn a_worker_may_be_given_stages_in_turn() {
    let files = Files::new();
    let context = Context::builder()
        .remote_executor(InTurn)
        .spill_directory(files.path("spill"))
        .build()
        .expect("a context");
    let counts = context.range_partitioned(0..1_000, 20).map(|n| n % 7);
    let counts = counts.count_by_value();
    assert_eq!(counts.count().expect("an answer"), 7);
    drop((counts, context));
    assert_empty(&files.path("spill"));
}

#[test]
fn a_timeout_may_be_longer_than_a_clock_can_tell() -> Result<()> {
    let files = Files::new();
    let builder = context_builder(&files).worker_timeout(Duration::MAX);
    let context = builder.executor(Executor::Processes(1)).build()?;
    assert_eq!(context.range(0..10).count()?, 10);
    Ok(())
}
