//! `select_partitions` and `zip_partitions`, on every executor and with any kind of partitions.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use holdall::{Bag, Context, ErrorKind, Pipeline, RecordOrder, Records, StorageLevel};

use crate::common::{Files, ON_PURPOSE, on_every_executor_and_processes, quiet_panics};

/// Returns the records of each partition.
fn parts<T: Clone + Send + 'static + serde::Serialize + serde::Deserialize<'static>>(
    bag: &Bag<T, impl Pipeline<Out = T>>,
) -> Vec<Vec<T>> {
    let parts = bag.clone();
    let parts = parts.map_partitions(|records, emit| emit(records.collect()));
    parts.collect().expect("records")
}

/// Asserts that a call panics with this message.
#[track_caller]
fn assert_panics<R>(message: &str, call: impl FnOnce() -> R) {
    quiet_panics();
    let payload = catch_unwind(AssertUnwindSafe(call)).err().expect("a panic");
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    let text = text.expect("a message");
    assert!(text.contains(message), "{text}");
}

#[test]
fn selected_partitions_come_in_the_order_of_the_list() {
    on_every_executor_and_processes(|context| {
        let numbers = context.range_partitioned(0..1000, 10);
        let all = parts(&numbers);
        for selected in [
            vec![],
            vec![3],
            vec![9, 0, 4],
            (0..10).collect(),
            vec![5, 6, 7],
        ] {
            let bag = numbers.clone().select_partitions(selected.clone());
            assert_eq!(bag.partitions(), Some(selected.len()));
            let expected: Vec<_> = selected.iter().map(|index| all[*index].clone()).collect();
            assert_eq!(parts(&bag), expected);
            assert_eq!(bag.count().expect("a count"), 100 * selected.len() as u64);
        }
        let twice = numbers.select_partitions([8, 2, 5]).select_partitions(1..3);
        assert_eq!(parts(&twice), [all[2].clone(), all[5].clone()]);
    });
}

#[test]
fn partitions_of_text_and_of_pairs_can_be_selected() {
    let files = Files::new();
    for name in ["a", "b", "c"] {
        files.write(name, format!("{name}1\n{name}2\n"));
    }
    let root = files.root().to_owned();
    on_every_executor_and_processes(move |context| {
        let reader = holdall::TextReader::new().context(context);
        let lines = reader.partition_bytes(3).read(&root).expect("files");
        let all = parts(&lines.clone().map(str::to_owned));
        assert!(all.len() > 3, "{all:?}");
        for (index, part) in all.iter().enumerate() {
            let selected = lines.clone().select_partitions([index]);
            assert_eq!(selected.collect().expect("lines"), *part);
        }

        let counts = context.range(0..1000).map(|n| (n % 100, n)).sum_by_key();
        let all = parts(&counts);
        let some = counts.clone().select_partitions([40, 7, 8]);
        let expected = [40, 7, 8].map(|index: usize| all[index].clone());
        assert_eq!(parts(&some), expected);
        // The union reads the shuffle twice.
        let halves = counts.clone().select_partitions(32..64);
        let halves = halves.union(counts.select_partitions(0..32));
        let halves = parts(&halves);
        assert_eq!(halves[..32], all[32..]);
        assert_eq!(halves[32..], all[..32]);
    });
}

#[test]
fn nothing_else_is_computed() {
    static COMPUTED: AtomicUsize = AtomicUsize::new(0);
    let count = |n: u32| {
        COMPUTED.fetch_add(1, Ordering::SeqCst);
        n
    };
    let numbers = holdall::range_partitioned(0..1000, 10).map(count);
    assert_eq!(
        numbers.select_partitions([3, 1]).count().expect("a count"),
        200
    );
    assert_eq!(COMPUTED.swap(0, Ordering::SeqCst), 200);
    // From a stream, earlier partitions are pulled, but not computed.
    let numbers = holdall::from_iter(0..).map(count);
    let second = numbers.select_partitions([1]).collect().expect("records");
    assert!(second.into_iter().eq(64..192));
    assert_eq!(COMPUTED.load(Ordering::SeqCst), 128);
}

#[test]
fn partitions_of_a_stream_are_selected_as_they_come() {
    on_every_executor_and_processes(|context| {
        let numbers = context.from_iter(0..5000);
        let all = parts(&numbers);
        let some = numbers.clone().select_partitions([0, 2, 3]);
        assert_eq!(some.partitions(), None);
        assert_eq!(
            parts(&some),
            [all[0].clone(), all[2].clone(), all[3].clone()]
        );
        let stored = some.persist(StorageLevel::default());
        for _ in 0..2 {
            assert_eq!(parts(&stored)[2], all[3]);
        }
        let union = context.range_partitioned(0..10, 2).union(numbers.clone());
        assert_eq!(parts(&union.select_partitions([1, 3]))[1], all[1]);
        assert!(
            numbers
                .clone()
                .select_partitions([])
                .is_empty()
                .expect("an answer")
        );

        let known = all.len();
        let missing = numbers.select_partitions([0, known]);
        let error = missing.count().expect_err("there are not so many");
        assert!(
            matches!(error.kind(), ErrorKind::MissingPartition { .. }),
            "{error:?}"
        );
        let reason = format!("it has {known} partitions, so there is no partition {known}");
        assert!(error.to_string().ends_with(&reason), "{error}");
        assert!(
            error.to_string().contains(" in select_partitions at "),
            "{error}"
        );
    });
}

#[test]
fn a_wrong_selection_is_refused() {
    let numbers = || holdall::range_partitioned(0..10, 5);
    assert_panics("there is no partition 5: the bag has 5", || {
        numbers().select_partitions(3..)
    });
    assert_panics("each partition can be selected once", || {
        numbers().select_partitions([1, 2, 1])
    });
    assert_panics("in ascending order", || {
        holdall::from_iter(0..10).select_partitions([1, 0])
    });
}

#[test]
fn a_selection_is_in_the_plan() {
    let pairs = holdall::range(0..100).map(|n| (n, n)).partition_by(8);
    let order = |plan: &holdall::Plan| {
        let stage = plan.stages().last().expect("a stage");
        stage.operators.last().expect("an operator").order
    };
    let ascending = pairs.clone().select_partitions(2..5);
    assert_eq!(order(&ascending.explain()), RecordOrder::Kept);
    let plan = pairs.clone().select_partitions([2, 1]).explain();
    assert_eq!(order(&plan), RecordOrder::KeptWithinPartitions);
    assert_eq!(plan.stages()[1].operators[1].name, "select_partitions");
    assert_eq!(plan.stages()[1].partitions, Some(2));

    // Only if all partitions are selected are keys where a keyed method needs them.
    let stages = |bag: Bag<(i32, i32)>| bag.partition_by(8).explain().stages().len();
    assert_eq!(stages(pairs.clone().select_partitions(0..8).boxed()), 2);
    assert_eq!(stages(pairs.select_partitions(0..7).boxed()), 3);
}

/// Emits the pairs of the records of both sides.
fn pair_up(
    left: Records<'_, u64>,
    right: Records<'_, u64>,
    emit: &mut (dyn FnMut((u64, u64)) + '_),
) {
    let mut left = left.collect().into_iter();
    right.for_each(|right| {
        if let Some(left) = left.next() {
            emit((left, right));
        }
    });
}

#[test]
fn partitions_are_paired_in_order() {
    on_every_executor_and_processes(|context| {
        let left = context.range_partitioned(0..1000_u64, 7);
        let right = context.range_partitioned(1000..2000_u64, 7);
        let both = left
            .clone()
            .zip_partitions(right, |left, right, emit| pair_up(left, right, emit));
        assert_eq!(both.partitions(), Some(7));
        assert!(
            both.collect()
                .expect("pairs")
                .into_iter()
                .eq((0..1000).zip(1000..2000))
        );

        // One side is read while the other is at a record.
        let nested = left
            .clone()
            .zip_partitions(left.clone(), |left, right, emit| {
                let mut right = Some(right);
                left.for_each(|n| {
                    if let Some(right) = right.take() {
                        right.for_each(|m| emit(n * 10_000 + m));
                    }
                });
            });
        let expected: Vec<_> = parts(&left)
            .into_iter()
            .flat_map(|part| part.clone().into_iter().map(move |n| part[0] * 10_000 + n))
            .collect();
        assert_eq!(nested.collect().expect("numbers"), expected);

        // A side that is not read is not computed.
        let bad = left
            .clone()
            .map(|n| if n < 2000 { panic!("{ON_PURPOSE}") } else { n });
        let only_right = bad.zip_partitions(left, |_, right, emit| right.for_each(emit));
        assert_eq!(only_right.count().expect("a count"), 1000);
        let none = context.empty::<u64>();
        let none = none
            .clone()
            .zip_partitions(none, |left, right, emit| pair_up(left, right, emit));
        assert!(none.collect().expect("no pairs").is_empty());
    });
}

#[test]
fn text_streams_and_shuffles_can_be_paired() {
    let files = Files::new();
    let path = files.write("text", "a\nbb\nccc\n");
    on_every_executor_and_processes(move |context| {
        let lines = || context.read_text(&path).expect("a file");
        let lengths = lines().map(str::len).coalesce(1);
        let both = lines()
            .coalesce(1)
            .zip_partitions(lengths, |lines, lengths, emit| {
                let mut lengths = lengths.collect().into_iter();
                lines.for_each(|line| emit((line.to_owned(), lengths.next())));
            });
        let expected = ["a", "bb", "ccc"].map(|line| (line.to_owned(), Some(line.len())));
        assert_eq!(both.collect().expect("pairs"), expected);

        let streamed = || context.from_iter(0..3000_u64);
        let both = streamed().zip_partitions(streamed().map(|n| n + 1), |left, right, emit| {
            pair_up(left, right, emit);
        });
        assert_eq!(both.partitions(), None);
        assert!(
            both.collect()
                .expect("pairs")
                .into_iter()
                .eq((0..3000).zip(1..3001))
        );

        // Both sides read the same shuffle, and each partition of it.
        let sums = context
            .range(0..5000_u64)
            .map(|n| (n % 500, n))
            .sum_by_key();
        let both = sums
            .clone()
            .zip_partitions(sums.clone(), |left, right, emit| {
                let left = left.collect();
                right.for_each(|right| emit(left.contains(&right)));
            });
        assert_eq!(both.filter(|is_in| *is_in).count().expect("a count"), 500);
        let limits = sums.values().with(10_u64).zip_partitions(
            context.range_partitioned(0..64_u64, 64),
            |limit, left, right, emit| emit(left.count() + right.count() + limit),
        );
        let total = limits.sum::<u64>().expect("a sum");
        assert_eq!(total, 500 + 64 + 64 * 10);
    });
}

#[test]
fn different_numbers_of_partitions_are_refused() {
    let numbers = |partitions| holdall::range_partitioned(0..10_u64, partitions);
    assert_panics("both bags need the same number of partitions", || {
        numbers(3).zip_partitions(numbers(4), |left, right, emit| pair_up(left, right, emit))
    });
    on_every_executor_and_processes(|context| {
        let streamed = || context.from_iter(0..150_u64);
        let numbers = |partitions| context.range_partitioned(0..10_u64, partitions);
        let fewer =
            streamed().zip_partitions(numbers(1), |left, right, emit| pair_up(left, right, emit));
        let more =
            streamed().zip_partitions(numbers(3), |left, right, emit| pair_up(left, right, emit));
        let errors = [fewer.count(), more.count()].map(|count| count.expect_err("they differ"));
        for error in &errors {
            assert!(
                matches!(error.kind(), ErrorKind::MissingPartition { .. }),
                "{error:?}"
            );
            assert!(
                error.to_string().contains(" in zip_partitions at "),
                "{error}"
            );
        }
        let reason = "the right bag has 1 partitions, and the left bag has more";
        assert!(errors[0].to_string().contains(reason), "{}", errors[0]);
        let reason = "the left bag has 2 partitions, and the right bag has more";
        assert!(errors[1].to_string().contains(reason), "{}", errors[1]);
    });
}

#[test]
fn errors_and_panics_of_each_side_are_reported() {
    quiet_panics();
    let files = Files::new();
    let left = files.write("left", "1\n2\n3\n");
    let right = files.write("right", "1\ntwo\n3\n");
    on_every_executor_and_processes(move |context| {
        let read = |path| context.read_text(path).expect("a file").coalesce(1);
        let parsed = |path| read(path).try_map(|line| line.parse::<u64>());
        let zip = |left: Bag<u64>, right: Bag<u64>| {
            let both = left.zip_partitions(right, |left, right, emit| pair_up(left, right, emit));
            both.collect()
        };
        assert_eq!(
            zip(parsed(&left).boxed(), parsed(&left).boxed())
                .expect("numbers")
                .len(),
            3
        );
        let errors = [
            zip(parsed(&left).boxed(), parsed(&right).boxed()),
            zip(parsed(&right).boxed(), parsed(&left).boxed()),
        ];
        for error in errors.map(|outcome| outcome.expect_err("two is no number")) {
            let place = error.context().expect("a place");
            assert_eq!(place.operator, Some("try_map"), "{error}");
            assert_eq!(place.path.as_deref(), Some(&*right), "{error}");
            assert_eq!(place.offset, Some(2), "{error}");
        }
        // The closure panics at a record of one text, within a record of the other, and after both.
        let nested = read(&left).zip_partitions(read(&right), |left, right, emit| {
            let mut right = Some(right);
            left.for_each(|n| match right.take() {
                Some(right) => emit(right.count()),
                None => assert_ne!(n, "3", "{ON_PURPOSE}"),
            });
        });
        let error = nested.count().expect_err("it panics");
        let place = error.context().expect("a place");
        assert_eq!(place.operator, Some("zip_partitions"), "{error}");
        assert_eq!(place.path.as_deref(), Some(&*left), "{error}");
        assert_eq!(place.offset, Some(4), "{error}");
        let after =
            read(&left).zip_partitions(read(&right), |left, right, _: &mut dyn FnMut(u64)| {
                assert_eq!(left.count(), right.count() + 1, "{ON_PURPOSE}");
            });
        let error = after.count().expect_err("it panics");
        assert_eq!(error.context().expect("a place").path, None, "{error}");
    });
}

#[test]
fn spilled_shuffles_can_be_paired() {
    let files = Files::new();
    let spill = files.path("spill");
    let context = Context::builder()
        .memory(2 << 20)
        .threads(2)
        .spill_directory(&spill);
    let context = context.build().expect("the settings are right");
    let sums = || {
        let pairs = context.range(0..200_000_u64).map(|n| (n / 2, n));
        pairs.sum_by_key()
    };
    let expected: u64 = (0..200_000).sum();
    let both = sums().zip_partitions(sums(), |left, right, emit| {
        let (left, right) = (left.collect(), right.collect());
        emit((left == right, left.iter().map(|(_, sum)| sum).sum::<u64>()));
    });
    let both = both.collect().expect("sums");
    assert!(context.last_job().expect("a job").stages[0].spilled_bytes > 0);
    assert!(both.iter().all(|(is_equal, _)| *is_equal));
    assert_eq!(both.iter().map(|(_, sum)| sum).sum::<u64>(), expected);
}

/// Their tasks would never end, or their shuffle would exhaust the memory.
#[test]
fn more_partitions_than_a_job_can_have_panic_at_once() {
    let pairs = || holdall::range(0..3).map(|n| (n, n)).boxed();
    let calls: [&dyn Fn(usize); 8] = [
        &|n| drop(pairs().repartition(n)),
        &|n| drop(pairs().partition_by(n)),
        &|n| {
            drop(pairs().partition_with(n, |_| 0));
        },
        &|n| drop(pairs().split_partitions(n)),
        &|n| {
            drop(pairs().shuffle_partitions(n));
        },
        &|n| {
            drop(pairs().repartition_and_sort_within_partitions(n));
        },
        &|n| {
            drop(holdall::from_vec_partitioned(vec![1], n));
        },
        &|n| {
            drop(holdall::range_partitioned(0..1, n));
        },
    ];
    for call in calls {
        assert_panics("records need a partition", || call(0));
        for partitions in [(1 << 24) + 1, usize::MAX] {
            assert_panics("at most 16777216 partitions", || call(partitions));
        }
        call(1 << 24);
    }
}
