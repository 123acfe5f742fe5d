//! The places of records: file, byte and line, in splits of every size.

use holdall::{BadRecords, Context, InvalidUtf8, TextReader};

use crate::common::{Files, on_every_executor_and_processes};

fn reader(context: &Context, partition_bytes: u64) -> TextReader {
    let reader = TextReader::new().context(context);
    reader.partition_bytes(partition_bytes)
}

/// Returns the offset, the number and the text of each line.
fn lines_of(text: &str, header: bool) -> Vec<(u64, u64, String)> {
    let mut offset = 0;
    let mut lines = Vec::new();
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        lines.push((
            offset,
            number,
            line.trim_end_matches(['\r', '\n']).to_owned(),
        ));
        offset += line.len() as u64;
    }
    lines.drain(..usize::from(header));
    lines
}

#[test]
fn each_record_has_its_file_byte_and_line() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let text: String = (0..3_000)
            .map(|n| match n % 5 {
                0 => "\n".to_owned(),
                1 => format!("{n}\r\n"),
                _ => format!("line {n}\n"),
            })
            .collect();
        let names = ["a", "b", "c.gz", "d"];
        files.write("a", &text);
        files.write("b", "one\ntwo");
        files.write_gzip("c.gz", &[text.as_bytes()]);
        files.write("d", &text[..5_000]);
        for partition_bytes in [7, 1_000, 10 << 20] {
            for header in [false, true] {
                let reader = reader(context, partition_bytes).skip_header(header);
                let bag = reader.read(files.root()).unwrap();
                let found = bag.clone().with_line_numbers().collect().unwrap();
                let mut found = found.into_iter();
                for name in names {
                    let text = match name {
                        "b" => "one\ntwo",
                        "d" => &text[..5_000],
                        _ => &text,
                    };
                    for (offset, line, text) in lines_of(text, header) {
                        let (origin, record) = found.next().unwrap();
                        assert_eq!(origin.path, files.path(name));
                        assert_eq!((origin.offset, origin.line), (offset, Some(line)));
                        assert_eq!(record, text);
                    }
                }
                assert!(found.next().is_none());
            }
        }
        let bag = reader(context, 1_000).read_bytes(files.path("a")).unwrap();
        let long = bag
            .with_origin()
            .filter(|(origin, text)| origin.line.is_none() && text.len() > 8);
        let content = text;
        let (origin, text) = long.boxed().last().unwrap().unwrap();
        let offset = content.rfind("line 2999").unwrap() as u64;
        assert_eq!((text, origin.offset), (b"line 2999".to_vec(), offset));
    });
}

#[test]
fn skipped_and_replaced_lines_count_too() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = files.write("a", b"one\n\xff\nthree\nf\xffur\nfive\n\xff\n");
        for partition_bytes in [4, 100] {
            let read = |invalid| {
                let reader = reader(context, partition_bytes).invalid_utf8(invalid);
                let lines = reader.read(&path).unwrap().with_line_numbers();
                let lines =
                    lines.map(|(origin, text)| (origin.offset, origin.line.unwrap(), text.len()));
                lines.collect().unwrap()
            };
            assert_eq!(read(InvalidUtf8::Skip), [(0, 1, 3), (6, 3, 5), (17, 5, 4)]);
            let replaced = [
                (0, 1, 3),
                (4, 2, 3),
                (6, 3, 5),
                (12, 4, 6),
                (17, 5, 4),
                (22, 6, 3),
            ];
            assert_eq!(read(InvalidUtf8::Replace), replaced);
            let bad = BadRecords::new("bad lines");
            let lines = reader(context, partition_bytes)
                .bad_records(&bad)
                .read(&path)
                .unwrap();
            assert_eq!(lines.count().unwrap(), 3);
            let samples = bad.samples();
            let places: Vec<_> = samples
                .iter()
                .map(|bad| (bad.offset.unwrap(), bad.line.unwrap()))
                .collect();
            assert_eq!(places, [(4, 2), (12, 4), (22, 6)]);
        }
    });
}

#[test]
fn an_error_of_a_line_has_its_number() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = files.write("a", "1\n2\nx\n");
        let numbers = reader(context, 2).read(&path).unwrap().with_line_numbers();
        let numbers = numbers.try_map(|(_, line)| line.parse::<u32>());
        let error = numbers.collect().unwrap_err();
        let place = error.context().unwrap();
        assert_eq!((place.line, place.offset), (Some(3), Some(4)));
        let place = format!("{} line 3 byte 4)", path.display());
        assert!(error.to_string().contains(&place), "{error}");
    });
}
