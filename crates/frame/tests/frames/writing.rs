//! Writing of frames.

use std::fs;

use holdall::{Context, ErrorKind};
use holdall_frame::{FrameWriter, ParquetReader, col, lit};

use super::{Files, on_every_executor, read_csv};

#[test]
fn the_files_have_the_rows_in_their_order() {
    let files = Files::new();
    let rows = (0..40_000).map(|row| format!("{row},some text to make it long\n"));
    let path = files.write(
        "a.csv",
        &("row,text\n".to_owned() + &rows.collect::<String>()),
    );
    on_every_executor(|context| {
        let frame = read_csv(context, &path);
        let out = files.path("out");
        let written = frame.write_csv(&out).unwrap();
        assert_eq!(written.records, 40_000);
        let bytes = written
            .files
            .iter()
            .map(|file| fs::metadata(file).unwrap().len());
        assert_eq!(written.bytes, bytes.sum::<u64>());
        let rows: Vec<(i64,)> = read_csv(context, &out).collect().unwrap();
        assert!(rows.len() == 40_000 && rows.is_sorted());
        fs::remove_dir_all(&out).unwrap();
    });
}

#[test]
fn a_failed_job_writes_nothing() {
    let files = Files::new();
    let rows = (0..50_000).map(|row| format!("{},text to make it long\n", 49_999 - row));
    let path = files.write(
        "a.csv",
        &("n,text\n".to_owned() + &rows.collect::<String>()),
    );
    on_every_executor(|context| {
        let frame = read_csv(context, &path)
            .select([lit(1) / col("n")])
            .unwrap();
        let message = frame
            .write_parquet(files.path("out"))
            .unwrap_err()
            .to_string();
        assert!(message.contains("Divide by zero"), "{message}");
        let names = fs::read_dir(files.path(".")).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a.csv"]);
    });
}

#[test]
fn an_output_is_replaced_only_if_asked() {
    let files = Files::new();
    let frame = read_csv(&Context::default(), files.write("a.csv", "n\n1\n2\n"));
    let out = files.path("out");
    frame.write_csv(&out).unwrap();
    let error = frame.write_csv(&out).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::OutputExists { .. }),
        "{error}"
    );
    let writer = FrameWriter::new().overwrite(true);
    writer.write_csv(&frame.limit(1).unwrap(), &out).unwrap();
    assert_eq!(
        fs::read_to_string(out.join("part-00000.csv")).unwrap(),
        "n\n1\n"
    );
}

#[test]
fn a_frame_without_rows_has_a_file_with_its_columns() {
    let files = Files::new();
    let context = Context::default();
    let frame = read_csv(&context, files.write("a.csv", "n,text\n1,a\n"));
    let none = frame.filter(col("n").gt(lit(1))).unwrap();
    none.write_csv(files.path("csv")).unwrap();
    let text = fs::read_to_string(files.path("csv").join("part-00000.csv")).unwrap();
    assert_eq!(text, "n,text\n");
    none.write_parquet(files.path("parquet")).unwrap();
    let read = ParquetReader::new().read(files.path("parquet")).unwrap();
    assert_eq!(
        (read.count().unwrap(), read.schema().fields().len()),
        (0, 2)
    );
}
