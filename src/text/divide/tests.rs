//! Tests of cutting and packing files.

use std::fs;
use std::path::Path;

use super::*;

const MIB: u64 = 1 << 20;

/// Returns files that need not exist, because they are not opened.
fn small_files(count: u64, bytes: u64) -> Vec<InputFile> {
    (0..count)
        .map(|n| file(Path::new(&format!("small-{n:06}")), bytes))
        .collect()
}

fn file(path: &Path, bytes: u64) -> InputFile {
    InputFile::local(path, bytes)
}

/// Creates a large sparse file. Only its ends are read.
fn large_file(directory: &Path, name: &str, magic: &[u8], bytes: u64) -> InputFile {
    let path = directory.join(name);
    fs::write(&path, magic).unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(bytes)
        .unwrap();
    file(&path, bytes)
}

fn plan_of(files: &[InputFile]) -> Vec<Portion> {
    let portions = plan(files, &TextOptions::default()).unwrap();
    assert_eq!(
        covered(&portions),
        files
            .iter()
            .map(|file| file.path.clone())
            .collect::<Vec<_>>()
    );
    portions
}

/// Returns the paths in order. Asserts that the ranges of each have no gaps.
fn covered(portions: &[Portion]) -> Vec<Arc<Path>> {
    let mut paths: Vec<Arc<Path>> = Vec::new();
    let mut end = u64::MAX;
    for portion in portions {
        let splits = match portion {
            Portion::Split(split) => vec![split.clone()],
            Portion::Pack(splits) => splits.clone(),
            Portion::Stream(split) => vec![split.clone()],
        };
        for split in splits {
            if split.start == 0 {
                assert_eq!(end, u64::MAX, "the file before is read to its end");
                paths.push(split.path);
            } else {
                assert_eq!(split.start, end);
                assert_eq!(paths.last(), Some(&split.path));
            }
            end = split.end;
        }
    }
    assert_eq!(end, u64::MAX);
    paths
}

#[test]
fn small_files_are_packed() {
    let portions = plan_of(&small_files(20_000, 1_000));
    assert!((250..=350).contains(&portions.len()), "{}", portions.len());
    let portions = plan_of(&small_files(100_000, 0));
    assert!((250..=350).contains(&portions.len()), "{}", portions.len());
    assert_eq!(plan_of(&small_files(3, 10)).len(), 1);
    assert_eq!(plan_of(&[]).len(), 0);
}

#[test]
fn a_large_file_is_cut_evenly() {
    let directory = tempfile::tempdir().unwrap();
    for (bytes, ranges) in [
        (MIB, 1),
        (MIB + 1, 2),
        (1_000 * MIB + 7, 257),
        (1 << 40, 16_384),
    ] {
        let portions = plan_of(&[large_file(directory.path(), "large", b"text", bytes)]);
        assert!(
            portions.len().abs_diff(ranges) <= 1,
            "{bytes}: {}",
            portions.len()
        );
        let sizes: Vec<u64> = portions
            .iter()
            .map(|portion| match portion {
                Portion::Split(split) => split.expected_bytes,
                Portion::Pack(splits) => splits[0].expected_bytes,
                Portion::Stream(_) => panic!("not compressed"),
            })
            .collect();
        assert_eq!(sizes.iter().sum::<u64>(), bytes);
        assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
    }
}

#[test]
fn order_is_kept_between_large_and_small() {
    let directory = tempfile::tempdir().unwrap();
    let mut files = small_files(3, 100);
    files.insert(1, large_file(directory.path(), "large", b"text", 3 * MIB));
    let portions = plan_of(&files);
    assert_eq!(portions.len(), 5);
    assert!(matches!(&portions[4], Portion::Pack(splits) if splits.len() == 2));
}

#[test]
fn a_large_gzip_file_is_streamed_if_it_is_much_of_the_input() {
    let directory = tempfile::tempdir().unwrap();
    let gzip = |name: &str, bytes| large_file(directory.path(), name, b"\x1f\x8b\x08", bytes);
    let alone = [gzip("alone", 5 * MIB)];
    assert_eq!(plan_of(&alone), [Portion::Stream((&alone[0]).into())]);
    let small = [gzip("small", 2 * MIB)];
    assert!(matches!(&plan_of(&small)[..], [Portion::Pack(splits)] if splits.len() == 1));
    let many: Vec<_> = (0..9)
        .map(|n| gzip(&format!("many-{n}"), 5 * MIB))
        .collect();
    let portions = plan_of(&many);
    assert_eq!(portions.len(), 9);
    assert!(
        portions
            .iter()
            .all(|portion| matches!(portion, Portion::Pack(_)))
    );
    // A requested size does not determine which files are streamed.
    let options = TextOptions {
        split_bytes: Some(100 * MIB),
        ..TextOptions::default()
    };
    assert!(matches!(
        plan(&alone, &options).unwrap()[..],
        [Portion::Stream(_)]
    ));
}

#[test]
fn a_delimiter_that_overlaps_itself_prevents_cuts() {
    let directory = tempfile::tempdir().unwrap();
    let files = [large_file(directory.path(), "large", b"text", 3 * MIB)];
    let options = TextOptions {
        delimiter: b"\n\n".to_vec(),
        ..TextOptions::default()
    };
    assert_eq!(plan(&files, &options).unwrap().len(), 1);
}

#[test]
fn a_wished_size_is_met() {
    let directory = tempfile::tempdir().unwrap();
    let files = [large_file(directory.path(), "large", b"text", 1_000)];
    let options = TextOptions {
        split_bytes: Some(300),
        ..TextOptions::default()
    };
    assert_eq!(plan(&files, &options).unwrap().len(), 4);
}

#[test]
fn streams_stand_alone_and_are_not_opened() {
    let mut files = small_files(3, 0);
    files[1].is_stream = true;
    assert_eq!(plan_of(&files).len(), 3);
}

#[test]
fn what_cannot_be_read_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let files = [large_file(
        directory.path(),
        "large",
        b"PK\x03\x04",
        3 * MIB,
    )];
    assert!(
        plan(&files, &TextOptions::default())
            .unwrap_err()
            .to_string()
            .contains("zip")
    );
}
