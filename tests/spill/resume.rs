//! An output whose process was killed is continued by the next run of the program.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::child;
use crate::common::{Files, names_in};
use holdall::{BagWriter, Context, Executor};

const PARTITIONS: u64 = 8;
const RECORDS: u64 = 80;

/// Returns the partition of a number.
fn partition(n: u64) -> u64 {
    n * PARTITIONS / RECORDS
}

/// Logs the number in a file, because a closure that captures cannot be resumed.
fn log(n: u64) {
    let (directory, work) = child::task().expect("a child");
    let log = File::options().append(true).open(directory.join("log"));
    let logged = log.and_then(|mut log| log.write_all(format!("{n}\n").as_bytes()));
    logged.expect("room for a line");
    if work.contains("slow") {
        thread::sleep(Duration::from_millis(20));
    }
}

/// Not a test of its own.
#[test]
fn child_saves_and_may_be_killed() {
    let Some((directory, work)) = child::task() else {
        return;
    };
    let [executor, factor, _]: [&str; 3] = work.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let executor: Executor = executor.parse().unwrap();
    let context = Context::builder().executor(executor).progress(false);
    let context = context.build().unwrap();
    let factor: u64 = factor.parse().unwrap();
    let numbers = context.range_partitioned(0..RECORDS, PARTITIONS as usize);
    let products = numbers.with(factor).map(|factor, n| {
        log(n);
        factor * n
    });
    let writer = BagWriter::new().resume("version 1").overwrite(true);
    let saved = writer.checkpoint(&products, directory.join("bag")).unwrap();
    let expected: Vec<_> = (0..RECORDS).map(|n| factor * n).collect();
    assert_eq!(saved.collect().unwrap(), expected);
}

/// Runs the program to its end. Returns the numbers that it has computed.
fn run(directory: &Path, work: &str) -> Vec<u64> {
    fs::write(directory.join("log"), "").expect("room for a file");
    let test = "resume::child_saves_and_may_be_killed";
    let mut command = child::command(test, directory, work);
    let output = command.stdin(Stdio::null()).output().expect("this program");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{work}: {errors}");
    let log = fs::read_to_string(directory.join("log")).expect("a log");
    let mut numbers: Vec<_> = log.lines().map(|n| n.parse().expect("a number")).collect();
    numbers.sort_unstable();
    numbers
}

/// Returns the partitions that are finished.
fn finished(directory: &Path) -> BTreeSet<u64> {
    let unfinished = directory.join(".bag.unfinished");
    if !unfinished.exists() {
        return BTreeSet::new();
    }
    let names = names_in(&unfinished).into_iter();
    let number = |name: String| name.strip_prefix("part-")?.split('-').next()?.parse().ok();
    names.filter_map(number).collect()
}

/// Runs the program until some partitions are finished, and kills it.
fn run_and_kill(directory: &Path, work: &str) {
    fs::write(directory.join("log"), "").expect("room for a file");
    let test = "resume::child_saves_and_may_be_killed";
    let mut child = child::command(test, directory, work)
        .stdin(Stdio::null())
        .spawn()
        .expect("this program");
    while finished(directory).len() < 2 {
        assert!(
            child.try_wait().expect("a child").is_none(),
            "it is too fast"
        );
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("a child");
    child.wait().expect("a child");
    // Workers notice the end of their driver.
    thread::sleep(Duration::from_millis(500));
}

#[test]
fn a_run_that_was_killed_is_continued_by_the_next() {
    for executor in ["inline", "threads:2", "processes:2"] {
        let files = Files::new();
        let root = files.root();
        run_and_kill(root, &format!("{executor} 3 slow"));
        let done = finished(root);
        assert!((2..PARTITIONS).contains(&(done.len() as u64)), "{done:?}");
        // The work is a part of the environment only. Twice killed, and the other executor continues.
        let work = format!("{executor} 3 fast");
        let rest: Vec<_> = (0..RECORDS)
            .filter(|n| !done.contains(&partition(*n)))
            .collect();
        assert_eq!(run(root, &work), rest, "{executor}");
        assert_eq!(files.names(), ["bag", "log"]);
        // All is done.
        assert_eq!(run(root, &work), [0; 0]);
        // Another parameter.
        let all: Vec<_> = (0..RECORDS).collect();
        assert_eq!(run(root, &format!("{executor} 5 fast")), all);
        assert_eq!(files.names(), ["bag", "log"]);
    }
}

#[test]
fn partitions_of_another_run_are_not_used() {
    let files = Files::new();
    let root = files.root();
    run_and_kill(root, "threads:2 3 slow");
    let all: Vec<_> = (0..RECORDS).collect();
    assert_eq!(run(root, "threads:2 4 fast"), all);
    assert_eq!(files.names(), ["bag", "log"]);
    // A file that was cut short, and files of others.
    run_and_kill(root, "threads:2 3 slow");
    let unfinished = root.join(".bag.unfinished");
    let names = names_in(&unfinished);
    let part = names
        .iter()
        .find(|name| name.starts_with("part-"))
        .expect("it was killed");
    File::options()
        .write(true)
        .open(unfinished.join(part))
        .unwrap()
        .set_len(10)
        .unwrap();
    fs::write(unfinished.join("thesis.tex"), "precious").unwrap();
    let computed = run(root, "threads:2 3 fast");
    let number: u64 = part.split('-').nth(1).unwrap().parse().unwrap();
    assert!(computed.iter().any(|n| partition(*n) == number));
    assert_eq!(names_in(&unfinished), ["thesis.tex"]);
}
