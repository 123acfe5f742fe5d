//! Sorts, joins, set operations, and methods that move records to other partitions.

use std::cmp::Reverse;

use holdall::{Bag, Context, StorageLevel, union_all};

use crate::{checks, has, is, lines, numbers, pairs};

/// Returns pairs with one key of `pairs`, and one other.
fn names(context: &Context) -> Bag<(u32, char)> {
    context.from_vec(vec![(2, 'b'), (3, 'c')]).boxed()
}

checks! {
    "sort" => |c| has(pairs(c).values().sort(), [5, 10, 20, 30]);
    "sort_by" => |c| has(pairs(c).values().sort_by(|a, b| b.cmp(a)), [30, 20, 10, 5]);
    "sort_by_key" => |c| has(pairs(c).values().sort_by_key(|n| Reverse(*n)), [30, 20, 10, 5]);
    "sort_by_cached_key" => |c| has(pairs(c).values().sort_by_cached_key(|n| n.to_string()), [10, 20, 30, 5]);
    "sort_partitions" => |c| has(pairs(c).values().sort_partitions(), [10, 20, 5, 30]);
    "merge_sorted" => |c| has(numbers(c).limit(2).merge_sorted(numbers(c).limit(2)), [0, 0, 1, 1]);
    "permute" => |c| has(numbers(c).permute(1).sort(), [0, 1, 2, 3, 4, 5]);

    "join" => |c| has(pairs(c).join(names(c)), [(2, (20, 'b')), (2, (5, 'b'))]);
    "join_values" => |c| has(pairs(c).join_values(names(c)), [(20, 'b'), (5, 'b')]);
    "left_join" => |c| is(pairs(c).left_join(names(c)).lookup(&1), [(10, None), (30, None)]);
    "right_join" => |c| is(pairs(c).right_join(names(c)).lookup(&3), [(None, 'c')]);
    "full_join" => |c| is(pairs(c).full_join(names(c)).count(), 5);
    "semi_join" => |c| has(pairs(c).semi_join(names(c)).values(), [20, 5]);
    "anti_join" => |c| has(pairs(c).anti_join(names(c)).values(), [10, 30]);
    "join_broadcast" => |c| has(pairs(c).join_broadcast(names(c)), [(2, (20, 'b')), (2, (5, 'b'))]);
    "left_join_broadcast" => |c| has(
        pairs(c).left_join_broadcast(names(c)).values(),
        [(10, None), (20, Some('b')), (30, None), (5, Some('b'))]
    );
    "semi_join_broadcast" => |c| has(pairs(c).semi_join_broadcast(names(c)).values(), [20, 5]);
    "anti_join_broadcast" => |c| has(pairs(c).anti_join_broadcast(names(c)).values(), [10, 30]);
    "cogroup" => |c| is(
        pairs(c).cogroup(names(c)).map(|(key, left, right)| (key, left.count(), right.count())).sort().collect(),
        [(1, 2, 0), (2, 2, 1), (3, 0, 1)]
    );
    "cogroup3" => |c| is(
        pairs(c).cogroup3(names(c), names(c)).map(|(key, a, b, c)| (key, a.count() + b.count() + c.count()))
            .sort().collect(),
        [(1, 2), (2, 4), (3, 2)]
    );
    "cogroup4" => |c| is(
        pairs(c).cogroup4(names(c), names(c), names(c)).map(|(key, ..)| key).sort().collect(),
        [1, 2, 3]
    );
    "intersection" => |c| has(numbers(c).intersection(numbers(c).skip(4)).sort(), [4, 5]);
    "subtract" => |c| has(numbers(c).subtract(numbers(c).skip(2)).sort(), [0, 1]);
    "cartesian" => |c| is(numbers(c).cartesian(pairs(c)).count(), 24);
    "union_all" => |c| has(union_all([numbers(c).limit(1).boxed(), numbers(c).skip(5).boxed()]), [0, 5]);
    "zip" => |c| has(numbers(c).limit(2).zip(lines(c)), [(0, "to be or".to_owned()), (1, "not to be".to_owned())]);

    "repartition" => |c| is(Ok(numbers(c).repartition(4).partitions()), Some(4));
    "split_partitions" => |c| has(numbers(c).split_partitions(6).glom(), [[0], [1], [2], [3], [4], [5]]);
    "partition_with" => |c| has(numbers(c).partition_with(2, |n| *n as usize % 2), [0, 2, 4, 1, 3, 5]);
    "shuffle_partitions" => |c| is(Ok(numbers(c).shuffle_partitions(3).distinct().partitions()), Some(3));
    "partitions" => |c| is(Ok(numbers(c).partitions()), Some(3));
    "unpersist" => |c| {
        let kept = numbers(c).persist(StorageLevel::default());
        is(kept.count(), 6)?;
        is(Ok(kept.unpersist()), true)?;
        is(kept.count(), 6)
    };
    "persist" => |c| {
        let kept = numbers(c).map(|n| n + 1).persist(StorageLevel::MemoryThenDisk);
        is(kept.count(), 6)?;
        has(kept, [1, 2, 3, 4, 5, 6])
    };
}
