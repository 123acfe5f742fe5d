//! Parquet: round trips, partitions and projection.

use holdall::{Context, ErrorKind};
use holdall_arrow::{ArrowBag, ArrowContext, Compression, ParquetReader, ParquetWriter};
use holdall_test_extensions::on_each_file_system;
use serde::Deserialize;

use crate::{Visit, visit, visits, writer};

#[test]
fn what_is_written_is_what_is_read() {
    on_each_file_system(|context, path| {
        let written = writer(300).write(&visits(context, 2_000, 3), path).unwrap();
        assert_eq!((written.records, written.files.len()), (2_000, 3));
        assert!(written.files[2].ends_with("part-00002.parquet"));
        let read = ParquetReader::new()
            .context(context)
            .read::<Visit>(path)
            .unwrap();
        // 667, 667 and 666 rows.
        assert_eq!(read.partitions(), Some(9));
        assert!(
            read.collect()
                .unwrap()
                .into_iter()
                .eq((0..2_000).map(visit))
        );
    });
}

#[test]
fn every_compression_is_read() {
    let files = tempfile::tempdir().unwrap();
    let context = Context::default();
    for compression in [
        Compression::None,
        Compression::Snappy,
        Compression::Gzip,
        Compression::Brotli,
        Compression::Lz4,
        Compression::Zstd,
    ] {
        let path = files.path().join(format!("{compression:?}"));
        let writer = ParquetWriter::new().compression(compression);
        writer.write(&visits(&context, 1_000, 1), &path).unwrap();
        let read = context.read_parquet::<Visit>(&path).unwrap();
        assert!(
            read.collect()
                .unwrap()
                .into_iter()
                .eq((0..1_000).map(visit)),
            "{compression:?}"
        );
    }
}

#[derive(Deserialize)]
struct Number {
    number: u64,
    #[serde(default)]
    missing: Option<String>,
}

/// Returns the number of bytes that the last job has read.
fn bytes_read(context: &Context) -> u64 {
    let job = context.last_job().unwrap();
    job.stages.iter().map(|stage| stage.input_bytes).sum()
}

#[test]
fn only_the_columns_of_the_type_are_read() {
    on_each_file_system(|context, path| {
        writer(25_000)
            .write(&visits(context, 50_000, 1), path)
            .unwrap();
        let numbers = context.read_parquet::<Number>(path).unwrap();
        let sum = numbers.inspect(|number| assert!(number.missing.is_none()));
        assert_eq!(
            sum.map(|number| number.number).sum::<u64>().unwrap(),
            1_249_975_000
        );
        let few = bytes_read(context);
        assert_eq!(
            context
                .read_parquet::<Visit>(path)
                .unwrap()
                .count()
                .unwrap(),
            50_000
        );
        let all = bytes_read(context);
        assert!(few + 100_000 < all, "{few} of {all}");
        let firsts = context.read_parquet::<(u32, String)>(path).unwrap();
        assert_eq!(firsts.first().unwrap(), Some((0, "user 0é".to_owned())));
    });
}

#[test]
fn a_bag_without_records_is_a_file_without_rows() {
    on_each_file_system(|context, path| {
        for partitions in [0, 2] {
            let none = context.range_partitioned(0..u32::try_from(partitions).unwrap(), partitions);
            let none = none.map(visit).filter(|_| false);
            let written = writer(10).write(&none, path).unwrap();
            assert_eq!(
                (written.records, written.files.len()),
                (0, partitions.max(1))
            );
            assert_eq!(
                context
                    .read_parquet::<Visit>(path)
                    .unwrap()
                    .count()
                    .unwrap(),
                0
            );
        }
    });
}

#[test]
fn an_output_is_not_replaced_unless_requested() {
    on_each_file_system(|context, path| {
        visits(context, 10, 1).write_parquet(path).unwrap();
        let error = visits(context, 10, 1).write_parquet(path).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::OutputExists { .. }),
            "{error}"
        );
        let overwrite = ParquetWriter::new().overwrite(true);
        overwrite.write(&visits(context, 5, 1), path).unwrap();
        assert_eq!(
            context
                .read_parquet::<Visit>(path)
                .unwrap()
                .count()
                .unwrap(),
            5
        );
    });
}
