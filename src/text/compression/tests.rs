//! Tests of the decoders with valid and damaged files.

use std::io::{BufReader, Cursor, Write};

use ::bzip2::write::BzEncoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
use lzma_rust2::{XzOptions, XzWriter};
use ruzstd::encoding::CompressionLevel;

use super::Codec::{Bzip2, Gzip, Lz4, Snappy, Xz, Zstd};
use super::*;
use crate::storage::memory::MemoryBudget;

/// All formats in which the end of a file shows.
const ALL: [Codec; 5] = [Bzip2, Gzip, Lz4, Xz, Zstd];

/// Encodes a part of a compressed file: a member, frame or stream.
fn part(compression: Codec, text: &[u8]) -> Vec<u8> {
    match compression {
        Bzip2 => {
            let mut encoder = BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        Xz => {
            let mut encoder = XzWriter::new(Vec::new(), XzOptions::with_preset(1)).unwrap();
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        Zstd => ruzstd::encoding::compress_to_vec(text, CompressionLevel::Fastest),
        Lz4 => {
            let options = FrameInfo::new().content_checksum(true);
            let options = options.block_size(BlockSize::Max64KB);
            let mut encoder = FrameEncoder::with_frame_info(options, Vec::new());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        Snappy => {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            encoder.write_all(text).unwrap();
            encoder.into_inner().unwrap()
        }
    }
}

fn decode_by(compression: Codec, bytes: &[u8], capacity: usize) -> Result<String, String> {
    let input = BufReader::with_capacity(capacity, Cursor::new(bytes.to_vec()));
    let mut text = String::new();
    let decoded =
        Decompressor::new(compression, input, &DecoderOptions::default()).read_to_string(&mut text);
    decoded.map(|_| text).map_err(|error| error.to_string())
}

/// Decodes with additional threads.
fn decode_ahead(codec: Codec, bytes: &[u8], threads: usize) -> Result<String, String> {
    let mut text = String::new();
    let input = Cursor::new(bytes.to_vec());
    let helpers = Helpers {
        threads,
        budget: MemoryBudget::unlimited(),
    };
    let mut decoder = Decompressor::ahead(codec, input, &DecoderOptions::default(), helpers);
    let decoded = decoder.read_to_string(&mut text);
    decoded.map(|_| text).map_err(|error| error.to_string())
}

/// Decodes through buffers of several small sizes, which must make no difference.
fn decode(compression: Codec, bytes: &[u8]) -> Result<String, String> {
    let mut results = [1, 2, 7, 8192].map(|capacity| decode_by(compression, bytes, capacity));
    let what = |result: &Result<String, String>| match result {
        // The decoder may or may not return the text immediately before the damage.
        Err(message) if compression == Bzip2 => Err(message.split(", after").take(1).collect()),
        result => result.clone(),
    };
    let is_same = |result: &_| what(result) == what(&results[0]);
    assert!(results.iter().all(is_same), "{compression}: {results:?}");
    for helpers in [0, 2] {
        let ahead = decode_ahead(compression, bytes, helpers);
        assert_eq!(
            ahead.is_ok(),
            results[0].is_ok(),
            "{compression}: {ahead:?}"
        );
        assert!(ahead.is_err() || ahead == results[0], "{compression}");
    }
    std::mem::replace(&mut results[0], Ok(String::new()))
}

#[test]
fn parts_follow_each_other() {
    let long: String = (0..60_000).map(|n| format!("line {n}\n")).collect();
    for compression in ALL {
        let part = |text: &str| part(compression, text.as_bytes());
        assert_eq!(decode(compression, &part("one")).unwrap(), "one");
        assert_eq!(decode(compression, &part("")).unwrap(), "");
        let many = [part("one "), part(""), part(&long), part("three")].concat();
        let text = decode(compression, &many).unwrap();
        assert!(text == format!("one {long}three"), "{compression}");
    }
}

#[test]
fn streams_of_bzip2_may_be_small_or_seem_so() {
    let stream = |text: &[u8], level| {
        let mut encoder = BzEncoder::new(Vec::new(), ::bzip2::Compression::new(level));
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    // Short streams with a long text, or with blocks that exceed the smallest size.
    let long = b"line\n".repeat(150_000);
    let longest = [b'x'; 800_000];
    let texts: [&[u8]; 6] = [b"one\n", &long, b"", &longest, b"BZh91AY&SY\n", b"two\n"];
    for level in [1, 9] {
        let streams: Vec<u8> = texts.iter().flat_map(|text| stream(text, level)).collect();
        let text = decode(Bzip2, &streams.repeat(2)).unwrap();
        assert!(text.as_bytes() == texts.concat().repeat(2));
    }
    let line = stream(b"line\n", 9);
    assert_eq!(
        decode(Bzip2, &line.repeat(500)).unwrap(),
        "line\n".repeat(500)
    );
    // Damage in one of many streams.
    let mut damaged = line.repeat(3);
    damaged[line.len() + 20] ^= 1;
    let message = decode(Bzip2, &damaged).unwrap_err();
    assert!(
        message.starts_with("the bzip2 data is damaged: "),
        "{message}"
    );
}

#[test]
fn a_cut_anywhere_is_noticed() {
    for compression in ALL {
        let bytes = part(compression, b"some text that is long enough");
        for len in 2..bytes.len() {
            let message = decode(compression, &bytes[..len]).unwrap_err();
            let expected = format!("the {compression} data is cut short, after");
            assert!(message.starts_with(&expected), "{len}: {message}");
        }
        let two = [bytes.clone(), bytes.clone()].concat();
        for len in bytes.len() + 1..two.len() {
            let message = decode(compression, &two[..len]).unwrap_err();
            assert!(
                message.contains("cut short"),
                "{compression} {len}: {message}"
            );
        }
    }
}

#[test]
fn damage_is_noticed_and_placed() {
    for (compression, checksum_from_end, text_bytes) in [
        (Bzip2, 6, "39"),
        (Gzip, 8, "39"),
        (Xz, 40, "39"),
        (Zstd, 1, "39"),
    ] {
        let [first, mut second] = ["0123456789", "some text that is long enough"]
            .map(|text| part(compression, text.as_bytes()));
        let checksum = second.len() - checksum_from_end;
        second[checksum] ^= 1;
        let message = decode(compression, &[first, second].concat()).unwrap_err();
        assert!(
            message.starts_with(&format!("the {compression} data is damaged: "))
                && message.ends_with(&format!(", after {text_bytes} bytes of text")),
            "{message}"
        );
    }
}

#[test]
fn the_text_before_the_damage_is_returned() {
    let text: String = (0..60_000).map(|n| format!("{n}\n")).collect();
    // The decoder of xz may lose up to as much text as is read in one call.
    for compression in ALL.into_iter().filter(|codec| *codec != Xz) {
        let content = part(compression, text.as_bytes());
        let mut flipped = content.clone();
        flipped[content.len() - content.len() / 8] ^= 0x55;
        for damaged in [&flipped, &content[..content.len() - content.len() / 8]] {
            let mut decoded = Vec::new();
            let input = Cursor::new(damaged.to_vec());
            let mut decoder = Decompressor::new(compression, input, &DecoderOptions::default());
            let error = decoder.read_to_end(&mut decoded).unwrap_err().to_string();
            let place = format!(", after {} bytes of text", decoded.len());
            assert!(error.ends_with(&place), "{error}, not {place}");
            // Text that follows the damage within its block may be wrong.
            let same = decoded.get(..text.len() / 4);
            assert!(
                same == text.as_bytes().get(..text.len() / 4),
                "{compression}"
            );
        }
    }
}

#[test]
fn what_follows_the_last_part_is_passed_over_as_the_tools_do() {
    let member = |text: &[u8]| part(Gzip, text);
    for rest in [
        &[0; 10_000][..],
        b"garbage",
        b"\0\0garbage",
        b"\x1fgarbage",
        b"\0\0\x1f",
        b"\n",
    ] {
        let text = decode(Gzip, &[&member(b"one"), rest].concat());
        assert_eq!(text.unwrap(), "one");
    }
    for rest in [&[0; 10_000][..], b"garbage", b"\n", b"BZ", b"BZh0", b"BZx"] {
        let text = decode(Bzip2, &[&part(Bzip2, b"one"), rest].concat());
        // The file may have been cut within the header of a stream.
        let is_cut = *rest == *b"BZ";
        assert_eq!(text.ok(), (!is_cut).then(|| "one".to_owned()));
    }
    for (zeros, is_read) in [
        (0, true),
        (4, true),
        (10_000, true),
        (1, false),
        (10, false),
    ] {
        let padded = [
            part(Xz, b"one "),
            vec![0; zeros],
            part(Xz, b"two"),
            vec![0; zeros],
        ];
        let text = decode(Xz, &padded.concat());
        assert_eq!(text.ok(), is_read.then(|| "one two".to_owned()));
    }
    // A part that gzip(1) would decode by another method.
    let other = [&member(b"one")[..], b"\x1f\x9d\x90abc"].concat();
    assert!(decode(Gzip, &other).unwrap_err().contains("another format"));
    let padded = [member(b"one "), vec![0; 512], member(b"two")].concat();
    assert_eq!(decode(Gzip, &padded).unwrap(), "one two");
}

#[test]
fn what_follows_the_last_part_of_others_is_an_error() {
    for compression in [Lz4, Xz, Zstd] {
        let bytes = [part(compression, b"one"), b"garbage that is long".to_vec()].concat();
        let message = decode(compression, &bytes).unwrap_err();
        assert!(
            message.ends_with(", after 3 bytes of text"),
            "{compression}: {message}"
        );
    }
}

#[test]
fn frames_of_zstd_that_have_no_text_are_skipped() {
    let frame = |text: &[u8]| part(Zstd, text);
    let empty = |len: u8| {
        [
            &[0x5a, 0x2a, 0x4d, 0x18, len, 0, 0, 0],
            &vec![1; len.into()][..],
        ]
        .concat()
    };
    let bytes = [
        empty(4),
        frame(b"one "),
        empty(0),
        empty(100),
        frame(b"two"),
        empty(9),
    ]
    .concat();
    assert_eq!(decode(Zstd, &bytes).unwrap(), "one two");
    let message = decode(Zstd, &bytes[..bytes.len() - 1]).unwrap_err();
    assert_eq!(message, "the zstd data is cut short, after 7 bytes of text");
}

#[test]
fn frames_of_lz4_may_follow_skippable_ones_of_any_length() {
    let skippable = |len: u32| {
        let head = [&[0x52, 0x2a, 0x4d, 0x18], &len.to_le_bytes()[..]].concat();
        [head, vec![1; len as usize]].concat()
    };
    let [one, two] = ["one ", "two"].map(|text| part(Lz4, text.as_bytes()));
    let bytes = [skippable(1_000), skippable(2), one, skippable(600), two].concat();
    for codec in [Zstd, Lz4] {
        assert_eq!(decode(codec, &bytes).unwrap(), "one two");
        let message = decode(codec, &bytes[..bytes.len() - 1]).unwrap_err();
        assert!(message.contains("cut short"), "{message}");
        assert_eq!(decode(codec, &skippable(1_000)).unwrap(), "");
    }
    // Frames of both formats are not one text.
    let both = [part(Zstd, b"one"), part(Lz4, b"two")].concat();
    assert!(decode(Zstd, &both).is_err());
}

#[test]
fn what_looks_back_too_far_is_refused() {
    let mut options = XzOptions::with_preset(1);
    options.lzma_options.dict_size = 256 << 20;
    let mut encoder = XzWriter::new(Vec::new(), options).unwrap();
    encoder.write_all(b"some text").unwrap();
    let message = decode(Xz, &encoder.finish().unwrap()).unwrap_err();
    let expected = "the xz data cannot be decoded: it takes a window of 256 MiB, and the limit is 128 MiB; \
                    raise `max_window_bytes`, or decompress it first";
    assert_eq!(message, expected);
    // A window of 2^38 bytes, no checksum, and no content size.
    let message = decode(Zstd, &[0x28, 0xb5, 0x2f, 0xfd, 0, 28 << 3, 1, 0, 0]).unwrap_err();
    let expected = if cfg!(feature = "zstd-c") {
        "a larger window"
    } else {
        "a window of 262144 MiB"
    };
    assert!(message.contains(expected), "{message}");
}

#[test]
fn no_bit_that_is_wrong_makes_wrong_text() {
    let text: String = (0..50).map(|n| format!("line {n}\n")).collect();
    for compression in ALL {
        let good = part(compression, text.as_bytes());
        for bit in 0..8 * good.len() {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // The buffer size may determine how much of the text is decoded.
            for capacity in [1, 2, 7, 8192] {
                if let Ok(decoded) = decode_by(compression, &bytes, capacity) {
                    assert_eq!(decoded, text, "{compression}, bit {bit}");
                }
            }
        }
    }
}

#[test]
fn snappy_is_decoded_and_checked() {
    let text = "some text\n".repeat(20_000);
    let bytes = part(Snappy, text.as_bytes());
    assert_eq!(
        decode(Snappy, &[&bytes[..], &bytes[..]].concat()).unwrap(),
        text.repeat(2)
    );
    let mut damaged = bytes.clone();
    damaged[100] ^= 1;
    assert!(
        decode(Snappy, &damaged)
            .unwrap_err()
            .contains("the snappy data is damaged")
    );
    assert!(
        decode(Snappy, &bytes[..bytes.len() - 1])
            .unwrap_err()
            .contains("cut short")
    );
}

/// Magic bytes within the data, and parts that are larger and smaller than the slices in which they are decoded.
#[test]
fn slices_that_are_cut_within_a_part_are_joined() {
    let random = |n: u32| n.wrapping_mul(2_654_435_761).rotate_left(15).to_le_bytes();
    let noise: Vec<u8> = (0..200_000)
        .flat_map(random)
        .map(|byte| b' ' + byte % 64)
        .collect();
    for compression in [Gzip, Zstd, Lz4, Bzip2] {
        let small: Vec<u8> = (0..200)
            .flat_map(|n| part(compression, &noise[..n * 10]))
            .collect();
        let large = part(compression, &noise);
        let mut stored = GzEncoder::new(Vec::new(), flate2::Compression::none());
        let nested = [
            &noise[..300_000],
            &large,
            b"\x1f\x8b\x08\0",
            &noise[..300_000],
        ]
        .concat();
        stored.write_all(&nested).unwrap();
        let stored = stored.finish().unwrap();
        let mut parts = [&small[..], &large, &large, &small].concat();
        let mut expected: Vec<u8> = (0..200).flat_map(|n| &noise[..n * 10]).copied().collect();
        expected = [&expected[..], &noise, &noise, &expected].concat();
        if compression == Gzip {
            parts = [&stored[..], &parts, &stored].concat();
            expected = [&nested[..], &expected, &nested].concat();
        }
        for (threads, bytes) in [(0, 0), (1, usize::MAX), (3, usize::MAX), (3, 0)] {
            let input = Cursor::new(parts.clone());
            let options = DecoderOptions::default();
            let helpers = Helpers {
                threads,
                budget: MemoryBudget::new(bytes),
            };
            let mut decoder = Decompressor::ahead(compression, input, &options, helpers);
            let mut text = Vec::new();
            decoder.read_to_end(&mut text).unwrap();
            assert!(text == expected, "{compression} with {threads} helpers");
            assert_eq!(decoder.is_on_one_thread(), None);
        }
    }
}

/// Parts with much text are decoded in advance only as far as the budget allows.
#[test]
fn text_that_is_decoded_in_advance_is_in_the_budget() {
    let text: String = (0..700_000).map(|n| format!("{:08}\n", n / 9)).collect();
    for compression in [Bzip2, Gzip] {
        let parts = part(compression, text.as_bytes()).repeat(5);
        for limit in [0, 8 << 20, 1 << 30] {
            let budget = MemoryBudget::new(limit);
            let helpers = Helpers {
                threads: 6,
                budget: budget.clone(),
            };
            let input = Cursor::new(parts.clone());
            let options = DecoderOptions::default();
            let mut decoder = Decompressor::ahead(compression, input, &options, helpers);
            let mut decoded = vec![0; text.len()];
            for n in 0..5 {
                decoder.read_exact(&mut decoded).unwrap();
                assert!(decoded == text.as_bytes(), "{compression}, part {n}");
            }
            assert_eq!(decoder.read(&mut decoded).unwrap(), 0);
            assert!(budget.peak_bytes() <= limit);
            assert_eq!(budget.peak_bytes() > 0, limit > 0, "{compression}");
            drop(decoder);
            assert_eq!(budget.used_bytes(), 0);
        }
    }
}
