//! Compares sorting with `slice::sort_by`, for any data, partitions, memory and executor.

#![expect(
    clippy::print_stdout,
    reason = "a process tells another one what it measured"
)]

use std::cmp::Ordering;
use std::fmt::Debug;
use std::path::Path;

use holdall::{Bag, Context, Data, ErrorKind, Executor};

use crate::common::{all_settings, assert_empty, concatenation};

/// Minimum memory of a thread, in bytes.
const TINY: u64 = 1 << 20;
const LARGE: u64 = 1 << 30;

/// Returns contexts of all kinds, with much memory and with little, which spill into `directory`.
fn contexts(directory: &Path) -> Vec<(String, Context)> {
    let settings = [
        (Executor::Inline, TINY, 5),
        (Executor::Threads(2), LARGE, 16),
        (Executor::Threads(7), 7 * TINY, 3),
        (Executor::Threads(1), TINY, 1),
        (Executor::Threads(2), 2 * TINY, 64),
    ];
    let settings = &settings[..if all_settings() { 5 } else { 3 }];
    let context = |&(executor, memory, partitions)| {
        let context = Context::builder()
            .executor(executor)
            .memory(memory)
            .shuffle_partitions(partitions)
            .spill_directory(directory)
            .build();
        (
            format!("{executor:?}, {memory} bytes, {partitions} partitions"),
            context.expect("a context"),
        )
    };
    settings.iter().map(context).collect()
}

/// Sorts `records` in all contexts, with several partitionings of the input.
fn sorts_as<T, U>(records: Vec<T>, sort: impl Fn(Bag<T>) -> Bag<U>, expected: &[U])
where
    T: Data + Clone + Sync,
    U: Data + Clone + PartialEq + Debug,
{
    let directory = tempfile::tempdir().expect("a directory");
    for (name, context) in contexts(directory.path()) {
        for partitions in [1, 20] {
            let bag = context
                .from_vec_partitioned(records.clone(), partitions)
                .boxed();
            let sorted = sort(bag).collect().expect("sorted");
            assert!(sorted == expected, "{name}, {partitions} partitions");
        }
        assert_empty(directory.path());
    }
}

/// Returns pseudo-random numbers, the same in each run.
fn numbers(count: usize) -> Vec<u64> {
    let mut state = 7_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 20) ^ (state >> 41)
    };
    (0..count).map(|_| next()).collect()
}

fn sorted<T: Clone + Ord>(records: &[T]) -> Vec<T> {
    let mut sorted = records.to_vec();
    sorted.sort();
    sorted
}

/// Returns records with their positions. Only the first field is compared.
fn placed(keys: impl IntoIterator<Item = u64>) -> Vec<(u64, usize)> {
    keys.into_iter().zip(0..).collect()
}

fn is_stable(records: Vec<(u64, usize)>) {
    let mut expected = records.clone();
    expected.sort_by_key(|record| record.0);
    sorts_as(records, |bag| bag.sort_by_key(|record| record.0), &expected);
}

#[test]
fn numbers_sort() {
    let records = numbers(40_000);
    let expected = sorted(&records);
    sorts_as(records, Bag::sort, &expected);
}

#[test]
fn numbers_of_all_types_and_pairs_of_them_sort() {
    fn sorts<T: Data + Clone + Sync + Ord + Debug>(records: Vec<T>) {
        let expected = sorted(&records);
        sorts_as(records, Bag::sort, &expected);
    }
    let numbers = || numbers(20_000).into_iter();
    sorts(numbers().map(|n| n as u8).collect());
    sorts(numbers().map(|n| n as i16).collect());
    sorts(
        numbers()
            .map(|n| (n as i64).wrapping_mul(1 << 40))
            .collect(),
    );
    sorts(
        numbers()
            .filter_map(|n| char::from_u32(n as u32 % 0x11_0000))
            .collect(),
    );
    sorts(
        numbers()
            .map(|n| ((n % 100) as u32, n as i64 - (1 << 43)))
            .collect(),
    );
    sorts(numbers().map(|n| (n as i32 as i64, n)).collect());
    // These have no fast way.
    sorts(numbers().map(|n| (n % 2 == 0, n as u16)).collect());
    sorts(numbers().map(u128::from).collect());
}

#[test]
fn records_sort_by_keys_of_all_types() {
    fn sorts<K: Data + Ord>(key_of: fn(u64) -> K) {
        let records = placed(numbers(9_000).into_iter().map(|n| n % 3_000));
        let mut expected = records.clone();
        expected.sort_by_key(|record| key_of(record.0));
        let by_key = |bag: Bag<(u64, usize)>| bag.sort_by_key(move |record| key_of(record.0));
        sorts_as(records.clone(), by_key, &expected);
        let by_cached_key =
            |bag: Bag<(u64, usize)>| bag.sort_by_cached_key(move |record| key_of(record.0));
        sorts_as(records, by_cached_key, &expected);
    }
    sorts(|n| 1000 - n as i64);
    sorts(|n| (n % 7, n as u32));
    sorts(|n| format!("{}{n}", "same ".repeat(n as usize % 3)));
    sorts(|n| vec![n as u8; n as usize % 20]);
    sorts(|n| (n % 7, n.to_string()));
}

#[test]
fn strings_sort_by_their_bytes() {
    let mut records: Vec<String> = numbers(20_000).iter().map(|n| format!("{n:x}")).collect();
    records.extend(
        [
            "",
            "\0",
            "\0\0",
            "a",
            "a\0",
            "a\0b",
            "ab",
            "\u{10ffff}",
            "é",
        ]
        .map(String::from),
    );
    // Long records, with equal prefixes of up to hundreds of bytes.
    for n in numbers(400) {
        records.push(format!("{}{}", "same ".repeat((n % 90) as usize), n % 7));
    }
    let expected = sorted(&records);
    sorts_as(records, Bag::sort, &expected);
}

#[test]
fn byte_strings_sort() {
    let records: Vec<Vec<u8>> = numbers(20_000)
        .iter()
        .map(|n| n.to_le_bytes()[..(n % 9) as usize].to_vec())
        .collect();
    let expected = sorted(&records);
    sorts_as(records, Bag::sort, &expected);
}

#[test]
fn equal_records_keep_their_order() {
    is_stable(placed(numbers(30_000).into_iter().map(|n| n % 10)));
}

#[test]
fn all_equal() {
    is_stable(placed((0..30_000).map(|_| 5)));
    let records = vec!["the same line".to_owned(); 20_000];
    sorts_as(records.clone(), Bag::sort, &records);
}

#[test]
fn all_distinct() {
    is_stable(placed((0..30_000).rev()));
    is_stable(placed(0..30_000));
}

#[test]
fn most_have_one_key() {
    let keys = numbers(30_000).into_iter();
    is_stable(placed(keys.map(|n| if n % 10 == 0 { n } else { 1 << 40 })));
}

#[test]
fn few_and_none() {
    is_stable(Vec::new());
    is_stable(vec![(1, 0)]);
    is_stable(vec![(2, 0), (1, 1)]);
    sorts_as(Vec::<String>::new(), Bag::sort, &[]);
}

#[test]
fn records_longer_than_a_frame() {
    let long = |n: u64| format!("{:03}", n % 500).repeat(30_000 + (n % 3) as usize);
    let records: Vec<String> = numbers(24).into_iter().map(long).collect();
    let expected = sorted(&records);
    sorts_as(records.clone(), Bag::sort, &expected);
    let sort = |bag: Bag<String>| bag.sort_by(|a, b| a.cmp(b));
    sorts_as(records, sort, &expected);
}

#[test]
fn by_comparison_and_by_cached_key() {
    let records: Vec<String> = numbers(9_000)
        .iter()
        .map(|n| format!("{:x}", n % 5_000))
        .collect();
    let mut expected = records.clone();
    expected.sort_by_key(|text| std::cmp::Reverse(text.len()));
    let sort = |bag: Bag<String>| bag.sort_by(|a, b| b.len().cmp(&a.len()));
    sorts_as(records.clone(), sort, &expected);
    let reversed = |text: &String| text.chars().rev().collect::<String>();
    expected = records.clone();
    expected.sort_by_cached_key(reversed);
    sorts_as(
        records,
        move |bag| bag.sort_by_cached_key(reversed),
        &expected,
    );
}

/// Sorts numbers by `compare` and by its reverse. Compares bits, which distinguish -0.0 and 0.0.
fn sorts_by<T, U>(records: &[T], compare: fn(&T, &T) -> Ordering, bits: fn(T) -> U)
where
    T: Data + Copy + Sync,
    U: Data + Copy + PartialEq + Debug,
{
    let expected = |compare: &dyn Fn(&T, &T) -> Ordering| -> Vec<U> {
        let mut sorted = records.to_vec();
        sorted.sort_by(compare);
        sorted.into_iter().map(bits).collect()
    };
    let sort = |bag: Bag<T>| bag.sort_by(compare).map(bits).boxed();
    sorts_as(records.to_vec(), sort, &expected(&compare));
    let reverse = move |a: &T, b: &T| compare(b, a);
    let sort = |bag: Bag<T>| bag.sort_by(reverse).map(bits).boxed();
    sorts_as(records.to_vec(), sort, &expected(&reverse));
}

#[test]
fn numbers_sort_by_comparisons() {
    let numbers = || numbers(40_000).into_iter();
    let spread = || numbers().map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    sorts_by(&numbers().collect::<Vec<_>>(), u64::cmp, u64::from);
    let few = numbers().map(|n| n % 300);
    sorts_by(&few.collect::<Vec<u64>>(), u64::cmp, u64::from);
    // The others have shorter input, because it is their types that differ.
    let spread = || spread().take(10_000);
    let signed = spread().map(|n| n as i64);
    sorts_by(&signed.collect::<Vec<_>>(), i64::cmp, i64::from);
    let short = spread().map(|n| n as i32);
    sorts_by(&short.collect::<Vec<_>>(), i32::cmp, i32::from);
    let chars = numbers().take(10_000);
    let chars = chars.filter_map(|n| char::from_u32(n as u32 % 0x11_0000));
    sorts_by(&chars.collect::<Vec<_>>(), char::cmp, char::from);
    let floats: Vec<f64> = spread().map(f64::from_bits).collect();
    sorts_by(&floats, f64::total_cmp, f64::to_bits);
    let floats: Vec<f32> = spread().map(|n| f32::from_bits(n as u32)).collect();
    sorts_by(&floats, f32::total_cmp, f32::to_bits);
    let floats: Vec<f32> = spread().map(|n| n as i16 as f32 / 8.0).collect();
    sorts_by(&floats, |a, b| a.partial_cmp(b).unwrap(), f32::to_bits);
}

#[test]
fn numbers_that_compare_equal_keep_their_order() {
    let zeros: Vec<f64> = (0..30_000)
        .zip(numbers(30_000))
        .map(|(n, number)| match number % 30 {
            0 => -0.0,
            1 => 0.0,
            _ => number as f64 - f64::from(n),
        })
        .collect();
    sorts_by(&zeros, |a, b| a.partial_cmp(b).unwrap(), f64::to_bits);
    let numbers: Vec<i64> = numbers(40_000)
        .iter()
        .map(|n| (n % 30_000) as i64 - 300)
        .collect();
    sorts_by(&numbers, |a, b| (a / 10).cmp(&(b / 10)), i64::from);
    // Few are negative, so that nearly all are in their natural order.
    sorts_by(&numbers, |a, b| a.abs().cmp(&b.abs()), i64::from);
    sorts_by(&numbers, |a, b| (a % 100).cmp(&(b % 100)), i64::from);
}

#[test]
fn partitions_are_ranges_of_about_one_size() {
    let context = Context::builder()
        .shuffle_partitions(8)
        .memory(LARGE)
        .build()
        .unwrap();
    let sorted = context.from_vec_partitioned(numbers(80_000), 20).sort();
    assert_eq!(sorted.partitions(), Some(8));
    let lengths = sorted.map_partitions(|records, emit| {
        let mut length = 0;
        records.for_each(|_| length += 1);
        emit(length);
    });
    for length in lengths.collect().unwrap() {
        assert!((8_000..12_000).contains(&length), "{length}");
    }
}

#[test]
fn lines_of_files_sort_as_text_and_as_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let spill = tempfile::tempdir().unwrap();
    let mut lines: Vec<Vec<u8>> = numbers(30_000)
        .iter()
        .map(|n| format!("{n}").into())
        .collect();
    let path = directory.path().join("text");
    std::fs::write(&path, lines.join(&b'\n')).unwrap();
    lines.sort();
    for (name, context) in contexts(spill.path()) {
        let text = context.read_text(&path).unwrap().sort().collect().unwrap();
        assert!(text.iter().map(String::as_bytes).eq(&lines), "{name}");
        let reader = holdall::TextReader::new()
            .context(&context)
            .partition_bytes(50_000);
        let bytes = reader.read_bytes(&path).unwrap().sort();
        let out = directory.path().join("out");
        holdall::TextWriter::new()
            .overwrite(true)
            .write(&bytes, &out)
            .unwrap();
        let mut expected = lines.join(&b'\n');
        expected.push(b'\n');
        assert!(concatenation(&out).as_bytes() == expected, "{name}");
    }
}

#[test]
fn one_shuffle_can_have_several_readers() {
    let spill = tempfile::tempdir().unwrap();
    for (name, context) in contexts(spill.path()) {
        let sorted = context.from_vec_partitioned(numbers(5_000), 7).sort();
        let twice = sorted
            .clone()
            .union(sorted.clone())
            .collect()
            .expect("sorted");
        let once = sorted.collect().expect("sorted");
        assert!(twice == [&once[..], &once].concat(), "{name}");
    }
}

#[test]
fn sorted_bags_merge() {
    let keys = placed(numbers(20_000).into_iter().map(|n| n % 100));
    let expected = sorted(&keys);
    let (first, second) = keys.split_at(12_000);
    let (first, second) = (sorted(first), sorted(second));
    let merge = move |bag: Bag<(u64, usize)>| bag.merge_sorted(holdall::from_vec(second.clone()));
    sorts_as(first, merge, &expected);
}

#[test]
fn bags_that_are_larger_than_memory_merge() {
    let keys = || numbers(30_000).into_iter().map(|n| n % 3_000);
    let lines: Vec<String> = keys().map(|n| format!("{n:040}\0")).collect();
    merges_as_it_sorts(&lines, 18_000);
    let pairs = placed(keys());
    merges_as_it_sorts(&pairs, 18_000);
}

/// Asserts that merging the sorted records before and after `middle` equals sorting, also if they are not sorted.
fn merges_as_it_sorts<T>(records: &[T], middle: usize)
where
    T: Data + Ord + Clone + Sync + Debug,
{
    let expected = sorted(records);
    let (first, second) = records.split_at(middle);
    for (first_is_sorted, second_is_sorted) in [(true, true), (true, false), (false, false)] {
        let side = |side: &[T], is_sorted| {
            if is_sorted {
                sorted(side)
            } else {
                side.to_vec()
            }
        };
        let first = side(first, first_is_sorted);
        let second = side(second, second_is_sorted);
        let spill = tempfile::tempdir().expect("a directory");
        for (name, context) in contexts(spill.path()) {
            let bags = [(&first, 7), (&second, 3)]
                .map(|(side, partitions)| context.from_vec_partitioned(side.clone(), partitions));
            let [bag, other] = bags;
            let merged = bag.merge_sorted(other).collect().expect("merged");
            assert!(
                merged == expected,
                "{name}, sorted: {first_is_sorted}, {second_is_sorted}"
            );
        }
        assert_empty(spill.path());
    }
}

#[test]
fn equal_records_of_merged_bags_are_in_their_order() {
    /// Equal to all others with the same key.
    #[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
    struct Placed(u64, u64);

    impl Ord for Placed {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Placed {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }

    impl PartialEq for Placed {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other).is_eq()
        }
    }

    impl Eq for Placed {}

    let places = |side: u64| (0..15_000).map(move |n| Placed(n / 50, 2 * n + side));
    let mut expected: Vec<_> = places(0).chain(places(1)).collect();
    expected.sort();
    let places_of = |records: Vec<Placed>| records.into_iter().map(|record| record.1);
    let spill = tempfile::tempdir().unwrap();
    for (name, context) in contexts(spill.path()) {
        let bag = |side| context.from_vec_partitioned(places(side).collect(), 9);
        let merged = bag(0).merge_sorted(bag(1)).collect().unwrap();
        assert!(places_of(merged).eq(places_of(expected.clone())), "{name}");
    }
}

#[test]
fn text_in_order_and_in_a_few_stretches_sorts() {
    let lines = |every: usize| {
        let stretch = move |start| (start..24_000).step_by(every);
        let lines = (0..every).flat_map(stretch);
        lines.map(|n| format!("{:030}", n / 3)).collect()
    };
    for stretches in [1, 2, 8, 9, 500] {
        let lines: Vec<String> = lines(stretches);
        sorts_as(lines.clone(), Bag::sort, &sorted(&lines));
    }
}

#[test]
fn pairs_sort_within_partitions() {
    let pairs = placed(numbers(20_000).into_iter().map(|n| n % 300));
    let spill = tempfile::tempdir().unwrap();
    let mut first = None;
    for (name, context) in contexts(spill.path()) {
        let bag = context.from_vec_partitioned(pairs.clone(), 9);
        let bag = bag.repartition_and_sort_within_partitions(6);
        assert_eq!(bag.partitions(), Some(6));
        let partitions = bag.map_partitions(|records, emit| {
            let mut all = Vec::new();
            records.for_each(|pair| all.push(pair));
            emit(all);
        });
        let partitions = partitions.collect().expect("sorted");
        let expected = first.get_or_insert_with(|| partitions.clone());
        assert!(partitions == *expected, "{name}");
        // Keys are in order, the positions of each key are in order, and no key occurs twice.
        assert!(
            partitions.iter().all(|partition| partition.is_sorted()),
            "{name}"
        );
        let mut keys: Vec<u64> = partitions
            .iter()
            .flat_map(|partition| {
                let mut keys: Vec<u64> = partition.iter().map(|pair| pair.0).collect();
                keys.dedup();
                keys
            })
            .collect();
        keys.sort_unstable();
        assert!(keys.iter().copied().eq(0..300), "{name}");
    }
}

#[test]
fn a_panic_in_a_comparison_names_the_sort() {
    let spill = tempfile::tempdir().unwrap();
    for (name, context) in contexts(spill.path()) {
        let records = context.from_vec_partitioned(numbers(20_000), 3);
        let sorted = records.sort_by(|a, b| {
            assert!(a % 1000 != 7 && b % 1000 != 7, "seven");
            a.cmp(b)
        });
        let error = sorted.collect().expect_err("a panic");
        let ErrorKind::TaskPanicked {
            context: place,
            message,
            ..
        } = error.kind()
        else {
            panic!("{name}: {error}");
        };
        assert_eq!(
            (place.operator, message.as_str()),
            (Some("sort_by"), "seven"),
            "{name}"
        );
        assert!(place.location.is_some(), "{name}");
    }
    assert_empty(spill.path());
}

#[test]
fn the_plan_shows_how_a_sort_partitions() {
    let plan = holdall::range(0..10).sort().explain().to_string();
    assert!(plan.contains("shuffle: by range of the key"), "{plan}");
    assert!(plan.contains("[order: sorted]"), "{plan}");
}

#[test]
fn a_sort_that_breaks_off_leaves_nothing() {
    let spill = tempfile::tempdir().unwrap();
    for (name, context) in contexts(spill.path()) {
        let sorted = context.from_vec_partitioned(numbers(30_000), 10).sort();
        let least = numbers(30_000).into_iter().min();
        assert_eq!(sorted.first().expect("sorted"), least, "{name}");
        assert_eq!(sorted.iter().expect("a job").take(3).count(), 3);
    }
    assert_empty(spill.path());
}

/// Measures the peak memory of a process that sorts ten times its budget. Everything besides the budget, including
/// threads and their file buffers, must fit into 64 MiB.
#[cfg(target_os = "linux")]
#[test]
fn memory_stays_within_the_budget() {
    const BUDGET: usize = 16 << 20;
    const CONSTANT: usize = 64 << 20;
    for kind in ["lines", "pairs"] {
        let program = std::env::current_exe().unwrap();
        let output = std::process::Command::new(program)
            .args([
                "--exact",
                "sort::sort_in_a_process_of_its_own",
                "--ignored",
                "--nocapture",
            ])
            .env("SORT_KIND", kind)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let peak = text.lines().find_map(|line| line.strip_prefix("peak: "));
        let peak: usize = peak
            .unwrap_or_else(|| panic!("{output:?}"))
            .parse()
            .unwrap();
        assert!(peak <= BUDGET + CONSTANT, "{kind}: {peak} bytes");
    }
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by `memory_stays_within_the_budget`"]
fn sort_in_a_process_of_its_own() {
    const BYTES: u64 = 112 << 20;
    let context = Context::builder()
        .threads(2)
        .memory(16 << 20)
        .build()
        .unwrap();
    let mixed = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
    let count = BYTES / 1000;
    let line = move |n: u64| format!("{:016x}{n:0984}", mixed(n));
    let records = context.range_partitioned(0..count, 100);
    let sorted = match std::env::var("SORT_KIND").as_deref() {
        Ok("pairs") => {
            let pairs = records.map(move |n| (mixed(n), line(n)));
            pairs.sort_by_key(|pair| pair.0).count()
        }
        _ => records.map(line).sort().count(),
    };
    assert_eq!(sorted.unwrap(), count);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kibibytes = |name: &str| -> usize {
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        let value = value.unwrap().trim().strip_suffix(" kB");
        value.unwrap().parse().unwrap()
    };
    // The pages of the executable do not count: this test program has more of them than all else takes.
    let kibibytes = kibibytes("VmHWM:") - kibibytes("RssFile:");
    println!("\npeak: {}", kibibytes * 1024);
}

#[test]
fn the_summary_counts_what_is_sorted() {
    let context = Context::builder().progress(false).build().unwrap();
    let numbers = context
        .range_partitioned(0..5000, 7)
        .map(|n| n * 7919 % 5000);
    assert_eq!(numbers.sort().first().unwrap(), Some(0));
    let stage = &context.last_job().unwrap().stages[0];
    assert_eq!(stage.shuffled_records, 5000);
    assert!(stage.shuffled_bytes > 0);
}
