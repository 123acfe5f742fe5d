//! Damage to spill files, in any reader and any computation: each answer is the same as without damage.
//!
//! `HOLDALL_RECOVERY_ROUNDS` sets the number of rounds, each with another case. With `all`, all cases run.
//! `HOLDALL_RECOVERY_CASES` limits them to those whose description contains it, such as `join_broadcast, count on`.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::panic::panic_any;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::common::{
    Files, ON_PURPOSE, all_settings, concatenation, on_every_executor_and_processes, quiet_panics,
    within_the_limit,
};
use holdall::{
    Bag, Context, Counter, Error, ErrorKind, Executor, Pipeline, Record, Result, StorageLevel,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Type that all bags are converted to in the end.
type Pairs = Bag<(String, u64)>;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Damage {
    Flip,
    Truncate,
    Remove,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Moment {
    /// Before the first record of the first partition is read.
    First,
    /// After a few records have been read.
    Midway,
    /// After a few records of a later partition have been read.
    Late,
}

/// Harm to the spill files of a job. The first process that reaches the moment does it, once.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Harm {
    root: PathBuf,
    damage: Damage,
    moment: Moment,
}

impl Harm {
    fn new(files: &Files, damage: Damage, moment: Moment) -> Self {
        let root = files.root().to_owned();
        fs::create_dir(root.join("spill")).expect("room");
        Self {
            root,
            damage,
            moment,
        }
    }

    fn spill(&self) -> PathBuf {
        self.root.join("spill")
    }

    /// Records that a partition of a source is computed.
    fn note(&self) {
        let mut options = File::options();
        let log = options.append(true).create(true);
        let log = log.open(self.root.join("computed"));
        log.and_then(|mut log| log.write_all(b".")).expect("room");
    }

    /// Returns the number of computed partitions of sources.
    fn computed(&self) -> u64 {
        fs::metadata(self.root.join("computed")).map_or(0, |log| log.len())
    }

    /// Disables the harm.
    fn prevent(&self) {
        File::create(self.root.join("struck")).expect("room");
    }

    fn strike(&self) {
        if File::create_new(self.root.join("struck")).is_err() {
            return;
        }
        let entries = |path: &PathBuf| {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let files = entries(&self.spill())
            .into_iter()
            .flat_map(|job| entries(&job));
        for path in files.filter(|path| !path.ends_with("lock")) {
            // The last task that reads the file may have deleted it.
            let file = File::options().read(true).write(true).open(&path);
            let Ok(mut file) = file else { continue };
            let length = file.metadata().expect("a file").len();
            match self.damage {
                Damage::Flip => (0..5).for_each(|fifth| flip(&mut file, length * fifth / 5)),
                Damage::Truncate => file.set_len(length / 2).expect("to cut it"),
                Damage::Remove => match fs::remove_file(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    outcome => outcome.expect("to remove it"),
                },
            }
        }
    }

    /// Called with each record of a partition, counted from 1, and with 0 before the first.
    fn read(&self, partition: usize, record: usize) {
        if match self.moment {
            Moment::First => record == 0,
            Moment::Midway => record == 3,
            Moment::Late => record == 3 && partition >= 4,
        } {
            self.strike();
        }
    }

    /// Called with each value of a group, counted from 0.
    fn read_value(&self, group: u64, value: usize) {
        if match self.moment {
            Moment::First => value == 0,
            Moment::Midway => value == 20,
            Moment::Late => value == 20 && group >= 8,
        } {
            self.strike();
        }
    }
}

fn flip(file: &mut File, at: u64) {
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).expect("to seek");
    if file.read(&mut byte).expect("a file") == 1 {
        file.seek(SeekFrom::Start(at)).expect("to seek");
        file.write_all(&[byte[0] ^ 4]).expect("room");
    }
}

/// Returns pairs with long keys, most of which occur several times.
fn pairs(context: &Context, harm: &Harm, count: u64) -> Pairs {
    let numbers = context.range_partitioned(0..count, 9).with(harm.clone());
    let pairs = numbers.map_partitions_with_index(|harm, _, numbers, emit| {
        harm.note();
        numbers.for_each(|n| emit((format!("{:07}", n * 7 % 2_503).repeat(300), n)));
    });
    pairs.boxed()
}

fn many(context: &Context, harm: &Harm) -> Pairs {
    pairs(context, harm, 3_600)
}

fn few(context: &Context, harm: &Harm) -> Pairs {
    pairs(context, harm, 900)
}

/// Returns a few keys with many long values each.
fn grouped(context: &Context, harm: &Harm, count: u64) -> Bag<(u64, String)> {
    let pairs = pairs(context, harm, count);
    pairs.map(|(key, n)| (n % 12, key)).boxed()
}

/// Reads a bag, and does the harm in the meantime.
fn read<T, P>(bag: Bag<T, P>, harm: &Harm) -> Bag<T>
where
    T: for<'a> Record<Ref<'a> = T> + 'static,
    P: Pipeline<Out = T>,
{
    let bag = bag.with(harm.clone());
    let read = bag.map_partitions_with_index(|harm, partition, records, emit| {
        harm.read(partition, 0);
        let mut seen = 0;
        records.for_each(|record| {
            seen += 1;
            harm.read(partition, seen);
            emit(record);
        });
    });
    read.boxed()
}

fn short(key: &str) -> String {
    key[..7].to_owned()
}

fn shortened(bag: Pairs) -> Pairs {
    bag.map(|(key, n)| (short(&key), n)).boxed()
}

fn lengths(harm: &Harm, key: u64, values: impl Iterator<Item = String>) -> u64 {
    let values = values.enumerate();
    let lengths = values.map(|(at, value)| {
        harm.read_value(key, at);
        value.len() as u64 + at as u64
    });
    lengths.sum()
}

type Wide = fn(&Context, &Harm) -> Pairs;

/// Each wide method. Its result is read with harm.
const WIDE: [(&str, Wide); 29] = [
    ("group_by_key", |context, harm| {
        let groups = grouped(context, harm, 3_600).group_by_key();
        let groups = groups.with(harm.clone());
        let sums = groups.map(|harm, (key, values)| (key.to_string(), lengths(harm, key, values)));
        sums.boxed()
    }),
    ("cogroup", |context, harm| {
        let other = grouped(context, harm, 900);
        let groups = grouped(context, harm, 3_600).cogroup(other);
        let groups = groups.with(harm.clone());
        let sums = groups.map(|harm, (key, ours, theirs)| {
            let ours = lengths(harm, key, ours);
            (
                key.to_string(),
                ours * 1_000 + theirs.map(|value| value.len() as u64).sum::<u64>(),
            )
        });
        sums.boxed()
    }),
    ("count_by_value", |context, harm| {
        shortened(read(
            many(context, harm).map(|(key, _)| key).count_by_value(),
            harm,
        ))
    }),
    ("count_by_key", |context, harm| {
        shortened(read(many(context, harm).count_by_key(), harm))
    }),
    ("sum_by_key", |context, harm| {
        shortened(read(many(context, harm).sum_by_key(), harm))
    }),
    ("reduce_by_key", |context, harm| {
        let reduced = many(context, harm).reduce_by_key(|a, b| a * 31 + b);
        shortened(read(reduced, harm))
    }),
    ("fold_by_key", |context, harm| {
        shortened(read(
            many(context, harm).fold_by_key(7, |a, b| *a = b.max(*a)),
            harm,
        ))
    }),
    ("aggregate_by_key", |context, harm| {
        let longest =
            many(context, harm).aggregate_by_key(0_u64, |a, b| *a += b % 10, |a, b| *a += b);
        shortened(read(longest, harm))
    }),
    ("combine_by_key", |context, harm| {
        let lists = many(context, harm).combine_by_key(|n| vec![n], Vec::push, Vec::extend);
        let lists = read(lists, harm);
        let first = |list: &[u64]| list.iter().fold(0, |a, b| a * 31 + b);
        lists
            .map(move |(key, list)| (short(&key), first(&list)))
            .boxed()
    }),
    ("distinct", |context, harm| {
        let keys = many(context, harm).map(|(key, _)| key).distinct();
        read(keys, harm)
            .map(|key| (short(&key), key.len() as u64))
            .boxed()
    }),
    ("join", |context, harm| {
        let joined = many(context, harm).join(few(context, harm));
        read(joined, harm)
            .map(|(key, (a, b))| (short(&key), a * 10_000 + b))
            .boxed()
    }),
    ("left_join", |context, harm| {
        let joined = many(context, harm).left_join(few(context, harm));
        let sum = |a: u64, b: Option<u64>| a * 10_000 + b.unwrap_or(9_999);
        read(joined, harm)
            .map(move |(key, (a, b))| (short(&key), sum(a, b)))
            .boxed()
    }),
    ("right_join", |context, harm| {
        let joined = few(context, harm).right_join(many(context, harm));
        let sum = |a: Option<u64>, b: u64| b * 10_000 + a.unwrap_or(9_999);
        read(joined, harm)
            .map(move |(key, (a, b))| (short(&key), sum(a, b)))
            .boxed()
    }),
    ("full_join", |context, harm| {
        let joined = many(context, harm).full_join(few(context, harm));
        let sum = |a: Option<u64>, b: Option<u64>| a.unwrap_or(1) * 10_000 + b.unwrap_or(9_999);
        read(joined, harm)
            .map(move |(key, (a, b))| (short(&key), sum(a, b)))
            .boxed()
    }),
    ("semi_join", |context, harm| {
        shortened(read(
            many(context, harm).semi_join(few(context, harm)),
            harm,
        ))
    }),
    ("anti_join", |context, harm| {
        shortened(read(
            many(context, harm).anti_join(few(context, harm)),
            harm,
        ))
    }),
    ("intersection", |context, harm| {
        shortened(read(
            many(context, harm).intersection(few(context, harm)),
            harm,
        ))
    }),
    ("subtract", |context, harm| {
        shortened(read(many(context, harm).subtract(few(context, harm)), harm))
    }),
    ("join_broadcast", |context, harm| {
        let small = pairs(context, harm, 90);
        let joined = many(context, harm).partition_by(8).join_broadcast(small);
        read(joined, harm)
            .map(|(key, (a, b))| (short(&key), a * 10_000 + b))
            .boxed()
    }),
    ("sort", |context, harm| {
        shortened(read(many(context, harm).sort(), harm))
    }),
    ("sort_by_key", |context, harm| {
        shortened(read(
            many(context, harm).sort_by_key(|(_, n)| n % 1_000),
            harm,
        ))
    }),
    ("repartition", |context, harm| {
        shortened(read(many(context, harm).repartition(7), harm))
    }),
    ("partition_by", |context, harm| {
        shortened(read(many(context, harm).partition_by(8), harm))
    }),
    ("repartition_and_sort_within_partitions", |context, harm| {
        let sorted = many(context, harm).repartition_and_sort_within_partitions(6);
        shortened(read(sorted, harm))
    }),
    ("zip_with_index", |context, harm| {
        let numbered = many(context, harm).partition_by(8).zip_with_index();
        let numbered = read(numbered, harm);
        numbered
            .map(|((key, n), index)| (short(&key), n * 10_000 + index))
            .boxed()
    }),
    ("persist", |context, harm| {
        let kept = many(context, harm).sum_by_key().persist(StorageLevel::Disk);
        assert!(kept.count().expect("no harm has been done") > 0);
        shortened(read(kept, harm))
    }),
    ("union", |context, harm| {
        let both = many(context, harm)
            .sum_by_key()
            .union(few(context, harm).sort());
        shortened(read(both, harm))
    }),
    ("select_partitions", |context, harm| {
        let some = many(context, harm)
            .sort()
            .select_partitions([7, 6, 0, 1, 5, 2]);
        shortened(read(some, harm))
    }),
    ("zip_partitions", |context, harm| {
        let sums = read(many(context, harm).sum_by_key(), harm);
        let pairs = read(few(context, harm).partition_by(8), harm);
        let both = sums.zip_partitions(pairs, |sums, pairs, emit| {
            sums.for_each(|(key, n)| emit((short(&key), n)));
            pairs.for_each(|(key, n)| emit((short(&key), n + 1)));
        });
        both.boxed()
    }),
];

/// Reader of the bag: the stage of the action, or the map side of another shuffle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reader {
    Action,
    Map,
    /// Like `Action`, but the damage is in a partition that is joined to another shuffle.
    Join,
}

const READERS: [Reader; 3] = [Reader::Action, Reader::Map, Reader::Join];

fn read_by(reader: Reader, bag: Pairs, context: &Context) -> Pairs {
    match reader {
        Reader::Action => bag,
        Reader::Map => bag.partition_by(5),
        Reader::Join => {
            let nothing = context.range(0..3).map(|n| (n.to_string(), n));
            bag.left_join(nothing).map(|(key, (n, _))| (key, n)).boxed()
        }
    }
}

type Action = fn(&Pairs, &Harm) -> Result<Vec<String>>;

fn said<T: std::fmt::Debug>(records: impl IntoIterator<Item = T>) -> Vec<String> {
    let records = records.into_iter();
    records.map(|record| format!("{record:?}")).collect()
}

const ACTIONS: [(&str, Action); 16] = [
    ("collect", |bag, _| bag.collect().map(said)),
    ("count", |bag, _| bag.count().map(|count| said([count]))),
    ("iter", |bag, _| {
        bag.iter()?.collect::<Result<Vec<_>>>().map(said)
    }),
    ("take", |bag, _| bag.take(700).map(said)),
    ("first", |bag, _| bag.first().map(said)),
    ("find", |bag, _| {
        bag.find(|(key, _)| key.ends_with('7')).map(said)
    }),
    ("all", |bag, _| {
        bag.all(|(key, _)| !key.is_empty()).map(|all| said([all]))
    }),
    ("is_empty", |bag, _| {
        bag.is_empty().map(|is_empty| said([is_empty]))
    }),
    ("top_by_key", |bag, _| {
        bag.top_by_key(9, |(_, n)| n % 1_009).map(said)
    }),
    ("max", |bag, _| bag.max().map(said)),
    ("sum", |bag, _| {
        bag.clone().values().sum::<u64>().map(|sum| said([sum]))
    }),
    ("reduce", |bag, _| {
        let values = bag.clone().values();
        values
            .reduce(|a, b| a.wrapping_mul(31).wrapping_add(b))
            .map(said)
    }),
    ("aggregate", |bag, _| {
        let digest = bag.aggregate(
            Vec::new(),
            |mut all: Vec<u64>, (_, n)| {
                all.push(n);
                all
            },
            |mut all, mut later| {
                all.append(&mut later);
                all
            },
        );
        digest.map(said)
    }),
    ("for_each", |bag, _| {
        // A counter counts each partition once, however many attempts there were.
        let counter = Counter::new("records");
        bag.clone()
            .with(counter.clone())
            .for_each(|counter, _| counter.add(1))?;
        Ok(said([counter.value()]))
    }),
    ("counter", |bag, _| {
        let counter = Counter::new("sum");
        let counted = bag.clone().with(counter.clone()).map(|counter, (key, n)| {
            counter.add(n);
            (key, n)
        });
        let sums = counted.sum_by_key().collect()?;
        Ok([said(sums), said([counter.value()])].concat())
    }),
    ("write_text", |bag, harm| {
        let out = harm.root.join("out");
        bag.clone()
            .map(|(key, n)| format!("{key} {n}"))
            .write_text(&out)?;
        Ok(vec![concatenation(&out)])
    }),
];

const DAMAGES: [Damage; 3] = [Damage::Flip, Damage::Truncate, Damage::Remove];
const MOMENTS: [Moment; 3] = [Moment::First, Moment::Midway, Moment::Late];

fn executors() -> Vec<Executor> {
    let mut executors = vec![Executor::Inline, Executor::Threads(2)];
    if all_settings() {
        executors.push(Executor::Threads(4));
    }
    if cfg!(target_os = "linux") {
        executors.push(Executor::Processes(2));
    }
    executors
}

fn context(executor: Executor, harm: &Harm) -> Context {
    let slots = match executor {
        Executor::Threads(slots) | Executor::Processes(slots) => slots,
        _ => 1,
    };
    let builder = Context::builder()
        .executor(executor)
        .memory((slots as u64) << 20);
    let builder = builder.spill_directory(harm.spill()).shuffle_partitions(8);
    builder
        .progress(false)
        .build()
        .expect("the settings are right")
}

#[derive(Clone, Copy, Debug)]
struct Case {
    executor: Executor,
    wide: usize,
    action: usize,
    reader: Reader,
    damage: Damage,
    moment: Moment,
}

fn all_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for wide in 0..WIDE.len() {
        for action in 0..ACTIONS.len() {
            for reader in READERS {
                for damage in DAMAGES {
                    for moment in MOMENTS {
                        cases.extend(executors().into_iter().map(|executor| Case {
                            executor,
                            wide,
                            action,
                            reader,
                            damage,
                            moment,
                        }));
                    }
                }
            }
        }
    }
    cases
}

/// Outcome of a case.
struct Outcome {
    answer: Vec<String>,
    /// Number of computed partitions of sources.
    computed: u64,
}

impl Case {
    fn run(self, is_harmed: bool) -> Outcome {
        let files = Files::new();
        let harm = Harm::new(&files, self.damage, self.moment);
        if !is_harmed {
            harm.prevent();
        }
        let context = context(self.executor, &harm);
        let bag = WIDE[self.wide].1(&context, &harm);
        let bag = read_by(self.reader, bag, &context);
        let answer = ACTIONS[self.action].1(&bag, &harm);
        let answer = answer.unwrap_or_else(|error| panic!("{self}: {error}"));
        drop((bag, context));
        assert_eq!(
            fs::read_dir(harm.spill()).expect("it is there").count(),
            0,
            "{self}"
        );
        Outcome {
            answer,
            computed: harm.computed(),
        }
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (wide, action) = (WIDE[self.wide].0, ACTIONS[self.action].0);
        let Self {
            executor,
            reader,
            damage,
            moment,
            ..
        } = self;
        write!(
            f,
            "{wide}, {action} on {executor:?}: {damage:?}, {moment:?}, by {reader:?}"
        )
    }
}

#[test]
fn damage_does_not_show_in_any_answer() {
    let mut cases = all_cases();
    if let Ok(part) = std::env::var("HOLDALL_RECOVERY_CASES") {
        cases.retain(|case| case.to_string().contains(&part));
    }
    let rounds = std::env::var("HOLDALL_RECOVERY_ROUNDS").unwrap_or("12".to_owned());
    let rounds = match &*rounds {
        "all" => cases.len(),
        number => number.parse().expect("a number of rounds, or all"),
    };
    // A step that is coprime to the number of cases reaches each of them, and few neighbours in a row.
    let step = cases.len() * 382 / 1_000;
    let step = (step..)
        .find(|step| gcd(*step, cases.len()) == 1)
        .expect("a prime");
    let clean = Mutex::new(HashMap::new());
    let clean = |case: Case| {
        let mut clean = clean.lock().expect("no case has failed");
        let outcome = clean
            .entry((case.wide, case.action, case.reader))
            .or_insert_with(|| {
                let executor = Executor::Inline;
                Arc::new(Case { executor, ..case }.run(false))
            });
        Arc::clone(outcome)
    };
    let mended: Mutex<HashMap<String, (usize, usize)>> = Mutex::default();
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let round = next.fetch_add(1, Ordering::Relaxed);
            if round >= rounds {
                return;
            }
            if round.is_multiple_of(500) && rounds > 500 {
                eprintln!("case {round} of {rounds}");
            }
            let case = cases[round * step % cases.len()];
            let clean = clean(case);
            let harmed = within_the_limit(&case.to_string(), move || case.run(true));
            assert!(harmed.answer == clean.answer, "{case}");
            let is_mended = harmed.computed > clean.computed;
            for key in [format!("{:?}", case.executor), format!("{:?}", case.damage)] {
                let mut mended = mended.lock().expect("no case has failed");
                let (mended, all) = mended.entry(key).or_default();
                *mended += usize::from(is_mended);
                *all += 1;
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    for (key, (mended, all)) in mended.into_inner().expect("no case has failed") {
        eprintln!("{key}: {mended} of {all} cases had to compute their sources again");
        assert!(
            all < 8 || mended * 3 > all,
            "{key}: only {mended} of {all} met the damage"
        );
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// If damage cuts a group short, the part before the damage appears in no result, whatever closures do with it.
#[test]
fn a_closure_that_sees_a_part_of_a_group_does_not_matter() {
    const VALUES: usize = 300;
    quiet_panics();
    for (number, executor) in executors().into_iter().enumerate() {
        let files = Files::new();
        let harm = Harm::new(&files, DAMAGES[number % 2], Moment::Midway);
        let context = context(executor, &harm);
        let groups = grouped(&context, &harm, 3_600).group_by_key();
        let groups = groups.with(harm.clone());
        let sums: Bag<u64> = if number % 2 == 0 {
            let sums = groups.map(|harm, (key, values)| {
                let values: Vec<_> = values.enumerate().collect();
                let count = values.len();
                assert!(count == VALUES, "{ON_PURPOSE}, {count} values of {key}");
                lengths(harm, key, values.into_iter().map(|(_, value)| value))
            });
            sums.boxed()
        } else {
            let sums = groups.try_map(|harm, (key, values)| {
                let mut count = 0;
                let sum = lengths(harm, key, values.inspect(|_| count += 1));
                if count == VALUES {
                    Ok(sum)
                } else {
                    Err("a part of a group")
                }
            });
            sums.boxed()
        };
        let sums = sums.map_partitions(|sums, emit| {
            let mut all = Vec::new();
            sums.for_each(|sum| all.push(sum));
            let expected = (2_100 * VALUES + VALUES * (VALUES - 1) / 2) as u64;
            assert!(
                all.iter().all(|sum| *sum == expected),
                "{ON_PURPOSE}, {all:?}"
            );
            all.into_iter().for_each(emit);
        });
        assert_eq!(sums.count().expect("it is mended"), 12, "{executor:?}");
    }
}

/// The result of a closure for a part of a group is not passed to the closures after it.
#[test]
fn no_result_of_a_part_of_a_group_is_passed_on() {
    const SUM: u64 = 300 * 2_100 + 300 * 299 / 2;
    for executor in executors() {
        for way in 0..3 {
            let files = Files::new();
            let harm = Harm::new(&files, Damage::Flip, Moment::Midway);
            let context = context(executor, &harm);
            let groups = grouped(&context, &harm, 3_600)
                .group_by_key()
                .with(harm.clone());
            let sums: Bag<u64> = match way {
                0 => groups
                    .map(|harm, (key, values)| lengths(harm, key, values))
                    .boxed(),
                1 => groups
                    .flat_map(|harm, (key, values)| [lengths(harm, key, values)])
                    .boxed(),
                _ => {
                    let texts = groups.flat_map_str(|harm, (key, values), emit| {
                        emit(&lengths(harm, key, values).to_string());
                    });
                    texts.map(|text| text.parse().expect("a number")).boxed()
                }
            };
            let seen = sums.with(harm.clone()).map(|harm, sum| {
                if sum != SUM {
                    fs::write(harm.root.join("cut"), sum.to_string()).expect("room");
                }
                sum
            });
            assert_eq!(
                seen.sum::<u64>().expect("it is mended"),
                12 * SUM,
                "{executor:?}"
            );
            assert!(
                harm.computed() > 9 && !files.path("cut").exists(),
                "{executor:?}, {way}"
            );
        }
    }
}

/// The same applies to a partition that is cut short.
#[test]
fn a_closure_that_sees_a_part_of_a_partition_does_not_matter() {
    quiet_panics();
    for executor in executors() {
        let files = Files::new();
        let harm = Harm::new(&files, Damage::Flip, Moment::Midway);
        let context = context(executor, &harm);
        let pairs = many(&context, &harm).partition_by(8).with(harm.clone());
        let counts = pairs.map_partitions_with_index(|harm, partition, pairs, emit| {
            let mut count = 0;
            pairs.for_each(|_| {
                count += 1;
                harm.read(partition, count);
            });
            assert!(count >= 400, "{ON_PURPOSE}, {count} pairs");
            emit(count as u64);
        });
        assert_eq!(
            counts.sum::<u64>().expect("it is mended"),
            3_600,
            "{executor:?}"
        );
        assert!(harm.computed() > 9, "{executor:?}");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Unit;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Skipped {
    #[serde(skip)]
    skipped: u8,
}

/// A value that serde encodes as no bytes.
trait Nothing: Copy + fmt::Debug + Ord + Serialize + DeserializeOwned + Send + Sync + 'static {
    const VALUE: Self;
}

macro_rules! nothing {
    ($($type:ty = $value:expr),*; $($other:ty = $other_value:expr),* $(,)?) => {
        $(impl Nothing for $type { const VALUE: Self = $value; })*
        $(impl Nothing for $other { const VALUE: Self = $other_value; })*

        fn check_all(context: &Context) {
            $(check_nothing::<$type>(context);)*
            if cfg!(not(sampled)) {
                $(check_nothing::<$other>(context);)*
            }
        }
    };
}

nothing! {
    () = (),
    ((), Unit, [Skipped; 2]) = ((), Unit, [Skipped { skipped: 0 }; 2]);
    Unit = Unit,
    ((), ()) = ((), ()),
    [u8; 0] = [],
    Skipped = Skipped { skipped: 0 },
    std::marker::PhantomData<String> = std::marker::PhantomData,
}

fn check_nothing<T: Nothing>(context: &Context) {
    let one = T::VALUE;
    let all = context.range(0..1_000).map(|_| T::VALUE).boxed();
    assert_eq!(all.collect().unwrap(), vec![one; 1_000]);
    assert_eq!(
        all.iter().unwrap().map(Result::unwrap).collect::<Vec<_>>(),
        vec![one; 1_000]
    );
    assert_eq!(all.take(70).unwrap(), vec![one; 70]);
    assert_eq!(all.first().unwrap(), Some(one));
    assert_eq!(all.find(|_| true).unwrap(), Some(one));
    assert_eq!(all.top(3).unwrap(), [one; 3]);
    assert_eq!(all.bottom(1_500).unwrap(), vec![one; 1_000]);
    assert_eq!(all.min().unwrap(), Some(one));
    assert_eq!(all.reduce(|a, _| a).unwrap(), Some(one));
    assert_eq!(all.fold(one, |a, _| a).unwrap(), one);
    assert_eq!(
        (all.count().unwrap(), all.is_empty().unwrap()),
        (1_000, false)
    );
    assert_eq!(all.clone().distinct().collect().unwrap(), [one]);
    assert_eq!(
        all.clone().count_by_value().collect().unwrap(),
        [(one, 1_000)]
    );
    assert_eq!(all.clone().sort().collect().unwrap(), vec![one; 1_000]);
    assert_eq!(
        all.clone().repartition(3).collect().unwrap(),
        vec![one; 1_000]
    );
    assert_eq!(
        all.clone().intersection(all.clone()).collect().unwrap(),
        [one]
    );
    assert_eq!(
        all.clone()
            .subtract(context.empty::<T>())
            .collect()
            .unwrap(),
        vec![one; 1_000]
    );
    assert_eq!(all.clone().subtract(all.clone()).collect().unwrap(), []);
    let other = all.clone().union(context.from_vec(vec![one; 5]));
    assert_eq!(other.collect().unwrap(), vec![one; 1_005]);
    let numbered = all.clone().zip_with_index().collect().unwrap();
    assert_eq!(numbered, (0..1_000).map(|n| (one, n)).collect::<Vec<_>>());
    check_sources_of_nothing::<T>(context);
    check_pairs_of_nothing::<T>(context);
}

fn check_sources_of_nothing<T: Nothing>(context: &Context) {
    let one = T::VALUE;
    let all = context.range(0..1_000).map(|_| T::VALUE).boxed();
    assert_eq!(context.from_vec(vec![one; 9]).collect().unwrap(), [one; 9]);
    assert_eq!(
        context.from_iter(vec![one; 99]).collect().unwrap(),
        vec![one; 99]
    );
    for persistence in [StorageLevel::MemoryThenDisk, StorageLevel::Disk] {
        let kept = all.clone().persist(persistence);
        for _ in 0..2 {
            assert_eq!(kept.collect().unwrap(), vec![one; 1_000]);
        }
    }
}

fn check_pairs_of_nothing<T: Nothing>(context: &Context) {
    let one = T::VALUE;
    let pairs = || context.range(0..100).map(|_| (T::VALUE, T::VALUE));
    let few = || context.range(0..10).map(|_| (T::VALUE, T::VALUE));
    let joined = pairs().join(few()).collect().unwrap();
    assert_eq!(joined, vec![(one, (one, one)); 1_000]);
    let joined = pairs().join_broadcast(few()).collect().unwrap();
    assert_eq!(joined, vec![(one, (one, one)); 1_000]);
    let joined = pairs().left_join(few()).collect().unwrap();
    assert_eq!(joined, vec![(one, (one, Some(one))); 1_000]);
    assert_eq!(
        pairs().semi_join(few()).collect().unwrap(),
        vec![(one, one); 100]
    );
    assert_eq!(pairs().anti_join(few()).collect().unwrap(), []);
    assert_eq!(pairs().keys().collect().unwrap(), vec![one; 100]);
    assert_eq!(
        pairs().partition_by(3).collect().unwrap(),
        vec![(one, one); 100]
    );
    let sorted = pairs().repartition_and_sort_within_partitions(3);
    assert_eq!(sorted.collect().unwrap(), vec![(one, one); 100]);
    assert_eq!(
        pairs().reduce_by_key(|a, _| a).collect().unwrap(),
        [(one, one)]
    );
    assert_eq!(
        pairs().group_by_key().collect().unwrap(),
        [(one, vec![one; 100])]
    );
    let groups = pairs().cogroup(few()).collect().unwrap();
    assert_eq!(groups, [(one, vec![one; 100], vec![one; 10])]);
}

#[test]
fn records_without_bytes_are_records() {
    on_every_executor_and_processes(check_all);
}

/// More records than a chunk may have, on worker processes.
#[test]
fn many_records_without_bytes_are_as_many() {
    let context = Context::builder().executor(Executor::Processes(2));
    let context = context
        .progress(false)
        .build()
        .expect("the settings are right");
    let units = context.range_partitioned(0..300_000, 3).map(|_| ());
    assert_eq!(units.collect().unwrap().len(), 300_000);
    assert_eq!(units.iter().unwrap().filter(Result::is_ok).count(), 300_000);
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic_any(Bomb);
    }
}

fn is_well(context: &Context) {
    assert_eq!(context.range(0..9).count().expect("it goes on"), 9);
}

#[test]
fn the_payload_of_a_panic_may_panic_when_it_is_dropped() {
    quiet_panics();
    on_every_executor_and_processes(|context| {
        let numbers = context.range(0..100).boxed();
        let bombs = || {
            numbers.clone().map(|n| {
                if n == 13 {
                    panic_any(Bomb);
                }
                n
            })
        };
        for error in [
            bombs().collect().unwrap_err(),
            bombs().iter().unwrap().last().unwrap().unwrap_err(),
            bombs().map(|n| (n, n)).sum_by_key().count().unwrap_err(),
            bombs().sort().count().unwrap_err(),
            numbers.reduce(|_, _| panic_any(Bomb)).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(text.contains("a panic without a message"), "{text}");
            is_well(context);
        }
    });
}

#[test]
fn the_payload_of_an_iterator_may_panic_when_it_is_dropped() {
    quiet_panics();
    on_every_executor_and_processes(|context| {
        let records = context.from_fn(|| {
            (0..100).inspect(|n| {
                if *n == 70 {
                    panic_any(Bomb)
                }
            })
        });
        let error = records.count().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::TaskPanicked { .. }),
            "{error}"
        );
        is_well(context);
    });
}

/// Panics when it is dropped, unless the thread is already panicking.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Brittle(u64);

impl Drop for Brittle {
    fn drop(&mut self) {
        assert!(self.0 != 13 || std::thread::panicking(), "{ON_PURPOSE}");
    }
}

/// If an error ends the task, computed records are dropped.
#[test]
fn a_record_that_panics_when_it_is_dropped_is_an_error() {
    quiet_panics();
    on_every_executor_and_processes(|context| {
        let brittle = || context.range_partitioned(0..100, 3).map(Brittle);
        let fails = || {
            brittle().try_map(|brittle| {
                let is_bad = brittle.0 == 20;
                if is_bad {
                    Err("it is bad")
                } else {
                    Ok(brittle)
                }
            })
        };
        let error = brittle().map(|brittle| brittle.0).count().unwrap_err();
        assert!(error.to_string().contains(ON_PURPOSE), "{error}");
        is_well(context);
        for error in [
            fails().collect().unwrap_err(),
            fails().sort().count().unwrap_err(),
            fails()
                .map(|brittle| (brittle.0, brittle))
                .reduce_by_key(|a, _| a)
                .count()
                .unwrap_err(),
            fails().top(50).unwrap_err(),
        ] {
            // A worker process drops a record after sending it, before it reaches the bad one.
            let text = error.to_string();
            assert!(
                text.contains("it is bad") || text.contains(ON_PURPOSE),
                "{text}"
            );
            is_well(context);
        }
    });
}

/// Panics or fails when it is decoded, encoded or formatted, according to its name.
#[derive(Clone, Debug)]
enum Awkward {
    Read,
    Written,
    Refused,
}

impl Serialize for Awkward {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        assert!(!matches!(self, Self::Written), "{ON_PURPOSE}, written");
        to.serialize_bool(matches!(self, Self::Read))
    }
}

impl<'de> Deserialize<'de> for Awkward {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        assert!(!bool::deserialize(from)?, "{ON_PURPOSE}, read");
        Err(serde::de::Error::custom("it is refused"))
    }
}

/// Asserts that an error names the method and a line of this file.
#[track_caller]
fn names(error: &Error, operator: &str, words: &str) {
    let place = error
        .context()
        .unwrap_or_else(|| panic!("without a place: {error}"));
    assert_eq!(place.operator, Some(operator), "{error}");
    assert_eq!(
        place.location.map(|location| location.file()),
        Some(file!()),
        "{error}"
    );
    assert!(error.to_string().contains(words), "{error}");
}

/// All values that are sent to workers and back may run user code.
#[cfg(target_os = "linux")]
#[test]
fn what_panics_or_fails_while_it_is_sent_is_an_error_with_a_place() {
    quiet_panics();
    let context = Context::builder().executor(Executor::Processes(2));
    let context = context
        .progress(false)
        .build()
        .expect("the settings are right");
    let numbers = || context.range_partitioned(0..100, 4);
    let ways = [
        (Awkward::Read, "on purpose, read"),
        (Awkward::Written, "on purpose, written"),
        (Awkward::Refused, "it is refused"),
    ];
    for (awkward, words) in ways {
        // State.
        let counted = numbers().with(awkward.clone()).filter(|_, _| true).count();
        names(&counted.unwrap_err(), "filter", words);
        let sorted = numbers()
            .with(awkward.clone())
            .sort_by(|_, a, b| a.cmp(b))
            .count();
        names(&sorted.unwrap_err(), "sort_by", words);
        let each = numbers().with(awkward.clone()).for_each(|_, _| ());
        names(&each.unwrap_err(), "for_each", words);
        // An initial value, and therefore a result.
        let folded = numbers().aggregate(awkward.clone(), |a, _| a, |a, _| a);
        names(&folded.unwrap_err(), "aggregate", words);
        // Records of the driver.
        let records = vec![awkward.clone(); 9];
        names(
            &context.from_vec(records.clone()).count().unwrap_err(),
            "from_vec",
            words,
        );
        names(
            &context.from_iter(records).count().unwrap_err(),
            "from_iter",
            words,
        );
        is_well(&context);
    }
    // Results.
    let reads = numbers().map(|_| Awkward::Read);
    names(&reads.collect().unwrap_err(), "collect", "on purpose, read");
    let writes = numbers().map(|_| Awkward::Written);
    names(
        &writes.collect().unwrap_err(),
        "collect",
        "on purpose, written",
    );
    let refused = numbers().map(|_| Awkward::Refused);
    names(&refused.first().unwrap_err(), "first", "it is refused");
    // Records of a shuffle.
    let shuffled = numbers().map(|n| (n, Awkward::Read)).group_by_key();
    let error = shuffled
        .map(|(_, values)| values.count())
        .count()
        .unwrap_err();
    assert!(error.to_string().contains("on purpose, read"), "{error}");
    is_well(&context);
}

#[derive(Debug)]
struct Silent;

impl fmt::Display for Silent {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("{ON_PURPOSE}, shown");
    }
}

impl std::error::Error for Silent {}

#[cfg(target_os = "linux")]
#[test]
fn an_error_of_a_worker_that_panics_when_it_is_shown_is_one() {
    quiet_panics();
    let context = Context::builder().executor(Executor::Processes(1));
    let context = context
        .progress(false)
        .build()
        .expect("the settings are right");
    let error = context
        .range(0..9)
        .try_map(|_| Err::<u8, _>(Silent))
        .count()
        .unwrap_err();
    names(&error, "try_map", "on purpose, shown");
    is_well(&context);
}

/// Returns the records of a partition in which the worker dies at its first attempt.
#[cfg(target_os = "linux")]
fn dies_once(context: &Context, files: &Files, number: fn(u64, bool) -> u64) -> Bag<(u64, String)> {
    let state = (files.path("died"), vec![number(3, false), number(3, true)]);
    let numbers = context.range_partitioned(0..400, 1).with(state);
    let records = numbers.map_partitions(|(died, numbers), records, emit| {
        let is_first = !died.exists();
        let offset = numbers[usize::from(!is_first)];
        records.for_each(|n| {
            if is_first && n == 300 {
                fs::write(died, "").expect("room");
                std::process::abort();
            }
            emit((n + offset, "x".repeat(1_000)));
        });
    });
    records.boxed()
}

#[cfg(target_os = "linux")]
#[test]
fn a_lost_partition_is_resumed_only_if_its_records_are_the_same() {
    let run = |number: fn(u64, bool) -> u64| {
        let files = Files::new();
        let context = Context::builder().executor(Executor::Processes(1));
        let context = context
            .progress(false)
            .build()
            .expect("the settings are right");
        let records = dies_once(&context, &files, number);
        let collected = records.collect();
        assert!(files.path("died").exists());
        collected
    };
    let records = run(|n, _| n).expect("the same comes again");
    let expected = (0..400).map(|n| (n + 3, "x".repeat(1_000)));
    assert!(records.into_iter().eq(expected));
    let error = run(|n, is_again| n + u64::from(is_again)).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::NotRepeatable { .. }),
        "{error}"
    );
    names(&error, "map_partitions", "same records each time");
}

/// `iter` has returned records of a partition that is computed again.
#[test]
fn iter_continues_only_if_the_same_records_recur() {
    for executor in executors() {
        let files = Files::new();
        let harm = Harm::new(&files, Damage::Flip, Moment::Late);
        let context = context(executor, &harm);
        let read = read(many(&context, &harm).partition_by(8), &harm);
        let marked = read.with(harm.clone()).map(|harm, (key, n)| {
            let is_again = harm.root.join("struck").exists();
            (short(&key), n, is_again)
        });
        let records: Result<Vec<_>> = marked.iter().unwrap().collect();
        match records {
            // The damage may have been found before the first record.
            Ok(records) => assert_eq!(records.len(), 3_600),
            Err(error) => names(&error, "iter", "same records each time"),
        }
    }
}

/// Counters count the work that a map stage does after its tasks once, however often the stage runs.
#[test]
fn counters_count_once_what_is_computed_again() {
    for executor in executors() {
        let [clean, harmed] = [false, true].map(|is_harmed| {
            let files = Files::new();
            let harm = Harm::new(&files, Damage::Remove, Moment::First);
            if !is_harmed {
                harm.prevent();
            }
            let context = context(executor, &harm);
            let counter = Counter::new("comparisons and records");
            let pairs = many(&context, &harm).with(counter.clone());
            let sorted = pairs.sort_by(|counter, a, b| {
                counter.add(1);
                a.cmp(b)
            });
            let counted = sorted.with(counter.clone()).map(|counter, pair| {
                counter.add(1);
                pair
            });
            assert_eq!(read(counted.boxed(), &harm).count().unwrap(), 3_600);
            assert_eq!(harm.computed() > 9, is_harmed, "{executor:?}");
            counter.value()
        });
        // The number of comparisons depends on how the memory is shared.
        assert!(
            clean > 10_000 && harmed < clean * 5 / 4,
            "{executor:?}: {harmed}, not {clean}"
        );
    }
}
