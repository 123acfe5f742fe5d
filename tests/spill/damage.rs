//! A spill file that is damaged before it is read is detected and recomputed. It is never decoded as something else.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use holdall::{Bag, Context, ErrorKind, Executor, Result, StorageLevel};

use super::common::Files;
use super::{EXECUTORS, tight};

fn many_pairs(context: &Context) -> Bag<(String, u64)> {
    let numbers = context.range_partitioned(0..4_500, 10);
    let key = |n| format!("{n}{}", n * n).repeat(40);
    numbers.map(move |n| (key(n * 7 % 4_001), n)).boxed()
}

fn few_pairs(context: &Context) -> Bag<(String, u64)> {
    many_pairs(context).filter(|(_, n)| n % 4 == 0).boxed()
}

/// Returns a bag of each kind of shuffle. Those of the first three have files with all partitions.
fn shuffles(context: &Context) -> [Bag<(String, u64)>; 6] {
    let groups = many_pairs(context).group_by_key();
    let joined = many_pairs(context).join(few_pairs(context));
    [
        many_pairs(context).sum_by_key(),
        many_pairs(context).reduce_by_key(|a, _| a),
        many_pairs(context).partition_by(8),
        groups.map(|(key, values)| (key, values.sum())).boxed(),
        joined.map(|(key, (a, b))| (key, a * b)).boxed(),
        many_pairs(context).sort_by(|a, b| a.1.cmp(&b.1)),
    ]
}

/// Returns the spill files in the order in which they were created.
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

/// Passes the spill files to `damage` before the first partition is read for the first time. Returns the result, and
/// the number of times that the first partition was read.
fn collect_damaged(
    bag: Bag<(String, u64)>,
    spill: &Path,
    damage: impl Fn(&[PathBuf]) + Send + Sync + 'static,
) -> (Result<Vec<(String, u64)>>, usize) {
    collect_damaged_at(bag, spill, |attempt| attempt == 0, damage)
}

fn collect_damaged_at(
    bag: Bag<(String, u64)>,
    spill: &Path,
    is_when: fn(usize) -> bool,
    damage: impl Fn(&[PathBuf]) + Send + Sync + 'static,
) -> (Result<Vec<(String, u64)>>, usize) {
    let spill: Arc<Path> = spill.into();
    let is_damaged = OnceLock::new();
    let attempts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&attempts);
    let read = bag.map_partitions_with_index(move |partition, pairs, emit| {
        if partition == 0 {
            if is_when(count.fetch_add(1, Ordering::SeqCst)) {
                damage(&spilled_files(&spill));
            }
            is_damaged.get_or_init(|| ());
        }
        is_damaged.wait();
        pairs.for_each(emit);
    });
    let result = read.collect();
    (result, attempts.load(Ordering::SeqCst))
}

/// Returns a context with few partitions, because each partition reads from each run separately.
fn small(executor: Executor, files: &Files) -> Context {
    let context = tight(executor, files.root()).shuffle_partitions(8).build();
    context.expect("the settings are right")
}

fn inline(files: &Files) -> Context {
    small(Executor::Inline, files)
}

fn flip_bit(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path);
    flip_bit_of(&mut file.expect("a file"), at);
}

fn flip_bit_of(file: &mut File, at: u64) {
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).expect("to seek");
    file.read_exact(&mut byte).expect("it is long enough");
    file.seek(SeekFrom::Start(at)).expect("to seek");
    file.write_all(&[byte[0] ^ 1 << (at % 8)]).expect("room");
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).expect("a file").len()
}

/// Asserts that the error names the damaged spill file, and a frame whose offset satisfies `at`.
#[track_caller]
fn names_the_damage(result: Result<Vec<(String, u64)>>, at: impl Fn(u64) -> bool) {
    let error = result.expect_err("a wrong answer");
    let ErrorKind::TooManyAttempts {
        context: place,
        attempts: 4,
        last,
        ..
    } = error.kind()
    else {
        panic!("expected four attempts, got {error}");
    };
    assert_eq!(place.partition, Some(0), "{error}");
    assert!(place.stage > Some(1), "{error}");
    let ErrorKind::CorruptRun { path, offset, .. } = last.kind() else {
        panic!("expected damage, got {error}");
    };
    assert!(path.to_string_lossy().contains("holdall-"), "{path:?}");
    assert!(at(*offset), "{offset} is no place for the damage");
    let text = error.to_string();
    assert!(text.starts_with("a task failed 4 times (stage "), "{text}");
    assert!(text.ends_with(&last.to_string()), "{text}");
}

#[test]
fn what_is_not_damaged_is_read_once() {
    let files = Files::new();
    let context = inline(&files);
    for bag in shuffles(&context) {
        let expected = bag.collect().unwrap();
        let (found, attempts) =
            collect_damaged(bag, files.root(), |paths| assert!(!paths.is_empty()));
        assert_eq!((found.unwrap(), attempts), (expected, 1));
        assert!(files.names().is_empty());
    }
}

/// Returns the offset at which a bit is flipped in a file of this length: among the first bytes, the last bytes, or
/// some in between.
fn place(step: u64, length: u64) -> u64 {
    match step {
        0..5 => step,
        5..10 => length - 1 - (step - 5),
        _ => length * (step - 9) / 7,
    }
}

#[test]
fn a_bit_that_is_another_is_found_wherever_it_is_and_mended() {
    let files = Files::new();
    let context = inline(&files);
    let mut mended_in_all = 0;
    for (kind, bag) in shuffles(&context).into_iter().enumerate() {
        // Testing all offsets with all kinds would take too long.
        let steps = (0..15).skip(kind).step_by(if kind < 2 { 3 } else { 7 });
        let expected = bag.collect().unwrap();
        let mut mended = 0;
        for step in steps {
            let damage = move |paths: &[PathBuf]| {
                flip_bit(&paths[0], place(step, length(&paths[0])));
            };
            let (found, attempts) = collect_damaged(bag.clone(), files.root(), damage);
            assert!(found.unwrap() == expected, "step {step}");
            // The first file has all partitions, so the task of another partition may detect the damage.
            mended += attempts - 1;
            assert!(files.names().is_empty());
        }
        mended_in_all += mended;
    }
    assert!(mended_in_all > 0);
}

#[test]
fn what_is_damaged_each_time_is_an_error_in_the_end() {
    let files = Files::new();
    let context = inline(&files);
    for bag in shuffles(&context) {
        let place = Arc::new(AtomicUsize::new(0));
        let noted = Arc::clone(&place);
        let always = |_| true;
        let damage = move |paths: &[PathBuf]| {
            // The files of the last attempt are listed last.
            for path in paths {
                flip_bit(path, 0);
            }
            noted.store(paths.len(), Ordering::SeqCst);
        };
        let (found, attempts) = collect_damaged_at(bag, files.root(), always, damage);
        assert_eq!(attempts, 4);
        assert!(place.load(Ordering::SeqCst) > 0);
        names_the_damage(found, |offset| offset == 0);
        assert!(files.names().is_empty());
    }
}

#[test]
fn a_file_that_is_too_short_is_recomputed() {
    let files = Files::new();
    let context = inline(&files);
    for bag in shuffles(&context) {
        let expected = bag.collect().unwrap();
        for eighths in [0, 5] {
            let cut = move |paths: &[PathBuf]| {
                let file = File::options().write(true).open(&paths[0]).unwrap();
                file.set_len(length(&paths[0]) * eighths / 8).unwrap();
            };
            let (found, _) = collect_damaged(bag.clone(), files.root(), cut);
            assert!(found.unwrap() == expected);
            assert!(files.names().is_empty());
        }
    }
}

#[test]
fn files_that_were_exchanged_are_recomputed() {
    let files = Files::new();
    let context = inline(&files);
    let mut mended = 0;
    for bag in shuffles(&context) {
        let expected = bag.collect().unwrap();
        let (found, attempts) = collect_damaged(bag, files.root(), |paths| {
            let [first, second, ..] = paths else {
                panic!("there are fewer than two files");
            };
            let contents = [first, second].map(|path| fs::read(path).expect("a file"));
            fs::write(first, &contents[1]).expect("room");
            fs::write(second, &contents[0]).expect("room");
        });
        assert!(found.unwrap() == expected);
        mended += attempts - 1;
    }
    assert!(mended > 0);
}

#[test]
fn damage_is_mended_on_threads() {
    for (executor, _) in &EXECUTORS[1..] {
        let files = Files::new();
        let context = small(*executor, &files);
        let numbers = context.range_partitioned(0..9_000, 20);
        let sums = numbers
            .map(|n| (format!("{n}").repeat(200), n))
            .sum_by_key();
        let expected = sums.collect().unwrap();
        let (found, _) = collect_damaged(sums, files.root(), |paths| {
            for path in paths {
                flip_bit(path, length(path) - 1);
            }
        });
        assert!(found.unwrap() == expected);
        assert!(files.names().is_empty());
    }
}

/// If a map stage finds damage, the stage before it runs again.
#[test]
fn damage_between_two_shuffles_is_mended() {
    let files = Files::new();
    let context = inline(&files);
    let spill: Arc<Path> = files.root().into();
    let is_damaged = Arc::new(AtomicUsize::new(0));
    let sums = many_pairs(&context).sum_by_key();
    let damaged = sums
        .clone()
        .map_partitions_with_index(move |partition, pairs, emit| {
            if partition == 0 && is_damaged.fetch_add(1, Ordering::SeqCst) == 0 {
                for path in spilled_files(&spill) {
                    flip_bit(&path, 0);
                }
            }
            pairs.for_each(|(key, sum)| emit((key.len(), sum)));
        })
        .sum_by_key();
    let expected = sums.map(|(key, sum)| (key.len(), sum)).sum_by_key();
    assert_eq!(damaged.collect().unwrap(), expected.collect().unwrap());
}

#[test]
fn a_missing_file_is_recomputed() {
    for (executor, _) in [EXECUTORS[0], EXECUTORS[2]] {
        let files = Files::new();
        let context = small(executor, &files);
        let mut mended = 0;
        for bag in shuffles(&context) {
            let expected = bag.collect().unwrap();
            let (found, attempts) = collect_damaged(bag, files.root(), |paths| {
                for path in paths {
                    fs::remove_file(path).unwrap();
                }
            });
            assert!(found.unwrap() == expected);
            mended += attempts - 1;
            assert!(files.names().is_empty());
        }
        assert!(mended > 0);
    }
}

/// Damages all files once a few records of the first partition have been read.
fn damaged_midway(bag: Bag<(String, u64)>, spill: &Path) -> (Bag<(String, u64)>, Arc<AtomicUsize>) {
    let spill: Arc<Path> = spill.into();
    let attempts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&attempts);
    let read = bag.map_partitions_with_index(move |partition, pairs, emit| {
        if partition == 0 {
            count.fetch_add(1, Ordering::SeqCst);
        }
        let mut seen = 0;
        pairs.for_each(|pair| {
            seen += 1;
            if partition == 0 && seen == 3 && count.load(Ordering::SeqCst) == 1 {
                for path in spilled_files(&spill) {
                    // The last task that reads the file may have deleted it.
                    let file = File::options().read(true).write(true).open(path);
                    let Ok(mut file) = file else { continue };
                    let length = file.metadata().expect("a file").len();
                    for at in [length / 2, length.saturating_sub(1)] {
                        if at < length {
                            flip_bit_of(&mut file, at);
                        }
                    }
                }
            }
            emit(pair);
        });
    });
    (read.boxed(), attempts)
}

/// `iter` returns no record twice.
#[test]
fn iter_goes_on_after_damage_where_it_was() {
    for (executor, _) in [EXECUTORS[0], EXECUTORS[2]] {
        let files = Files::new();
        let context = small(executor, &files);
        for bag in shuffles(&context) {
            let expected = bag.collect().unwrap();
            let (read, attempts) = damaged_midway(bag, files.root());
            let found: Result<Vec<_>> = read.iter().unwrap().collect();
            assert!(found.unwrap() == expected);
            assert!(attempts.load(Ordering::SeqCst) > 0);
            assert!(files.names().is_empty());
        }
    }
}

#[test]
fn iter_gives_up_like_any_other_action() {
    let files = Files::new();
    let context = inline(&files);
    let spill: Arc<Path> = files.root().into();
    let read = many_pairs(&context).sum_by_key().map_partitions_with_index(
        move |partition, pairs, emit| {
            if partition == 0 {
                for path in spilled_files(&spill) {
                    flip_bit(&path, 0);
                }
            }
            pairs.for_each(emit);
        },
    );
    let last = read.iter().unwrap().last().unwrap();
    names_the_damage(last.map(|pair| vec![pair]), |offset| offset == 0);
}

/// Regression: if the end of a group was damaged, the group was passed on as if it ended there.
#[test]
fn no_part_of_a_group_is_passed_on() {
    let files = Files::new();
    let context = inline(&files);
    let spill: Arc<Path> = files.root().into();
    let numbers = context.range_partitioned(0..6_000, 20);
    let groups = numbers.map(|n| (0_u8, n.to_string().repeat(200)));
    let attempts = AtomicUsize::new(0);
    let lengths = groups.group_by_key().map(move |(_, values)| {
        let is_first = attempts.fetch_add(1, Ordering::SeqCst) == 0;
        let length = |at: usize, value: String| {
            if is_first && at == 3 {
                for path in spilled_files(&spill) {
                    flip_bit(&path, length(&path) - 1);
                }
            }
            value.len()
        };
        let lengths = values.enumerate().map(|(at, value)| length(at, value));
        lengths.sum::<usize>()
    });
    let expected: usize = (0..6_000).map(|n: u32| n.to_string().len() * 200).sum();
    let found: Result<Vec<_>> = lengths.iter().unwrap().collect();
    assert_eq!(found.unwrap(), [expected]);
}

/// A persisted bag is computed again, even if that requires stages that had been skipped.
#[test]
fn a_damaged_or_missing_persisted_file_is_recomputed() {
    let damages: [fn(&Path); 2] = [
        |path| flip_bit(path, 0),
        |path| fs::remove_file(path).unwrap(),
    ];
    for (executor, damage) in [EXECUTORS[0].0, EXECUTORS[2].0].into_iter().zip(damages) {
        let files = Files::new();
        let context = small(executor, &files);
        let kept = few_pairs(&context).sum_by_key().persist(StorageLevel::Disk);
        let expected = kept.collect().unwrap();
        for path in spilled_files(files.root()) {
            damage(&path);
        }
        assert!(kept.collect().unwrap() == expected);
        assert!(kept.clone().sort().count().unwrap() == expected.len() as u64);
        for path in spilled_files(files.root()) {
            damage(&path);
        }
        // Here, a map stage reads the damaged files.
        let sizes = kept.clone().map(|(key, sum)| (key.len(), sum)).sum_by_key();
        let all = sizes.values().sum::<u64>().unwrap();
        assert_eq!(all, expected.iter().map(|(_, sum)| sum).sum::<u64>());
        drop(kept);
        assert!(files.names().is_empty());
    }
}
