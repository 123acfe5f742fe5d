//! Methods for text that need a cargo feature: `regex` and `unicode`.

mod common;

use common::on_every_executor_and_processes;
use holdall::{Bag, Pipeline, Result, Text};
use regex::Regex;
use unicode_segmentation::UnicodeSegmentation;

const LINES: [&str; 7] = [
    "10.0.0.1 GET /a 200",
    "",
    "10.0.0.22 POST /b/c 404",
    "été 12 Été 3",
    "no number",
    "(don't) 3.14 -- l'été",
    "10.0.0.1 GET \u{1f} 7",
];

fn texts<T: Text + ?Sized, P: Pipeline<Out = T>>(bag: Bag<T, P>) -> Result<Vec<String>> {
    bag.map(|record| String::from_utf8_lossy(T::peek(&record).as_ref()).into_owned())
        .collect()
}

const NUMBER: &str = r"\d+";
const REQUEST: &str = r"^(\S+) (GET|POST) (\S+|\x1f) (\d+)(?: (x))?$";

type Request = (String, String, String, u32, Option<String>);

/// Returns the results of all methods.
fn all<T: Text + ?Sized, P: Pipeline<Out = T>>(
    text: &Bag<T, P>,
) -> Result<(Vec<Vec<String>>, Vec<Request>)> {
    let text = || text.clone();
    let results = vec![
        texts(text().matching(NUMBER)?)?,
        texts(text().not_matching(NUMBER)?)?,
        texts(text().find_matches(NUMBER)?)?,
        texts(text().find_matches("(?i)É|x*")?)?,
        text().captures::<String>(NUMBER)?.collect()?,
        texts(text().unicode_words())?,
    ];
    Ok((results, text().captures::<Request>(REQUEST)?.collect()?))
}

fn expected() -> (Vec<Vec<String>>, Vec<Request>) {
    let [number, request, mixed] =
        [NUMBER, REQUEST, "(?i)É|x*"].map(|p| Regex::new(p).expect("a pattern"));
    let owned = |found: &dyn Fn(&'static str) -> Vec<&'static str>| -> Vec<String> {
        LINES
            .iter()
            .flat_map(|line| found(line))
            .map(str::to_owned)
            .collect()
    };
    let only = |line, is_kept: bool| if is_kept { vec![line] } else { Vec::new() };
    let all_of = |regex: &Regex, line: &'static str| -> Vec<&'static str> {
        regex.find_iter(line).map(|found| found.as_str()).collect()
    };
    let results = vec![
        owned(&|line| only(line, number.is_match(line))),
        owned(&|line| only(line, !number.is_match(line))),
        owned(&|line| all_of(&number, line)),
        owned(&|line| all_of(&mixed, line)),
        owned(&|line| all_of(&number, line).into_iter().take(1).collect()),
        owned(&|line| line.unicode_words().collect()),
    ];
    let requests = LINES.iter().filter_map(|line| {
        let groups = request.captures(line)?;
        let text = |index: usize| groups[index].to_owned();
        Some((
            text(1),
            text(2),
            text(3),
            groups[4].parse().expect("a number"),
            None,
        ))
    });
    (results, requests.collect())
}

#[test]
fn every_type_of_text_matches_as_the_crate_regex_does() {
    on_every_executor_and_processes(|context| {
        let owned = context.from_vec_partitioned(LINES.map(str::to_owned).to_vec(), 3);
        let bytes = || owned.clone().map(String::into_bytes);
        assert_eq!(all(&owned).unwrap(), expected());
        assert_eq!(all(&owned.clone().as_text()).unwrap(), expected());
        // In bytes, an expression may match an empty part of a character.
        let in_bytes = |(mut results, requests): (Vec<Vec<String>>, _)| {
            results.remove(3);
            (results, requests)
        };
        assert_eq!(in_bytes(all(&bytes()).unwrap()), in_bytes(expected()));
        assert_eq!(
            in_bytes(all(&bytes().as_text()).unwrap()),
            in_bytes(expected())
        );
        assert_eq!(all(&context.empty::<String>()).unwrap().0.concat(), [""; 0]);
    });
}

#[test]
fn bytes_need_not_be_utf8() {
    on_every_executor_and_processes(|context| {
        let bytes = || context.from_vec(vec![b"a\xff1 b".to_vec(), b"\xfe\xfe".to_vec()]);
        let bad = bytes().find_matches(r"(?-u)[\x80-\xff]+").unwrap();
        assert_eq!(bad.collect().unwrap(), [&b"\xff"[..], b"\xfe\xfe"]);
        let words = bytes().unicode_words().collect().unwrap();
        assert_eq!(words, [b"a", b"1", b"b"]);
        let error = bytes().captures::<String>("(?-u)(a.)").unwrap().collect();
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("captures") && error.contains("utf-8"),
            "{error}"
        );
    });
}

#[test]
fn errors_name_the_pattern_or_the_group() {
    let lines = || holdall::from_vec(LINES.map(str::to_owned).to_vec());
    let error = lines().matching("(").err().unwrap().to_string();
    assert!(error.contains("unclosed group"), "{error}");
    let numbers = lines().captures::<(u8, u8)>(r"(\d+)\D+(\d+)$").unwrap();
    let error = numbers.collect().unwrap_err().to_string();
    assert!(error.contains("field 2"), "{error}");
    let missing = lines().captures::<(u8, u8)>(r"(\d+)").unwrap();
    let error = missing.collect().unwrap_err().to_string();
    assert!(error.ends_with("field 2 is missing"), "{error}");
}

#[test]
fn keys_stay_in_place() {
    let words = holdall::from_vec(vec!["a1", "b", "a1"])
        .map(str::to_owned)
        .distinct();
    let kept = words.matching("[0-9]").unwrap().count_by_value();
    assert_eq!(kept.collect().unwrap(), [("a1".to_owned(), 1)]);
    assert_eq!(kept.explain().stages().len(), 2);
}
