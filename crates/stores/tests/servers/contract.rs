//! The behaviour of every store.

use std::io::Write;

use holdall::files::OutputOptions;
use holdall::{BagWriter, Context, ErrorKind, Executor, TextReader, TextWriter};

use crate::server::{Server, on_each};

/// Defines each test for each server.
macro_rules! for_each_server {
    ($($test:ident),* $(,)?) => {
        mod s3 { $(#[test] fn $test() { super::$test(super::Server::S3); })* }
        mod gcs { $(#[test] fn $test() { super::$test(super::Server::Gcs); })* }
        mod azure { $(#[test] fn $test() { super::$test(super::Server::Azure); })* }
        mod http { $(#[test] fn $test() { super::$test(super::Server::Http); })* }
        mod hdfs { $(#[test] fn $test() { super::$test(super::Server::Hdfs); })* }
    };
}
pub(crate) use for_each_server;

for_each_server![
    names_are_used_as_they_are,
    patterns_select_as_on_local_disks,
    large_files_are_split_and_read_in_order,
    an_output_is_read_back,
    an_output_is_replaced_only_on_request,
    a_single_file_appears_when_it_is_committed,
    a_job_that_fails_leaves_nothing,
    a_saved_bag_is_loaded,
    a_changed_file_is_refused,
    a_missing_file_is_an_error,
];

pub(crate) fn put(context: &Context, path: &str, content: &str) {
    let options = OutputOptions::default().overwrite(true);
    let mut file = context.create_file(path, &options).unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file.commit().unwrap();
}

pub(crate) fn read(context: &Context, path: &str) -> holdall::Result<Vec<String>> {
    context.read_text(path)?.collect()
}

const NAMES: [&str; 14] = [
    "plain",
    "a b",
    " a",
    "a%20b",
    "50%",
    "a+b",
    "a&b=c",
    "a#b",
    "[a]",
    "~a",
    "é 日本",
    "a'b\"c",
    "a;b,c",
    "a?b*c",
];

fn names_are_used_as_they_are(server: Server) {
    let context = server.context(Executor::Threads(2));
    let directory = server.directory("names");
    for name in NAMES {
        put(&context, &server.file(&directory, name), name);
    }
    for name in NAMES {
        let path = server.file(&directory, name);
        assert_eq!(read(&context, &path).unwrap(), [name], "{path}");
    }
    let mut all = read(&context, &directory).unwrap();
    all.sort();
    let mut expected = NAMES;
    expected.sort();
    assert_eq!(all, expected);
}

fn patterns_select_as_on_local_disks(server: Server) {
    let context = server.context(Executor::Threads(2));
    let directory = server.directory("patterns");
    for name in [
        "a.txt",
        "ab.txt",
        "b c.txt",
        "sub/a.txt",
        "sub/deep/é.txt",
        "sub2/x",
        "_temporary/x",
        ".dot",
    ] {
        put(&context, &server.file(&directory, name), name);
    }
    for (pattern, expected) in [
        ("*.txt", &["a.txt", "ab.txt", "b c.txt"][..]),
        ("a?.txt", &["ab.txt"]),
        (
            "[b-z]*",
            &["b c.txt", "sub/a.txt", "sub/deep/é.txt", "sub2/x"],
        ),
        (
            "**/*.txt",
            &["a.txt", "ab.txt", "b c.txt", "sub/a.txt", "sub/deep/é.txt"],
        ),
        ("sub", &["sub/a.txt", "sub/deep/é.txt"]),
        ("sub/", &["sub/a.txt", "sub/deep/é.txt"]),
        ("sub*/**", &["sub/a.txt", "sub/deep/é.txt", "sub2/x"]),
        ("s*/deep", &["sub/deep/é.txt"]),
        (
            "",
            &[
                "a.txt",
                "ab.txt",
                "b c.txt",
                "sub/a.txt",
                "sub/deep/é.txt",
                "sub2/x",
            ],
        ),
    ] {
        let mut found = read(&context, &format!("{directory}/{pattern}")).unwrap();
        found.sort();
        assert_eq!(found, expected, "{pattern}");
    }
    for pattern in ["c*", "sub/x*", "su", "none"] {
        let error = read(&context, &format!("{directory}/{pattern}")).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoInput { .. }), "{error}");
    }
}

pub(crate) fn lines(count: usize) -> impl Iterator<Item = String> {
    (0..count)
        .map(|n| format!("line {n} of a text that is long enough to fill some parts of an upload"))
}

fn large_files_are_split_and_read_in_order(server: Server) {
    const LINES: usize = 250_000;
    let context = server.context(Executor::Threads(2));
    let path = server.directory("large") + "/file";
    let mut file = context
        .create_file(&path, &OutputOptions::default())
        .unwrap();
    let mut bytes = 0;
    for line in lines(LINES) {
        writeln!(file, "{line}").unwrap();
        bytes += line.len() as u64 + 1;
    }
    // Several parts of an upload.
    assert!(bytes > 16 << 20);
    assert_eq!(file.commit().unwrap(), bytes);
    on_each(server, move |context, _| {
        for split in [700_000, 100_000_000] {
            let reader = TextReader::new().context(context).partition_bytes(split);
            let bag = reader.read(&path).unwrap();
            assert_eq!(bag.partitions().unwrap() > 1, split < 1_000_000);
            assert!(bag.collect().unwrap().into_iter().eq(lines(LINES)));
            assert_eq!(bag.take(2).unwrap().len(), 2);
        }
    });
}

fn an_output_is_read_back(server: Server) {
    on_each(server, |context, name| {
        let directory = server.directory("output") + name;
        let numbers = context.range_partitioned(0..100_000_u64, 5);
        let written = numbers.write_text(&directory).unwrap();
        assert_eq!(written.files.len(), 5);
        let expected: Vec<_> = (0..100_000_u64).map(|n| n.to_string()).collect();
        assert!(read(context, &directory).unwrap() == expected);
        assert!(read(context, &format!("{directory}/part-*")).unwrap() == expected);
        // Empty partitions have empty files.
        let empty = server.directory("empty") + name;
        let none = context.range_partitioned(0..100_u64, 3).filter(|n| *n < 10);
        assert_eq!(none.write_text(&empty).unwrap().files.len(), 3);
        assert_eq!(read(context, &empty).unwrap(), expected[..10]);
    });
}

fn an_output_is_replaced_only_on_request(server: Server) {
    on_each(server, |context, name| {
        let directory = server.directory("replaced") + name;
        let write = |records, partitions, overwrite| {
            let writer = TextWriter::new().overwrite(overwrite);
            writer.write(
                &context.range_partitioned(0..records, partitions),
                &directory,
            )
        };
        write(1_000_u64, 4, false).unwrap();
        let error = write(10, 2, false).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::OutputExists { .. }),
            "{error}"
        );
        assert_eq!(read(context, &directory).unwrap().len(), 1_000);
        write(10, 2, true).unwrap();
        assert_eq!(read(context, &directory).unwrap().len(), 10);
    });
}

fn a_single_file_appears_when_it_is_committed(server: Server) {
    let context = server.context(Executor::Threads(2));
    let directory = server.directory("single");
    let path = server.file(&directory, "a file");
    let options = OutputOptions::default();
    let text = "some text\n".repeat(1_000_000);
    for commits in [false, true] {
        let mut file = context.create_file(&path, &options).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let error = read(&context, &directory).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoInput { .. }), "{error}");
        if commits {
            file.commit().unwrap();
        }
    }
    assert_eq!(read(&context, &directory).unwrap().len(), 1_000_000);
    let error = context.create_file(&path, &options).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::OutputExists { .. }),
        "{error}"
    );
    put(&context, &path, "new");
    assert_eq!(read(&context, &directory).unwrap(), ["new"]);
}

fn a_job_that_fails_leaves_nothing(server: Server) {
    on_each(server, |context, name| {
        let directory = server.directory("failed") + name;
        let numbers = context.range_partitioned(0..100_000_u64, 4);
        let failing = numbers
            .clone()
            .try_map(|n| if n < 60_000 { Ok(n) } else { Err("too large") });
        let error = failing.write_text(&directory).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Closure { .. }), "{error}");
        let error = read(context, &directory).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoInput { .. }), "{error}");
        numbers.write_text(&directory).unwrap();
        assert!(
            TextWriter::new()
                .overwrite(true)
                .write(&failing, &directory)
                .is_err()
        );
        assert_eq!(read(context, &directory).unwrap().len(), 100_000);
    });
}

fn a_saved_bag_is_loaded(server: Server) {
    on_each(server, |context, name| {
        let directory = server.directory("saved") + name;
        let pairs = context.range(0..20_000_u64).map(|n| (n % 100, n));
        let sums = pairs.sum_by_key().shuffle_partitions(3);
        let writer = BagWriter::new().overwrite(true);
        let loaded = writer.checkpoint(&sums, &directory).unwrap();
        assert_eq!(loaded.collect().unwrap(), sums.collect().unwrap());
        let fewer = writer.checkpoint(&loaded.coalesce(2), &directory).unwrap();
        assert_eq!(fewer.count().unwrap(), 100);
        let again = context.load::<(u64, u64)>(&directory).unwrap();
        assert_eq!(again.count().unwrap(), 100);
    });
}

fn a_changed_file_is_refused(server: Server) {
    let context = server.context(Executor::Threads(2));
    let path = server.directory("changed") + "/file";
    put(&context, &path, &"old\n".repeat(1_000));
    let bag = context.read_text(&path).unwrap();
    assert_eq!(bag.count().unwrap(), 1_000);
    if server == Server::Http {
        // nginx's version is the time in seconds, and the size.
        std::thread::sleep(std::time::Duration::from_millis(1_100));
    }
    put(&context, &path, &"new\n".repeat(1_000));
    let error = bag.count().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::InputChanged { .. }),
        "{error}"
    );
    assert!(error.to_string().contains(&path), "{error}");
}

fn a_missing_file_is_an_error(server: Server) {
    on_each(server, |context, name| {
        let path = server.directory("missing") + name + "/file";
        put(context, &path, "text");
        let bag = context.read_text(&path).unwrap();
        // A file in its place would be a change.
        crate::server::remove(server, &path);
        let error = bag.count().unwrap_err();
        assert!(error.is_io(), "{error}");
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot read {path} in read_text at ")),
            "{error}"
        );
    });
}
