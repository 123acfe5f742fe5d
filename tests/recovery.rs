//! Damage to spilled files, whatever reads them and whatever is computed of them: each answer is the one without damage.
//!
//! `HOLDALL_RECOVERY_ROUNDS` sets the number of rounds, each of another case; `all` runs all cases.

mod common;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use common::{Files, concatenation, within_the_limit};
use holdall::{Bag, Context, Counter, Executor, Persistence, Pipeline, Record, Result};
use serde::{Deserialize, Serialize};

/// What all bags come to in the end.
type Pairs = Bag<(String, u64)>;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Damage {
    Flip,
    Truncate,
    Remove,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Moment {
    /// Before the first record of the first partition to be read is read.
    First,
    /// When a few records have been read.
    Midway,
    /// When a few records of a later partition have been read.
    Late,
}

/// What is done to the spilled files of a job, once, by whichever process comes to it first.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Harm {
    root: PathBuf,
    damage: Damage,
    moment: Moment,
}

impl Harm {
    fn spill(&self) -> PathBuf {
        self.root.join("spill")
    }

    /// Notes that a partition of a source is computed.
    fn note(&self) {
        let mut options = File::options();
        let log = options.append(true).create(true);
        let log = log.open(self.root.join("computed"));
        log.and_then(|mut log| log.write_all(b".")).expect("room");
    }

    /// How many partitions of sources have been computed.
    fn computed(&self) -> u64 {
        fs::metadata(self.root.join("computed")).map_or(0, |log| log.len())
    }

    /// Does nothing from now on.
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
            // Another task may have been the last to read it.
            let file = File::options().read(true).write(true).open(&path);
            let Ok(mut file) = file else { continue };
            let length = file.metadata().expect("a file").len();
            match self.damage {
                Damage::Flip => (0..5).for_each(|fifth| flip(&mut file, length * fifth / 5)),
                Damage::Truncate => file.set_len(length / 2).expect("to cut it"),
                Damage::Remove => fs::remove_file(&path).expect("to remove it"),
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

/// Pairs with long keys, most of which come more than once.
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

/// A few keys with many long values each.
fn grouped(context: &Context, harm: &Harm, count: u64) -> Bag<(u64, String)> {
    let pairs = pairs(context, harm, count);
    pairs.map(|(key, n)| (n % 12, key)).boxed()
}

/// Reads a bag, and does the harm meanwhile.
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

/// Each wide method, read with harm.
const WIDE: [(&str, Wide); 27] = [
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
            many(context, harm).fold_by_key(7, |a, b| a.max(b)),
            harm,
        ))
    }),
    ("aggregate_by_key", |context, harm| {
        let longest = many(context, harm).aggregate_by_key(0_u64, |a, b| a + b % 10, |a, b| a + b);
        shortened(read(longest, harm))
    }),
    ("combine_by_key", |context, harm| {
        let lists = many(context, harm).combine_by_key(
            |n| vec![n],
            |mut list, n| {
                list.push(n);
                list
            },
            |mut list, mut later| {
                list.append(&mut later);
                list
            },
        );
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
        let kept = many(context, harm).sum_by_key().persist(Persistence::Disk);
        assert!(kept.count().expect("no harm has been done") > 0);
        shortened(read(kept, harm))
    }),
    ("union", |context, harm| {
        let both = many(context, harm)
            .sum_by_key()
            .union(few(context, harm).sort());
        shortened(read(both, harm))
    }),
];

/// What reads the bag: the stage of the action, or the map side of another shuffle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Reader {
    Action,
    Map,
    /// As the first, where damage is found in a partition that another shuffle has been joined to.
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
        // A counter counts each partition once, however often that was tried.
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
    let mut executors = vec![
        Executor::Inline,
        Executor::ThreadPool(2),
        Executor::ThreadPool(4),
    ];
    if cfg!(target_os = "linux") {
        executors.push(Executor::Processes(2));
    }
    executors
}

fn context(executor: Executor, harm: &Harm) -> Context {
    let slots = match executor {
        Executor::ThreadPool(slots) | Executor::Processes(slots) => slots,
        _ => 1,
    };
    let builder = Context::builder().executor(executor).memory(slots << 20);
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

/// What has come of a case.
struct Outcome {
    answer: Vec<String>,
    /// How many partitions of sources were computed.
    computed: u64,
}

impl Case {
    fn run(self, is_harmed: bool) -> Outcome {
        let files = Files::new();
        let harm = Harm {
            root: files.root().to_owned(),
            damage: self.damage,
            moment: self.moment,
        };
        fs::create_dir(harm.spill()).expect("room");
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
    let cases = all_cases();
    let rounds = std::env::var("HOLDALL_RECOVERY_ROUNDS").unwrap_or("48".to_owned());
    let rounds = match &*rounds {
        "all" => cases.len(),
        number => number.parse().expect("a number of rounds, or all"),
    };
    // A step without a divisor in common with the number of cases comes to each of them, and to few neighbours.
    let step = cases.len() * 382 / 1_000;
    let step = (step..)
        .find(|step| gcd(*step, cases.len()) == 1)
        .expect("a prime");
    let mut clean = HashMap::new();
    let mut mended: HashMap<String, (usize, usize)> = HashMap::new();
    for round in 0..rounds {
        let case = cases[round * step % cases.len()];
        let clean = clean
            .entry((case.wide, case.action, case.reader))
            .or_insert_with(|| {
                let executor = Executor::Inline;
                Case { executor, ..case }.run(false)
            });
        let harmed = within_the_limit(&case.to_string(), move || case.run(true));
        assert!(harmed.answer == clean.answer, "{case}");
        let is_mended = harmed.computed > clean.computed;
        for key in [format!("{:?}", case.executor), format!("{:?}", case.damage)] {
            let (mended, all) = mended.entry(key).or_default();
            *mended += usize::from(is_mended);
            *all += 1;
        }
    }
    for (key, (mended, all)) in mended {
        println!("{key}: {mended} of {all} cases had to compute their sources again");
        assert!(
            all < 8 || mended * 3 > all,
            "{key}: only {mended} of {all} met the damage"
        );
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
