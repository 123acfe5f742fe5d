//! A task ends promptly once its job has been stopped, whatever it is reading.

use super::*;
use crate::operators::persist::StorageLevel;
use crate::pipeline::Ref;
use crate::task::STOP_CHECK_RECORDS;

const RECORDS: u64 = 50_000;

/// Contexts with one partition after each shuffle: one with much memory, one that spills.
fn contexts() -> [Context; 2] {
    [1 << 30, 1 << 20].map(|memory| {
        let builder = Context::builder().threads(1).shuffle_partitions(1);
        builder.memory(memory).build().unwrap()
    })
}

fn numbers_of(context: &Context) -> Bag<u64, impl Pipeline<Out = u64> + use<>> {
    context.range_partitioned(0..RECORDS, 4)
}

fn pairs_of(context: &Context) -> Bag<(u64, u64), impl Pipeline<Out = (u64, u64)> + use<>> {
    numbers_of(context).map(|n| (n, n))
}

/// Reads the first partition of a bag, and stops the job when `read` calls its argument for the first time. Asserts
/// that `read` calls it only a few more times.
#[track_caller]
fn assert_stops_in<T, P>(bag: &Bag<T, P>, read: impl FnMut(Ref<'_, T>, &mut dyn FnMut()))
where
    T: Record + ?Sized,
    P: Pipeline<Out = T>,
{
    let outcome = read_until_stopped(bag, read);
    assert!(matches!(outcome.unwrap_err().kind(), ErrorKind::Cancelled));
}

/// Like [`assert_stops`], for a bag whose operator makes all records of one. It has no error to return.
#[track_caller]
fn assert_stops_within_a_record<T, P>(bag: &Bag<T, P>)
where
    T: Record + ?Sized,
    P: Pipeline<Out = T>,
{
    let outcome = read_until_stopped(bag, |_, see| see());
    assert!(outcome.unwrap().is_break());
}

#[track_caller]
fn read_until_stopped<T, P>(
    bag: &Bag<T, P>,
    mut read: impl FnMut(Ref<'_, T>, &mut dyn FnMut()),
) -> Result<Flow>
where
    T: Record + ?Sized,
    P: Pipeline<Out = T>,
{
    let job = bag.context.job(&bag.node, site()).unwrap();
    job.run_map_stages().unwrap();
    let state = job.state();
    let mut seen = 0;
    let mut see = || {
        state.stop();
        seen += 1;
    };
    let task = Task::new(state, 9, 0);
    let outcome = task.guard(|task| {
        bag.pipeline
            .run(Partition::at(0), task, &mut |record: Ref<'_, T>| {
                read(record, &mut see);
                Flow::Continue(())
            })
    });
    assert!((1..=STOP_CHECK_RECORDS + 1).contains(&seen), "{seen}");
    outcome
}

/// Does the same for the records of the bag.
#[track_caller]
fn assert_stops<T, P>(bag: &Bag<T, P>)
where
    T: Record + ?Sized,
    P: Pipeline<Out = T>,
{
    assert_stops_in(bag, |_, see| see());
}

/// Asserts that the first partition of a bag is not read at all if the job has been stopped before.
#[track_caller]
fn assert_does_not_begin<T, P>(bag: &Bag<T, P>)
where
    T: Record + ?Sized,
    P: Pipeline<Out = T>,
{
    let job = bag.context.job(&bag.node, site()).unwrap();
    job.run_map_stages().unwrap();
    job.state().stop();
    let task = Task::new(job.state(), 9, 0);
    let outcome = task.guard(|task| {
        let sink = &mut |_: Ref<'_, T>| panic!("no record");
        bag.pipeline.run(Partition::at(0), task, sink)
    });
    assert!(matches!(outcome.unwrap_err().kind(), ErrorKind::Cancelled));
}

#[test]
fn combining_stops() {
    for context in contexts() {
        assert_stops(&numbers_of(&context).count_by_value());
        assert_stops(&pairs_of(&context).sum_by_key());
        assert_stops(&pairs_of(&context).reduce_by_key(u64::max));
        let texts = pairs_of(&context).map_values(|n| n.to_string());
        assert_stops(&texts.reduce_by_key(String::max));
        let pairs = pairs_of(&context).partition_by(1);
        assert_stops(&pairs.clone().sum_by_key());
        assert_stops(&pairs.reduce_by_key(u64::max));
    }
}

#[test]
fn grouping_stops_among_groups_and_among_values() {
    for context in contexts() {
        assert_stops(&pairs_of(&context).group_by_key());
        assert_stops(&pairs_of(&context).cogroup(pairs_of(&context)));
        let same_key = || numbers_of(&context).map(|n| (0_u64, n));
        assert_stops_in(&same_key().group_by_key(), |(_, values), see| {
            values.for_each(|_| see());
        });
        let both = same_key().cogroup(pairs_of(&context));
        assert_stops_in(&both, |(_, left, right), see| {
            left.for_each(|_| see());
            right.for_each(|_| see());
        });
        assert_stops(&pairs_of(&context).partition_by(1).group_by_key());
    }
}

#[test]
fn joins_stop() {
    for context in contexts() {
        assert_stops(&pairs_of(&context).join(pairs_of(&context)));
        assert_stops(&pairs_of(&context).left_join(pairs_of(&context)));
        assert_stops(&pairs_of(&context).full_join(pairs_of(&context)));
        assert_stops(&pairs_of(&context).semi_join(pairs_of(&context)));
        assert_stops(
            &numbers_of(&context)
                .distinct()
                .intersection(numbers_of(&context)),
        );
        let same_key = || context.range_partitioned(0..500, 2).map(|n| (0_u64, n));
        assert_stops(&same_key().join(same_key()));
        // No record of one side has a match.
        let others = pairs_of(&context).map(|(key, n)| (key + RECORDS, n));
        assert_does_not_begin(&pairs_of(&context).join(others));
    }
}

#[test]
fn replaying_stops() {
    for context in contexts() {
        assert_stops(&numbers_of(&context).repartition(1));
        assert_stops(&pairs_of(&context).partition_by(1));
        for level in [StorageLevel::MemoryThenDisk, StorageLevel::Disk] {
            let kept = numbers_of(&context).persist(level);
            assert_eq!(kept.count().unwrap(), RECORDS);
            assert_stops(&kept);
        }
    }
}

#[test]
fn a_record_that_becomes_endlessly_many_stops() {
    let context = &contexts()[0];
    assert_stops_within_a_record(&numbers_of(context).flat_map(|n| n..));
    assert_stops_within_a_record(&numbers_of(context).try_flat_map(|n| Ok::<_, String>(n..)));
    assert_stops_within_a_record(&pairs_of(context).flat_map_values(|n| n..));
    assert_stops_within_a_record(&numbers_of(context).map(|n| n..).flatten());
    assert_stops_within_a_record(&numbers_of(context).sample_with_replacement(1e5, 1));
    let same_key = || numbers_of(context).map(|n| (0_u64, n));
    assert_stops_within_a_record(&same_key().join_broadcast(same_key()));
    let texts = || same_key().map_values(|n| n.to_string());
    assert_stops_within_a_record(&texts().left_join_broadcast(texts()));
}

#[test]
fn sorting_stops() {
    for context in contexts() {
        assert_stops(&numbers_of(&context).map(|n| !n).sort());
        assert_stops(&numbers_of(&context).map(|n| n.to_string()).sort());
        let pairs = pairs_of(&context);
        assert_stops(&pairs.repartition_and_sort_within_partitions(1));
    }
}
