//! Loops that persist a bag in each round.

use super::*;
use crate::config::Executor;
use crate::lineage::VISITED;
use crate::operators::persist::StorageLevel;

/// Costs of a round of a loop.
#[derive(Debug, PartialEq, Eq)]
struct Costs {
    /// Number of nodes of the lineage that were visited.
    visited_nodes: usize,
    /// Number of components that the memory reclaimer asks.
    reclaimers: usize,
}

/// Returns the costs of a late round and of one shortly after the first, and the length of what is sent to workers.
fn costs(step: impl Fn(&Bag<(u64, u64)>) -> Bag<(u64, u64)>) -> Vec<(Costs, usize)> {
    const ROUNDS: usize = 5_000;
    let context = Context::builder().executor(Executor::Inline);
    let context = context.shuffle_partitions(2).build().unwrap();
    let start = context.range_partitioned(0..4, 2).map(|n| (n, 0));
    let mut bag = start.persist(StorageLevel::default()).boxed();
    let mut costs = Vec::new();
    for round in 1..=ROUNDS {
        VISITED.set(0);
        let next = step(&bag).persist(StorageLevel::default()).boxed();
        assert_eq!(next.count().unwrap(), 4);
        bag = next;
        if [10, ROUNDS].contains(&round) {
            let (visited_nodes, (_, _, reclaimer)) = (VISITED.get(), context.for_store());
            let reclaimers = reclaimer.count();
            let sent = Saver::write(|to| step(&bag).pipeline.save(to)).unwrap();
            costs.push((
                Costs {
                    visited_nodes,
                    reclaimers,
                },
                sent.len(),
            ));
        }
    }
    let mut values = bag.values().collect().unwrap();
    values.dedup();
    assert_eq!(values, [ROUNDS as u64]);
    costs
}

fn assert_constant(costs: &[(Costs, usize)]) {
    let [(early, early_bytes), (late, late_bytes)] = costs else {
        panic!("two rounds are measured");
    };
    assert_eq!(early, late);
    // Numbers and offsets may have become longer.
    assert!(
        *late_bytes < early_bytes + 100,
        "{early_bytes}, {late_bytes}"
    );
}

#[test]
fn a_late_round_of_a_narrow_loop_costs_no_more_than_an_early_one() {
    assert_constant(&costs(|bag| bag.clone().map_values(|n| n + 1).boxed()));
}

#[test]
fn a_late_round_of_a_loop_with_a_shuffle_costs_no_more_than_an_early_one() {
    assert_constant(&costs(|bag| {
        let next = bag.clone().map(|(key, n)| ((key + 1) % 4, n + 1));
        next.sum_by_key()
    }));
}
