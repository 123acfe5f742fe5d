//! Arrow IPC: round trips, partitions, compression, and streams.

use std::fs;
use std::sync::Arc;

use arrow_array::{DictionaryArray, RecordBatch, UInt32Array, types::Int32Type};
use arrow_ipc::writer::{FileWriter, StreamWriter};
use holdall::Context;
use holdall_arrow::{ArrowBag, ArrowContext, ArrowReader, ArrowWriter, BatchCompression};
use holdall_test_extensions::on_each_file_system;

use crate::{Visit, visit, visits};

#[test]
fn what_is_written_is_what_is_read() {
    on_each_file_system(|context, path| {
        let writer = ArrowWriter::new().batch_rows(300);
        let written = writer.write(&visits(context, 2_000, 3), path).unwrap();
        assert_eq!((written.records, written.files.len()), (2_000, 3));
        assert!(written.files[2].ends_with("part-00002.arrow"));
        let read = ArrowReader::new()
            .context(context)
            .read::<Visit>(path)
            .unwrap();
        assert_eq!(read.partitions(), Some(9));
        assert!(
            read.collect()
                .unwrap()
                .into_iter()
                .eq((0..2_000).map(visit))
        );
        let numbers = context.read_arrow::<(u32,)>(path).unwrap();
        assert!(
            numbers
                .map(|(number,)| number)
                .collect()
                .unwrap()
                .into_iter()
                .eq(0..2_000)
        );
    });
}

#[test]
fn every_compression_is_read() {
    let files = tempfile::tempdir().unwrap();
    for compression in [BatchCompression::Lz4, BatchCompression::Zstd] {
        let path = files.path().join(format!("{compression:?}"));
        let visits = visits(&Context::default(), 5_000, 1);
        ArrowWriter::new()
            .compression(compression)
            .write(&visits, &path)
            .unwrap();
        let read = Context::default().read_arrow::<Visit>(&path).unwrap();
        assert!(
            read.collect()
                .unwrap()
                .into_iter()
                .eq((0..5_000).map(visit))
        );
    }
}

#[test]
fn a_bag_without_records_is_a_file_without_rows() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("none");
    let written = visits(&Context::default(), 0, 0)
        .write_arrow(&path)
        .unwrap();
    assert_eq!((written.records, written.files.len()), (0, 1));
    assert_eq!(
        Context::default()
            .read_arrow::<Visit>(&path)
            .unwrap()
            .count()
            .unwrap(),
        0
    );
}

/// Files of other programs have dictionaries, and streams have no footer.
#[test]
fn dictionaries_and_streams_are_read() {
    let files = tempfile::tempdir().unwrap();
    let names: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
    let numbers = UInt32Array::from(vec![1, 2, 3]);
    let columns = [
        ("name", Arc::new(names) as _),
        ("number", Arc::new(numbers) as _),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let (mut file, mut stream) = (Vec::new(), Vec::new());
    let mut writer = FileWriter::try_new(&mut file, batch.schema_ref()).unwrap();
    writer.write(&batch).unwrap();
    writer.write(&batch.slice(1, 2)).unwrap();
    writer.finish().unwrap();
    drop(writer);
    let mut writer = StreamWriter::try_new(&mut stream, batch.schema_ref()).unwrap();
    writer.write(&batch).unwrap();
    writer.write(&batch.slice(1, 2)).unwrap();
    writer.finish().unwrap();
    drop(writer);
    let expected = [("a", 1), ("b", 2), ("a", 3), ("b", 2), ("a", 3)];
    let expected = expected.map(|(name, number)| (name.to_owned(), number));
    for (name, bytes, partitions) in [("file", file, 2), ("stream", stream, 1)] {
        let path = files.path().join(name);
        fs::write(&path, bytes).unwrap();
        let rows = Context::default()
            .read_arrow::<(String, u32)>(&path)
            .unwrap();
        assert_eq!(rows.partitions(), Some(partitions));
        assert_eq!(rows.collect().unwrap(), expected);
    }
}
