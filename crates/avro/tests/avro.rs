//! Avro files on every executor and file system: what is read, and what can go wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use apache_avro::AvroSchema;
use holdall::{BadRecords, Bag, Context, ErrorKind, Executor, Pipeline};
use holdall_avro::{AvroBag, AvroContext, AvroReader, AvroWriter, Codec};
use holdall_test_extensions::on_each_file_system;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

/// Entry point of worker processes.
#[test]
fn holdall_worker() {
    holdall::init();
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
enum Kind {
    Small,
    Large,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
struct Visit {
    number: i32,
    user: String,
    amount: Option<f64>,
    kind: Kind,
    tags: Vec<String>,
    map: std::collections::HashMap<String, i64>,
}

fn visit(number: i32) -> Visit {
    Visit {
        number,
        user: format!("user {}é", number % 100),
        amount: (number % 3 != 0).then_some(f64::from(number) / 4.0),
        kind: if number % 2 == 0 {
            Kind::Small
        } else {
            Kind::Large
        },
        tags: (0..number % 3).map(|n| n.to_string()).collect(),
        map: (number % 5 == 0)
            .then(|| ("n".to_owned(), i64::from(number)))
            .into_iter()
            .collect(),
    }
}

fn visits(
    context: &Context,
    count: u32,
    partitions: usize,
) -> Bag<Visit, impl Pipeline<Out = Visit> + use<>> {
    let numbers = context.range_partitioned(0..count, partitions);
    numbers.map(|number| visit(number.cast_signed()))
}

#[test]
fn what_is_written_is_what_is_read() {
    on_each_file_system(|context, path| {
        let written = visits(context, 5_000, 3).write_avro(path).unwrap();
        assert_eq!((written.records, written.files.len()), (5_000, 3));
        assert!(written.files[2].ends_with("part-00002.avro"));
        let error = visits(context, 5, 1).write_avro(path).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::OutputExists { .. }),
            "{error}"
        );
        // Cuts at many places, most of them within blocks.
        for partition_bytes in [100, 1_000, 7_777, 1 << 20] {
            let reader = AvroReader::new()
                .context(context)
                .partition_bytes(partition_bytes);
            let read = reader.read::<Visit>(path).unwrap();
            assert!(
                read.collect()
                    .unwrap()
                    .into_iter()
                    .eq((0..5_000).map(visit)),
                "{partition_bytes}"
            );
        }
    });
}

#[test]
fn every_codec_is_read() {
    let files = TempDir::new().unwrap();
    for codec in [
        Codec::Null,
        Codec::Deflate,
        Codec::Snappy,
        Codec::Zstandard,
        Codec::Bzip2,
        Codec::Xz,
    ] {
        let path = files.path().join(format!("{codec:?}"));
        let visits = visits(&Context::default(), 3_000, 1);
        AvroWriter::new()
            .compression(codec)
            .write(&visits, &path)
            .unwrap();
        let reader = AvroReader::new().partition_bytes(5_000);
        let read = reader.read::<Visit>(&path).unwrap();
        assert!(read.partitions().unwrap() > 1 || codec == Codec::Xz);
        assert!(
            read.collect()
                .unwrap()
                .into_iter()
                .eq((0..3_000).map(visit)),
            "{codec:?}"
        );
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Part {
    user: String,
    #[serde(default)]
    missing: Option<u32>,
    number: i64,
}

#[test]
fn only_the_fields_of_the_type_are_read() {
    on_each_file_system(|context, path| {
        visits(context, 100, 1).write_avro(path).unwrap();
        let read = context.read_avro::<Part>(path).unwrap().collect().unwrap();
        let expected = (0..100).map(visit).map(|visit| Part {
            user: visit.user,
            missing: None,
            number: visit.number.into(),
        });
        assert!(read.into_iter().eq(expected));
    });
}

#[test]
fn a_given_schema_is_written() {
    let files = TempDir::new().unwrap();
    let path = files.path().join("pairs");
    let schema = r#"{"type": "map", "values": "long"}"#;
    let maps = holdall::range(0..3_i64).map(|n| BTreeMap::from([("n".to_owned(), n)]));
    AvroWriter::new()
        .write_with_schema(&maps, schema, &path)
        .unwrap();
    let read = Context::default()
        .read_avro::<BTreeMap<String, i64>>(&path)
        .unwrap();
    assert_eq!(read.collect().unwrap(), maps.collect().unwrap());
    let error = AvroWriter::new().write_with_schema(&maps, "{", files.path().join("x"));
    error.unwrap_err();
    let wrong = AvroWriter::new().write_with_schema(&maps, r#""string""#, files.path().join("y"));
    let error = wrong.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Write { .. }), "{error}");
    assert_eq!(files.path().read_dir().unwrap().count(), 1);
}

#[test]
fn small_files_share_a_partition_and_empty_bags_are_files() {
    let files = TempDir::new().unwrap();
    let path = files.path().join("visits");
    let context = Context::default();
    visits(&context, 100, 50).write_avro(&path).unwrap();
    let read = context.read_avro::<Visit>(&path).unwrap();
    assert!(read.partitions().unwrap() < 5);
    assert!(read.collect().unwrap().into_iter().eq((0..100).map(visit)));
    let overwrite = AvroWriter::new().overwrite(true);
    for partitions in [0, 2] {
        let none = visits(&context, u32::try_from(partitions).unwrap(), partitions);
        let written = overwrite.write(&none.filter(|_| false), &path).unwrap();
        assert_eq!(
            (written.records, written.files.len()),
            (0, partitions.max(1))
        );
        assert_eq!(
            context.read_avro::<Visit>(&path).unwrap().count().unwrap(),
            0
        );
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Strict {
    amount: f64,
}

#[test]
fn records_of_another_form_are_errors_or_skipped() {
    on_each_file_system(|context, path| {
        visits(context, 999, 1).write_avro(path).unwrap();
        let error = context
            .read_avro::<Strict>(path)
            .unwrap()
            .count()
            .unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Read { .. }), "{error}");
        assert!(error.context().unwrap().offset.is_some(), "{error}");
        let bad = BadRecords::new("visits without an amount");
        let reader = AvroReader::new().context(context).bad_records(&bad);
        let amounts = reader.read::<Strict>(path).unwrap();
        assert_eq!((amounts.count().unwrap(), bad.count()), (666, 333));
    });
}

fn write_damaged(path: &Path, bytes: &[u8], at: usize) {
    let mut damaged = bytes.to_vec();
    damaged[at] ^= 0x55;
    fs::write(path, damaged).expect("room for a file");
}

#[test]
fn damage_is_an_error_or_a_skipped_block() {
    let files = TempDir::new().unwrap();
    let context = Context::builder()
        .executor(Executor::Inline)
        .build()
        .unwrap();
    let path = files.path().join("visits");
    let writer = AvroWriter::new().compression(Codec::Snappy);
    let written = writer.write(&visits(&context, 20_000, 1), &path).unwrap();
    let bytes = fs::read(&written.files[0]).unwrap();
    let copy = files.path().join("copy");
    for at in (0..bytes.len()).step_by(bytes.len() / 50) {
        write_damaged(&copy, &bytes, at);
        let read = context.read_avro::<Visit>(&copy).unwrap();
        match read.collect() {
            // A change of compressed data may have no effect.
            Ok(visits) => {
                assert!(visits.into_iter().eq((0..20_000).map(visit)), "{at}");
                continue;
            }
            Err(error) => assert!(error.to_string().contains("copy"), "{error}"),
        }
        let bad = BadRecords::new("bad blocks");
        let reader = AvroReader::new().context(&context).bad_records(&bad);
        let read = reader.read::<Visit>(&copy).unwrap().count().unwrap();
        assert!(bad.count() > 0);
        assert!(
            at < 1_000 || read > 10_000,
            "{at} {read} {:?}",
            bad.samples()
        );
    }
    for len in [0, 3, 10, 500, bytes.len() - 1] {
        fs::write(&copy, &bytes[..len]).unwrap();
        let read = context.read_avro::<Visit>(&copy).unwrap();
        read.count().expect_err("it is cut");
    }
}
