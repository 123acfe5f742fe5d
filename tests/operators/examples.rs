//! Runs each example like a user would, on small files, and compares its output.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Files, concatenation, names_in};

pub(crate) const EXECUTORS: [&str; 5] =
    ["inline", "threads", "threads:1", "threads:3", "processes:2"];

/// Output and exit code of a program.
struct Ran {
    stdout: String,
    stderr: String,
    code: Option<i32>,
}

/// Returns the path of an example. Cargo builds examples next to the directory of this program.
fn program(name: &str) -> PathBuf {
    let itself = std::env::current_exe().expect("the test has a path");
    let target = itself.ancestors().nth(2).expect("it is in target/*/deps");
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let path = target.join("examples").join(file);
    assert!(
        path.exists(),
        "{} is built by `cargo test` or `cargo build --examples`",
        path.display()
    );
    path
}

fn run<S: AsRef<std::ffi::OsStr>>(name: &str, arguments: impl IntoIterator<Item = S>) -> Ran {
    let mut command = Command::new(program(name));
    command
        .args(arguments)
        .env_remove("HOLDALL_EXECUTOR")
        .env_remove("HOLDALL_THREADS");
    let output = command.output().expect("it can be run");
    let text = |bytes| String::from_utf8(bytes).expect("they print text");
    Ran {
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        code: output.status.code(),
    }
}

/// Returns the output of a run that succeeds and prints nothing to standard error.
pub(crate) fn stdout<S: AsRef<std::ffi::OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = S>,
) -> String {
    let ran = run(name, arguments);
    assert_eq!(
        (ran.code, &*ran.stderr),
        (Some(0), ""),
        "{name}: {}",
        ran.stdout
    );
    ran.stdout
}

/// Returns the message of a run that fails and prints nothing to standard output.
fn failure<S: AsRef<std::ffi::OsStr>>(
    name: &str,
    arguments: impl IntoIterator<Item = S>,
) -> String {
    let ran = run(name, arguments);
    assert_eq!(
        (ran.code, &*ran.stdout),
        (Some(1), ""),
        "{name}: {}",
        ran.stderr
    );
    let message = ran
        .stderr
        .strip_prefix("error: ")
        .and_then(|text| text.strip_suffix('\n'));
    message
        .unwrap_or_else(|| panic!("{:?} is no message", ran.stderr))
        .to_owned()
}

/// Returns words of all kinds, in files of all kinds. The second result is their content.
fn texts() -> (Files, String) {
    let files = Files::new();
    let rust = include_str!("examples.rs");
    let odd = "é ü\u{a0}x\t\ttab\x0bVT\x0cFF\r\nend\r\0nul \n\n  \nlast";
    let many: String = (0..20_000)
        .map(|n| format!("w{} ", n * n % 7_919))
        .collect();
    files.write("texts/rust.rs", rust);
    files.write("texts/more/odd.txt", odd);
    files.write_gzip("texts/more/many", &[many.as_bytes()]);
    files.write("texts/.hidden", "hidden");
    // Join them by line breaks, because one file has none at its end.
    (files, [rust, odd, &many].join("\n"))
}

/// Counts words by std, as `COUNT<TAB>WORD`, by count in descending order, then by word.
fn counted(text: &str) -> Vec<String> {
    let mut counts = BTreeMap::<&[u8], u64>::new();
    for word in text
        .as_bytes()
        .split(|byte| b" \t\n\x0b\x0c\r".contains(byte))
    {
        if !word.is_empty() {
            *counts.entry(word).or_default() += 1;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let line =
        |(word, count): (&[u8], u64)| format!("{count}\t{}\n", String::from_utf8_lossy(word));
    counts.into_iter().map(line).collect()
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("the paths of the tests are UTF-8")
}

#[test]
fn word_count_counts_as_plain_means_do() {
    let (files, text) = texts();
    let counts = counted(&text);
    let path = files.path("texts");
    let path = utf8(&path);
    assert_eq!(stdout("word_count", [path]), counts[..20].concat());
    for executor in EXECUTORS {
        for top in [0, 1, 50, counts.len(), counts.len() + 1] {
            let printed = stdout(
                "word_count",
                ["--executor", executor, "--top", &top.to_string(), path],
            );
            assert_eq!(printed, counts[..top.min(counts.len())].concat());
        }
    }
    // Several paths and patterns, followed by the options.
    let [rust, odd] = ["texts/*.rs", "texts/more/odd.txt"].map(|path| files.path(path));
    let text = [
        include_str!("examples.rs"),
        &std::fs::read_to_string(&odd).unwrap(),
    ]
    .join("\n");
    let printed = stdout("word_count", [utf8(&rust), utf8(&odd), "--top", "1000000"]);
    assert_eq!(printed, counted(&text).concat());
}

#[test]
fn word_count_writes_all_counts() {
    let (files, text) = texts();
    let mut expected = counted(&text);
    expected.sort();
    let mut first = None;
    for executor in EXECUTORS {
        let out = files.path(&format!("out {executor}"));
        let printed = stdout(
            "word_count",
            [
                "--out",
                utf8(&out),
                "--executor",
                executor,
                utf8(&files.path("texts")),
            ],
        );
        assert_eq!(printed, "");
        let written = concatenation(&out);
        let mut lines: Vec<_> = written.split_inclusive('\n').collect();
        lines.sort();
        assert_eq!(lines, expected);
        assert_eq!(
            first.get_or_insert(written.clone()),
            &written,
            "on {executor}"
        );
        assert!(names_in(&out).iter().all(|name| name.starts_with("part-")));
    }
}

#[test]
fn word_count_explains_errors() {
    let files = Files::new();
    let text = files.write("text", "word\n");
    let bad = files.write("bad", b"word\n\xff");
    let missing = files.path("missing");
    let fails = |arguments: &[&str]| failure("word_count", arguments);
    assert_eq!(fails(&["--wrong"]), "unknown option --wrong; see --help");
    assert_eq!(fails(&["--top"]), "--top needs a value");
    assert_eq!(
        fails(&["--top", "many", utf8(&text)]),
        "--top: invalid digit found in string"
    );
    assert_eq!(
        fails(&["--executor", "thread", utf8(&text)]),
        r#"executor: cannot use "thread", expected inline, threads, threads:N with N from 1 to 1024, processes, processes:N with N of 1 or more, or scheme://address"#
    );
    let no_input = format!("no input file at {} in read_text at ", missing.display());
    assert!(fails(&[utf8(&missing)]).starts_with(&no_input));
    assert!(fails(&[utf8(&text), utf8(&missing)]).starts_with(&no_input));
    let invalid = format!(
        "{}: invalid UTF-8 at byte 5 in read_text at ",
        bad.display()
    );
    assert!(fails(&[utf8(&bad)]).starts_with(&invalid));
    // With an output that exists, and with one of which an error leaves no trace.
    let out = files.write("out", "precious");
    let exists = fails(&["--out", utf8(&out), utf8(&text)]);
    let start = format!(
        "cannot write to {} at examples/word_count.rs:",
        out.display()
    );
    assert!(exists.starts_with(&start), "{exists}");
    let end = ": it already exists; choose another path, or replace it with `overwrite(true)` of the writer";
    assert!(exists.ends_with(end), "{exists}");
    assert!(fails(&["--out", utf8(&files.path("new")), utf8(&bad)]).contains("invalid UTF-8"));
    assert_eq!(files.names(), ["bad", "out", "text"]);
}

#[test]
fn grep_count_counts_lines() {
    let (files, _) = texts();
    let rust = include_str!("examples.rs");
    for executor in EXECUTORS {
        for pattern in ["fn ", "é", "no such text", ""] {
            let path = files.path("texts/rust.rs");
            let printed = stdout("grep_count", ["--executor", executor, pattern, utf8(&path)]);
            let expected = rust.lines().filter(|line| line.contains(pattern)).count();
            assert_eq!(
                printed,
                format!("{expected}\n"),
                "{pattern:?} on {executor}"
            );
        }
    }
    let [a, b] = ["texts/rust.rs", "texts/more"].map(|path| files.path(path));
    assert_eq!(
        stdout("grep_count", ["last", utf8(&a), utf8(&b)]),
        format!("{}\n", {
            rust.lines().filter(|line| line.contains("last")).count() + 1
        })
    );
    assert_eq!(failure("grep_count", [""; 0]), "PATTERN is missing");
    assert!(
        failure("grep_count", ["x", utf8(&files.path("none"))]).starts_with("no input file at ")
    );
}

#[test]
fn graph_prints_13() {
    for executor in EXECUTORS {
        assert_eq!(stdout("graph", ["--executor", executor]), "13\n");
    }
}

#[test]
fn dependencies_are_counted_once() {
    let files = Files::new();
    files.write(
        "packages",
        "a 1 b c\nb 20 d\nc 300 d e\nd 4000\ne 50000 d\n",
    );
    let packages = files.path("packages");
    for executor in EXECUTORS {
        let arguments = ["--executor", executor, utf8(&packages), "a", "e", "d"];
        let expected = "a 4 5 54321\ne 2 2 54000\nd 1 1 4000\n";
        assert_eq!(stdout("dependencies", arguments), expected);
    }
    files.write("packages", "a 1 b\nb 2 c\nc 3 b\n");
    let message = failure("dependencies", [utf8(&packages), "a"]);
    assert!(message.contains(r#""b" needs "c" needs "b""#), "{message}");
}

#[test]
fn sum_range_sums() {
    for (n, executor) in [0, 1, 2, 1_000, 100_001]
        .into_iter()
        .flat_map(|n| EXECUTORS.map(|executor| (n, executor)))
    {
        let expected: u64 = (0..n).map(|x| x * 3 + 1).filter(|x| x % 2 == 0).sum();
        let printed = stdout("sum_range", ["--executor", executor, &n.to_string()]);
        assert_eq!(printed, format!("{expected}\n"));
    }
    assert_eq!(failure("sum_range", [""; 0]), "exactly one N is needed");
    assert_eq!(
        failure("sum_range", ["ten"]),
        "invalid digit found in string"
    );
}

#[test]
fn empty_tasks_prints_a_time() {
    for executor in EXECUTORS {
        let printed = stdout("empty_tasks", ["1000", "--executor", executor]);
        let microseconds: f64 = printed.trim_end().parse().unwrap();
        assert!(microseconds > 0.0 && printed.ends_with('\n'), "{printed}");
    }
    assert_eq!(failure("empty_tasks", ["0"]), "N must be 1 or more");
    assert_eq!(failure("empty_tasks", [""; 0]), "exactly one N is needed");
}

#[test]
fn sum_by_key_sums() {
    let files = Files::new();
    let path = files.write("a.csv", "a,1\nb,-2\na,3\n");
    let path = path.to_str().unwrap();
    for executor in EXECUTORS {
        let printed = stdout(
            "sum_by_key",
            ["--executor", executor, "--memory", "8MiB", path],
        );
        assert_eq!(printed, "2\t2\n");
    }
    let out = files.path("out");
    let out = out.to_str().unwrap();
    assert_eq!(stdout("sum_by_key", ["--out", out, path]), "");
    let written = concatenation(Path::new(out));
    let mut lines: Vec<_> = written.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["a,4", "b,-2"]);
    let wrong = files.write("wrong.csv", "a,1\nb\n");
    let message = failure("sum_by_key", [wrong.to_str().unwrap()]);
    assert!(message.contains("field 2 is missing"), "{message}");
    assert!(message.contains("wrong.csv line 2 byte 4"), "{message}");
}

#[test]
fn join_files_joins() {
    let files = Files::new();
    let left = files.write("left.csv", "1,a\n2,b,c\n2,d\n3\n");
    let right = files.write("right.csv", "2,x\n1,y\n4,z\n");
    let [left, right] = [&left, &right].map(|path| path.to_str().unwrap());
    for (kind, rows) in [
        ("inner", vec!["1,a,y", "2,b,c,x", "2,d,x"]),
        ("left", vec!["1,a,y", "2,b,c,x", "2,d,x", "3,,"]),
        ("right", vec!["1,a,y", "2,b,c,x", "2,d,x", "4,,z"]),
        ("full", vec!["1,a,y", "2,b,c,x", "2,d,x", "3,,", "4,,z"]),
        ("semi", vec!["1,a", "2,b,c", "2,d"]),
        ("anti", vec!["3,"]),
    ] {
        let count = stdout(
            "join_files",
            ["--kind", kind, "--memory", "8MiB", left, right],
        );
        assert_eq!(count, format!("{}\n", rows.len()), "{kind}");
        let out = files.path(kind);
        let out = out.to_str().unwrap();
        assert_eq!(
            stdout("join_files", ["--kind", kind, "--out", out, left, right]),
            ""
        );
        let written = concatenation(Path::new(out));
        let mut lines: Vec<_> = written.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, rows, "{kind}");
    }
}

/// The workloads print the same as plain programs, on threads and on worker processes.
#[test]
fn bench_answers() {
    let files = Files::new();
    let text = files.write("text", "a b a\nstruct device b a\n");
    let sums = files.write("sums", "1,10\n2,20\n1,5\n");
    let words = "3\ta\n2\tb\n1\tdevice\n1\tstruct\ndistinct 4 total 7 sumsq 15\n";
    for executor in ["threads", "processes:2"] {
        let out = files.path(&format!("sorted on {executor}"));
        for (workload, input, n, expected) in [
            ("W1", &text, "", words),
            ("W2", &text, "", "distinct 4 total 7 sumsq 15\n"),
            ("W3", &text, "", ""),
            ("W4", &sums, "", "groups 2 total 35 chk 55\n"),
            ("W5", &sums, "", "rows 5 sum 625\n"),
            ("W6", &text, "4", "sum 14\n"),
            ("W7", &text, "", "lines 1\n"),
            ("W8", &text, "10", "tasks 10\n"),
        ] {
            let mut command = Command::new(program("bench"));
            let inputs = [("IN", input), ("IN2", &sums), ("OUT_DIR", &out)];
            command.arg(workload).envs(inputs).env("N", n);
            command.env("HOLDALL_EXECUTOR", executor);
            let output = command.output().unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{workload} on {executor}: {error}");
            let printed = String::from_utf8(output.stdout).unwrap();
            assert_eq!(printed, expected, "{workload} on {executor}");
        }
        assert_eq!(concatenation(&out), "a b a\nstruct device b a\n");
    }
}

#[test]
fn sort_lines_sorts_bytes() {
    let files = Files::new();
    let first = files.write("first", b"pear\n\nfig\n\xff\n");
    let second = files.write("second", "fig\nFig");
    let paths = [first, second].map(|path| path.to_str().unwrap().to_owned());
    for (number, executor) in EXECUTORS.into_iter().enumerate() {
        let out = files.path(&format!("out-{number}"));
        let out = out.to_str().unwrap();
        let options = ["--executor", executor, "--memory", "8MiB", "--out", out];
        let arguments = options.into_iter().chain(paths.iter().map(String::as_str));
        assert_eq!(stdout("sort_lines", arguments), "");
        let mut written = Vec::new();
        for name in names_in(Path::new(out)) {
            written.extend(std::fs::read(Path::new(out).join(name)).unwrap());
        }
        assert_eq!(written, b"\nFig\nfig\nfig\npear\n\xff\n");
    }
    assert_eq!(failure("sort_lines", [""; 0]), "--out DIR is missing");
}

#[test]
fn generate_text_makes_the_same_text_again() {
    let files = Files::new();
    let [first, second] = ["first", "second"].map(|name| {
        let path = files.path(name);
        let path = path.to_str().unwrap();
        stdout("generate_text", ["--bytes", "10000", "--seed", "7", path]);
        std::fs::read(path).unwrap()
    });
    assert!(first == second && first.len().abs_diff(10_000) < 200);
}

#[test]
fn each_example_prints_its_usage() {
    for name in [
        "word_count",
        "grep_count",
        "join_files",
        "sort_lines",
        "sum_by_key",
        "sum_range",
        "dependencies",
        "empty_tasks",
        "graph",
        "inverted_index",
        "k_means",
        "log_analysis",
        "near_duplicates",
        "page_rank",
        "sessions",
        "tf_idf",
        "top_per_group",
        "triangles",
    ] {
        let ran = run(name, ["--help"]);
        assert_eq!((ran.code, &*ran.stdout), (Some(0), ""));
        assert!(
            ran.stderr.starts_with(&format!("{name} [--")),
            "{}",
            ran.stderr
        );
        assert_eq!(
            failure(name, ["--wrong", "1"]),
            "unknown option --wrong; see --help"
        );
    }
}

/// Each file of `examples/` is run here, by `cookbook.rs`, or by `ci/status`.
#[test]
fn no_example_is_left_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let programs: Vec<_> = names_in(&folder)
        .into_iter()
        .filter(|name| name.ends_with(".rs"))
        .collect();
    assert_eq!(
        programs,
        [
            "bench.rs",
            "dependencies.rs",
            "empty_tasks.rs",
            "generate_records.rs",
            "generate_text.rs",
            "graph.rs",
            "grep_count.rs",
            "inverted_index.rs",
            "join_files.rs",
            "k_means.rs",
            "log_analysis.rs",
            "near_duplicates.rs",
            "page_rank.rs",
            "sessions.rs",
            "sort_lines.rs",
            "status_page.rs",
            "sum_by_key.rs",
            "sum_range.rs",
            "tf_idf.rs",
            "top_per_group.rs",
            "triangles.rs",
            "word_count.rs"
        ]
    );
}
