//! Kills and stops workers, damages files, and fills the disk, all at random. Each answer must be right, or the error
//! clean, and nothing may be left behind.
//!
//! `HOLDALL_CHAOS_ROUNDS` sets the number of rounds. `HOLDALL_CHAOS_SEED` determines the faults.
#![cfg(target_os = "linux")]

mod common;
#[path = "suite/graph_cases.rs"]
mod graph_cases;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::{Files, assert_empty, names_in};
use graph_cases::Case;
use holdall::{Bag, Context, Error, ErrorKind, Executor, Result, TextReader};

/// Time after which a round counts as hanging.
const LIMIT: Duration = Duration::from_secs(60);

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

#[test]
fn every_round_ends_well_or_in_a_clean_error() {
    let rounds = setting("HOLDALL_CHAOS_ROUNDS", 10);
    let seed = setting("HOLDALL_CHAOS_SEED", 1);
    let files = Files::new();
    let text = files.write("text.txt", text());
    let inline = Context::builder().executor(Executor::Inline).build();
    let inline = inline.expect("the settings are right");
    let expected = WORK.map(|work| work(&inline, &text).expect("an answer"));
    let mut failed = 0;
    for round in 0..rounds {
        let seed = seed * 1_000_003 + round;
        let answer = within_the_limit(seed, &files, &text);
        let work = work_of(seed);
        match answer {
            Ok(answer) => assert!(answer == expected[work], "seed {seed}: a wrong answer"),
            Err(error) => {
                assert!(is_clean(&error), "seed {seed}: {error}");
                failed += 1;
            }
        }
        assert_eq!(children(), [0; 0], "seed {seed}: processes are left");
        assert_empty(&files.path("spill"));
    }
    // Most rounds must succeed, because failed rounds show little.
    assert!(failed * 2 <= rounds, "{failed} of {rounds} rounds failed");
}

fn within_the_limit(seed: u64, files: &Files, text: &Path) -> Result<Vec<String>> {
    let (done, wait) = mpsc::channel();
    let (spill, text) = (files.path("spill"), text.to_owned());
    thread::spawn(move || done.send(run_round(seed, &spill, &text)));
    match wait.recv_timeout(LIMIT) {
        Ok(answer) => answer,
        Err(error) => panic!("seed {seed}: {error}"),
    }
}

/// Returns `true` for errors that a job may return after its workers and files have been attacked.
fn is_clean(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::TooManyAttempts { .. }
            | ErrorKind::WorkerStart { .. }
            | ErrorKind::QuotaExceeded { .. }
            | ErrorKind::DiskFull { .. }
    )
}

fn work_of(seed: u64) -> usize {
    usize::try_from(seed).expect("it fits") % WORK.len()
}

fn run_round(seed: u64, spill: &Path, text: &Path) -> Result<Vec<String>> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let workers = 1 + usize::try_from(random.below(3)).expect("it fits");
    let memory = [workers << 20, 1 << 28][usize::try_from(random.below(2)).expect("it fits")];
    let builder = Context::builder().executor(Executor::Processes(workers));
    let builder = builder
        .worker_timeout(Duration::from_millis(400))
        .memory(memory as u64);
    let mut builder = builder
        .spill_directory(spill)
        .shuffle_partitions(7)
        .progress(false);
    if random.below(5) == 0 {
        builder = builder.disk_quota(random.below(400_000));
    }
    let context = builder.build().expect("the settings are right");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut harms = 1 + random.below(4);
            while !is_over.load(Ordering::SeqCst) && harms > 0 {
                thread::sleep(Duration::from_millis(random.below(60)));
                harms -= u64::from(harm(&mut random, spill));
            }
        });
        let answer = WORK[work_of(seed)](&context, text);
        is_over.store(true, Ordering::SeqCst);
        drop(context);
        answer
    })
}

/// Does some harm. Returns `false` if there is no target for it.
fn harm(random: &mut Random, spill: &Path) -> bool {
    let mut pick = |from: usize| (from > 0).then(|| random.below(from as u64) as usize);
    let workers = children();
    let kind = pick(6);
    let worker = pick(workers.len()).map(|n| workers[n]);
    let files = spilled(spill);
    let file = pick(files.len()).map(|n| &files[n]);
    match (kind, worker, file) {
        (Some(0 | 1), Some(worker), _) => signal(worker, "KILL"),
        (Some(2), Some(worker), _) => signal(worker, "STOP"),
        (Some(3), _, Some(file)) => fs::remove_file(file).is_ok(),
        (Some(4), _, Some(file)) => cut(file).is_ok(),
        (Some(5), _, Some(file)) => flip(file, random).is_ok(),
        _ => false,
    }
}

fn signal(process: u32, name: &str) -> bool {
    let sent = Command::new("kill")
        .args(["-s", name, &process.to_string()])
        .output();
    sent.is_ok_and(|output| output.status.success())
}

/// Returns the worker processes of this process that have not ended.
fn children() -> Vec<u32> {
    let is_child = |process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // The name is in parentheses. The state and the parent follow it.
        let mut fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let (state, parent) = (fields.next(), fields.next());
        let name = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        state != Some("Z")
            && parent == Some(&std::process::id().to_string())
            && name.starts_with(b"holdall-worker")
    };
    let all = names_in(Path::new("/proc"));
    all.iter()
        .filter_map(|name| name.parse().ok())
        .filter(is_child)
        .collect()
}

/// Returns the spill files. They may be deleted at any time.
fn spilled(spill: &Path) -> Vec<PathBuf> {
    let entries = |path: &Path| {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let jobs = entries(spill);
    let files = jobs.iter().flat_map(|job| entries(job));
    files.filter(|file| !file.ends_with("lock")).collect()
}

fn cut(path: &Path) -> std::io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(file.metadata()?.len() / 2)
}

fn flip(path: &Path, random: &mut Random) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;

    let file = File::options().read(true).write(true).open(path)?;
    let at = random.below(file.metadata()?.len().max(1));
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    file.write_all_at(&[byte[0] ^ 1 << random.below(8)], at)
}

fn text() -> String {
    (0..40_000_u64)
        .map(|n| format!("w{} x{}\n", n * n % 997, n * 7_919 % 20_011))
        .collect()
}

type Work = fn(&Context, &Path) -> Result<Vec<String>>;

const WORK: [Work; 4] = [word_count, sort, join, graphs];

fn lines(context: &Context, text: &Path) -> Result<Bag<String>> {
    let reader = TextReader::new().context(context).partition_bytes(30_000);
    Ok(reader.read(text)?.map(str::to_owned).boxed())
}

fn word_count(context: &Context, text: &Path) -> Result<Vec<String>> {
    let words = lines(context, text)?.flat_map_str(|line, emit| line.split(' ').for_each(emit));
    let counts = words.count_by_value();
    counts
        .map(|(word, count)| format!("{word} {count}"))
        .collect()
}

fn sort(context: &Context, text: &Path) -> Result<Vec<String>> {
    lines(context, text)?.sort().collect()
}

fn join(context: &Context, _: &Path) -> Result<Vec<String>> {
    let left = context
        .range_partitioned(0..20_000, 16)
        .map(|n| (n * 31 % 4_001, n));
    let right = context
        .range_partitioned(0..3_000, 8)
        .map(|n| (n, n.to_string()));
    let rows = left.join(right);
    rows.map(|(key, (n, text))| format!("{key} {n} {text}"))
        .collect()
}

fn graphs(context: &Context, _: &Path) -> Result<Vec<String>> {
    let mut answers = Vec::new();
    for seed in 0..20 {
        let case = Case::new(seed);
        let values = case.compute(seed, context)?;
        assert!(case.is_right(&values), "graph {seed}: wrong values");
        answers.push(format!("{values:?}"));
    }
    Ok(answers)
}

#[test]
fn a_seed_chooses_the_same_each_time() {
    let choices = || {
        let mut random = Random(5);
        [(); 5].map(|()| random.below(1000))
    };
    assert_eq!(choices(), choices());
}
