//! Inputs and their content: names and patterns, streams, formats, files that change.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use holdall::{Context, ErrorKind, Executor, IntoInputs, Result, StorageLevel, TextReader};

use crate::common::{
    Files, bzip2, gzip, on_every_executor, on_every_executor_and_processes, xz, zstd,
};
use flate2::Compression;

/// Returns all lines, in order.
fn lines(context: &Context, inputs: impl IntoInputs) -> Result<Vec<String>> {
    context.read_text(inputs)?.collect()
}

/// Returns the message of the error, or the lines if there is no error.
fn refusal(context: &Context, inputs: impl IntoInputs) -> String {
    match lines(context, inputs) {
        Ok(lines) => format!("read as {lines:?}"),
        Err(error) => error.to_string(),
    }
}

fn context() -> Context {
    let context = Context::builder().threads(2).progress(false).build();
    context.expect("the settings are right")
}

// Names and patterns.

#[cfg(unix)]
mod names {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Returns the content of the files that a pattern or path below a directory names.
    fn read(files: &Files, pattern: impl AsRef<Path>) -> Result<Vec<String>> {
        lines(&context(), files.root().join(pattern))
    }

    #[test]
    fn names_that_are_not_utf8_are_matched_like_others() {
        let files = Files::new();
        for name in ["n/a.txt", "n/c.txt", "deep/n/x.txt"] {
            files.write(name, name);
        }
        let odd = |name: &[u8]| files.path("n").join(OsStr::from_bytes(name));
        fs::write(odd(b"caf\xe9.txt"), "odd").unwrap();
        fs::create_dir(odd(b"dir\xff")).unwrap();
        fs::write(odd(b"dir\xff").join("x.txt"), "below").unwrap();
        assert_eq!(
            read(&files, "n/*.txt").unwrap(),
            ["n/a.txt", "n/c.txt", "odd"]
        );
        assert_eq!(read(&files, "n/a*").unwrap(), ["n/a.txt"]);
        assert!(read(&files, "n/ca[!a].txt").is_err());
        assert_eq!(read(&files, "n/caf?.txt").unwrap(), ["odd"]);
        assert_eq!(read(&files, "n/*/x.txt").unwrap(), ["below"]);
        assert_eq!(read(&files, "**/x.txt").unwrap(), ["deep/n/x.txt", "below"]);
        assert_eq!(read(&files, "n").unwrap().len(), 4);
        for (pattern, expected) in [
            (&b"n/caf\xe9*"[..], "odd"),
            (b"n/[b-d]af\xe9.*", "odd"),
            (b"n/caf[\xe0-\xef].txt", "odd"),
            (b"n/d*\xff/*.txt", "below"),
            (b"n/caf\xe9.txt", "odd"),
        ] {
            assert_eq!(
                read(&files, OsStr::from_bytes(pattern)).unwrap(),
                [expected]
            );
        }
        assert!(read(&files, OsStr::from_bytes(b"n/caf\xe8*")).is_err());
    }

    #[test]
    fn loops_of_links_are_errors_wherever_they_are_followed() {
        let files = Files::new();
        for name in [
            "up/sub/a.txt",
            "two/a.txt",
            "pair/a/a.txt",
            "pair/b/b.txt",
            "far/a/b/c/a.txt",
        ] {
            files.write(name, name);
        }
        for (target, link) in [
            ("..", "up/sub/parent"),
            (".", "two/s1"),
            (".", "two/s2"),
            ("../b", "pair/a/to-b"),
            ("../a", "pair/b/to-a"),
            ("../../..", "far/a/b/c/back"),
        ] {
            symlink(target, files.path(link)).unwrap();
        }
        for directory in ["up", "two", "pair", "far"] {
            for pattern in ["", "**", "**/*.txt", "**/**/a.txt", "*/**/*.txt"] {
                let error = read(&files, Path::new(directory).join(pattern)).unwrap_err();
                let is_loop = error.is_io() && error.to_string().contains("symbolic link to");
                assert!(is_loop, "{directory} {pattern}: {error}");
            }
        }
        // Without `**`, there is no infinite recursion.
        assert_eq!(read(&files, "two/*/*.txt").unwrap().len(), 2);
        // Two paths to one directory are not a loop.
        files.write("fine/real/x.txt", "x");
        symlink("real", files.path("fine/link")).unwrap();
        for pattern in ["fine", "fine/**", "fine/**/*.txt", "fine/*/x.txt"] {
            assert_eq!(read(&files, pattern).unwrap(), ["x", "x"], "{pattern}");
        }
        // A hidden loop is not followed.
        symlink(".", files.path("fine/.self")).unwrap();
        assert_eq!(read(&files, "fine/**/*.txt").unwrap(), ["x", "x"]);
    }

    #[test]
    fn hidden_names_must_be_given_in_each_component() {
        let files = Files::new();
        for name in [
            "above",
            "h/.one",
            "h/two",
            "h/.conf/.deep",
            "h/.conf/shown",
            "h/s/.t/x",
        ] {
            files.write(name, name);
        }
        for (pattern, expected) in [
            ("h/.*", vec!["h/.conf/shown", "h/.one"]),
            ("h/.c*/*", vec!["h/.conf/shown"]),
            ("h/.c*/.*", vec!["h/.conf/.deep"]),
            ("h/.conf/*", vec!["h/.conf/shown"]),
            ("h/*", vec!["h/two"]),
            ("h/**", vec!["h/two"]),
            ("h/**/.*", vec!["h/.conf/shown", "h/.one", "h/s/.t/x"]),
            ("h/s/.t/*", vec!["h/s/.t/x"]),
            ("h/?one", vec![]),
            ("h/[.]*", vec![]),
            ("h/*one", vec![]),
        ] {
            assert_eq!(
                read(&files, pattern).unwrap_or_default(),
                expected,
                "{pattern}"
            );
        }
    }

    #[test]
    fn leftovers_of_other_systems_are_left_out_below_patterns() {
        let files = Files::new();
        for name in [
            "s/part-0",
            "s/_temporary/0/part-0",
            "s/_SUCCESS",
            "s/t/_temporary/part-1",
            "s/_other",
        ] {
            files.write(name, name);
        }
        for (pattern, expected) in [
            ("s", vec!["s/_other", "s/part-0"]),
            ("s/*", vec!["s/_other", "s/part-0"]),
            ("s/**", vec!["s/_other", "s/part-0"]),
            ("s/**/part-*", vec!["s/part-0"]),
            ("s/*/*", vec![]),
            ("s/*/*/*", vec![]),
            ("s/_t*/*/part-*", vec!["s/_temporary/0/part-0"]),
            ("s/_temporary/**", vec!["s/_temporary/0/part-0"]),
            ("s/_SUCCESS", vec!["s/_SUCCESS"]),
        ] {
            assert_eq!(
                read(&files, pattern).unwrap_or_default(),
                expected,
                "{pattern}"
            );
        }
    }

    #[test]
    fn links_that_lead_nowhere_are_errors_unless_hidden() {
        let files = Files::new();
        files.write("d/a.txt", "a");
        symlink("user@host.1:9", files.path("d/.#a.txt")).unwrap();
        symlink(".self", files.path("d/.self")).unwrap();
        symlink(".", files.path("d/.here")).unwrap();
        for pattern in ["d", "d/*", "d/**", "d/**/*.txt", "*/*.txt", "*"] {
            assert_eq!(read(&files, pattern).unwrap(), ["a"], "{pattern}");
        }
        symlink("nowhere", files.path("d/b.txt")).unwrap();
        for pattern in [
            "d",
            "d/*",
            "d/**",
            "d/**/*.txt",
            "d/b.txt",
            "d/b*",
            "*/b.txt",
        ] {
            let error = read(&files, pattern).unwrap_err().to_string();
            assert!(
                error.contains("b.txt") && error.contains("No such file"),
                "{pattern}: {error}"
            );
        }
        // Files that do not match are ignored, as is a link where a directory is expected.
        assert_eq!(read(&files, "d/**/a*").unwrap(), ["a"]);
        assert!(
            read(&files, "d/*/c")
                .unwrap_err()
                .to_string()
                .contains("no input file")
        );
    }

    #[test]
    fn what_may_not_be_entered_is_said() {
        use std::os::unix::fs::PermissionsExt;
        let files = Files::new();
        files.write("shut/in/a.txt", "a");
        fs::set_permissions(files.path("shut"), fs::Permissions::from_mode(0o600)).unwrap();
        // Root can enter any directory.
        if fs::metadata(files.path("shut/in")).is_err() {
            for pattern in [
                "shut/in/a.txt",
                "shut/in/*.txt",
                "shut/*",
                "shut/**",
                "*/in/*",
                "s*/in",
            ] {
                let error = read(&files, pattern).unwrap_err().to_string();
                assert!(error.contains("Permission denied"), "{pattern}: {error}");
            }
        }
        fs::set_permissions(files.path("shut"), fs::Permissions::from_mode(0o700)).unwrap();
        // An error of the same kind for every user.
        symlink("loop", files.path("loop")).unwrap();
        for pattern in ["loop/*.txt", "loop/a.txt"] {
            assert!(read(&files, pattern).unwrap_err().is_io(), "{pattern}");
        }
        let long = "n".repeat(300);
        assert!(read(&files, format!("{long}/*.txt")).unwrap_err().is_io());
    }

    #[test]
    fn existing_components_are_names_even_if_they_look_like_patterns() {
        let files = Files::new();
        for name in [
            "run [1]/x1.txt",
            "run [1]/x2.txt",
            "a*b/c.txt",
            "aXb/d.txt",
            "[x]",
        ] {
            files.write(name, name);
        }
        assert_eq!(read(&files, "run [1]/*.txt").unwrap().len(), 2);
        assert_eq!(read(&files, "a*b/*.txt").unwrap(), ["a*b/c.txt"]);
        assert_eq!(read(&files, "a[*]b/*.txt").unwrap(), ["a*b/c.txt"]);
        assert_eq!(
            read(&files, "a?b/*.txt").unwrap(),
            ["a*b/c.txt", "aXb/d.txt"]
        );
        assert_eq!(read(&files, "[[]x]").unwrap(), ["[x]"]);
        assert_eq!(read(&files, "[[]*").unwrap(), ["[x]"]);
    }
}

#[test]
fn a_hint_is_given_where_a_shell_was_expected() {
    let context = context();
    for (path, hint) in [
        ("~/x", "home directory"),
        ("-", "/dev/stdin"),
        ("no/{a,b}.txt", "list of paths"),
        ("no/a.txt,no/b.txt", "list"),
        ("$HOME/x", "variables"),
        ("no\\*/x", "[*]"),
    ] {
        let error = refusal(&context, path);
        let start = format!("no input file at {path}");
        assert!(error.starts_with(&start) && error.contains(hint), "{error}");
    }
    let error = refusal(&context, "no/such");
    assert!(
        error.starts_with("no input file at no/such in read_text at "),
        "{error}"
    );
    assert!(!error.contains(';'), "{error}");
}

// Streams.

#[cfg(unix)]
mod streams {
    use std::process::{Child, Command, Stdio};
    use std::thread;

    use super::*;

    /// Creates a named pipe, to which `text` is written once.
    fn pipe(files: &Files, name: &str, text: String) -> PathBuf {
        let path = files.path(name);
        let status = Command::new("mkfifo").arg(&path).status();
        assert!(status.expect("the tool is there").success());
        let written = path.clone();
        thread::spawn(move || fs::write(written, text));
        path
    }

    fn numbers(end: u64) -> String {
        (0..end).map(|n| format!("{n}\n")).collect()
    }

    fn assert_read_twice<T: std::fmt::Debug>(result: Result<T>, path: &Path) {
        let error = result.expect_err("a stream cannot be read twice");
        let is_it =
            matches!(error.kind(), ErrorKind::StreamReadTwice { path: at, .. } if at == path);
        assert!(is_it && error.to_string().contains("persist"), "{error}");
    }

    #[test]
    fn a_stream_is_read_once_whole_and_in_order() {
        on_every_executor_and_processes(|context| {
            let files = Files::new();
            // The text consists of several pieces.
            let text: String = (0..4_500).map(|n| format!("{n:02000}\n")).collect();
            let path = pipe(&files, "p", text.clone());
            let read = context.read_text(&path).unwrap();
            assert!(read.collect().unwrap().iter().eq(text.lines()));
            assert_read_twice(read.count(), &path);
            // In the middle of other files, and with a header.
            let path = pipe(&files, "q", "\u{feff}header\none\ntwo".to_owned());
            let [a, b] = ["a", "b"].map(|name| files.write(name, format!("header\n{name}\n")));
            let reader = TextReader::new().context(context).skip_header(true);
            let read = reader.read([&a, &path, &b]).unwrap();
            assert_eq!(read.collect().unwrap(), ["a", "one", "two", "b"]);
        });
    }

    #[test]
    fn a_second_reading_is_an_error_and_never_waits() {
        on_every_executor_and_processes(|context| {
            let files = Files::new();
            let path = pipe(&files, "index", numbers(1000));
            let indexed = context.read_text(&path).unwrap().zip_with_index();
            assert_read_twice(indexed.count(), &path);

            let path = pipe(&files, "twice", numbers(10));
            let error = context.read_text([&path, &path]).unwrap().count();
            assert_read_twice(error, &path);

            let path = pipe(&files, "first", numbers(100_000));
            let read = context.read_text(&path).unwrap();
            assert_eq!(read.take(2).unwrap(), ["0", "1"]);
            assert_read_twice(read.take(2), &path);
            // Another bag or another context cannot read it again, either.
            let other = super::context().read_text(&path).unwrap();
            assert_read_twice(other.count(), &path);

            let path = pipe(&files, "join", numbers(10));
            let pairs = context
                .read_text(&path)
                .unwrap()
                .map(|line| (line.to_owned(), 1));
            assert_read_twice(pairs.clone().join(pairs).count(), &path);
            let path = pipe(&files, "union", numbers(10));
            let read = context.read_text(&path).unwrap();
            assert_read_twice(read.clone().union(read).count(), &path);
        });
    }

    #[test]
    fn one_reading_is_enough_for_most() {
        on_every_executor_and_processes(|context| {
            let files = Files::new();
            let path = pipe(&files, "sort", numbers(1000));
            let sorted = context
                .read_text(&path)
                .unwrap()
                .map(|line| line.parse::<u64>().unwrap());
            assert_eq!(
                sorted.sort().collect().unwrap(),
                (0..1000).collect::<Vec<_>>()
            );
            let path = pipe(&files, "count", numbers(1000));
            assert_eq!(
                context
                    .read_text(&path)
                    .unwrap()
                    .words()
                    .distinct()
                    .count()
                    .unwrap(),
                1000
            );
            let path = pipe(&files, "persist", numbers(1000));
            let kept = context
                .read_text(&path)
                .unwrap()
                .persist(StorageLevel::Memory);
            assert_eq!(kept.count().unwrap(), 1000);
            let indexed = kept.clone().zip_with_index().collect().unwrap();
            assert!(
                indexed
                    .iter()
                    .all(|(line, index)| *line == index.to_string())
            );
            assert_eq!(kept.count().unwrap(), 1000);
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_lost_worker_loses_nothing_of_a_stream() {
        let builder = Context::builder().executor(Executor::Processes(2));
        let context = builder
            .progress(false)
            .build()
            .expect("the settings are right");
        crate::common::within_the_limit("processes:2", move || {
            let files = Files::new();
            let path = pipe(&files, "p", numbers(1000));
            let mark = files.path("mark").display().to_string();
            let lines = context.read_text(&path).unwrap().with(mark);
            let lengths = lines.map(|mark, line| {
                if line == "500" && File::create_new(mark).is_ok() {
                    std::process::abort();
                }
                line.len() as u64
            });
            assert_eq!(lengths.sum::<u64>().unwrap(), 10 + 2 * 90 + 3 * 900);
            assert!(files.path("mark").exists());
        });
    }

    #[test]
    fn what_gives_the_same_again_is_no_stream() {
        on_every_executor_and_processes(|context| {
            let null = context.read_text("/dev/null").unwrap();
            assert_eq!((null.count().unwrap(), null.count().unwrap()), (0, 0));
            if cfg!(target_os = "linux") {
                // The file describes this process, whichever process reads it.
                let pid = format!("Pid:\t{}", std::process::id());
                for path in ["/proc/self/status", "/proc/thread-self/../../status"] {
                    let status = context.read_text(path).unwrap();
                    for _ in 0..2 {
                        assert_eq!(
                            status.clone().containing("Pid:").first().unwrap().unwrap(),
                            pid
                        );
                    }
                }
            }
        });
    }

    /// Runs one test of this file in a separate process, with this standard input.
    fn run(test: &str, input: Stdio) -> Child {
        let program = std::env::current_exe().expect("the program is there");
        let mut command = Command::new(program);
        command
            .args([test, "--exact", "--ignored"])
            .stdin(input)
            .stdout(Stdio::null());
        command.spawn().expect("it can be started")
    }

    #[test]
    fn standard_input_is_read_once_under_any_name() {
        let mut child = run("inputs::streams::reads_a_pipe", Stdio::piped());
        let mut input = child.stdin.take().expect("it is a pipe");
        input
            .write_all(numbers(1000).as_bytes())
            .expect("it is read");
        drop(input);
        assert!(child.wait().expect("it ends").success());
        let files = Files::new();
        let path = files.write("f", numbers(1000));
        let mut child = run(
            "inputs::streams::reads_a_file",
            File::open(path).unwrap().into(),
        );
        assert!(child.wait().expect("it ends").success());
    }

    #[test]
    #[ignore = "reads standard input"]
    fn reads_a_pipe() {
        let context = context();
        let first = lines(&context, "/dev/stdin").unwrap();
        assert_eq!(first.len(), 1000);
        for name in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
            if Path::new(name).exists() {
                assert_read_twice(lines(&context, name), Path::new(name));
            }
        }
    }

    #[test]
    #[ignore = "reads standard input"]
    fn reads_a_file() {
        on_every_executor_and_processes(|context| {
            let read = context.read_text("/dev/stdin").unwrap();
            for _ in 0..2 {
                assert_eq!(read.clone().zip_with_index().count().unwrap(), 1000);
            }
        });
    }
}

// Files that change.

mod changes {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, SystemTime};

    use super::*;

    fn numbered(range: std::ops::Range<u64>) -> String {
        range.map(|n| format!("{n:07}\n")).collect()
    }

    fn all(range: std::ops::Range<u64>) -> Vec<String> {
        range.map(|n| format!("{n:07}")).collect()
    }

    fn append(path: &Path, text: &str) {
        let file = File::options().append(true).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .expect("there is room");
    }

    fn assert_changed<T: std::fmt::Debug>(result: Result<T>, path: &Path) {
        let error = result.expect_err("it has changed");
        let is_it = matches!(error.kind(), ErrorKind::InputChanged { path: at, .. } if at == path);
        assert!(
            is_it && error.to_string().contains("create the bag again"),
            "{error}"
        );
    }

    #[test]
    fn what_is_appended_is_read_whole_however_the_file_is_divided() {
        on_every_executor_and_processes(|context| {
            let files = Files::new();
            for partition_bytes in [1, 7, 8, 50, 333, 1_000_000] {
                let path = files.write("f", numbered(0..100));
                let reader = TextReader::new().context(context);
                let read = reader.partition_bytes(partition_bytes).read(&path).unwrap();
                assert_eq!(read.collect().unwrap(), all(0..100));
                append(&path, &numbered(100..130));
                assert_eq!(read.collect().unwrap(), all(0..130), "by {partition_bytes}");
                // A line is incomplete, and is then completed.
                append(&path, "00001");
                assert_eq!(read.count().unwrap(), 131);
                append(&path, "30\n");
                append(&path, &numbered(131..1000));
                assert_eq!(
                    read.collect().unwrap(),
                    all(0..1000),
                    "by {partition_bytes}"
                );
                assert_eq!(read.zip_with_index().count().unwrap(), 1000);
            }
        });
    }

    #[test]
    fn a_divided_file_that_changes_otherwise_is_refused() {
        on_every_executor_and_processes(|context| {
            let files = Files::new();
            let read = |text: String| {
                let path = files.write("f", text);
                let reader = TextReader::new().context(context).partition_bytes(50);
                (reader.read(&path).unwrap(), path)
            };
            // The file has shrunk, possibly to nothing.
            for left in [99, 30, 1, 0] {
                let (lines, path) = read(numbered(0..100));
                files.write("f", numbered(0..left));
                assert_changed(lines.collect(), &path);
            }
            // The content has changed, with a greater or equal length.
            for other in [numbered(1..101), numbered(1000..2000)] {
                let (lines, path) = read(numbered(0..100));
                assert_eq!(lines.count().unwrap(), 100);
                files.write("f", other);
                // Set the time, because the change may be too fast for the clock of the file system.
                let file = File::options().write(true).open(&path).unwrap();
                file.set_modified(SystemTime::now() + Duration::from_secs(60))
                    .unwrap();
                assert_changed(lines.collect(), &path);
            }
            // The file is replaced by another one with its name, and then deleted.
            let (lines, path) = read(numbered(0..100));
            let other = files.write("new", numbered(0..100));
            fs::rename(other, &path).unwrap();
            if cfg!(unix) {
                assert_changed(lines.count(), &path);
            }
            let (lines, path) = read(numbered(0..100));
            fs::remove_file(&path).unwrap();
            assert!(lines.count().unwrap_err().is_io());
            // A new bag reads the new file.
            let (lines, _) = read(numbered(5..50));
            assert_eq!(lines.collect().unwrap(), all(5..50));
        });
    }

    #[test]
    fn a_file_that_shrinks_under_a_job_is_noticed() {
        static IS_DONE: AtomicBool = AtomicBool::new(false);
        on_every_executor(|context| {
            let files = Files::new();
            let path = files.write("f", numbered(0..20_000));
            let reader = TextReader::new().context(context).partition_bytes(40_000);
            IS_DONE.store(false, Ordering::Relaxed);
            let cut = path.clone();
            let lines = reader.read(&path).unwrap().inspect(move |_| {
                if !IS_DONE.swap(true, Ordering::Relaxed) {
                    let file = File::options().write(true).open(&cut);
                    file.and_then(|file| file.set_len(80_000))
                        .expect("it is ours");
                }
            });
            assert_changed(lines.count(), &path);
        });
    }

    #[test]
    fn whole_files_are_read_as_they_are() {
        on_every_executor_and_processes(|context| {
            let files = Files::new();
            let a = files.write("a", "one\n");
            let b = files.write("b.gz", gzip(b"two\n", Compression::fast()));
            let lines = context.read_text([&a, &b]).unwrap();
            assert_eq!(lines.collect().unwrap(), ["one", "two"]);
            append(&a, "more\n");
            fs::write(&b, "plain now\nand longer\n").unwrap();
            assert_eq!(
                lines.collect().unwrap(),
                ["one", "more", "plain now", "and longer"]
            );
            let other = files.write("c", "x");
            fs::rename(other, &a).unwrap();
            assert_eq!(lines.clone().take(1).unwrap(), ["x"]);
            fs::write(&a, "").unwrap();
            assert_eq!(lines.count().unwrap(), 2);
        });
    }

    #[test]
    fn numbers_of_records_that_changed_are_not_given() {
        static CALLS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        on_every_executor(|context| {
            let files = Files::new();
            let paths = ["a", "b"].map(|name| files.write(name, "1\n2\n"));
            CALLS.store(0, Ordering::Relaxed);
            let grown = paths[0].clone();
            let reader = TextReader::new().context(context).partition_bytes(1);
            let lines = reader.read(&paths).unwrap().inspect(move |_| {
                // All partitions have been counted by then.
                if CALLS.fetch_add(1, Ordering::Relaxed) == 4 {
                    append(&grown, "3\n");
                }
            });
            let lines =
                lines.map_partitions(|lines, emit| lines.for_each(|line| emit(line.to_owned())));
            let error = lines.zip_with_index().collect();
            if let Ok(indexed) = &error {
                // The last line of the file had been read before.
                let expected = ["1", "2", "1", "2"].map(str::to_owned);
                assert!(indexed.iter().map(|(line, _)| line).eq(&expected));
                assert!(indexed.iter().map(|(_, index)| *index).eq(0..4));
            } else {
                let kind = error.as_ref().unwrap_err().kind();
                assert!(matches!(kind, ErrorKind::NotRepeatable { .. }), "{error:?}");
            }
        });
    }
}

// Formats.

fn tar(name: &str, text: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..135].copy_from_slice(format!("{:011o}", text.len()).as_bytes());
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let padding = vec![0; text.len().next_multiple_of(512) - text.len() + 1024];
    [&header, text, &padding].concat()
}

type Encoder = fn(&[u8]) -> Vec<u8>;

#[test]
fn formats_that_cannot_be_read_are_named_plain_or_compressed() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let tar = tar("dir/a.txt", b"one\ntwo\n");
        let utf16: Vec<u8> = "one\ntwo\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let utf16be: Vec<u8> = "one\ntwo\n"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        let utf32: Vec<u8> = "\u{feff}one\n"
            .chars()
            .flat_map(|c| u32::from(c).to_be_bytes())
            .collect();
        let large = [&b"PAR1\x15\x04"[..], &[0; 5000]].concat();
        for (format, content) in [
            ("tar", &tar[..]),
            ("zip", b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            ("zip", b"PK\x07\x08PK\x03\x04\x14\0\0\0"),
            ("7z", b"7z\xbc\xaf\x27\x1c\0\x04"),
            (
                "lzma",
                b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0\x18",
            ),
            ("lzip", b"LZIP\x01\x0c\0\x30"),
            ("compress (.Z)", b"\x1f\x9d\x90\x6f\xdc"),
            ("old zstd", b"\x27\xb5\x2f\xfd\x04"),
            ("Parquet", &large),
            ("UTF-16", &utf16),
            ("UTF-16", &utf16be),
            ("UTF-32", &utf32),
        ] {
            let gzip: Encoder = |text| gzip(text, Compression::fast());
            let as_is: Encoder = <[u8]>::to_vec;
            let encoders: [Encoder; 5] = [as_is, gzip, bzip2, xz, zstd];
            for (n, encode) in encoders.into_iter().enumerate() {
                let path = files.write("f", encode(content));
                let is_text = format.starts_with("UTF");
                for partition_bytes in [100, 1 << 20] {
                    let reader = TextReader::new()
                        .context(context)
                        .partition_bytes(partition_bytes);
                    let error = reader
                        .clone()
                        .read(&path)
                        .and_then(|lines| lines.count())
                        .unwrap_err();
                    let is_it = matches!(error.kind(), ErrorKind::UnsupportedFormat { format: f, path: at, .. } if *f == format && *at == path);
                    assert!(is_it, "{format} {n}: {error}");
                    let bytes = reader.read_bytes(&path).and_then(|lines| lines.count());
                    assert_eq!(bytes.is_ok(), is_text, "{format} {n}");
                }
                let twice = files.write("g", encode(&encode(b"text\n")));
                assert_eq!(lines(context, &twice).is_ok(), n == 0);
            }
        }
    });
}

#[test]
fn a_text_may_begin_like_a_format() {
    let context = context();
    let files = Files::new();
    for start in [
        "BZh91AY&SY",
        "PK\x03\x04",
        "P*M\x18",
        "\x04\"M\x18",
        "PAR1",
        "ORC",
        "070701",
        "LZIP",
        "Obj",
    ] {
        let text = format!("{start} is how some files begin,\nbut not this one\n");
        let path = files.write("f", &text);
        assert_eq!(
            lines(&context, &path).unwrap(),
            text.lines().collect::<Vec<_>>()
        );
        let bytes = TextReader::new()
            .context(&context)
            .read_bytes(&path)
            .unwrap();
        assert_eq!(bytes.count().unwrap(), 2);
        let zipped = files.write_gzip("z", &[text.as_bytes()]);
        assert_eq!(lines(&context, zipped).unwrap().len(), 2);
    }
    // Zeros that end records do not indicate UTF-16.
    let path = files.write("zeros", "a\0b\0c\0d\0");
    let reader = TextReader::new().context(&context).delimiter("\0");
    assert_eq!(
        reader.read(path).unwrap().collect().unwrap(),
        ["a", "b", "c", "d"]
    );
}

// Files that the tools accept.

#[test]
fn gzip_headers_may_have_any_fields() {
    let context = context();
    let files = Files::new();
    let plain = gzip(b"one\n", Compression::fast());
    let long = vec![b'n'; 70_000];
    let extra = vec![b'x'; 65_535];
    for flags in 0..32_u8 {
        let mut member = plain[..10].to_vec();
        member[3] = flags;
        if flags & 4 != 0 {
            member.extend(65_535_u16.to_le_bytes());
            member.extend(&extra);
        }
        for field in [8, 16] {
            if flags & field != 0 {
                member.extend(&long);
                member.push(0);
            }
        }
        if flags & 2 != 0 {
            let checksum = crc32fast::hash(&member) as u16;
            member.extend(checksum.to_le_bytes());
        }
        let header_bytes = member.len();
        member.extend(&plain[10..]);
        let path = files.write("f", [&member[..], &plain, &[0; 100], &member].concat());
        assert_eq!(lines(&context, &path).unwrap(), ["one"; 3], "{flags}");
        if flags & 2 != 0 {
            member[header_bytes - 1] ^= 1;
            let path = files.write("f", &member);
            assert!(refusal(&context, path).contains("checksum of the header"));
        }
        let path = files.write("f", &member[..header_bytes - 1]);
        assert!(refusal(&context, path).contains("cut short"));
    }
}

#[test]
fn what_follows_the_last_part_is_treated_as_the_tools_do() {
    let context = context();
    let files = Files::new();
    let gzip = gzip(b"one\n", Compression::fast());
    let parts = [
        ("gzip", gzip),
        ("bzip2", bzip2(b"one\n")),
        ("xz", xz(b"one\n")),
        ("zstd", zstd(b"one\n")),
    ];
    for (tool, part) in &parts {
        for (rest, read_by) in [
            (&b""[..], "gzip bzip2 xz zstd"),
            (&[0; 4], "gzip bzip2 xz"),
            (&[0; 5000], "gzip bzip2 xz"),
            (&[0; 3], "gzip bzip2"),
            (b"\n", "gzip bzip2"),
            (b"garbage that is long", "gzip bzip2"),
            (b"\x1f garbage", "gzip bzip2"),
            (b"\x1f\x8b", "bzip2"),
            (b"BZ", "gzip"),
            (b"BZh9", "gzip"),
            (b"BZh0", "gzip bzip2"),
            (b"\x54\x2a\x4d\x18\x02\0\0\0xx", "gzip bzip2 zstd"),
        ] {
            let path = files.write("f", [part, rest].concat());
            let is_read = lines(&context, path).is_ok_and(|lines| lines == ["one"]);
            assert_eq!(
                is_read,
                read_by.contains(tool),
                "{tool}, {}",
                rest.escape_ascii()
            );
        }
        // Any number of parts without text.
        let empty = match *tool {
            "gzip" => crate::common::gzip(b"", Compression::fast()),
            "bzip2" => bzip2(b""),
            "xz" => xz(b""),
            _ => zstd(b""),
        };
        let many = [
            empty.repeat(3_000),
            part.clone(),
            empty.repeat(3_000),
            part.clone(),
        ]
        .concat();
        assert_eq!(
            lines(&context, files.write("f", many)).unwrap(),
            ["one"; 2],
            "{tool}"
        );
    }
}

#[test]
fn zstd_may_begin_with_frames_to_skip() {
    let context = context();
    let files = Files::new();
    for first in 0x50..=0x5f {
        for bytes in [0_u32, 4, 100_000] {
            let content = vec![1; bytes as usize];
            let skipped = [
                &[first, 0x2a, 0x4d, 0x18][..],
                &bytes.to_le_bytes(),
                &content,
            ]
            .concat();
            let path = files.write("f", [&skipped[..], &zstd(b"one\n"), &skipped].concat());
            assert_eq!(lines(&context, path).unwrap(), ["one"]);
        }
    }
    let with_dictionary = [0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 1, 9, 0, 0, b'a'];
    let error = refusal(&context, files.write("f", with_dictionary));
    assert!(
        error.contains("needs a dictionary that is not set") && !error.contains("add_dict"),
        "{error}"
    );
}

mod xz_files {
    use std::num::NonZero;

    use lzma_rust2::{CheckType, FilterConfig, XzOptions, XzWriter};

    use super::*;

    fn encode(text: &[u8], configure: impl FnOnce(&mut XzOptions)) -> Vec<u8> {
        let mut options = XzOptions::with_preset(1);
        configure(&mut options);
        let mut writer = XzWriter::new(Vec::new(), options).expect("good options");
        writer.write_all(text).expect("room in memory");
        writer.finish().expect("room in memory")
    }

    /// Returns distinct lines, in several blocks of the same length.
    fn blocks() -> (String, Vec<u8>) {
        let text: String = (0..4000)
            .map(|n| format!("{:07}\n", n * 7919 % 10_007))
            .collect();
        let encoded = encode(text.as_bytes(), |options| {
            options.lzma_options.dict_size = 4 << 10;
            options.block_size = NonZero::new(8_000);
        });
        (text, encoded)
    }

    #[test]
    fn all_checks_filters_and_dictionaries_up_to_the_limit_are_read() {
        let context = context();
        let files = Files::new();
        let (text, _) = blocks();
        let check = |what: &str, encoded: Vec<u8>| {
            let read = lines(&context, files.write("f", encoded));
            assert!(read.unwrap().iter().eq(text.lines()), "{what}");
        };
        for kind in [
            CheckType::None,
            CheckType::Crc32,
            CheckType::Crc64,
            CheckType::Sha256,
        ] {
            check(
                "check",
                encode(text.as_bytes(), |options| options.check_type = kind),
            );
        }
        for dictionary in [4 << 10, 64 << 20, 96 << 20, 128 << 20] {
            let encoded = encode(text.as_bytes(), |options| {
                options.lzma_options.dict_size = dictionary;
            });
            check("dictionary", encoded);
        }
        for filter in [
            FilterConfig::new_delta(1),
            FilterConfig::new_delta(256),
            FilterConfig::new_bcj_x86(0),
            FilterConfig::new_bcj_arm(8),
            FilterConfig::new_bcj_arm_thumb(2),
            FilterConfig::new_bcj_arm64(0),
            FilterConfig::new_bcj_ia64(16),
            FilterConfig::new_bcj_ppc(0),
            FilterConfig::new_bcj_sparc(0),
            FilterConfig::new_bcj_risc_v(0),
        ] {
            check(
                "filter",
                encode(text.as_bytes(), |options| options.filters.push(filter)),
            );
        }
        let three = encode(text.as_bytes(), |options| {
            options.filters.push(FilterConfig::new_bcj_x86(0));
            options.filters.push(FilterConfig::new_delta(2));
            options.filters.push(FilterConfig::new_delta(7));
        });
        check("filters", three);
        let error = refusal(
            &context,
            files.write(
                "f",
                encode(text.as_bytes(), |options| {
                    options.lzma_options.dict_size = 192 << 20;
                }),
            ),
        );
        assert!(
            error.contains("192 MiB") && error.contains("128 MiB"),
            "{error}"
        );
    }

    /// Returns the offset of each block, and of the index.
    fn sections(encoded: &[u8]) -> Vec<usize> {
        let end = encoded.len() - 8;
        let backward = u32::from_le_bytes(encoded[end..end + 4].try_into().expect("4 bytes"));
        let index = end - 4 - 4 * (backward as usize + 1);
        let number = |at: &mut usize| {
            let (mut number, mut shift) = (0, 0);
            loop {
                let byte = encoded[*at];
                *at += 1;
                number |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    return number;
                }
            }
        };
        let mut at = index + 1;
        let blocks = number(&mut at);
        let mut start = 12;
        let mut starts = vec![start];
        for _ in 0..blocks {
            let unpadded = number(&mut at);
            number(&mut at);
            start += unpadded.next_multiple_of(4);
            starts.push(start);
        }
        assert_eq!(start, index);
        starts
    }

    #[test]
    fn blocks_are_compared_with_the_index() {
        let context = context();
        let files = Files::new();
        let (text, encoded) = blocks();
        let read = lines(&context, files.write("f", &encoded)).unwrap();
        assert!(read.iter().eq(text.lines()));
        let starts = sections(&encoded);
        assert_eq!(starts.len(), 5);
        let block = |n: usize| &encoded[starts[n]..starts[n + 1]];
        let with = |order: &[usize]| {
            let blocks: Vec<u8> = order.iter().flat_map(|n| block(*n).to_vec()).collect();
            [&encoded[..12], &blocks, &encoded[starts[4]..]].concat()
        };
        assert!(with(&[0, 1, 2, 3]) == encoded);
        for order in [
            &[1, 0, 2, 3][..],
            &[0, 1, 2],
            &[0, 1, 2, 3, 3],
            &[3, 2, 1, 0],
            &[0, 0, 2, 3],
        ] {
            let error = refusal(&context, files.write("f", with(order)));
            assert!(
                error.contains("the index does not match the blocks"),
                "{order:?}: {error}"
            );
        }
        // Changes the size of the index in the footer, and corrects the checksum.
        let mut footer = encoded.clone();
        let at = footer.len() - 12;
        footer[at + 4] ^= 1;
        let checksum = crc32fast::hash(&footer[at + 4..at + 10]).to_le_bytes();
        footer[at..at + 4].copy_from_slice(&checksum);
        let error = refusal(&context, files.write("f", footer));
        assert!(
            error.contains("the footer of a stream does not match"),
            "{error}"
        );
        // Changes a size in the index.
        let mut index = encoded.clone();
        let at = starts[4];
        index[at + 2] ^= 1;
        let end = index.len() - 12 - 4;
        let checksum = crc32fast::hash(&index[at..end]).to_le_bytes();
        index[end..end + 4].copy_from_slice(&checksum);
        let error = refusal(&context, files.write("f", index));
        assert!(
            error.contains("the index does not match the blocks"),
            "{error}"
        );
    }
}

// Lines.

#[test]
fn the_limit_of_a_line_does_not_count_its_ending() {
    on_every_executor(|context| {
        let files = Files::new();
        for before in ["", "x\r\n", "12345678\r\n12345678\n"] {
            for (line, is_read) in [
                ("12345678\n", true),
                ("12345678\r\n", true),
                ("1234567\r\r\n", true),
                ("12345678", true),
                ("1234567\r", true),
                ("123456789\n", false),
                ("12345678\r", false),
                ("12345678\r\r\n", false),
                ("123456789\r\n", false),
                ("123456789", false),
            ] {
                for after in ["", "more\r\n"] {
                    let text = format!("{before}{line}{after}");
                    // Without a line end, the next line is a part of this one.
                    if !after.is_empty() && !line.ends_with('\n') {
                        continue;
                    }
                    for content in [
                        text.clone().into_bytes(),
                        gzip(text.as_bytes(), Compression::fast()),
                    ] {
                        let path = files.write("f", content);
                        for partition_bytes in [5, 1000] {
                            let reader = TextReader::new().context(context).max_line_bytes(8);
                            let read = reader
                                .partition_bytes(partition_bytes)
                                .read(&path)
                                .unwrap()
                                .collect();
                            match read {
                                Ok(lines) => assert_eq!(
                                    (lines, is_read),
                                    (text.lines().map(str::to_owned).collect(), true)
                                ),
                                Err(error) => {
                                    assert!(!is_read, "{text:?}: {error}");
                                    let expected =
                                        format!("the line at byte {} is longer", before.len());
                                    assert!(
                                        error.to_string().contains(&expected),
                                        "{text:?}: {error}"
                                    );
                                }
                            }
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn written_text_is_read_back_except_as_documented() {
    let context = context();
    let files = Files::new();
    let write = |name: &str, records: &[&str]| {
        let records: Vec<String> = records.iter().map(|record| (*record).to_owned()).collect();
        let path = files.path(name);
        context
            .from_vec(records)
            .coalesce(1)
            .write_text(&path)
            .unwrap();
        lines(&context, path).unwrap()
    };
    let records = ["", "a\rb", "\r ", "a\u{feff}", "é\0", " ", "\u{85}\u{2028}"];
    assert_eq!(write("same", &records), records);
    assert_eq!(write("mark", &["x", "\u{feff}a"]), ["x", "\u{feff}a"]);
    // The docs of `write_text` list these exceptions.
    assert_eq!(write("return", &["a\r", "b\r\r"]), ["a", "b\r"]);
    assert_eq!(write("first mark", &["\u{feff}a"]), ["a"]);
    assert_eq!(write("line feed", &["a\nb"]), ["a", "b"]);
}
