//! The program that is exposed to faults: this test program, started again. It performs one operation with so little
//! memory that it spills, and reports the outcome.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::exit;
use std::time::Duration;

use holdall::{Bag, Context, Executor, Result, StorageLevel, TextReader, TextWriter};

use super::{faults, limits};

/// Environment variable with the operation, the executor and the limits, separated by spaces.
pub(crate) const VARIABLE: &str = "HOLDALL_TEST_PROGRAM";

pub(crate) const EXECUTORS: [&str; 3] = ["inline", "threads:2", "processes:2"];

/// Exit code after an error.
pub(crate) const FAILED: i32 = 3;

/// Paths of the files of a run, relative to its directory.
pub(crate) const SPILL: &str = "spill";
pub(crate) const OUTPUTS: &str = "outputs";
pub(crate) const TEXT: &str = "text.txt";
pub(crate) const OUTPUT: &str = "outputs/output";
pub(crate) const SAVED: &str = "outputs/saved";

type Work = fn(&Context, &Path) -> Result<Vec<String>>;

pub(crate) const WORK: [(&str, Work); 8] = [
    ("count", count),
    ("sort", sort),
    ("join", join),
    ("group", group),
    ("persist", persist),
    ("checkpoint", checkpoint),
    ("write_text", write_text),
    ("overwrite", overwrite),
];

const LINES: u64 = 1_200;
const KEYS: u64 = 40;

/// Returns the lines that all operations read. Half of them occur twice, and together they exceed the memory.
pub(crate) fn text() -> Vec<String> {
    let line = |n: u64| {
        let n = n * 7_919 % LINES / 2 * 2;
        format!("{} {n} {}", n % KEYS, "-".repeat(2_000 + n as usize % 500))
    };
    (0..LINES).map(line).collect()
}

/// Returns the key with which a line begins.
fn key(line: &str) -> u64 {
    let key = line.split(' ').next().unwrap_or_default();
    key.parse().unwrap_or(u64::MAX)
}

/// Returns the answers, computed by std.
pub(crate) fn expected(work: &str) -> Vec<String> {
    let mut lines = text();
    lines.sort();
    match work {
        "count" => {
            let same = lines.chunk_by(|a, b| a == b);
            same.map(|same| format!("{} {}", same[0], same.len()))
                .collect()
        }
        "sort" | "persist" | "checkpoint" => lines,
        "join" => {
            let mut rows: Vec<_> = lines
                .iter()
                .map(|line| format!("{line} {}", key(line)))
                .collect();
            rows.sort();
            rows
        }
        "group" => {
            let of = |wanted: u64| lines.iter().filter(move |line| key(line) == wanted);
            let keys = (0..KEYS).filter(|key| of(*key).count() > 0);
            let group = |key| {
                format!(
                    "{key} {} {}",
                    of(key).count(),
                    of(key).map(String::len).sum::<usize>()
                )
            };
            let mut groups: Vec<_> = keys.map(group).collect();
            groups.sort();
            groups
        }
        _ => Vec::new(),
    }
}

/// Returns a checksum of an answer.
pub(crate) fn checksum(answer: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    answer.hash(&mut hasher);
    hasher.finish()
}

fn lines(context: &Context, directory: &Path) -> Result<Bag<String>> {
    let reader = TextReader::new().context(context).partition_bytes(700_000);
    let lines = reader.read(directory.join(TEXT))?;
    Ok(lines.map(str::to_owned).boxed())
}

fn sorted(mut answer: Vec<String>) -> Vec<String> {
    answer.sort();
    answer
}

fn count(context: &Context, directory: &Path) -> Result<Vec<String>> {
    let counts = lines(context, directory)?.count_by_value();
    let counts = counts.map(|(line, count)| format!("{line} {count}"));
    Ok(sorted(counts.collect()?))
}

fn sort(context: &Context, directory: &Path) -> Result<Vec<String>> {
    lines(context, directory)?.sort().collect()
}

fn join(context: &Context, directory: &Path) -> Result<Vec<String>> {
    let left = lines(context, directory)?.map(|line| (key(&line), line));
    let right = context.range(0..2 * KEYS).map(|key| (key, key));
    let rows = left.join(right);
    let rows = rows.map(|(_, (line, key))| format!("{line} {key}"));
    Ok(sorted(rows.collect()?))
}

fn group(context: &Context, directory: &Path) -> Result<Vec<String>> {
    let pairs = lines(context, directory)?.map(|line| (key(&line), line));
    let groups = pairs.group_by_key().map(|(key, values)| {
        let (count, bytes) = values.fold((0, 0), |(n, bytes), line| (n + 1, bytes + line.len()));
        format!("{key} {count} {bytes}")
    });
    Ok(sorted(groups.collect()?))
}

/// Reads a bag twice that is computed once.
fn persist(context: &Context, directory: &Path) -> Result<Vec<String>> {
    let lines = lines(context, directory)?.persist(StorageLevel::MemoryThenDisk);
    let count = lines.count()?;
    let sorted = lines.sort().collect()?;
    assert_eq!(count, sorted.len() as u64, "two passes over one bag");
    Ok(sorted)
}

/// Saves a bag, and reads it.
fn checkpoint(context: &Context, directory: &Path) -> Result<Vec<String>> {
    let saved = lines(context, directory)?.checkpoint(directory.join(SAVED))?;
    Ok(sorted(saved.collect()?))
}

fn write_text(context: &Context, directory: &Path) -> Result<Vec<String>> {
    lines(context, directory)?.write_text(directory.join(OUTPUT))?;
    Ok(Vec::new())
}

fn overwrite(context: &Context, directory: &Path) -> Result<Vec<String>> {
    let writer = TextWriter::new().overwrite(true);
    writer.write(&lines(context, directory)?, directory.join(OUTPUT))?;
    Ok(Vec::new())
}

/// Not a test of its own.
#[test]
fn program() {
    let Ok(task) = std::env::var(VARIABLE) else {
        return;
    };
    let directory = std::env::current_dir().expect("the directory of the run");
    let mut words = task.split_whitespace();
    let (work, executor) = (words.next(), words.next());
    let work = WORK.iter().find(|(name, _)| Some(*name) == work);
    let (_, work) = work.expect("one of the operations");
    let executor = executor.and_then(|name| name.parse().ok());
    let executor: Executor = executor.expect("one of the executors");
    words.for_each(limits::apply);
    faults::begin();
    let outcome = run(*work, executor, &directory);
    faults::pause();
    let status = if outcome.is_ok() { 0 } else { FAILED };
    let answer = outcome.map(|answer| checksum(&answer));
    faults::answer(answer.map_err(|error| error.to_string()));
    // The handlers that run at the exit may fail, too.
    faults::begin();
    exit(status)
}

fn run(work: Work, executor: Executor, directory: &Path) -> Result<Vec<String>> {
    let builder = Context::builder().executor(executor).memory(2 << 20);
    let builder = builder.spill_directory(directory.join(SPILL));
    let builder = builder.worker_timeout(Duration::from_secs(5));
    let context = builder.shuffle_partitions(3).progress(false).build()?;
    work(&context, directory)
}
