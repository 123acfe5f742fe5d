//! Bags that are piped through programs. None of these programs may block, and none may be left behind.
#![cfg(unix)]

use std::time::{Duration, Instant};

use holdall::{Bag, Context, ErrorKind, Pipe, Result};

use crate::common::{on_every_executor, on_every_executor_and_processes, within_the_limit};

fn shell(script: &str) -> Pipe {
    Pipe::new("sh").args(["-c", script])
}

fn lines(context: &Context, count: usize, partitions: usize) -> Bag<String> {
    let numbers = context.range_partitioned(0..count, partitions);
    numbers.map(|n| format!("line {n}")).boxed()
}

#[test]
fn lines_come_back_in_order() {
    on_every_executor_and_processes(|context| {
        for (count, partitions) in [(0, 0), (0, 3), (1, 1), (1000, 7)] {
            let bag = lines(context, count, partitions);
            let piped = bag.clone().pipe("cat");
            assert_eq!(piped.partitions(), bag.partitions());
            assert_eq!(piped.collect().unwrap(), bag.collect().unwrap());
            let upper = bag.clone().pipe(Pipe::new("tr").args(["a-z", "A-Z"]));
            let expected = bag.map(|line| line.to_uppercase()).collect().unwrap();
            assert_eq!(upper.collect().unwrap(), expected);
        }
        // It runs once for each partition, also for an empty one.
        let counts = lines(context, 10, 2)
            .filter(|_| false)
            .pipe(Pipe::new("wc").arg("-l"));
        let counts = counts.map(|count| count.trim().parse::<u32>());
        assert_eq!(counts.count().unwrap(), 2);
    });
}

#[test]
fn arguments_variables_and_the_directory_are_passed_on() -> Result<()> {
    let directory = tempfile::tempdir().expect("a directory");
    let pipe = shell("cat; echo \"$1-$NAME\"; pwd")
        .args(["x", "a  b"])
        .env("NAME", "value");
    let bag = holdall::from_vec(vec!["line".to_owned()]).pipe(pipe.directory(directory.path()));
    let path = directory.path().canonicalize().expect("it is there");
    let path = path.to_str().expect("UTF-8");
    assert_eq!(bag.collect()?, ["line", "a  b-value", path]);
    Ok(())
}

/// That a program that writes as much as it reads, and more than pipes hold, does not block.
#[test]
fn much_data_does_not_block() {
    on_every_executor(|context| {
        let texts = context
            .range_partitioned(0..200_000_u32, 2)
            .map(|n| format!("{n:0100}"));
        let piped = texts.pipe("cat").zip_with_index();
        let wrong = piped.filter(|(text, index)| text.parse() != Ok(*index));
        assert_eq!(wrong.count().unwrap(), 0);
    });
}

#[test]
fn a_program_may_end_before_its_input() {
    on_every_executor(|context| {
        let endless = || context.from_iter((0_u64..).map(|n| n.to_string()));
        // The first partition of an iterator has 64 records.
        assert_eq!(
            endless()
                .pipe(Pipe::new("head").args(["-n", "2"]))
                .take(2)
                .unwrap(),
            ["0", "1"]
        );
        // One partition has more than a pipe holds.
        let long = context
            .range_partitioned(0..1_u64, 1)
            .flat_map(|_| 0..u64::MAX);
        let long = long.map(|n| n.to_string());
        let piped = long.pipe(Pipe::new("head").args(["-n", "3"]));
        assert_eq!(piped.collect().unwrap(), ["0", "1", "2"]);
    });
}

#[test]
fn a_program_need_not_read() {
    on_every_executor(|context| {
        let many = lines(context, 300_000, 2);
        assert_eq!(many.clone().pipe("true").count().unwrap(), 0);
        assert_eq!(
            many.pipe(shell("echo only")).collect().unwrap(),
            ["only", "only"]
        );
    });
}

#[test]
fn a_program_that_writes_endlessly_is_killed() {
    on_every_executor(|context| {
        let piped = lines(context, 10, 3).pipe("yes");
        assert_eq!(piped.take(3).unwrap(), ["y", "y", "y"]);
        let mut records = piped.iter().unwrap();
        assert!(records.next().is_some());
        drop(records);
        assert_no_children();
    });
}

/// That a job that ends does not wait for a silent program.
#[test]
fn a_program_that_sleeps_is_killed() {
    let start = Instant::now();
    within_the_limit("a silent program", || {
        let context = Context::builder().threads(2).build().unwrap();
        let slow = lines(&context, 1, 1).pipe(Pipe::new("sleep").arg("1000"));
        let fails = lines(&context, 1, 1).try_map(|_| {
            std::thread::sleep(Duration::from_millis(200));
            Err::<String, _>("on purpose")
        });
        let both = slow.boxed().union(fails.as_text().boxed());
        let error = both.collect().unwrap_err();
        assert!(error.to_string().contains("on purpose"), "{error}");
        drop(both.iter().unwrap());
    });
    assert!(start.elapsed() < Duration::from_secs(50));
    assert_no_children();
}

/// Fails if this process has children that have ended, or that still run, other than worker processes.
fn assert_no_children() {
    let own = std::process::id().to_string();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((name, rest)) = stat.split_once(") ") else {
            continue;
        };
        let is_child = rest.split(' ').nth(1) == Some(&own);
        let is_program = ["(yes", "(sleep"]
            .iter()
            .any(|program| name.ends_with(program));
        assert!(
            !(is_child && is_program && !is_in_use(&entry.path())),
            "{stat}"
        );
    }
}

/// Programs of tests that run concurrently may be there for a moment.
fn is_in_use(process: &std::path::Path) -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        if !process.exists() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

#[track_caller]
fn failure(bag: &Bag<str>) -> (Option<i32>, String, String, String) {
    let error = bag.count().expect_err("the program fails");
    let message = error.to_string();
    match error.kind() {
        ErrorKind::ProgramFailed {
            context,
            code,
            status,
            stderr,
            ..
        } => {
            assert_eq!(context.operator, Some("pipe"));
            assert_eq!(context.partition, Some(0));
            (*code, status.clone(), stderr.clone(), message)
        }
        _ => panic!("{error}"),
    }
}

#[test]
fn a_failure_has_its_status_and_message() {
    on_every_executor_and_processes(|context| {
        let bag = |script| lines(context, 1, 1).pipe(shell(script)).boxed();
        let (code, status, stderr, message) =
            failure(&bag("cat; echo first >&2; echo last >&2; exit 3"));
        assert_eq!(
            (code, &*status, &*stderr),
            (Some(3), "exit status: 3", "first\nlast")
        );
        assert!(
            message.contains("`sh`") && message.ends_with("first\nlast"),
            "{message}"
        );
        let (code, status, stderr, message) = failure(&bag("kill -9 $$"));
        assert_eq!((code, &*stderr), (None, ""));
        assert!(status.contains("signal: 9"), "{status}");
        assert!(message.ends_with("printed no message"), "{message}");
        // Only the end of a long message is kept, and a long message does not block.
        let script =
            "i=0; while [ $i -lt 20000 ]; do echo message $i; i=$((i+1)); done >&2; exit 1";
        let (_, _, stderr, _) = failure(&bag(script));
        assert!(
            stderr.len() <= 4096 && stderr.ends_with("message 19999"),
            "{stderr}"
        );
    });
}

#[test]
fn errors_name_the_program_and_the_line() {
    on_every_executor_and_processes(|context| {
        let missing = lines(context, 1, 1).pipe("holdall-no-such-program");
        let error = missing.count().expect_err("it is missing");
        assert!(error.is_io(), "{error}");
        assert!(
            error.to_string().contains("holdall-no-such-program"),
            "{error}"
        );
        let bytes = lines(context, 1, 1).pipe(Pipe::new("printf").arg("\\377"));
        let error = bytes.count().expect_err("it is not UTF-8");
        assert!(matches!(error.kind(), ErrorKind::Closure { .. }), "{error}");
        let bytes = lines(context, 1, 1).map(String::into_bytes);
        let bytes = bytes.pipe(Pipe::new("printf").arg("\\377\\n\\r\\nend"));
        assert_eq!(bytes.collect().unwrap(), [&b"\xff"[..], b"", b"end"]);
    });
}
