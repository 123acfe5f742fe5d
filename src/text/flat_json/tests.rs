//! A layout parses the same values as serde_json.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    id: u64,
    name: String,
    offset: i32,
    amount: f64,
    #[serde(default)]
    maybe: Option<f32>,
    flag: bool,
}

const LINES: [&str; 6] = [
    r#"{"id":12,"name":"ada","offset":-3,"amount":470.55,"maybe":null,"flag":true}"#,
    r#"{"id":12, "name" : "na\u00efve", "offset":0, "amount":-0.5,"maybe":2.5,"flag":false} "#,
    r#"{"flag":true,"amount":1e3,"other":"x","offset":7,"id":1234567890123456789,"name":"é"}"#,
    r#"{"flag":true,"amount":3,"other":[1],"offset":7,"id":18446744073709551615,"name":"a quite long name"}"#,
    r#"{"id":1,"id":2,"name":"","offset":2147483648,"amount":0.1234567890123456,"flag":true}"#,
    "{}",
];

/// Parses each line with its own layout and that of each other one, and with each byte changed.
#[test]
fn the_result_is_that_of_serde_json() {
    let fields = field_names::<Row>().unwrap();
    let mut parsed = 0;
    let mut check = |layout: &JsonLayout, text: &str| {
        let expected = serde_json::from_str::<Row>(text).ok();
        let row = parse::<Row>(layout, text);
        parsed += u32::from(row.is_some());
        assert!(
            row.is_none() || row == expected,
            "{text}: {row:?}, not {expected:?}"
        );
    };
    let changes = [
        "0", "7", "-", ".", "e", "\"", "\\", ",", "}", " ", "n", "\n", "\u{1}", "",
    ];
    for line in LINES {
        let Some(layout) = JsonLayout::of(line, fields) else {
            continue;
        };
        LINES.iter().for_each(|text| check(&layout, text));
        for (at, old) in line.char_indices() {
            for new in changes {
                let after = &line[at + old.len_utf8()..];
                check(&layout, &[&line[..at], new, after].concat());
            }
        }
    }
    assert!(parsed > 50, "{parsed}");
}

#[derive(Deserialize)]
struct Number {
    a: f64,
}

#[test]
fn numbers_are_exact() {
    let layout = JsonLayout::of(r#"{"a":1}"#, &[]).unwrap();
    for number in [
        "0",
        "-0",
        "0.0",
        "-0.0",
        "00",
        "01",
        "1.",
        ".5",
        "-",
        "1.50",
        "9007199254740993",
        "0.1",
        "123456789.012345",
        "99999999999999.9",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "1e5",
        "1.5E-3",
    ] {
        let text = format!("{{\"a\":{number}}}");
        let read = parse::<Number>(&layout, &text);
        let expected = serde_json::from_str::<Number>(&text).ok();
        let bits = |number: Option<Number>| number.map(|number| number.a.to_bits());
        assert!(read.is_none() || bits(read) == bits(expected), "{text}");
    }
    let read = parse::<Number>(&layout, r#"{"a":123456789.012345}"#);
    assert_eq!(read.map(|number| number.a), Some(123_456_789.012_345));
}

#[test]
fn texts_without_a_common_layout_are_left_to_serde_json() {
    let mut json = FlatJson::<BTreeMap<String, u32>>::new();
    for number in 0..100 {
        let map = json
            .parse(&format!("{{\"key {number}\":{number}}}"))
            .unwrap();
        assert_eq!(map[&format!("key {number}")], number);
    }
    assert!(json.layout.is_none());
    json.parse("{").unwrap_err();
    let mut json = FlatJson::<Number>::new();
    for number in 0..100 {
        let text = format!("{{\"a\":{number}}}");
        assert_eq!(json.parse(&text).unwrap().a, f64::from(number));
    }
    assert!(json.layout.is_some());
}
