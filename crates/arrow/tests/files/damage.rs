//! Damaged files, rows of another form, changed files, and what a failed output leaves behind.

use std::fs;

use holdall::{BadRecords, Context, ErrorKind, Executor};
use holdall_arrow::{ArrowContext, ArrowReader, ArrowWriter, ParquetReader, ParquetWriter};
use holdall_test_extensions::on_each_file_system;
use serde::{Deserialize, Serialize};

use crate::{Visit, files_in, visits, writer};

#[derive(Debug, Serialize, Deserialize)]
struct Strict {
    number: u32,
    amount: f64,
}

#[test]
fn an_error_has_the_row_and_the_column() {
    on_each_file_system(|context, path| {
        writer(1_000)
            .write(&visits(context, 1_000, 1), path)
            .unwrap();
        let rows = context.read_parquet::<Strict>(path).unwrap();
        let error = rows.count().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Read { .. }), "{error}");
        let place = error.context().unwrap();
        assert_eq!(
            (place.record, place.operator),
            (Some(1), Some("read_parquet"))
        );
        assert!(error.to_string().contains("column `amount`"), "{error}");

        let bad = BadRecords::new("rows without an amount");
        let reader = ParquetReader::new().context(context).bad_records(&bad);
        let rows = reader.read::<Strict>(path).unwrap();
        assert_eq!(rows.count().unwrap(), 666);
        assert_eq!(bad.count(), 334);
        assert_eq!(bad.samples()[1].record, Some(4));
        let limited = ParquetReader::new()
            .context(context)
            .bad_records(&BadRecords::new("few").limit(3));
        let error = limited.read::<Strict>(path).unwrap().count().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::TooManyBadRecords { .. }),
            "{error}"
        );
    });
}

/// Flips each byte of a file in turn. The result is an error or the right rows.
#[test]
fn no_damage_stays_unnoticed_or_panics() {
    let files = tempfile::tempdir().unwrap();
    let context = Context::builder()
        .executor(Executor::Inline)
        .build()
        .unwrap();
    let path = files.path().join("visits");
    let written = writer(50).write(&visits(&context, 100, 1), &path).unwrap();
    let parquet = fs::read(&written.files[0]).unwrap();
    let copy = files.path().join("copy");
    let (mut read, mut refused) = (0, 0);
    for at in (0..parquet.len()).step_by(7) {
        let mut damaged = parquet.clone();
        damaged[at] ^= 0x55;
        fs::write(&copy, &damaged).unwrap();
        match context
            .read_parquet::<Visit>(&copy)
            .and_then(|visits| visits.count())
        {
            Ok(_) => read += 1,
            Err(error) => {
                assert!(error.to_string().contains("copy"), "{error}");
                refused += 1;
            }
        }
    }
    assert!(read > 0 && refused > 0);
    for len in (0..parquet.len()).step_by(101) {
        fs::write(&copy, &parquet[..len]).unwrap();
        let error = context.read_parquet::<Visit>(&copy).map(drop).unwrap_err();
        assert!(error.to_string().contains("copy"), "{error}");
    }
}

#[test]
fn bad_files_are_skipped() {
    on_each_file_system(|context, path| {
        if path.starts_with("store:") {
            return;
        }
        for is_parquet in [true, false] {
            let visits = visits(context, 1_000, 2);
            let _ = fs::remove_dir_all(path);
            let written = match is_parquet {
                true => writer(100).write(&visits, path),
                false => ArrowWriter::new().batch_rows(100).write(&visits, path),
            };
            let written = written.unwrap();
            let mut bytes = fs::read(&written.files[0]).unwrap();
            let extension = if is_parquet { "parquet" } else { "arrow" };
            fs::write(
                format!("{path}/other.{extension}"),
                b"no file of this kind, but long enough",
            )
            .unwrap();
            let len = bytes.len();
            bytes[len / 10..len / 3].fill(0xff);
            fs::write(&written.files[0], bytes).unwrap();
            let bad = BadRecords::new("bad files");
            let read = match is_parquet {
                true => {
                    let reader = ParquetReader::new().context(context).bad_records(&bad);
                    reader.read::<Visit>(path).unwrap().boxed()
                }
                false => {
                    let reader = ArrowReader::new().context(context).bad_records(&bad);
                    reader.read::<Visit>(path).unwrap().boxed()
                }
            };
            let count = read.count().unwrap();
            assert!((500..1_000).contains(&count), "{count}");
            assert!(bad.count() >= 2, "{:?}", bad.samples());
        }
    });
}

#[test]
fn a_changed_file_is_not_read() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("visits");
    let context = Context::default();
    let written = writer(50).write(&visits(&context, 100, 1), &path).unwrap();
    let read = context.read_parquet::<Visit>(&path).unwrap();
    let mut bytes = fs::read(&written.files[0]).unwrap();
    bytes.push(0);
    fs::write(&written.files[0], bytes).unwrap();
    let error = read.count().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::InputChanged { .. }),
        "{error}"
    );
}

#[test]
fn a_failed_output_leaves_nothing() {
    on_each_file_system(|context, path| {
        let failing = visits(context, 5_000, 2)
            .inspect(|visit| assert_ne!(visit.number, 4_000, "on purpose"));
        ParquetWriter::new().write(&failing, path).unwrap_err();
        ArrowWriter::new().write(&failing, path).unwrap_err();
        if !path.starts_with("store:") {
            let parent = std::path::Path::new(path).parent().unwrap();
            let left = files_in(parent);
            assert!(left.is_empty(), "{left:?}");
        }
    });
}
