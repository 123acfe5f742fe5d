//! Results of actions, including edge cases: ties, empty bags, infinite bags, an error in the middle, an output
//! directory.

use std::cmp::Ordering;
use std::fs;
use std::path::Path;
use std::sync::atomic::{self, AtomicUsize};
use std::sync::{Arc, Mutex};

use holdall::{Context, ErrorKind, Executor, Result, StorageLevel, TextWriter};
use serde::{Deserialize, Serialize};

use crate::common::{
    Files, ON_PURPOSE, concatenation, names_in, on_every_executor, on_every_executor_and_processes,
    quiet_panics, within_the_limit,
};

#[test]
fn iter_gives_all_records_in_order() {
    on_every_executor(|context| {
        let numbers = context.range_partitioned(0..300_000, 13);
        let all: Result<Vec<_>> = numbers.iter().unwrap().collect();
        assert!(all.unwrap().into_iter().eq(0..300_000));
        let uneven = context
            .range_partitioned(0..40, 40)
            .flat_map(|n| vec![n; (n * n) as usize]);
        let all: Result<Vec<_>> = uneven.iter().unwrap().collect();
        assert_eq!(all.unwrap(), uneven.collect().unwrap());
        let streamed: Result<Vec<_>> = context.from_iter(0..100_000).iter().unwrap().collect();
        assert!(streamed.unwrap().into_iter().eq(0..100_000));
        let counts = context.range(0..1_000).map(|n| n % 10).count_by_value();
        let all: Result<Vec<_>> = counts.iter().unwrap().collect();
        assert_eq!(all.unwrap(), counts.collect().unwrap());
    });
}

#[test]
fn iter_of_nothing_ends_at_once_and_stays_at_its_end() {
    on_every_executor(|context| {
        let mut none = context.empty::<u8>().iter().unwrap();
        assert!(none.next().is_none() && none.next().is_none());
        let mut none = context.range(0..1_000).filter(|_| false).iter().unwrap();
        assert!(none.next().is_none() && none.next().is_none());
    });
}

#[test]
fn iter_can_be_dropped_at_any_moment() {
    on_every_executor(|context| {
        let numbers = context.from_iter(0..).map(|n: u64| n.to_string());
        for records in [0, 1, 2, 64, 65, 5_000] {
            let taken: Result<Vec<_>> = numbers.iter().unwrap().take(records).collect();
            assert!(
                taken
                    .unwrap()
                    .into_iter()
                    .eq((0..records).map(|n| n.to_string()))
            );
        }
        // The same with a shuffle before it.
        let counts = context
            .range(0..100_000)
            .map(|n| n % 1_000)
            .count_by_value();
        drop(counts.iter().unwrap());
        assert_eq!(counts.iter().unwrap().next().unwrap().unwrap().1, 100);
    });
}

#[test]
fn another_action_can_run_inside_of_the_loop() {
    on_every_executor(|context| {
        let mut rounds = 0;
        let numbers = context.range_partitioned(0..200_000, 20);
        for (n, expected) in numbers
            .iter()
            .unwrap()
            .step_by(40_000)
            .zip((0..).step_by(40_000))
        {
            let n = n.unwrap();
            assert_eq!(n, expected);
            assert_eq!(context.range(0..n).count().unwrap(), n);
            let keyed = context.range(0..100).map(|n| n % 7).distinct();
            assert_eq!(keyed.iter().unwrap().count(), 7);
            rounds += 1;
        }
        assert_eq!(rounds, 5);
    });
}

#[test]
fn several_iterators_can_be_open_at_once() {
    on_every_executor(|context| {
        let numbers = context.range_partitioned(0..100_000_u64, 8);
        let squares = numbers.clone().map(|n| n * n);
        let both = numbers.iter().unwrap().zip(squares.iter().unwrap());
        assert_eq!(
            both.filter(|(n, square)| n.as_ref().unwrap().pow(2) == *square.as_ref().unwrap())
                .count(),
            100_000
        );
    });
}

#[test]
fn an_error_is_the_last_item_of_iter() {
    quiet_panics();
    on_every_executor(|context| {
        let numbers = context.range_partitioned(0..1_000, 10);
        let failing = numbers.try_map(|n| if n == 555 { Err("five") } else { Ok(n) });
        let mut items: Vec<_> = failing.iter().unwrap().collect();
        let error = items.pop().unwrap().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Closure { .. }), "{error}");
        // The records before the error are a prefix of the result without the error.
        assert!(items.len() <= 555);
        let before: Vec<_> = items.into_iter().map(Result::unwrap).collect();
        assert!(before.iter().copied().eq(0..before.len() as u64));
        let mut iter = failing.iter().unwrap();
        assert!(iter.by_ref().any(|item| item.is_err()));
        assert!(iter.next().is_none() && iter.next().is_none());
    });
}

/// Waits until `count` has begun to grow and seems to have stopped. No assertion depends on whether it has really
/// stopped.
fn wait_until_idle(count: &AtomicUsize) {
    let (mut last, mut quiet) = (0, 0);
    while quiet < 1_000 {
        let now = count.load(atomic::Ordering::Relaxed);
        quiet = if now == 0 || now != last {
            0
        } else {
            quiet + 1
        };
        last = now;
        std::thread::yield_now();
    }
}

#[test]
fn an_error_reaches_those_who_wait_for_room() {
    within_the_limit("threads:2", || {
        let context = Context::builder()
            .executor(Executor::Threads(2))
            .progress(false)
            .build()
            .unwrap();
        let ahead = AtomicUsize::new(0);
        // The first partition fails at its first record, after the other has filled the buffer of results.
        let numbers = context
            .range_partitioned(0..2_000_000, 2)
            .try_map(move |n| {
                if n == 0 {
                    wait_until_idle(&ahead);
                    return Err("nothing to give");
                }
                ahead.fetch_add(usize::from(n >= 1_000_000), atomic::Ordering::Relaxed);
                Ok(n)
            });
        let items: Vec<_> = numbers.iter().unwrap().collect();
        assert_eq!(items.len(), 1);
        let error = items[0].as_ref().unwrap_err().to_string();
        assert!(error.contains("nothing to give"), "{error}");
    });
}

#[test]
fn those_who_wait_for_room_are_freed_by_a_drop() {
    within_the_limit("threads:2", || {
        let context = Context::builder()
            .executor(Executor::Threads(2))
            .progress(false)
            .build()
            .unwrap();
        let seen = Arc::new(AtomicUsize::new(0));
        let see = Arc::clone(&seen);
        let numbers = context.from_iter(0_u64..).inspect(move |_| {
            see.fetch_add(1, atomic::Ordering::Relaxed);
        });
        let iter = numbers.iter().unwrap();
        wait_until_idle(&seen);
        drop(iter);
        let after = seen.load(atomic::Ordering::Relaxed);
        assert_eq!(context.range(0..1_000).count().unwrap(), 1_000);
        assert_eq!(seen.load(atomic::Ordering::Relaxed), after);
    });
}

#[test]
fn endless_sources_do_for_actions_that_stop() {
    on_every_executor(|context| {
        let numbers = context.from_iter(0_u64..);
        assert_eq!(numbers.first().unwrap(), Some(0));
        assert!(!numbers.is_empty().unwrap());
        let evens = numbers.clone().filter(|n| n % 2 == 0);
        assert!(
            evens
                .take(10_000)
                .unwrap()
                .into_iter()
                .eq((0..).step_by(2).take(10_000))
        );
        let words = numbers
            .flat_map_str(|n, emit| emit(&format!("w{n}")))
            .boxed();
        assert_eq!(words.iter().unwrap().nth(3_000).unwrap().unwrap(), "w3000");
        let after = context.range(0..3).union(context.from_iter(3..));
        assert_eq!(after.take(5).unwrap(), [0, 1, 2, 3, 4]);
    });
}

#[test]
fn a_source_that_can_be_read_once_is_read_by_one_job() {
    on_every_executor(|context| {
        let (sender, receiver) = std::sync::mpsc::channel();
        (0..1_000).try_for_each(|n| sender.send(n)).unwrap();
        drop(sender);
        let receiver = Mutex::new(Some(receiver));
        let numbers =
            context.from_fn(move || receiver.lock().unwrap().take().into_iter().flatten());
        assert!(numbers.collect().unwrap().into_iter().eq(0..1_000));
        assert_eq!(numbers.count().unwrap(), 0);
    });
}

#[test]
fn what_is_read_once_and_persisted_has_indices() {
    on_every_executor(|context| {
        let (sender, receiver) = std::sync::mpsc::channel();
        (0..1_000).try_for_each(|n| sender.send(n)).unwrap();
        drop(sender);
        let receiver = Mutex::new(Some(receiver));
        let numbers =
            context.from_fn(move || receiver.lock().unwrap().take().into_iter().flatten());
        let indexed = numbers.persist(StorageLevel::default()).zip_with_index();
        let expected = (0..1_000).zip(0..);
        assert!(indexed.collect().unwrap().into_iter().eq(expected));
    });
}

#[test]
fn of_nothing_comes_nothing() {
    on_every_executor(|context| {
        let (none, filtered) = (
            context.empty::<i64>(),
            context.range(0..100).filter(|_| false),
        );
        assert_eq!(
            (none.partitions(), filtered.partitions()),
            (Some(0), Some(64))
        );
        for bag in [
            none.boxed(),
            filtered.map(|n| n as i64).boxed(),
            context.from_iter(Vec::new()).boxed(),
        ] {
            assert!(bag.collect().unwrap().is_empty());
            assert_eq!(bag.count().unwrap(), 0);
            assert!(bag.is_empty().unwrap());
            assert_eq!((bag.first().unwrap(), bag.take(5).unwrap()), (None, vec![]));
            assert_eq!((bag.min().unwrap(), bag.max().unwrap()), (None, None));
            assert_eq!(bag.min_by(i64::cmp).unwrap(), None);
            assert_eq!(bag.max_by_key(|n| *n).unwrap(), None);
            assert_eq!(bag.find(|_| true).unwrap(), None);
            assert!(!bag.any(|_| true).unwrap() && bag.all(|_| false).unwrap());
            assert!(bag.clone().zip_with_index().collect().unwrap().is_empty());
            assert!(bag.clone().sample(1.0, 0).collect().unwrap().is_empty());
            assert_eq!(
                (bag.top(3).unwrap(), bag.bottom(3).unwrap()),
                (vec![], vec![])
            );
            assert_eq!(bag.reduce(|a, b| a + b).unwrap(), None);
            assert_eq!(bag.fold(0, |a, b| a + b).unwrap(), 0);
            assert_eq!(bag.aggregate(0, |a, b| a + b, |a, b| a + b).unwrap(), 0);
            assert_eq!(bag.sum::<i64>().unwrap(), 0);
            bag.for_each(|_| unreachable!()).unwrap();
            assert_eq!(bag.clone().count_by_value().count().unwrap(), 0);
            assert_eq!(
                bag.clone().key_by(|n| *n).group_by_key().collect().unwrap(),
                []
            );
            assert_eq!(
                bag.clone()
                    .union(context.from_vec(vec![1]))
                    .collect()
                    .unwrap(),
                [1]
            );
        }
    });
}

/// A pair that is compared by its first field only.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Tied(u64, u64);

impl PartialEq for Tied {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Tied {}

impl PartialOrd for Tied {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Tied {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

#[test]
fn of_equal_records_the_choice_is_that_of_iterators() {
    on_every_executor(|context| {
        for partitions in [1, 2, 7, 100] {
            let bag = context
                .range_partitioned(0..100, partitions)
                .map(|n| Tied(n * 7 % 5, n));
            let all = || (0..100).map(|n| Tied(n * 7 % 5, n));
            let second = |tied: Option<Tied>| tied.map(|tied| tied.1);
            assert_eq!(second(bag.min().unwrap()), second(all().min()));
            assert_eq!(second(bag.max().unwrap()), second(all().max()));
            let seconds = |all: Vec<Tied>| all.into_iter().map(|tied| tied.1).collect::<Vec<_>>();
            let mut sorted: Vec<_> = all().collect();
            sorted.sort();
            assert_eq!(
                seconds(bag.bottom(33).unwrap()),
                seconds(sorted[..33].to_vec())
            );
            sorted.sort_by(|a, b| b.cmp(a));
            for n in [1, 2, 33, 100] {
                assert_eq!(seconds(bag.top(n).unwrap()), seconds(sorted[..n].to_vec()));
            }
            assert_eq!(
                seconds(bag.top_by(33, |a, b| a.cmp(b)).unwrap()),
                seconds(sorted[..33].to_vec())
            );
        }
    });
}

#[test]
fn top_takes_any_number() {
    on_every_executor(|context| {
        let bag = context.range_partitioned(0..10, 4);
        assert_eq!(
            (bag.top(0).unwrap(), bag.bottom(0).unwrap()),
            (vec![], vec![])
        );
        assert_eq!(bag.top(11).unwrap(), (0..10).rev().collect::<Vec<_>>());
        assert_eq!(bag.bottom(usize::MAX).unwrap(), (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn numbers_of_all_kinds_are_summed() {
    on_every_executor(|context| {
        let bag = context.from_vec(vec![0.5, 0.25, 4.0]);
        assert_eq!(bag.sum::<f64>().unwrap(), 4.75);
        let bag = context.from_vec(vec![1_i8, -3]);
        assert_eq!(bag.sum::<i8>().unwrap(), -2);
        assert_eq!(
            bag.map(std::num::Wrapping)
                .sum::<std::num::Wrapping<i8>>()
                .unwrap()
                .0,
            -2
        );
        let bag = context.from_vec(vec![f64::INFINITY, f64::NEG_INFINITY]);
        assert!(bag.sum::<f64>().unwrap().is_nan());
        let bag = context.from_vec(vec![Some(2), Some(3)]);
        assert_eq!(bag.sum::<Option<u8>>().unwrap(), Some(5));
        let bag = context.from_vec(vec![Some(2), None, Some(3)]);
        assert_eq!(bag.sum::<Option<u8>>().unwrap(), None);
    });
}

#[test]
fn for_each_sees_each_record_once() {
    on_every_executor(|context| {
        let seen: Arc<Vec<AtomicUsize>> =
            Arc::new((0..1_000).map(|_| AtomicUsize::new(0)).collect());
        let see = Arc::clone(&seen);
        let numbers = context.range(0..1_000);
        numbers
            .for_each(move |n| {
                see[n as usize].fetch_add(1, atomic::Ordering::Relaxed);
            })
            .unwrap();
        let see = Arc::clone(&seen);
        let add = move |n: u64| {
            see[n as usize]
                .fetch_add(1, atomic::Ordering::Relaxed)
                .checked_sub(1)
                .map(drop)
        };
        numbers
            .try_for_each(move |n| add(n).ok_or("not seen before"))
            .unwrap();
        assert!(
            seen.iter()
                .all(|count| count.load(atomic::Ordering::Relaxed) == 2)
        );
    });
}

// Files.

#[test]
fn written_text_is_a_file_for_each_partition() {
    on_every_executor(|context| {
        let files = Files::new();
        let out = files.path("out");
        let numbers = context.range_partitioned(0..4, 4).filter(|n| n % 2 == 0);
        let numbers = numbers.flat_map(|n| [n, n]);
        let written = numbers.write_text(&out).unwrap();
        assert_eq!((written.records, written.bytes), (4, 8));
        assert_eq!(
            written.files,
            [0, 1, 2, 3].map(|n| out.join(format!("part-0000{n}")))
        );
        assert_eq!(
            names_in(&out),
            ["part-00000", "part-00001", "part-00002", "part-00003"]
        );
        let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
        assert_eq!(read("part-00000"), "0\n0\n");
        // A partition without records is an empty file.
        assert_eq!(read("part-00001"), "");
        assert_eq!(read("part-00002"), "2\n2\n");
        assert_eq!(
            context.read_text(&out).unwrap().collect().unwrap(),
            ["0", "0", "2", "2"]
        );
        // There are no other files.
        assert_eq!(files.names(), ["out"]);
    });
}

#[test]
fn an_empty_bag_is_written_and_read_back() {
    on_every_executor(|context| {
        let files = Files::new();
        let empty = context.empty::<String>();
        let written = empty.write_text(files.path("out")).unwrap();
        assert_eq!((written.records, written.bytes), (0, 0));
        assert_eq!(written.files, [files.path("out").join("part-00000")]);
        assert_eq!(files.names(), ["out"]);
        let read = context.read_text(files.path("out")).unwrap();
        assert!(read.is_empty().unwrap());
    });
}

#[test]
fn a_record_larger_than_the_buffer_is_counted_once() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let lines = context.range_partitioned(1..4, 3);
        let lines = lines.map(|n| "x".repeat(n as usize * 100_000));
        let written = lines.write_text(files.path("out")).unwrap();
        assert_eq!((written.records, written.bytes), (3, 600_003));
        assert_eq!(written.files.len(), 3);
        assert_eq!(concatenation(&files.path("out")).len(), 600_003);
    });
}

#[test]
fn text_of_all_kinds_of_records_is_written() {
    on_every_executor(|context| {
        let files = Files::new();
        let write =
            |name: &str, bag: holdall::Bag<String>| bag.write_text(files.path(name)).unwrap();
        write(
            "owned",
            context
                .from_vec(vec!["a".to_owned(), "ä\tb".to_owned()])
                .boxed(),
        );
        assert_eq!(concatenation(&files.path("owned")), "a\nä\tb\n");
        let lines = context.read_text(files.path("owned")).unwrap();
        lines.words().write_text(files.path("borrowed")).unwrap();
        assert_eq!(concatenation(&files.path("borrowed")), "a\nä\nb\n");
        let numbers = context.from_iter(0..100_000);
        let written = numbers.write_text(files.path("streamed")).unwrap();
        let expected: String = (0..100_000).map(|n| format!("{n}\n")).collect();
        assert_eq!(concatenation(&files.path("streamed")), expected);
        assert_eq!(written.records, 100_000);
        assert_eq!(written.bytes, expected.len() as u64);
        let names = names_in(&files.path("streamed"));
        let paths: Vec<_> = names
            .iter()
            .map(|name| files.path("streamed").join(name))
            .collect();
        assert_eq!(written.files, paths);
    });
}

#[test]
fn an_existing_output_is_replaced_only_on_request() {
    on_every_executor(|context| {
        let files = Files::new();
        let numbers = context.range_partitioned(0..10, 5);
        for existing in ["directory/part-00000", "file", "link"] {
            let path = files.path(existing.split('/').next().unwrap());
            if existing == "link" {
                std::os::unix::fs::symlink("nowhere", &path).unwrap();
            } else {
                files.write(existing, "precious");
            }
            let error = numbers.write_text(&path).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::OutputExists { .. }),
                "{error}"
            );
            assert!(
                path.symlink_metadata().unwrap().is_dir() == (existing == "directory/part-00000")
            );
            TextWriter::new()
                .overwrite(true)
                .write(&numbers.clone().filter(|n| *n < 2), &path)
                .unwrap();
            assert_eq!(concatenation(&path), "0\n1\n");
            assert_eq!(names_in(&path).len(), 5);
        }
        assert_eq!(files.names(), ["directory", "file", "link"]);
    });
}

#[test]
fn a_refused_output_runs_nothing() {
    on_every_executor(|context| {
        let files = Files::new();
        files.write("out/f", "precious");
        let numbers = context.range(0..10).inspect(|_| panic!("it ran"));
        assert!(numbers.write_text(files.path("out")).is_err());
    });
}

#[test]
fn a_failing_job_leaves_nothing_and_spoils_nothing() {
    quiet_panics();
    on_every_executor(|context| {
        let files = Files::new();
        let numbers = context.range_partitioned(0..1_000, 10);
        let failing = numbers
            .clone()
            .try_map(|n| if n == 500 { Err("half") } else { Ok(n) })
            .boxed();
        let panicking = numbers
            .inspect(|n| assert!(*n != 999, "{ON_PURPOSE}"))
            .boxed();
        files.write("old/part-00000", "precious\n");
        for bag in [failing, panicking] {
            assert!(bag.write_text(files.path("new")).is_err());
            assert!(
                TextWriter::new()
                    .overwrite(true)
                    .write(&bag, files.path("old"))
                    .is_err()
            );
            assert_eq!(files.names(), ["old"]);
            assert_eq!(concatenation(&files.path("old")), "precious\n");
        }
    });
}

#[test]
fn missing_directories_above_the_output_are_made() {
    on_every_executor(|context| {
        let files = Files::new();
        let out = files.path("a/b/c");
        context.range(0..3).write_text(&out).unwrap();
        assert_eq!(concatenation(&out), "0\n1\n2\n");
        assert_eq!(names_in(&files.path("a/b")), ["c"]);
        // If the directory cannot be created, the error names it.
        let file = files.write("file", "");
        let error = context
            .range(0..3)
            .write_text(file.join("below"))
            .unwrap_err();
        assert!(
            error.is_io() && error.to_string().contains("file"),
            "{error}"
        );
    });
}

#[test]
fn a_relative_path_without_a_directory_is_in_the_current_one() {
    let files = Files::new();
    let itself = std::env::current_exe().unwrap();
    let output = std::process::Command::new(itself)
        .args(["--ignored", "--exact", "actions::writes_by_relative_paths"])
        .current_dir(files.root())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{stdout}"
    );
    assert_eq!(files.names(), ["dotted", "out", "slash"]);
}

#[test]
#[ignore = "a process of its own runs it, since all threads share the current directory"]
fn writes_by_relative_paths() {
    for (path, numbers) in [
        (Path::new("out"), 0..2),
        (Path::new("./dotted"), 0..3),
        (Path::new("slash/"), 0..4),
    ] {
        holdall::range(numbers.clone()).write_text(path).unwrap();
        assert_eq!(
            concatenation(path),
            numbers.map(|n| format!("{n}\n")).collect::<String>()
        );
    }
    TextWriter::new()
        .overwrite(true)
        .write(&holdall::range(5..6), "out")
        .unwrap();
    assert_eq!(concatenation(Path::new("out")), "5\n");
}

#[test]
fn output_can_replace_its_own_input() {
    on_every_executor(|context| {
        let files = Files::new();
        let path = files.path("numbers");
        context.range(0..1_000).write_text(&path).unwrap();
        let lines = context.read_text(&path).unwrap();
        let longer = lines.map(|line| format!("{line}0"));
        TextWriter::new()
            .overwrite(true)
            .write(&longer, &path)
            .unwrap();
        let expected: String = (0..1_000).map(|n| format!("{n}0\n")).collect();
        assert_eq!(concatenation(&path), expected);
    });
}

/// Regression: the directory was removed with its content.
#[test]
fn a_directory_that_is_no_output_is_not_replaced() {
    let files = Files::new();
    let writer = TextWriter::new().overwrite(true);
    let numbers = holdall::range(0..10);
    for name in [
        "home/thesis.tex",
        "out/part-00000/x",
        "new/part-1",
        "old/part-00000.gz",
    ] {
        let kept = files.write(name, "text");
        let directory = files.path(name.split('/').next().unwrap());
        fs::write(directory.join("part-00001"), "0\n").unwrap();
        let error = writer.write(&numbers, &directory).unwrap_err();
        let ErrorKind::NotAnOutput { path, found, .. } = error.kind() else {
            panic!("{error}");
        };
        assert!(*path == directory && kept.starts_with(found), "{error}");
        assert_eq!(fs::read_to_string(kept).unwrap(), "text");
        assert_eq!(
            fs::read_to_string(directory.join("part-00001")).unwrap(),
            "0\n"
        );
    }
    assert_eq!(files.names(), ["home", "new", "old", "out"]);

    // Nor is it replaced if files of the user appear in it while the job runs. A link is not a directory of ours.
    writer.write(&numbers, files.path("a")).unwrap();
    let late = files.path("a/late");
    let filling = numbers.map(move |n| {
        fs::write(&late, "text").unwrap();
        n
    });
    let error = writer.write(&filling, files.path("a")).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::NotAnOutput { .. }),
        "{error}"
    );
    assert_eq!(fs::read_to_string(files.path("a/late")).unwrap(), "text");
    assert_eq!(
        fs::read_to_string(files.path("a/part-00000")).unwrap(),
        "0\n"
    );
}
