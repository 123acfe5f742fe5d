//! A spilled file that is damaged before it is read is found out, and never read as something else.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use holdall::{Bag, Context, ErrorKind, Executor, Result};

use super::common::Files;
use super::{EXECUTORS, tight};

fn many_pairs(context: &Context) -> Bag<(String, u64)> {
    let numbers = context.range_partitioned(0..6_000, 20);
    let key = |n| format!("{n}{}", n * n).repeat(40);
    numbers.map(move |n| (key(n * 7 % 5_500), n)).boxed()
}

fn shuffles(context: &Context) -> [Bag<(String, u64)>; 3] {
    [
        many_pairs(context).sum_by_key(),
        many_pairs(context).reduce_by_key(|a, _| a),
        many_pairs(context).partition_by(20),
    ]
}

/// The spilled files, in the order in which they were made.
fn spilled_files(spill: &Path) -> Vec<PathBuf> {
    let below = |directory: &Path| {
        let entries = fs::read_dir(directory).expect("a directory");
        let paths = entries.map(|entry| entry.expect("a directory").path());
        paths.collect::<Vec<_>>()
    };
    let all = below(spill).into_iter().flat_map(|job| below(&job));
    let mut files: Vec<_> = all.filter(|path| !path.ends_with("lock")).collect();
    files.sort_by_key(|path| {
        let name = path.display().to_string();
        let number = name.rsplit('-').next().and_then(|n| n.parse::<u64>().ok());
        number.expect("files have numbers")
    });
    files
}

/// Hands the spilled files to `damage` before the first partition is read, and gives the result.
fn collect_damaged(
    bag: Bag<(String, u64)>,
    spill: &Path,
    damage: impl Fn(&[PathBuf]) + Send + Sync + 'static,
) -> Result<Vec<(String, u64)>> {
    let spill: Arc<Path> = spill.into();
    let is_damaged = OnceLock::new();
    bag.map_partitions_with_index(move |partition, pairs, emit| {
        if partition == 0 {
            damage(&spilled_files(&spill));
            is_damaged.set(()).expect("the first time");
        }
        is_damaged.wait();
        pairs.for_each(emit);
    })
    .collect()
}

fn inline(files: &Files) -> Context {
    let context = tight(Executor::Inline, files.root()).build();
    context.expect("the settings are right")
}

fn flip_bit(path: &Path, at: u64) {
    let mut file = File::options().read(true).write(true).open(path);
    let file = file.as_mut().expect("a file");
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).expect("to seek");
    file.read_exact(&mut byte).expect("it is long enough");
    file.seek(SeekFrom::Start(at)).expect("to seek");
    file.write_all(&[byte[0] ^ 1 << (at % 8)]).expect("room");
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).expect("a file").len()
}

/// Checks that the error names the spilled file that was damaged, and a frame that begins at `at` or before.
#[track_caller]
fn names_the_damage(result: Result<Vec<(String, u64)>>, at: impl Fn(u64) -> bool) {
    match result.expect_err("a wrong answer").kind() {
        ErrorKind::CorruptRun { path, offset, .. } => {
            assert!(path.to_string_lossy().contains("holdall-"), "{path:?}");
            assert!(at(*offset), "{offset} is no place for the damage");
        }
        other => panic!("expected damage, got {other}"),
    }
}

#[test]
fn what_is_not_damaged_is_read() {
    let files = Files::new();
    let context = inline(&files);
    for bag in shuffles(&context) {
        let expected = bag.collect().unwrap();
        let found = collect_damaged(bag, files.root(), |paths| assert!(!paths.is_empty()));
        assert_eq!(found.unwrap(), expected);
        assert!(files.names().is_empty());
    }
}

#[test]
fn a_bit_that_is_another_is_found_wherever_it_is() {
    let files = Files::new();
    let context = inline(&files);
    for step in 0..15 {
        for bag in shuffles(&context) {
            let place = Arc::new(OnceLock::new());
            let noted = Arc::clone(&place);
            let result = collect_damaged(bag, files.root(), move |paths| {
                // The first bytes, the last ones, and some between.
                let at = match step {
                    0..5 => step,
                    5..10 => length(&paths[0]) - 1 - (step - 5),
                    _ => length(&paths[0]) * (step - 9) / 7,
                };
                flip_bit(&paths[0], at);
                noted.set(at).expect("the first time");
            });
            let at = *place.get().expect("it was damaged");
            // A frame is 64 KiB long, a little more where records do not fit.
            names_the_damage(result, |offset| offset <= at && at - offset < 70_000);
            assert!(files.names().is_empty());
        }
    }
}

#[test]
fn a_file_that_is_too_short_is_found() {
    let files = Files::new();
    let context = inline(&files);
    for eighths in 0..8 {
        for bag in shuffles(&context) {
            let result = collect_damaged(bag, files.root(), move |paths| {
                let file = File::options().write(true).open(&paths[0]).unwrap();
                file.set_len(length(&paths[0]) * eighths / 8).unwrap();
            });
            names_the_damage(result, |_| true);
            assert!(files.names().is_empty());
        }
    }
}

#[test]
fn files_that_have_changed_places_are_found() {
    let files = Files::new();
    let context = inline(&files);
    for bag in shuffles(&context) {
        let result = collect_damaged(bag, files.root(), |paths| {
            let [first, second, ..] = paths else {
                panic!("there are fewer than two files");
            };
            let contents = [first, second].map(|path| fs::read(path).expect("a file"));
            fs::write(first, &contents[1]).expect("room");
            fs::write(second, &contents[0]).expect("room");
        });
        names_the_damage(result, |_| true);
    }
}

#[test]
fn damage_is_found_on_threads() {
    for (executor, _) in &EXECUTORS[1..] {
        let files = Files::new();
        let numbers = |context: &Context| {
            let numbers = context.range_partitioned(0..9_000, 20);
            numbers.map(|n| (format!("{n}").repeat(200), n)).boxed()
        };
        let context = tight(*executor, files.root()).build().unwrap();
        let result = collect_damaged(numbers(&context).sum_by_key(), files.root(), |paths| {
            flip_bit(&paths[0], length(&paths[0]) - 1)
        });
        names_the_damage(result, |_| true);
        assert!(files.names().is_empty());
    }
}
