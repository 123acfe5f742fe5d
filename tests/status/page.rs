//! The endpoints have the numbers of the jobs.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdall::{Context, Executor};
use serde_json::Value;

use crate::client::{get, json};
use crate::common::{Files, within_the_limit};
use crate::on_each;

#[test]
fn jobs_are_described() {
    on_each(|name, builder| {
        let context = builder.status("127.0.0.1:0").build().expect("a page");
        let none = json(&context, "/api/jobs");
        assert_eq!(none["jobs"].as_array().map(Vec::len), Some(0), "{name}");

        let pairs = context.range_partitioned(0..1000, 20).map(|n| (n % 10, n));
        assert_eq!(pairs.sum_by_key().count().expect("a count"), 10);

        let overview = json(&context, "/api/jobs");
        let job = &overview["jobs"][0];
        assert_eq!(
            (&job["action"], &job["state"]),
            (&"count".into(), &"completed".into())
        );
        assert_eq!(
            (&job["executor"], &job["progress"]),
            (&name.into(), &1.0.into())
        );
        let line = job["location"].as_str().expect("a text");
        assert!(line.starts_with(file!()), "{line}");
        assert_eq!(overview["totals"]["tasks"], 20 + 64);
        assert_eq!(overview["totals"]["shuffled_records"], 1000);
        assert!(overview["memory"]["limit_bytes"].as_u64() > Some(0));

        let details = json(&context, &format!("/api/jobs/{}", job["job"]));
        let stages = details["stage_list"].as_array().expect("stages");
        let tasks = stages.iter().map(|stage| &stage["tasks_done"]);
        assert_eq!(tasks.collect::<Vec<_>>(), [20, 64]);
        assert_eq!(stages[0]["shuffled_records"], 1000);
        let times = stages[0]["task_times"].as_array().expect("times");
        assert!(
            times.len() == 5 && times.is_sorted_by_key(|time| time.as_f64()),
            "{times:?}"
        );
        assert_eq!(sum_of_tasks(&details), 84);
        let lanes = details["lanes"].as_array().expect("threads or workers");
        let is_worker = name.starts_with("processes");
        assert!(
            lanes.iter().all(|lane| lane["is_worker"] == is_worker),
            "{lanes:?}"
        );

        let (head, drawing) = get(&context, &format!("/api/jobs/{}/stages.svg", job["job"]));
        assert!(head.contains("Content-Type: image/svg+xml"), "{head}");
        assert!(drawing.contains(">sum_by_key</text>") && drawing.contains("→ by hash of the key"));
    });
}

fn sum_of_tasks(details: &Value) -> u64 {
    let spans = details["spans"].as_array().expect("spans");
    spans.iter().filter_map(|span| span[5].as_u64()).sum()
}

#[test]
fn errors_have_their_places() {
    on_each(|name, builder| {
        let files = Files::new();
        let path = files.write("numbers", "1\n2\n<script>\n4\n");
        let context = builder.status("127.0.0.1:0").build().expect("a page");
        let lines = context.read_text(&path).expect("the file exists");
        let numbers = lines.try_map(|line| line.parse::<u64>());
        numbers.count().expect_err("a line is no number");

        let job = json(&context, "/api/jobs")["jobs"][0]["job"].clone();
        let details = json(&context, &format!("/api/jobs/{job}"));
        assert_eq!(details["state"], "failed", "{name}");
        let message = details["error"].as_str().expect("a message");
        assert!(message.contains("invalid digit"), "{message}");
        for place in [
            &details["error_place"],
            &details["failure_list"][0]["place"],
        ] {
            assert_eq!(
                (&place["operator"], &place["line"]),
                (&"try_map".into(), &3.into())
            );
            assert_eq!(place["path"], path.to_str().expect("a text"));
            let line = place["location"].as_str().expect("a line of the program");
            assert!(line.starts_with(file!()), "{line}");
        }
        assert_eq!(json(&context, "/api/jobs")["totals"]["jobs_failed"], 1);
    });
}

#[test]
fn a_job_that_runs_is_shown() {
    let context = Context::builder().threads(2).status("127.0.0.1:0").build();
    let context = context.expect("a page");
    let may_end = Arc::new(AtomicBool::new(false));
    let waits = Arc::clone(&may_end);
    let numbers = context.range_partitioned(0..8, 8).map(move |n| {
        while n == 7 && !waits.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        n
    });
    let handle = numbers.start(|bag| bag.count()).expect("it starts");
    within_the_limit("threads:2", {
        let context = context.clone();
        move || {
            loop {
                let overview = json(&context, "/api/jobs");
                let job = &overview["jobs"][0];
                if job["tasks_done"] == 7 {
                    assert_eq!(
                        (&job["state"], &job["progress"]),
                        (&"running".into(), &0.875.into())
                    );
                    break;
                }
            }
            let (_, metrics) = get(&context, "/metrics");
            assert!(metrics.contains("\nholdall_jobs_running 1\n"), "{metrics}");
        }
    });
    may_end.store(true, Ordering::SeqCst);
    assert_eq!(handle.result().expect("a count"), 8);
    assert_eq!(json(&context, "/api/jobs")["jobs"][0]["state"], "completed");
}

#[test]
fn spilled_bytes_are_shown() {
    let context = Context::builder()
        .threads(2)
        .memory("2MiB")
        .status("127.0.0.1:0")
        .build();
    let context = context.expect("a page");
    context.range(0..300_000).sort().count().expect("a count");
    let overview = json(&context, "/api/jobs");
    let spilled = overview["totals"]["spilled_bytes"].as_u64();
    assert!(spilled > Some(0));
    assert_eq!(overview["jobs"][0]["spilled_bytes"].as_u64(), spilled);
    let details = json(
        &context,
        &format!("/api/jobs/{}", overview["jobs"][0]["job"]),
    );
    let samples = details["samples"].as_array().expect("samples");
    assert_eq!(
        samples.iter().filter_map(|sample| sample[2].as_u64()).max(),
        spilled
    );
    assert!(samples.iter().any(|sample| sample[1].as_u64() > Some(0)));
}

#[test]
#[cfg(target_os = "linux")]
fn lost_workers_are_shown() {
    let files = Files::new();
    let builder = Context::builder().executor(Executor::Processes(2));
    let context = builder.status("127.0.0.1:0").build().expect("a page");
    let numbers = context.range_partitioned(0..100, 20);
    let numbers = numbers.with(files.path("mark")).map(|mark, n| {
        if n == 55 && File::create_new(mark).is_ok() {
            std::process::abort();
        }
        n
    });
    assert_eq!(numbers.count().expect("a count"), 100);
    let overview = json(&context, "/api/jobs");
    assert_eq!(overview["totals"]["workers_lost"], 1);
    let details = json(
        &context,
        &format!("/api/jobs/{}", overview["jobs"][0]["job"]),
    );
    let lanes = details["lanes"].as_array().expect("workers");
    let lost = lanes.iter().filter_map(|lane| lane["lost"].as_str());
    assert_eq!(lost.collect::<Vec<_>>(), ["killed by signal 6"]);
    assert_eq!(details["failures"], 1);
}

#[test]
fn only_the_last_jobs_are_kept() {
    let context = Context::builder().threads(1).status("127.0.0.1:0").build();
    let context = context.expect("a page");
    for _ in 0..130 {
        context.range(0..2).count().expect("a count");
    }
    let overview = json(&context, "/api/jobs");
    let jobs = overview["jobs"].as_array().expect("jobs");
    assert_eq!(
        (jobs.len(), &overview["totals"]["jobs_completed"]),
        (100, &130.into())
    );
    let first = jobs[0]["job"].as_u64().expect("a number");
    let (head, _) = get(&context, &format!("/api/jobs/{}", first - 1));
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
}
