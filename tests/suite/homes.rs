//! Workers that share no disk: the answers are the same, whatever machines are lost.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cluster::Cluster;
use crate::common::{Files, assert_empty, within_the_limit};
use holdall::{Context, Counter, ErrorKind, Executor, Result, StorageLevel};

/// Returns the number of files below a directory.
fn remaining(directory: &Path) -> usize {
    let entries = directory.read_dir().expect("a directory");
    let entries = entries.map(|entry| entry.expect("an entry").path());
    entries
        .map(|path| if path.is_dir() { remaining(&path) } else { 1 })
        .sum()
}

fn context(files: &Files, cluster: Cluster) -> Context {
    let builder = Context::builder().remote_executor(cluster);
    let builder = builder.spill_directory(files.path("spill"));
    let builder = builder.shuffle_partitions(5).progress(false);
    builder.build().expect("the settings are right")
}

/// Compares the results of machines that do not die, and of machines that die, with those of this thread.
fn same_as_inline<R: PartialEq + std::fmt::Debug>(work: impl Fn(&Context) -> Result<R>) {
    let inline = Context::builder().executor(Executor::Inline);
    let inline = inline.shuffle_partitions(5).build();
    let expected = work(&inline.expect("the settings are right")).expect("an answer");
    for (seed, life) in [(1, None), (2, Some(20)), (3, Some(6)), (4, Some(3))] {
        let files = Files::new();
        let cluster = Cluster::new(files.path("machines"), life, seed);
        let context = context(&files, cluster);
        let answer = work(&context).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(answer == expected, "seed {seed}: {answer:?}");
        drop(context);
        assert_empty(&files.path("spill"));
        assert_eq!(remaining(&files.path("machines")), 0);
    }
}

/// The memory of the driver, which is too little for all slots, is not divided among them.
#[test]
fn machines_have_memory_of_their_own() -> Result<()> {
    let files = Files::new();
    let cluster = Cluster::new(files.path("machines"), None, 1);
    let builder = Context::builder().remote_executor(cluster).memory(1 << 20);
    let context = builder.spill_directory(files.path("spill")).build()?;
    let numbers = context.range(0..50_000).map(|n| n * 7 % 50_000);
    assert_eq!(numbers.clone().sort().skip(49_999).collect()?, [49_999]);
    assert_eq!(numbers.distinct().count()?, 50_000);
    Ok(())
}

#[test]
fn shuffles_are_the_same_whatever_is_lost() {
    within_the_limit("machines", || {
        same_as_inline(|context| {
            let counts = context.range(0..30_000).map(|n| n % 3_007);
            let counts = counts.count_by_value();
            // A second shuffle reads what the first one has left.
            let digits = counts.map(|(n, count)| (n % 10, count));
            digits.sum_by_key().collect()
        });
        same_as_inline(|context| {
            let numbers = context.range(0..15_000).map(|n| n * 7_919 % 50_021);
            numbers.sort().collect()
        });
        same_as_inline(|context| {
            let pairs = context.range(0..8_000).map(|n| (n % 50, n));
            let groups = pairs.group_by_key();
            groups.map_values(|group| group.sum::<u64>()).collect()
        });
        same_as_inline(|context| context.range(0..10_000).repartition(7).collect());
    });
}

#[test]
fn joins_and_sources_of_the_driver_are_the_same_whatever_is_lost() {
    within_the_limit("machines", || {
        same_as_inline(|context| {
            let pairs = context.range(0..5_000).map(|n| (n % 500, n));
            let others = context.range(0..300).map(|n| (n % 600, n.to_string()));
            let joined = pairs.clone().join(others);
            let joined = joined.map(|(key, (n, text))| (key, n + text.len() as u64));
            joined.cogroup(pairs).keys().collect()
        });
        same_as_inline(|context| {
            let names = context.from_vec((0..100).map(|n| (n, n.to_string())).collect());
            let numbers = context.range(0..5_000).map(|n| (n % 120, n));
            numbers.join_broadcast(names).collect()
        });
        // Its length is unknown, so all of its partitions are read again.
        same_as_inline(|context| {
            let numbers = context.from_iter(0..5_000_u64).map(|n| (n % 97, n));
            numbers.sum_by_key().sort().collect()
        });
        same_as_inline(|context| {
            let numbers = context.range(0..3_000).zip_with_index();
            numbers.map(|(n, index)| n + index).collect()
        });
    });
}

#[test]
fn persisted_partitions_stay_where_they_are_and_are_computed_again() {
    within_the_limit("machines", || {
        same_as_inline(|context| {
            let counts = context.range(0..20_000).map(|n| n % 1_003).count_by_value();
            let counts = counts.persist(StorageLevel::MemoryThenDisk);
            let first = counts
                .clone()
                .map(|(n, _)| n % 7)
                .count_by_value()
                .collect()?;
            let second = counts.sort().collect()?;
            Ok((first, second))
        });
    });
}

#[test]
fn results_that_are_used_while_they_arrive_are_the_same() {
    within_the_limit("machines", || {
        same_as_inline(|context| {
            let bag = context
                .range(0..20_000)
                .map(|n| (n % 3_001, n))
                .sum_by_key();
            let mut sum = 0;
            for pair in bag.iter()? {
                let (key, value) = pair?;
                sum = sum * 31 % 1_000_003 + key + value;
            }
            Ok((sum, bag.take(3)?))
        });
    });
}

#[test]
fn counters_are_exact_and_only_what_was_lost_runs_again() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    within_the_limit("machines", || {
        let files = Files::new();
        let cluster = Cluster::new(files.path("machines"), Some(10), 5);
        let losses = Arc::clone(&cluster.losses);
        let context = context(&files, cluster);
        let seen = Counter::new("seen");
        let numbers = context.range_partitioned(0..60, 60).with(seen.clone());
        let numbers = numbers.map(|seen, n| {
            seen.add(1);
            RUNS.fetch_add(1, Ordering::SeqCst);
            n % 7
        });
        assert_eq!(numbers.count_by_value().count().expect("a count"), 7);
        assert_eq!(seen.value(), 60);
        let (losses, runs) = (losses.load(Ordering::SeqCst), RUNS.load(Ordering::SeqCst));
        assert!(losses > 1, "{losses}");
        // A machine has a few partitions, out of 60.
        assert!(
            runs > 60 && runs < 60 + 20 * losses,
            "{runs}, {losses} losses"
        );
    });
}

#[test]
fn files_move_only_between_machines_that_share_no_disk() {
    within_the_limit("machines", || {
        let files = Files::new();
        let cluster = Cluster::new(files.path("machines"), None, 1);
        let reads = cluster.reads();
        let context = context(&files, cluster);
        let sum = context.range(0..1_000).map(|n| n * 2).sum::<u64>();
        assert_eq!(
            (sum.expect("a sum"), reads.load(Ordering::SeqCst)),
            (999_000, 0)
        );
        let counts = context.range(0..1_000).map(|n| n % 10).count_by_value();
        assert_eq!(counts.count().expect("a count"), 10);
        assert!(reads.load(Ordering::SeqCst) > 0);
    });
}

#[test]
fn an_input_file_that_differs_between_machines_is_refused() {
    within_the_limit("machines", || {
        let files = Files::new();
        let line = "a line of text\n";
        let context = context(&files, Cluster::new(files.path("machines"), None, 1));
        // One that is read as a whole, and one that is read in parts.
        for lines in [100_usize, 300_000] {
            let path = files.write("text.txt", line.repeat(lines));
            let text = context.read_text(&path).expect("a text");
            assert_eq!(text.count().expect("a count"), lines as u64);
            // Of the same length.
            files.write("text.txt", line.replace("text", "TEXT").repeat(lines));
            let error = text.count().unwrap_err();
            let is_refused = matches!(error.kind(), ErrorKind::InputDiffers { .. });
            assert!(is_refused, "{error}");
            std::fs::remove_file(&path).expect("it is there");
            let error = text.count().unwrap_err().to_string();
            assert!(error.contains("does not exist on the machine"), "{error}");
        }
    });
}

#[test]
fn join_filters_reach_the_machines() {
    within_the_limit("machines", || {
        let files = Files::new();
        let context = context(&files, Cluster::new(files.path("machines"), None, 1));
        let asked = context.range_partitioned(0..5_000, 7).map(|n| (n * 7, n));
        let other = context.range_partitioned(0..90_000, 7).map(|n| (n * 3, n));
        let rows = asked.left_join(other).collect().expect("rows");
        let matches = rows.iter().filter(|(_, (_, other))| other.is_some());
        assert_eq!((rows.len(), matches.count()), (5_000, 1_667));
        let stages = context.last_job().expect("a job").stages;
        let dropped: u64 = stages.iter().map(|stage| stage.filtered_records).sum();
        assert!(dropped > 80_000, "{dropped}");
    });
}
