//! Tests of values from fields, of single lines and of many.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::net::Ipv4Addr;

use proptest::prelude::*;
use serde::de::{Deserializer, Error};

use super::*;

#[track_caller]
fn assert_fields<'l, T: Deserialize<'l> + Debug + PartialEq>(line: &'l str, expected: T) {
    assert_eq!(parse_fields(line, ','), Ok(expected), "{line:?}");
}

#[track_caller]
fn assert_error<'l, T: Deserialize<'l> + Debug>(line: &'l str, field: usize, expected: &str) {
    let error = parse_fields::<T>(line, ',').unwrap_err();
    assert_eq!(
        (error.field(), &*error.to_string()),
        (field, expected),
        "{line:?}"
    );
}

#[derive(Debug, PartialEq, Deserialize)]
struct Visit<'l> {
    user: &'l str,
    pages: Option<u32>,
    kind: Kind,
    #[serde(default)]
    remark: String,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Human,
    Robot,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Id(u64);

#[derive(Debug, PartialEq, Deserialize)]
struct Point(f64, f64);

#[test]
fn one_field() {
    assert_fields("12", 12_u64);
    assert_fields("-12", -12_i8);
    assert_fields("+12", 12_u16);
    assert_fields("340282366920938463463374607431768211455", u128::MAX);
    assert_fields("-9223372036854775808", i64::MIN);
    assert_fields("18446744073709551615", u64::MAX);
    assert_fields("0000000000000000000012", 12_u32);
    assert_fields("-1.5e3", -1500.0_f64);
    assert_fields("inf", f32::INFINITY);
    assert_fields("true", true);
    assert_fields("\u{e9}", '\u{e9}');
    assert_fields("a b ", "a b ");
    assert_fields("", String::new());
    assert_fields("127.0.0.1", Ipv4Addr::LOCALHOST);
    assert_fields("robot", Kind::Robot);
    assert_fields("7", Id(7));
    assert_fields("", None::<u64>);
    assert_fields("7", Some(Id(7)));
}

#[test]
fn several_fields() {
    assert_fields("1,2", (1_u64, 2_u64));
    assert_fields("1,,3", (1_u8, "", 3_i64));
    assert_fields("1,2,3", ((1_u8, 2_u8), 3_u8));
    assert_fields("1,2,3", (1_u8, (2_u8, 3_u8)));
    assert_fields("1,2,3", [1_u32, 2, 3]);
    assert_fields("1.5,-2", Point(1.5, -2.0));
    assert_fields("x,1.5,-2,7", ("x", Point(1.5, -2.0), Id(7)));
    assert_fields("1,x,3", (1_u8, (), 3_u8));
    assert_fields("1,x,3", (1_u8, PhantomData::<u8>, 3_u8));
    assert_fields("1,,3", vec![Some(1_u32), None, Some(3)]);
    assert_fields("a,1,2", ("a", vec![1_u8, 2]));
    assert_fields("1,,", (Some(1_u8), None::<u8>, None::<u8>));
}

#[test]
fn structs() {
    let visit = |pages, kind, remark: &str| Visit {
        user: "ada",
        pages,
        kind,
        remark: remark.to_owned(),
    };
    assert_fields("ada,3,human,often", visit(Some(3), Kind::Human, "often"));
    assert_fields("ada,,robot", visit(None, Kind::Robot, ""));
    assert_error::<Visit<'_>>("ada,3", 3, "field 3 is missing");
    assert_error::<Visit<'_>>("ada,3,human,,", 5, "field 5 is one too many");
    assert_error::<Visit<'_>>(
        "ada,3,dog",
        3,
        r#"field 3, "dog": unknown variant `dog`, expected `human` or `robot`"#,
    );
}

#[test]
fn what_does_not_fit() {
    type Pair = (u64, u64);
    assert_error::<Pair>(
        "",
        1,
        r#"field 1, "": cannot parse integer from empty string"#,
    );
    assert_error::<Pair>("1", 2, "field 2 is missing");
    assert_error::<Pair>("1,2,3", 3, "field 3 is one too many");
    assert_error::<Pair>("1,2,", 3, "field 3 is one too many");
    assert_error::<Pair>("x,2", 1, r#"field 1, "x": invalid digit found in string"#);
    assert_error::<Pair>("1,2 ", 2, r#"field 2, "2 ": invalid digit found in string"#);
    assert_error::<Pair>("1,-2", 2, r#"field 2, "-2": invalid digit found in string"#);
    assert_error::<Pair>(
        "1,18446744073709551616",
        2,
        r#"field 2, "18446744073709551616": number too large to fit in target type"#,
    );
    assert_error::<(u8, String)>(
        "256,a",
        1,
        r#"field 1, "256": number too large to fit in target type"#,
    );
    assert_error::<u64>("1,2", 2, "field 2 is one too many");
    assert_error::<Vec<u8>>(
        "1,2,",
        3,
        r#"field 3, "": cannot parse integer from empty string"#,
    );
    assert_error::<char>(
        "ab",
        1,
        r#"field 1, "ab": invalid value: string "ab", expected a character"#,
    );
    let long = "\u{e9}".repeat(100);
    let shown = "\u{e9}".repeat(80);
    let expected =
        format!("field 1, \"{shown}\u{2026}\": provided string was not `true` or `false`");
    assert_error::<bool>(&long, 1, &expected);
    assert_error::<(u8, BTreeMap<u8, u8>)>(
        "1,2",
        2,
        r#"field 2, "2": fields have no names, which a map needs"#,
    );
}

/// Numbers in ascending order.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(try_from = "Vec<u8>")]
struct Ascending(Vec<u8>);

impl TryFrom<Vec<u8>> for Ascending {
    type Error = &'static str;

    fn try_from(numbers: Vec<u8>) -> Result<Self, Self::Error> {
        match numbers.is_sorted() {
            true => Ok(Self(numbers)),
            false => Err("not in order"),
        }
    }
}

/// A text of three bytes.
#[derive(Debug, PartialEq)]
struct Code([u8; 3]);

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        let code = text.as_bytes().try_into().map(Self);
        code.map_err(|_| Error::invalid_length(text.len(), &"three bytes"))
    }
}

#[test]
fn types_say_themselves_what_they_are_not_content_with() {
    assert_fields("x,1,2", ("x", Ascending(vec![1, 2])));
    assert_error::<(&str, Ascending)>("x,1,3,2", 4, r#"field 4, "2": not in order"#);
    assert_error::<(&str, Ascending)>("x", 2, "field 2 is missing");
    assert_fields("abc,def", [Code(*b"abc"), Code(*b"def")]);
    let expected = r#"field 2, "de": invalid length 2, expected three bytes"#;
    assert_error::<[Code; 2]>("abc,de", 2, expected);
    assert_error::<[Code; 2]>("abc", 2, "field 2 is missing");
}

#[test]
fn delimiters() {
    for delimiter in [
        '\t',
        '\0',
        ' ',
        'x',
        '\u{7f}',
        '\u{80}',
        '\u{e9}',
        '\u{20ac}',
        '\u{1f600}',
    ] {
        let line = ["17", "a\u{e8}", "", "1234567890123"].join(&delimiter.to_string());
        let fields = (17_u8, "a\u{e8}", None::<u8>, 1_234_567_890_123_u64);
        assert_eq!(parse_fields(&line, delimiter), Ok(fields), "{delimiter:?}");
    }
    // A character that may be part of a number can be the delimiter.
    assert_eq!(parse_fields("12131", '1'), Ok(("", 2_u8, 3_u8, "")));
    let error = parse_fields::<u8>("213", '1').unwrap_err();
    assert_eq!(error.to_string(), "field 2 is one too many");
    assert_eq!(parse_fields("1-2", '-'), Ok((1_i8, 2_i8)));
}

/// Returns the values of all lines, or the start of the first line that is invalid, and its error.
fn lines<'t, T: Deserialize<'t>>(
    text: &'t str,
    delimiter: char,
) -> Result<Vec<T>, (usize, FieldsError)> {
    let mut fields = Fields::new(text, TextKind::Lines, delimiter);
    let mut values = Vec::new();
    while let Some(rest) = fields.next_line() {
        let value = fields.parse();
        values.push(value.map_err(|error| (text.len() - rest.len(), error))?);
    }
    Ok(values)
}

fn lines_one_by_one<'t, T: Deserialize<'t>>(
    text: &'t str,
    delimiter: char,
) -> Result<Vec<T>, (usize, FieldsError)> {
    let mut start = 0;
    let mut values = Vec::new();
    for line in text.split_inclusive('\n') {
        let record = line
            .strip_suffix('\n')
            .map_or(line, |line| line.strip_suffix('\r').unwrap_or(line));
        values.push(parse_fields(record, delimiter).map_err(|error| (start, error))?);
        start += line.len();
    }
    Ok(values)
}

#[test]
fn ends_at_every_place() {
    for len in 0..200 {
        for end in ["", "\n", "\r\n", "\n\n", "\r", "\n7"] {
            let text = format!("{},{}{end}", "1".repeat(len), "2".repeat(200 - len));
            let fields = lines::<Vec<&str>>(&text, ',');
            assert_eq!(fields, lines_one_by_one(&text, ','), "{text:?}");
        }
    }
}

#[test]
fn what_one_line_lacks_is_not_said_of_the_next() {
    let (at, error) = lines::<Vec<u8>>("1,2\n3,x\n", ',').unwrap_err();
    let expected = r#"field 2, "x": invalid digit found in string"#;
    assert_eq!((at, error.field(), &*error.to_string()), (4, 2, expected));
}

proptest! {
    #[test]
    fn lines_are_records(
        text in "([0-9]{0,18}(,[0-9]{0,18}){0,2}[x\u{e9}\u{e8}\r]?\r?\n){0,20}[0-9,]{0,40}",
        delimiter in "[,1\u{e9}]",
    ) {
        let delimiter = delimiter.chars().next().unwrap();
        prop_assert_eq!(lines::<Vec<&str>>(&text, delimiter), lines_one_by_one(&text, delimiter));
        prop_assert_eq!(lines::<Vec<u64>>(&text, delimiter), lines_one_by_one(&text, delimiter));
        prop_assert_eq!(lines::<(u64, Option<u32>)>(&text, delimiter), lines_one_by_one(&text, delimiter));
        prop_assert_eq!(lines::<(u16, &str, i64)>(&text, delimiter), lines_one_by_one(&text, delimiter));
    }

    #[test]
    fn lines_of_pairs(pairs in proptest::collection::vec(any::<(u64, i32)>(), 0..100)) {
        let text: String = pairs.iter().map(|(key, value)| format!("{key}\t{value}\n")).collect();
        prop_assert_eq!(lines(&text, '\t'), Ok(pairs));
    }

    #[test]
    fn agrees_with_split_and_parse(
        line in "([0-9]{0,18}|[-+]?[0-9]{1,4}|[a-z\u{e9}]{0,20})(,([0-9]{0,18}|[a-z\u{e9}]{0,20})){0,3}",
    ) {
        let fields: Vec<&str> = line.split(',').collect();
        prop_assert_eq!(&parse_fields::<Vec<&str>>(&line, ',').unwrap(), &fields);
        let pair = parse_fields::<(u32, i64)>(&line, ',').ok();
        let plainly = match fields[..] {
            [first, second] => first.parse().ok().zip(second.parse().ok()),
            _ => None,
        };
        prop_assert_eq!(pair, plainly);
        let numbers = parse_fields::<Vec<u64>>(&line, ',').ok();
        let plainly: Option<Vec<u64>> = fields.iter().map(|field| field.parse().ok()).collect();
        prop_assert_eq!(numbers, plainly);
    }
}
