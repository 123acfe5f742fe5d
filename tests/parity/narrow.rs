//! Methods on single records, on partitions, and by position.

use std::num::ParseIntError;

use crate::{checks, has, is, lines, numbers, pairs};

/// Fails for no number.
fn ok<T>(value: T) -> Result<T, ParseIntError> {
    Ok(value)
}

checks! {
    "map" => |c| has(numbers(c).map(|n| n * 2), [0, 2, 4, 6, 8, 10]);
    "try_map" => |c| has(numbers(c).try_map(ok), [0, 1, 2, 3, 4, 5]);
    "filter" => |c| has(numbers(c).filter(|n| n % 2 == 0), [0, 2, 4]);
    "try_filter" => |c| has(numbers(c).try_filter(|n| ok(*n > 3)), [4, 5]);
    "filter_map" => |c| has(numbers(c).filter_map(|n| (n > 3).then_some(n * 10)), [40, 50]);
    "try_filter_map" => |c| has(numbers(c).try_filter_map(|n| ok((n > 4).then_some(n))), [5]);
    "flat_map" => |c| has(numbers(c).flat_map(|n| 3..n), [3, 3, 4]);
    "try_flat_map" => |c| has(numbers(c).try_flat_map(|n| ok(4..n)), [4]);
    "flat_map_emit" => |c| has(numbers(c).flat_map_emit(|n, emit| (4..n).for_each(emit)), [4]);
    "try_flat_map_emit" => |c| has(numbers(c).try_flat_map_emit(|n, emit| {
        (4..n).for_each(emit);
        ok(())
    }), [4]);
    "flat_map_str" => |c| has(lines(c).flat_map_str(|line, emit| emit(&line[..2])), ["to", "no"]);
    "try_flat_map_str" => |c| has(lines(c).try_flat_map_str(|line, emit| {
        emit(&line[..2]);
        ok(())
    }), ["to", "no"]);
    "flat_map_bytes" => |c| has(lines(c).flat_map_bytes(|line, emit| emit(&line.as_bytes()[..1])), [b"t", b"n"]);
    "try_flat_map_bytes" => |c| has(lines(c).try_flat_map_bytes(|line, emit| {
        emit(&line.as_bytes()[..1]);
        ok(())
    }), [b"t", b"n"]);
    "flatten" => |c| has(numbers(c).map(|n| 4..n).flatten(), [4]);
    "inspect" => |c| has(numbers(c).inspect(|_| ()), [0, 1, 2, 3, 4, 5]);
    "try_inspect" => |c| has(numbers(c).try_inspect(|_| ok(())), [0, 1, 2, 3, 4, 5]);
    "try_key_by" => |c| has(numbers(c).limit(2).try_key_by(|n| ok(n + 7)), [(7, 0), (8, 1)]);
    "key_by" => |c| has(numbers(c).limit(2).key_by(|n| n + 7), [(7, 0), (8, 1)]);
    "map_init" => |c| has(numbers(c).map_init(Vec::new, |buffer, n| {
        buffer.push(n);
        n
    }), [0, 1, 2, 3, 4, 5]);
    "try_map_init" => |c| has(numbers(c).try_map_init(String::new, |_, n| ok(n)), [0, 1, 2, 3, 4, 5]);
    "map_partitions" => |c| has(numbers(c).map_partitions(|all, emit| emit(all.count())), [2, 2, 2]);
    "try_map_partitions" => |c| has(numbers(c).try_map_partitions(|all, emit| {
        emit(all.count());
        ok(())
    }), [2, 2, 2]);
    "map_partitions_with_index" => |c| has(
        numbers(c).map_partitions_with_index(|index, all, emit| emit((index, all.count()))),
        [(0, 2), (1, 2), (2, 2)]
    );
    "try_map_partitions_with_index" => |c| has(numbers(c).try_map_partitions_with_index(|index, _, emit| {
        emit(index);
        ok(())
    }), [0, 1, 2]);
    "glom" => |c| has(numbers(c).glom(), [[0, 1], [2, 3], [4, 5]]);
    "map_ok" => |c| has(numbers(c).map(ok).map_ok(|n| n + 1).try_map(|n| n), [1, 2, 3, 4, 5, 6]);
    "filter_ok" => |c| has(numbers(c).map(ok).filter_ok(|n| *n > 4).try_map(|n| n), [5]);
    "partition_result" => |c| {
        let (even, odd) = numbers(c).map(|n| if n % 2 == 0 { Ok(n) } else { Err(n) }).partition_result();
        has(even, [0, 2, 4])?;
        has(odd, [1, 3, 5])
    };
    "partition" => |c| {
        let (small, large) = numbers(c).partition(|n| *n < 2);
        has(small, [0, 1])?;
        has(large, [2, 3, 4, 5])
    };
    "unzip" => |c| {
        let (keys, values) = pairs(c).unzip();
        has(keys, [1, 2, 1, 2])?;
        has(values, [10, 20, 30, 5])
    };
    "keys" => |c| has(pairs(c).keys(), [1, 2, 1, 2]);
    "values" => |c| has(pairs(c).values(), [10, 20, 30, 5]);
    "map_values" => |c| has(pairs(c).map_values(|n| n / 5).values(), [2, 4, 6, 1]);
    "try_map_values" => |c| has(pairs(c).try_map_values(ok).values(), [10, 20, 30, 5]);
    "try_flat_map_values" => |c| has(pairs(c).try_flat_map_values(|n| ok(29..n)), [(1, 29)]);
    "try_filter_values" => |c| has(pairs(c).try_filter_values(|n| ok(*n > 20)), [(1, 30)]);
    "flat_map_values" => |c| has(pairs(c).flat_map_values(|n| 29..n), [(1, 29)]);
    "filter_values" => |c| has(pairs(c).filter_values(|n| *n > 20), [(1, 30)]);
    "swap" => |c| has(pairs(c).swap().limit(1), [(10, 1)]);
    "union" => |c| has(numbers(c).limit(1).union(numbers(c)), [0, 0, 1, 2, 3, 4, 5]);
    "zip_with_index" => |c| has(numbers(c).skip(4).zip_with_index(), [(4, 0), (5, 1)]);
    "limit" => |c| has(numbers(c).limit(3), [0, 1, 2]);
    "skip" => |c| has(numbers(c).skip(3), [3, 4, 5]);
    "step_by" => |c| has(numbers(c).step_by(4), [0, 4]);
    "take_while" => |c| has(numbers(c).take_while(|n| *n < 3), [0, 1, 2]);
    "skip_while" => |c| has(numbers(c).skip_while(|n| *n < 3), [3, 4, 5]);
    "intersperse" => |c| has(numbers(c).limit(3).intersperse(9), [0, 9, 1, 9, 2]);
    "running_fold" => |c| has(
        numbers(c).running_fold(0, |sum, n| sum + n, |a, b| a + b),
        [0, 1, 3, 6, 10, 15]
    );
    "try_running_fold" => |c| has(
        numbers(c).try_running_fold(0, |sum, n| ok(sum + n), |a, b| ok(a + b)),
        [0, 1, 3, 6, 10, 15]
    );
    "try_running_reduce" => |c| has(numbers(c).try_running_reduce(|a, b| ok(a.max(b))), [0, 1, 2, 3, 4, 5]);
    "running_reduce" => |c| has(numbers(c).running_reduce(|a, b| a.max(b)), [0, 1, 2, 3, 4, 5]);
    "windows" => |c| has(numbers(c).windows(5), [[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]]);
    "chunks" => |c| has(numbers(c).chunks(4), [vec![0, 1, 2, 3], vec![4, 5]]);
    "dedup" => |c| has(numbers(c).map(|n| n / 3).dedup(), [0, 1]);
    "dedup_with_count" => |c| has(numbers(c).map(|n| n / 4).dedup_with_count(), [(0, 4), (1, 2)]);
    "chunk_by" => |c| has(numbers(c).chunk_by(|n| n / 4), [(0, vec![0, 1, 2, 3]), (1, vec![4, 5])]);
    "chunk_while" => |c| has(numbers(c).chunk_while(|_, next| *next != 3), [[0, 1, 2], [3, 4, 5]]);
    "try_zip_partitions" => |c| has(numbers(c).try_zip_partitions(numbers(c), |left, right, emit| {
        emit(left.count() + right.count());
        ok(())
    }), [4, 4, 4]);
    "zip_partitions" => |c| has(numbers(c).zip_partitions(numbers(c), |left, right, emit| {
        emit(left.count() + right.count());
    }), [4, 4, 4]);
    "select_partitions" => |c| has(numbers(c).select_partitions([2, 0]), [4, 5, 0, 1]);
    "coalesce" => |c| has(numbers(c).coalesce(2).glom().map(|all| all.len()), [2, 4]);
    "coalesce_bytes" => |c| has(numbers(c).coalesce_bytes("1GiB"), [0, 1, 2, 3, 4, 5]);
    "sample" => |c| has(numbers(c).sample(1.0, 1), [0, 1, 2, 3, 4, 5]);
    "sample_with_replacement" => |c| is(numbers(c).sample_with_replacement(0.0, 1).count(), 0);
    "split_random" => |c| {
        let [a, b] = numbers(c).split_random([1.0, 1.0], 1);
        has(a.union(b).sort(), [0, 1, 2, 3, 4, 5])
    };
    "into_owned" => |c| has(lines(c).as_text().into_owned(), ["to be or", "not to be"]);
    "boxed" => |c| has(numbers(c).boxed(), [0, 1, 2, 3, 4, 5]);
    "filter_range" => |c| has(numbers(c).sort().filter_range(2..4), [2, 3]);
    "filter_range_by_key" => |c| has(numbers(c).filter_range_by_key(4.., |n| n * 2), [2, 3, 4, 5]);
}
