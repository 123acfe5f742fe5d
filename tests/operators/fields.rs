//! Parses values from the fields of lines, in files of all kinds.

use holdall::{Bag, Context, ErrorKind, FieldsError, InvalidUtf8, Pipeline, TextReader};
use serde::{Deserialize, Serialize};

use crate::common::{
    Files, ON_PURPOSE, on_every_executor, on_every_executor_and_processes, quiet_panics,
};

/// Returns lines with a byte order mark, both kinds of line ends, blank lines, empty fields, signs, fields that are not
/// numbers, a long line, characters with the same first byte as a delimiter, and no end of the last line.
fn messy() -> String {
    let long = "12345678,\u{e8}\u{e9};".repeat(2_000);
    let last = "last\u{e9}1;2\r3,\r";
    let lines = [
        "\u{feff}id,name",
        "1,ada\r",
        "",
        "\r",
        "-2,,\r\r",
        ",",
        "x\u{e9}y\u{e8}z,\u{20ad}7",
        &long,
        "18446744073709551615,+3\t0\0",
        last,
    ];
    lines.join("\n")
}

/// Checks all fields of all lines, for delimiters of all kinds.
fn check_fields<P: Pipeline<Out = str>>(lines: &Bag<str, P>, expected: &[&str], what: &str) {
    for delimiter in [',', ';', '\t', '1', '\0', '\r', '\n', '\u{e9}', '\u{20ac}'] {
        let fields = lines.clone().parse_fields::<Vec<String>>(delimiter);
        let expected: Vec<Vec<_>> = expected
            .iter()
            .map(|line| line.split(delimiter).collect())
            .collect();
        assert!(
            fields.collect().expect("lines of texts") == expected,
            "{what}, {delimiter:?}"
        );
    }
}

#[test]
fn fields_are_those_of_each_line_however_it_is_read() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let text = messy();
        let path = files.write("plain", &text);
        let zipped = files.write_gzip("zipped", &[text.as_bytes()]);
        let expected: Vec<_> = text.trim_start_matches('\u{feff}').lines().collect();
        for path in [&path, &zipped] {
            for partition_bytes in [7, 1 << 20] {
                let reader = TextReader::new().context(context);
                let lines = reader.partition_bytes(partition_bytes).read(path).unwrap();
                check_fields(&lines, &expected, "read");
            }
        }
        let lines = context.read_text(&path).unwrap();
        check_fields(&lines.clone().boxed(), &expected, "boxed");
        check_fields(&lines.clone().filter(|_| true), &expected, "filtered");
        let words: Vec<_> = expected
            .iter()
            .flat_map(|line| line.split_ascii_whitespace())
            .collect();
        check_fields(&lines.words(), &words, "words");
    });
}

#[test]
fn fields_are_those_of_other_records() {
    on_every_executor(|context| {
        let files = Files::new();
        let path = files.write("f", "1,\n;;2,\r\n;;;;,3;");
        for partition_bytes in 1..20 {
            let reader = TextReader::new().context(context).delimiter(";;");
            let records = reader.partition_bytes(partition_bytes).read(&path).unwrap();
            check_fields(&records, &["1,\n", "2,\r\n", "", ",3;"], "divided by ;;");
        }
    });
}

#[test]
fn fields_are_those_of_text_that_was_mended() {
    on_every_executor(|context| {
        let files = Files::new();
        let path = files.write("f", b"1,a\xffb\r\n\xc3,2\n3,c\n\xe2\x82");
        for (invalid, expected) in [
            (
                InvalidUtf8::Replace,
                &["1,a\u{fffd}b", "\u{fffd},2", "3,c", "\u{fffd}"][..],
            ),
            (InvalidUtf8::Skip, &["3,c"]),
        ] {
            for partition_bytes in 1..20 {
                let reader = TextReader::new().context(context).invalid_utf8(invalid);
                let lines = reader.partition_bytes(partition_bytes).read(&path).unwrap();
                check_fields(&lines, expected, "mended");
            }
        }
    });
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Visit {
    user: String,
    pages: Option<u32>,
    seconds: (f64, f64),
    kind: Kind,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Human,
    Robot,
}

fn visits(context: &Context, files: &Files, text: &str) -> Bag<Visit, impl Pipeline<Out = Visit>> {
    let path = files.write("visits", text);
    let reader = TextReader::new().context(context).partition_bytes(30);
    reader
        .read(path)
        .expect("a file")
        .parse_fields::<Visit>('\t')
}

#[test]
fn structs_are_read_and_shuffled() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let text = "ada\t3\t0.5\t1e3\thuman\r\nbot\t\t-1\tinf\trobot\ngrace\t40\t2\t0\thuman";
        let visits = visits(context, &files, text);
        let mut pages = visits
            .map(|visit| (visit.user, visit.pages.unwrap_or(100)))
            .sum_by_key()
            .collect()
            .unwrap();
        pages.sort();
        let expected = [("ada", 3), ("bot", 100), ("grace", 40)];
        assert_eq!(
            pages,
            expected.map(|(user, pages)| (user.to_owned(), pages))
        );
    });
}

#[test]
fn the_first_record_that_does_not_fit_is_named() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let good = "ada\t3\t0.5\t1e3\thuman\n".repeat(10);
        for (bad, expected) in [
            ("", "field 2 is missing"),
            ("ada\t3\t0.5\r", "field 4 is missing"),
            ("ada\t3\t1\t2\thuman\t", "field 6 is one too many"),
            (
                "ada\t 3\t1\t2\thuman",
                r#"field 2, " 3": invalid digit found in string"#,
            ),
            (
                "ada\t3\t1\t2\tdog",
                r#"field 5, "dog": unknown variant `dog`, expected `human` or `robot`"#,
            ),
        ] {
            let text = format!("{good}{bad}\n{good}");
            let error = visits(context, &files, &text).count().unwrap_err();
            let (place, said) = (error.context().unwrap(), error.to_string());
            let found = (place.operator, place.path.as_deref(), place.offset);
            let path = files.path("visits");
            let at = Some(good.len() as u64);
            assert_eq!(found, (Some("parse_fields"), Some(&*path), at), "{bad:?}");
            assert!(said.ends_with(&format!("): {expected}")), "{said}");
            assert!(matches!(error.kind(), ErrorKind::Closure { .. }));
        }
    });
}

#[test]
fn the_error_has_the_number_of_the_field() {
    on_every_executor(|context| {
        let files = Files::new();
        let error = visits(context, &files, "ada\t3\tx\t").count().unwrap_err();
        let ErrorKind::Closure { source, .. } = error.kind() else {
            panic!("{error}");
        };
        let source: &FieldsError = source.downcast_ref().unwrap();
        assert_eq!(source.field(), 3);
    });
}

#[test]
fn what_fails_after_the_fields_has_the_place_of_its_record() {
    quiet_panics();
    on_every_executor(|context| {
        let files = Files::new();
        let text = "1,2\n".repeat(100) + "5,0\r\n" + &"1,2\n".repeat(100);
        for path in [
            files.write("plain", &text),
            files.write_gzip("zipped", &[text.as_bytes()]),
        ] {
            let reader = TextReader::new().context(context).partition_bytes(50);
            let pairs = reader.read(&path).unwrap().parse_fields::<(u32, u32)>(',');
            let error = pairs
                .map(|(a, b)| a.checked_div(b).expect(ON_PURPOSE))
                .count()
                .unwrap_err();
            let place = error.context().unwrap();
            let found = (place.operator, place.path.as_deref(), place.offset);
            assert_eq!(found, (Some("map"), Some(&*path), Some(400)));
        }
    });
}
