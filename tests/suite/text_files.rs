//! Text files: which ones are read, how they are split, and what counts as a line.

use flate2::Compression;
use holdall::{Bag, Context, ErrorKind, InvalidUtf8, Pipeline, TextReader};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::common::{
    Files, bzip2, gzip, on_every_executor, on_every_executor_and_processes, xz, zstd,
};

fn reader(context: &Context) -> TextReader {
    TextReader::new().context(context)
}

fn collect<P: Pipeline<Out = str>>(bag: holdall::Result<Bag<str, P>>) -> Vec<String> {
    bag.and_then(|bag| bag.collect()).expect("no error")
}

// Input files.

#[test]
fn a_directory_is_its_files_in_order_except_hidden_ones() {
    on_every_executor(|context| {
        let files = Files::new();
        for name in [
            "b",
            "a/2",
            "a/1",
            "a/deep/er/0",
            "c.txt",
            ".hidden",
            "_SUCCESS",
            "_temporary/0",
            "_e.c",
            "a/.git/x",
            "a-b",
        ] {
            files.write(name, name);
        }
        assert_eq!(
            collect(context.read_text(files.root())),
            ["_e.c", "a-b", "a/1", "a/2", "a/deep/er/0", "b", "c.txt"]
        );
        assert_eq!(
            collect(context.read_text(files.path("a"))),
            ["a/1", "a/2", "a/deep/er/0"]
        );
        // A hidden file is read if its name is given.
        assert_eq!(
            collect(context.read_text(files.path(".hidden"))),
            [".hidden"]
        );
        assert_eq!(
            collect(context.read_text(files.path("a/.git"))),
            ["a/.git/x"]
        );
    });
}

#[test]
fn a_pattern_is_its_matches_in_order() {
    on_every_executor(|context| {
        let files = Files::new();
        for name in [
            "b.txt",
            "a.txt",
            "a.log",
            "sub/c.txt",
            "sub/sub/d.txt",
            ".e.txt",
            "[x].txt",
        ] {
            files.write(name, name);
        }
        let read = |pattern: &str| collect(context.read_text(files.path(pattern)));
        assert_eq!(read("*.txt"), ["[x].txt", "a.txt", "b.txt"]);
        assert_eq!(read("?.[tl]*"), ["a.log", "a.txt", "b.txt"]);
        assert_eq!(
            read("**/*.txt"),
            ["[x].txt", "a.txt", "b.txt", "sub/c.txt", "sub/sub/d.txt"]
        );
        assert_eq!(read("s*"), ["sub/c.txt", "sub/sub/d.txt"]);
        assert_eq!(read("sub/**"), ["sub/c.txt", "sub/sub/d.txt"]);
        // A file whose name looks like a pattern is read as that file.
        assert_eq!(read("[x].txt"), ["[x].txt"]);
    });
}

#[test]
fn a_list_keeps_its_order_and_what_it_names_twice() {
    on_every_executor(|context| {
        let files = Files::new();
        let [a, b] = ["a", "b"].map(|name| files.write(name, name));
        let all = files.root().to_owned();
        assert_eq!(collect(context.read_text([&b, &a, &b])), ["b", "a", "b"]);
        assert_eq!(
            collect(context.read_text(vec![b.clone(), all])),
            ["b", "a", "b"]
        );
        assert_eq!(collect(context.read_text(&[&a][..])), ["a"]);
        let none = context.read_text(Vec::<String>::new()).unwrap();
        assert_eq!((none.partitions(), none.count().unwrap()), (Some(0), 0));
        // If one of several files is missing, that is an error.
        let error = context.read_text([a, files.path("c")]).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::NoInput { pattern, .. } if pattern.ends_with("/c")),
            "{error}"
        );
    });
}

#[test]
fn thousands_of_small_files_are_few_partitions() {
    let files = Files::new();
    for n in 0..2_000 {
        // Every hundredth is empty, and every seventh has no line break at its end.
        let text = if n % 100 == 0 {
            String::new()
        } else {
            format!("file {n}\n{n}")
        };
        files.write(
            &format!("{:02}/{n:05}", n % 50),
            if n % 7 == 0 { text } else { text + "\n" },
        );
    }
    on_every_executor(move |context| {
        let lines = context.read_text(files.root()).unwrap();
        let partitions = lines.partitions().unwrap();
        assert!(partitions <= 40, "{partitions} partitions");
        // Each file with text has two lines. An empty one has a line if it contains a line break.
        let with_text = (0..2_000).filter(|n| n % 100 > 0);
        let empty = (0..2_000).filter(|n| n % 100 == 0 && n % 7 > 0);
        let expected = (
            2 * with_text.clone().count() + empty.count(),
            with_text.sum(),
        );
        let found = lines.aggregate(
            (0, 0),
            |(count, sum), line| (count + 1, sum + line.parse().unwrap_or(0)),
            |a, b| (a.0 + b.0, a.1 + b.1),
        );
        assert_eq!(found.unwrap(), expected);
        assert_eq!(
            lines
                .filter(|line| line.starts_with("file"))
                .take(3)
                .unwrap(),
            ["file 50", "file 150", "file 250"]
        );
    });
}

#[test]
fn files_that_vanish_before_they_are_read_are_named() {
    on_every_executor(|context| {
        let files = Files::new();
        let path = files.write("dir/gone", "text\n".repeat(100));
        files.write("dir/here", "text\n");
        for partition_bytes in [20, 1_000_000] {
            files.write("dir/gone", "text\n".repeat(100));
            let lines = reader(context)
                .partition_bytes(partition_bytes)
                .read(files.path("dir"))
                .unwrap();
            std::fs::remove_file(&path).unwrap();
            let error = lines.count().unwrap_err();
            assert!(
                error.is_io() && error.to_string().contains(&path.display().to_string()),
                "{error}"
            );
        }
    });
}

#[test]
fn a_file_that_is_read_in_one_part_is_read_to_its_end() {
    on_every_executor(|context| {
        let files = Files::new();
        let path = files.write("f", "0123456\n".repeat(100));
        let lines = context.read_text(&path).unwrap();
        for lines_now in [30, 200, 0, 1] {
            files.write("f", "0123456\n".repeat(lines_now));
            assert_eq!(lines.count().unwrap(), lines_now as u64);
        }
    });
}

#[cfg(target_os = "linux")]
mod open_files {
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use holdall::{Context, Executor};

    use super::reader;
    use crate::common::Files;

    /// Returns the number of times that this process has the file at `path` open.
    fn times_open(path: &Path) -> usize {
        let entries = std::fs::read_dir("/proc/self/fd").expect("Linux has it");
        let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        links.filter(|link| link == path).count()
    }

    #[test]
    fn a_thread_opens_a_file_once_for_all_partitions() {
        for (executor, threads) in [
            (Executor::Inline, 1),
            (Executor::Threads(1), 1),
            (Executor::Threads(3), 3),
        ] {
            let context = Context::builder().executor(executor).progress(false);
            let context = context.build().expect("the settings are right");
            let files = Files::new();
            let path = files.write("f", "0123456\n".repeat(1000));
            let path = path.canonicalize().expect("it is there");
            let lines = reader(&context).partition_bytes(50).read(&path).unwrap();
            let (most, seen) = (Arc::new(AtomicUsize::new(0)), path.clone());
            let watched = lines.clone().inspect({
                let most = Arc::clone(&most);
                move |_| _ = most.fetch_max(times_open(&seen), Ordering::Relaxed)
            });
            assert_eq!(watched.count().unwrap(), 1000);
            assert!((1..=threads).contains(&most.load(Ordering::Relaxed)));
            // The file is not open longer than the job, however the job ends.
            assert_eq!(times_open(&path), 0);
            assert_eq!(watched.map(str::to_owned).take(30).unwrap().len(), 30);
            assert_eq!(times_open(&path), 0);
            assert!(
                lines
                    .clone()
                    .try_map(|_| "x".parse::<u64>())
                    .count()
                    .is_err()
            );
            assert_eq!(times_open(&path), 0);
            if threads == 1 {
                // Once the file is open, it may be deleted.
                let seen = path.clone();
                let removing = lines
                    .clone()
                    .inspect(move |_| _ = std::fs::remove_file(&seen));
                assert_eq!(removing.count().unwrap(), 1000);
                assert!(lines.count().unwrap_err().is_io());
            }
        }
    }
}

// Compressed files.

#[test]
fn compression_is_told_by_content() {
    let long: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    let files = Files::new();
    for (name, part) in [
        ("a.txt", bzip2 as fn(&[u8]) -> Vec<u8>),
        ("b", xz),
        ("c.gz", zstd),
    ] {
        let parts = [
            part(b"one\ntw"),
            part(b""),
            part(b"o\n"),
            part(long.as_bytes()),
        ];
        files.write(name, parts.concat());
    }
    let text = format!("one\ntwo\n{long}").repeat(3);
    on_every_executor(move |context| {
        assert!(
            collect(context.read_text(files.root()))
                .iter()
                .eq(text.lines())
        );
        let lines = reader(context).partition_bytes(1).read(files.root());
        assert!(collect(lines).iter().eq(text.lines()));
    });
}

#[test]
fn a_large_zstd_file_is_divided_while_it_is_decoded() {
    // The frames are not compressed, because the text is incompressible.
    let mut number = 1_u64;
    let mut line = || {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        format!("{number}\n")
    };
    let text: String = (0..500_000).map(|_| line()).collect();
    let files = Files::new();
    let path = files.write("f", zstd(text.as_bytes()));
    assert!(path.metadata().unwrap().len() > 4 << 20);
    on_every_executor(move |context| {
        let lines = context.read_text(&path).unwrap();
        assert_eq!(lines.partitions(), None);
        assert!(lines.collect().unwrap().iter().eq(text.lines()));
    });
}

#[test]
fn gzip_is_told_by_content() {
    on_every_executor(|context| {
        let files = Files::new();
        files.write_gzip("a.txt", &[b"zipped, but not by name\n"]);
        files.write("b.gz", "by name only\n");
        files.write_gzip("c.gz", &[b"one\ntw", b"", b"o\nthree\n", b"four"]);
        files.write_gzip("d.gz", &[b""]);
        let expected = [
            "zipped, but not by name",
            "by name only",
            "one",
            "two",
            "three",
            "four",
        ];
        assert_eq!(collect(context.read_text(files.root())), expected);
        for partition_bytes in [1, 7, 30] {
            let lines = reader(context)
                .partition_bytes(partition_bytes)
                .read(files.root());
            assert_eq!(collect(lines), expected);
        }
    });
}

#[test]
fn a_large_gzip_file_among_small_ones_keeps_its_place() {
    // Not compressed, so that it is large but quickly written.
    let line = |n: u64| format!("{n:0999}\n");
    let text: String = (0..6_000).map(line).collect();
    let large = gzip(text.as_bytes(), Compression::none());
    assert!(large.len() > 5 << 20);
    let files = Files::new();
    files.write("a", "first\n");
    files.write("b.gz", large);
    files.write_gzip("c", &[b"last"]);
    on_every_executor(move |context| {
        let lines = context.read_text(files.root()).unwrap();
        // It is divided while it is decoded.
        assert_eq!(lines.partitions(), None);
        assert_eq!(lines.count().unwrap(), 6_002);
        assert_eq!(
            lines.take(3).unwrap(),
            ["first", &line(0)[..999], &line(1)[..999]]
        );
        let all = lines.iter().unwrap().map(|line| line.unwrap());
        let expected = (0..6_000).map(|n| line(n)[..999].to_owned());
        let expected = std::iter::once("first".to_owned())
            .chain(expected)
            .chain(["last".to_owned()]);
        assert!(all.eq(expected));
        let indices = lines
            .clone()
            .map_partitions_with_index(|index, _, emit| emit(index))
            .collect()
            .unwrap();
        assert!(
            indices.len() >= 3 && indices.iter().copied().eq(0..indices.len()),
            "{indices:?}"
        );
        assert_eq!(lines.words().distinct().count().unwrap(), 6_002);
    });
}

// Lines.

#[test]
fn what_is_a_line_is_as_for_str() {
    let texts = [
        "",
        "\n",
        "\n\n",
        "a",
        "a\n",
        "a\nb",
        "a\n\nb\n",
        "a\r\nb\r\n",
        "a\r\nb\r",
        "\r\n\r\n",
        "\r",
        "a\rb\n",
        "\0\na\0b\n",
        "\u{2028}\u{85}\x0b\x0c\n",
        "é\n\u{1f600}",
        "a\u{feff}\n\u{feff}b\n",
    ];
    on_every_executor(move |context| {
        for text in texts {
            let files = Files::new();
            let path = files.write("f", text);
            let zipped = files.write_gzip("z", &[text.as_bytes()]);
            let expected: Vec<_> = text.lines().collect();
            for partition_bytes in 1..=text.len() as u64 + 1 {
                let reader = reader(context).partition_bytes(partition_bytes);
                assert_eq!(
                    collect(reader.clone().read(&path)),
                    expected,
                    "{text:?} by {partition_bytes} bytes"
                );
                assert_eq!(collect(reader.read(&zipped)), expected, "{text:?}, zipped");
            }
        }
    });
}

#[test]
fn a_byte_order_mark_is_dropped_at_the_start_of_each_file_only() {
    on_every_executor(|context| {
        let files = Files::new();
        let paths = ["a", "b"].map(|name| files.write(name, "\u{feff}one\n\u{feff}two\n"));
        let only = files.write("only", "\u{feff}");
        files.write_gzip("zipped", &["\u{feff}one\n".as_bytes()]);
        for partition_bytes in 1..25 {
            let reader = reader(context).partition_bytes(partition_bytes);
            let lines = collect(reader.clone().read(&paths));
            assert_eq!(
                lines,
                ["one", "\u{feff}two", "one", "\u{feff}two"],
                "{partition_bytes}"
            );
            assert_eq!(collect(reader.clone().read(&only)), [""; 0]);
            assert_eq!(collect(reader.read(files.path("zipped"))), ["one"]);
        }
    });
}

#[test]
fn the_header_of_each_file_is_passed_over() {
    on_every_executor(|context| {
        let files = Files::new();
        files.write("a", "\u{feff}key,n\r\nx,1\r\ny,2\r\n");
        files.write("b", "key,n\n");
        files.write_gzip("c", &["key,n\nz,3".as_bytes()]);
        files.write("d", "");
        files.write("e", "key,n");
        for partition_bytes in 1..30 {
            let reader = reader(context)
                .partition_bytes(partition_bytes)
                .skip_header(true);
            let lines = reader.read(files.root()).expect("files");
            assert_eq!(lines.count().expect("lines"), 3);
            let pairs = lines.parse_fields::<(String, u8)>(',').collect();
            let expected = [("x", 1), ("y", 2), ("z", 3)].map(|(key, n)| (key.to_owned(), n));
            assert_eq!(pairs.expect("pairs"), expected, "{partition_bytes}");
        }
    });
}

#[test]
fn lines_that_are_only_counted_or_searched_are_checked_too() {
    on_every_executor(|context| {
        let files = Files::new();
        let path = files.write("f", b"good\nb\xffd\n");
        let lines = context.read_text(&path).expect("a file");
        for found in [lines.count(), lines.containing("good").count()] {
            let error = found.expect_err("it is not UTF-8");
            assert!(
                error
                    .to_string()
                    .contains("invalid UTF-8 at byte 6 in read_text at "),
                "{error}"
            );
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lines_do_not_depend_on_the_partitions(text in "[ab\r\n\n\0é\u{feff}]{0,30}", executor in 0..2) {
        let context = [Context::builder().threads(1), Context::builder().threads(2)][executor as usize].clone();
        let context = context.progress(false).build().expect("the settings are right");
        let files = Files::new();
        let path = files.write("f", &text);
        let expected: Vec<_> = text.strip_prefix('\u{feff}').unwrap_or(&text).lines().collect();
        for partition_bytes in 1..=text.len() as u64 + 1 {
            let reader = |context: &_| reader(context).partition_bytes(partition_bytes);
            let lines = reader(&context).read(&path);
            prop_assert_eq!(collect(lines), &expected[..], "by {} bytes", partition_bytes);
            let lines = reader(&context).skip_header(true).read(&path);
            prop_assert_eq!(collect(lines), expected.get(1..).unwrap_or_default(), "by {} bytes", partition_bytes);
            let lines = reader(&context).read(&path).expect("no error");
            prop_assert_eq!(lines.count().expect("no error"), expected.len() as u64);
            let with_a: Vec<_> = expected.iter().filter(|line| line.contains('a')).copied().collect();
            prop_assert_eq!(collect(Ok(lines.containing("a"))), with_a);
        }
    }

    #[test]
    fn records_with_other_ends_do_not_depend_on_the_partitions(
        text in "[ab; \r\né-]{0,40}",
        delimiter in prop_oneof![Just(";"), Just("--"), Just("\r\n"), Just("ab"), Just("aba"), Just("é"), Just("\n\n")],
    ) {
        let context = Context::builder().threads(2).progress(false).build().expect("the settings are right");
        let files = Files::new();
        let path = files.write("f", &text);
        let expected: Vec<_> = text.split_terminator(delimiter).collect();
        for partition_bytes in 1..=text.len() as u64 + 1 {
            let reader = reader(&context).partition_bytes(partition_bytes).delimiter(delimiter);
            prop_assert_eq!(&collect(reader.clone().read(&path)), &expected, "by {} bytes", partition_bytes);
            let records = reader.clone().read_bytes(&path).expect("no error");
            prop_assert_eq!(records.count().expect("no error"), expected.len() as u64);
            let with_a: Vec<_> = expected.iter().filter(|record| record.contains('a')).map(|record| record.as_bytes()).collect();
            prop_assert_eq!(records.containing(b"a").collect().expect("no error"), with_a);
            let words = text.split(delimiter).flat_map(|record| record.split([' ', '\r', '\n'])).filter(|word| !word.is_empty());
            prop_assert_eq!(collect(Ok(reader.read(&path).expect("no error").words())), words.collect::<Vec<_>>());
        }
    }

    #[test]
    fn wrong_bytes_are_replaced_or_skipped_by_line(
        bytes in vec(prop_oneof![Just(b'a'), Just(b'\n'), Just(b'\r'), Just(0xc3), Just(0xa9), Just(0xff), Just(0xe2)], 0..50),
        partition_bytes in 1..60_u64,
    ) {
        let context = Context::builder().threads(2).progress(false).build().expect("the settings are right");
        let files = Files::new();
        let path = files.write("f", &bytes);
        let read = |policy| collect(reader(&context).partition_bytes(partition_bytes).invalid_utf8(policy).read(&path));
        let lossy = String::from_utf8_lossy(&bytes);
        prop_assert_eq!(read(InvalidUtf8::Replace), lossy.lines().collect::<Vec<_>>());
        let valid: String = bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| str::from_utf8(line).ok()).collect();
        prop_assert_eq!(read(InvalidUtf8::Skip), valid.lines().collect::<Vec<_>>());
        let as_bytes = reader(&context).partition_bytes(partition_bytes).read_bytes(&path);
        let expected: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
            let line = line.strip_suffix(b"\r\n").or(line.strip_suffix(b"\n")).unwrap_or(line);
            line.to_vec()
        }).collect();
        prop_assert_eq!(as_bytes.and_then(|bag| bag.collect()).expect("no error"), expected);
    }
}

#[test]
fn utf16_is_refused_as_text_and_read_as_bytes() {
    on_every_executor(|context| {
        let files = Files::new();
        let texts: [(&str, &[u8]); 2] = [
            ("little", b"\xff\xfea\0\n\0b\0"),
            ("big", b"\xfe\xff\0a\0\n\0b"),
        ];
        for (name, text) in texts {
            let paths = [
                files.write(name, text),
                files.write_gzip(&format!("{name}.gz"), &[text]),
            ];
            for path in paths {
                let expected = format!(
                    "{}: cannot read UTF-16 files as text in read_text at ",
                    path.display()
                );
                for policy in [InvalidUtf8::Fail, InvalidUtf8::Replace, InvalidUtf8::Skip] {
                    for partition_bytes in [2, 100] {
                        let reader = reader(context).partition_bytes(partition_bytes);
                        let reader = reader.invalid_utf8(policy);
                        let lines = || reader.clone().read(&path);
                        for error in [
                            lines().and_then(|lines| lines.count()).unwrap_err(),
                            lines()
                                .and_then(|lines| lines.words().collect())
                                .unwrap_err(),
                        ] {
                            assert!(matches!(
                                error.kind(),
                                ErrorKind::UnsupportedFormat {
                                    format: "UTF-16",
                                    ..
                                }
                            ));
                            assert!(error.to_string().starts_with(&expected), "{error}");
                        }
                    }
                }
                let bytes = reader(context)
                    .partition_bytes(2)
                    .read_bytes(&path)
                    .unwrap();
                let expected: Vec<_> = text
                    .split(|byte| *byte == b'\n')
                    .map(<[u8]>::to_vec)
                    .collect();
                assert_eq!(bytes.collect().unwrap(), expected);
            }
        }
    });
}

#[test]
fn a_wrong_byte_is_placed_exactly() {
    on_every_executor(|context| {
        let files = Files::new();
        files.write("a", "fine\n".repeat(2));
        let text = "line 1\nline é 2\r\nlast";
        // Do not replace a line break, which would reduce the number of lines.
        let places = text.char_indices().filter(|(_, c)| *c != '\n');
        for (at, _) in places {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = 0xff;
            let bad = files.write("b", &bytes);
            for partition_bytes in [2, 9, 100] {
                let reader = reader(context).partition_bytes(partition_bytes);
                let error = reader
                    .clone()
                    .read(files.root())
                    .and_then(|lines| lines.count())
                    .unwrap_err();
                let place = error.context().unwrap();
                let expected = format!("{}: invalid UTF-8 at byte {at}{place}", bad.display());
                assert_eq!(error.to_string(), expected);
                let skipped = reader
                    .invalid_utf8(InvalidUtf8::Skip)
                    .read(files.root())
                    .unwrap();
                assert_eq!(skipped.count().unwrap(), 4);
            }
        }
    });
}

#[test]
fn a_line_may_be_as_long_as_the_limit_and_no_longer() {
    on_every_executor(|context| {
        let files = Files::new();
        for (at, before) in [
            (0, ""),
            (3, "ab\n"),
            (300, &"0123456789\n".repeat(28)[..300]),
        ] {
            // Offset 300 is within a line that begins earlier.
            let starts = before.rfind('\n').map_or(0, |end| end + 1);
            let limit = 50 - (at - starts);
            for (extra, is_too_long) in [(0, false), (1, true), (5_000, true)] {
                for end in ["", "\n", "\nmore\n"] {
                    let text = format!("{before}{}{end}", "x".repeat(limit + extra));
                    for path in [
                        files.write("f", &text),
                        files.write_gzip("z", &[text.as_bytes()]),
                    ] {
                        let reader = reader(context).max_line_bytes(50).partition_bytes(64);
                        let outcome = reader.read(&path).and_then(|lines| lines.collect());
                        if is_too_long {
                            let error = outcome.unwrap_err();
                            let (path, place) = (path.display(), error.context().unwrap());
                            let expected = format!(
                                "{path}: the line at byte {starts} is longer than the limit of 50 bytes{place}"
                            );
                            assert_eq!(error.to_string(), expected);
                        } else {
                            assert_eq!(outcome.unwrap(), text.lines().collect::<Vec<_>>());
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn lines_longer_than_any_buffer_are_whole() {
    let lines = [1_000_000, 3, 0, 300_000].map(|len| "é".repeat(len));
    let files = Files::new();
    let path = files.write("f", lines.join("\n"));
    on_every_executor(move |context| {
        for partition_bytes in [10_000, 1_000_000, 100_000_000] {
            let read = reader(context)
                .partition_bytes(partition_bytes)
                .read(&path)
                .unwrap();
            assert!(read.collect().unwrap() == lines);
        }
    });
}

#[test]
fn bytes_that_are_no_text_are_read_as_bytes() {
    on_every_executor(|context| {
        let files = Files::new();
        let path = files.write("f", b"\xff\xfe\0a\nb\xc3\r\n\n\x80");
        for partition_bytes in 1..15 {
            let lines = reader(context)
                .partition_bytes(partition_bytes)
                .read_bytes(&path)
                .unwrap();
            assert_eq!(
                lines.collect().unwrap(),
                [&b"\xff\xfe\0a"[..], b"b\xc3", b"", b"\x80"]
            );
        }
        let pieces = reader(context)
            .delimiter(b"\xc3")
            .read_bytes(&path)
            .unwrap();
        assert_eq!(pieces.map(<[u8]>::len).collect().unwrap(), [6, 4]);
    });
}

#[test]
fn files_as_of_the_system_are_read() {
    on_every_executor(|context| {
        // The reported size of this file is 0.
        let lines = context.read_text("/proc/self/limits").unwrap();
        assert!(
            lines
                .filter(|line| line.starts_with("Max open files"))
                .count()
                .unwrap()
                == 1
        );
    });
}

// Text stays text.

fn sorted<T: Ord>(mut records: Vec<T>) -> Vec<T> {
    records.sort();
    records
}

/// `words`, `parse_fields`, `containing` and `write_text` of one bag of three lines.
macro_rules! check_text {
    ($bag:expr) => {{
        let bag = $bag;
        let words = bag
            .clone()
            .words()
            .map(|word| AsRef::<[u8]>::as_ref(word).to_vec());
        let words = sorted(words.collect().expect("no error"));
        assert_eq!(words, [&b"1"[..], b"2,", b"2,b", b"a", b"a,"]);
        let fields = bag.clone().parse_fields::<(String, String)>(',');
        let fields = sorted(fields.collect().expect("no error"));
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(fields, [pair("2", " a"), pair("2", "b"), pair("a", " 1")]);
        assert_eq!(bag.clone().containing("2,").count().expect("no error"), 2);
        let files = Files::new();
        bag.write_text(files.path("out")).expect("no error");
        let lines = sorted(collect(holdall::read_text(files.path("out"))));
        assert_eq!(lines, ["2, a", "2,b", "a, 1"]);
    }};
}

#[test]
fn copies_of_text_are_text() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = files.write("text", "a, 1\n2,b\n2, a\n");
        let lines = || reader(context).read(&path).expect("a file");
        check_text!(lines());
        check_text!(lines().distinct());
        check_text!(lines().count_by_value().keys());
        check_text!(lines().intersection(lines()));
        check_text!(lines().subtract(lines().filter(|line| line.is_empty())));
        check_text!(lines().sample(1.0, 0).sort().boxed());
        let bytes = || reader(context).read_bytes(&path).expect("a file");
        check_text!(bytes());
        check_text!(bytes().distinct());
        check_text!(bytes().sort().boxed());
    });
}

#[test]
fn bytes_need_not_be_text_unless_they_are_parsed() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = files.write("bytes", b"a,1\n\xff \x80,2\n");
        let lines = reader(context).read_bytes(&path).expect("a file");
        let words = lines.clone().words().collect().expect("no error");
        assert_eq!(words, [&b"a,1"[..], b"\xff", b"\x80,2"]);
        let containing = lines.clone().containing(b"\x80").distinct().collect();
        assert_eq!(containing.expect("no error"), [b"\xff \x80,2"]);
        let error = lines
            .parse_fields::<(String, u8)>(',')
            .collect()
            .expect_err("no text");
        assert!(matches!(error.kind(), ErrorKind::Closure { .. }), "{error}");
        assert!(
            error.to_string().contains("line 2 byte 4): invalid utf-8"),
            "{error}"
        );
    });
}

#[test]
fn a_reader_can_read_again() {
    let files = Files::new();
    let path = files.write("text", "a;b");
    let reader = TextReader::new().delimiter(";");
    assert_eq!(collect(reader.read(&path)), ["a", "b"]);
    let bytes = reader.read_bytes(&path).expect("a file");
    assert_eq!(bytes.collect().expect("no error"), [b"a", b"b"]);
    assert_eq!(collect(reader.read(&path)), ["a", "b"]);
}
