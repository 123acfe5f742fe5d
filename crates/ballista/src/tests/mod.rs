//! Agents as processes with directories of their own: each stands for a machine.

mod machines;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use holdall::executor::{FileTransfer, Home};
use holdall::{Context, Counter, ErrorKind, Executor, Result, StorageLevel};
use rustix::process::Signal;

use crate::tls::Security;
use crate::transfer::FileClient;
use machines::{MACHINES, Machines, SLOTS};

/// Entry point of workers.
#[test]
fn holdall_worker() {
    crate::init();
}

/// Entry point of agents.
#[test]
fn agent() {
    machines::run_if_agent();
}

/// Maximum time to wait for something that takes milliseconds.
const LIMIT: Duration = Duration::from_secs(60);

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the names of the files and directories in a directory.
fn names_in(directory: &Path) -> Vec<PathBuf> {
    let entries = directory.read_dir().into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn write_text(machines: &Machines) -> PathBuf {
    let lines = (0..20_000).map(|n| format!("w{} x{} {}\n", n % 91, n * n % 10_013, n / 7));
    let path = machines.path("text.txt");
    std::fs::write(&path, lines.collect::<String>()).unwrap();
    path
}

type Answer = Vec<(String, u64)>;

/// Counts words, and sorts the counts.
fn count_words(context: &Context, text: &Path) -> Result<Answer> {
    let counts = context.read_text(text)?.words().count_by_value();
    let counts = counts.map(|(word, count)| (count, word)).sort();
    counts.map(|(count, word)| (word, count)).collect()
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

/// Uses a source of the driver, and a result while it arrives, with another job in between.
fn iterate(context: &Context, _: &Path) -> Result<Answer> {
    let numbers = context.from_iter(0..30_000_u64).map(|n| (n % 5_003, n));
    let mut sum = 0;
    for (position, pair) in numbers.sum_by_key().iter()?.enumerate() {
        let (key, value) = pair?;
        sum = (sum * 31 + key + value) % 1_000_003;
        if position == 100 {
            sum += context.range(0..100).sum::<u64>()?;
        }
    }
    Ok(vec![("sum".to_owned(), sum)])
}

const WORK: [fn(&Context, &Path) -> Result<Answer>; 4] = [count_words, join, persist, iterate];

fn expected(work: fn(&Context, &Path) -> Result<Answer>, text: &Path) -> Answer {
    let inline = Context::builder().executor(Executor::Inline);
    let inline = inline.shuffle_partitions(5).build().unwrap();
    work(&inline, text).unwrap()
}

#[test]
fn answers_are_those_of_one_machine() {
    let machines = Machines::start(Security::Loopback, None);
    let text = write_text(&machines);
    let context = machines.context();
    for work in WORK {
        assert!(work(&context, &text).unwrap() == expected(work, &text));
    }
    drop(context);
    for directory in machines.directories() {
        eventually("a session leaves files", || names_in(&directory).is_empty());
    }
}

#[test]
fn machines_with_a_token_trust_each_other() {
    let token = "0123456789abcdef0123456789abcdef";
    let machines = Machines::start(Security::from_token(token.as_bytes()).unwrap(), Some(token));
    let text = write_text(&machines);
    assert!(join(&machines.context(), &text).unwrap() == expected(join, &text));
}

#[test]
fn machines_with_other_tokens_do_not_trust_each_other() {
    let (own, other) = (
        "0123456789abcdef0123456789abcdef",
        "fedcba9876543210fedcba9876543210",
    );
    let machines =
        Machines::start(Security::from_token(own.as_bytes()).unwrap(), Some(other)).wait(2);
    let error = machines.context().range(0..10).count().unwrap_err();
    assert!(error.to_string().contains("no slot was free"), "{error}");
    let error = Security::from_token(b"short").unwrap_err();
    assert!(error.contains("at least 32"), "{error}");
    let error = Security::Loopback
        .check("10.0.0.1".parse().unwrap())
        .unwrap_err();
    assert!(error.contains("HOLDALL_TOKEN_FILE"), "{error}");
}

#[test]
fn answers_are_the_same_whatever_machines_and_workers_are_killed() {
    let machines = Machines::start(Security::Loopback, None);
    let text = write_text(&machines);
    let context = machines.context();
    for (round, work) in WORK.into_iter().enumerate() {
        let answer = thread::scope(|scope| {
            let answer = scope.spawn(|| work(&context, &text));
            let mut kills = 0;
            while !answer.is_finished() && kills < 2 {
                thread::sleep(Duration::from_millis(40 + 13 * round as u64));
                if kills == 0 {
                    machines.kill_worker(round % SLOTS);
                } else {
                    machines.replace(round % SLOTS);
                }
                kills += 1;
            }
            answer.join().unwrap()
        });
        let answer = answer.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(answer == expected(work, &text), "round {round}");
    }
}

#[test]
fn what_was_lost_runs_again_and_counts_once() {
    let machines = Machines::start(Security::Loopback, None);
    let context = machines.context();
    let log = machines.path("log");
    std::fs::create_dir(&log).unwrap();
    let (seen, stop) = (Counter::new("seen"), machines.path("stop"));
    let numbers = context
        .range_partitioned(0..60, 60)
        .with((log.clone(), stop, seen.clone()));
    let numbers = numbers.map(|(log, stop, seen), n| {
        seen.add(1);
        std::fs::write(log.join(format!("{n}-{}", std::process::id())), "").unwrap();
        // Each worker gets a partition, and then one partition is not complete before a machine is lost.
        let slots = MACHINES * SLOTS;
        let waits = || match n as usize {
            59 => !stop.exists(),
            n => n < slots && names_in(log).len() < slots,
        };
        while waits() {
            thread::sleep(Duration::from_millis(5));
        }
        n % 7
    });
    let (count, lost) = thread::scope(|scope| {
        let count = scope.spawn(|| numbers.count_by_value().count());
        eventually("all partitions begin", || names_in(&log).len() == 60);
        let lost = machines.workers(0);
        machines.replace(0);
        std::fs::write(machines.path("stop"), "").unwrap();
        (count.join().unwrap().unwrap(), lost)
    });
    assert_eq!((count, seen.value()), (7, 60));
    let mut runs = BTreeMap::<String, Vec<String>>::new();
    for name in names_in(&log) {
        let name = name.file_name().unwrap().to_str().unwrap().to_owned();
        let (n, pid) = name.split_once('-').unwrap();
        runs.entry(n.to_owned()).or_default().push(pid.to_owned());
    }
    for (n, pids) in runs {
        let was_lost = pids.iter().any(|pid| lost.contains(pid));
        assert_eq!(
            pids.len(),
            1 + usize::from(was_lost),
            "{n}: {pids:?} {lost:?}"
        );
    }
}

#[test]
fn map_outputs_in_a_shuffle_directory_outlive_machines_and_no_driver() {
    let machines = Machines::start(Security::Loopback, None);
    let shuffle = machines.path("shuffle");
    let context = machines.context_with(|builder| builder.shuffle_directory(&shuffle));
    let log = machines.path("log");
    std::fs::create_dir(&log).unwrap();
    let numbers = context.range_partitioned(0..24, 24).with(log.clone());
    let numbers = numbers.map(|log, n| {
        std::fs::write(log.join(format!("{n}-{}", std::process::id())), "").unwrap();
        n % 7
    });
    // The next stage has begun, and waits until machines have been replaced.
    let (begun, stop) = (machines.path("begun"), machines.path("stop"));
    let counts = numbers.count_by_value().with((begun.clone(), stop.clone()));
    let counts = counts.map(|(begun, stop), pair| {
        std::fs::write(begun, "").unwrap();
        while !stop.exists() {
            thread::sleep(Duration::from_millis(5));
        }
        pair
    });
    let (count, left) = thread::scope(|scope| {
        let count = scope.spawn(|| counts.count().unwrap());
        eventually("all partitions are computed", || begun.exists());
        // As a job of a driver that was killed would leave it.
        let job = names_in(&shuffle).remove(0);
        let job = job.to_str().unwrap();
        let left = PathBuf::from(format!("{}-777", job.rsplit_once('-').unwrap().0));
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join("part-00000"), "").unwrap();
        (0..2).for_each(|index| machines.replace(index));
        std::fs::write(&stop, "").unwrap();
        (count.join().unwrap(), left)
    });
    assert_eq!((count, names_in(&log).len()), (7, 24));
    assert_eq!(names_in(&shuffle), [&*left]);
    drop((counts, context));
    eventually("files of a driver remain", || names_in(&shuffle).is_empty());
}

#[test]
fn a_machine_that_is_stopped_is_lost_and_ends_when_it_goes_on() {
    let machines = Machines::start(Security::Loopback, None);
    let text = write_text(&machines);
    let context = machines.context();
    // The workers are ready, and have files.
    let words = context
        .read_text(&text)
        .unwrap()
        .words()
        .persist(StorageLevel::Disk);
    let count = words.count().unwrap();
    machines.signal(1, Signal::STOP);
    assert_eq!(words.count().unwrap(), count);
    assert!(count_words(&context, &text).unwrap() == expected(count_words, &text));
    machines.signal(1, Signal::CONT);
    let directory = machines.directories().remove(1);
    eventually("a lost session leaves files", || {
        names_in(&directory).is_empty()
    });
}

#[test]
fn a_record_that_ends_its_worker_ends_the_job_and_no_machine() {
    let machines = Machines::start(Security::Loopback, None);
    let context = machines.context();
    let numbers = context.range_partitioned(0..20, 20).map(|n| {
        if n == 13 {
            std::process::abort();
        }
        n
    });
    let error = numbers.count_by_value().count().unwrap_err();
    let is_named = matches!(error.kind(), ErrorKind::TooManyAttempts { context, .. } if context.partition == Some(13));
    assert!(is_named, "{error:?}");
    assert_eq!(context.range(0..100).distinct().count().unwrap(), 100);
    assert!(machines.are_alive());
}

#[test]
fn a_machine_that_leaves_finishes_its_tasks() {
    let machines = Machines::start(Security::Loopback, None);
    let context = machines.context();
    let log = machines.path("log");
    std::fs::create_dir(&log).unwrap();
    let numbers = context.range_partitioned(0..24, 24).with(log.clone());
    let numbers = numbers.map(|log, n| {
        std::fs::write(log.join(format!("{n}-{}", std::process::id())), "").unwrap();
        thread::sleep(Duration::from_millis(100));
        n
    });
    let sum = thread::scope(|scope| {
        let sum = scope.spawn(|| numbers.sum::<u64>());
        eventually("tasks run", || names_in(&log).len() >= 6);
        machines.leave(0);
        sum.join().unwrap().unwrap()
    });
    // No task has been interrupted.
    assert_eq!((sum, names_in(&log).len()), (276, 24));
    eventually("the machine ends", || !machines.is_alive(0));
    assert_eq!(context.range(0..100).distinct().count().unwrap(), 100);
}

#[test]
fn another_build_of_the_program_is_refused() {
    let machines = Machines::start_with(Security::Loopback, None, Some("other build"));
    let error = machines.context().range(0..10).count().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Cluster { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("another build"), "{error}");
}

#[test]
fn slots_are_released_and_requested_again() {
    let machines = Machines::start(Security::Loopback, None);
    let context = machines.context();
    for _ in 0..2 {
        assert_eq!(context.range(0..100).distinct().count().unwrap(), 100);
        eventually("the slots are released", || machines.held() == 0);
    }
    assert!(machines.requests() >= 2);
}

#[test]
fn only_scratch_files_of_the_session_can_be_read() {
    let machines = Machines::start(Security::Loopback, None);
    let context = machines.context();
    let numbers = context.range(0..1_000).persist(StorageLevel::Disk);
    assert_eq!(numbers.count().unwrap(), 1_000);
    let (session, home) = machines.session();
    let mut files = names_in(&session).into_iter();
    let file = files.find(|file| !file.ends_with("lock")).unwrap();
    let client = FileClient::new(Home::new("here"), Security::Loopback, LIMIT);
    let mut buffer = [0; 10];
    assert_eq!(client.read(&home, &file, 0, &mut buffer).unwrap(), 10);
    let outside = session
        .join("..")
        .join(session.file_name().unwrap())
        .join(file.file_name().unwrap());
    for path in [Path::new("/etc/passwd"), &outside, &session] {
        let error = client.read(&home, path, 0, &mut buffer).unwrap_err();
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::NotFound,
            "{}",
            path.display()
        );
    }
    let other = Home::new(&home.name().replace('#', "#x"));
    assert!(client.read(&other, &file, 0, &mut buffer).is_err());
    client.remove(&home, &file);
    eventually("the file is removed", || !file.exists());
}
