//! Reading of files: order, types, and errors that name the file.

use std::fs;
use std::io::Write;

use holdall::files::OutputOptions;
use holdall::{Compression, Context, ErrorKind};
use holdall_frame::datafusion::arrow::datatypes::{DataType, TimeUnit};
use holdall_frame::{CsvReader, ParquetReader, col, lit};

use super::{Files, on_every_executor, read_csv};

#[test]
fn rows_are_in_the_order_of_the_files() {
    let files = Files::new();
    for part in 0..3 {
        let rows = (0..15_000).map(|row| format!("{part},{row},some text to make it long\n"));
        let text = "part,row,text\n".to_owned() + &rows.collect::<String>();
        files.write(&format!("{part}.csv"), &text);
    }
    on_every_executor(|context| {
        let frame = read_csv(context, files.path("*.csv"));
        let rows: Vec<(i64, i64)> = frame.collect().unwrap();
        let expected = (0..3).flat_map(|part| (0..15_000).map(move |row| (part, row)));
        assert!(rows.into_iter().eq(expected));
        let evens = frame.filter((col("row") % lit(2)).eq(lit(0))).unwrap();
        let evens = evens.select([col("row") + lit(1)]).unwrap();
        let rows: Vec<(i64,)> = evens.collect().unwrap();
        let expected = (0..3).flat_map(|_| (0..15_000).step_by(2).map(|row| (row + 1,)));
        assert!(rows.into_iter().eq(expected));
    });
}

#[test]
fn types_fit_the_heads_of_all_files() {
    let files = Files::new();
    files.write("1.csv", "number,mixed,time,none,text\n1,1,2013-01-01,,a\n");
    files.write(
        "2.csv",
        "number,mixed,time,none,text\n,2.5,2013-01-01T10:00:00Z,,\n",
    );
    let frame = read_csv(&Context::default(), files.path("*.csv"));
    let schema = frame.schema();
    let types: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| field.data_type())
        .collect();
    let time = DataType::Timestamp(TimeUnit::Second, None);
    let (text, float) = (DataType::Utf8, DataType::Float64);
    assert_eq!(types, [&DataType::Int64, &float, &time, &text, &text]);
    let rows: Vec<(Option<i64>, f64)> = frame.collect().unwrap();
    assert_eq!(rows, [(Some(1), 1.0), (None, 2.5)]);
}

#[test]
fn a_file_with_other_columns_is_refused_with_its_name() {
    let files = Files::new();
    files.write("1.csv", "a,b\n1,2\n");
    for (text, reason) in [
        (
            "a,c\n1,2\n",
            "column 2 is `c`, but that of the first file is `b`",
        ),
        ("a\n1\n", "it has 1 columns, but the first file has 2"),
        (
            "a,b,c\n1,2,3\n",
            "it has 3 columns, but the first file has 2",
        ),
    ] {
        let path = files.write("2.csv", text);
        let error = CsvReader::new().read(files.path("*.csv")).unwrap_err();
        assert_eq!(error.to_string(), format!("{path:?}: {reason}"));
    }
}

#[test]
fn texts_are_nulls_if_the_reader_is_told() {
    let files = Files::new();
    let path = files.write("a.csv", "n;name\n1;NA\nNA;b\n;N/A\n");
    let reader = CsvReader::new().delimiter(b';').nulls(["NA", "N/A"]);
    let rows: Vec<(Option<i64>, Option<String>)> = reader.read(&path).unwrap().collect().unwrap();
    assert_eq!(
        rows,
        [(Some(1), None), (None, Some("b".to_owned())), (None, None)]
    );
}

#[test]
fn fields_in_quotes_may_have_line_ends() {
    let files = Files::new();
    let path = files.write("a.csv", "n,text\n1,\"one\ntwo\"\n2,three\n");
    let reader = CsvReader::new().line_ends_in_quotes(true);
    let rows: Vec<(i64, String)> = reader.read(&path).unwrap().collect().unwrap();
    assert_eq!(rows, [(1, "one\ntwo".to_owned()), (2, "three".to_owned())]);
}

#[test]
fn files_without_a_header_have_numbered_columns() {
    let files = Files::new();
    let path = files.write("a.csv", "1,a\n2,b\n");
    let frame = CsvReader::new().has_headers(false).read(&path).unwrap();
    assert_eq!(frame.schema().field(1).name(), "column_2");
    assert_eq!(frame.count().unwrap(), 2);
}

#[test]
fn a_value_that_does_not_fit_is_an_error_with_the_file_and_the_line() {
    let files = Files::new();
    files.write("1.csv", "n\n1\n2\n");
    let rows: String = (0..1_500).map(|n| format!("{n}\n")).collect();
    let path = files.write("2.csv", &format!("n\n{rows}none\n"));
    on_every_executor(|context| {
        let error = read_csv(context, files.path("*.csv"))
            .batches()
            .unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Engine { .. }), "{error}");
        let message = error.to_string();
        assert!(
            message.starts_with("the job failed in batches at "),
            "{message}"
        );
        assert!(message.contains(&format!("{path:?}")), "{message}");
        assert!(
            message.contains("'none'") && message.contains("at line 1502"),
            "{message}"
        );
    });
}

#[test]
fn the_line_is_also_known_in_the_middle_of_a_file() {
    let files = Files::new();
    let mut rows: Vec<_> = (0..150_000).map(|n| format!("{n:08}\n")).collect();
    rows[140_000] = "none\n".to_owned();
    let path = files.write("1.csv", &format!("n\n{}", rows.concat()));
    let error = read_csv(&Context::default(), &path).batches().unwrap_err();
    assert!(error.to_string().contains("at line 140002"), "{error}");
}

/// Writes a part of the numbers from 0 to 90,000, compressed.
fn compressed_numbers(files: &Files, part: usize, compression: Compression) -> std::path::PathBuf {
    let path = files.path(&format!("{part}.csv"));
    let options = OutputOptions::default().compression(compression);
    let numbers = (part * 30_000..(part + 1) * 30_000).map(|n| format!("{n}\n"));
    let text = "n\n".to_owned() + &numbers.collect::<String>();
    let file = Context::default().create_file(&path, &options);
    let mut file = file.expect("the file can be created");
    file.write_all(text.as_bytes()).expect("it can be written");
    file.commit().expect("it can be committed");
    path
}

#[test]
fn files_may_be_compressed() {
    let files = Files::new();
    let rows: String = (0..30_000).map(|n| format!("{n}\n")).collect();
    files.write("0.csv", &format!("n\n{rows}"));
    let gzip = compressed_numbers(&files, 1, Compression::Gzip);
    compressed_numbers(&files, 2, Compression::Zstd);
    on_every_executor(|context| {
        let frame = read_csv(context, files.path("*.csv"));
        let numbers = frame.collect::<(usize,)>().unwrap().into_iter();
        assert!(numbers.eq((0..90_000).map(|n| (n,))));
        let sizes = ["0.csv", "1.csv", "2.csv"].map(|name| fs::metadata(files.path(name)));
        let bytes: u64 = sizes.map(|metadata| metadata.unwrap().len()).iter().sum();
        assert_eq!(context.last_job().unwrap().stages[0].input_bytes, bytes);
        let indexed = frame.with_sorted_index("n").unwrap();
        assert_eq!(
            indexed.between(29_990, 30_009).unwrap().count().unwrap(),
            20
        );
    });
    let whole = fs::read(&gzip).unwrap();
    fs::write(&gzip, &whole[..whole.len() / 2]).unwrap();
    let cut = read_csv(&Context::default(), &gzip);
    let message = cut.count().unwrap_err().to_string();
    assert!(
        message.contains(gzip.to_str().unwrap()) && message.contains("the gzip data is cut short"),
        "{message}"
    );
}

#[test]
fn a_file_that_is_gone_or_changed_is_an_error_with_its_name() {
    let files = Files::new();
    let path = files.write("a.csv", "n\n1\n");
    on_every_executor(|context| {
        files.write("a.csv", "n\n1\n");
        let frame = read_csv(context, &path);
        files.write("a.csv", "n\n1\n2\n");
        let kind = frame.count().unwrap_err().into_kind();
        assert!(matches!(kind, ErrorKind::InputChanged { path: changed, .. } if changed == path));
        fs::remove_file(&path).unwrap();
        let kind = frame.count().unwrap_err().into_kind();
        assert!(matches!(kind, ErrorKind::Io { path: gone, .. } if gone == path));
    });
    let kind = CsvReader::new()
        .read(files.path("*.csv"))
        .unwrap_err()
        .into_kind();
    assert!(matches!(kind, ErrorKind::NoInput { .. }));
}

#[test]
fn parquet_keeps_values_and_types() {
    let files = Files::new();
    let days = files.days(2, 100);
    on_every_executor(|context| {
        let frame = read_csv(context, &days);
        let path = files.path("out");
        let written = frame.write_parquet(&path).unwrap();
        assert_eq!(written.records, 200);
        let read = ParquetReader::new().context(context).read(&path).unwrap();
        type Row = (String, String, i64);
        let (expected, rows): (Vec<Row>, Vec<Row>) =
            (frame.collect().unwrap(), read.collect().unwrap());
        assert_eq!(rows, expected);
        fs::remove_dir_all(&path).unwrap();
    });
}

#[test]
fn what_is_no_parquet_or_has_other_columns_is_refused_with_its_name() {
    let files = Files::new();
    let path = files.write("a.parquet", "PAR1 but no more");
    let message = ParquetReader::new().read(&path).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{path:?}: ")), "{message}");

    let context = Context::default();
    read_csv(&context, files.write("1.csv", "a\n1\n"))
        .write_parquet(files.path("x"))
        .unwrap();
    read_csv(&context, files.write("2.csv", "a\ntext\n"))
        .write_parquet(files.path("y"))
        .unwrap();
    let paths = [files.path("x"), files.path("y")];
    let message = ParquetReader::new().read(&paths).unwrap_err().to_string();
    let path = files.path("y").join("part-00000.parquet");
    assert!(
        message.starts_with(&format!("{path:?}: column `a` has the type ")),
        "{message}"
    );
}
