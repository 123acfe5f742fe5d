//! Compares random pipelines with vector operations of the same meaning.
//!
//! `HOLDALL_FUZZ_CASES` is the number of cases. `HOLDALL_FUZZ_SEED` runs one case again; a failure prints its seed.

use std::collections::HashMap;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use holdall::{Bag, Context, Data, Executor, Pipeline};

use crate::common::{Files, hash, key_bytes, sort_as_keyed, within_the_limit};

const CASES: u64 = 200;
const MAX_STEPS: u64 = 8;

/// Number of records from which on a pipeline gets no further steps that add records.
const MAX_RECORDS: usize = 4_000;

/// Lengths of texts: most are short, some exceed a slot of a table, and some exceed a frame of a file.
const TEXT_BYTES: [usize; 8] = [0, 1, 8, 14, 15, 16, 700, 5_000];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// A bag, and the expected content of its partitions.
#[derive(Clone)]
struct Both<T: 'static> {
    bag: Bag<T>,
    partitions: Vec<Vec<T>>,
    /// If `true`, the bag's partitions arrive one by one, so their number is unknown.
    is_streamed: bool,
}

/// The current bag of a pipeline.
enum State {
    Numbers(Both<u64>),
    Pairs(Both<(u64, u64)>),
    Texts(Both<String>),
}

impl<T: Data + Clone + Sync> Both<T> {
    fn len(&self) -> usize {
        self.partitions.iter().map(Vec::len).sum()
    }

    /// Applies a step that processes one record at a time.
    fn each<U, P>(self, bag: Bag<U, P>, f: impl Fn(T) -> Vec<U>) -> Both<U>
    where
        P: Pipeline<Out = U>,
    {
        let each = |records: Vec<T>| records.into_iter().flat_map(&f).collect();
        Both {
            bag: bag.boxed(),
            partitions: self.partitions.into_iter().map(each).collect(),
            is_streamed: self.is_streamed,
        }
    }

    fn map<U: 'static>(self, f: impl Fn(T) -> U + Clone + Send + Sync + 'static) -> Both<U> {
        let bag = self.bag.clone().map(f.clone());
        self.each(bag, |record| vec![f(record)])
    }

    fn filter(self, f: impl Fn(&T) -> bool + Clone + Send + Sync + 'static) -> Self {
        let g = f.clone();
        let bag = self.bag.clone().filter(move |record| g(record));
        self.each(bag, |record| if f(&record) { vec![record] } else { vec![] })
    }

    fn flat_map(self, f: impl Fn(T) -> Vec<T> + Clone + Send + Sync + 'static) -> Self {
        let bag = self.bag.clone().flat_map(f.clone());
        self.each(bag, f)
    }

    fn union(self, other: Self) -> Self {
        Self {
            bag: self.bag.union(other.bag).boxed(),
            partitions: [self.partitions, other.partitions].concat(),
            is_streamed: self.is_streamed || other.is_streamed,
        }
    }

    fn coalesce(mut self, most: usize) -> Self {
        self.bag = self.bag.coalesce(most).boxed();
        if !self.is_streamed {
            let (old, new) = (self.partitions.len(), self.partitions.len().min(most));
            let at = |i: usize| (old * i).checked_div(new).unwrap_or(0);
            let merged = |i| self.partitions[at(i)..at(i + 1)].concat();
            self.partitions = (0..new).map(merged).collect();
        }
        self
    }

    fn repartition(self, to: usize) -> Self {
        let mut new = vec![Vec::new(); to];
        for (task, records) in self.partitions.into_iter().enumerate() {
            for (position, record) in records.into_iter().enumerate() {
                new[(task + position) % to].push(record);
            }
        }
        Self {
            bag: self.bag.repartition(to),
            partitions: new,
            is_streamed: false,
        }
    }

    /// Applies a step for any type of records.
    fn step(self, random: &mut Random) -> Self {
        match random.below(5) {
            0 => self.repartition(random.one_of(&[1, 2, 7, 70])),
            1 => self.coalesce(random.one_of(&[1, 2, 5, 1_000])),
            2 if self.len() <= MAX_RECORDS => self.clone().union(self),
            3 if self.len() <= MAX_RECORDS => self.flat_map(|record| vec![record.clone(), record]),
            _ => {
                let keep = random.below(4);
                self.filter(move |record| hash(&key_bytes(record)) % 4 != keep)
            }
        }
    }
}

/// Returns the expected content of a keyed bag: the reduced values of each key, in the partition and order of its hash.
fn keyed<K, V>(
    partitions: Vec<Vec<(K, V)>>,
    shuffle_partitions: usize,
    reduce: impl Fn(V, V) -> V,
) -> Vec<Vec<(K, V)>>
where
    K: Data + Eq + std::hash::Hash + Clone,
{
    let mut values: HashMap<K, Option<V>> = HashMap::new();
    for (key, value) in partitions.into_iter().flatten() {
        let reduced = values.entry(key).or_default();
        *reduced = Some(match reduced.take() {
            Some(before) => reduce(before, value),
            None => value,
        });
    }
    let mut new: Vec<Vec<(K, V)>> = (0..shuffle_partitions).map(|_| Vec::new()).collect();
    for (key, value) in values {
        let value = value.expect("each key has a value");
        new[partition_of(&key, shuffle_partitions)].push((key, value));
    }
    for records in &mut new {
        sort_as_keyed(records, |(key, _)| key_bytes(key));
    }
    new
}

/// Returns the expected result of `distinct`.
fn distinct<T>(partitions: Vec<Vec<T>>, to: usize) -> Vec<Vec<T>>
where
    T: Data + Eq + std::hash::Hash + Clone,
{
    let pairs = partitions.into_iter().map(with(())).collect();
    let all = keyed(pairs, to, |(), ()| ());
    let records = |pairs: Vec<_>| pairs.into_iter().map(|(record, ())| record).collect();
    all.into_iter().map(records).collect()
}

fn partition_of<K: Data>(key: &K, partitions: usize) -> usize {
    let scaled = u128::from(hash(&key_bytes(key))) * partitions as u128;
    (scaled >> 64) as usize
}

fn shuffled<T>(bag: Bag<T>, partitions: Vec<Vec<T>>) -> Both<T> {
    Both {
        bag,
        partitions,
        is_streamed: false,
    }
}

/// Creates bags on one context.
struct Maker<'r> {
    random: &'r mut Random,
    context: Context,
    shuffle_partitions: usize,
}

impl Maker<'_> {
    fn numbers(&mut self) -> Both<u64> {
        let len = self.random.one_of(&[0, 1, 10, 300, 2_000]);
        let most = self.random.one_of(&[1, 10, 1_000, u64::MAX]);
        let records: Vec<_> = (0..len).map(|_| self.random.below(most)).collect();
        if self.random.below(4) == 0 {
            // Partitions of 64 records, then 128, and so on up to 1024.
            let mut left = &records[..];
            let mut partitions = Vec::new();
            for size in (6..=10).map(|n| 1 << n).chain(std::iter::repeat(1 << 10)) {
                if left.is_empty() {
                    break;
                }
                let (now, later) = left.split_at(left.len().min(size));
                partitions.push(now.to_vec());
                left = later;
            }
            return Both {
                bag: self.context.from_iter(records.clone()).boxed(),
                partitions,
                is_streamed: true,
            };
        }
        let parts = self.random.one_of(&[1, 3, 20, 400]);
        let at = |i: usize| records.len() * i / parts;
        let partition = |i| records[at(i)..at(i + 1)].to_vec();
        let partitions = (0..parts).map(partition).collect();
        let bag = self.context.from_vec_partitioned(records.clone(), parts);
        shuffled(bag.boxed(), partitions)
    }

    fn step(&mut self, state: State) -> State {
        if self.random.below(3) == 0 {
            return match state {
                State::Numbers(both) => State::Numbers(both.step(self.random)),
                State::Pairs(both) => State::Pairs(both.step(self.random)),
                State::Texts(both) => State::Texts(both.step(self.random)),
            };
        }
        match state {
            State::Numbers(both) => self.step_numbers(both),
            State::Pairs(both) => self.step_pairs(both),
            State::Texts(both) => self.step_texts(both),
        }
    }

    /// Returns the number of partitions of a bag that is combined by key: that of the input if it is partitioned by key
    /// already, or that of a shuffle.
    fn partitions_of<T: 'static, P: Pipeline<Out = T>>(
        &self,
        keyed: &Bag<T, P>,
        input: usize,
    ) -> usize {
        let to = keyed.partitions().expect("a shuffle has a number");
        assert!([self.shuffle_partitions, input].contains(&to), "{to}");
        to
    }

    fn step_numbers(&mut self, both: Both<u64>) -> State {
        let input = both.partitions.len();
        let n = self.random.one_of(&[1, 2, 50, 1_000, u64::MAX]);
        match self.random.below(6) {
            0 => State::Numbers(both.map(move |record| record.wrapping_mul(3) % n)),
            1 => State::Numbers(both.union(self.numbers())),
            2 => {
                let bag = both.bag.distinct();
                let all = distinct(both.partitions, self.partitions_of(&bag, input));
                State::Numbers(shuffled(bag, all))
            }
            3 => {
                let bag = both.bag.count_by_value();
                let ones = both.partitions.into_iter().map(with(1));
                let to = self.partitions_of(&bag, input);
                State::Pairs(shuffled(bag, keyed(ones.collect(), to, |a, b| a + b)))
            }
            4 => State::Pairs(both.map(move |record| (record % n, record / 3))),
            _ => {
                let bytes = self.random.one_of(&TEXT_BYTES);
                State::Texts(both.map(move |record| format!("{record:0>bytes$}")))
            }
        }
    }

    fn step_pairs(&mut self, both: Both<(u64, u64)>) -> State {
        let old = both.partitions.clone();
        let input = old.len();
        let (bag, new) = match self.random.below(7) {
            0 => return State::Numbers(both.map(|(key, value)| key ^ value)),
            1 => return State::Pairs(both.map(|(key, value)| (value, key))),
            2 => return State::Texts(both.map(|(key, value)| format!("{key} {value}"))),
            3 => {
                let ones = |(key, _)| (key, 1);
                let ones = old.into_iter().map(|pairs| pairs.into_iter().map(ones));
                let ones = ones.map(Iterator::collect).collect();
                let bag = both.bag.count_by_key();
                let to = self.partitions_of(&bag, input);
                (bag, keyed(ones, to, |a, b| a + b))
            }
            4 => {
                let sums = both.map(|(key, value)| (key, value % 1_000_000));
                let bag = sums.bag.sum_by_key();
                let to = self.partitions_of(&bag, input);
                (bag, keyed(sums.partitions, to, |a, b| a + b))
            }
            5 => {
                let bag = both.bag.reduce_by_key(|_, last| last);
                let to = self.partitions_of(&bag, input);
                (bag, keyed(old, to, |_, last| last))
            }
            _ => {
                let to = self.random.one_of(&[1, 3, 90]);
                let mut new = vec![Vec::new(); to];
                for (key, value) in old.into_iter().flatten() {
                    new[partition_of(&key, to)].push((key, value));
                }
                (both.bag.partition_by(to), new)
            }
        };
        State::Pairs(shuffled(bag, new))
    }

    fn step_texts(&mut self, both: Both<String>) -> State {
        let input = both.partitions.len();
        match self.random.below(5) {
            0 => State::Numbers(both.map(|text| hash(text.as_bytes()) % 3_000)),
            1 => {
                let bytes = self.random.one_of(&TEXT_BYTES);
                State::Texts(both.map(move |text| text.chars().rev().take(bytes).collect()))
            }
            2 => {
                let bag = both.bag.count_by_value();
                let ones = both.partitions.into_iter().map(with(1));
                let to = self.partitions_of(&bag, input);
                let counts = shuffled(bag, keyed(ones.collect(), to, |a, b| a + b));
                State::Texts(counts.map(|(text, count)| format!("{text}{count}")))
            }
            3 => {
                let bag = both.bag.distinct();
                let all = distinct(both.partitions, self.partitions_of(&bag, input));
                State::Texts(shuffled(bag, all))
            }
            // Concatenation reveals the order.
            _ => {
                let n = self.random.one_of(&[1, 10, 400]);
                let pairs = both.map(move |text| (hash(text.as_bytes()) % n, text));
                let bag = pairs.bag.fold_by_key(String::new(), |a, b| a.push_str(&b));
                let to = self.partitions_of(&bag, input);
                let new = keyed(pairs.partitions, to, |a, b| a + &b);
                let texts = shuffled(bag, new).map(|(key, text)| format!("{key}{text}"));
                State::Texts(texts)
            }
        }
    }
}

/// Appends `value` to each record.
fn with<T, V: Clone>(value: V) -> impl Fn(Vec<T>) -> Vec<(T, V)> {
    move |records| {
        let pair = |record| (record, value.clone());
        records.into_iter().map(pair).collect()
    }
}

/// Checks records, their order and their partitions. Returns `true` if the job spilled.
fn check<T: Data + PartialEq + Debug>(both: Both<T>, context: &Context) -> bool {
    let flat = both.partitions.into_iter().enumerate();
    let flat = flat.flat_map(|(index, records)| records.into_iter().map(move |r| (index, r)));
    let expected: Vec<_> = flat.collect();
    let numbered = both.bag.map_partitions_with_index(|index, records, emit| {
        records.for_each(|record| emit((index, record)));
    });
    let found = numbered.collect().expect("nothing fails");
    let different = found.iter().zip(&expected).position(|(a, b)| a != b);
    assert_eq!(different, None, "the first record that is another");
    assert_eq!(found.len(), expected.len(), "another number of records");
    let summary = context.last_job().expect("a job has run");
    summary.stages.iter().any(|stage| stage.spilled_bytes > 0)
}

/// Runs the pipeline of a seed. Returns `true` if its job spilled.
fn run(seed: u64) -> bool {
    let random = &mut Random(seed);
    let files = Files::new();
    let threads = random.one_of(&[0, 1, 2, 7]);
    let executor = match threads {
        0 => Executor::Inline,
        threads => Executor::Threads(threads),
    };
    let budget = (random.one_of(&[1, 1, 2, 1_000]) * threads.max(1)) << 20;
    let shuffle_partitions = random.one_of(&[1, 3, 64]);
    let context = Context::builder()
        .executor(executor)
        .memory(budget as u64)
        .shuffle_partitions(shuffle_partitions)
        .spill_directory(files.root())
        .progress(false)
        .build()
        .expect("the settings are right");
    let steps = random.below(MAX_STEPS) + 1;
    let mut maker = Maker {
        random,
        context: context.clone(),
        shuffle_partitions,
    };
    let mut state = State::Numbers(maker.numbers());
    for _ in 0..steps {
        state = maker.step(state);
    }
    let spilled = match state {
        State::Numbers(both) => check(both, &context),
        State::Pairs(both) => check(both, &context),
        State::Texts(both) => check(both, &context),
    };
    assert!(files.names().is_empty(), "left behind: {:?}", files.names());
    spilled
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a whole number"))
}

#[test]
fn random_pipelines_give_what_vectors_give() {
    let seeds = match variable("HOLDALL_FUZZ_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..variable("HOLDALL_FUZZ_CASES").unwrap_or(CASES),
    };
    let mut spilled = 0;
    for seed in seeds.clone() {
        let name = format!("seed {seed}");
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            within_the_limit(&name, move || run(seed))
        }));
        match outcome {
            Ok(has_spilled) => spilled += u64::from(has_spilled),
            Err(payload) => {
                eprintln!("to run it again: HOLDALL_FUZZ_SEED={seed}");
                resume_unwind(payload);
            }
        }
    }
    eprintln!("{spilled} of {} spilled", seeds.end - seeds.start);
    assert!(seeds.end - seeds.start < CASES || spilled > CASES / 20);
}
