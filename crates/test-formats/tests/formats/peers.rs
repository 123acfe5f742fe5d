//! holdall and programs written by others read each other's files. `ci/formats` installs these programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use holdall::Context;
use holdall_test_extensions::on_each_executor;
use holdall_test_formats::{Format, read_sample, row};
use serde_json::Value;
use tempfile::TempDir;

const ROWS: u32 = 1_000;

/// Samples that are refused, with a part of the reason. `apache-avro` checks names and types in schemas.
const REFUSED: [(&str, &str); 6] = [
    ("v0.17.0.version.2-compression.lz4.feather", "Arrow 0.17"),
    ("double_float.avro", "Invalid namespace"),
    ("error-type.avro", "Unknown primitive type: error"),
    ("lines.avro", "Invalid namespace"),
    ("part-00000.avro", "Invalid namespace"),
    ("test.avro", "Invalid namespace"),
];

/// Runs `peers.py` with a subdirectory of `directory` for each format.
fn peers(work: &str, directory: &Path) {
    let python = std::env::var_os("HOLDALL_PEERS_PYTHON");
    let mut command = Command::new(python.expect("HOLDALL_PEERS_PYTHON is unset: run ci/formats"));
    command.args([concat!(env!("CARGO_MANIFEST_DIR"), "/peers.py"), work]);
    let status = command.arg(directory).status().expect("python");
    assert!(status.success(), "peers.py {work}");
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = paths.collect();
    files.sort();
    files
}

#[test]
fn others_read_what_holdall_writes() {
    on_each_executor(|context| {
        let files = TempDir::new().unwrap();
        for format in Format::ALL {
            let rows = context.range_partitioned(0..ROWS, 3).map(row);
            let path = files.path().join(format.name());
            let written = format.write(&rows, &path).unwrap();
            assert_eq!(written.records, u64::from(ROWS));
        }
        peers("check", files.path());
    });
}

#[test]
fn holdall_reads_what_others_write() {
    let files = TempDir::new().unwrap();
    peers("write", files.path());
    on_each_executor(|context| {
        for format in Format::ALL {
            for path in files_in(&files.path().join(format.name())) {
                let rows = format.read(context, &path).and_then(|rows| rows.collect());
                let rows = rows.unwrap_or_else(|error| panic!("{error}"));
                assert!(
                    rows.into_iter().eq((0..ROWS).map(row)),
                    "{}",
                    path.display()
                );
            }
        }
    });
}

/// Sample files of these programs and of crates, with the records that one of the programs finds in them.
#[test]
fn sample_files_are_read() {
    let files = TempDir::new().unwrap();
    peers("samples", files.path());
    on_each_executor(|context| {
        let mut wrong = Vec::new();
        for (format, least) in [
            (Format::Csv, 70),
            (Format::Parquet, 8),
            (Format::Arrow, 6),
            (Format::Avro, 38),
        ] {
            let samples = files_in(&files.path().join(format.name()));
            assert!(samples.len() >= least, "{format:?}: {samples:?}");
            for path in samples {
                let records = files.path().join("records").join(format.name());
                let expected = fs::read(records.join(path.file_name().unwrap())).unwrap();
                let expected: Vec<Value> = serde_json::from_slice(&expected).unwrap();
                let refused = REFUSED.iter().find(|(name, _)| path.ends_with(name));
                match (difference(format, context, &path, &expected), refused) {
                    (None, None) => {}
                    (Some(error), Some((_, reason))) if error.contains(reason) => {}
                    (difference, _) => wrong.push((path, difference)),
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

/// Returns the difference between the records of a file and the expected ones, or the error of reading it.
fn difference(
    format: Format,
    context: &Context,
    path: &Path,
    expected: &[Value],
) -> Option<String> {
    let records = match read_sample(format, context, path) {
        Ok(records) if records == expected => return None,
        Ok(records) => records,
        Err(error) => return Some(error.to_string()),
    };
    let mut pairs = records.iter().zip(expected);
    let different = pairs.find(|(record, expected)| record != expected);
    let (len, expected) = (records.len(), expected.len());
    Some(format!("{len} records, not {expected}: {different:?}"))
}
