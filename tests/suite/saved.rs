//! `save`, `load` and `checkpoint`: the same bag, in another program and from damaged files too.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use holdall::{Bag, BagWriter, Context, Error, ErrorKind, Pipeline, Storable, StorageLevel};
use serde::{Deserialize, Serialize};

use crate::common::{
    Files, ON_PURPOSE, names_in, on_every_executor, on_every_executor_and_processes, quiet_panics,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    station: String,
    number: i64,
    celsius: Option<f32>,
    tags: BTreeMap<char, (bool, u128)>,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Dry,
    Wet(u8),
    Odd { bytes: Vec<u8>, nested: Box<Kind> },
}

fn reading(n: u64) -> Reading {
    let kind = match n % 3 {
        0 => Kind::Dry,
        1 => Kind::Wet(n as u8),
        _ => Kind::Odd {
            bytes: vec![n as u8; n as usize % 5],
            nested: Box::new(Kind::Wet(1)),
        },
    };
    Reading {
        station: format!("station {}", n % 7),
        number: -(n as i64) * 1_000_003,
        celsius: n.is_multiple_of(2).then_some(n as f32 / 4.0),
        tags: (0..n % 3)
            .map(|tag| {
                (
                    char::from(b'a' + tag as u8),
                    (true, u128::MAX - u128::from(n)),
                )
            })
            .collect(),
        kind,
    }
}

/// Returns the records of each partition.
fn parts<T: Storable<Owned = T>, P: Pipeline<Out = T>>(bag: &Bag<T, P>) -> Vec<Vec<T>> {
    let partitions = bag.partitions().expect("a loaded bag knows it");
    let part = |partition| {
        bag.clone()
            .select_partitions([partition])
            .collect()
            .expect("it can be read")
    };
    (0..partitions).map(part).collect()
}

fn assert_invalid(error: &Error, reason: &str) {
    assert!(
        matches!(error.kind(), ErrorKind::InvalidBag { .. }) && error.to_string().contains(reason),
        "{error}, not {reason}"
    );
    assert!(!error.is_damage(), "no shuffle is recomputed");
}

#[test]
fn a_loaded_bag_is_the_one_that_was_saved() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = files.path("readings");
        let readings = context
            .range_partitioned(0..2_000_u64, 7)
            .map(reading)
            .boxed();
        let written = readings.save(&path).unwrap();
        assert_eq!((written.records, written.files.len()), (2_000, 7));
        let bytes = |file| fs::metadata(file).unwrap().len();
        assert_eq!(written.bytes, written.files.iter().map(bytes).sum::<u64>());
        let loaded = context.load::<Reading>(&path).unwrap();
        assert_eq!(parts(&loaded), parts(&readings));

        // Nothing else is left, and the bytes are the same everywhere.
        assert_eq!(files.names(), ["readings"]);
        let again = holdall::range_partitioned(0..2_000_u64, 7).map(reading);
        again.save(files.path("again")).unwrap();
        for name in names_in(&path) {
            let content = |of| fs::read(files.path(of).join(&name)).unwrap();
            assert!(content("readings") == content("again"), "{name}");
        }
    });
}

#[test]
fn text_and_bytes_are_saved_as_they_are() {
    on_every_executor(|context| {
        let files = Files::new();
        let texts: Vec<String> = (0..300).map(|n| "é\n".repeat(n * n % 5_000)).collect();
        let lent = context
            .from_vec(texts.clone())
            .flat_map_str(|text, emit| emit(&text));
        lent.save(files.path("text")).unwrap();
        let loaded = context.load::<str>(files.path("text")).unwrap();
        assert_eq!(loaded.collect().unwrap(), texts);
        let owned = context.load::<String>(files.path("text")).unwrap();
        assert_eq!(owned.collect().unwrap(), texts);
        let bytes = loaded
            .map(|text| text.as_bytes().to_vec())
            .checkpoint(files.path("bytes"))
            .unwrap();
        assert_eq!(bytes.count().unwrap(), 300);
        let lent = context.load::<[u8]>(files.path("bytes")).unwrap();
        assert_eq!(
            lent.map(<[u8]>::len).sum::<usize>().unwrap(),
            texts.concat().len()
        );
        for wrong in [
            context.load::<str>(files.path("bytes")).unwrap_err(),
            context
                .load::<Box<str>>(files.path("text"))
                .map(|_| ())
                .unwrap_err(),
        ] {
            assert!(
                matches!(wrong.kind(), ErrorKind::WrongRecordType { .. }),
                "{wrong}"
            );
        }
    });
}

#[test]
fn bags_of_any_number_of_partitions_are_saved() {
    on_every_executor(|context| {
        let files = Files::new();
        let path = |name| files.path(name);
        context
            .from_iter(0..5_000_u32)
            .save(path("unknown"))
            .unwrap();
        let loaded = context.load::<u32>(path("unknown")).unwrap();
        assert_eq!(loaded.collect().unwrap(), (0..5_000).collect::<Vec<_>>());
        let none = context.empty::<u32>().checkpoint(path("none")).unwrap();
        assert_eq!((none.partitions(), none.count().unwrap()), (Some(0), 0));
        let sparse = context.range_partitioned(0..3_u32, 5);
        let sparse = sparse.checkpoint(path("sparse")).unwrap();
        assert_eq!((sparse.partitions(), sparse.count().unwrap()), (Some(5), 3));
        let long = context.from_vec(vec!["x".repeat(3 << 20), String::new()]);
        let long = long.checkpoint(path("long")).unwrap();
        assert_eq!(long.map(|text| text.len()).collect().unwrap(), [3 << 20, 0]);
        // A bag of something that has no bytes.
        let units = context.range_partitioned(0..100_000_u32, 2).map(|_| ());
        assert_eq!(
            units.checkpoint(path("units")).unwrap().count().unwrap(),
            100_000
        );
    });
}

fn stages(context: &Context) -> usize {
    context.last_job().map_or(0, |job| job.stages.len())
}

#[test]
fn a_loaded_bag_is_still_partitioned_by_key() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = |name| files.path(name);
        let pairs = context
            .range(0..3_000_u64)
            .map(|n| (format!("key {}", n % 500), n));
        let sums = pairs.clone().shuffle_partitions(5).sum_by_key();
        sums.save(path("sums")).unwrap();
        let load = || context.load::<(String, u64)>(path("sums")).unwrap();
        assert_eq!(load().partitions(), Some(5));

        let again = load().reduce_by_key(|a, b| a + b);
        assert_eq!(again.collect().unwrap(), sums.collect().unwrap());
        assert_eq!(load().reduce_by_key(|a, b| a + b).partitions(), Some(5));
        again.count().unwrap();
        assert_eq!(stages(context), 1);
        let joined = load().join(load().map_values(|sum| sum + 1));
        assert_eq!(joined.count().unwrap(), 500);
        assert_eq!(stages(context), 1);
        // Only the other side is shuffled.
        let joined = load().join(pairs.clone());
        assert_eq!(joined.count().unwrap(), 3_000);
        assert_eq!(stages(context), 2);

        // Records that are keys themselves, as text too.
        let words = pairs.clone().keys().distinct();
        words.save(path("words")).unwrap();
        let words = context.load::<str>(path("words")).unwrap();
        assert_eq!(words.distinct().count().unwrap(), 500);
        assert_eq!(stages(context), 1);
        // Pairs by the whole pair are not in the partition of their first side.
        let distinct = pairs.clone().map_values(|n| n % 2).distinct();
        let distinct = distinct.checkpoint(path("distinct")).unwrap();
        assert_eq!(distinct.clone().distinct().count().unwrap(), 500);
        assert_eq!(stages(context), 1);
        assert_eq!(distinct.count_by_key().count().unwrap(), 500);
        assert_eq!(stages(context), 2);
        // Nor is a bag that was not partitioned by key.
        let plain = pairs.checkpoint(path("plain")).unwrap();
        assert_eq!(plain.sum_by_key().count().unwrap(), 500);
        assert_eq!(stages(context), 2);
    });
}

/// The bag that version 1 of the format was saved from.
fn first_version(context: &Context) -> Bag<(String, Reading)> {
    let keyed = context
        .range(0..40)
        .map(|n| (format!("key {}", n % 13), reading(n)));
    keyed.partition_by(3)
}

/// The files were written by `first_version(..).save("tests/saved_v1")`. They must never be replaced.
#[test]
fn the_first_version_can_be_read_for_ever() {
    on_every_executor(|context| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/saved_v1");
        let loaded = context.load::<(String, Reading)>(path).unwrap();
        let expected = first_version(context);
        assert_eq!(parts(&loaded), parts(&expected));
        let joined = loaded.clone().join(expected.clone());
        assert_eq!(joined.count().unwrap(), 12 * 9 + 16);
        let counts = expected.count_by_key().collect().unwrap();
        assert_eq!(loaded.count_by_key().collect().unwrap(), counts);
        assert_eq!(
            stages(context),
            1,
            "keys are in the same partitions as ever"
        );
    });
}

#[test]
fn a_checkpoint_cuts_the_lineage() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = files.path("checkpoint");
        let writer = BagWriter::new().overwrite(true).durable(false);
        let mut counts = context
            .range(0..1_000_u64)
            .map(|n| (n % 10, n))
            .sum_by_key();
        for _ in 0..20 {
            counts = writer
                .checkpoint(&counts.map_values(|n| n + 1), &path)
                .unwrap()
                .boxed();
            assert_eq!(counts.explain().stages().len(), 1);
        }
        let expected: u64 = (0..1_000).sum::<u64>() + 20 * 10;
        assert_eq!(counts.map(|(_, n)| n).sum::<u64>().unwrap(), expected);
        assert_eq!(files.names(), ["checkpoint"]);
    });
}

#[test]
fn a_bag_whose_files_were_replaced_is_an_error() {
    let files = Files::new();
    let path = files.path("numbers");
    holdall::range_partitioned(0..10_000, 1)
        .save(&path)
        .unwrap();
    let old = holdall::load::<i32>(&path).unwrap();
    let writer = BagWriter::new().overwrite(true);
    writer
        .save(&holdall::range_partitioned(1..10_001, 1), &path)
        .unwrap();
    assert_invalid(
        &old.count().unwrap_err(),
        "the file is not the one that was saved",
    );
    // A text output replaces it too, and the other way round.
    let text = holdall::TextWriter::new().overwrite(true);
    text.write(&holdall::range(0..3), &path).unwrap();
    assert_invalid(
        &holdall::load::<i32>(&path).unwrap_err(),
        "it has no file `_bag`",
    );
    writer.save(&holdall::range(0..3), &path).unwrap();
    assert_eq!(holdall::load::<i32>(&path).unwrap().count().unwrap(), 3);
    let error = holdall::range(0..3).save(&path).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::OutputExists { .. }),
        "{error}"
    );
    fs::write(path.join("thesis"), "precious").unwrap();
    let error = writer.save(&holdall::range(0..3), &path).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::NotAnOutput { .. }),
        "{error}"
    );
}

#[test]
fn what_is_no_saved_bag_is_refused() {
    let files = Files::new();
    let load = |name: &str| holdall::load::<u64>(files.path(name)).unwrap_err();
    assert!(matches!(load("nowhere").kind(), ErrorKind::NoInput { .. }));
    files.write("file", "text");
    assert!(load("file").is_io(), "{}", load("file"));
    files.write("text/part-00000", "text");
    assert_invalid(&load("text"), "it has no file `_bag`");
    files.write("other/_bag", "something else, of some length");
    assert_invalid(&load("other"), "does not begin like that of a saved bag");
    files.write("short/_bag", "holdall");
    assert_invalid(&load("short"), "cut short");
    files.write("newer/_bag", b"holdall bag\n\x02\0\0\0whatever");
    let error = load("newer");
    assert!(
        matches!(
            error.kind(),
            ErrorKind::UnsupportedVersion {
                version: 2,
                supported: 1,
                ..
            }
        ),
        "{error}"
    );
    files.write("version/_bag", b"holdall bag\n\x01\0\0\0");
    assert_invalid(&load("version"), "cut short");
}

#[test]
fn records_of_another_type_are_refused() {
    #[derive(Serialize, Deserialize)]
    struct Point {
        x: f64,
        y: f64,
    }
    /// The same type in another version of the program.
    mod later {
        #[derive(Debug, serde::Serialize, serde::Deserialize)]
        pub(super) struct Point {
            pub(super) y: f64,
            pub(super) x: f64,
        }
    }
    let files = Files::new();
    let path = files.path("points");
    let points = holdall::range(0..10).map(|n| Point {
        x: f64::from(n),
        y: 0.0,
    });
    points.save(&path).unwrap();
    let sum = holdall::load::<Point>(&path)
        .unwrap()
        .map(|point| point.x + point.y);
    assert_eq!(sum.sum::<f64>().unwrap(), 45.0);
    let error = holdall::load::<later::Point>(&path).unwrap_err();
    assert!(
        error.to_string().ends_with(
            "its records are of type struct Point {x: f64, y: f64}, not struct Point {y: f64, x: f64}"
        ),
        "{error}"
    );
    for error in [
        holdall::load::<(f64, f64)>(&path).map(|_| ()).unwrap_err(),
        holdall::load::<Kind>(&path).map(|_| ()).unwrap_err(),
        holdall::load::<[u8]>(&path).map(|_| ()).unwrap_err(),
    ] {
        assert!(
            matches!(error.kind(), ErrorKind::WrongRecordType { .. }),
            "{error}"
        );
    }
}

/// Saves numbers in two files of several frames.
fn save_numbers(path: &Path) -> Vec<u64> {
    let numbers = holdall::range_partitioned(0..60_000_u64, 2)
        .map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 << 63);
    BagWriter::new()
        .overwrite(true)
        .durable(false)
        .save(&numbers, path)
        .expect("room for it");
    numbers.collect().expect("nothing fails")
}

#[test]
fn any_damage_of_a_saved_bag_is_found() {
    let files = Files::new();
    let path = files.path("numbers");
    let load = || holdall::load::<u64>(&path).and_then(|bag| bag.collect());
    let numbers = save_numbers(&path);
    assert_eq!(load().unwrap(), numbers);
    for name in ["part-00001", "_bag"] {
        let file = path.join(name);
        let content = fs::read(&file).unwrap();
        let length = content.len();
        for at in [0, 3, 5, 9, 13, 17, 19, 25, length / 2, length - 1] {
            let mut damaged = content.clone();
            damaged[at] ^= 0x10;
            fs::write(&file, damaged).unwrap();
            let error = load().unwrap_err();
            let is_version = matches!(error.kind(), ErrorKind::UnsupportedVersion { .. });
            assert!(
                is_version || matches!(error.kind(), ErrorKind::InvalidBag { .. }),
                "{at}: {error}"
            );
            assert!(error.to_string().contains(name), "{error}");
        }
        for length in [0, 1, 19, length / 2, length - 1] {
            fs::write(&file, &content[..length]).unwrap();
            assert_invalid(&load().unwrap_err(), name);
        }
        fs::remove_file(&file).unwrap();
        assert_invalid(&load().unwrap_err(), name);
        fs::write(&file, &content).unwrap();
        assert_eq!(load().unwrap(), numbers);
    }
}

#[test]
fn files_that_are_intact_but_not_in_their_place_are_found() {
    let files = Files::new();
    let path = files.path("numbers");
    let numbers = save_numbers(&path);
    let part = |number: usize| path.join(format!("part-0000{number}"));
    let contents = [0, 1].map(|number| fs::read(part(number)).unwrap());
    assert_eq!(
        contents[0].len(),
        contents[1].len(),
        "so that only the content tells"
    );
    let bag = holdall::load::<u64>(&path).unwrap();
    fs::write(part(0), &contents[1]).unwrap();
    assert_invalid(
        &bag.collect().unwrap_err(),
        "the file is not the one that was saved",
    );
    // Its last frame is missing, after the bag was loaded.
    let frames = frame_starts(&contents[0]);
    fs::write(part(0), &contents[0][..*frames.last().unwrap()]).unwrap();
    assert_invalid(&bag.collect().unwrap_err(), "cut short");
    // Two of its frames have changed places.
    let (first, second) = (frames[1], frames[2]);
    let swapped = [
        &contents[0][first..second],
        &contents[0][..first],
        &contents[0][second..],
    ]
    .concat();
    fs::write(part(0), swapped).unwrap();
    assert_invalid(
        &bag.collect().unwrap_err(),
        "the file is not the one that was saved",
    );
    fs::write(part(0), &contents[0]).unwrap();
    assert_eq!(bag.collect().unwrap(), numbers);
}

/// Returns the offset of each frame.
fn frame_starts(content: &[u8]) -> Vec<usize> {
    let mut starts = vec![0];
    while let Some(header) = content
        .get(starts[starts.len() - 1]..)
        .filter(|rest| rest.len() > 20)
    {
        let stored = u32::from_le_bytes(header[4..8].try_into().expect("four bytes"));
        starts.push(starts[starts.len() - 1] + 20 + stored as usize);
    }
    starts.pop();
    starts
}

#[test]
fn a_job_that_fails_leaves_nothing() {
    quiet_panics();
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = files.path("bag");
        let fails = context.range(0..1_000_u64).map(|n| {
            assert!(n < 700, "{ON_PURPOSE}");
            n
        });
        let error = fails.save(&path).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::TaskPanicked { .. }),
            "{error}"
        );
        assert_eq!(files.names(), [""; 0]);
        context.range(0..9_u64).save(&path).unwrap();
        let writer = BagWriter::new().overwrite(true);
        writer.checkpoint(&fails, &path).unwrap_err();
        assert_eq!(context.load::<u64>(&path).unwrap().count().unwrap(), 9);
        assert_eq!(files.names(), ["bag"]);
    });
}

#[test]
fn records_that_do_not_come_back_are_not_saved() {
    #[derive(Clone, Serialize, Deserialize)]
    struct Partial {
        kept: u64,
        #[serde(skip_deserializing)]
        dropped: u64,
    }
    let files = Files::new();
    let partial = holdall::range(0..10_u64).map(|n| Partial {
        kept: n,
        dropped: n,
    });
    let error = partial.save(files.path("bag")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Codec { .. }), "{error}");
    assert_eq!(error.context().unwrap().operator, Some("save"));
    assert_eq!(files.names(), [""; 0]);
}

#[test]
fn an_error_names_the_file_and_the_record() {
    let files = Files::new();
    let path = files.path("numbers");
    holdall::range_partitioned(0..10, 2).save(&path).unwrap();
    let fails = holdall::load::<i32>(&path).unwrap().map(|n| 1 / (n - 7));
    quiet_panics();
    let error = fails.count().unwrap_err();
    let place = error.context().unwrap();
    assert_eq!(place.path.as_deref(), Some(&*path.join("part-00001")));
    assert_eq!(place.record, Some(3));
}

#[test]
fn an_output_that_is_resumed_belongs_to_its_input() {
    if !cfg!(target_os = "linux") {
        return;
    }
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = files.path("bag");
        let text = files.write("text", "one two\nthree\n");
        let run = |version: &str, overwrite: bool, add: u64| {
            let words = context.read_text(&text).unwrap().words();
            let counts = words.map(|word| (word.len() as u64, 1)).sum_by_key();
            let counts = counts.with(add).map(|add, (len, n)| (len, n + add));
            let writer = BagWriter::new().resume(version).overwrite(overwrite);
            let saved = writer.checkpoint(&counts, &path)?;
            let mut counts = saved.collect()?;
            counts.sort_unstable();
            assert_eq!(files.names(), ["bag", "text"], "nothing is left");
            Ok::<_, Error>(counts)
        };
        let written = || fs::metadata(path.join("_bag")).unwrap().modified().unwrap();
        assert_eq!(run("", false, 0).unwrap(), [(3, 2), (5, 1)]);
        let first = written();
        assert_eq!(run("", false, 0).unwrap(), [(3, 2), (5, 1)]);
        assert_eq!(written(), first);
        // Everything that is different has another key.
        for (version, add) in [("2", 0), ("", 1)] {
            let error = run(version, false, add).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::OutputExists { .. }),
                "{error}"
            );
        }
        assert_eq!(run("", true, 1).unwrap(), [(3, 3), (5, 2)]);
        fs::write(&text, "one two\nfour\nthree\n").unwrap();
        assert_eq!(run("", true, 1).unwrap(), [(3, 3), (4, 2), (5, 2)]);
    });
}

#[test]
fn what_has_no_key_is_not_resumed() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let files = Files::new();
    let path = files.path("bag");
    let writer = BagWriter::new().resume("");
    let three = files.names().len() as u64 + 3;
    let captures = holdall::range(0..10_u64).map(move |n| n * three);
    let error = writer.save(&captures, &path).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::CapturingClosure { .. }),
        "{error}"
    );
    let unknown = holdall::from_iter(0..10_u64);
    for error in [
        writer.save(&unknown, &path).unwrap_err(),
        writer.save(&unknown.repartition(3), &path).unwrap_err(),
    ] {
        assert!(
            matches!(
                error.kind(),
                ErrorKind::InvalidSetting {
                    setting: "BagWriter::resume",
                    ..
                }
            ),
            "{error}"
        );
    }
    assert_eq!(files.names(), [""; 0]);
    // Persisted records do not hide their input.
    let persist = |n| {
        holdall::range(0..n)
            .map(|n| n % 3)
            .distinct()
            .persist(StorageLevel::default())
    };
    for n in [2, 3] {
        let bag = persist(n);
        assert_eq!(bag.count().unwrap(), n);
        writer.clone().overwrite(true).save(&bag, &path).unwrap();
        assert_eq!(holdall::load::<u64>(&path).unwrap().count().unwrap(), n);
    }
    assert_eq!(files.names(), ["bag"]);
}
