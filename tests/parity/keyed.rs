//! Methods on pairs that return a result for each key.

use std::collections::HashMap;

use holdall::summary;

use crate::{checks, has, is, numbers, pairs, try_add};

fn ok<T>(value: T) -> Result<T, std::fmt::Error> {
    Ok(value)
}

checks! {
    "group_by_key" => |c| has(
        pairs(c).group_by_key().map_values(|values| values.collect::<Vec<_>>()).sort(),
        [(1, vec![10, 30]), (2, vec![20, 5])]
    );
    "group_by" => |c| has(
        numbers(c).group_by(|n| n % 2).map_values(|values| values.sum::<i64>()).sort(),
        [(0, 6), (1, 9)]
    );
    "count_by_value" => |c| has(pairs(c).keys().count_by_value().sort(), [(1, 2), (2, 2)]);
    "count_by_key" => |c| has(pairs(c).count_by_key().sort(), [(1, 2), (2, 2)]);
    "sum_by_key" => |c| has(pairs(c).sum_by_key().sort(), [(1, 40), (2, 25)]);
    "reduce_by_key" => |c| has(pairs(c).reduce_by_key(|a, b| a * b).sort(), [(1, 300), (2, 100)]);
    "try_reduce_by_key" => |c| has(pairs(c).try_reduce_by_key(|a, b| ok(a * b)).sort(), [(1, 300), (2, 100)]);
    "try_fold_by_key" => |c| has(
        pairs(c).try_fold_by_key(0, try_add).sort(), [(1, 40), (2, 25)]
    );
    "try_aggregate_by_key" => |c| has(
        pairs(c).try_aggregate_by_key(0, try_add, try_add).sort(), [(1, 40), (2, 25)]
    );
    "fold_by_key" => |c| has(pairs(c).fold_by_key(0, |sum, n| *sum += n).sort(), [(1, 40), (2, 25)]);
    "aggregate_by_key" => |c| has(
        pairs(c).aggregate_by_key(Vec::new(), Vec::push, |a, mut b| a.append(&mut b)).sort(),
        [(1, vec![10, 30]), (2, vec![20, 5])]
    );
    "try_combine_by_key" => |c| has(
        pairs(c).try_combine_by_key(ok, try_add, try_add).sort(), [(1, 40), (2, 25)]
    );
    "combine_by_key" => |c| has(
        pairs(c).combine_by_key(|n| n, |sum, n| *sum += n, |sum, n| *sum += n).sort(),
        [(1, 40), (2, 25)]
    );
    "distinct" => |c| has(pairs(c).keys().distinct().sort(), [1, 2]);
    "distinct_by_key" => |c| has(numbers(c).distinct_by_key(|n| n % 2).sort(), [0, 1]);
    "lookup" => |c| is(pairs(c).partition_by(3).lookup(&1), [10, 30]);
    "collect_map" => |c| is(pairs(c).collect_map(), HashMap::from([(1, 30), (2, 5)]));
    "sample_by_key" => |c| has(
        pairs(c).sample_by_key(HashMap::from([(1, 1.0)]), 1),
        [(1, 10), (1, 30)]
    );
    "sample_exact_by_key" => |c| is(
        pairs(c).sample_exact_by_key(HashMap::from([(2, 0.5)]), 1).count(), 1
    );
    "sort_values" => |c| is(pairs(c).sort_values().lookup(&2), [5, 20]);
    "sort_values_by" => |c| is(pairs(c).sort_values_by(|a, b| b.cmp(a)).lookup(&1), [30, 10]);
    "repartition_and_sort_within_partitions" => |c| has(
        pairs(c).repartition_and_sort_within_partitions(1).keys(), [1, 1, 2, 2]
    );
    "partition_by" => |c| is(Ok(pairs(c).partition_by(5).partitions()), Some(5));

    "per_key" => |c| has(pairs(c).per_key().count().sort(), [(1, 2), (2, 2)]);
    "PerKey::shuffle_partitions" => |c| is(Ok(pairs(c).per_key().shuffle_partitions(7).count().partitions()), Some(7));
    "PerKey::count" => |c| has(pairs(c).per_key().count().values(), [2, 2]);
    "PerKey::first" => |c| has(pairs(c).per_key().first().sort(), [(1, 10), (2, 20)]);
    "PerKey::last" => |c| has(pairs(c).per_key().last().sort(), [(1, 30), (2, 5)]);
    "PerKey::min" => |c| has(pairs(c).per_key().min().sort(), [(1, 10), (2, 5)]);
    "PerKey::max" => |c| has(pairs(c).per_key().max().sort(), [(1, 30), (2, 20)]);
    "PerKey::min_by" => |c| has(pairs(c).per_key().min_by(|a, b| b.cmp(a)).sort(), [(1, 30), (2, 20)]);
    "PerKey::max_by" => |c| has(pairs(c).per_key().max_by(|a, b| b.cmp(a)).sort(), [(1, 10), (2, 5)]);
    "PerKey::min_by_key" => |c| has(pairs(c).per_key().min_by_key(|n| -n).sort(), [(1, 30), (2, 20)]);
    "PerKey::max_by_key" => |c| has(pairs(c).per_key().max_by_key(|n| -n).sort(), [(1, 10), (2, 5)]);
    "PerKey::minmax" => |c| has(pairs(c).per_key().minmax().sort(), [(1, (10, 30)), (2, (5, 20))]);
    "PerKey::top" => |c| has(pairs(c).per_key().top(1).sort(), [(1, vec![30]), (2, vec![20])]);
    "PerKey::top_by" => |c| has(pairs(c).per_key().top_by(1, |a, b| b.cmp(a)).sort(), [(1, vec![10]), (2, vec![5])]);
    "PerKey::top_by_key" => |c| has(pairs(c).per_key().top_by_key(1, |n| -n).sort(), [(1, vec![10]), (2, vec![5])]);
    "PerKey::bottom" => |c| has(pairs(c).per_key().bottom(2).sort(), [(1, vec![10, 30]), (2, vec![5, 20])]);
    "PerKey::bottom_by" => |c| has(pairs(c).per_key().bottom_by(1, |a, b| b.cmp(a)).sort(), [(1, vec![30]), (2, vec![20])]);
    "PerKey::bottom_by_key" => |c| has(pairs(c).per_key().bottom_by_key(1, |n| -n).sort(), [(1, vec![30]), (2, vec![20])]);
    "PerKey::reduce" => |c| has(pairs(c).per_key().reduce(|a, b| a - b).sort(), [(1, -20), (2, 15)]);
    "PerKey::fold" => |c| has(pairs(c).per_key().fold(0, |sum, n| *sum += n).sort(), [(1, 40), (2, 25)]);
    "PerKey::aggregate" => |c| has(
        pairs(c).per_key().aggregate(0, |count, _| *count += 1, |a, b| *a += b).sort(),
        [(1, 2), (2, 2)]
    );
    "PerKey::try_reduce" => |c| has(pairs(c).per_key().try_reduce(|a, b| ok(a - b)).sort(), [(1, -20), (2, 15)]);
    "PerKey::try_fold" => |c| has(
        pairs(c).per_key().try_fold(0, try_add).sort(), [(1, 40), (2, 25)]
    );
    "PerKey::try_aggregate" => |c| has(
        pairs(c).per_key().try_aggregate(0, |count, _| try_add(count, 1), try_add).sort(),
        [(1, 2), (2, 2)]
    );
    "PerKeyAnyOrder::try_reduce" => |c| has(
        pairs(c).per_key().any_order().try_reduce(|a, b| ok(a.max(b))).sort(),
        [(1, 30), (2, 20)]
    );
    "PerKeyAnyOrder::try_fold" => |c| has(
        pairs(c).per_key().any_order().try_fold(0, try_add).sort(),
        [(1, 40), (2, 25)]
    );
    "PerKeyAnyOrder::try_aggregate" => |c| has(
        pairs(c).per_key().any_order().try_aggregate(0, |count, _| try_add(count, 1), try_add).sort(),
        [(1, 2), (2, 2)]
    );
    "PerKey::any_order" => |c| has(pairs(c).per_key().any_order().reduce(|a, b| a.min(b)).sort(), [(1, 10), (2, 5)]);
    "PerKeyAnyOrder::reduce" => |c| has(
        pairs(c).per_key().any_order().reduce(|a, b| a.max(b)).sort(),
        [(1, 30), (2, 20)]
    );
    "PerKeyAnyOrder::fold" => |c| has(
        pairs(c).per_key().any_order().fold(0, |sum, n| *sum += n).sort(),
        [(1, 40), (2, 25)]
    );
    "PerKeyAnyOrder::aggregate" => |c| has(
        pairs(c).per_key().any_order().aggregate(0, |count, _| *count += 1, |a, b| *a += b).sort(),
        [(1, 2), (2, 2)]
    );
    "PerKey::summarize" => |c| has(
        pairs(c).per_key().summarize((summary::count(), summary::sum())).sort(),
        [(1, (2, 40)), (2, (2, 25))]
    );
    "PerKey::sum" => |c| has(pairs(c).per_key().sum().sort(), [(1, 40), (2, 25)]);
    "PerKey::sum_exact" => |c| has(
        pairs(c).map_values(|n| n as f64).per_key().sum_exact().values().map(|sum| sum as i64).sort(),
        [25, 40]
    );
    "PerKey::product" => |c| has(pairs(c).per_key().product().sort(), [(1, 300), (2, 100)]);
    "PerKey::mean" => |c| is(pairs(c).per_key().mean().lookup(&1), [20.0]);
    "PerKey::stats" => |c| is(pairs(c).per_key().stats().lookup(&2).map(|s| s[0].min()), Some(5.0));
    "PerKey::stats_of" => |c| is(
        pairs(c).per_key().stats_of(|n| *n).lookup(&2).map(|stats| stats[0].count()), 2
    );
    "PerKey::histogram" => |c| is(
        pairs(c).per_key().histogram(&[0.0, 15.0, 50.0]).lookup(&1).map(|h| h[0].counts().to_vec()),
        [1, 1]
    );
    "PerKey::count_distinct" => |c| has(pairs(c).per_key().count_distinct().sort(), [(1, 2), (2, 2)]);
}
