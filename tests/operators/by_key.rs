//! `write_text_by_key`: a directory for each key, all of them or none.

use std::fmt;
use std::fs;

use holdall::{Compression, Context, ErrorKind, TextWriter};
use serde::{Deserialize, Serialize};

use crate::common::{Files, names_in, on_every_executor_and_processes};

fn lines(context: &Context, path: impl AsRef<std::path::Path>) -> Vec<String> {
    let bag = context.read_text(path.as_ref());
    bag.and_then(|bag| bag.collect()).expect("no error")
}

#[test]
fn each_key_has_a_directory_with_its_values_in_order() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = files.path("out");
        let pairs = context
            .range(0..6_000_u64)
            .map(|n| (format!("k{}", n % 50), n));
        let written = pairs.write_text_by_key(&path).unwrap();
        assert_eq!((written.records, written.files.len()), (6_000, 50));
        let size: u64 = written
            .files
            .iter()
            .map(|file| fs::metadata(file).unwrap().len())
            .sum();
        assert_eq!(written.bytes, size);
        assert_eq!(names_in(&path).len(), 50);
        for key in 0..50_u64 {
            let expected: Vec<_> = (key..6_000).step_by(50).map(|n| n.to_string()).collect();
            assert_eq!(lines(context, path.join(format!("k{key}"))), expected);
        }
        assert_eq!(names_in(files.root()), ["out"]);
        let again = pairs.write_text_by_key(&path).unwrap_err();
        assert!(
            matches!(again.kind(), ErrorKind::OutputExists { .. }),
            "{again}"
        );
    });
}

#[test]
fn an_error_leaves_nothing_behind() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = files.path("out");
        let pairs = context.range(0..2_000_u64).map(|n| (n % 10, n));
        let failing = pairs.clone().try_map(|(key, n)| match n {
            1_999 => Err("on purpose"),
            n => Ok((key, n)),
        });
        assert!(failing.write_text_by_key(&path).is_err());
        let long = pairs.map(|(key, n)| ("x".repeat(200 + 10 * key as usize), n));
        let error = long.write_text_by_key(&path).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Io { .. }), "{error}");
        assert!(names_in(files.root()).is_empty());
    });
}

#[test]
fn keys_become_names_that_are_possible() {
    let files = Files::new();
    let path = files.path("made");
    fs::create_dir(&path).unwrap();
    let keys = ["a/b", "..", "", ".hidden", "_x", "caf\u{e9}", "50%"];
    let pairs = holdall::from_vec(keys.map(|key| (key.to_owned(), key.len())).to_vec());
    let writer = TextWriter::new()
        .compression(Compression::Lz4)
        .header("length");
    writer.write_by_key(&pairs, &path).unwrap();
    let expected = [
        "%",
        "%2E.",
        "%2Ehidden",
        "%5Fx",
        "50%25",
        "a%2Fb",
        "caf\u{e9}",
    ];
    assert_eq!(names_in(&path), expected);
    assert_eq!(names_in(files.root()), ["made"]);
    let context = Context::default();
    assert_eq!(lines(&context, path.join("a%2Fb")), ["length", "3"]);
    // All of them are read.
    assert_eq!(lines(&context, &path).len(), 2 * keys.len());
    let refused = writer
        .append(true)
        .write_by_key(&pairs, files.path("new"))
        .unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::InvalidSetting { .. }));
}

/// Keys of which several are displayed in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Coarse(u64);

impl fmt::Display for Coarse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 / 100)
    }
}

#[test]
fn keys_that_look_the_same_share_a_directory() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = files.path("out");
        let pairs = context.range(0..200_u64).map(|n| (Coarse(n), n));
        let written = pairs.write_text_by_key(&path).unwrap();
        assert_eq!((written.records, written.files.len()), (200, 200));
        assert_eq!(names_in(&path), ["0", "1"]);
        let mut found = lines(context, path.join("1"));
        found.sort();
        assert_eq!(found, (100..200).map(|n| n.to_string()).collect::<Vec<_>>());
    });
}
