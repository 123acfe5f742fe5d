//! Expressions, groups and joins.

use std::fmt::Write as _;

use holdall::{Context, Executor};
use holdall_frame::{JoinType, avg, col, count, ident, lit, max, min, sum};

use super::{Files, on, on_every_executor, read_csv};

#[test]
fn groups_have_their_aggregates() {
    let files = Files::new();
    let days = files.days(3, 3_000);
    on_every_executor(|context| {
        let aggregates = [
            count(col("delay")),
            sum(col("delay")),
            min(col("delay")),
            max(col("delay")),
            avg(col("delay")),
        ];
        let groups = read_csv(context, &days).group_by([col("carrier")]).unwrap();
        let groups = groups
            .agg(aggregates)
            .unwrap()
            .sort_by(["carrier"])
            .unwrap();
        let rows: Vec<(String, i64, i64, i64, i64, f64)> = groups.collect().unwrap();
        let expected = ["AA", "B6", "UA"]
            .into_iter()
            .enumerate()
            .map(|(at, carrier)| {
                let delays = (0..9_000_i64).map(|row| row % 3_000);
                let delays = delays
                    .filter(|row| row % 3 == at as i64)
                    .map(|row| row % 100 - 20);
                let (sum, count) = (delays.clone().sum::<i64>(), delays.clone().count() as i64);
                let (min, max) = (delays.clone().min().unwrap(), delays.max().unwrap());
                (
                    carrier.to_owned(),
                    count,
                    sum,
                    min,
                    max,
                    sum as f64 / count as f64,
                )
            });
        assert!(rows.into_iter().eq(expected));
    });
}

#[test]
fn a_column_can_be_added_and_replaced() {
    let files = Files::new();
    let frame = read_csv(&Context::default(), files.write("a.csv", "a,B\n1,2\n3,4\n"));
    let frame = frame.with_column("sum", col("a") + ident("B")).unwrap();
    let frame = frame.with_column("a", col("a") * lit(10)).unwrap();
    let rows: Vec<(i64, i64, i64)> = frame.collect().unwrap();
    assert_eq!(rows, [(10, 2, 3), (30, 4, 7)]);
}

#[test]
fn each_join_returns_its_rows_and_columns() {
    let files = Files::new();
    let left = files.write("left.csv", "Key,a\n1,x\n2,y\n3,z\n,w\n");
    let right = files.write("right.csv", "Key,a\n2,Y\n2,YY\n4,V\n");
    on_every_executor(|context| {
        let (left, right) = (read_csv(context, &left), read_csv(context, &right));
        let join = |join_type| {
            let joined = left.join(&right, join_type, ["Key"]).unwrap();
            let columns = joined.schema().fields().len();
            let keys = (0..columns).map(|column| joined.schema().field(column).name().clone());
            let keys = joined.sort_by(keys.collect::<Vec<_>>().iter().map(String::as_str));
            keys.unwrap()
        };
        type Row = (Option<i64>, Option<String>, Option<String>);
        let row = |key, a: &str, b: &str| -> Row {
            let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            (key, text(a), text(b))
        };
        let inner = [row(Some(2), "y", "Y"), row(Some(2), "y", "YY")];
        assert_eq!(join(JoinType::Inner).collect::<Row>().unwrap(), inner);
        let [y, yy] = inner;
        let (x, z, w) = (
            row(Some(1), "x", ""),
            row(Some(3), "z", ""),
            row(None, "w", ""),
        );
        let v = row(Some(4), "", "V");
        let rows = join(JoinType::Left).collect::<Row>().unwrap();
        assert_eq!(
            rows,
            [x.clone(), y.clone(), yy.clone(), z.clone(), w.clone()]
        );
        let rows = join(JoinType::Right).collect::<Row>().unwrap();
        assert_eq!(rows, [y.clone(), yy.clone(), v.clone()]);
        let rows = join(JoinType::Full).collect::<Row>().unwrap();
        assert_eq!(rows, [x, y, yy, z, v, w]);

        type Side = (Option<i64>, String);
        let rows = join(JoinType::LeftSemi).collect::<Side>().unwrap();
        assert_eq!(rows, [(Some(2), "y".to_owned())]);
        let rows = join(JoinType::LeftAnti).collect::<Side>().unwrap();
        let others = [(Some(1), "x"), (Some(3), "z"), (None, "w")];
        assert_eq!(rows, others.map(|(key, a)| (key, a.to_owned())));
        let rows = join(JoinType::RightSemi).collect::<Side>().unwrap();
        assert_eq!(
            rows,
            [(Some(2), "Y".to_owned()), (Some(2), "YY".to_owned())]
        );
        let rows = join(JoinType::RightAnti).collect::<Side>().unwrap();
        assert_eq!(rows, [(Some(4), "V".to_owned())]);
    });
    let frame = read_csv(&Context::default(), &left);
    let message = frame
        .join(&frame, JoinType::Inner, ["b"])
        .unwrap_err()
        .to_string();
    assert_eq!(message, "there is no column `b`; the columns are Key, a");
    let message = frame
        .join(&frame, JoinType::Inner, [])
        .unwrap_err()
        .to_string();
    assert_eq!(message, "a join needs a column that both frames have");
}

#[test]
fn a_frame_can_be_joined_with_itself() {
    let files = Files::new();
    let frame = read_csv(&Context::default(), files.write("a.csv", "k,v\n1,2\n"));
    let joined = frame.join(&frame, JoinType::Inner, ["k"]).unwrap();
    let joined = joined.join(&frame, JoinType::Inner, ["k"]).unwrap();
    let rows: Vec<(i64, i64, i64, i64)> = joined.collect().unwrap();
    assert_eq!(rows, [(1, 2, 2, 2)]);
    assert_eq!(joined.schema().field(3).name(), "v_right_right");
}

#[test]
fn a_column_that_does_not_exist_is_an_error_before_any_job() {
    let files = Files::new();
    let frame = read_csv(&Context::default(), files.write("a.csv", "a,b\n1,2\n"));
    for error in [
        frame.filter(col("c").eq(lit(1))).unwrap_err(),
        frame.select([col("c")]).unwrap_err(),
        frame.group_by([col("c")]).unwrap_err(),
        frame.sort_by(["c"]).unwrap_err(),
        frame.with_column("d", col("c")).unwrap_err(),
    ] {
        let message = error.to_string();
        assert!(message.contains("No field named c"), "{message}");
    }
}

#[test]
fn statistics_of_columns_are_those_of_their_values() {
    let files = Files::new();
    let path = files.write("a.csv", "n,text,flag\n4,b,true\n1,a,false\n,,\n7,c,true\n");
    on_every_executor(|context| {
        let described = read_csv(context, &path).describe().unwrap();
        type Row = (String, Option<f64>, Option<String>, Option<String>);
        let rows: Vec<Row> = described.collect().unwrap();
        let numbers: Vec<_> = rows.iter().map(|row| (row.0.as_str(), row.1)).collect();
        let expected = [
            ("count", Some(3.0)),
            ("null_count", Some(1.0)),
            ("mean", Some(4.0)),
            ("std", Some(3.0)),
            ("min", Some(1.0)),
            ("max", Some(7.0)),
            ("median", Some(4.0)),
        ];
        assert_eq!(numbers, expected);
        let texts: Vec<_> = rows.iter().map(|row| row.2.as_deref()).collect();
        let expected = [Some("3"), Some("1"), None, None, Some("a"), Some("c"), None];
        assert_eq!(texts, expected);
        let flags: Vec<_> = rows.iter().map(|row| row.3.as_deref()).collect();
        assert_eq!(flags, [Some("3"), Some("1"), None, None, None, None, None]);
    });
}

#[test]
fn medians_are_exact_whether_their_values_fit_into_memory_or_not() {
    let files = Files::new();
    let mut text = "all,some,others\n".to_owned();
    for row in 0..100_000_u64 {
        let number = row * 7_919 % 100_000;
        let some = if number < 50_000 { "" } else { "1.5" };
        let others = if number < 50_000 {
            number.to_string()
        } else {
            String::new()
        };
        writeln!(text, "{number},{some},{others}").unwrap();
    }
    let path = files.write("a.csv", &text);
    // 65,536 values are a part of 4 MiB that fits.
    for memory in ["4MiB", "1GiB"] {
        let context = on(Executor::Threads(2)).memory(memory).build().unwrap();
        let described = read_csv(&context, &path).describe().unwrap();
        type Row = (String, Option<f64>, Option<f64>, Option<f64>);
        let rows: Vec<Row> = described.collect().unwrap();
        let expected = (
            "median".to_owned(),
            Some(49_999.5),
            Some(1.5),
            Some(24_999.5),
        );
        assert_eq!(rows[6], expected, "{memory}");
    }
}

#[cfg(feature = "sql")]
#[test]
fn queries_in_sql_read_several_frames() {
    use holdall_frame::sql;

    let files = Files::new();
    let flights = files.write("flights.csv", "tailnum,delay\nN1,5\nN2,7\nN1,9\n");
    let planes = files.write("planes.csv", "tailnum,seats\nN1,55\nN2,182\n");
    on_every_executor(|context| {
        let (flights, planes) = (read_csv(context, &flights), read_csv(context, &planes));
        let tables = [("flights", &flights), ("planes", &planes)];
        let query = "select seats, sum(delay) from flights join planes using (tailnum) group by seats order by 1";
        let rows: Vec<(i64, i64)> = sql(query, tables).unwrap().collect().unwrap();
        assert_eq!(rows, [(55, 14), (182, 7)]);
        for (query, reason) in [
            ("select x from flights", "No field named x"),
            ("select * from flihts", "flihts"),
            ("selct 1", "selct"),
            ("create table t as select 1", "DDL"),
        ] {
            let message = sql(query, tables).unwrap_err().to_string();
            assert!(message.contains(reason), "{query}: {message}");
        }
    });
}
