//! Random samples have the promised size and distribution, and are the same on every executor.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::Mutex;

use holdall::{Bag, Context, Result};

use crate::common::on_every_executor_and_processes;

/// Asserts that `sample` returns the same on every executor, and returns that.
fn on_every_executor_the_same<R>(sample: fn(&Context) -> Result<R>) -> R
where
    R: Debug + PartialEq + Clone + Send + Sync + 'static,
{
    let first = std::sync::Arc::new(Mutex::new(None));
    let known = std::sync::Arc::clone(&first);
    on_every_executor_and_processes(move |context| {
        let sampled = sample(context).expect("no closure fails");
        let mut known = known.lock().expect("no panic");
        let known = known.get_or_insert_with(|| sampled.clone());
        assert_eq!(*known, sampled);
    });
    let first = first.lock().expect("no panic").take();
    first.expect("it ran")
}

fn numbers(context: &Context) -> Bag<u32> {
    let few = context.range_partitioned(0..2000_u32, 5);
    few.union(context.from_iter(2000..4000)).boxed()
}

#[test]
fn a_sample_with_replacement_has_its_mean() {
    let counts = on_every_executor_the_same(|context| {
        let sample = numbers(context).sample_with_replacement(2.0, 7);
        assert!(sample.collect()?.is_sorted());
        sample.dedup_with_count().collect()
    });
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    assert!((7_600..8_400).contains(&total), "{total}");
    // e to the power of minus 2 of the records have no copy.
    let missing = 4000 - counts.len();
    assert!((440..640).contains(&missing), "{missing}");
    let texts = on_every_executor_the_same(|context| {
        let texts = numbers(context).flat_map_str(|n, emit| emit(&n.to_string()));
        texts
            .sample_with_replacement(2.0, 7)
            .dedup_with_count()
            .collect()
    });
    let expected: Vec<_> = counts
        .iter()
        .map(|(n, count)| (n.to_string(), *count))
        .collect();
    assert_eq!(texts, expected);
}

#[test]
fn means_of_none_and_of_many_are_exact() -> Result<()> {
    let bag = || holdall::range(0..100_u32);
    assert_eq!(bag().sample_with_replacement(0.0, 1).count()?, 0);
    let many = bag().sample_with_replacement(1000.0, 1).count()?;
    assert!((98_000..102_000).contains(&many), "{many}");
    assert_eq!(
        holdall::empty::<u32>()
            .sample_with_replacement(3.0, 1)
            .count()?,
        0
    );
    Ok(())
}

#[test]
fn samples_of_exact_size_have_it() {
    on_every_executor_the_same(|context| {
        let mut all = Vec::new();
        for n in [0, 1, 10, 3999, 4000, 5000] {
            let sample = numbers(context).take_sample(n, 3)?;
            assert_eq!(sample.len(), n.min(4000));
            assert!(sample.is_sorted_by(|a, b| a < b), "in order, each once");
            all.push(sample);
            let sample = numbers(context).take_sample_with_replacement(n, 3)?;
            assert_eq!(sample.len(), n);
            assert!(sample.is_sorted());
            all.push(sample);
        }
        let texts = numbers(context).flat_map_str(|n, emit| emit(&n.to_string()));
        let expected: Vec<_> = all[4].iter().map(u32::to_string).collect();
        assert_eq!(texts.take_sample(10, 3)?, expected);
        for empty in [
            context.empty::<u32>().boxed(),
            numbers(context).filter(|_| false).boxed(),
        ] {
            for n in [3, usize::MAX] {
                assert_eq!(empty.take_sample(n, 1)?, [0; 0]);
                assert_eq!(empty.take_sample_with_replacement(n, 1)?, [0; 0]);
            }
        }
        Ok(all)
    });
}

/// That each record is chosen about as often as any other, over many seeds, and that seeds matter.
#[test]
fn each_record_is_as_likely_as_any_other() -> Result<()> {
    let context = Context::builder().threads(1).build()?;
    let bag = context.from_vec_partitioned((0..20_usize).collect(), 3);
    let (mut without, mut with) = ([0_u32; 20], [0_u32; 20]);
    let mut samples = BTreeSet::new();
    for seed in 0..1000 {
        let sample = bag.take_sample(5, seed)?;
        sample.iter().for_each(|n| without[*n] += 1);
        samples.insert(sample);
        bag.take_sample_with_replacement(5, seed)?
            .iter()
            .for_each(|n| with[*n] += 1);
    }
    assert!(samples.len() > 900);
    // 250 each; the standard deviation is about 15.
    for counts in [without, with] {
        assert!(
            counts.iter().all(|count| (180..320).contains(count)),
            "{counts:?}"
        );
    }
    Ok(())
}

#[test]
fn weights_split_all_records() {
    let parts = on_every_executor_the_same(|context| {
        let parts = numbers(context).split_random([1.0, 0.0, 3.0], 5);
        let mut all = Vec::new();
        for part in &parts {
            all.push(part.collect()?);
        }
        Ok(all)
    });
    assert!((880..1_120).contains(&parts[0].len()), "{}", parts[0].len());
    assert!(parts[1].is_empty());
    let mut all = parts.concat();
    all.sort();
    assert_eq!(all, (0..4000).collect::<Vec<_>>());
    let none: [Bag<u32, _>; 0] = holdall::range(0..3_u32).split_random([], 1);
    assert!(none.is_empty());
}

#[test]
fn fractions_by_key_are_those_of_their_keys() {
    let counts = on_every_executor_the_same(|context| {
        let fractions = HashMap::from([(0, 0.5), (1, 1.0), (2, 0.0), (9, 1.0)]);
        let pairs = numbers(context).key_by(|n| n % 4);
        let sample = pairs.sample_by_key(fractions, 5);
        assert!(sample.clone().values().collect()?.is_sorted());
        Ok(sample
            .count_by_key()
            .collect()?
            .into_iter()
            .collect::<BTreeMap<_, _>>())
    });
    assert_eq!(counts.keys().collect::<Vec<_>>(), [&0, &1]);
    assert!((430..570).contains(&counts[&0]), "{counts:?}");
    assert_eq!(counts[&1], 1000);
}

#[test]
fn exact_fractions_by_key_are_exact() {
    on_every_executor_the_same(|context| {
        let fractions = [(0, 0.1), (1, 1.0), (2, 0.0), (3, 0.5001), (9, 1.0)];
        let pairs = || numbers(context).map(|n| (n % 5, n));
        let sample = pairs().sample_exact_by_key(HashMap::from(fractions), 5);
        assert_eq!(sample.partitions(), pairs().partitions());
        let values = sample.clone().values().collect()?;
        assert!(values.is_sorted_by(|a, b| a < b));
        let counts: BTreeMap<_, _> = sample.count_by_key().collect()?.into_iter().collect();
        assert_eq!(counts, BTreeMap::from([(0, 80), (1, 800), (3, 401)]));
        let empty = context
            .empty::<(u32, u32)>()
            .sample_exact_by_key(HashMap::from(fractions), 5);
        assert_eq!(empty.count()?, 0);
        Ok(values)
    });
}

#[test]
fn each_pair_of_a_key_is_as_likely_as_any_other() -> Result<()> {
    let context = Context::builder().threads(1).build()?;
    let numbers = context.from_vec_partitioned((0..20_usize).collect(), 3);
    for (fraction, least, most) in [(0.25, 180, 320), (0.75, 680, 820)] {
        let mut counts = [0_u32; 20];
        for seed in 0..1000 {
            let pairs = numbers.clone().map(|n| ("all", n));
            let sample = pairs.sample_exact_by_key(HashMap::from([("all", fraction)]), seed);
            sample
                .values()
                .collect()?
                .iter()
                .for_each(|n| counts[*n] += 1);
        }
        assert!(
            counts.iter().all(|count| (least..most).contains(count)),
            "{counts:?}"
        );
    }
    Ok(())
}

#[test]
fn a_permutation_has_all_records_in_a_random_order() {
    let permuted = on_every_executor_the_same(|context| {
        let texts = numbers(context).flat_map_str(|n, emit| emit(&n.to_string()));
        let texts = texts.permute(3).collect()?;
        let permuted = numbers(context).permute(3);
        assert_eq!(permuted.clone().map(|n| n.to_string()).collect()?, texts);
        assert_eq!(context.empty::<u32>().permute(3).count()?, 0);
        permuted.collect()
    });
    let all: BTreeSet<_> = permuted.iter().copied().collect();
    assert_eq!(all.len(), 4000);
    assert_eq!(permuted.len(), 4000);
    // Of random neighbours, half are in order, and almost none were neighbours before.
    let ascending = permuted.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!((1850..2150).contains(&ascending), "{ascending}");
    let neighbours = permuted
        .windows(2)
        .filter(|pair| pair[0].abs_diff(pair[1]) == 1)
        .count();
    assert!(neighbours < 20, "{neighbours}");
}

#[test]
#[should_panic(expected = "a mean of 0 or more, not -1")]
fn a_negative_mean_panics() {
    drop(holdall::range(0..3).sample_with_replacement(-1.0, 0));
}

#[test]
#[should_panic(expected = "weights of 0 or more, and not all 0")]
fn weights_of_nothing_panic() {
    drop(holdall::range(0..3).split_random([0.0, 0.0], 0));
}

#[test]
#[should_panic(expected = "a fraction from 0 to 1, not 1.5")]
fn a_fraction_of_a_key_above_1_panics() {
    let pairs = holdall::range(0..3).map(|n| (n, n));
    drop(pairs.sample_by_key(HashMap::from([(1, 1.5)]), 0));
}
