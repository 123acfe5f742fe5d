//! Each operator and action computes the same when it is serialised and run in another process.

mod rounds;
mod stop;

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::iter::Iterate;
use super::*;
use crate::error::{BoxError, Error, ErrorKind, Result};
use crate::files::{FileSystems, NewOutput, OutputOptions};
use crate::operators::actions::{
    Collect, Count, Fold, HasAny, Top, TryForEach, WriteAction, WriteText,
};
use crate::operators::from_source::{Reading, Source};
use crate::operators::map_partitions::Records;
use crate::pipeline::{Action, ClosureState, Data, Initial, Plain, Stated};
use crate::plan::JobPlan;
use crate::portable::{Loader, Portable, Saver};
use crate::scheduler::ResultStage;
use crate::summary;
use crate::task::{
    Flow, Imports, JobState, MapOutput, Partition, Resources, StageCode, Task, load_stage,
};

fn saved(stage: &dyn StageCode) -> Result<Vec<u8>> {
    let mut to = Saver::new();
    stage.save(&mut to)?;
    Ok(to.into_bytes())
}

/// Returns the partitions of a stage, each serialised and deserialised.
fn partitions(stage: &dyn StageCode) -> Result<Vec<Partition>> {
    let sent = |partition: Partition| {
        let mut to = Saver::new();
        partition.save(&mut to)?;
        let bytes = to.into_bytes();
        let mut from = Loader::new(&bytes);
        let partition = Partition::load(&mut from)?;
        from.finish()?;
        Ok(partition)
    };
    if let Some(partitions) = stage.partitions() {
        return (0..partitions)
            .map(|index| sent(Partition::at(index)))
            .collect();
    }
    let mut stream = stage.stream();
    let mut partitions = Vec::new();
    while let Some(partition) = stream()? {
        partitions.push(sent(partition)?);
    }
    Ok(partitions)
}

/// Creates the state of a job in another process.
fn remote_job(resources: &Resources, outputs: &[MapOutput]) -> JobState {
    let imports = Imports::new(outputs.to_vec());
    JobState::remote(resources.clone(), Arc::new(imports))
}

/// Runs `action`, with all of its stages serialised and deserialised, and passes the parts to `consume`.
fn run_sent<T, P, A>(
    bag: &Bag<T, P>,
    action: &A,
    consume: impl FnMut(A::Part) + Send,
) -> Result<usize>
where
    T: Record + ?Sized,
    P: Pipeline<Out = T>,
    A: Action<T>,
{
    let plan = JobPlan::new(&bag.node);
    let resources = Resources::unlimited();
    let mut outputs = Vec::new();
    for (number, map_stage) in (1..).zip(&plan.map_stages) {
        let stage = map_stage.shuffle.map_stage(map_stage.readers, &resources);
        let sent = load_stage(&saved(&*stage)?)?;
        // Two tasks, each in a simulated process.
        let mut partitions = partitions(&*stage)?;
        let later = partitions.split_off(partitions.len() / 2);
        let mut left = Vec::new();
        for partitions in [partitions, later] {
            let job = remote_job(&resources, &outputs);
            left.extend(sent.run(&job, number, partitions, &mut |_, _, _| {
                unreachable!("a map stage hands nothing on")
            })?);
        }
        outputs.push(MapOutput::of_all(map_stage.shuffle.id()));
        outputs.extend(MapOutput::group(left)?);
    }
    let job = remote_job(&resources, &outputs);
    let mut consume = consume;
    let stage = ResultStage::new(&*bag.pipeline, action, |_: &Task<'_>, part| {
        consume(part);
        Flow::Continue(())
    });
    let sent = load_stage(&saved(&stage)?)?;
    let mut chunks = Vec::new();
    let left = sent.run(
        &job,
        plan.stages(),
        partitions(&stage)?,
        &mut |partition, chunk, _| {
            chunks.push((partition, chunk));
            Ok(Flow::Continue(()))
        },
    )?;
    assert!(left.is_empty());
    assert!(chunks.is_sorted_by_key(|(partition, _)| *partition));
    for (partition, chunk) in &chunks {
        let task = Task::new(&job, plan.stages(), *partition);
        let _ = stage.accept(&task, *partition, chunk)?;
    }
    Ok(chunks.len())
}

fn collect_sent<T, P>(bag: &Bag<T, P>) -> Result<Vec<T::Owned>>
where
    T: Record<Owned: Data> + ?Sized,
    P: Pipeline<Out = T>,
{
    let mut all = Vec::new();
    let collect = Collect::all(Site::new("collect"));
    run_sent(bag, &collect, |part| all.extend(part))?;
    Ok(all)
}

/// Asserts that the records of a bag, which must have some, are the same when its stages are serialised.
#[track_caller]
fn assert_travels<T, P>(bag: Bag<T, P>)
where
    T: Record<Owned: Data + PartialEq + fmt::Debug> + ?Sized,
    P: Pipeline<Out = T>,
{
    let here = bag.collect().unwrap();
    assert!(!here.is_empty());
    assert_eq!(collect_sent(&bag).unwrap(), here);
    // Again with an erased chain, erased twice.
    let boxed = bag.boxed().boxed();
    assert_eq!(collect_sent(&boxed).unwrap(), here);
}

fn context() -> Context {
    Context::builder().threads(1).build().unwrap()
}

fn numbers() -> Bag<u64, impl Pipeline<Out = u64>> {
    context().range_partitioned(0..100, 3)
}

fn pairs() -> Bag<(u64, u64), impl Pipeline<Out = (u64, u64)>> {
    numbers().map(|n| (n % 7, n))
}

#[test]
fn sources_travel() {
    assert_travels(numbers());
    assert_travels(context().from_vec(vec!["a".to_owned(), String::new(), "b".repeat(1000)]));
    assert_travels(context().from_vec(vec!["for ever", "and ever"]));
    assert_travels(context().from_iter((0..200_u32).map(|n| (n, n.to_string()))));
    assert_travels(context().from_fn(|| [1, 2, 3]));
    let directory = tempfile::tempdir().unwrap();
    let files = ["one", "two"].map(|name| directory.path().join(name));
    std::fs::write(&files[0], "a b\nc d\n\nlast").unwrap();
    std::fs::write(&files[1], "e; f\n").unwrap();
    assert_travels(context().read_text(directory.path()).unwrap());
    assert_travels(TextReader::new().delimiter(";").read(&files).unwrap());
    assert_travels(
        TextReader::new()
            .partition_bytes(4)
            .read_bytes(&files)
            .unwrap(),
    );
    assert_travels(context().read_text(&files).unwrap().words());
    assert_travels(context().read_text(&files).unwrap().containing("d"));
    let lines = context().read_text(&files).unwrap();
    assert_travels(lines.parse_fields::<Vec<String>>(' '));
}

#[derive(Serialize, Deserialize)]
struct Letters(String);

impl Source for Letters {
    type Split = char;
    type Item = str;

    fn splits(&self) -> Result<Vec<char>, BoxError> {
        Ok(self.0.chars().collect())
    }

    fn read(
        &self,
        split: &char,
        _: &Reading<'_>,
        mut emit: impl FnMut(&str) -> Flow,
    ) -> Result<(), BoxError> {
        let mut buffer = [0; 4];
        let _ = emit(split.encode_utf8(&mut buffer));
        let _ = emit(&self.0);
        Ok(())
    }
}

#[test]
fn splits_of_a_source_travel() {
    let letters = context().from_source(Letters("añb".to_owned())).unwrap();
    assert_travels(letters.clone());
    assert_eq!(
        letters.collect().unwrap(),
        ["a", "añb", "ñ", "añb", "b", "añb"]
    );
}

#[test]
fn selected_and_zipped_partitions_travel() {
    assert_travels(numbers().select_partitions([2, 0]));
    assert_travels(context().from_iter(0..1000).select_partitions([1, 3]));
    assert_travels(pairs().sum_by_key().select_partitions(5..40));
    let sum = |left: Records<'_, u64>, right: Records<'_, u64>, emit: &mut dyn FnMut(u64)| {
        emit(left.fold(0, |a, b| a + b) - right.fold(0, |a, b| a + b));
    };
    assert_travels(numbers().zip_partitions(numbers().filter(|n| n % 3 == 0), sum));
    let streamed = || context().from_iter(0..1000_u64);
    assert_travels(streamed().zip_partitions(streamed().map(|n| n / 2), sum));
    let twelve = context().range_partitioned(0..100, 5);
    assert_travels(
        streamed()
            .select_partitions(0..5)
            .zip_partitions(twelve, sum),
    );
    assert_travels(
        numbers()
            .with(3)
            .zip_partitions(numbers(), |add, left, right, emit| {
                left.for_each(|n| emit(n + add));
                right.for_each(emit);
            }),
    );
}

#[test]
fn pieces_of_a_stream_travel() {
    use std::io::Write;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lines.gz");
    let file = std::fs::File::create(&path).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::none());
    for n in 0..700_000_u64 {
        writeln!(encoder, "{n}").unwrap();
    }
    encoder.finish().unwrap();
    let lines = context().read_text(&path).unwrap();
    assert_eq!(lines.partitions(), None);
    let last = lines.filter(|line| line.ends_with("99999"));
    assert_travels(
        last.union(
            context()
                .from_vec(vec![String::new()])
                .flat_map_str(|text, emit| emit(&text)),
        ),
    );
}

#[test]
fn steps_travel() {
    assert_travels(numbers().map(|n| n.to_string()));
    assert_travels(numbers().filter(|n| n % 2 == 0).inspect(|_| ()));
    assert_travels(
        numbers()
            .flat_map(|n| 0..n % 3)
            .filter_map(|n| n.checked_sub(1)),
    );
    assert_travels(numbers().flat_map_str(|n, emit| emit(&n.to_string())));
    assert_travels(numbers().try_map(u8::try_from));
    assert_travels(numbers().try_filter(|n| u8::try_from(*n).map(|n| n > 3)));
    assert_travels(numbers().try_flat_map(|n| u8::try_from(n).map(|n| 0..n % 3)));
    assert_travels(numbers().map_partitions(|numbers, emit| numbers.for_each(|n| emit(n + 1))));
    assert_travels(numbers().map_partitions_with_index(|index, _, emit| emit(index)));
    assert_travels(numbers().coalesce(2).union(numbers()));
    assert_travels(numbers().sample(0.5, 1));
    assert_travels(numbers().sample_with_replacement(1.5, 1));
    assert_travels(pairs().sample_by_key(HashMap::from([(1, 0.5), (2, 1.0)]), 1));
    assert_travels(pairs().sample_exact_by_key(HashMap::from([(1, 0.5), (2, 1.0)]), 1));
    assert_travels(numbers().permute(1));
    assert_travels(numbers().flat_map_emit(|n, emit| emit(n + 1)));
    assert_travels(numbers().flat_map_bytes(|n, emit| emit(&n.to_le_bytes())));
    assert_travels(numbers().try_flat_map_emit(|n, emit| {
        emit(n);
        u8::try_from(n).map(drop)
    }));
    assert_travels(numbers().map_init(|| 1, |one, n| *one + n));
    assert_travels(pairs().map_values(|n| n + 1).key_by(|(key, _)| key + 1));
    assert_travels(pairs().keys().union(pairs().values()));
}

#[test]
fn named_states_travel() {
    let odd: HashSet<u64> = (0..100).filter(|n| n % 2 == 1).collect();
    assert_travels(numbers().with(odd.clone()).filter(|odd, n| odd.contains(n)));
    assert_travels(numbers().with(3).map(|add, n| add + n));
    assert_travels(numbers().with(3).flat_map(|to, n| n..*to));
    assert_travels(numbers().with(3).filter_map(|sub, n| n.checked_sub(*sub)));
    assert_travels(
        numbers()
            .with("x".to_owned())
            .flat_map_str(|x, _, emit| emit(x)),
    );
    assert_travels(numbers().with(odd).inspect(|_, _| ()));
    assert_travels(numbers().with(1).try_map(|add, n| u8::try_from(n + add)));
    assert_travels(
        numbers()
            .with(1)
            .try_filter(|min, n| u8::try_from(*n).map(|n| n > *min)),
    );
    assert_travels(
        numbers()
            .with(7)
            .map_partitions_with_index(|add, index, _, emit| emit(add + index)),
    );
}

#[test]
fn shuffles_travel() {
    assert_travels(numbers().map(|n| n % 5).count_by_value());
    assert_travels(numbers().map(|n| n % 5).distinct());
    assert_travels(pairs().count_by_key());
    assert_travels(pairs().sum_by_key());
    assert_travels(pairs().reduce_by_key(u64::max));
    assert_travels(pairs().fold_by_key(0, |a, b| *a += b));
    assert_travels(pairs().aggregate_by_key(0, |a, b| *a += b, |a, b| *a += b));
    assert_travels(pairs().combine_by_key(|n| n, |a, b| *a += b, |a, b| *a += b));
    let sum = |a: u64, b: u64| a.checked_add(b).ok_or("overflow");
    assert_travels(pairs().try_reduce_by_key(sum));
    assert_travels(pairs().per_key().any_order().try_reduce(sum));
    let add = move |a: &mut u64, b: u64| sum(*a, b).map(|sum| *a = sum);
    assert_travels(pairs().try_fold_by_key(0, add));
    assert_travels(pairs().try_aggregate_by_key(0, add, add));
    assert_travels(pairs().try_combine_by_key(Ok, add, add));
    assert_travels(pairs().per_key().max());
    assert_travels(pairs().per_key().min_by_key(|n| n % 10));
    assert_travels(pairs().per_key().top(3));
    assert_travels(pairs().per_key().bottom_by(3, |a, b| b.cmp(a)));
    assert_travels(pairs().per_key().first());
    assert_travels(pairs().per_key().minmax());
    assert_travels(pairs().per_key().mean().map_values(f64::to_bits));
    assert_travels(
        pairs()
            .per_key()
            .stats()
            .map_values(|stats| stats.to_string()),
    );
    assert_travels(
        pairs()
            .map_values(|n| n as f64 / 3.0)
            .per_key()
            .sum_exact()
            .map_values(f64::to_bits),
    );
    assert_travels(
        pairs()
            .per_key()
            .histogram(&[0.0, 10.0, 50.0])
            .map_values(|n| n.counts().to_vec()),
    );
    assert_travels(
        pairs()
            .per_key()
            .summarize((summary::count(), summary::top(2))),
    );
    assert_travels(pairs().group_by_key());
    assert_travels(pairs().cogroup(pairs()));
    assert_travels(numbers().repartition(4));
    assert_travels(numbers().filter(|n| n % 3 > 0).zip_with_index());
    assert_travels(context().from_iter(0..2000).zip_with_index());
    assert_travels(pairs().partition_by(4));
    assert_travels(numbers().split_partitions(4));
    assert_travels(numbers().zip(context().from_iter(numbers().collect().unwrap())));
    let words = numbers().flat_map_str(|n, emit| emit(&n.to_string()));
    assert_travels(words.clone().count_by_value());
    assert_travels(words.sort());
}

#[test]
fn fallible_steps_travel() {
    assert_travels(numbers().try_inspect(|n| u8::try_from(*n).map(drop)));
    assert_travels(numbers().try_map_init(|| 1, |one, n| u8::try_from(*one + n)));
    assert_travels(numbers().try_key_by(|n| u8::try_from(*n)));
    assert_travels(numbers().try_zip_partitions(numbers(), |a, b, emit| {
        emit(a.count());
        u8::try_from(b.count()).map(drop)
    }));
    assert_travels(numbers().try_map_partitions(|numbers, emit| {
        emit(numbers.count());
        Ok::<_, &str>(())
    }));
    assert_travels(numbers().partition_with(3, |n| (*n % 3) as usize));
    assert_travels(numbers().map(|n| 7 * n % 5).sort_partitions());
    assert_travels(numbers().glom());
}

#[test]
fn text_steps_travel() {
    let texts = || numbers().map(|n| format!("{n}:{n} "));
    assert_travels(texts().split(":"));
    assert_travels(texts().field(1, ":"));
    assert_travels(texts().trim());
    assert_travels(texts().to_uppercase());
    assert_travels(texts().containing_any(["1", "2"]));
    assert_travels(texts().not_containing("1"));
    assert_travels(texts().map_str(|text| &text[1..]));
    assert_travels(texts().filter_map_str(|text| text.get(2..)));
    assert_travels(texts().try_map_str(|text| text.get(1..).ok_or("empty")));
    assert_travels(texts().try_filter_map_str(|text| Ok::<_, String>(text.get(2..))));
    assert_travels(texts().as_text().into_owned());
    #[cfg(feature = "unicode")]
    assert_travels(texts().unicode_words());
    #[cfg(feature = "regex")]
    {
        assert_travels(texts().matching("^[1-4]:").unwrap());
        assert_travels(texts().not_matching("1").unwrap());
        assert_travels(texts().find_matches("[0-9]").unwrap());
        let captures = texts().captures::<(u64, u64)>("^(.+):(.+) $");
        assert_travels(captures.unwrap());
    }
    #[cfg(unix)]
    assert_travels(texts().pipe(crate::operators::pipe::Pipe::new("tr").args(["0-9", "a-j"])));
}

#[test]
fn scans_travel() {
    assert_travels(numbers().limit(3));
    assert_travels(numbers().skip(3));
    assert_travels(numbers().step_by(3));
    assert_travels(numbers().take_while(|n| *n < 5));
    assert_travels(numbers().skip_while(|n| *n < 5));
    assert_travels(numbers().intersperse(7));
    assert_travels(numbers().running_fold(0, |sum, n| sum + n, |a, b| a + b));
    assert_travels(numbers().running_reduce(|a, b| a + b));
    let add = |a: u64, b: u64| a.checked_add(b).ok_or("overflow");
    assert_travels(numbers().try_running_fold(0, add, add));
    assert_travels(numbers().try_running_reduce(add));
    assert_travels(numbers().windows(3));
    assert_travels(numbers().chunks(3));
    assert_travels(numbers().map(|n| n / 3).dedup());
    assert_travels(numbers().map(|n| n / 3).dedup_with_count());
    assert_travels(numbers().chunk_by(|n| n / 4));
    assert_travels(numbers().with(4).chunk_by(|k, n| n / k));
    assert_travels(numbers().chunk_while(|a, _| a % 4 != 0));
    assert_travels(numbers().sort().filter_range(3..=7));
    assert_travels(numbers().filter_range(..7));
    assert_travels(numbers().filter_range_by_key(2.., |n| n / 2));
    let add = |add: &u64, n: &u64| n + add;
    assert_travels(numbers().with(1).filter_range_by_key(..9, add));
}

#[test]
fn joins_travel() {
    let left = || pairs().filter(|(_, n)| n % 3 == 0);
    let right = || pairs().map(|(key, n)| (key + 3, n.to_string()));
    assert_travels(left().join(right()));
    assert_travels(left().left_join(right()));
    assert_travels(left().right_join(right()));
    assert_travels(left().full_join(right()));
    assert_travels(left().semi_join(right()));
    assert_travels(left().anti_join(right()));
    assert_travels(left().join_broadcast(right()));
    assert_travels(left().left_join_broadcast(right()));
    assert_travels(left().semi_join_broadcast(right()));
    assert_travels(left().anti_join_broadcast(right()));
    assert_travels(left().cogroup3(right(), left()));
    assert_travels(left().cogroup4(right(), left(), right()));
    assert_travels(left().group_by_key().values());
    assert_travels(right().flat_map_values(|text| [text.clone(), text]));
    assert_travels(right().filter_values(|text| text.len() > 1));
    assert_travels(right().try_map_values(|text| Ok::<_, String>(text.len())));
    assert_travels(right().try_flat_map_values(|text| Ok::<_, String>([text])));
    assert_travels(right().try_filter_values(|text| Ok::<_, String>(text.len() > 1)));
    assert_travels(numbers().cartesian(right()));
    assert_travels(numbers().distinct_by_key(|n| n % 7));
    assert_travels(numbers().intersection(numbers()));
    assert_travels(numbers().subtract(numbers().filter(|n| n % 2 == 0)));
    // Both sides, and the combined values, are already in the partition of their key.
    let placed = || left().partition_by(64);
    assert_travels(placed().join(placed().sum_by_key()));
    assert_travels(placed().sum_by_key());
}

#[test]
fn sorts_travel() {
    assert_travels(numbers().map(|n| n * 37 % 100).sort());
    assert_travels(numbers().sort_by(|a, b| b.cmp(a)));
    assert_travels(numbers().sort_by_key(|n| n % 10));
    assert_travels(numbers().sort_by_cached_key(|n| n.to_string()));
    assert_travels(numbers().merge_sorted(numbers()));
    assert_travels(pairs().repartition_and_sort_within_partitions(3));
    assert_travels(pairs().sort_values_by(|a, b| b.cmp(a)));
    assert_travels(pairs().partition_by(3).sort_values());
    assert_travels(
        pairs()
            .partition_by(3)
            .repartition_and_sort_within_partitions(3),
    );
    assert_travels(numbers().map(|n| n.to_string()).sort());
}

#[test]
#[should_panic(expected = "a fraction from 0 to 1, not NaN")]
fn a_fraction_is_from_0_to_1() {
    let _ = numbers().sample(f64::NAN, 0);
}

/// Returns the error of serialising a bag.
fn refused<T, P>(bag: Bag<T, P>) -> Error
where
    T: Record<Owned: Data> + ?Sized,
    P: Pipeline<Out = T>,
{
    collect_sent(&bag).err().expect("it cannot be sent")
}

/// Asserts that a closure of a method is refused, and that the error has the location of the call.
#[track_caller]
fn assert_captures(error: &Error, operator: &str) {
    assert!(
        matches!(error.kind(), ErrorKind::CapturingClosure { .. }),
        "{error}"
    );
    let context = error.context().unwrap();
    assert_eq!(context.operator, Some(operator));
    let location = context.location.unwrap();
    assert_eq!(location.file(), file!());
    let line = include_str!("tests.rs")
        .lines()
        .nth(location.line() as usize - 1);
    let called = &line.unwrap()[location.column() as usize - 1..];
    assert!(
        called.starts_with(&format!("{operator}(")),
        "{error}: {called}"
    );
}

#[test]
fn closures_that_capture_are_refused_with_their_place() {
    let k = std::hint::black_box(3);
    assert_captures(&refused(numbers().map(move |n| n + k)), "map");
    assert_captures(&refused(numbers().filter(move |n| *n > k)), "filter");
    assert_captures(&refused(numbers().flat_map(move |n| n..k)), "flat_map");
    assert_captures(
        &refused(numbers().filter_map(move |n| n.checked_sub(k))),
        "filter_map",
    );
    assert_captures(
        &refused(numbers().flat_map_str(move |_, emit| emit(&k.to_string()))),
        "flat_map_str",
    );
    assert_captures(
        &refused(numbers().inspect(move |n| assert!(*n < k * 100))),
        "inspect",
    );
    assert_captures(
        &refused(numbers().try_map(move |n| u8::try_from(n + k))),
        "try_map",
    );
    assert_captures(
        &refused(numbers().try_filter(move |n| u8::try_from(n + k).map(|_| true))),
        "try_filter",
    );
    assert_captures(
        &refused(numbers().map_partitions(move |_, emit| emit(k))),
        "map_partitions",
    );
    assert_captures(&refused(pairs().map_values(move |n| n + k)), "map_values");
    assert_captures(&refused(numbers().key_by(move |n| n % k)), "key_by");
}

#[test]
fn closures_of_shuffles_that_capture_are_refused_with_their_place() {
    let k = std::hint::black_box(3);
    assert_captures(
        &refused(pairs().reduce_by_key(move |a, b| a + b + k)),
        "reduce_by_key",
    );
    assert_captures(
        &refused(pairs().fold_by_key(0, move |a, b| *a += b + k)),
        "fold_by_key",
    );
    assert_captures(
        &refused(pairs().aggregate_by_key(0, move |a, b| *a += b + k, |a, b| *a += b)),
        "aggregate_by_key",
    );
    assert_captures(
        &refused(pairs().combine_by_key(move |n| n + k, |a, b| *a += b, |a, b| *a += b)),
        "combine_by_key",
    );
    let multiples = summary::filter(move |n: &u64| n.is_multiple_of(k), summary::count());
    assert_captures(
        &refused(pairs().per_key().summarize(multiples)),
        "summarize",
    );
    assert_captures(
        &refused(pairs().per_key().min_by_key(move |n| n % k)),
        "min_by_key",
    );
    assert_captures(
        &refused(pairs().per_key().top_by(2, move |a, b| (a % k).cmp(b))),
        "top_by",
    );
    assert_captures(
        &refused(numbers().sort_by(move |a, b| (a % k).cmp(&(b % k)))),
        "sort_by",
    );
    assert_captures(
        &refused(numbers().sort_by_key(move |n| n % k)),
        "sort_by_key",
    );
    assert_captures(
        &refused(numbers().sort_by_cached_key(move |n| n % k)),
        "sort_by_cached_key",
    );
    assert_captures(
        &refused(numbers().with(1).map(move |add, n| add + n + k)),
        "map",
    );
    // Before a valid operator, and after an erased one.
    assert_captures(
        &refused(
            numbers()
                .map(move |n| n + k)
                .boxed()
                .filter(|_| true)
                .count_by_value(),
        ),
        "map",
    );
}

#[test]
fn persisted_bags_travel_with_what_was_kept() {
    let persist = || numbers().persist(crate::operators::persist::StorageLevel::Memory);
    assert_eq!(
        collect_sent(&persist()).unwrap().len(),
        100,
        "nothing is kept"
    );
    assert_travels(persist());
    assert_travels(
        persist()
            .map(|n| (n % 3, n))
            .group_by_key()
            .map(|(key, _)| key),
    );
}

/// A panic of user code while the outputs of a task are written must not end the worker.
#[test]
fn a_panic_while_outputs_are_written_is_an_error() {
    #[derive(Clone, serde::Deserialize)]
    struct Touchy(u64);

    impl serde::Serialize for Touchy {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            assert!(self.0 < 2, "on purpose");
            to.serialize_newtype_struct("Touchy", &self.0)
        }
    }

    let touchy = numbers().map(|n| (n % 7, Touchy(1)));
    let sums = touchy.reduce_by_key(|a, b| Touchy(a.0 + b.0));
    let error = collect_sent(&sums.map(|(_, sum)| sum.0)).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::TaskPanicked { .. }),
        "{error}"
    );
    assert_eq!(error.context().unwrap().stage, Some(1));
}

#[test]
fn the_state_of_a_source_that_cannot_be_written_is_named() {
    struct Silent;

    impl serde::Serialize for Silent {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no words"))
        }
    }

    impl<'de> serde::Deserialize<'de> for Silent {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }

    let bag = numbers().with(Silent).map(|_, n| n);
    let error = refused(bag);
    assert!(matches!(error.kind(), ErrorKind::Codec { .. }), "{error}");
    assert_eq!(error.context().unwrap().operator, Some("map"));
}

/// Returns the result of an action for each partition, computed in this process.
fn parts_here<T, P, A>(bag: &Bag<T, P>, action: &A) -> Vec<A::Part>
where
    T: Record + ?Sized,
    P: Pipeline<Out = T>,
    A: Action<T>,
{
    let mut parts = Vec::new();
    bag.run(action, |_, part| {
        parts.push(part);
        Flow::Continue(())
    })
    .unwrap();
    parts
}

/// Returns the result of an action for each partition, computed from serialised stages.
fn parts_sent<T, P, A>(bag: &Bag<T, P>, action: &A) -> Result<Vec<A::Part>>
where
    T: Record + ?Sized,
    P: Pipeline<Out = T>,
    A: Action<T>,
{
    let mut parts = Vec::new();
    run_sent(bag, action, |part| parts.push(part))?;
    Ok(parts)
}

fn site() -> Site {
    Site::new("action")
}

#[test]
fn actions_travel() {
    let count = Count { site: site() };
    assert_eq!(parts_sent(&numbers(), &count).unwrap(), [33, 33, 34]);
    let any = HasAny { site: site() };
    let some = numbers().filter(|n| *n > 50);
    assert_eq!(parts_sent(&some, &any).unwrap(), [false, true, true]);
    let take = Collect::most(site(), 2);
    let taken = parts_sent(&numbers(), &take).unwrap();
    assert_eq!(taken, [[0, 1], [33, 34], [66, 67]]);
    let fold = Fold {
        site: site(),
        make: Initial(1000),
        add: Stated(ClosureState::given(1), |more: &u64, sum: u64, n: u64| {
            sum + n + more
        }),
        types: PhantomData,
    };
    assert_eq!(
        parts_sent(&numbers(), &fold).unwrap(),
        parts_here(&numbers(), &fold)
    );
    let top = Top {
        site: site(),
        n: 4,
        compare: Stated(ClosureState::given(10), |ten: &u64, a: &u64, b: &u64| {
            (b % ten).cmp(&(a % ten))
        }),
        records: PhantomData,
    };
    let best = |parts: Vec<_>| {
        let best = parts.into_iter().reduce(|best, part| top.merge(best, part));
        top.sorted(best.unwrap())
    };
    let sent = best(parts_sent(&numbers(), &top).unwrap());
    assert_eq!(sent, best(parts_here(&numbers(), &top)));
    assert_eq!(sent, [9, 19, 29, 39]);
    let each = TryForEach {
        site: site(),
        op: Stated(ClosureState::given(100), |more: &u64, n: u64| {
            u8::try_from(n + more).map(|_| ())
        }),
        error: PhantomData::<fn() -> std::num::TryFromIntError>,
    };
    assert_eq!(parts_sent(&numbers(), &each).unwrap(), [(); 3]);
    let error = parts_sent(&numbers().map(|n| n + 100), &each).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Closure { .. }), "{error}");
    assert_eq!(error.context().unwrap().partition, Some(1));
}

#[test]
fn records_of_an_iterator_are_sent_in_chunks_that_depend_on_them_alone() {
    let lines = || {
        context()
            .range_partitioned(0..30_000, 2)
            .map(|n| n.to_string())
    };
    let iterate = Iterate::<String>::sent(site());
    let chunks = parts_sent(&lines(), &iterate).unwrap();
    assert_eq!(
        chunks.len(),
        4,
        "two of 64 KiB, and what is left of each partition"
    );
    let lens: Vec<_> = chunks.iter().map(Vec::len).collect();
    assert_eq!(chunks.concat(), lines().collect().unwrap());
    let collect = Collect::all(site());
    let again = parts_sent(&lines().boxed(), &collect).unwrap();
    assert_eq!(again.iter().map(Vec::len).collect::<Vec<_>>(), lens);
}

#[test]
fn written_files_get_their_names_when_they_are_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out");
    let begin = || {
        let options = OutputOptions::default();
        NewOutput::begin(&FileSystems::default(), &path, &options).unwrap()
    };
    let write = |output: &NewOutput| WriteAction {
        site: site(),
        writer: WriteText {
            header: None,
            output: output.writer("", Some(2)).unwrap(),
            form: PhantomData,
        },
    };
    let numbers = || context().range_partitioned(0..4, 2);
    let failing = numbers().map(|n| n + 1000).try_map(u8::try_from);
    let output = begin();
    assert!(parts_sent(&failing, &write(&output)).is_err());
    drop(output);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);

    let output = begin();
    // Compute the same partitions a second time, as after the loss of a worker.
    let [_, parts] = [0, 1].map(|_| parts_sent(&numbers(), &write(&output)).unwrap());
    let written: Vec<_> = parts.iter().map(|part| (part.1, part.0.bytes())).collect();
    assert_eq!(written, [(2, 4), (2, 4)]);
    let files = parts.into_iter().map(|(file, _)| file).collect();
    let files = output.commit(files).unwrap();
    assert_eq!(
        files,
        ["part-00000", "part-00001"].map(|name| path.join(name))
    );
    let texts: Vec<_> = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    assert_eq!(texts, ["0\n1\n", "2\n3\n"]);
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 2);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
}

#[test]
fn an_action_whose_closure_captures_is_refused() {
    let k = std::hint::black_box(3);
    let fold = Fold {
        site: site(),
        make: Initial(0),
        add: Plain(move |sum: u64, n: u64| sum + n * k),
        types: PhantomData,
    };
    let error = parts_sent(&numbers(), &fold).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::CapturingClosure { .. }));
    assert_eq!(error.context().unwrap().operator, Some("action"));
}

#[test]
fn a_panic_in_another_process_has_its_place() {
    let error = refused(numbers().map(|n| 100 / (n.saturating_sub(40))));
    let context = error.context().unwrap();
    assert!(
        matches!(error.kind(), ErrorKind::TaskPanicked { .. }),
        "{error}"
    );
    assert_eq!((context.stage, context.partition), (Some(1), Some(0)));
    assert_eq!(context.operator, Some("map"));
    assert_eq!(context.location.unwrap().file(), file!());
}

#[test]
fn batches_between_boxed_bags_have_the_same_records() {
    for len in [0, 1, 2, 3, 64, 511, 513, 5000, 100_000] {
        let pairs = range(0..len).map(|n| n * 3).boxed();
        let pairs = pairs.filter(|n| n % 4 < 2).map(|n| (n, n / 5)).boxed();
        let expected: Vec<(u64, u64)> = (0..len)
            .map(|n| n * 3)
            .filter(|n| n % 4 < 2)
            .map(|n| (n, n / 5))
            .collect();
        assert_eq!(pairs.collect().unwrap(), expected);
        assert_eq!(pairs.first().unwrap(), expected.first().copied());
        let odd = pairs
            .map(|(n, fifth)| n ^ fifth)
            .boxed()
            .filter(|n| n % 2 > 0);
        let expected = expected.iter().map(|(n, fifth)| n ^ fifth);
        let expected: Vec<u64> = expected.filter(|n| n % 2 > 0).collect();
        assert_eq!(odd.count().unwrap(), expected.len() as u64);
        assert_eq!(odd.sum::<u64>().unwrap(), expected.iter().sum::<u64>());
        // Texts are not processed in batches.
        let texts = odd.boxed().map(|n| n.to_string()).boxed();
        let lens = texts.map(|text| text.len() as u64).boxed().sum::<u64>();
        let expected = expected.iter().map(|n| n.to_string().len() as u64);
        assert_eq!(lens.unwrap(), expected.sum::<u64>());
    }
}

#[test]
fn statistics_keep_or_drop_the_sign_of_zero() {
    let bag = Context::default().from_vec(vec![-0.0, -0.0]);
    assert!(bag.sum::<f64>().unwrap().is_sign_negative());
    let edges = |numbers: Vec<f64>| {
        let histogram = Context::default()
            .from_vec(numbers)
            .histogram_even(1)
            .unwrap();
        histogram.edges()[0].to_bits()
    };
    assert_eq!(edges(vec![-0.0, 0.0, 1.0]), edges(vec![0.0, -0.0, 1.0]));
}

#[test]
#[should_panic(expected = "at most 16777216 buckets, not 1000000000000000")]
fn a_histogram_has_no_more_buckets_than_memory() {
    let _ = Context::default()
        .range(0..2_u64)
        .histogram_even(1_000_000_000_000_000);
}
