//! Fixed bugs. The comment of each test describes the bug.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use holdall::{Bag, Context, ErrorKind, Executor, Result, TextReader};
use serde::{Deserialize, Serialize};

use crate::common::{Files, ON_PURPOSE, on_every_executor, quiet_panics, within_the_limit};

/// A bag with a state had no `Debug` output, although a bag has.
#[test]
fn a_bag_with_a_state_can_be_printed() {
    let text = format!("{:?}", holdall::range(0..10).with(42));
    assert!(
        text.starts_with(
            "BagWith { bag: Bag { operator: \"range\", location: tests/suite/regressions.rs:"
        ),
        "{text}"
    );
    assert!(text.ends_with("state: 42 }"), "{text}");
}

/// On a pool without threads nothing ran, and each action returned its result for an empty bag.
#[test]
fn a_pool_without_threads_is_refused() {
    let error = Context::builder()
        .executor(Executor::Threads(0))
        .build()
        .unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::InvalidSetting {
                setting: "executor",
                ..
            }
        ),
        "{error}"
    );
}

/// The error for an invalid partition size used an internal name of the setting.
#[test]
fn partition_bytes_are_refused_by_their_name() {
    let files = Files::new();
    let error = TextReader::new()
        .partition_bytes(0)
        .read(files.write("f", "text"))
        .unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::InvalidSetting {
                setting: "partition_bytes",
                ..
            }
        ),
        "{error}"
    );
}

/// The error of a type's own code was formatted as `OtherString("…")`.
#[test]
fn a_type_that_cannot_be_carried_says_so_itself() {
    #[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(try_from = "u8", into = "u8")]
    struct Even(u8);

    impl TryFrom<u8> for Even {
        type Error = &'static str;

        fn try_from(n: u8) -> Result<Self, &'static str> {
            if n.is_multiple_of(2) {
                Ok(Self(n))
            } else {
                Err("it is odd")
            }
        }
    }

    impl From<Even> for u8 {
        fn from(even: Even) -> Self {
            even.0
        }
    }

    on_every_executor(|context| {
        let keys = context.from_vec(vec![Even(2), Even(3)]);
        let error = keys.distinct().count().unwrap_err();
        let ErrorKind::Codec { reason, .. } = error.kind() else {
            panic!("{error}");
        };
        assert_eq!(
            reason,
            "decoding does not return the value that was encoded: `Serialize` and `Deserialize` disagree, as they do \
             for variants after one with `#[serde(skip)]` and for fields after one with `#[serde(skip_deserializing)]`: \
             it is odd"
        );
    });
}

/// An error after an erased bag named the line that the source had reached, not the line of the record.
#[test]
fn behind_an_erased_bag_no_wrong_line_is_named() {
    quiet_panics();
    on_every_executor(|context| {
        let files = Files::new();
        let numbered =
            |range: std::ops::Range<u64>| range.map(|n| format!("{n}\n")).collect::<String>();
        let paths = [
            files.write("a", numbered(0..500)),
            files.write("b", numbered(500..1_000)),
        ];
        let numbers = context
            .read_text(&paths)
            .unwrap()
            .map(|line| line.parse::<u64>().unwrap());
        let is_bad = |n: u64| n == 333;
        let panicking = numbers
            .clone()
            .boxed()
            .inspect(move |n| assert!(!is_bad(*n), "{ON_PURPOSE}"));
        let failing = numbers
            .clone()
            .boxed()
            .try_map(move |n| if is_bad(n) { Err("bad") } else { Ok(n) });
        for error in [panicking.count().unwrap_err(), failing.count().unwrap_err()] {
            let place = error.context().unwrap();
            assert_eq!(
                (place.partition, &place.path, place.offset),
                (Some(0), &None, None),
                "{error}"
            );
        }
        // Before the erased bag, and for records that cross it one by one like text, the line is known.
        let before = numbers
            .inspect(move |n| assert!(!is_bad(*n), "{ON_PURPOSE}"))
            .boxed();
        let lines = context.read_text(&paths).unwrap().boxed();
        let text = lines.inspect(|line| assert!(line != "333", "{ON_PURPOSE}"));
        let offset = numbered(0..333).len() as u64;
        for error in [before.count().unwrap_err(), text.count().unwrap_err()] {
            let place = error.context().unwrap();
            assert_eq!(
                (place.path.as_deref(), place.offset),
                (Some(&*paths[0]), Some(offset)),
                "{error}"
            );
        }
    });
}

/// If a partition could be read only in part, `iter` returned the output of `map_partitions` for that part before the
/// error.
#[test]
fn a_partition_that_cannot_be_read_is_not_counted() {
    on_every_executor(|context| {
        let files = Files::new();
        // More than a block of text, so that records are read before the error occurs.
        let text = [&b"line\n".repeat(200_000)[..], b"\xff\n"].concat();
        let lines = context.read_text(files.write("f", text)).unwrap();
        let counts = lines.map_partitions(|lines, emit| {
            let mut count = 0;
            lines.for_each(|_| count += 1);
            emit(count);
        });
        let items: Vec<Result<u64>> = counts.iter().unwrap().collect();
        assert_eq!(items.len(), 1, "{items:?}");
        assert!(matches!(
            items[0].as_ref().unwrap_err().kind(),
            ErrorKind::InvalidUtf8 {
                offset: 1_000_000,
                ..
            }
        ));
    });
}

/// The error for a panic in the iterator of a source did not name the source.
#[test]
fn a_panic_in_an_iterator_says_whose_it_is() {
    quiet_panics();
    on_every_executor(|context| {
        let good = context.from_iter(0..10);
        let bad = context.from_iter((0..10).inspect(|n| assert!(*n < 5, "{ON_PURPOSE}")));
        let error = good.union(bad).count().unwrap_err();
        let place = error.context().unwrap();
        assert_eq!((place.stage, place.operator), (Some(1), Some("from_iter")));
        assert!(
            place
                .location
                .is_some_and(|location| location.file() == file!())
        );
    });
}

/// The error for a panic in merging results named partition 0.
#[test]
fn a_panic_in_merging_is_in_no_partition() {
    quiet_panics();
    on_every_executor(|context| {
        let numbers = context.range_partitioned(0..10, 10);
        let error = numbers.aggregate(
            0,
            |a, b| a + b,
            |a, b| if b < 7 { a + b } else { panic!("{ON_PURPOSE}") },
        );
        let error = error.unwrap_err();
        let place = error.context().unwrap();
        assert_eq!(
            (place.stage, place.operator, place.partition),
            (Some(1), Some("aggregate"), None)
        );
    });
}

/// If the records before them were not taken, records of many small partitions accumulated without a limit.
#[test]
fn what_waits_for_iter_to_take_it_is_bounded() {
    /// The documented limit, plus records in transit.
    const MOST: usize = 80_000;
    let sources: [fn(&Context) -> Bag<u64>; 2] = [
        |context| context.from_iter(0..).boxed(),
        |context| context.range_partitioned(0..5_000_000, 100_000).boxed(),
    ];
    within_the_limit("threads:2", move || {
        let context = Context::builder()
            .threads(2)
            .progress(false)
            .build()
            .unwrap();
        for source in sources {
            let seen = Arc::new(AtomicUsize::new(0));
            let see = Arc::clone(&seen);
            let numbers =
                source(&context).inspect(move |_| _ = see.fetch_add(1, Ordering::Relaxed));
            let mut taken = 0;
            for n in numbers.iter().unwrap().take(400_000) {
                assert_eq!(n.unwrap(), taken as u64);
                taken += 1;
                // While `iter` is not polled, give the tasks time to exceed the limit.
                let (mut last, mut quiet) = (0, 0);
                while taken % 100_000 == 1 && quiet < 20_000 {
                    let now = seen.load(Ordering::Relaxed);
                    assert!(now <= taken + 2 * MOST, "{now} records for {taken}");
                    quiet = if now == last { quiet + 1 } else { 0 };
                    last = now;
                    std::thread::yield_now();
                }
            }
            assert_eq!(taken, 400_000);
        }
    });
}

/// A `main` that returned an error printed the fields of a struct.
#[test]
fn an_error_prints_as_a_sentence_with_its_causes() {
    let error = holdall::read_text("no/such/file").unwrap_err();
    let place = error.context().unwrap();
    assert_eq!(
        format!("{error:?}"),
        format!("no input file at no/such/file{place}")
    );

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("no number")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let numbers = holdall::from_vec(vec!["x"]).try_map(|text| text.parse::<u32>().map_err(Outer));
    let text = format!("{:?}", numbers.collect().unwrap_err());
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines[0].starts_with("a closure failed in try_map at tests/suite/regressions.rs:"),
        "{text}"
    );
    assert!(lines[0].ends_with(": no number"), "{text}");
    assert_eq!(lines[1..], ["caused by: invalid digit found in string"]);
}
