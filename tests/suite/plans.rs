//! Output of `explain`, as inline text.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use holdall::{Bag, Context, Data, Plan};
use serde::Deserialize;

use crate::common::{Files, on_every_executor, on_every_executor_with};

/// Replaces every location in this file by `HERE`.
fn without_places(text: &str) -> String {
    let mut parts = text.split(file!());
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str("HERE");
        text.push_str(part.trim_start_matches(|c: char| c == ':' || c.is_ascii_digit()));
    }
    text
}

#[track_caller]
fn assert_plan(plan: &Plan, expected: &[&str]) {
    let plan = without_places(&plan.to_string());
    assert_eq!(plan.lines().collect::<Vec<_>>(), expected, "\n{plan}");
}

fn context() -> Context {
    Context::builder()
        .threads(2)
        .progress(false)
        .shuffle_partitions(8)
        .build()
        .expect("the settings are right")
}

#[test]
fn a_place_is_file_line_and_column() {
    let (line, plan) = (line!(), holdall::empty::<u8>().explain().to_string());
    assert!(plan.contains(&format!(" at {}:{line}:", file!())), "{plan}");
}

#[test]
fn a_bag_that_is_converted_has_the_place_of_the_conversion() {
    let (line, bag) = (line!(), Bag::from(vec![1]));
    let plan = bag.explain();
    let source = &plan.stages()[0].operators[0];
    assert_eq!((source.name, source.location.file()), ("from_vec", file!()));
    assert_eq!(source.location.line(), line);
}

#[test]
fn a_narrow_chain_is_one_stage() {
    let bag = context()
        .range(0..1_000)
        .map(|n| n + 1)
        .filter(|n| n % 2 == 0)
        .boxed()
        .inspect(|_| ());
    assert_plan(
        &bag.explain(),
        &[
            "stage 1 (partitions: 64)",
            "  range 1000 numbers at HERE [order: the source's]",
            "  map at HERE [order: kept]",
            "  filter at HERE [order: kept]",
            "  inspect at HERE [order: kept]",
            "  -> result",
        ],
    );
}

#[test]
fn each_method_is_one_line_whatever_it_is_made_of() {
    let texts = context().from_vec_partitioned(vec!["1", "2"], 2);
    let numbers = texts.try_filter_map(|text| text.parse::<u64>().map(Some));
    let numbers = numbers.try_flat_map(|n| u8::try_from(n).map(|n| [n, n]));
    let pairs = numbers
        .key_by(|n| *n)
        .map_values(u32::from)
        .keys()
        .with(1)
        .filter(|k, n| n > k);
    assert_plan(
        &pairs.distinct().explain(),
        &[
            "stage 1 (partitions: 2)",
            "  from_vec_partitioned 2 records at HERE [order: the source's]",
            "  try_filter_map at HERE [order: kept]",
            "  try_flat_map at HERE [order: kept]",
            "  key_by at HERE [order: kept]",
            "  map_values at HERE [order: kept]",
            "  keys at HERE [order: kept]",
            "  filter at HERE [order: kept]",
            "  -> shuffle: by hash of the key",
            "stage 2 (partitions: 8)",
            "  distinct <- stage 1 at HERE [order: by hash of the key]",
            "  -> result",
        ],
    );
}

#[test]
fn word_count_is_two_stages() {
    let files = Files::new();
    let paths = ["a", "b"].map(|name| files.write(name, "some words\n"));
    let counts = context()
        .read_text(paths)
        .expect("no error")
        .words()
        .count_by_value();
    assert_plan(
        &counts.map(|(word, n)| format!("{n}\t{word}")).explain(),
        &[
            "stage 1 (partitions: 1, input: 22 bytes)",
            "  read_text 2 files, 22 bytes at HERE [order: the source's]",
            "  words at HERE [order: kept]",
            "  -> shuffle: by hash of the key",
            "stage 2 (partitions: 8)",
            "  count_by_value <- stage 1 at HERE [order: by hash of the key]",
            "  map at HERE [order: kept]",
            "  -> result",
        ],
    );
}

#[test]
fn shuffles_follow_each_other() {
    let counts = context()
        .from_iter(0..1_000)
        .map(|n| n % 10)
        .count_by_value();
    let by_count = counts.map(|(n, count)| (count, n)).reduce_by_key(i32::max);
    assert_plan(
        &by_count.explain(),
        &[
            "stage 1 (partitions: as they come)",
            "  from_iter at HERE [order: the source's]",
            "  map at HERE [order: kept]",
            "  -> shuffle: by hash of the key",
            "stage 2 (partitions: 8)",
            "  count_by_value <- stage 1 at HERE [order: by hash of the key]",
            "  map at HERE [order: kept]",
            "  -> shuffle: by hash of the key",
            "stage 3 (partitions: 8)",
            "  reduce_by_key <- stage 2 at HERE [order: by hash of the key]",
            "  -> result",
        ],
    );
    assert_eq!(by_count.collect().expect("no error"), [(100, 9)]);
}

#[test]
fn partitions_and_orders_of_repartitioned_bags_are_reported() {
    let pairs = context().range(0..100).map(|n| (n % 7, n));
    let spread = pairs.repartition(3).partition_by(4);
    let sorted = spread.repartition_and_sort_within_partitions(5);
    let again = sorted.repartition_and_sort_within_partitions(5);
    assert_plan(
        &again.explain(),
        &[
            "stage 1 (partitions: 64)",
            "  range 100 numbers at HERE [order: the source's]",
            "  map at HERE [order: kept]",
            "  -> shuffle: round-robin",
            "stage 2 (partitions: 3)",
            "  repartition <- stage 1 at HERE [order: kept within each partition]",
            "  -> shuffle: by hash of the key",
            "stage 3 (partitions: 4)",
            "  partition_by <- stage 2 at HERE [order: kept within each partition]",
            "  -> shuffle: by hash of the key",
            "stage 4 (partitions: 5)",
            "  repartition_and_sort_within_partitions <- stage 3 at HERE [order: by key within each partition]",
            "  repartition_and_sort_within_partitions at HERE [order: by key within each partition]",
            "  -> result",
        ],
    );
    let sorted = context().range(0..100).sort();
    assert_plan(
        &sorted.explain(),
        &[
            "stage 1 (partitions: 64)",
            "  range 100 numbers at HERE [order: the source's]",
            "  -> shuffle: by range of the key",
            "stage 2 (partitions: 8)",
            "  sort <- stage 1 at HERE [order: sorted]",
            "  -> result",
        ],
    );
}

#[test]
fn a_shuffle_that_two_branches_read_is_one_stage() {
    on_every_executor(|context| {
        let calls = Arc::new(AtomicUsize::new(0));
        let call = Arc::clone(&calls);
        let numbers = context.range_partitioned(0..1_000, 10).inspect(move |_| {
            call.fetch_add(1, Ordering::Relaxed);
        });
        let counts = numbers.map(|n| n % 10).count_by_value();
        let both = counts
            .clone()
            .filter(|(n, _)| *n < 3)
            .union(counts.clone().map(|(n, k)| (n + 100, k)));
        assert_plan(
            &both.explain(),
            &[
                "stage 1 (partitions: 10)",
                "  range_partitioned 1000 numbers at HERE [order: the source's]",
                "  inspect at HERE [order: kept]",
                "  map at HERE [order: kept]",
                "  -> shuffle: by hash of the key, read 2 times",
                "stage 2 (partitions: 128)",
                "  count_by_value <- stage 1 at HERE [order: by hash of the key]",
                "  filter at HERE [order: kept]",
                "  map at HERE [order: kept]",
                "  union at HERE [order: kept]",
                "  -> result",
            ],
        );
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        let mut pairs = both.collect().unwrap();
        assert_eq!(calls.swap(0, Ordering::Relaxed), 1_000);
        let in_order = counts.collect().unwrap();
        assert!(
            in_order
                .iter()
                .map(|(n, k)| (n + 100, *k))
                .eq(pairs[3..].iter().copied())
        );
        pairs.sort();
        let expected: Vec<_> = (0..3).chain(100..110).map(|n| (n, 100)).collect();
        assert_eq!(pairs, expected);

        // The stage of another shuffle reads it, as does that of the result.
        calls.store(0, Ordering::Relaxed);
        let again = counts
            .clone()
            .map(|(_, k)| (k, 0))
            .reduce_by_key(|a, b| a + b + 1);
        let both = counts.union(again);
        assert_eq!(
            both.explain().to_string().matches("read 2 times").count(),
            1
        );
        let mut pairs = both.collect().unwrap();
        pairs.sort();
        let expected: Vec<_> = (0..10).map(|n| (n, 100)).chain([(100, 9)]).collect();
        assert_eq!(pairs, expected);
        assert_eq!(calls.load(Ordering::Relaxed), 1_000);
    });
}

#[test]
fn a_shuffle_can_be_read_any_number_of_times() {
    on_every_executor(|context| {
        let words = context
            .from_vec(vec!["a".repeat(30), "b".to_owned()])
            .key_by(|word| word.len())
            .group_by_key();
        let four = words
            .clone()
            .union(words.clone())
            .union(words.clone().union(words.clone()));
        assert!(four.explain().to_string().contains("read 4 times"));
        let once = words.collect().unwrap();
        assert_eq!(four.collect().unwrap(), vec![once.clone(); 4].concat());
        // Not all readers need to read it.
        assert_eq!(four.take(1).unwrap(), once[..1]);
        assert_eq!(four.iter().unwrap().nth(2).unwrap().unwrap(), once[0]);
    });
}

#[test]
fn the_lineage_is_a_graph() {
    let numbers = context().range(0..10);
    let bag = numbers.clone().distinct().union(numbers.map(|n| n * 2));
    // Ids are assigned while the program runs. Here, they are numbered in the order of their first appearance.
    let mut names = Vec::new();
    let mut dot = without_places(&bag.explain().lineage_dot());
    for line in dot.lines() {
        let name = line.trim_start().split(' ').next().unwrap_or_default();
        let is_id = name
            .strip_prefix('n')
            .is_some_and(|id| id.parse::<u64>().is_ok());
        if is_id && !names.contains(&name.to_owned()) {
            names.push(name.to_owned());
        }
    }
    for (name, letter) in names.iter().zip(["A", "B", "C", "D"]) {
        dot = dot.replace(&format!("    {name} "), &format!("    {letter} "));
        dot = dot.replace(&format!("-> {name}"), &format!("-> {letter}"));
    }
    let expected = r#"digraph lineage {
    node [shape=box];
    A [label="union\nHERE\npartitions: 18"];
    B [label="distinct\nHERE\npartitions: 8"];
    C [label="range\nHERE\n10 numbers\npartitions: 10"];
    C -> B [label="shuffle", style=bold];
    B -> A;
    D [label="map\nHERE\npartitions: 10"];
    C -> D;
    D -> A;
}
"#;
    assert_eq!(dot, expected);
}

#[test]
fn the_stages_are_a_graph() {
    let left = context().range(0..10).map(|n| (n, n)).sum_by_key();
    let right = context().range(0..20).map(|n| (n, n));
    let rows = left.clone().join(right).join_broadcast(left);
    let expected = r#"digraph stages {
    node [shape=box];
    s1 [label="stage 1\nrange 10 numbers\nmap\npartitions: 10"];
    s2 [label="stage 2\nsum_by_key\npartitions: 8"];
    s1 -> s2 [label="by hash of the key"];
    s3 [label="stage 3\nrange 20 numbers\nmap\npartitions: 20"];
    s4 [label="stage 4\nsum_by_key\njoin\njoin_broadcast\npartitions: 8"];
    s1 -> s4 [label="by hash of the key"];
    s3 -> s4 [label="by hash of the key"];
    s2 -> s4 [label="broadcast"];
}
"#;
    assert_eq!(rows.explain().stages_dot(), expected);
    let pairs = || context().range(0..10).map(|n| (n, n));
    let dot = pairs().join(pairs()).explain().stages_dot();
    assert!(
        dot.contains("    s1 -> s2 [label=\"filter\", style=dashed];\n"),
        "{dot}"
    );
}

/// The parts of a plan, as another program reads them.
#[derive(Debug, Deserialize, PartialEq)]
struct Stage {
    number: usize,
    partitions: Option<usize>,
    input_bytes: Option<u64>,
    operators: Vec<Operator>,
    output: Output,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Operator {
    name: String,
    detail: String,
    location: (String, u32, u32),
    partitions: Option<usize>,
    order: Order,
    reads: Vec<usize>,
}

#[derive(Debug, Deserialize, PartialEq)]
enum Order {
    Source,
    Kept,
    KeptWithinPartitions,
    ByHash,
}

#[derive(Debug, Deserialize, PartialEq)]
enum Output {
    Result,
    Shuffle(String, usize, Option<usize>),
}

#[test]
fn a_plan_is_read_by_other_programs() {
    let (line, bag) = (line!(), context().range(0..10).distinct());
    let settings = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(bag.explain(), settings).expect("it is data");
    let (stages, length): (Vec<Stage>, _) =
        bincode::serde::decode_from_slice(&bytes, settings).expect("the fields are these");
    assert_eq!(length, bytes.len());
    let operator =
        |name: &str, detail: &str, column, partitions, order, reads: &[usize]| Operator {
            name: name.to_owned(),
            detail: detail.to_owned(),
            location: (file!().to_owned(), line, column),
            partitions: Some(partitions),
            order,
            reads: reads.to_owned(),
        };
    let expected = [
        Stage {
            number: 1,
            partitions: Some(10),
            input_bytes: None,
            operators: vec![operator("range", "10 numbers", 43, 10, Order::Source, &[])],
            output: Output::Shuffle("by hash of the key".to_owned(), 1, None),
        },
        Stage {
            number: 2,
            partitions: Some(8),
            input_bytes: None,
            operators: vec![operator("distinct", "", 56, 8, Order::ByHash, &[1])],
            output: Output::Result,
        },
    ];
    assert_eq!(stages, expected);
}

/// Returns the same bag without its history, so that each method shuffles it.
fn forgotten<T: Clone + Send + 'static>(bag: &Bag<T>) -> Bag<T> {
    bag.clone().map(|record| record).boxed()
}

/// Fails unless `in_place` has the `expected` number of stages and the same partitions as `shuffled`, which shuffles.
#[track_caller]
fn assert_same_without_shuffle<T>(in_place: Bag<T>, shuffled: Bag<T>, expected: usize)
where
    T: Data + std::fmt::Debug + PartialEq,
{
    let plan = in_place.explain();
    assert_eq!(plan.stages().len(), expected, "{plan}");
    assert!(shuffled.explain().stages().len() > expected);
    let partitions = |bag: Bag<T>| {
        let partitions = bag.map_partitions(|records, emit| {
            let mut all = Vec::new();
            records.for_each(|record| all.push(record));
            emit(all);
        });
        partitions.collect().expect("no error")
    };
    assert_eq!(partitions(in_place), partitions(shuffled));
}

#[test]
fn joins_and_groups_of_bags_that_are_where_their_keys_belong_do_not_shuffle_them() {
    on_every_executor_with(
        |builder| builder.shuffle_partitions(5),
        |context| {
            let pairs = |count, keys| context.range(0..count).map(move |n| (n % keys, n));
            let left = pairs(3_000, 400).partition_by(5);
            let right = pairs(500, 300).reduce_by_key(|a, _| a);
            let (other_left, other_right) = (forgotten(&left), forgotten(&right));
            macro_rules! check {
                ($method:ident) => {
                    let both = other_left.clone().$method(other_right.clone()).boxed();
                    let in_place = left.clone().$method(right.clone()).boxed();
                    assert_same_without_shuffle(in_place, both.clone(), 3);
                    let one = left.clone().$method(other_right.clone()).boxed();
                    assert_same_without_shuffle(one, both.clone(), 4);
                    let other = other_left.clone().$method(right.clone()).boxed();
                    assert_same_without_shuffle(other, both, 4);
                };
            }
            check!(join);
            check!(left_join);
            check!(right_join);
            check!(full_join);
            check!(semi_join);
            check!(anti_join);
            let groups = |left: &Bag<(u64, u64)>, right: &Bag<(u64, u64)>| {
                let groups = left.clone().cogroup(right.clone());
                groups.map(|(key, left, right)| (key, left.last(), right.sum::<u64>()))
            };
            let in_place = groups(&left, &right).boxed();
            let shuffled = groups(&other_left, &other_right).boxed();
            assert_same_without_shuffle(in_place, shuffled, 3);
            let lists = |left: &Bag<(u64, u64)>| {
                let lists = left.clone().group_by_key();
                lists.map_values(|values| values.collect::<Vec<_>>())
            };
            let in_place = lists(&left).boxed();
            assert_same_without_shuffle(in_place, lists(&other_left).boxed(), 2);
            // The results are again in the partitions of their keys.
            let twice = |left: &Bag<(u64, u64)>, right: &Bag<(u64, u64)>| {
                let rows = left.clone().join(right.clone());
                let counts = rows.filter(|(key, _)| key % 3 == 0).count_by_key();
                let rows = counts.left_join(lists(left));
                rows.group_by_key().keys().distinct()
            };
            let in_place = twice(&left, &right);
            assert_same_without_shuffle(in_place, twice(&other_left, &other_right), 3);
        },
    );
}

#[test]
fn sets_of_records_that_are_where_they_belong_are_not_shuffled_again() {
    let context = context();
    let words = |text: &'static str| {
        let lines = context.from_vec(vec![text]);
        lines.flat_map_str(|line, emit| line.split(' ').for_each(emit))
    };
    // Borrowed and owned text have the same hash.
    let left = words("to be or not to be").distinct();
    let right = words("or to see").count_by_value().keys().boxed();
    let (other_left, other_right) = (forgotten(&left), forgotten(&right));
    assert_same_without_shuffle(
        left.clone().intersection(right.clone()),
        other_left.clone().intersection(other_right.clone()),
        3,
    );
    assert_same_without_shuffle(
        left.clone().subtract(right),
        other_left.clone().subtract(other_right),
        3,
    );
    assert_same_without_shuffle(left.clone().distinct(), other_left.clone().distinct(), 2);
    assert_same_without_shuffle(left.count_by_value(), other_left.count_by_value(), 2);

    // Pairs that are partitioned by the whole pair are not partitioned by their first field, nor by the pair once a
    // field has changed.
    let pairs = context.range(0..100).map(|n| (n % 7, n % 3)).distinct();
    assert_eq!(pairs.clone().group_by_key().explain().stages().len(), 3);
    let changed = pairs.map_values(|n| n / 2);
    assert_eq!(changed.clone().distinct().explain().stages().len(), 3);
    assert_eq!(changed.distinct().count().unwrap(), 14);
}

#[test]
fn a_bag_that_is_partitioned_is_not_partitioned_again() {
    on_every_executor(|context| {
        let divided = context
            .range(0..2_000)
            .map(|n| (n * 7919 % 101, n))
            .partition_by(6);
        let other = forgotten(&divided);
        assert_same_without_shuffle(
            divided.clone().partition_by(6),
            other.clone().partition_by(6),
            2,
        );
        assert_same_without_shuffle(
            divided.clone().repartition_and_sort_within_partitions(6),
            other.repartition_and_sort_within_partitions(6),
            2,
        );
        let sorted = divided.repartition_and_sort_within_partitions(64);
        assert_same_without_shuffle(
            sorted.clone().sum_by_key(),
            forgotten(&sorted).sum_by_key(),
            3,
        );
    });
}

#[test]
fn pairs_that_are_where_their_keys_belong_are_not_shuffled_again() {
    let context = Context::builder().progress(false).build().unwrap();
    let numbers = context.range(0..5000).map(|n| (n % 700, n));
    let sums = numbers.clone().sum_by_key();
    let again = |sums: Bag<(u64, u64)>| {
        sums.filter(|(key, _)| key % 2 == 0)
            .map_values(|sum| sum / 3)
            .reduce_by_key(|a, b| a + b)
            .count_by_key()
    };
    // Without its history, the same bag is shuffled by each method.
    let forgotten = again(sums.clone().map(|pair| pair).boxed());
    let in_place = again(sums.clone());
    assert_eq!(forgotten.explain().stages().len(), 3);
    assert_eq!(in_place.explain().stages().len(), 2);
    let counts = in_place.collect().unwrap();
    assert_eq!(counts, forgotten.collect().unwrap());
    assert_eq!(counts.len(), 350);
    assert_eq!(context.last_job().unwrap().stages.len(), 3);

    let divided = numbers.partition_by(context.empty::<u64>().distinct().partitions().unwrap());
    assert_eq!(divided.clone().sum_by_key().explain().stages().len(), 2);
    assert_eq!(
        divided.sum_by_key().collect().unwrap(),
        sums.collect().unwrap()
    );
    // Another number of partitions is kept, unless the method is told one.
    let others = context.range(0..50).map(|n| (n, n)).partition_by(3);
    let kept = others.clone().sum_by_key();
    assert_eq!(
        (kept.explain().stages().len(), kept.partitions()),
        (2, Some(3))
    );
    let told = others.shuffle_partitions(4).sum_by_key();
    assert_eq!(
        (told.explain().stages().len(), told.partitions()),
        (3, Some(4))
    );
    // Another key requires a shuffle.
    let swapped = sums.map(|(key, sum)| (sum, key)).count_by_key();
    assert_eq!(swapped.explain().stages().len(), 3);
}

/// The plan of the program at the top of the README, as a picture.
#[test]
fn the_readme_shows_a_plan() -> holdall::Result<()> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let counts = holdall::read_text(root.join("datasets/about.txt"))?
        .words()
        .filter(|word| word.len() > 1)
        .map(|word| word.trim_end_matches([',', '.', ':']).to_lowercase())
        .count_by_value();
    let drawn = counts.explain().stages_svg();
    let path = root.join("docs/plan.svg");
    if std::env::var_os("HOLDALL_DRAW_PLAN").is_some() {
        std::fs::write(&path, &drawn).expect("room for a file");
    }
    let checked_in = std::fs::read_to_string(path).expect("a text");
    assert_eq!(
        drawn, checked_in,
        "set HOLDALL_DRAW_PLAN=1 to draw it again"
    );
    Ok(())
}

/// Stages that read each other are in different columns, and their arrows have labels.
#[test]
fn a_picture_has_a_box_for_each_stage_and_an_arrow_for_each_shuffle() {
    let pairs = || holdall::range(0..10).map(|n| (n % 3, n));
    let plan = pairs().join(pairs().sum_by_key()).sort().explain();
    let svg = plan.stages_svg();
    assert_eq!(
        svg.matches("font-weight=\"bold\"").count(),
        plan.stages().len()
    );
    let reads = plan.stages().iter().flat_map(|stage| &stage.operators);
    let reads: usize = reads.map(|operator| operator.reads.len()).sum();
    assert!(svg.matches("marker-end").count() >= reads, "{svg}");
    assert!(svg.contains(">by range of the key</text>"));
}
