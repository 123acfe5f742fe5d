//! Runs are read as they were written, and all damage to their files is detected.

use std::fs;

use super::super::merge::{ByBytes, Merge};
use super::*;

fn scratch() -> (tempfile::TempDir, Scratch) {
    let directory = tempfile::tempdir().expect("a directory");
    let scratch = Scratch::new(Some(directory.path()), None);
    (directory, scratch)
}

fn written(file: &mut RunFile, records: &[Vec<u8>]) -> Run {
    let mut writer = file.run();
    for record in records {
        writer.append(record).expect("append");
    }
    writer.finish().expect("finish")
}

fn read(run: &Run) -> Result<Vec<Vec<u8>>> {
    let mut reader = run.reader();
    let mut records = Vec::new();
    while let Some(record) = reader.next()? {
        records.push(record.to_vec());
    }
    assert!(reader.next()?.is_none() && reader.current().is_none());
    assert_eq!(reader.records_read, run.records());
    Ok(records)
}

/// Returns records of different lengths, including empty ones and one longer than a frame.
fn records(count: usize) -> Vec<Vec<u8>> {
    let length = |n: usize| {
        if n == 7 {
            3 * FRAME_BYTES
        } else {
            n * 37 % 300
        }
    };
    (0..count)
        .map(|n| vec![(n * n % 251) as u8; length(n)])
        .collect()
}

/// A damaged report of a worker may contain such ranges.
#[test]
fn a_range_that_no_file_has_is_damaged() {
    let (_directory, scratch) = scratch();
    let mut file = RunFile::create(&scratch, "run").unwrap();
    let mut writer = file.run();
    writer.append(b"record").unwrap();
    let run = writer.finish().unwrap();
    for (offset, bytes) in [(u64::MAX - 3, 9), (9, u64::MAX - 3), (u64::MAX, u64::MAX)] {
        let run = Run::at(Arc::clone(run.file()), offset, bytes, 1);
        let error = run.reader().next().unwrap_err();
        assert!(error.is_recoverable(), "{error}");
    }
}

#[test]
fn runs_share_a_file() {
    let (_directory, scratch) = scratch();
    let mut file = RunFile::create(&scratch, "runs").unwrap();
    let all = [records(0), records(5000), records(1), records(300)];
    let runs: Vec<Run> = all
        .iter()
        .map(|records| written(&mut file, records))
        .collect();
    for pair in runs.windows(2) {
        assert_eq!(pair[0].offset() + pair[0].bytes(), pair[1].offset());
    }
    assert_eq!(file.bytes(), scratch.used_bytes());
    drop(file);
    for (run, records) in runs.iter().zip(&all) {
        assert_eq!(&read(run).unwrap(), records);
        assert_eq!(run.records(), records.len() as u64);
    }
    drop(runs);
    assert_eq!(scratch.used_bytes(), 0);
}

#[test]
fn readers_of_one_file_do_not_disturb_each_other() {
    let (_directory, scratch) = scratch();
    let run = written(
        &mut RunFile::create(&scratch, "run").unwrap(),
        &records(3000),
    );
    let expected = records(3000);
    let (mut first, mut second) = (run.reader(), run.reader());
    for record in &expected[..1500] {
        assert_eq!(first.next().unwrap(), Some(record.as_slice()));
    }
    for record in &expected {
        assert_eq!(second.next().unwrap(), Some(record.as_slice()));
    }
    assert_eq!(first.next().unwrap(), Some(expected[1500].as_slice()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(read(&run).unwrap(), expected));
        }
    });
}

#[test]
fn a_run_that_is_given_up_leaves_no_trace() {
    let (_directory, scratch) = scratch();
    let mut file = RunFile::create(&scratch, "run").unwrap();
    let mut writer = file.run();
    for record in records(5000) {
        writer.append(&record).unwrap();
    }
    let run = written(&mut file, &records(10));
    assert_eq!(read(&run).unwrap(), records(10));
}

#[test]
fn readers_hold_what_they_say() {
    let (_directory, scratch) = scratch();
    let records = vec![b"the same again and again".to_vec(); 200_000];
    let run = written(&mut RunFile::create(&scratch, "run").unwrap(), &records);
    assert!(run.bytes() < 500_000, "compressed");
    let mut reader = run.reader();
    while reader.next().unwrap().is_some() {
        assert!(reader.frames.memory_bytes() <= READER_BYTES);
    }
    assert_eq!(reader.frames.memory_bytes(), 0);
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    let (_directory, scratch) = scratch();
    let records: Vec<Vec<u8>> = (0..40_u8).map(|n| vec![n; usize::from(n) % 9]).collect();
    let run = written(&mut RunFile::create(&scratch, "run").unwrap(), &records);
    let stored = fs::read(run.path()).unwrap();
    let damaged = |bytes: &[u8]| {
        fs::write(run.path(), bytes).expect("write");
        read(&run).expect_err("damage")
    };
    for bit in 0..stored.len() * 8 {
        let mut bytes = stored.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = damaged(&bytes);
        let ErrorKind::CorruptRun {
            path, offset: 0, ..
        } = error.kind()
        else {
            panic!("{error}");
        };
        assert_eq!(path, run.path());
    }
    for length in 0..stored.len() {
        let error = damaged(&stored[..length]);
        assert!(
            matches!(error.kind(), ErrorKind::CorruptRun { .. }),
            "{error}"
        );
    }
}

#[test]
fn damage_is_named_by_the_offset_of_its_frame() {
    let (_directory, scratch) = scratch();
    let mut file = RunFile::create(&scratch, "run").unwrap();
    written(&mut file, &records(100));
    let all = records(5000);
    let run = written(&mut file, &all);
    let mut bytes = fs::read(run.path()).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(run.path(), &bytes).unwrap();
    let mut reader = run.reader();
    let mut count = 0;
    let error = loop {
        match reader.next() {
            Ok(Some(record)) => assert_eq!(record, all[count]),
            Ok(None) => panic!("damage was not found"),
            Err(error) => break error,
        }
        count += 1;
    };
    assert!(count > 0);
    let ErrorKind::CorruptRun { offset, .. } = error.kind() else {
        panic!("{error}");
    };
    assert!(*offset > run.offset() && bytes[*offset as usize..].starts_with(b"hFr"));
    assert!(
        reader.next().unwrap().is_none(),
        "at its end after an error"
    );
}

#[test]
fn missing_frames_and_records_are_found() {
    let (_directory, scratch) = scratch();
    let run = written(
        &mut RunFile::create(&scratch, "run").unwrap(),
        &records(5000),
    );
    let more = Run {
        records: run.records + 1,
        ..run.clone()
    };
    assert!(
        read(&more)
            .unwrap_err()
            .to_string()
            .contains("records are missing")
    );
    let less = Run {
        bytes: run.bytes - 1,
        ..run.clone()
    };
    read(&less).unwrap_err();
    let longer = Run {
        bytes: run.bytes + 1,
        ..run.clone()
    };
    assert!(
        read(&longer)
            .unwrap_err()
            .to_string()
            .contains("a frame is missing")
    );
    fs::remove_file(run.path()).unwrap();
    let error = read(&run).unwrap_err();
    assert!(error.is_recoverable(), "{error}");
    assert!(error.to_string().contains("the file is missing"));
}

#[test]
fn runs_merge() {
    let (_directory, scratch) = scratch();
    let mut file = RunFile::create(&scratch, "runs").unwrap();
    let word = |n: u32| format!("{n:06}").into_bytes();
    let runs: Vec<Run> = (0..6)
        .map(|start| {
            let words: Vec<_> = (start..30_000).step_by(6).map(word).collect();
            written(&mut file, &words)
        })
        .collect();
    let mut merge = Merge::by(ByBytes, runs.iter().map(Run::reader));
    for expected in 0..30_000 {
        assert_eq!(merge.next().unwrap(), Some(word(expected).as_slice()));
    }
    assert!(merge.next().unwrap().is_none());
}

/// If the disk is full or the quota is exhausted in the middle of a file, the writer returns an error, the runs before
/// it remain readable, and other runs can be written.
#[test]
fn a_failed_write_keeps_the_runs_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(Some(directory.path()), Some(600_000));
    let mut file = RunFile::create(&scratch, "runs").unwrap();
    let first = written(&mut file, &records(50));
    let mut writer = file.run();
    let mut count = 0_u64;
    let error = loop {
        let noise: Vec<u8> = (0..5000_u64)
            .map(|n| (n.wrapping_mul(count * 2 + 0x9E37_79B9_7F4A_7C15) >> 40) as u8)
            .collect();
        count += 1;
        if let Err(error) = writer.append(&noise) {
            break error;
        }
    };
    assert!(
        matches!(error.kind(), ErrorKind::QuotaExceeded { .. }),
        "{error}"
    );
    let second = written(&mut file, &records(20));
    assert_eq!(read(&first).unwrap(), records(50));
    assert_eq!(read(&second).unwrap(), records(20));
    assert_eq!(
        scratch.used_bytes(),
        fs::metadata(first.path()).unwrap().len()
    );
}
