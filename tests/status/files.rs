//! The trace and the report are valid, whole, and written whenever they should be.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use holdall::{Context, ErrorKind};
use serde_json::Value;

use crate::common::Files;
use crate::on_each;

/// Names the variable with which a test runs itself again as a child process.
const CHILD: &str = "HOLDALL_TEST_STATUS_CHILD";

fn trace(path: &Path) -> Vec<Value> {
    serde_json::from_slice(&fs::read(path).expect("the file exists")).expect("it is a JSON array")
}

/// Returns the data of a report.
fn report(path: &Path) -> Value {
    let page = fs::read_to_string(path).expect("the file exists");
    let (_, rest) = page
        .split_once("<script type=\"application/json\" id=\"data\">")
        .expect("it has data");
    let (data, _) = rest.split_once("</script>").expect("it has an end");
    serde_json::from_str(data).expect("it is JSON")
}

#[test]
fn a_trace_has_the_jobs_the_stages_and_the_tasks() {
    on_each(|name, builder| {
        let files = Files::new();
        let path = files.path("trace.json");
        let context = builder.trace(&path).build().expect("a trace");
        assert_eq!(trace(&path).len(), 1);
        for jobs in 1..=2 {
            let pairs = context.range_partitioned(0..1000, 20).map(|n| (n % 10, n));
            assert_eq!(pairs.sum_by_key().count().expect("a count"), 10);
            // It is complete after each job.
            assert_spans(name, &trace(&path), jobs);
        }
    });
}

/// Asserts that the spans of `jobs` jobs are complete, and that those of a thread or worker do not overlap.
#[track_caller]
fn assert_spans(name: &str, events: &[Value], jobs: u64) {
    let of = |phase: &str, category: &str| {
        let found = events
            .iter()
            .filter(move |event| event["ph"] == phase && event["cat"] == category);
        found
            .map(|event| (event["id"].clone(), event["name"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (of("b", "job").len() as u64, of("b", "stage").len() as u64),
        (jobs, 2 * jobs),
        "{name}"
    );
    for category in ["job", "stage"] {
        let (mut begun, mut ended) = (of("b", category), of("e", category));
        begun.sort_by_key(|begun| begun.0.to_string());
        ended.sort_by_key(|ended| ended.0.to_string());
        assert_eq!(begun, ended, "{name}");
    }
    let tasks = events.iter().filter(|event| event["ph"] == "X");
    assert_eq!(
        tasks
            .clone()
            .filter_map(|event| event["args"]["tasks"].as_u64())
            .sum::<u64>(),
        84 * jobs,
        "{name}"
    );
    let mut ends: HashMap<u64, f64> = HashMap::new();
    for event in tasks {
        let row = event["tid"].as_u64().expect("a number");
        let start = event["ts"].as_f64().expect("a number");
        let end = start + event["dur"].as_f64().expect("a number");
        let before = ends.insert(row, end).unwrap_or(0.0);
        assert!(start >= before - 1.0, "{name}: {event}");
        let names = |event: &&Value| event["name"] == "thread_name" && event["tid"] == row;
        assert_eq!(events.iter().filter(names).count(), 1, "{name}");
    }
}

#[test]
fn failures_are_in_the_trace() {
    let files = Files::new();
    let path = files.path("trace.json");
    let context = Context::builder()
        .threads(2)
        .trace(&path)
        .build()
        .expect("a trace");
    context
        .range(0..10)
        .map(|n| 100 / n)
        .count()
        .expect_err("it divides by zero");
    let events = trace(&path);
    let failed = events
        .iter()
        .find(|event| event["name"] == "task failed")
        .expect("a failure");
    let error = failed["args"]["error"].as_str().expect("a message");
    assert!(error.contains("attempt to divide by zero"), "{error}");
    let outcome = events
        .iter()
        .find(|event| event["ph"] == "e" && event["cat"] == "job");
    assert_eq!(
        outcome.expect("the job has ended")["args"]["outcome"],
        "failed"
    );
}

#[test]
fn a_report_has_all_jobs() {
    on_each(|name, builder| {
        let files = Files::new();
        let path = files.path("report.html");
        let context = builder.report(&path).build().expect("a report");
        let words = ["</script>", "b", "</script>"].map(str::to_owned).to_vec();
        assert_eq!(
            context
                .from_vec(words)
                .count_by_value()
                .count()
                .expect("a count"),
            2
        );
        let failing = context
            .range(0..10)
            .try_map(|n| if n < 5 { Ok(n) } else { Err("</script><b>") });
        failing.count().expect_err("it fails");
        drop(failing);
        drop(context);
        let data = report(&path);
        let jobs = data["jobs"].as_array().expect("jobs");
        let states = jobs
            .iter()
            .map(|job| job["state"].as_str().expect("a state"));
        assert_eq!(
            states.collect::<Vec<_>>(),
            ["completed", "failed"],
            "{name}"
        );
        assert!(
            jobs[1]["error"]
                .as_str()
                .expect("a message")
                .contains("</script><b>")
        );
        let drawings = data["drawings"].as_object().expect("drawings");
        assert!(
            drawings.len() == 2
                && drawings
                    .values()
                    .all(|svg| svg.as_str().is_some_and(|svg| svg.starts_with("<svg ")))
        );
    });
}

#[test]
fn a_file_that_cannot_be_created_is_an_error() {
    let files = Files::new();
    let path = files.path("missing/file");
    for builder in [
        Context::builder().trace(&path),
        Context::builder().report(&path),
    ] {
        let error = builder.build().expect_err("there is no directory");
        let ErrorKind::Io { path: named, .. } = error.kind() else {
            panic!("{error}");
        };
        assert_eq!(*named, path);
    }
}

/// Runs more jobs than fit into a pipe.
#[test]
fn counts_often() {
    if std::env::var_os(CHILD).is_some() {
        for _ in 0..300 {
            assert_eq!(holdall::range(0..10).count().expect("a count"), 10);
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_error_of_the_trace_ends_the_trace_and_not_the_jobs() {
    let files = Files::new();
    let path = files.path("pipe");
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("the system has `mkfifo`").success());
    let variables = [("HOLDALL_TRACE", path.to_str().expect("a text"))];
    let running = command("counts_often", &variables)
        .stderr(Stdio::piped())
        .spawn();
    let running = running.expect("it runs");
    let mut reader = File::open(&path).expect("a pipe");
    reader.read_exact(&mut [0]).expect("the first event");
    drop(reader);
    let output = running.wait_with_output().expect("it ends");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    let message = format!(
        "holdall: cannot write {}, so the trace ends early: ",
        path.display()
    );
    assert_eq!(printed.matches(&message).count(), 1, "{printed}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_fails_no_job() {
    let variables = [("HOLDALL_REPORT", "/dev/full")];
    let output = command("counts_often", &variables)
        .output()
        .expect("it runs");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    assert!(
        printed.contains("holdall: cannot write the report /dev/full: "),
        "{printed}"
    );
    let error = Context::builder()
        .trace("/dev/full")
        .build()
        .expect_err("it is full");
    assert!(error.to_string().contains("/dev/full"), "{error}");
}

#[test]
fn the_environment_is_followed_until_the_process_ends() {
    let files = Files::new();
    let (trace_path, report_path) = (files.path("trace.json"), files.path("report.html"));
    let mut child = command(
        "counts_on_the_default_context",
        &[
            ("HOLDALL_STATUS", "127.0.0.1:0"),
            ("HOLDALL_TRACE", trace_path.to_str().expect("a text")),
            ("HOLDALL_REPORT", report_path.to_str().expect("a text")),
        ],
    );
    let output = child.output().expect("it runs");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    assert_eq!(
        printed
            .matches("holdall: status page at http://127.0.0.1:")
            .count(),
        1,
        "{printed}"
    );
    // The jobs of all contexts of the process, also of the one that is never dropped.
    let jobs = report(&report_path)["jobs"].as_array().map(Vec::len);
    assert_eq!(jobs, Some(3));
    let begun = |event: &&Value| event["ph"] == "b" && event["cat"] == "job";
    assert_eq!(trace(&trace_path).iter().filter(begun).count(), 3);
}

#[test]
fn counts_on_the_default_context() {
    if std::env::var_os(CHILD).is_some() {
        let other = Context::builder()
            .threads(1)
            .build()
            .expect("it shares the page");
        assert_eq!(other.status_url(), Context::default().status_url());
        assert_eq!(other.range(0..10).count().expect("a count"), 10);
        drop(other);
        for _ in 0..2 {
            assert_eq!(holdall::range(0..10).count().expect("a count"), 10);
        }
    }
}

/// Returns the command that runs one test of this program in a process with these environment variables.
fn command(test: &str, variables: &[(&str, &str)]) -> Command {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.args(["--exact", &format!("files::{test}"), "--nocapture"]);
    command.env(CHILD, "1").envs(variables.iter().copied());
    command
}
