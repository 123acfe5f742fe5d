//! Reading from file systems that a program adds, with all that can go wrong there.

use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use holdall::files::{FileInfo, FileSystem, OpenedFile, PathPattern, register};
use holdall::{Context, ErrorKind, TextReader};
use holdall_test_extensions::{Failing, Fault, Store};
use serde::{Deserialize, Serialize};

use crate::{Files, on_each, quiet_panics, threads};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("room in memory");
    encoder.finish().expect("room in memory")
}

fn bzip2(text: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(text).expect("room in memory");
    encoder.finish().expect("room in memory")
}

fn xz(text: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).expect("good options");
    encoder.write_all(text).expect("room in memory");
    encoder.finish().expect("room in memory")
}

fn zstd(text: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
}

fn lines(count: u32) -> String {
    (0..count)
        .map(|n| format!("line {n} of a text\n"))
        .collect()
}

fn lines_of(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// Reads in small splits, so that each file has several.
fn read(context: &Context, input: &str) -> holdall::Result<Vec<String>> {
    let reader = TextReader::new().context(context).partition_bytes(100_000);
    reader.read(input)?.collect()
}

#[test]
fn files_are_read_as_local_ones_are() {
    let files = Files::new();
    let text = lines(20_000);
    files.write("bucket/plain/a", &text);
    files.write("bucket/plain/b", "first\nsecond");
    files.write("bucket/plain/c", "");
    files.write("bucket/packed/a.gz", gzip(text.as_bytes()));
    files.write("bucket/packed/b.bz2", bzip2(b"by bzip2\n"));
    files.write("bucket/packed/c.xz", xz(b"by xz\n"));
    files.write("bucket/packed/d.zst", zstd(b"by zstd\n"));
    for (ahead_bytes, is_exact) in [(0, false), (0, true), (1, false), (1 << 20, true)] {
        let store = Store {
            ahead_bytes,
            is_exact,
            ..files.store()
        };
        let root = files.root().join("bucket");
        on_each(&store, move |context| {
            for input in ["plain", "packed", "*/a*", "**/*.gz", "**"] {
                let expected = TextReader::new().context(context).read(root.join(input));
                let expected = expected.unwrap().collect().unwrap();
                assert_eq!(
                    read(context, &format!("store://bucket/{input}")).unwrap(),
                    expected
                );
            }
            let reader = TextReader::new().context(context).skip_header(true);
            let input = "STORE://bucket/plain";
            assert_eq!(
                reader
                    .partition_bytes(50_000)
                    .read(input)
                    .unwrap()
                    .collect()
                    .unwrap(),
                [&lines_of(&lines(20_000))[1..], &["second".to_owned()]].concat()
            );
        });
    }
    assert_eq!(files.store().open_readers(), 0);
}

#[test]
fn a_large_compressed_file_is_read_in_pieces() {
    let files = Files::new();
    // Random enough to stay large.
    let text: String = (0..500_000_u64)
        .map(|n| format!("{:x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    files.write("a.gz", gzip(text.as_bytes()));
    let store = Store {
        ahead_bytes: 1 << 20,
        fault: Fault::BreaksAfter(1_000_000),
        ..files.store()
    };
    on_each(&store, move |context| {
        let bag = context.read_text("store://a.gz").unwrap();
        assert_eq!(bag.partitions(), None);
        let expected = lines_of(&text);
        assert!(bag.collect().unwrap() == expected);
        // The thread that reads ahead ends with the job, even if the job ends early.
        assert_eq!(bag.take(1).unwrap(), expected[..1]);
    });
    assert_eq!(files.store().open_readers(), 0);
}

#[test]
fn splits_of_every_size_have_each_line_once() {
    let files = Files::new();
    let text = lines(300);
    files.write("a", &text);
    let expected = lines_of(&text);
    for (ahead_bytes, is_exact) in [(0, false), (1, true)] {
        let store = Store {
            ahead_bytes,
            is_exact,
            ..files.store()
        };
        let context = threads(&store);
        for bytes in [1, 10, 23, 500, 5_000, 100_000] {
            let reader = TextReader::new().context(&context).partition_bytes(bytes);
            let read = reader.read("store://a").unwrap().collect().unwrap();
            assert_eq!(read, expected, "{bytes}");
        }
    }
}

#[test]
fn transient_errors_cost_no_line() {
    let files = Files::new();
    let text = lines(30_000);
    files.write("a", &text);
    files.write("b.gz", gzip(text.as_bytes()));
    let expected = [lines_of(&text), lines_of(&text)].concat();
    for fault in [
        Fault::Refuses,
        Fault::BreaksAfter(10_000),
        Fault::EndsAfter(10_000),
    ] {
        for ahead_bytes in [0, 100_000] {
            let store = Store {
                fault: fault.clone(),
                ahead_bytes,
                ..files.store()
            };
            let expected = expected.clone();
            on_each(&store, move |context| {
                assert!(read(context, "store://*").unwrap() == expected);
            });
        }
    }
}

#[test]
fn an_error_has_its_place() {
    let files = Files::new();
    let text = lines(30_000);
    files.write("a", &text);
    for (name, packed) in [
        ("b.gz", gzip(text.as_bytes())),
        ("b.bz2", bzip2(text.as_bytes())),
        ("b.xz", xz(text.as_bytes())),
        ("b.zst", zstd(text.as_bytes())),
    ] {
        assert!(packed.len() > 5_000);
        files.write(name, packed);
    }
    for (failing, reason) in [
        (Failing::ForGood, "the disk is gone"),
        (Failing::Again, "too slow (attempt 6)"),
        (Failing::AsInterruption, "operation interrupted (attempt 6)"),
        (
            Failing::AsEnd,
            "the file ends at byte 5000, before its listed size (attempt 6)",
        ),
    ] {
        for ahead_bytes in [0, 1 << 20] {
            let store = Store {
                fault: Fault::ReadAt(5_000, failing),
                ahead_bytes,
                ..files.store()
            };
            // The pauses after transient errors take a while.
            let is_quick = failing == Failing::ForGood;
            let names = match failing {
                Failing::ForGood => &["a", "b.gz", "b.bz2", "b.xz", "b.zst"][..],
                Failing::AsEnd => &["a", "b.gz"],
                Failing::Again | Failing::AsInterruption | Failing::ByPanic => &["b.gz"],
            };
            let check = move |context: &Context| {
                for name in names {
                    let error = context.read_text(format!("store://{name}"));
                    let error = error.and_then(|bag| bag.count()).unwrap_err();
                    let place = error.context().unwrap();
                    assert_eq!(place.operator, Some("read_text"));
                    let expected =
                        format!("cannot read store://{name} at byte 5000{place}: {reason}");
                    assert_eq!(error.to_string(), expected);
                    assert!(matches!(
                        error.kind(),
                        ErrorKind::Io {
                            offset: Some(5_000),
                            ..
                        }
                    ));
                }
            };
            if is_quick {
                on_each(&store, check);
            } else if ahead_bytes == 0 {
                check(&threads(&store));
            }
        }
    }
}

#[test]
fn a_panic_of_a_file_system_ends_the_job() {
    quiet_panics();
    let files = Files::new();
    files.write("a", lines(1_000));
    for ahead_bytes in [0, 1 << 20] {
        let store = Store {
            fault: Fault::ReadAt(5_000, Failing::ByPanic),
            ahead_bytes,
            ..files.store()
        };
        on_each(&store, |context| {
            let error = context.read_text("store://a").unwrap().count().unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::TaskPanicked { message, .. } if message.contains("a file system")),
                "{error}"
            );
        });
    }
}

#[test]
fn a_change_is_noticed() {
    let files = Files::new();
    let text = lines(30_000);
    for (is_split, has_versions) in [(true, true), (false, true), (true, false)] {
        let store = Store {
            has_versions,
            ..files.store()
        };
        let path = files.path("a");
        let text = text.clone();
        for change in ["longer", "shorter"] {
            let (path, text) = (path.clone(), text.clone());
            let check = move |context: &Context| {
                fs::write(&path, &text).unwrap();
                let bytes = if is_split { 100_000 } else { 10_000_000 };
                let reader = TextReader::new().context(context).partition_bytes(bytes);
                let bag = reader.read("store://a").unwrap();
                match change {
                    "longer" => fs::write(&path, text.clone() + "more\n").unwrap(),
                    _ => fs::write(&path, &text[..text.len() - 1]).unwrap(),
                }
                let read = bag.collect();
                if has_versions {
                    assert!(
                        matches!(read.unwrap_err().kind(), ErrorKind::InputChanged { path, .. }
                            if path == Path::new("store://a"))
                    );
                } else if change == "longer" {
                    // What was listed is read.
                    assert!(read.unwrap() == lines_of(&text));
                } else {
                    let error = read.unwrap_err().to_string();
                    assert!(error.contains("before its listed size"), "{error}");
                }
            };
            if has_versions {
                on_each(&store, check);
            } else {
                check(&threads(&store));
            }
        }
    }
}

#[test]
fn a_file_that_is_gone_is_an_error() {
    let files = Files::new();
    let path = files.path("d/a");
    on_each(&files.store(), move |context| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "text\n").unwrap();
        let bag = context.read_text("store://d").unwrap();
        fs::remove_file(&path).unwrap();
        let error = bag.count().unwrap_err();
        assert!(error.is_io());
        assert!(
            error
                .to_string()
                .starts_with("cannot read store://d/a in read_text at "),
            "{error}"
        );
        for input in ["store://d", "store://d/a", "store://d/*", "store://"] {
            let error = context.read_text(input).unwrap_err();
            let place = error.context().unwrap();
            assert_eq!(
                error.to_string(),
                format!("no input file at {input}{place}")
            );
        }
        let error = context.read_text("store://d/[a").unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InvalidPattern { pattern, .. } if pattern == "store://d/[a")
        );
    });
}

#[test]
fn the_place_of_a_record_has_the_scheme() {
    let files = Files::new();
    files.write("a", "1\n2\nthree\n");
    on_each(&files.store(), |context| {
        let numbers = context.read_text("store://a").unwrap();
        let numbers = numbers.try_map(|line| line.parse::<u32>());
        let error = numbers.collect().unwrap_err();
        let place = error.context().unwrap();
        assert_eq!(place.path.as_deref(), Some(Path::new("store://a")));
        assert_eq!(place.offset, Some(4));
    });
}

#[test]
fn a_registered_file_system_belongs_to_all_contexts() {
    let (files, others) = (Files::new(), Files::new());
    files.write("a", "registered\n");
    others.write("a", "of the context\n");
    let existing = threads(&files.store());
    register("everywhere", files.store()).unwrap();
    let read = |context: &Context| {
        context
            .read_text("EVERYWHERE://a")
            .unwrap()
            .collect()
            .unwrap()
    };
    assert_eq!(read(&existing), ["registered"]);
    on_each(&files.store(), |context| {
        assert_eq!(read(context), ["registered"])
    });
    let context = Context::builder().file_system("Everywhere", others.store());
    assert_eq!(read(&context.build().unwrap()), ["of the context"]);
    for scheme in ["file", "a b", ""] {
        let error = register(scheme, files.store()).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InvalidSetting { .. }),
            "{error}"
        );
    }
}

#[test]
fn schemes_are_checked() {
    let files = Files::new();
    files.write("a", "text\n");
    let store = || files.store();
    let context = Context::builder()
        .file_system("store", store())
        .file_system("s3+x.y-z", store())
        .build()
        .unwrap();
    let error = context.read_text(["store://a", "s3://a"]).unwrap_err();
    // Another test may have registered a file system for all contexts.
    let message = error.to_string();
    let place = error.context().unwrap();
    let start = format!(
        "cannot use s3://a{place}: the context has no file system for s3://, only for file://, "
    );
    assert!(message.starts_with(&start), "{message}");
    let end = "store://, s3+x.y-z://; add it by `ContextBuilder::file_system(\"s3\", …)`, \
               or write `./` before the path of a local file";
    assert!(message.ends_with(end), "{message}");
    assert!(matches!(error.kind(), ErrorKind::UnknownScheme { .. }));
    assert_eq!(
        context.read_text("s3+x.y-z://a").unwrap().count().unwrap(),
        1
    );

    for scheme in ["", "file", "File", "1a", "a b", "a:"] {
        let error = Context::builder()
            .file_system(scheme, store())
            .build()
            .unwrap_err();
        assert!(matches!(
            error.kind(),
            ErrorKind::InvalidSetting {
                setting: "file_system",
                ..
            }
        ));
    }
}

#[test]
fn the_scheme_of_local_files_is_known() {
    let files = Files::new();
    let a = files.write("a", "local\n");
    files.write("b:/c", "in a directory b:\n");
    let context = threads(&files.store());
    let url = format!("file://{}", a.display());
    assert_eq!(
        context.read_text(&url).unwrap().collect().unwrap(),
        ["local"]
    );
    let both = [url.as_str(), "store://a"];
    assert_eq!(
        context.read_text(both).unwrap().collect().unwrap(),
        ["local"; 2]
    );
    let pattern = format!("FILE://{}/*", files.root().display());
    assert_eq!(context.read_text(pattern).unwrap().count().unwrap(), 2);
    let bag = context.read_text(&url).unwrap();
    fs::remove_file(&a).unwrap();
    let error = bag.count().unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot open {url} in read_text at ")),
        "{error}"
    );
    assert!(
        context
            .read_text("file://a")
            .unwrap_err()
            .to_string()
            .contains("file:///data")
    );
    let colon = files.root().join("b:");
    assert_eq!(
        context.read_text(colon.join("c")).unwrap().count().unwrap(),
        1
    );
    assert_eq!(context.read_text(colon).unwrap().count().unwrap(), 1);
}

/// Counts what is read of each file.
#[test]
fn the_bytes_that_are_read_are_counted() {
    let files = Files::new();
    let text = lines(10_000);
    files.write("a", &text);
    let context = Context::builder()
        .threads(1)
        .file_system("store", files.store());
    let context = context.build().unwrap();
    assert_eq!(
        context.read_text("store://a").unwrap().count().unwrap(),
        10_000
    );
    let summary = context.last_job().unwrap();
    assert_eq!(summary.stages[0].input_bytes, text.len() as u64);
}

/// A file system with its own implementation of `find`.
#[derive(Serialize, Deserialize)]
struct Finder(Store);

impl FileSystem for Finder {
    fn list(&self, _: &str) -> io::Result<Vec<FileInfo>> {
        unreachable!("only `find` is called")
    }

    fn find(&self, path: &str) -> io::Result<Vec<FileInfo>> {
        let pattern = PathPattern::new(path);
        pattern.select(self.0.list(pattern.prefix())?)
    }

    fn open(&self, path: &str, range: Range<u64>) -> io::Result<OpenedFile> {
        self.0.open(path, range)
    }
}

#[test]
fn a_file_system_may_find_files_by_itself() {
    let files = Files::new();
    files.write("a", "text\n");
    let context = Context::builder().file_system("store", Finder(files.store()));
    let context = context.build().unwrap();
    assert_eq!(context.read_text("store://?").unwrap().count().unwrap(), 1);
}
