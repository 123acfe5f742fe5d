//! Sorted indexes, and ranges of them.

use std::fs;

use holdall::{Context, ErrorKind};
use holdall_frame::{Frame, ParquetReader, col, lit};

use super::{Files, on_every_executor, read_csv};

/// Breaks the files of some days, so that a job that opens one of them fails.
fn remove(files: &Files, days: impl IntoIterator<Item = usize>) {
    for day in days {
        fs::remove_file(files.path(&format!("2013-03-{day:02}.csv"))).expect("it exists");
    }
}

#[test]
fn a_range_opens_only_its_own_files() {
    on_every_executor(|context| {
        let files = Files::new();
        let frame = read_csv(context, files.days(31, 50))
            .with_sorted_index("time")
            .unwrap();
        remove(&files, (1..10).chain(13..=31));
        let days = frame.between("2013-03-10", "2013-03-12").unwrap();
        assert_eq!(days.count().unwrap(), 150);
        let late = days.filter(col("delay").gt_eq(lit(0))).unwrap();
        assert_eq!(late.count().unwrap(), 90);
        let hours = frame
            .between("2013-03-10T23:00:00", "2013-03-11T00:00:00")
            .unwrap();
        let times: Vec<(String,)> = hours
            .select([holdall_frame::datafusion::functions::expr_fn::to_char(
                col("time"),
                lit("%d %H"),
            )])
            .unwrap()
            .collect()
            .unwrap();
        assert!(
            times
                .iter()
                .all(|(time,)| time == "10 23" || time == "11 00")
        );
        assert!(times.len() > 2);

        let kind = frame.between("2013-03-12", "2013-03-13").unwrap().count();
        assert!(matches!(kind.unwrap_err().kind(), ErrorKind::Io { .. }));
        assert_eq!(
            frame
                .between("2013-04-01", "2013-04-30")
                .unwrap()
                .count()
                .unwrap(),
            0
        );
    });
}

#[test]
fn a_range_of_parquet_opens_only_its_own_files() {
    let files = Files::new();
    let context = Context::default();
    files.days(5, 50);
    for day in 1..=5 {
        let frame = read_csv(&context, files.path(&format!("2013-03-{day:02}.csv")));
        frame
            .write_parquet(files.path(&format!("day-{day}")))
            .unwrap();
    }
    let parts: Vec<_> = (1..=5)
        .map(|day| files.path(&format!("day-{day}")))
        .collect();
    let frame = ParquetReader::new()
        .read(&parts)
        .unwrap()
        .with_sorted_index("time")
        .unwrap();
    for day in [1, 4, 5] {
        fs::remove_dir_all(files.path(&format!("day-{day}"))).unwrap();
    }
    assert_eq!(
        frame
            .between("2013-03-02", "2013-03-03")
            .unwrap()
            .count()
            .unwrap(),
        100
    );
}

#[test]
fn files_that_are_not_in_order_are_refused_with_their_names() {
    let files = Files::new();
    let context = Context::default();
    let first = files.write("1.csv", "n\n1\n5\n");
    let second = files.write("2.csv", "n\n4\n6\n");
    let error = read_csv(&context, files.path("*.csv"))
        .with_sorted_index("n")
        .unwrap_err();
    let reason =
        format!("{second:?}: `n` begins with 4, but the file before it, {first:?}, ends with 5");
    assert_eq!(error.to_string(), reason);

    files.write("2.csv", "n\n9\n6\n");
    let error = read_csv(&context, files.path("*.csv"))
        .with_sorted_index("n")
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{second:?}: its rows are not sorted by `n`")
    );

    files.write("2.csv", "n,m\n6,\n,1\n");
    let error = read_csv(&context, &second)
        .with_sorted_index("n")
        .unwrap_err();
    let reason = "its first or last row has no value in the column";
    assert_eq!(error.to_string(), format!("{second:?}: {reason}"));
}

#[test]
fn rows_that_are_not_in_order_are_an_error_with_the_line() {
    let files = Files::new();
    let path = files.write("1.csv", "n,m\n1,1\n7,1\n6,1\n8,1\n");
    on_every_executor(|context| {
        let frame = read_csv(context, &path).with_sorted_index("n").unwrap();
        let message = frame
            .between(0, 10)
            .unwrap()
            .count()
            .unwrap_err()
            .to_string();
        let reason = format!("{path:?}: line 4: the rows are not in the order of the index");
        assert!(message.ends_with(&reason), "{message}");
    });
    let mut rows: Vec<_> = (0..150_000).map(|n| format!("{n:08}\n")).collect();
    rows.swap(120_000, 120_001);
    let path = files.write("1.csv", &format!("n\n{}", rows.concat()));
    let frame = read_csv(&Context::default(), &path)
        .with_sorted_index("n")
        .unwrap();
    let message = frame
        .between(0, 1_000_000)
        .unwrap()
        .count()
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("line 120003: the rows are not in the order"),
        "{message}"
    );
}

#[test]
fn files_without_rows_and_line_ends_are_part_of_an_index() {
    let files = Files::new();
    files.write("1.csv", "n\n1\n2");
    files.write("2.csv", "n\n");
    files.write("3.csv", "n\r\n3\r\n\r\n\n");
    let frame = read_csv(&Context::default(), files.path("*.csv"));
    let frame = frame.with_sorted_index("n").unwrap();
    let rows: Vec<(i64,)> = frame.between(2, 3).unwrap().collect().unwrap();
    assert_eq!(rows, [(2,), (3,)]);
}

#[test]
fn only_a_frame_with_an_index_has_ranges() {
    let files = Files::new();
    let frame = read_csv(
        &Context::default(),
        files.write("a.csv", "n,t\n1,2013-01-01\n"),
    );
    let refused = |frame: &Frame| frame.between(1, 2).unwrap_err().to_string();
    let reason = "the frame has no index; create one by `with_sorted_index` or `set_index`";
    assert_eq!(refused(&frame), reason);
    let indexed = frame.with_sorted_index("n").unwrap();
    assert_eq!(refused(&indexed.select([col("t")]).unwrap()), reason);
    assert!(
        indexed
            .filter(col("t").is_not_null())
            .unwrap()
            .between(1, 2)
            .is_ok()
    );
    let message = indexed.between("x", 2).unwrap_err().to_string();
    assert!(
        message.contains("Cannot cast string 'x' to value of Int64 type"),
        "{message}"
    );
    let filtered = frame.filter(col("n").gt(lit(0))).unwrap();
    let message = filtered.with_sorted_index("n").unwrap_err().to_string();
    assert!(
        message.ends_with("for other frames, use `set_index`"),
        "{message}"
    );
}

#[test]
fn an_index_that_is_set_sorts_the_rows() {
    let files = Files::new();
    let rows = (0..30_000_u64).map(|row| (row * 7_919) % 30_000);
    let mut text = "n,row,text\n".to_owned();
    for (row, n) in rows.enumerate() {
        text += &format!("{n},{row},{row:>50}\n");
    }
    let path = files.write("a.csv", &(text + ",,none\n"));
    on_every_executor(|context| {
        let frame = read_csv(context, &path).set_index("n").unwrap();
        fs::metadata(&path).unwrap();
        let rows: Vec<(Option<u64>,)> = frame.collect().unwrap();
        let expected = (0..30_000).map(|n| (Some(n),)).chain([(None,)]);
        assert!(rows.into_iter().eq(expected));
        let part: Vec<(u64, u64)> = frame.between(15_000, 15_009).unwrap().collect().unwrap();
        assert!(part.iter().map(|(n, _)| *n).eq(15_000..15_010));
        assert!(part.iter().all(|(n, row)| (row * 7_919) % 30_000 == *n));
    });
}
