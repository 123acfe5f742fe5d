//! Frames to bags, and bags to frames.

use std::fs;
use std::sync::{Arc, Mutex};

use holdall::events::Event;
use holdall::{Context, Executor};
use holdall_frame::{Frame, col, lit, sum};
use serde::{Deserialize, Serialize};

use super::{Files, on, on_every_executor, read_csv};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    number: u64,
    text: Option<String>,
}

fn row(number: u64) -> Row {
    Row {
        number,
        text: (!number.is_multiple_of(3)).then(|| format!("text {number}")),
    }
}

#[test]
fn a_bag_has_the_rows_in_their_order() {
    let files = Files::new();
    let rows = (0..70_000).map(|row| format!("{row},text {row}\n"));
    let path = files.write(
        "a.csv",
        &("number,text\n".to_owned() + &rows.collect::<String>()),
    );
    on_every_executor(|context| {
        let bag = read_csv(context, &path).to_bag::<Row>().unwrap();
        assert!(bag.partitions().unwrap() > 0);
        let evens = bag
            .clone()
            .filter(|row| row.number % 2 == 0)
            .map(|row| row.number);
        assert!(
            evens
                .collect()
                .unwrap()
                .into_iter()
                .eq((0..70_000).step_by(2))
        );
        let texts = bag.map(|row| row.text.unwrap()).distinct();
        assert_eq!(texts.count().unwrap(), 70_000);
    });
}

#[test]
fn a_frame_has_the_records_in_their_order() {
    on_every_executor(|context| {
        let bag = context.range(0..20_000).map(row);
        let frame = Frame::from_bag(&bag).unwrap();
        let rows: Vec<Row> = frame.collect().unwrap();
        assert!(rows.into_iter().eq((0..20_000).map(row)));
        let total = frame
            .filter(col("text").is_null())
            .unwrap()
            .agg([sum(col("number"))]);
        let total: Vec<(u64,)> = total.unwrap().collect().unwrap();
        assert_eq!(total, [((0..20_000).step_by(3).sum(),)]);
    });
}

#[test]
fn few_jobs_return_the_records_of_many_partitions() {
    let jobs_of = |memory: &str| {
        let actions = Arc::<Mutex<Vec<_>>>::default();
        let seen = Arc::clone(&actions);
        let observer = move |event: &Event| {
            if let Event::JobStarted { action, .. } = event {
                seen.lock().unwrap().push(*action);
            }
        };
        let context = on(Executor::Threads(2)).memory(memory).observer(observer);
        let bag = context.build().unwrap().range(0..200_000).map(row);
        assert_eq!(bag.partitions(), Some(64));
        let frame = Frame::from_bag(&bag).unwrap();
        let jobs = std::mem::take(&mut *actions.lock().unwrap());
        let rows: Vec<Row> = frame.collect().unwrap();
        assert!(rows.into_iter().eq((0..200_000).map(row)));
        jobs
    };
    assert_eq!(jobs_of("1GiB"), ["collect", "iter"]);
    // The records take about 5 MB, of which a job returns at most 1 MiB.
    let jobs = jobs_of("8MiB").len();
    assert!((5..15).contains(&jobs), "{jobs}");
}

#[test]
fn a_frame_becomes_a_bag_and_a_frame_again() {
    on_every_executor(|context| {
        let bag = context.range(0..20_000).map(row);
        let frame = Frame::from_bag(&bag).unwrap();
        let large = frame.filter(col("number").gt_eq(lit(15_000_u64))).unwrap();
        let bag = large.to_bag::<Row>().unwrap();
        let again = Frame::from_bag(&bag.map(|row| (row.number, row.text))).unwrap();
        let rows: Vec<(u64, Option<String>)> = again.collect().unwrap();
        let expected = (15_000..20_000).map(|number| (number, row(number).text));
        assert!(rows.into_iter().eq(expected));
    });
}

#[test]
fn a_bag_without_records_is_a_frame_with_columns() {
    on_every_executor(|context| {
        let frame = Frame::from_bag(&context.range(0..0).map(row)).unwrap();
        assert_eq!(
            (frame.count().unwrap(), frame.schema().fields().len()),
            (0, 2)
        );
        assert_eq!(frame.to_bag::<Row>().unwrap().count().unwrap(), 0);
    });
}

#[test]
fn records_of_a_source_of_unknown_length_become_a_frame() {
    let context = on(Executor::Threads(2)).build().unwrap();
    let frame = Frame::from_bag(&context.from_iter((0..20_000).map(row))).unwrap();
    let rows: Vec<Row> = frame.collect().unwrap();
    assert!(rows.into_iter().eq((0..20_000).map(row)));
}

#[test]
fn scratch_files_exist_as_long_as_the_bag_or_frame() {
    let scratch = tempfile::tempdir().unwrap();
    let context = on(Executor::Threads(2))
        .spill_directory(scratch.path())
        .build()
        .unwrap();
    let count = || fs::read_dir(scratch.path()).unwrap().count();
    let frame = Frame::from_bag(&context.range(0..1_000).map(row)).unwrap();
    assert_eq!(count(), 1);
    let bag = frame.to_bag::<Row>().unwrap();
    drop(frame);
    assert_eq!(count(), 1);
    assert_eq!(bag.count().unwrap(), 1_000);
    drop(bag);
    assert_eq!(count(), 0);
}

#[test]
fn errors_of_records_name_the_column() {
    let files = Files::new();
    let frame = read_csv(
        &Context::default(),
        files.write("a.csv", "number,text\n1,a\n,b\n"),
    );
    let message = frame
        .to_bag::<Row>()
        .unwrap()
        .count()
        .unwrap_err()
        .to_string();
    assert!(message.contains("row 2: column `number`: "), "{message}");
    let bag = holdall::range(0..10).map(|n| (n, 10 / (5 - n)));
    let message = Frame::from_bag(&bag).unwrap_err().to_string();
    assert!(message.contains("attempt to divide by zero"), "{message}");
}
