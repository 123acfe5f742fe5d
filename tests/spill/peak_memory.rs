//! Memory of a whole process: the budget plus a constant, whatever the data.
#![cfg(target_os = "linux")]

use std::fs;

use holdall::{Bag, Context, Executor};

use super::common::Files;
use super::{child, spilled_bytes};

const BUDGET_BYTES: usize = 16 << 20;

/// Maximum memory of a process besides its budget, in bytes.
const CONSTANT_BYTES: usize = 64 << 20;

const MB: u64 = 1_000_000;

/// Work of a child. Returns the number of records. The table also has the name of each work, and whether it must spill.
type Work = fn(&Context) -> u64;

const WORKS: [(&str, Work, bool); 12] = [
    ("distinct words", distinct_words, true),
    ("sums of short keys", sums_of_short_keys, true),
    ("one huge key", one_huge_key, false),
    ("strings by closures", strings_by_closures, true),
    ("keys longer than a frame", long_keys, true),
    ("long values", long_values, true),
    ("many tasks", many_tasks, false),
    ("many small tasks", many_small_tasks, false),
    ("repartition", repartition, true),
    ("a group of one huge key", huge_group, true),
    ("two groups of one huge key", huge_groups, true),
    ("a join of one huge key", huge_join, true),
];

/// Returns a word of `bytes` bytes that barely compresses. Different numbers have different words.
fn word(n: u64, bytes: usize) -> String {
    let mut word = String::with_capacity(bytes + 16);
    let mut state = n;
    while word.len() < bytes {
        // With an odd factor and an odd summand, different numbers remain different.
        state = state.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
        word.push_str(&format!("{state:016x}"));
    }
    word.truncate(bytes.max(16));
    word
}

fn count<T: Send + 'static>(bag: &Bag<T>) -> u64 {
    bag.count().expect("nothing fails")
}

/// Counts 120 MB of words.
fn distinct_words(context: &Context) -> u64 {
    let numbers = context.range_partitioned(0..120 * MB / 200, 64);
    let words = numbers.flat_map_str(|n, emit| emit(&word(n, 200)));
    count(&words.count_by_value())
}

fn sums_of_short_keys(context: &Context) -> u64 {
    let numbers = context.range_partitioned(0..MB, 64);
    let sums = numbers.map(|n| (n, n)).sum_by_key();
    count(&sums)
}

fn one_huge_key(context: &Context) -> u64 {
    let numbers = context.range_partitioned(0..2 * MB, 64);
    let sums = numbers.map(|n| (7_u64, n)).sum_by_key();
    count(&sums)
}

fn strings_by_closures(context: &Context) -> u64 {
    let numbers = context.range_partitioned(0..400_000, 64);
    let pairs = numbers.map(|n| (n % 200_000, word(n, 200)));
    count(&pairs.reduce_by_key(|a, b| a + &b))
}

/// Sums by 120 MB of keys.
fn long_keys(context: &Context) -> u64 {
    let numbers = context.range_partitioned(0..1_200, 64);
    let pairs = numbers.map(|n| (word(n, 100_000), n));
    count(&pairs.sum_by_key())
}

/// Reduces 120 MB of values.
fn long_values(context: &Context) -> u64 {
    let numbers = context.range_partitioned(0..1_200, 64);
    let pairs = numbers.map(|n| (n, word(n, 100_000)));
    count(&pairs.reduce_by_key(|a, _| a))
}

fn many_tasks(context: &Context) -> u64 {
    let numbers = context.range_partitioned(0..MB / 8, 10_000);
    let pairs = numbers.map(|n| (n, word(n, 40)));
    count(&pairs.sum_lengths())
}

fn many_small_tasks(context: &Context) -> u64 {
    let numbers = context.range_partitioned(0..20_000, 10_000);
    let pairs = numbers.map(|n| (n % 1_000, word(n, 10)));
    count(&pairs.sum_lengths())
}

fn repartition(context: &Context) -> u64 {
    let numbers = context.range_partitioned(0..120 * MB / 200, 64);
    count(&numbers.map(|n| word(n, 200)).repartition(100))
}

/// Groups 100 MB of values by one key.
fn huge_group(context: &Context) -> u64 {
    let numbers = context.range_partitioned(0..500_000, 64);
    let groups = numbers.map(|n| (7_u64, word(n, 200))).group_by_key();
    let lengths = groups.map(|(_, values)| values.map(|word| word.len() as u64).sum::<u64>());
    let lengths = lengths.collect().expect("nothing fails");
    assert_eq!(lengths, [100 * MB]);
    1
}

/// Groups millions of values by one key.
fn huge_groups(context: &Context) -> u64 {
    let pairs = |count| context.range_partitioned(0..count, 64).map(|n| (7_u64, n));
    let groups = pairs(3 * MB / 2).cogroup(pairs(MB / 2));
    let counts = groups.map(|(_, left, right)| (left.count() as u64, right.count() as u64));
    assert_eq!(
        counts.collect().expect("nothing fails"),
        [(3 * MB / 2, MB / 2)]
    );
    1
}

/// Joins by one key. The side with 100 MB of values is read again for each value of the other.
fn huge_join(context: &Context) -> u64 {
    let left = context.range_partitioned(0..3, 3).map(|n| (7_u64, n));
    let right = context.range_partitioned(0..100_000, 64);
    let rows = left.join(right.map(|n| (7_u64, word(n, 1_000))));
    let rows = count(&rows);
    assert_eq!(rows, 300_000);
    rows
}

trait SumLengths {
    fn sum_lengths(self) -> Bag<(u64, u64)>;
}

impl<P: holdall::Pipeline<Out = (u64, String)>> SumLengths for Bag<(u64, String), P> {
    /// Uses closures, so that each task leaves separate results.
    fn sum_lengths(self) -> Bag<(u64, u64)> {
        let lengths = self.map_values(|text| text.len() as u64);
        lengths.reduce_by_key(|a, b| a + b)
    }
}

/// Returns the maximum resident set of this process so far.
fn peak_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse::<usize>().ok())
        .expect("a number")
        << 10
}

/// Not a test of its own: a process that does one work, and prints its memory.
#[test]
fn child_works() {
    let Some((directory, name)) = child::task() else {
        return;
    };
    let context = Context::builder()
        .executor(Executor::Threads(2))
        .memory(BUDGET_BYTES as u64)
        .spill_directory(directory)
        .progress(false)
        .build()
        .expect("the settings are right");
    let work = WORKS.iter().find(|(other, ..)| *other == name);
    let (_, work, _) = work.expect("one of the works");
    let records = work(&context);
    eprintln!(
        "result {} {} {records}",
        peak_bytes(),
        spilled_bytes(&context)
    );
}

fn measure(name: &str) {
    let (_, _, must_spill) = WORKS.iter().find(|(other, ..)| *other == name).expect("it");
    let files = Files::new();
    let mut child = child::command("peak_memory::child_works", files.root(), name);
    let output = child.output().expect("start this program again");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {errors}");
    let result = errors.lines().find_map(|line| line.strip_prefix("result "));
    let numbers = result
        .expect("it tells")
        .split(' ')
        .map(str::parse::<usize>);
    let numbers: Vec<_> = numbers.map(|n| n.expect("a number")).collect();
    let [peak, spilled, records] = numbers[..] else {
        panic!("three numbers, not {numbers:?}");
    };
    let beside = peak.saturating_sub(BUDGET_BYTES);
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    eprintln!(
        "{name}: {records} records, {:.0} MiB spilled, peak {:.1} MiB: the budget and {:.1} MiB",
        mib(spilled),
        mib(peak),
        mib(beside)
    );
    assert!(beside <= CONSTANT_BYTES, "{name}: {beside} bytes too many");
    assert!(
        !must_spill || spilled > BUDGET_BYTES / 4,
        "{name}: {spilled}"
    );
    assert!(records > 0);
}

macro_rules! works {
    ($($test:ident: $name:literal;)*) => {$(
        #[test]
        fn $test() {
            measure($name);
        }
    )*};
}

works! {
    distinct_words_stay_within: "distinct words";
    short_keys_stay_within: "sums of short keys";
    one_huge_key_stays_within: "one huge key";
    strings_of_closures_stay_within: "strings by closures";
    keys_longer_than_a_frame_stay_within: "keys longer than a frame";
    long_values_stay_within: "long values";
    many_tasks_stay_within: "many tasks";
    many_small_tasks_stay_within: "many small tasks";
    repartition_stays_within: "repartition";
    a_huge_group_stays_within: "a group of one huge key";
    two_huge_groups_stay_within: "two groups of one huge key";
    a_huge_join_stays_within: "a join of one huge key";
}
