//! Tests each rule of text, with files that are cut at every position, and with buffers of every awkward size.

use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tempfile::TempDir;

use super::*;
use crate::error::Result;
use crate::text::source::{FileLayout, inspect_local};
use crate::text::{InvalidUtf8, for_each_byte_line};

/// Records with their offsets.
type Records = Vec<(u64, Vec<u8>)>;

struct Fixture {
    _directory: TempDir,
    path: PathBuf,
    options: TextOptions,
}

impl Fixture {
    fn new(content: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        fs::write(&path, content).unwrap();
        Self {
            _directory: directory,
            path,
            options: TextOptions::default(),
        }
    }

    fn delimited(content: &[u8], delimiter: &[u8]) -> Self {
        let mut fixture = Self::new(content);
        fixture.options.delimiter = delimiter.to_vec();
        fixture
    }

    /// Returns the records of `start..end`, read through a buffer of `block_bytes`.
    fn read(&self, start: u64, end: u64, block_bytes: usize) -> Result<Records> {
        self.read_with(&mut None, start, end, block_bytes)
    }

    /// Like [`read`](Self::read), with a reader that has read other splits, and that is kept for the next one.
    fn read_with(
        &self,
        last: &mut Option<Box<TextBlockReader>>,
        start: u64,
        end: u64,
        block_bytes: usize,
    ) -> Result<Records> {
        let path = self.path.as_path().into();
        let version = match inspect_local(&self.path, &self.options, 1) {
            Ok(FileLayout::Plain(version)) => version,
            _ => None,
        };
        let expected_bytes = end - start;
        let split = Split {
            path,
            start,
            end,
            expected_bytes,
            version,
            planned: None,
            listed: None,
            units: None,
        };
        let delimiter = Delimiter::new(&self.options.delimiter);
        let reader = TextBlockReader::open(&split, &self.options, block_bytes, last.take())?;
        let reader = last.insert(reader);
        let mut records = Vec::new();
        while let Some(block) = reader.next_block()? {
            assert!(!block.bytes.is_empty());
            let _ = for_each_byte_line(block.bytes, &delimiter, |line| {
                let in_block = line.as_ptr().addr() - block.bytes.as_ptr().addr();
                records.push((block.offset + in_block as u64, line.to_vec()));
                ControlFlow::Continue(())
            });
        }
        assert_eq!(reader.next_block()?, None);
        Ok(records)
    }

    /// Asserts that the whole file, and its parts for every two positions to cut it at, have the `expected` records.
    fn assert_records(&self, expected: &Records) {
        let len = fs::metadata(&self.path).unwrap().len();
        for block_bytes in [1, 5, 16, 4096] {
            assert_eq!(&self.read(0, u64::MAX, block_bytes).unwrap(), expected);
            let read = |start, end| self.read(start, end, block_bytes).unwrap();
            let heads: Vec<Records> = (0..=len).map(|cut| read(0, cut)).collect();
            let tails: Vec<Records> = (0..=len).map(|cut| read(cut, len)).collect();
            for (first, head) in (0..).zip(&heads) {
                for (second, tail) in (first..).zip(&tails[first as usize..]) {
                    let place = format!("cut at {first}, {second}; buffer of {block_bytes}");
                    let records = [head, &read(first, second)[..], tail].concat();
                    assert_eq!(&records, expected, "{place}");
                    let mut last = None;
                    let mut read = |start, end| {
                        let records = self.read_with(&mut last, start, end, block_bytes);
                        records.unwrap()
                    };
                    let records = [read(0, first), read(first, second), read(second, len)];
                    assert_eq!(&records.concat(), expected, "by one reader, {place}");
                }
            }
        }
    }
}

/// Returns the records of a content, found by the simplest method.
fn plainly(content: &[u8], delimiter: &[u8]) -> Records {
    let mut records = Vec::new();
    let mut start = if content.starts_with(BYTE_ORDER_MARK) {
        3
    } else {
        0
    };
    while start < content.len() {
        let rest = &content[start..];
        let len = (0..rest.len()).find(|at| rest[*at..].starts_with(delimiter));
        let mut record = &rest[..len.unwrap_or(rest.len())];
        if delimiter == b"\n" && len.is_some() {
            record = record.strip_suffix(b"\r").unwrap_or(record);
        }
        records.push((start as u64, record.to_vec()));
        start += len.map_or(rest.len(), |len| len + delimiter.len());
    }
    records
}

#[test]
fn lines_at_every_cut() {
    for content in [
        "",
        "\n",
        "\r\n",
        "\n\n\n",
        "no line feed",
        "one\ntwo\nthree\n",
        "one\ntwo\nthree",
        "one\r\ntwo\r\n\r\nthree\r\n",
        "a\r\nb\rc\n\r\r\nd\r",
        "\n\nafter empty ones\n\n",
        "\u{feff}marked\nsecond\n",
        "\u{feff}",
        "\u{feff}\n",
        "\u{feff}\u{feff}\n\u{feff}x",
        "\0\n\0\0\nx\0",
        "\u{e9}\n\u{20ac}\u{20ac}\n\u{1f600}\n",
        "short\na line that is longer than the smaller buffers\nshort\n",
    ] {
        let content = content.as_bytes();
        Fixture::new(content).assert_records(&plainly(content, b"\n"));
    }
}

#[test]
fn custom_delimiters_at_every_cut() {
    for (delimiter, content) in [
        (&b";"[..], "a;b\r\n;;c"),
        (b"\0", "a\0b\nc\0"),
        (b"\r\n", "a\r\nb\rc\nd\r\n\r\r\ne"),
        (b"<>", "a<>b<<>>c<><>"),
        (b"abc", "1abc2ababc3abcabc4ab"),
        (
            b"a long one",
            "1a long one2a lona long onea long one3a long on",
        ),
        ("\u{20ac}".as_bytes(), "a\u{20ac}b\u{20ad}\u{20ac}"),
        // Delimiters that share bytes with the mark, which is dropped first.
        ("\u{feff}".as_bytes(), "\u{feff}a\u{feff}b"),
        (b"\xbfx", "\u{feff}x\nx"),
        (b"\xbb", "\u{feff}x"),
    ] {
        let content = content.as_bytes();
        Fixture::delimited(content, delimiter).assert_records(&plainly(content, delimiter));
    }
}

/// Such files are never cut, but every end of a range must be right, because a file can grow.
#[test]
fn delimiters_that_overlap_themselves() {
    for (delimiter, content) in [
        (&b"aa"[..], &b"1aaa2aaaa3aaaaa"[..]),
        (b"\n\n", b"one\ntwo\n\nthree\n\n\n\n\nfour\n\n\n"),
        (b"aba", b"1ababa2abababa3abaaba"),
    ] {
        let fixture = Fixture::delimited(content, delimiter);
        let expected = plainly(content, delimiter);
        for block_bytes in [1, 3, 5, 16, BLOCK_BYTES] {
            assert_eq!(fixture.read(0, u64::MAX, block_bytes).unwrap(), expected);
            for end in 0..=content.len() as u64 {
                let mut before = expected.clone();
                before.retain(|(offset, _)| *offset < end);
                assert_eq!(
                    fixture.read(0, end, block_bytes).unwrap(),
                    before,
                    "end {end}"
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn random_text_at_random_cuts(
        content in "[ab\r\n\u{feff}]{0,60}",
        delimiter in "[ab\r\n]{1,3}",
        mut cuts in vec(0..70_u64, 0..6),
        block_bytes in 1..40_usize,
        order in vec(any::<Index>(), 0..6),
    ) {
        let content = content.as_bytes();
        let fixture = Fixture::delimited(content, delimiter.as_bytes());
        if Delimiter::new(delimiter.as_bytes()).overlaps_itself() {
            cuts.clear();
        }
        // The last record ends before the last cut, because a file has at most 180 bytes.
        cuts.extend([0, 200]);
        cuts.sort_unstable();
        cuts.dedup();
        let read = |cut: &[u64]| fixture.read(cut[0], cut[1], block_bytes).unwrap();
        let splits: Vec<Records> = cuts.windows(2).map(read).collect();
        prop_assert_eq!(splits.concat(), plainly(content, delimiter.as_bytes()));
        // One reader reads some of them in order, and some not.
        let mut last = None;
        for at in order {
            let at = at.index(splits.len());
            let next = (at..=at + 1).filter(|at| *at < splits.len());
            for at in next {
                let read = fixture.read_with(&mut last, cuts[at], cuts[at + 1], block_bytes);
                prop_assert_eq!(&read.unwrap(), &splits[at]);
            }
        }
    }
}

#[test]
fn a_file_of_many_blocks() {
    let content: String = (0..100_000)
        .map(|n| format!("{n}{}\n", "x".repeat(n % 50)))
        .collect();
    let fixture = Fixture::new(content.as_bytes());
    let expected = plainly(content.as_bytes(), b"\n");
    assert!(content.len() > 8 * BLOCK_BYTES);
    let len = content.len() as u64;
    for pieces in [1, 2, 3, 7, 50] {
        let bound = |i| len * i / pieces;
        let read = |i| fixture.read(bound(i), bound(i + 1), BLOCK_BYTES).unwrap();
        assert!((0..pieces).flat_map(read).eq(expected.iter().cloned()));
    }
}

#[test]
fn the_limit_of_a_line_is_exact() {
    for delimiter in [&b"\n"[..], b"--"] {
        for end in [&b""[..], delimiter, b"-", &[delimiter, b"after"].concat()] {
            for len in 15..=25 {
                let line = "x".repeat(len);
                let content = [&b"first"[..], delimiter, line.as_bytes(), end].concat();
                let mut fixture = Fixture::delimited(&content, delimiter);
                fixture.options.max_line_bytes = 20;
                for block_bytes in [1, 16, 24, BLOCK_BYTES] {
                    let longest = len + usize::from(end == b"-");
                    match fixture.read(0, u64::MAX, block_bytes) {
                        Ok(records) => {
                            assert!(longest <= 20 && records == plainly(&content, delimiter))
                        }
                        Err(error) => {
                            let offset = 5 + delimiter.len() as u64;
                            let place = format!(
                                "the line at byte {offset} is longer than the limit of 20 bytes"
                            );
                            assert!(
                                longest > 20 && error.to_string().ends_with(&place),
                                "{error}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_long_line_of_another_split_is_no_error() {
    let content = [&[b'x'; 1_000][..], b"\nshort\n"].concat();
    let mut fixture = Fixture::new(&content);
    fixture.options.max_line_bytes = 20;
    assert_eq!(
        fixture.read(500, 1_007, 16).unwrap(),
        [(1_001, b"short".to_vec())]
    );
    assert_eq!(fixture.read(500, 700, 16).unwrap(), []);
}

#[test]
fn a_file_that_changed_its_size() {
    let fixture = Fixture::new(b"one\ntwo\nthree\n");
    // Shorter than planned.
    assert_eq!(
        fixture.read(8, 1_000, 16).unwrap(),
        [(8, b"three".to_vec())]
    );
    assert_eq!(fixture.read(500, 1_000, 16).unwrap(), []);
    // Longer than planned: the file ended within "two" then.
    let expected = [(0, b"one".to_vec()), (4, b"two".to_vec())];
    assert_eq!(fixture.read(0, 6, 16).unwrap(), expected);
    // Shorter than when the reader began. The reader has read a few bytes past its split by then.
    let fixture = Fixture::new(&b"0123456\n".repeat(4));
    let mut last = None;
    let mut read = |start, end| fixture.read_with(&mut last, start, end, 8).unwrap();
    assert_eq!(read(0, 14).len(), 2);
    fs::write(&fixture.path, &b"0123456\n".repeat(4)[..20]).unwrap();
    assert_eq!(read(14, 24), [(16, b"0123".to_vec())]);
    assert_eq!(read(24, 32), []);
}

#[test]
fn a_reader_of_other_options_does_not_read_on() {
    let mut fixture = Fixture::new(b"one;two\nthree;four\n");
    let mut last = None;
    let read = fixture.read_with(&mut last, 0, 8, 16);
    assert_eq!(read.unwrap(), [(0, b"one;two".to_vec())]);
    fixture.options.delimiter = b";".to_vec();
    let read = fixture.read_with(&mut last, 8, 10, 16);
    assert_eq!(read.unwrap(), []);
    let read = fixture.read_with(&mut last, 10, 19, 16);
    assert_eq!(read.unwrap(), [(14, b"four\n".to_vec())]);
    // Its buffer is larger than the maximum length of these lines.
    fixture.options.max_line_bytes = 4;
    assert!(fixture.read_with(&mut last, 0, 19, 16).is_err());
}

#[test]
fn gzip_is_read_to_its_end_whatever_was_planned() {
    let text = b"\xef\xbb\xbfone\ntwo\nthree";
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    let fixture = Fixture::new(&encoder.finish().unwrap());
    for block_bytes in [1, 5, BLOCK_BYTES] {
        assert_eq!(
            fixture.read(0, 4, block_bytes).unwrap(),
            plainly(text, b"\n")
        );
    }
}

#[test]
fn utf16_is_refused_as_text_only() {
    let mut fixture = Fixture::new(b"\xff\xfea\0\n\0");
    for policy in [InvalidUtf8::Fail, InvalidUtf8::Replace, InvalidUtf8::Skip] {
        fixture.options.invalid_utf8 = policy;
        let error = fixture.read(0, u64::MAX, 16).unwrap_err().to_string();
        assert!(error.contains("UTF-16"), "{error}");
    }
    fixture.options.is_text = false;
    assert_eq!(fixture.read(0, u64::MAX, 16).unwrap().len(), 2);
}

#[test]
fn errors_name_the_file() {
    let fixture = Fixture::new(b"PK\x03\x04");
    assert!(
        fixture
            .read(0, 4, 16)
            .unwrap_err()
            .to_string()
            .contains("zip")
    );
    fs::remove_file(&fixture.path).unwrap();
    let error = fixture.read(0, 4, 16).unwrap_err();
    assert!(
        error.is_io() && error.to_string().contains("cannot open"),
        "{error}"
    );
}
