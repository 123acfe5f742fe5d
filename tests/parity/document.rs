//! docs/PARITY.md names only methods that are called here, and all public methods of bags are called here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Check, actions, keyed, narrow, sources, stateful, statistics, text, wide};

/// Methods that need a feature, so that they are not always called here.
const FEATURES: [&str; 5] = [
    "captures",
    "find_matches",
    "matching",
    "not_matching",
    "unicode_words",
];

/// Methods that read files, or that other tests call: those of n-grams, of sinks, of tests/formats, and of other crates.
const ELSEWHERE: [&str; 24] = [
    "TextReader::encoding",
    "TextReader::max_window_bytes",
    "TextReader::zstd_dictionary",
    "TextWriter::append",
    "TextWriter::compression",
    "TextWriter::header",
    "TextWriter::single_file",
    "TextWriter::write_by_key",
    "BagWith::ngrams_by",
    "ngrams",
    "ngrams_by",
    "parse_json",
    "parse_json_or_skip",
    "holdall-frame",
    "holdall-stores",
    "read_archives",
    "read_avro",
    "read_csv",
    "read_json",
    "read_parquet",
    "write",
    "write_avro",
    "write_json",
    "write_parquet",
];

/// Number of features of the other libraries: rows of tables with methods, and without.
const ROWS: usize = 118;

fn checks() -> Vec<&'static Check> {
    let all = [
        actions::CHECKS,
        keyed::CHECKS,
        narrow::CHECKS,
        sources::CHECKS,
        stateful::CHECKS,
        statistics::CHECKS,
        text::CHECKS,
        wide::CHECKS,
    ];
    let all = all.into_iter();
    #[cfg(all(feature = "regex", feature = "unicode"))]
    let all = all.chain([text::features::CHECKS]);
    all.flatten().collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// A row of a table, with the headings of its first and last columns.
struct Row {
    headings: (String, String),
    first: String,
    last: String,
}

/// Returns the rows of all tables, without their headings.
fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("docs/PARITY.md")).expect("a text");
    let mut rows = Vec::new();
    let mut headings = None;
    for line in text.lines() {
        let cells = line
            .strip_prefix('|')
            .and_then(|line| line.strip_suffix('|'));
        let Some(cells) = cells else {
            headings = None;
            continue;
        };
        let cells: Vec<_> = cells.split('|').map(str::trim).collect();
        let [first, .., last] = cells[..] else {
            panic!("{line}: one cell");
        };
        let (first, last) = (first.to_owned(), last.to_owned());
        match &headings {
            None => headings = Some((first, last)),
            Some(_) if last.starts_with("---") => {}
            Some(headings) => rows.push(Row {
                headings: headings.clone(),
                first,
                last,
            }),
        }
    }
    rows
}

/// Returns the code in a cell.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn each_method_of_the_document_is_called() {
    let called: BTreeSet<_> = checks().iter().map(|check| check.name).collect();
    let is_called =
        |name: &str| called.contains(name) || FEATURES.contains(&name) || ELSEWHERE.contains(&name);
    let mut wrong = Vec::new();
    for row in rows().iter().filter(|row| row.headings.1 == "here") {
        if names(&row.last).next().is_none() {
            wrong.push(format!("{}: no method", row.first));
        }
        let unknown = names(&row.last).filter(|name| !is_called(name));
        wrong.extend(unknown.map(|name| format!("{}: {name} is not called", row.first)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_feature_is_in_one_table() {
    let mut seen = BTreeSet::new();
    for row in rows().into_iter().filter(|row| row.headings.0 == "feature") {
        assert!(["here", "why not"].contains(&&*row.headings.1));
        assert!(!row.last.is_empty(), "{}: nothing", row.first);
        assert!(
            seen.insert(row.first.clone()),
            "{} is there twice",
            row.first
        );
    }
    assert_eq!(seen.len(), ROWS);
}

#[test]
fn each_check_calls_its_method() {
    for check in checks() {
        let method = check.name.rsplit("::").next().expect("a name");
        let calls = check.code.match_indices(method).any(|(at, _)| {
            let after = &check.code[at + method.len()..];
            let before = check.code[..at].chars().next_back();
            let is_whole = !before.is_some_and(|c| c.is_alphanumeric() || c == '_');
            is_whole && after.trim_start().starts_with(['(', ':'])
        });
        let through_helper = ["Context::builder", "TextReader::read"].contains(&check.name)
            || check.name.starts_with("BagWith::map") && check.code.contains("state(");
        assert!(calls || through_helper, "{}: {}", check.name, check.code);
    }
}

/// Returns the name of the type of an `impl` block.
fn type_of(line: &str) -> Option<&'static str> {
    let types = [
        "BagWith<",
        "PerKey<",
        "Bag<",
        "TextReader",
        "TextWriter",
        "Context",
    ];
    let block = line.split(" where ").next()?.split("> ").last()?;
    let name = types
        .into_iter()
        .find(|name| block.starts_with(name) || line.contains(&format!(" {name}")))?;
    Some(name.trim_end_matches('<'))
}

/// Returns the public methods in src/bag, each with the name that its check has.
fn methods() -> BTreeMap<String, PathBuf> {
    let mut methods = BTreeMap::new();
    for entry in fs::read_dir(root().join("src/bag")).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.is_dir() {
            continue;
        }
        let mut of = None;
        for line in fs::read_to_string(&path).expect("a text").lines() {
            if line.starts_with("impl") {
                of = if line.contains(" for ") && !line.contains("for<") {
                    None
                } else {
                    type_of(line)
                };
            }
            let Some(rest) = line.strip_prefix("    pub fn ") else {
                continue;
            };
            let name = rest.split(['<', '(']).next().expect("a name");
            match of {
                None => continue,
                Some("Bag" | "Context") => methods.insert(name.to_owned(), path.clone()),
                Some(of) => methods.insert(format!("{of}::{name}"), path.clone()),
            };
        }
    }
    methods
}

#[test]
fn all_methods_of_bags_are_called_in_every_setting() {
    let called: BTreeSet<_> = checks().iter().map(|check| check.name).collect();
    let methods = methods();
    assert!(methods.len() > 230, "{} methods", methods.len());
    let without = [
        "TextReader::new",
        "TextWriter::new",
        "TextWriter::durable",
        "TextWriter::write",
    ];
    let is_called = |name: &str| {
        called.contains(name)
            || FEATURES.contains(&name)
            || ELSEWHERE.contains(&name)
            || without.contains(&name)
    };
    let missing: Vec<_> = methods.keys().filter(|name| !is_called(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
