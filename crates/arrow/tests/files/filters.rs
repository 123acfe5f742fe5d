//! Filters: the rows that they select, and the row groups that they skip.

use holdall::{Context, ErrorKind};
use holdall_arrow::{Filter, ParquetReader, column};
use holdall_test_extensions::on_each_file_system;
use serde::{Deserialize, Serialize};

use crate::{Visit, visit, visits, writer};

#[test]
fn a_filter_skips_row_groups() {
    on_each_file_system(|context, path| {
        writer(5_000)
            .write(&visits(context, 50_000, 1), path)
            .unwrap();
        let read = |filter| {
            let reader = ParquetReader::new().context(context).filter(filter);
            let visits = reader.read::<Visit>(path).unwrap();
            (visits.partitions().unwrap(), visits.collect().unwrap())
        };
        let bytes_read = || context.last_job().unwrap().stages[0].input_bytes;
        let (groups, all) = read(column("number").gt_eq(0));
        assert_eq!((groups, all.len()), (10, 50_000));
        let of_all = bytes_read();
        let (groups, some) = read(column("number").gt(44_997).and(column("number").lt(45_001)));
        assert_eq!(groups, 2);
        assert!(some.into_iter().eq((44_998..45_001).map(visit)));
        let of_some = bytes_read();
        // Each worker reads the footer in both cases.
        assert!(of_some * 2 < of_all, "{of_some} of {of_all}");
        assert_eq!(read(column("number").eq(200_000)).0, 0);
    });
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    id: i64,
    float: Option<f64>,
    text: Option<String>,
    flag: bool,
    small: u8,
}

fn rows() -> Vec<Row> {
    let floats = [
        Some(-1.5),
        Some(-0.0),
        Some(0.0),
        Some(f64::NAN),
        None,
        Some(f64::INFINITY),
        Some(2.0),
    ];
    let row = |id: i64| Row {
        id,
        float: floats[usize::try_from(id).unwrap() % floats.len()],
        text: (id % 4 != 0).then(|| format!("t{}", id % 10)),
        flag: id % 3 == 0,
        small: u8::try_from(id).unwrap(),
    };
    (0..100).map(row).collect()
}

/// A filter selects the same rows as a closure, whatever row groups it skips.
#[test]
fn filters_are_what_they_say() {
    type Case = (Filter, fn(&Row) -> bool);
    let cases: Vec<Case> = vec![
        (column("id").eq(7), |row| row.id == 7),
        (column("id").not_eq(7), |row| row.id != 7),
        (column("id").lt(7).or(column("id").gt_eq(95_u8)), |row| {
            row.id < 7 || row.id >= 95
        }),
        (column("float").gt(0), |row| {
            row.float.is_some_and(|float| float > 0.0)
        }),
        (column("float").lt(0.0), |row| {
            row.float.is_some_and(|float| float < 0.0)
        }),
        (column("float").eq(0.0), |row| row.float == Some(0.0)),
        (column("float").gt_eq(0.0), |row| {
            row.float.is_some_and(|float| float >= 0.0)
        }),
        (column("float").lt_eq(-0.0), |row| {
            row.float.is_some_and(|float| float <= 0.0)
        }),
        (column("float").not_eq(2.0), |row| {
            row.float
                .is_some_and(|float| float != 2.0 && !float.is_nan())
        }),
        (column("float").is_null(), |row| row.float.is_none()),
        (column("text").is_not_null(), |row| row.text.is_some()),
        (column("text").eq("t3"), |row| {
            row.text.as_deref() == Some("t3")
        }),
        (column("text").gt("t7"), |row| {
            row.text.as_deref().is_some_and(|text| text > "t7")
        }),
        (
            column("flag").eq(true).and(column("small").lt_eq(50)),
            |row| row.flag && row.small <= 50,
        ),
        (column("text").is_null().and(column("id").gt(90)), |row| {
            row.text.is_none() && row.id > 90
        }),
    ];
    let files = tempfile::tempdir().unwrap();
    for group_rows in [1, 7, 1_000] {
        let path = files.path().join(group_rows.to_string());
        let rows = holdall::from_vec_partitioned(rows(), 2);
        writer(group_rows).write(&rows, &path).unwrap();
        let rows = rows.collect().unwrap();
        for (filter, predicate) in &cases {
            let read = ParquetReader::new()
                .filter(filter.clone())
                .read::<Row>(&path)
                .unwrap();
            let read: Vec<_> = read.map(|row| row.id).collect().unwrap();
            let expected = rows.iter().filter(|row| predicate(row)).map(|row| row.id);
            assert!(read.iter().copied().eq(expected), "{filter:?} {read:?}");
        }
    }
}

#[test]
fn a_filter_that_cannot_be_compared_is_refused() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("rows");
    writer(10).write(&holdall::from_vec(rows()), &path).unwrap();
    for (filter, reason) in [
        (column("nothing").eq(1), "nothing"),
        (column("small").lt(300), "column `small` is UInt8"),
        (column("id").gt(2.5), "column `id` is Int64"),
        (column("id").eq("7"), "column `id` is Int64"),
        (column("text").eq(7), "column `text` is"),
        (column("flag").eq(1), "column `flag` is Boolean"),
    ] {
        let reader = ParquetReader::new()
            .context(&Context::default())
            .filter(filter);
        let error = reader.read::<Row>(&path).map(drop).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Read { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains(reason) && text.contains("part-00000.parquet"),
            "{text}"
        );
    }
}
