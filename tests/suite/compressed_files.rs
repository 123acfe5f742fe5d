//! Compressed files: how they are divided, that the parts are the whole, and how they are written.

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use flate2::Compression as Level;
use holdall::{BadRecords, Compression, Context, ErrorKind, TextReader, TextWriter};

use crate::common::{
    Files, bzip2, gzip, names_in, on_every_executor, on_every_executor_and_processes, zstd,
};

const ALL: [Compression; 3] = [Compression::Gzip, Compression::Lz4, Compression::Zstd];

/// Length of a line, in characters. Tests need megabytes, but few records.
const SYMBOLS: u64 = 480;

/// Lines of 64 different characters, which become only a quarter shorter by compression.
fn lines(count: u64) -> Vec<String> {
    // SplitMix64.
    let hash = |n: u64| {
        let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ n >> 31
    };
    let line = |n: u64| {
        let symbols = (0..SYMBOLS).map(|at| hash(SYMBOLS * n + at) >> 58);
        let symbols = symbols.map(|symbol| char::from(b'0' + symbol as u8));
        format!("{n} {}", symbols.collect::<String>())
    };
    (0..count).map(line).collect()
}

fn text_of(lines: &[String]) -> Vec<u8> {
    (lines.join("\n") + "\n").into_bytes()
}

fn reader(context: &Context) -> TextReader {
    TextReader::new().context(context)
}

/// Writes `lines` to one file, whose units are its parts.
fn write_one(compression: Compression, lines: Vec<String>, files: &Files) -> PathBuf {
    let path = files.path(&format!("{compression:?}"));
    let writer = TextWriter::new().compression(compression);
    let bag = holdall::from_vec_partitioned(lines, 1);
    let mut written = writer.write(&bag, &path).expect("no error");
    written.files.remove(0)
}

/// Returns an xz file with several blocks.
fn xz_blocks(text: &[u8], block_bytes: u64) -> Vec<u8> {
    use std::io::Write;
    let mut options = lzma_rust2::XzOptions::with_preset(0);
    options.set_block_size(NonZeroU64::new(block_bytes));
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).expect("good options");
    encoder.write_all(text).expect("room in memory");
    encoder.finish().expect("room in memory")
}

/// Files that are divided before they are read, with their lines.
fn divided_files(files: &Files) -> (Vec<PathBuf>, Vec<String>) {
    // Frames have 4 MiB of text.
    let expected = lines(9_600);
    let paths = vec![
        write_one(Compression::Gzip, expected.clone(), files),
        write_one(Compression::Zstd, expected.clone(), files),
        files.write("xz", xz_blocks(&text_of(&expected), 1 << 20)),
    ];
    (paths, expected)
}

#[test]
fn the_parts_of_a_divided_file_have_its_records() {
    let files = Files::new();
    let (paths, expected) = divided_files(&files);
    let plain = files.write("plain", text_of(&expected));
    on_every_executor_and_processes(move |context| {
        for delimiter in ["\n", "1\n"] {
            let read = |path: &Path| {
                let reader = reader(context)
                    .delimiter(delimiter)
                    .partition_bytes(400_000);
                let bag = reader.read(path).unwrap();
                let places = bag.clone().with_line_numbers();
                let places = places.map(|(origin, _)| (origin.offset, origin.line));
                (
                    bag.partitions(),
                    bag.collect().unwrap(),
                    places.collect().unwrap(),
                )
            };
            let (_, plain_records, plain_places) = read(&plain);
            for path in &paths {
                let (partitions, records, places) = read(path);
                assert!(partitions.unwrap() > 1, "{}", path.display());
                assert!(records == plain_records, "{} {delimiter:?}", path.display());
                assert!(places == plain_places, "{} {delimiter:?}", path.display());
            }
        }
    });
}

#[test]
fn a_file_that_grows_by_a_part_is_read_to_its_new_end() {
    on_every_executor(|context| {
        let files = Files::new();
        let mut expected = lines(2_800);
        let path = write_one(Compression::Gzip, expected.clone(), &files);
        expected.push("more".to_owned());
        let bag = reader(context)
            .partition_bytes(100_000)
            .read(&path)
            .unwrap();
        assert!(bag.partitions().unwrap() > 1);
        let content = fs::read(&path).unwrap();
        fs::write(&path, [content, gzip(b"more", Level::fast())].concat()).unwrap();
        assert!(bag.collect().unwrap() == expected);
    });
}

/// Large files whose parts are found only while they are read.
fn streamed_files(files: &Files) -> (Vec<PathBuf>, Vec<String>) {
    let expected = lines(13_000);
    let text = text_of(&expected);
    let chunks = || text.chunks(300_001);
    let of = |encode: fn(&[u8]) -> Vec<u8>| chunks().flat_map(encode).collect::<Vec<_>>();
    let paths = vec![
        files.write("members.gz", of(|text| gzip(text, Level::fast()))),
        files.write("one.gz", gzip(&text, Level::fast())),
        files.write("frames.zst", of(zstd)),
        files.write("blocks.bz2", bzip2(&text)),
        files.write("streams.bz2", of(bzip2)),
    ];
    (paths, expected)
}

#[test]
fn a_large_file_is_decoded_in_order_by_several_threads() {
    let files = Files::new();
    let (paths, expected) = streamed_files(&files);
    on_every_executor_and_processes(move |context| {
        for path in &paths {
            assert!(
                fs::metadata(path).unwrap().len() > 4 << 20,
                "{}",
                path.display()
            );
            let bag = context.read_text(path).unwrap();
            assert_eq!(bag.partitions(), None);
            assert!(bag.collect().unwrap() == expected, "{}", path.display());
        }
    });
}

#[test]
fn magic_bytes_within_a_member_begin_none() {
    let files = Files::new();
    // Members that are stored in a member, as in archives of the web.
    let inner = gzip(&text_of(&lines(137)), Level::fast());
    let stored = gzip(&[&inner[..], b"\n"].concat().repeat(4), Level::none());
    let outer = [&gzip(b"start\n", Level::none())[..], &stored.repeat(30)].concat();
    assert!(outer.len() > 4 << 20);
    let nested = files.write("nested.gz", &outer);
    // bzip2 ignores what follows the last stream, even if it contains the mark of a block.
    let garbage = b"garbage 1AY&SY\x17\x72\x45\x38\x50\x90 1AY&SY";
    let content = [&bzip2(&text_of(&lines(13_000)))[..], garbage].concat();
    let garbage = files.write("garbage.bz2", content);
    let text = [&b"start\n"[..], &[&inner[..], b"\n"].concat().repeat(120)].concat();
    on_every_executor(move |context| {
        let delimiter = b"\n\x1f\x8b\x08";
        let bag = reader(context)
            .delimiter(delimiter)
            .read_bytes(&nested)
            .unwrap();
        let records: Vec<Vec<u8>> = bag.map(<[u8]>::to_vec).collect().unwrap();
        assert_eq!(records.len(), 121);
        assert!(records.join(&delimiter[..]) == text);
        assert_eq!(
            context.read_text(&garbage).unwrap().count().unwrap(),
            13_000
        );
    });
}

#[test]
fn damage_is_an_error_with_the_path_and_the_place() {
    let files = Files::new();
    let (mut paths, _) = divided_files(&files);
    paths.extend(streamed_files(&files).0);
    for path in paths.iter().filter(|path| !path.ends_with("streams.bz2")) {
        let content = fs::read(path).unwrap();
        let mut flipped = content.clone();
        flipped[content.len() / 2] ^= 0x10;
        for damaged in [&flipped[..], &content[..content.len() / 2]] {
            fs::write(path, damaged).unwrap();
            let reader = TextReader::new().partition_bytes(100_000);
            let message = reader.read(path).and_then(|bag| bag.count());
            let message = message.unwrap_err().to_string();
            assert!(message.contains(&*path.to_string_lossy()), "{message}");
            assert!(message.contains("of text"), "{message}");
            let bad = BadRecords::new("bad");
            let count = reader
                .bad_records(&bad)
                .read(path)
                .unwrap()
                .count()
                .unwrap();
            assert!(count > 0 && count < 13_000, "{}: {count}", path.display());
            assert!(bad.count() > 0, "{}", path.display());
        }
    }
}

#[test]
fn the_lines_before_the_damage_of_a_small_file_remain() {
    let files = Files::new();
    let path = files.write_gzip("a", &[b"one\ntwo\nth", b"ree\n"]);
    let content = fs::read(&path).unwrap();
    let members = gzip(b"one\ntwo\nth", Level::fast()).len();
    for cut in [members + 5, content.len() - 1] {
        fs::write(&path, &content[..cut]).unwrap();
        let bad = BadRecords::new("bad");
        let lines = TextReader::new().bad_records(&bad).read(&path).unwrap();
        let three = (cut > members + 5).then_some("three");
        let expected: Vec<_> = ["one", "two"].into_iter().chain(three).collect();
        assert_eq!(
            (lines.collect().unwrap(), bad.count()),
            (expected.into_iter().map(str::to_owned).collect(), 1)
        );
    }
}

#[test]
fn an_index_that_is_wrong_makes_no_wrong_text() {
    let files = Files::new();
    let path = write_one(Compression::Zstd, lines(9_600), &files);
    let content = fs::read(&path).unwrap();
    // The length of the text of the first frame, in the seek table.
    let frames = u32::from_le_bytes(content[content.len() - 9..][..4].try_into().unwrap());
    let entry = content.len() - 9 - 8 * frames as usize;
    let mut wrong = content.clone();
    wrong[entry + 4] ^= 1;
    fs::write(&path, &wrong).unwrap();
    let read = || {
        TextReader::new()
            .partition_bytes(100_000)
            .read(&path)?
            .count()
    };
    let message = read().unwrap_err().to_string();
    assert!(
        message.contains("not where its headers or its index say"),
        "{message}"
    );
}

#[test]
fn every_compression_is_read_again() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        for compression in ALL {
            for count in [0, 1, 2_800] {
                let expected = lines(count);
                let path = files.path(&format!("{compression:?}-{count}"));
                let bag = context.from_vec_partitioned(expected.clone(), 3);
                let written = TextWriter::new()
                    .compression(compression)
                    .write(&bag, &path);
                let written = written.unwrap();
                let size: u64 = written
                    .files
                    .iter()
                    .map(|file| file.metadata().unwrap().len())
                    .sum();
                assert_eq!((written.records, written.bytes), (count, size));
                assert_eq!(
                    context.read_text(&path).unwrap().collect().unwrap(),
                    expected
                );
            }
        }
    });
}

#[test]
fn a_single_file_has_all_records_or_does_not_exist() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let expected = lines(700);
        let bag = context.from_vec(expected.clone());
        let path = files.path("out/all.gz");
        let writer = TextWriter::new().single_file(true).header("header");
        let written = writer
            .clone()
            .compression(Compression::Gzip)
            .write(&bag, &path)
            .unwrap();
        assert_eq!((written.records, written.files), (700, vec![path.clone()]));
        assert_eq!(written.bytes, fs::metadata(&path).unwrap().len());
        let read = || {
            reader(context)
                .skip_header(true)
                .read(&path)
                .unwrap()
                .collect()
                .unwrap()
        };
        assert_eq!(read(), expected);
        let exists = writer.write(&bag, &path).unwrap_err();
        assert!(
            matches!(exists.kind(), ErrorKind::OutputExists { .. }),
            "{exists}"
        );
        // To overwrite does not help, so the error does not advise it.
        let directory = files.path("out");
        for overwrite in [false, true] {
            let onto = writer.clone().overwrite(overwrite).write(&bag, &directory);
            let message = onto.unwrap_err().to_string();
            assert!(message.ends_with(": is a directory"), "{message}");
        }
        let failing = bag.try_map(|line| match line.starts_with("600 ") {
            true => Err("on purpose"),
            false => Ok(line),
        });
        assert!(
            writer
                .clone()
                .overwrite(true)
                .write(&failing, &path)
                .is_err()
        );
        assert_eq!(read(), expected);
        assert_eq!(names_in(&files.path("out")), ["all.gz"]);
        let appended = writer
            .append(true)
            .write(&context.range(0..1), files.path("new"));
        assert!(matches!(
            appended.unwrap_err().kind(),
            ErrorKind::InvalidSetting { .. }
        ));
    });
}

#[test]
fn appended_files_follow_the_others() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = files.path("log");
        let writer = TextWriter::new().append(true).header("n");
        let numbers = |range| context.range_partitioned::<std::ops::Range<i32>>(range, 2);
        assert_eq!(writer.write(&numbers(0..4), &path).unwrap().records, 4);
        let second = writer.write(&numbers(4..8), &path).unwrap();
        assert_eq!(
            second.files,
            [path.join("part-00002"), path.join("part-00003")]
        );
        let failing = numbers(8..12).map(|n| assert!(n < 11, "on purpose"));
        assert!(writer.write(&failing.map(|()| 1), &path).is_err());
        let read = || {
            reader(context)
                .skip_header(true)
                .read(&path)
                .unwrap()
                .collect()
                .unwrap()
        };
        let expected: Vec<String> = (0..8).map(|n| n.to_string()).collect();
        assert_eq!(read(), expected);
        assert_eq!(names_in(&path).len(), 4);
        let other = writer
            .clone()
            .compression(Compression::Gzip)
            .write(&numbers(0..4), &path);
        assert!(matches!(
            other.unwrap_err().kind(),
            ErrorKind::NotAnOutput { .. }
        ));
        let stranger = files.write("other/notes", "mine");
        let other = writer.write(&numbers(0..4), stranger.parent().unwrap());
        assert!(matches!(
            other.unwrap_err().kind(),
            ErrorKind::NotAnOutput { .. }
        ));
        assert_eq!(names_in(stranger.parent().unwrap()), ["notes"]);
        let both = writer.clone().overwrite(true).write(&numbers(0..4), &path);
        assert!(matches!(
            both.unwrap_err().kind(),
            ErrorKind::InvalidSetting { .. }
        ));
        assert_eq!(read(), expected);
    });
}

#[test]
fn an_empty_directory_is_filled_and_a_bag_without_partitions_has_a_header() {
    on_every_executor(|context| {
        let files = Files::new();
        let path = files.path("made");
        fs::create_dir(&path).unwrap();
        let writer = TextWriter::new().compression(Compression::Zstd).header("n");
        let written = writer.write(&context.empty::<u64>(), &path).unwrap();
        assert_eq!(
            (written.records, names_in(&path)),
            (0, vec!["part-00000.zst".to_owned()])
        );
        assert_eq!(context.read_text(&path).unwrap().collect().unwrap(), ["n"]);
    });
}
