//! Machines that share no directory, as processes that are killed at random moments: each answer is right, and nothing
//! is left behind.
//!
//! `HOLDALL_CHAOS_ROUNDS` sets the number of rounds. `HOLDALL_CHAOS_SEED` determines the moments.
#![cfg(target_os = "linux")]

mod cluster;
#[path = "../common/mod.rs"]
mod common;
mod files;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use cluster::Cluster;
use common::{Files, assert_empty, names_in, within_the_limit};
use holdall::executor::ScratchDirectory;
use holdall::{Context, Executor, Result, StorageLevel};

/// Entry point of machines.
#[test]
fn machine() {
    cluster::run_if_machine();
}

/// Number of machines that are killed at most in a round. A fourth might end a job, if all of them ran the same task.
const MOST_KILLS: usize = 3;

/// A random number generator with a fixed sequence for each seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn setting(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().expect("a number"))
}

type Answer = Vec<(String, u64)>;

/// Counts words, and sorts the counts.
fn count_words(context: &Context, text: &Path) -> Result<Answer> {
    let counts = context.read_text(text)?.words().count_by_value();
    counts
        .map(|(word, count)| (count, word))
        .sort()
        .map(|(count, word)| (word, count))
        .collect()
}

/// Joins two bags, and groups the rows.
fn join(context: &Context, _: &Path) -> Result<Answer> {
    let left = context.range(0..20_000).map(|n| (n % 1_003, n));
    let right = context.range(0..2_000).map(|n| (n * 3, n));
    let rows = left.join(right).map(|(key, (a, b))| (key % 17, a + b));
    let groups = rows.group_by_key().map_values(|group| group.sum::<u64>());
    groups.map(|(key, sum)| (key.to_string(), sum)).collect()
}

/// Reads a persisted bag twice.
fn persist(context: &Context, text: &Path) -> Result<Answer> {
    let words = context.read_text(text)?.words().count_by_value();
    let words = words.persist(StorageLevel::MemoryThenDisk);
    let total = words.clone().map(|(_, count)| count).sum::<u64>()?;
    let mut longest = words.top_by_key(5, |(word, _)| word.len())?;
    longest.push(("total".to_owned(), total));
    Ok(longest)
}

/// Uses a source of the driver, and a result while it arrives.
fn iterate(context: &Context, _: &Path) -> Result<Answer> {
    let numbers = context.from_iter(0..30_000_u64).map(|n| (n % 5_003, n));
    let mut sum = 0;
    for pair in numbers.sum_by_key().iter()? {
        let (key, value) = pair?;
        sum = (sum * 31 + key + value) % 1_000_003;
    }
    Ok(vec![("sum".to_owned(), sum)])
}

const WORK: [fn(&Context, &Path) -> Result<Answer>; 4] = [count_words, join, persist, iterate];

/// Runs the work on machines, some of which are killed. Returns the answer, and how many were killed.
fn run_round(seed: u64, work: usize, files: &Files, text: &Path) -> (Answer, usize) {
    let machines = files.path(&format!("machines{seed}"));
    let cluster = Cluster::new(&machines);
    let kill = cluster.killer();
    let builder = Context::builder().remote_executor(cluster).progress(false);
    let builder = builder.spill_directory(machines.join("spill"));
    let context = builder.shuffle_partitions(5).build();
    let context = context.expect("the settings are right");
    let (is_done, kills) = (AtomicBool::new(false), AtomicUsize::new(0));
    let answer = thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random(seed * 7 + 1);
            while !is_done.load(Ordering::SeqCst) && kills.load(Ordering::SeqCst) < MOST_KILLS {
                thread::sleep(Duration::from_millis(random.below(60)));
                let index = random.below(100) as usize;
                kills.fetch_add(usize::from(kill(index)), Ordering::SeqCst);
            }
        });
        let answer = WORK[work](&context, text);
        is_done.store(true, Ordering::SeqCst);
        answer
    });
    let answer = answer.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    drop(context);
    assert_empty(&machines.join("spill"));
    // The next directory removes those of machines that were killed.
    let scratch = machines.join("scratch");
    drop(ScratchDirectory::create(&scratch).expect("room"));
    assert_eq!(names_in(&scratch), [""; 0], "seed {seed}");
    (answer, kills.into_inner())
}

#[test]
fn answers_are_right_whatever_machines_are_killed() {
    let rounds = setting("HOLDALL_CHAOS_ROUNDS", 8);
    let first = setting("HOLDALL_CHAOS_SEED", 1) * 1_000_003;
    within_the_limit("machines", move || {
        let files = Files::new();
        let lines = (0..20_000).map(|n| format!("w{} x{} {}\n", n % 91, n * n % 10_013, n / 7));
        let text = files.write("text.txt", lines.collect::<String>());
        let inline = Context::builder().executor(Executor::Inline);
        let inline = inline.shuffle_partitions(5).build();
        let inline = inline.expect("the settings are right");
        let mut kills = 0;
        for seed in first..first + rounds {
            let work = usize::try_from(seed).expect("64 bits") % WORK.len();
            let expected = WORK[work](&inline, &text).expect("an answer");
            let (answer, killed) = run_round(seed, work, &files, &text);
            assert!(answer == expected, "seed {seed}: a wrong answer");
            kills += killed;
        }
        assert!(kills > 0, "no machine was killed");
    });
}
