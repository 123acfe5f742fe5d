//! Bad records and files are skipped, counted exactly, sampled and kept, on every executor.

use std::fs;
use std::path::PathBuf;

use holdall::files::OutputOptions;
use holdall::{BadRecords, Context, ErrorKind, InvalidUtf8, TextReader};

use crate::common::{Files, bzip2, on_every_executor, on_every_executor_and_processes, xz, zstd};

/// Writes lines with the numbers from 0, of which every seventh is bad.
fn write_numbers(files: &Files, name: &str, count: usize) -> PathBuf {
    let line = |n| match n % 7 {
        3 => format!("bad {n}\n"),
        _ => format!("{n}\n"),
    };
    files.write(name, (0..count).map(line).collect::<String>())
}

fn reader(context: &Context) -> TextReader {
    TextReader::new().context(context).partition_bytes(1_000)
}

#[test]
fn what_is_skipped_is_counted_and_sampled() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = write_numbers(&files, "a", 5_000);
        let bad = BadRecords::new("bad numbers").max_samples(3);
        let lines = reader(context).read(&path).unwrap();
        assert!(lines.partitions().unwrap() > 10);
        let numbers = lines.clone().map(str::parse::<u64>).ok_or_skip(&bad);
        assert_eq!(numbers.count().unwrap(), 5_000 - 714);
        assert_eq!(bad.count(), 714);
        let samples = bad.samples();
        let places: Vec<_> = samples
            .iter()
            .map(|sample| (sample.offset.unwrap(), sample.line.unwrap()))
            .collect();
        assert_eq!(places, [(6, 4), (24, 11), (49, 18)]);
        assert_eq!(
            samples[1].to_string(),
            format!(
                "{} line 11 byte 24: invalid digit found in string",
                path.display()
            )
        );

        // Again, with the text.
        let bad = BadRecords::new("bad numbers");
        let parsed = lines
            .clone()
            .parse_or_skip(&bad, |line| line.parse::<u64>());
        assert_eq!(parsed.sum::<u64>().unwrap(), numbers.sum::<u64>().unwrap());
        assert_eq!((bad.count(), bad.samples().len()), (714, 20));
        assert_eq!(bad.samples()[19].text.as_deref(), Some("bad 136"));
        let fields = lines.parse_fields_or_skip::<(u64,)>(',', &bad);
        assert_eq!(fields.count().unwrap(), 5_000 - 714);
        assert_eq!(bad.count(), 2 * 714);
    });
}

#[test]
fn the_limit_of_a_job_is_exact() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = write_numbers(&files, "a", 5_000);
        let lines = reader(context).read(&path).unwrap();
        for (limit, is_exceeded) in [(714, false), (713, true), (0, true)] {
            let bad = BadRecords::new("bad numbers").limit(limit);
            let numbers = lines
                .clone()
                .parse_or_skip(&bad, |line| line.parse::<u64>());
            // Each job has the whole limit.
            for _ in 0..2 {
                let counted = numbers.clone().map(|n| n % 10).distinct().count();
                match counted {
                    Ok(count) => assert!(!is_exceeded && count == 10),
                    Err(error) => {
                        assert!(is_exceeded, "{error}");
                        let message = error.to_string();
                        assert!(
                            matches!(error.kind(), ErrorKind::TooManyBadRecords { limit: l, .. } if *l == limit),
                            "{message}"
                        );
                        let expected =
                            format!("more than {limit} bad records (bad numbers), such as ");
                        assert!(message.contains(&expected), "{message}");
                    }
                }
            }
            let output = files.path("out");
            let written = numbers.write_text(&output);
            assert_eq!(written.is_err(), is_exceeded);
            assert_eq!(output.exists(), !is_exceeded);
            if output.exists() {
                fs::remove_dir_all(output).unwrap();
            }
        }
    });
}

#[test]
fn the_quarantine_has_each_record_once_in_order() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = write_numbers(&files, "a", 5_000);
        let lines = reader(context).read(&path).unwrap();
        let output = files.path("bad");
        let begin = || {
            let output = context
                .begin_output(&output, &OutputOptions::default())
                .unwrap();
            BadRecords::new("bad numbers").quarantine(output).unwrap()
        };
        let bad = begin();
        let numbers = lines
            .clone()
            .parse_or_skip(&bad, |line| line.parse::<u64>());
        assert_eq!(numbers.count().unwrap(), 5_000 - 714);
        assert!(!output.exists());
        let error = numbers.count().unwrap_err().to_string();
        assert!(error.contains("begin another quarantine"), "{error}");
        let kept = bad.finish().unwrap();
        let text: String = kept
            .iter()
            .map(|file| fs::read_to_string(file).unwrap())
            .collect();
        let texts: Vec<_> = text
            .lines()
            .map(|line| line.rsplit('\t').next().unwrap())
            .collect();
        let expected: Vec<_> = (0..5_000)
            .filter(|n| n % 7 == 3)
            .map(|n| format!("bad {n}"))
            .collect();
        assert_eq!(texts, expected);
        let first = format!(
            "{}\t6\tinvalid digit found in string\tbad 3",
            path.display()
        );
        assert_eq!(text.lines().next(), Some(&*first));
        fs::remove_dir_all(&output).unwrap();

        // Nothing is left of one that is not finished, nor of one without records.
        let bad = begin();
        let numbers = lines
            .clone()
            .parse_or_skip(&bad, |line| line.parse::<u64>());
        numbers.count().unwrap();
        drop((bad, numbers));
        let bad = begin();
        let all = lines
            .map(|line| Ok::<_, String>(line.len()))
            .ok_or_skip(&bad);
        assert_eq!(all.count().unwrap(), 5_000);
        assert!(bad.finish().unwrap().is_empty());
        assert_eq!(files.names(), ["a"]);
    });
}

#[test]
fn text_that_cannot_be_read_is_skipped_line_by_line() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let mut text = Vec::new();
        let mut expected = Vec::new();
        for n in 0..2_000 {
            match n % 100 {
                7 => text.extend(b"b\xffd\r\n"),
                8 => text.extend([&[b'x'; 50][..], b"\n"].concat()),
                9 => text.extend([&[b'y'; 41][..], b"\n"].concat()),
                _ => {
                    text.extend(format!("{n}\n").into_bytes());
                    expected.push(n.to_string());
                }
            }
        }
        text.extend([b'z'; 60]);
        let path = files.write("a", &text);
        for partition_bytes in [50, 1_000, 1 << 20] {
            let bad = BadRecords::new("bad lines").max_samples(100);
            let read = || {
                let reader = TextReader::new().context(context).max_line_bytes(40);
                reader.partition_bytes(partition_bytes).bad_records(&bad)
            };
            let lines = read().read(&path).unwrap();
            assert_eq!(lines.collect().unwrap(), expected);
            assert_eq!(bad.count(), 61, "{partition_bytes}");
            assert_eq!(lines.count().unwrap(), expected.len() as u64);
            assert_eq!(bad.count(), 122);
            let samples = bad.samples();
            assert_eq!(samples[0].line, Some(8));
            assert_eq!(samples[0].text.as_deref(), Some("b\u{fffd}d\r"));
            assert_eq!(samples[1].line, Some(9));
            assert_eq!(
                samples[1].reason,
                "the line is longer than the limit of 40 bytes"
            );
            let lines = read()
                .invalid_utf8(InvalidUtf8::Replace)
                .read(&path)
                .unwrap();
            assert_eq!(lines.count().unwrap(), expected.len() as u64 + 20);
            assert_eq!(bad.count(), 122 + 41);
        }
    });
}

#[test]
fn files_that_cannot_be_read_are_skipped() {
    on_every_executor(|context| {
        let files = Files::new();
        let text: String = (0..30_000_u64)
            .map(|n| format!("{:x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .collect();
        files.write("a", "first\n");
        files.write("gone", "second\n");
        for (name, mut packed) in [
            ("c.bz2", bzip2(text.as_bytes())),
            ("d.xz", xz(text.as_bytes())),
            ("e.zst", zstd(text.as_bytes())),
        ] {
            packed.truncate(packed.len() - 100);
            files.write(name, packed);
        }
        files.write("f.zip", b"PK\x03\x04\0\0\0\0");
        files.write("h", "last\n");
        let bad = BadRecords::new("bad files");
        let lines = reader(context)
            .bad_records(&bad)
            .read(files.root())
            .unwrap();
        let without = reader(context).read(files.root());
        assert!(without.is_err() || without.is_ok_and(|lines| lines.count().is_err()));
        fs::remove_file(files.path("gone")).unwrap();
        let lines = lines.collect().unwrap();
        assert_eq!((&*lines[0], &**lines.last().unwrap()), ("first", "last"));
        // What precedes the damage remains.
        assert!(lines.len() > 100);
        assert_eq!(bad.count(), 5);
        let reasons: Vec<_> = bad.samples().iter().map(ToString::to_string).collect();
        assert!(
            reasons.iter().any(|reason| reason.contains("gone")),
            "{reasons:?}"
        );
        assert!(
            reasons
                .iter()
                .any(|reason| reason.contains("cannot read zip files")),
            "{reasons:?}"
        );
        // One of them is no longer found.
        for (limit, is_exceeded) in [(4, false), (3, true)] {
            let bad = BadRecords::new("bad files").limit(limit);
            let lines = reader(context)
                .bad_records(&bad)
                .read(files.root())
                .unwrap();
            assert_eq!(lines.count().is_err(), is_exceeded);
        }
    });
}
