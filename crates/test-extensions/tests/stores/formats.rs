//! A format of another crate on a file system of another crate.

use std::fs;
use std::io::{Read, Write};

use holdall::files::{OutputOptions, Token};
use holdall::{Context, ErrorKind, Executor};
use holdall_test_extensions::{Call, Failing, Fault, FixedLengthSink, Store, read_fixed_length};

use crate::{Files, names_in, on, on_each, threads};

fn number(record: &[u8]) -> u32 {
    u32::from_be_bytes(record.try_into().expect("four bytes"))
}

fn numbers(count: u32) -> Vec<u8> {
    (0..count).flat_map(u32::to_be_bytes).collect()
}

/// Writes the even ones of the numbers below 30,000 in six partitions. Returns their number.
fn write_even(context: &Context, output: &str) -> holdall::Result<u64> {
    let records = read_fixed_length(context, "store://in", 4, 5_000)?;
    let sink = FixedLengthSink::new(context, output, 4)?;
    let even = records.filter(|record| number(record).is_multiple_of(2));
    Ok(even.write(sink)?.0)
}

#[test]
fn a_format_is_read_and_written_in_a_store() {
    let files = Files::new();
    files.write("in/a", numbers(30_000));
    for (fault, ahead_bytes) in [
        (Fault::None, 0),
        (Fault::None, 1 << 16),
        (Fault::Refuses, 0),
        (Fault::BreaksAfter(7_001), 0),
        (Fault::EndsAfter(7_001), 1 << 16),
    ] {
        let store = Store {
            fault,
            ahead_bytes,
            ..files.store()
        };
        on_each(&store, |context| {
            assert_eq!(
                write_even(context, "store://out/even").expect("files"),
                15_000
            );
            let expected: Vec<_> = (0..6).map(|n| format!("part-{n:05}.bin")).collect();
            assert_eq!(names_in(&files.path("out/even")), expected);
            assert_eq!(names_in(&store.uploads), [""; 0]);
            let back = read_fixed_length(context, "store://out/**/*.bin", 4, 100_000);
            let back = back.and_then(|back| back.map(number).collect());
            let back = back.expect("numbers");
            assert!(back.into_iter().eq((0..30_000).step_by(2)));
            let error = write_even(context, "store://out/even").expect_err("it exists");
            assert!(
                matches!(error.kind(), ErrorKind::OutputExists { .. }),
                "{error:?}"
            );
            fs::remove_dir_all(files.path("out")).expect("a directory");
        });
    }
    assert_eq!(files.store().open_readers(), 0);
}

#[test]
fn a_format_does_not_read_a_changed_file() {
    let files = Files::new();
    files.write("in/a", numbers(100));
    let store = files.store();
    on_each(&store, |context| {
        let records = read_fixed_length(context, "store://in/a", 4, 10).expect("a file");
        files.write("in/a", numbers(101));
        let error = records.count().expect_err("it has changed");
        assert!(
            matches!(error.kind(), ErrorKind::InputChanged { path, .. } if path.ends_with("in/a")),
            "{error:?}"
        );
        files.write("in/a", numbers(100));
    });
}

#[test]
fn errors_of_a_store_have_the_path_and_the_byte() {
    let files = Files::new();
    files.write("in/a", numbers(100));
    let store = Store {
        fault: Fault::ReadAt(120, Failing::ForGood),
        ..files.store()
    };
    on_each(&store, |context| {
        let records = read_fixed_length(context, "store://in/a", 4, 25).expect("a file");
        let error = records.count().expect_err("the byte is bad");
        let place = error.context().expect("it is in a task");
        assert_eq!(place.location.map(|at| at.file()), Some(file!()));
        let expected = format!("cannot read store://in/a at byte 120{place}: the disk is gone");
        assert_eq!(error.to_string(), expected);
    });
}

#[test]
fn nothing_appears_of_a_failed_format() {
    let files = Files::new();
    files.write("in/a", numbers(30_000));
    for call in [Call::Begin, Call::Commit] {
        let store = Store {
            fault: Fault::In(call),
            ..files.store()
        };
        on_each(&store, |context| {
            write_even(context, "store://out").expect_err("a call fails");
            assert!(!files.path("out").exists() || names_in(&files.path("out")).is_empty());
            assert_eq!(names_in(&store.uploads), [""; 0]);
        });
    }
}

#[test]
fn a_lost_worker_costs_a_format_nothing() {
    let files = Files::new();
    files.write("in/a", numbers(30_000));
    let marker = files.write("../marker", "");
    let store = Store {
        fault: Fault::DiesIn("part-00003.bin".to_owned(), marker.clone()),
        ..files.store()
    };
    let context = on(Executor::Processes(2), &store);
    assert_eq!(write_even(&context, "store://out").expect("files"), 15_000);
    assert!(!marker.exists());
    let back = read_fixed_length(&context, "store://out", 4, 100_000);
    assert_eq!(back.and_then(|back| back.count()).expect("files"), 15_000);
}

#[test]
fn a_handle_is_sent_and_reads_ranges() {
    let files = Files::new();
    files.write("in/a", "0123456789");
    let store = files.store();
    let context = threads(&store);
    let local = context.find_files(files.path("in/a")).expect("a file");
    let stored = context.find_files("store://in/*").expect("a file");
    assert!(local[0].version().is_none() && stored[0].version().is_some());
    for file in [&local[0], &stored[0]] {
        let token = Token::new(file).expect("it can be sent");
        let sent: holdall::files::InputFile = token.get().expect("a file");
        assert_eq!((sent.path(), sent.bytes()), (file.path(), 10));
        for (range, expected) in [
            (0..10, "0123456789"),
            (3..5, "34"),
            (8..100, "89"),
            (4..4, ""),
            (20..30, ""),
        ] {
            let mut text = String::new();
            let reader = sent.open(range);
            let read = reader.map(|mut reader| reader.read_to_string(&mut text));
            read.expect("a file").expect("a text");
            assert_eq!(text, expected);
        }
    }
}

#[test]
fn a_single_file_appears_whole_or_not_at_all() {
    let files = Files::new();
    let store = files.store();
    let context = threads(&store);
    let local = files.root().join("sub/local.txt");
    let paths = [
        ("store://sub/stored.txt", files.path("sub/stored.txt")),
        (local.to_str().expect("UTF-8"), local.clone()),
    ];
    for (path, at) in paths {
        for durable in [false, true] {
            let options = OutputOptions::default().durable(durable);
            let mut file = context.create_file(path, &options).expect("room");
            context.range(0..3).write_to(&mut file).expect("room");
            assert!(!at.exists());
            drop(file);
            assert!(!at.exists());

            let mut file = context.create_file(path, &options).expect("room");
            file.write_all(b"old").expect("room");
            assert_eq!(file.commit().expect("room"), 3);
            let error = context.create_file(path, &options).expect_err("it exists");
            assert!(
                matches!(error.kind(), ErrorKind::OutputExists { .. }),
                "{error:?}"
            );

            let options = options.overwrite(true);
            let mut file = context.create_file(path, &options).expect("room");
            context.range(0..3).write_to(&mut file).expect("room");
            assert_eq!(fs::read(&at).expect("a file"), b"old");
            file.commit().expect("room");
            assert_eq!(fs::read(&at).expect("a file"), b"0\n1\n2\n");
            let name = at.file_name().expect("a name").to_str().expect("UTF-8");
            assert_eq!(names_in(&files.path("sub")), [name]);
            fs::remove_file(&at).expect("a file");
        }
    }
    assert_eq!(names_in(&store.uploads), [""; 0]);
    fs::create_dir(files.path("directory")).expect("room");
    let options = OutputOptions::default().overwrite(true);
    let error = context.create_file(files.path("directory"), &options);
    error.expect_err("a directory is not replaced by a file");
}
