//! Jobs: events, limits, memory, and what they leave behind.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use holdall::events::Event;
use holdall::{CancelHandle, Context, ErrorKind, Executor};
use holdall_frame::{CsvReader, col, count, lit};

use super::{Files, on, on_every_executor, read_csv};

/// Writes rows in no order, each with a text that makes it long.
fn unsorted(files: &Files, rows: u64) -> std::path::PathBuf {
    let rows = (0..rows).map(|row| {
        let key = (row + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        format!("{key},this text makes the row {row:>10} long enough\n")
    });
    files.write(
        "unsorted.csv",
        &("key,text\n".to_owned() + &rows.collect::<String>()),
    )
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory)
        .expect("the directory exists")
        .next()
        .is_none()
}

#[test]
fn jobs_have_a_summary_and_events() {
    let files = Files::new();
    let days = files.days(3, 1_000);
    let events = Arc::<Mutex<Vec<Event>>>::default();
    let seen = Arc::clone(&events);
    let observer = move |event: &Event| seen.lock().unwrap().push(event.clone());
    let context = on(Executor::Threads(2)).observer(observer).build().unwrap();
    let frame = read_csv(&context, &days);
    assert_eq!(
        frame
            .filter(col("delay").gt(lit(0)))
            .unwrap()
            .count()
            .unwrap(),
        2_370
    );
    let bytes = (1..4).map(|day| fs::metadata(files.path(&format!("2013-03-0{day}.csv"))));
    let bytes: u64 = bytes.map(|metadata| metadata.unwrap().len()).sum();
    let stage = context.last_job().unwrap().stages[0].clone();
    assert_eq!((stage.operator, stage.input_bytes), ("frame", bytes));
    let events = events.lock().unwrap();
    let [
        Event::JobStarted {
            action: "count",
            location,
            ..
        },
        ..,
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(location.file(), file!());
    let done = |event: &Event| matches!(event, Event::TasksDone { .. });
    assert_eq!(
        events.iter().filter(|event| done(event)).count(),
        stage.tasks
    );
    assert!(matches!(&events[events.len() - 1], Event::JobDone { .. }));
}

#[test]
fn a_sort_that_exceeds_the_budget_spills_and_leaves_nothing_behind() {
    let files = Files::new();
    let path = unsorted(&files, 100_000);
    let scratch = tempfile::tempdir().unwrap();
    let context = on(Executor::Threads(2))
        .memory("4MiB")
        .spill_directory(scratch.path());
    let context = context.build().unwrap();
    let sorted = read_csv(&context, &path).sort_by(["key"]).unwrap();
    let rows: Vec<(u64,)> = sorted.collect().unwrap();
    assert!(rows.len() == 100_000 && rows.is_sorted());
    let stage = context.last_job().unwrap().stages[0].clone();
    assert!(stage.spilled_bytes > 2 << 20, "{stage}");
    assert!(stage.peak_memory_bytes <= 4 << 20, "{stage}");
    assert!(is_empty(scratch.path()));
}

#[test]
fn a_sort_writes_rows_few_times() {
    // Rows of some bytes, and such that few of them fit into the memory of a partition.
    for (rows, width) in [(200_000, 1), (6_000, 4_000)] {
        let files = Files::new();
        let key = |row: u64| (row + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        let lines = (0..rows).map(|row| format!("{},{:0width$}\n", key(row), row));
        let text = "key,text\n".to_owned() + &lines.collect::<String>();
        let path = files.write("unsorted.csv", &text);
        for memory in ["4MiB", "32MiB"] {
            let context = on(Executor::Threads(2)).memory(memory).build().unwrap();
            let sorted = read_csv(&context, &path).sort_by(["key"]).unwrap();
            let sorted: Vec<(u64,)> = sorted.collect().unwrap();
            assert!(sorted.len() as u64 == rows && sorted.is_sorted());
            let stage = context.last_job().unwrap().stages[0].clone();
            assert!(stage.spilled_bytes < 3 * text.len() as u64, "{stage}");
        }
    }
}

#[test]
fn groups_that_exceed_the_budget_spill() {
    let files = Files::new();
    let path = unsorted(&files, 100_000);
    let context = on(Executor::Threads(2)).memory("4MiB").build().unwrap();
    let groups = read_csv(&context, &path).group_by([col("text")]).unwrap();
    let groups = groups.agg([count(col("key"))]).unwrap();
    assert_eq!(groups.count().unwrap(), 100_000);
    let stage = context.last_job().unwrap().stages[0].clone();
    assert!(stage.spilled_bytes > 0, "{stage}");
}

#[test]
fn the_disk_quota_counts() {
    let files = Files::new();
    let path = unsorted(&files, 100_000);
    let scratch = tempfile::tempdir().unwrap();
    let context = on(Executor::Threads(2)).memory("4MiB").disk_quota("1MiB");
    let context = context.spill_directory(scratch.path()).build().unwrap();
    let sorted = read_csv(&context, &path).sort_by(["key"]).unwrap();
    let error = sorted.batches().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::QuotaExceeded { .. }),
        "{error}"
    );
    assert!(is_empty(scratch.path()));
}

#[test]
fn a_join_that_exceeds_the_budget_says_so() {
    let files = Files::new();
    let path = unsorted(&files, 100_000);
    let context = on(Executor::Threads(2)).memory("4MiB").build().unwrap();
    let frame = read_csv(&context, &path);
    let joined = frame
        .join(&frame, holdall_frame::JoinType::Inner, ["text"])
        .unwrap();
    let message = joined.count().unwrap_err().to_string();
    assert!(
        message.contains("the memory budget of 4194304 bytes refuses"),
        "{message}"
    );
}

#[test]
fn a_job_can_be_cancelled_and_has_a_deadline() {
    let files = Files::new();
    let path = unsorted(&files, 60_000);
    on_every_executor(|context| {
        let cancel = CancelHandle::new();
        let frame = read_csv(&context.with_cancel(&cancel), &path);
        let sorted = frame.sort_by(["key"]).unwrap();
        let handle = cancel.clone();
        let canceller = std::thread::spawn(move || handle.cancel());
        while sorted.batches().is_ok() {}
        canceller.join().unwrap();
        assert!(sorted.batches().unwrap_err().is_cancelled());

        let late = context.with_deadline(Instant::now() + Duration::from_millis(1));
        let error = frame
            .in_context(&late)
            .sort_by(["key"])
            .unwrap()
            .batches()
            .unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::DeadlineExceeded { .. }),
            "{error}"
        );
    });
}

#[test]
fn a_job_in_a_closure_of_a_job_is_refused() {
    let files = Files::new();
    let path = files.write("a.csv", "n\n1\n");
    let frame = CsvReader::new().read(path).unwrap();
    let counts = holdall::range(0..1)
        .try_map(move |_| frame.count())
        .collect();
    let message = counts.unwrap_err().to_string();
    assert!(
        message.contains("cannot run an action inside a closure"),
        "{message}"
    );
}

#[test]
fn jobs_run_in_the_background_and_share_the_budget() {
    let files = Files::new();
    let path = unsorted(&files, 100_000);
    let context = on(Executor::Threads(2)).memory("32MiB").build().unwrap();
    let frame = read_csv(&context, &path);
    let jobs: Vec<_> = (0..3)
        .map(|_| {
            let frame = frame.sort_by(["key"]).unwrap();
            context
                .start(move |_| Ok(frame.collect::<(u64,)>()?.is_sorted()))
                .unwrap()
        })
        .collect();
    let numbers = context
        .range(0..100_000)
        .map(|n| (n % 1_000, n))
        .sum_by_key();
    assert_eq!(numbers.count().unwrap(), 1_000);
    assert!(jobs.into_iter().all(|job| job.result().unwrap()));
}

#[test]
fn an_expression_that_fails_names_the_line_of_the_program() {
    let files = Files::new();
    let path = files.write("a.csv", "n\n1\n0\n");
    let frame = read_csv(&Context::default(), path);
    let error = frame
        .select([lit(1) / col("n")])
        .unwrap()
        .batches()
        .unwrap_err();
    let place = error.context().unwrap();
    assert_eq!(
        (place.operator, place.location.unwrap().file()),
        (Some("batches"), file!())
    );
    assert!(error.to_string().contains("Divide by zero"), "{error}");
}
