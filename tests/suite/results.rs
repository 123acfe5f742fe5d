//! Closures that may fail, searches, comparisons, conversions, outputs and partitions, compared with plain iterators.

use std::io::{self, Write};

use holdall::{Bag, ByteSize, Context, ErrorKind, Result, TextReader};
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::common::{
    Files, ON_PURPOSE, on_every_executor, on_every_executor_and_processes, quiet_panics,
};

/// Returns bags of the numbers `0..n`, in several partitionings.
fn bags(context: &Context, n: u32) -> Vec<Bag<u32>> {
    let range = |partitions| context.range_partitioned(0..n, partitions);
    vec![
        range(1).boxed(),
        range(7).boxed(),
        context.from_iter(0..n).boxed(),
        range(3).filter(|_| false).union(range(2)).boxed(),
    ]
}

/// Asserts `property` for no numbers and for some, on every executor.
fn holds(property: fn(&Bag<u32>, u32) -> Result<()>) {
    on_every_executor_and_processes(move |context| {
        for n in [0, 1, 40] {
            for bag in bags(context, n) {
                if let Err(error) = property(&bag, n) {
                    panic!("{error}");
                }
            }
        }
    });
}

/// Asserts that this is the error of a closure of `method`.
#[track_caller]
fn assert_closure<R: std::fmt::Debug>(result: Result<R>, method: &str, message: &str) {
    let error = result.expect_err("the closure fails");
    assert!(matches!(error.kind(), ErrorKind::Closure { .. }), "{error}");
    let context = error.context().expect("it is in a closure");
    assert_eq!(context.operator, Some(method), "{error}");
    assert!(error.to_string().contains(message), "{error}");
}

#[test]
fn fallible_folds_are_those_of_iterators() {
    holds(|bag, n| {
        let sum: u32 = (0..n).sum();
        let add = |a: u32, b: u32| a.checked_add(b).ok_or("overflow");
        assert_eq!(bag.try_fold(0, add)?, sum);
        assert_eq!(bag.try_reduce(add)?, (0..n).reduce(|a, b| a + b));
        assert_eq!(bag.try_aggregate(0, add, add)?, sum);
        let with = bag.clone().with(3);
        let add = |k: &u32, a: u32, b: u32| (b != 100 + k).then_some(a + b).ok_or("103");
        assert_eq!(with.try_fold(0, add)?, sum);
        assert_eq!(with.try_reduce(add)?, (0..n).reduce(|a, b| a + b));
        assert_eq!(with.try_aggregate(0, add, add)?, sum);

        let fails = |a: u32, b: u32| {
            if a == 5 || b == 5 {
                Err("five")
            } else {
                Ok(a + b)
            }
        };
        if n > 5 {
            assert_closure(bag.try_fold(0, fails), "try_fold", "five");
            assert_closure(bag.try_reduce(fails), "try_reduce", "five");
            let merge = |a, b| Ok(a + b);
            assert_closure(bag.try_aggregate(0, fails, merge), "try_aggregate", "five");
        }
        // Only `merge` fails, if there is anything to merge.
        let merges = |_, _| Err::<u32, _>("merged");
        let merged = bag.try_aggregate(0, |a, b| Ok(a + b), merges);
        let sizes = bag.clone().glom().count()?;
        if sizes > 1 {
            assert_closure(merged, "try_aggregate", "merged");
        } else {
            assert_eq!(merged?, sum);
        }
        Ok(())
    });
}

#[test]
fn fallible_transformations_end_at_the_first_error() {
    holds(|bag, n| {
        let all: Vec<_> = (0..n).collect();
        let check = |n: &u32| if *n == 30 { Err("thirty") } else { Ok(()) };
        let inspected = bag.clone().try_inspect(check).collect();
        let with = bag.clone().with(30);
        let stated = with.try_inspect(|k, n| if n == k { Err("thirty") } else { Ok(()) });
        if n > 30 {
            assert_closure(inspected, "try_inspect", "thirty");
            assert_closure(stated.collect(), "try_inspect", "thirty");
        } else {
            assert_eq!(inspected?, all);
            assert_eq!(stated.collect()?, all);
        }
        let halves = bag
            .clone()
            .try_map_init(|| 30, |k, n| if n == *k { Err("thirty") } else { Ok(n) });
        if n > 30 {
            assert_closure(halves.collect(), "try_map_init", "thirty");
        } else {
            assert_eq!(halves.collect()?, all);
        }
        let stated = bag
            .clone()
            .with(1)
            .try_map_init(|k| *k, |_, k, n| Ok::<_, &str>(n + *k));
        assert_eq!(stated.collect()?, (1..=n).collect::<Vec<_>>());

        let counted = bag.clone().try_map_partitions(|numbers, emit| {
            emit(numbers.count());
            Ok::<_, &str>(())
        });
        assert_eq!(counted.sum::<u64>()?, u64::from(n));
        let counted = bag.clone().with(5).try_map_partitions(|k, numbers, emit| {
            emit(numbers.count() * k);
            Ok::<_, &str>(())
        });
        assert_eq!(counted.sum::<u64>()?, 5 * u64::from(n));
        let with = bag.clone().with(0);
        let indices = with.try_map_partitions_with_index(|first, index, _, emit| {
            emit(index - first);
            Ok::<_, &str>(())
        });
        let partitions = indices.collect()?;
        assert!(partitions.iter().copied().eq(0..partitions.len()));
        let fails = bag
            .clone()
            .try_map_partitions_with_index(|index, numbers, emit| {
                numbers.for_each(emit);
                u8::try_from(index).map(drop).map_err(|_| "many")?;
                if index == 0 { Err("the first") } else { Ok(()) }
            });
        if !partitions.is_empty() {
            assert_closure(
                fails.collect(),
                "try_map_partitions_with_index",
                "the first",
            );
        }
        Ok(())
    });
}

#[test]
fn results_are_mapped_filtered_and_divided() {
    holds(|bag, n| {
        let results = || bag.clone().map(|n| if n % 3 == 0 { Err(n) } else { Ok(n) });
        let expected = |n: u32| if n.is_multiple_of(3) { Err(n) } else { Ok(n) };
        let mapped: Vec<_> = (0..n).map(expected).map(|r| r.map(|n| n + 1)).collect();
        assert_eq!(results().map_ok(|n| n + 1).collect()?, mapped);
        let filtered: Vec<_> = (0..n)
            .filter(|n| n % 3 == 0 || n % 2 == 0)
            .map(expected)
            .collect();
        assert_eq!(results().filter_ok(|n| n % 2 == 0).collect()?, filtered);
        let (values, errors) = results().partition_result();
        assert_eq!(
            values.collect()?,
            (0..n).filter(|n| n % 3 > 0).collect::<Vec<_>>()
        );
        assert_eq!(errors.collect()?, (0..n).step_by(3).collect::<Vec<_>>());

        let (even, odd) = bag.clone().partition(|n| n % 2 == 0);
        let (even, odd) = (even.collect()?, odd.collect()?);
        assert_eq!((even, odd), (0..n).partition(|n| n % 2 == 0));
        let (small, large) = bag.clone().map(|n| (n, n * 10)).unzip();
        assert_eq!(
            (small.collect()?, large.collect()?),
            (0..n).map(|n| (n, n * 10)).unzip()
        );
        Ok(())
    });
}

#[test]
fn searches_are_those_of_iterators() {
    holds(|bag, n| {
        for wanted in [0, 7, 39, 100] {
            let (found, position) = match wanted {
                0 => (bag.find_map(|n| Some(n + 1))?, bag.position(|_| true)?),
                7 => (
                    bag.find_map(|n| (n >= 7).then_some(n + 1))?,
                    bag.position(|n| n >= 7)?,
                ),
                39 => (
                    bag.find_map(|n| (n >= 39).then_some(n + 1))?,
                    bag.position(|n| n >= 39)?,
                ),
                _ => (
                    bag.find_map(|n| (n >= 100).then_some(n + 1))?,
                    bag.position(|n| n >= 100)?,
                ),
            };
            assert_eq!(found, (0..n).find(|n| *n >= wanted).map(|n| n + 1));
            assert_eq!(position, (0..n).position(|n| n >= wanted).map(|n| n as u64));
        }
        assert_eq!(bag.find_last(|n| n % 7 == 0)?, (0..n).rfind(|n| n % 7 == 0));
        assert_eq!(bag.find_last(|n| *n > 100)?, None);
        assert_eq!(bag.last()?, (0..n).last());
        Ok(())
    });
}

#[test]
fn bags_are_equal_if_their_records_are() {
    holds(|bag, n| {
        let context = bag.context();
        assert!(bag.eq(&context.range_partitioned(0..n, 3))?);
        assert!(bag.eq(bag)?);
        assert!(!bag.eq(&context.range(0..n + 1))?);
        assert!(!context.range(0..n + 1).boxed().eq(bag)?);
        assert_eq!(bag.eq(&bag.clone().map(|n| n + 1))?, n == 0);
        Ok(())
    });
}

#[test]
fn unordered_iteration_returns_all_records_and_keeps_the_order_in_partitions() {
    holds(|bag, n| {
        let placed = bag
            .clone()
            .map_partitions_with_index(|index, numbers, emit| {
                numbers.for_each(|n| emit((index, n)));
            });
        let mut all = placed.iter_unordered()?.collect::<Result<Vec<_>>>()?;
        all.sort_by_key(|(index, _)| *index);
        let all: Vec<_> = all.into_iter().map(|(_, n)| n).collect();
        assert_eq!(all, (0..n).collect::<Vec<_>>());
        Ok(())
    });
}

/// That the records of later partitions do not wait for those of the first.
#[test]
fn unordered_iteration_does_not_wait_for_the_first_partition() -> Result<()> {
    use std::sync::atomic::{AtomicBool, Ordering};

    static MAY_BEGIN: AtomicBool = AtomicBool::new(false);
    let context = Context::builder().threads(2).build()?;
    let numbers = context.range_partitioned(0..2, 2).inspect(|n| {
        while *n == 0 && !MAY_BEGIN.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
    });
    let mut records = numbers.iter_unordered()?;
    assert_eq!(records.next().transpose()?, Some(1));
    MAY_BEGIN.store(true, Ordering::Release);
    assert_eq!(records.next().transpose()?, Some(0));
    assert!(records.next().is_none());
    // Dropped before its end, it stops a job that would not end.
    let mut endless = context.from_iter(0..).iter_unordered()?;
    assert!(endless.next().is_some());
    drop(endless);
    Ok(())
}

#[test]
fn write_to_writes_the_lines_in_order() {
    holds(|bag, n| {
        let mut output = Vec::new();
        let written = bag.write_to(&mut output)?;
        let expected: String = (0..n).map(|n| format!("{n}\n")).collect();
        assert_eq!(String::from_utf8(output).expect("digits"), expected);
        assert_eq!(written.records, u64::from(n));
        assert_eq!(written.bytes, expected.len() as u64);
        assert!(written.files.is_empty());
        let mut bytes = Vec::new();
        bag.clone()
            .flat_map_bytes(|n, emit| emit(&[n as u8, 255]))
            .write_to(&mut bytes)?;
        let expected: Vec<_> = (0..n).flat_map(|n| [n as u8, 255, b'\n']).collect();
        assert_eq!(bytes, expected);
        Ok(())
    });
}

#[test]
fn an_output_that_fails_ends_the_job() {
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(bytes.len())
                .ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    on_every_executor(|context| {
        let error = context
            .from_iter(0_u64..)
            .write_to(Full(100_000))
            .expect_err("it is full");
        assert!(error.is_io(), "{error}");
        let numbers = context
            .range(0..10)
            .write_to(Full(5))
            .expect_err("the buffer is flushed");
        assert!(numbers.is_io());
        let fails = context
            .range(0..10)
            .try_map(|n| if n == 5 { Err("five") } else { Ok(n) });
        assert_closure(fails.write_to(io::sink()), "try_map", "five");
    });
}

#[test]
fn collections_become_bags() -> Result<()> {
    let collected: Bag<u32> = (0..100).filter(|n| n % 2 == 0).collect();
    let parallel: Bag<u32> = (0..100_u32)
        .into_par_iter()
        .filter(|n| n % 2 == 0)
        .collect();
    assert!(collected.eq(&parallel)?);
    assert_eq!(
        collected.partitions(),
        holdall::from_vec(vec![0; 50]).partitions()
    );
    assert_eq!(Bag::from(vec!["a"]).collect()?, ["a"]);
    assert_eq!(Bag::<u8>::from_iter([]).count()?, 0);
    Ok(())
}

#[test]
fn partitions_are_as_a_closure_chooses() {
    holds(|bag, n| {
        let lists = bag.clone().partition_with(3, |n| (*n % 3) as usize).glom();
        let expected = [0, 1, 2].map(|r| (0..n).filter(|n| n % 3 == r).collect::<Vec<_>>());
        assert_eq!(lists.collect()?, expected);
        let lists = bag
            .clone()
            .with(3)
            .partition_with(4, |k, n| (n % k) as usize)
            .glom();
        assert_eq!(lists.collect()?[..3], expected);
        let outside = bag.clone().partition_with(3, |n| *n as usize);
        if n > 3 {
            assert_closure(
                outside.count(),
                "partition_with",
                "there are only 3 partitions",
            );
        }
        let texts = bag.clone().flat_map_str(|n, emit| emit(&n.to_string()));
        let by_length = texts
            .partition_with(3, |text| text.len())
            .glom()
            .collect()?;
        let expected: Vec<_> = (0..n).filter(|n| *n < 10).map(|n| n.to_string()).collect();
        assert_eq!(by_length[1], expected);
        Ok(())
    });
}

#[test]
fn partitions_are_sorted_in_place() {
    holds(|bag, n| {
        let mixed = || bag.clone().map(|n| n * 37 % 41);
        let sorted = mixed().sort_partitions();
        let mut expected = mixed().glom().collect()?;
        expected.iter_mut().for_each(|list| list.sort());
        assert_eq!(sorted.clone().glom().collect()?, expected);
        assert_eq!(sorted.partitions(), bag.partitions());
        let texts = || mixed().flat_map_str(|n, emit| emit(&n.to_string()));
        let mut expected = texts().glom().collect()?;
        expected.iter_mut().for_each(|list| list.sort());
        assert_eq!(texts().sort_partitions().glom().collect()?, expected);
        assert_eq!(sorted.count()?, u64::from(n));
        Ok(())
    });
}

#[test]
fn a_partition_larger_than_the_memory_is_sorted_in_place() -> Result<()> {
    let context = Context::builder().threads(1).memory(1 << 20).build()?;
    let numbers = context.range_partitioned(0..200_000_u64, 2);
    let mixed = numbers.map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let lists = mixed.clone().sort_partitions().glom().collect()?;
    assert_eq!(lists.len(), 2);
    assert!(
        lists
            .iter()
            .all(|list| list.is_sorted() && list.len() == 100_000)
    );
    assert!(mixed.sort().eq(&context.from_vec(lists.concat()).sort())?);
    Ok(())
}

#[test]
fn partitions_of_a_size_are_merged_from_smaller_ones() -> Result<()> {
    let files = Files::new();
    let lines: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    let path = files.write("text", &lines);
    let read = || TextReader::new().partition_bytes(4 << 10).read(&path);
    let small = read()?;
    let size = lines.len() as u64;
    assert!(small.partitions() > Some(40));
    let merged = read()?.coalesce_bytes(ByteSize(size / 4));
    assert!((Some(4)..=Some(5)).contains(&merged.partitions()));
    assert!(merged.eq(&small)?);
    assert_eq!(read()?.coalesce_bytes("1GiB").partitions(), Some(1));
    assert_eq!(read()?.coalesce_bytes(1).partitions(), small.partitions());
    // The bytes of other sources are unknown.
    assert_eq!(
        holdall::range_partitioned(0..10, 5)
            .coalesce_bytes(1)
            .partitions(),
        Some(5)
    );
    Ok(())
}

#[test]
#[should_panic(expected = "not \"much\"")]
fn a_text_that_is_no_size_panics() {
    drop(holdall::range(0..3).coalesce_bytes("much"));
}

#[test]
fn panics_in_closures_are_errors() {
    quiet_panics();
    on_every_executor(|context| {
        let numbers = || context.range_partitioned(0..10_u32, 3);
        let results = [
            (
                "find_map",
                numbers()
                    .find_map(|_| -> Option<u32> { panic!("{ON_PURPOSE}") })
                    .map(drop),
            ),
            (
                "position",
                numbers().position(|_| panic!("{ON_PURPOSE}")).map(drop),
            ),
            (
                "find_last",
                numbers().find_last(|_| panic!("{ON_PURPOSE}")).map(drop),
            ),
            (
                "partition_with",
                numbers()
                    .partition_with(2, |_| panic!("{ON_PURPOSE}"))
                    .count()
                    .map(drop),
            ),
            (
                "try_fold",
                numbers()
                    .try_fold(0, |_, _| -> std::result::Result<u32, &str> {
                        panic!("{ON_PURPOSE}")
                    })
                    .map(drop),
            ),
        ];
        for (method, result) in results {
            let error = result.expect_err("the closure panics");
            assert!(
                matches!(error.kind(), ErrorKind::TaskPanicked { .. }),
                "{error}"
            );
            assert_eq!(error.context().expect("a closure").operator, Some(method));
        }
    });
}
