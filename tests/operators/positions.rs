//! Transformations by position and of neighbours are those of slices and iterators, however the bag is partitioned.

use holdall::{Bag, Context, ErrorKind, Result};

use crate::common::{
    Files, ON_PURPOSE, all_settings, on_every_executor_and_processes, quiet_panics,
};

/// Returns records with runs of equal and of different neighbours, of several lengths.
fn all_records() -> Vec<Vec<i64>> {
    let runs = [3, 3, 3, 1, 2, 2, 9, 9, 9, 9, 9, 9, 9, 1, 1, 4];
    vec![
        vec![],
        vec![7],
        vec![5; 30],
        (0..60).collect(),
        runs.repeat(3),
    ]
}

/// Returns bags of `records` in many partitionings: with one partition, with many, with empty ones, and with an unknown
/// number.
fn bags(context: &Context, records: &[i64]) -> Vec<Bag<i64>> {
    let vec = |partitions: usize| {
        let partitions = if records.is_empty() {
            partitions
        } else {
            partitions.max(1)
        };
        context.from_vec_partitioned(records.to_vec(), partitions)
    };
    let iter = || context.from_iter(records.to_vec());
    let empty = || context.range_partitioned(0..5_i64, 3).filter(|_| false);
    vec![
        vec(0).boxed(),
        vec(7).map(|n| n + 1).map(|n| n - 1).boxed(),
        // Partitions of one record and empty ones between them.
        vec(records.len()).union(empty()).boxed(),
        empty().union(vec(2)).union(empty()).boxed(),
        vec(5)
            .flat_map(|n| [(n, true), (n, false)])
            .filter(|(_, is_first)| *is_first)
            .keys()
            .boxed(),
        empty().union(iter()).boxed(),
    ]
}

/// Asserts `property` for all records and partitionings, on every executor. Without all settings, for a third of their
/// combinations.
fn holds(property: fn(&Bag<i64>, &[i64]) -> Result<()>) {
    on_every_executor_and_processes(move |context| {
        for (n, records) in all_records().into_iter().enumerate() {
            let is_tried =
                |partitioning: &usize| all_settings() || (partitioning + n).is_multiple_of(3);
            let bags = bags(context, &records).into_iter().enumerate();
            for (_, bag) in bags.filter(|(partitioning, _)| is_tried(partitioning)) {
                if let Err(error) = property(&bag, &records) {
                    panic!("{error}");
                }
            }
        }
    });
}

fn text(bag: &Bag<i64>) -> Bag<str> {
    bag.clone()
        .flat_map_str(|n, emit| emit(&n.to_string()))
        .boxed()
}

#[test]
fn limit_and_skip_are_those_of_iterators() {
    holds(|bag, records| {
        for n in [0, 1, 5, 30, usize::MAX] {
            let limited = bag.clone().limit(n as u64);
            let expected: Vec<_> = records.iter().copied().take(n).collect();
            assert_eq!(limited.collect()?, expected);
            assert_eq!(limited.partitions(), bag.partitions());
            assert_eq!(limited.count()?, expected.len() as u64);
            assert_eq!(limited.coalesce(2).collect()?, expected);
            let skipped = bag.clone().skip(n as u64);
            let expected: Vec<_> = records.iter().copied().skip(n).collect();
            assert_eq!(skipped.collect()?, expected);
            assert_eq!(skipped.first()?, expected.first().copied());
            let middle = bag.clone().skip(2).limit(n as u64).union(bag.clone());
            let expected = records.iter().skip(2).take(n).chain(records);
            assert_eq!(middle.collect()?, expected.copied().collect::<Vec<_>>());
        }
        assert_eq!(
            text(bag).skip(1).limit(3).collect()?,
            records
                .iter()
                .skip(1)
                .take(3)
                .map(i64::to_string)
                .collect::<Vec<_>>()
        );
        Ok(())
    });
}

#[test]
fn step_by_and_intersperse_are_those_of_iterators() {
    holds(|bag, records| {
        for n in [1, 3, 1000] {
            let expected: Vec<_> = records.iter().copied().step_by(n).collect();
            assert_eq!(bag.clone().step_by(n as u64).collect()?, expected);
        }
        let expected: Vec<_> = records.iter().map(i64::to_string).collect();
        let text = text(bag).intersperse(", ".to_owned()).collect()?;
        assert_eq!(text.concat(), expected.join(", "));
        assert_eq!(text.len(), (2 * records.len()).saturating_sub(1));
        Ok(())
    });
}

#[test]
fn take_while_and_skip_while_are_those_of_iterators() {
    holds(|bag, records| {
        let is_small = |n: &i64| *n < 8;
        let taken = bag.clone().take_while(is_small);
        let expected: Vec<_> = records.iter().copied().take_while(is_small).collect();
        assert_eq!(taken.collect()?, expected);
        assert_eq!(
            bag.clone()
                .with(8)
                .take_while(|most, n| n < most)
                .collect()?,
            expected
        );
        assert_eq!(bag.clone().take_while(|_| true).collect()?, records);
        assert_eq!(bag.clone().take_while(|_| false).count()?, 0);
        let skipped = bag.clone().skip_while(is_small);
        let expected: Vec<_> = records.iter().copied().skip_while(is_small).collect();
        assert_eq!(skipped.collect()?, expected);
        assert_eq!(
            bag.clone()
                .with(8)
                .skip_while(|most, n| n < most)
                .collect()?,
            expected
        );
        assert_eq!(bag.clone().skip_while(|_| true).count()?, 0);
        assert_eq!(bag.clone().skip_while(|_| false).collect()?, records);
        Ok(())
    });
}

#[test]
fn running_folds_are_scans() {
    holds(|bag, records| {
        let scanned = |mut folded: i64, add: fn(i64, i64) -> i64| {
            let step = move |n: &i64| {
                folded = add(folded, *n);
                folded
            };
            records.iter().map(step).collect::<Vec<_>>()
        };
        let sums = bag.clone().running_fold(0, |sum, n| sum + n, |a, b| a + b);
        assert_eq!(sums.collect()?, scanned(0, |a, b| a + b));
        let state = bag.clone().with(2);
        let sums = state.running_fold(0, |k, sum, n| sum + k * n, |_, a, b| a + b);
        assert_eq!(sums.collect()?, scanned(0, |a, b| a + 2 * b));
        let most = bag.clone().running_reduce(i64::max);
        assert_eq!(most.collect()?, scanned(i64::MIN, i64::max));
        let most = bag.clone().with(()).running_reduce(|(), a, b| a.max(b));
        assert_eq!(most.collect()?, scanned(i64::MIN, i64::max));
        // It is associative, but not commutative.
        let texts = text(bag).running_reduce(|a, b| a + &b).collect()?;
        let mut folded = String::new();
        let expected = records.iter().map(|n| {
            folded += &n.to_string();
            folded.clone()
        });
        assert_eq!(texts, expected.collect::<Vec<_>>());
        Ok(())
    });
}

#[test]
fn windows_and_chunks_are_those_of_slices() {
    holds(|bag, records| {
        for n in [1, 3, 60, 61] {
            let windows = bag.clone().windows(n);
            let expected: Vec<_> = records.windows(n).map(<[i64]>::to_vec).collect();
            assert_eq!(windows.collect()?, expected);
            assert_eq!(windows.partitions(), bag.partitions());
            let chunks = bag.clone().chunks(n);
            let expected: Vec<_> = records.chunks(n).map(<[i64]>::to_vec).collect();
            assert_eq!(chunks.collect()?, expected);
            assert_eq!(chunks.take(2)?, expected[..expected.len().min(2)]);
        }
        let pairs = text(bag).windows(2).map(|pair| pair.concat());
        let expected = records
            .windows(2)
            .map(|pair| format!("{}{}", pair[0], pair[1]));
        assert_eq!(pairs.collect()?, expected.collect::<Vec<_>>());
        Ok(())
    });
}

#[test]
fn runs_are_those_of_slices() {
    holds(|bag, records| {
        let mut distinct = records.to_vec();
        distinct.dedup();
        assert_eq!(bag.clone().dedup().collect()?, distinct);
        let texts: Vec<_> = distinct.iter().map(i64::to_string).collect();
        assert_eq!(text(bag).dedup().collect()?, texts);
        let runs: Vec<_> = records.chunk_by(|a, b| a == b).collect();
        let counted: Vec<_> = runs.iter().map(|run| (run[0], run.len() as u64)).collect();
        assert_eq!(bag.clone().dedup_with_count().collect()?, counted);
        assert_eq!(text(bag).dedup_with_count().count()?, counted.len() as u64);

        let runs = records.chunk_by(|a, b| a % 2 == b % 2);
        let expected: Vec<_> = runs.map(|run| (run[0] % 2, run.to_vec())).collect();
        assert_eq!(bag.clone().chunk_by(|n| n % 2).collect()?, expected);
        let with = bag.clone().with(2);
        assert_eq!(with.chunk_by(|k, n| n % k).collect()?, expected);
        let whole = bag.clone().chunk_by(|_| ()).values();
        let expected = (!records.is_empty()).then(|| records.to_vec());
        assert_eq!(whole.collect()?, Vec::from_iter(expected));

        let rising = bag.clone().chunk_while(|a, b| a <= b);
        let expected: Vec<_> = records.chunk_by(|a, b| a <= b).collect();
        assert_eq!(rising.collect()?, expected);
        let near = bag
            .clone()
            .with(3)
            .chunk_while(|most, a, b| a.abs_diff(*b) <= *most);
        let expected: Vec<_> = records.chunk_by(|a, b| a.abs_diff(*b) <= 3).collect();
        assert_eq!(near.collect()?, expected);
        let whole = text(bag).chunk_while(|_, _| true).map(|run| run.len());
        let expected = (!records.is_empty()).then_some(records.len());
        assert_eq!(whole.collect()?, Vec::from_iter(expected));
        Ok(())
    });
}

#[test]
fn emitted_records_are_those_of_flat_map() {
    holds(|bag, records| {
        let copies = |n: &i64| vec![*n; n.rem_euclid(4) as usize];
        let expected: Vec<_> = records.iter().flat_map(copies).collect();
        let emitted = bag.clone().flat_map_emit(|n, emit| {
            (0..n.rem_euclid(4)).for_each(|_| emit(n));
        });
        assert_eq!(emitted.collect()?, expected);
        assert_eq!(emitted.take(1)?, expected[..expected.len().min(1)]);
        let with = bag.clone().with(4);
        let emitted = with.flat_map_emit(|k, n, emit| (0..n.rem_euclid(*k)).for_each(|_| emit(n)));
        assert_eq!(emitted.collect()?, expected);
        let bytes = bag.clone().flat_map_bytes(|n, emit| emit(&n.to_le_bytes()));
        let expected: Vec<_> = records.iter().map(|n| n.to_le_bytes().to_vec()).collect();
        assert_eq!(bytes.collect()?, expected);
        let bytes = bag
            .clone()
            .with(0)
            .flat_map_bytes(|_, n, emit| emit(&n.to_le_bytes()));
        assert_eq!(bytes.collect()?, expected);

        let fails = bag.clone().try_flat_map_emit(|n, emit| {
            emit(n);
            if n == 4 { Err("four") } else { Ok(()) }
        });
        match fails.collect() {
            Ok(all) => assert_eq!(all, records),
            Err(error) => {
                assert!(records.contains(&4));
                let context = error.context().expect("it is in a closure");
                assert_eq!(context.operator, Some("try_flat_map_emit"));
                assert!(error.to_string().contains("four"), "{error}");
            }
        }
        let fails = bag.clone().with(4).try_flat_map_emit(|k, n, emit| {
            emit(n);
            if n == *k { Err("four") } else { Ok(()) }
        });
        assert_eq!(fails.collect().is_err(), records.contains(&4));
        let texts = text(bag).try_flat_map_str(|text, emit| {
            emit(text);
            text.parse::<u8>().map(drop)
        });
        assert_eq!(texts.count()?, records.len() as u64);
        let texts = text(bag).with(1).try_flat_map_str(|_, text, emit| {
            emit(text);
            text.parse::<u8>().map(drop)
        });
        assert_eq!(texts.count()?, records.len() as u64);
        let texts = text(bag).try_flat_map_bytes(|text, emit| {
            emit(text.as_bytes());
            text.parse::<u8>().map(drop)
        });
        assert_eq!(texts.count()?, records.len() as u64);
        let texts = text(bag).with(1).try_flat_map_bytes(|_, text, emit| {
            emit(text.as_bytes());
            text.parse::<u8>().map(drop)
        });
        assert_eq!(texts.count()?, records.len() as u64);
        Ok(())
    });
}

#[test]
fn map_init_creates_a_value_for_each_partition() {
    holds(|bag, records| {
        let mapped = bag.clone().map_init(String::new, |buffer, n| {
            buffer.clear();
            buffer.push_str(&n.to_string());
            buffer.clone()
        });
        let expected: Vec<_> = records.iter().map(i64::to_string).collect();
        assert_eq!(mapped.collect()?, expected);
        let mapped = bag.clone().with(10).map_init(|k| *k, |_, ten, n| *ten + n);
        assert_eq!(
            mapped.collect()?,
            records.iter().map(|n| n + 10).collect::<Vec<_>>()
        );
        // Each partition starts with a new value.
        let counted = bag.clone().map_init(
            || 0,
            |count, _| {
                *count += 1;
                *count
            },
        );
        let firsts = counted.filter(|count| *count == 1).count()?;
        let sizes = bag
            .clone()
            .map_partitions(|records, emit| emit(records.count()));
        assert_eq!(firsts, sizes.filter(|size| *size > 0).count()?);
        Ok(())
    });
}

#[test]
fn zip_is_that_of_iterators() {
    holds(|bag, records| {
        let expected: Vec<_> = records.iter().map(|n| (*n, n.to_string())).collect();
        let zipped = bag.clone().zip(text(bag));
        assert_eq!(zipped.collect()?, expected);
        if bag.partitions() > Some(0) {
            assert_eq!(zipped.partitions(), bag.partitions());
        }
        // The partitions of the two bags need not agree.
        let context = bag.context();
        let other = context.from_iter(records.to_vec()).repartition(1);
        let zipped = bag.clone().zip(other.map(|n| n.to_string()));
        assert_eq!(zipped.collect()?, expected);
        assert_eq!(zipped.take(2)?, expected[..expected.len().min(2)]);
        // With itself, and with a zipped bag.
        let twice = bag.clone().zip(bag.clone().zip(bag.clone()));
        let expected: Vec<_> = records.iter().map(|n| (*n, (*n, *n))).collect();
        assert_eq!(twice.collect()?, expected);

        let longer = bag.clone().union(context.range(0..2_i64));
        let (n, more) = (records.len() as u64, records.len() as u64 + 2);
        for (left, right, lengths) in [
            (bag.clone(), longer.clone().boxed(), (n, more)),
            (longer.boxed(), bag.clone(), (more, n)),
        ] {
            let error = left.zip(right).collect().expect_err("the lengths differ");
            match error.kind() {
                ErrorKind::LengthMismatch {
                    left,
                    right,
                    context,
                    ..
                } => {
                    assert_eq!((*left, *right), lengths);
                    assert_eq!(context.operator, Some("zip"));
                }
                _ => panic!("{error}"),
            }
        }
        Ok(())
    });
}

#[test]
fn split_keeps_the_order_and_evens_the_sizes() {
    holds(|bag, records| {
        for n in [1, 4, 100] {
            let split = bag.clone().split_partitions(n);
            assert_eq!(split.partitions(), Some(n));
            let lists = split.map_partitions(|records, emit| emit(records.collect()));
            let lists: Vec<Vec<i64>> = lists.collect()?;
            assert_eq!(lists.concat(), records);
            let sizes = || lists.iter().map(Vec::len);
            assert!(sizes().max() <= sizes().min().map(|least| least + 1));
        }
        let expected: Vec<_> = records.iter().map(i64::to_string).collect();
        assert_eq!(text(bag).split_partitions(3).collect()?, expected);
        Ok(())
    });
}

/// That the records of the second bag may exceed the memory.
#[test]
fn zip_spills() -> Result<()> {
    let context = Context::builder().threads(2).memory(2 << 20).build()?;
    let numbers = || context.range_partitioned(0..300_000_u64, 7);
    let texts = context
        .range_partitioned(0..300_000_u64, 3)
        .map(|n| format!("{n:040}"));
    let zipped = numbers()
        .zip(texts)
        .filter(|(n, text)| text.parse() != Ok(*n));
    assert_eq!(zipped.count()?, 0);
    let summary = context.last_job().expect("it ran");
    assert!(summary.stages.iter().any(|stage| stage.spilled_bytes > 0));
    Ok(())
}

#[test]
#[should_panic(expected = "records need a partition")]
fn a_split_into_no_partitions_panics() {
    drop(holdall::range(0..3).split_partitions(0));
}

/// That the results are in the partitions that the docs promise.
#[test]
fn results_are_in_the_partition_of_their_first_or_last_record() -> Result<()> {
    let bag = || holdall::from_vec_partitioned(vec![1, 1, 1, 2, 2, 3], 3);
    let sizes = bag()
        .windows(3)
        .map_partitions(|records, emit| emit(records.count()));
    assert_eq!(sizes.collect()?, [2, 2, 0]);
    let sizes = bag()
        .chunks(5)
        .map_partitions(|records, emit| emit(records.count()));
    assert_eq!(sizes.collect()?, [1, 0, 1]);
    let sizes = bag()
        .dedup()
        .map_partitions(|records, emit| emit(records.count()));
    assert_eq!(sizes.collect()?, [0, 1, 2]);
    Ok(())
}

/// That a partition is not read beyond the records that are needed.
#[test]
fn limit_and_skip_count_no_more_than_they_need() -> Result<()> {
    let context = Context::builder().threads(1).build()?;
    let read = holdall::Counter::new("read");
    let counted = read.clone();
    let numbers = context
        .range_partitioned(0..1000, 4)
        // After a filter, the lengths of the partitions are not known.
        .filter(|_| true)
        .inspect(move |_| counted.add(1));
    assert_eq!(numbers.clone().limit(3).collect()?, [0, 1, 2]);
    // Three records of each partition, and then the first three.
    assert_eq!(read.value(), 4 * 3 + 3);
    assert_eq!(numbers.skip(2).count()?, 998);
    assert_eq!(read.value(), 4 * 3 + 3 + 4 * 2 + 1000);
    Ok(())
}

#[test]
fn a_panic_in_a_closure_is_an_error_with_its_method() {
    quiet_panics();
    on_every_executor_and_processes(|context| {
        let numbers = || context.range_partitioned(0..10_i64, 3);
        let panicking: [(&str, Bag<i64>); 7] = [
            (
                "take_while",
                numbers()
                    .take_while(|n| *n < 5 || panic!("{ON_PURPOSE}"))
                    .boxed(),
            ),
            (
                "skip_while",
                numbers()
                    .skip_while(|n| *n < 5 || panic!("{ON_PURPOSE}"))
                    .boxed(),
            ),
            ("running_fold", {
                let merge = |_, _| panic!("{ON_PURPOSE}");
                numbers().running_fold(0, |sum, n| sum + n, merge).boxed()
            }),
            (
                "running_reduce",
                numbers()
                    .running_reduce(|_, _| panic!("{ON_PURPOSE}"))
                    .boxed(),
            ),
            ("chunk_by", {
                let key_of = |n: &i64| if *n < 5 { 0 } else { panic!("{ON_PURPOSE}") };
                numbers().chunk_by(key_of).keys().boxed()
            }),
            (
                "map_init",
                numbers()
                    .map_init(|| panic!("{ON_PURPOSE}"), |(), n| n)
                    .boxed(),
            ),
            (
                "flat_map_emit",
                numbers()
                    .flat_map_emit(|_, _| panic!("{ON_PURPOSE}"))
                    .boxed(),
            ),
        ];
        for (method, bag) in panicking {
            let error = bag.collect().expect_err("the closure panics");
            assert!(
                matches!(error.kind(), ErrorKind::TaskPanicked { .. }),
                "{error}"
            );
            let context = error.context().expect("it is in a closure");
            assert_eq!(context.operator, Some(method), "{error}");
        }
    });
}

#[test]
fn a_source_that_changes_is_an_error() {
    use std::sync::atomic::{AtomicI64, Ordering};

    static CALLS: AtomicI64 = AtomicI64::new(10);
    let changing = || holdall::from_fn(|| 0..CALLS.fetch_add(1, Ordering::Relaxed));
    let bags: [Bag<i64>; 3] = [
        changing().running_reduce(|a, b| a + b).boxed(),
        changing().dedup().boxed(),
        changing().skip(1).boxed(),
    ];
    let differs = bags.map(|bag| match bag.collect() {
        Err(error) => matches!(error.kind(), ErrorKind::NotRepeatable { .. }),
        Ok(_) => false,
    });
    // `skip` does not count the records after the first, and so does not notice.
    assert_eq!(differs, [true, true, false]);
}

/// That records whose number is known are not computed to count them.
#[test]
fn known_lengths_are_not_counted() -> Result<()> {
    use std::sync::atomic::{AtomicU64, Ordering};

    static CALLS: AtomicU64 = AtomicU64::new(0);
    let numbers = || {
        holdall::range(0..1000_u64).map(|n| {
            CALLS.fetch_add(1, Ordering::Relaxed);
            n
        })
    };
    let computed = |numbers: Bag<u64>| -> Result<_> {
        CALLS.store(0, Ordering::Relaxed);
        let found = numbers.collect()?;
        Ok((found, CALLS.load(Ordering::Relaxed)))
    };
    let (found, calls) = computed(numbers().skip(100).step_by(2).limit(200).boxed())?;
    assert_eq!(found, (100..500).step_by(2).collect::<Vec<_>>());
    assert!(calls <= 1000, "{calls}");
    let more = holdall::range(1000..1300_u64);
    let all = numbers().zip_with_index().map(|(n, _)| n).union(more);
    let (found, calls) = computed(all.skip(1000).boxed())?;
    assert_eq!((found, calls), ((1000..1300).collect(), 0));
    let chunks = numbers().chunks(3).map(|chunk| chunk[0]).boxed();
    let (found, calls) = computed(chunks)?;
    assert_eq!(found, (0..1000).step_by(3).collect::<Vec<_>>());
    assert!(calls <= 1000 + 64 * 3, "{calls}");
    let (found, calls) = computed(numbers().windows(3).map(|window| window[2]).boxed())?;
    assert_eq!(found, (2..1000).collect::<Vec<_>>());
    assert!(calls <= 1000 + 64 * 3, "{calls}");
    Ok(())
}

/// That a window reads on over the end of a file and of its splits.
#[test]
fn windows_cross_the_ends_of_files_and_splits() -> Result<()> {
    let files = Files::new();
    let lines: Vec<_> = (0..2000).map(|n| format!("line {n}")).collect();
    files.write("a", lines[..900].join("\n"));
    files.write("b", lines[900..].join("\n"));
    let reader = holdall::TextReader::new().partition_bytes(1 << 10);
    let bag = reader.read(files.root())?;
    assert!(bag.partitions() > Some(5));
    let windows = bag.windows(3);
    let expected: Vec<_> = lines.windows(3).map(<[String]>::to_vec).collect();
    assert_eq!(windows.collect()?, expected);
    Ok(())
}

#[test]
#[should_panic(expected = "a window of at least 1 record")]
fn a_window_of_no_records_panics() {
    drop(holdall::range(0..3).windows(0));
}

#[test]
#[should_panic(expected = "a chunk of at least 1 record")]
fn a_chunk_of_no_records_panics() {
    drop(holdall::range(0..3).chunks(0));
}

#[test]
#[should_panic(expected = "a step of at least 1 record")]
fn a_step_of_no_records_panics() {
    drop(holdall::range(0..3).step_by(0));
}
