//! Methods whose closures receive a state.

use holdall::{BagWith, Context, Pipeline, Record};

use crate::{checks, has, is, lines, numbers, pairs, try_add};

/// Returns 0 to 5 with the state 1.
fn with(context: &Context) -> BagWith<i64, impl Pipeline<Out = i64>, i64> {
    numbers(context).with(1)
}

fn ok<T>(value: T) -> Result<T, std::fmt::Error> {
    Ok(value)
}

/// Returns the state of a bag as records.
fn state<T: Record + ?Sized, P: Pipeline<Out = T>>(
    bag: BagWith<T, P, i64>,
) -> holdall::Bag<i64, impl Pipeline<Out = i64>> {
    bag.map(|state, _| *state)
}

checks! {
    "with" => |c| has(numbers(c).with(2).filter(|state, n| n < state), [0, 1]);
    "BagWith::with" => |c| has(with(c).with(2).map(|(a, b), n| n + a + b).limit(2), [3, 4]);
    "BagWith::map" => |c| has(state(with(c)), [1; 6]);
    "BagWith::filter" => |c| has(with(c).filter(|state, n| n <= state), [0, 1]);
    "BagWith::filter_map" => |c| has(with(c).filter_map(|state, n| (n <= *state).then_some(n)), [0, 1]);
    "BagWith::flat_map" => |c| has(with(c).flat_map(|state, n| 3 + state..n), [4]);
    "BagWith::inspect" => |c| is(with(c).inspect(|_, _| ()).count(), 6);
    "BagWith::key_by" => |c| has(with(c).key_by(|state, n| n + state).keys(), [1, 2, 3, 4, 5, 6]);
    "BagWith::map_partitions" => |c| has(
        with(c).map_partitions(|state, all, emit| emit(all.count() as i64 + state)), [3, 3, 3]
    );
    "BagWith::map_partitions_with_index" => |c| has(
        with(c).map_partitions_with_index(|state, index, _, emit| emit(index as i64 + state)), [1, 2, 3]
    );
    "BagWith::try_key_by" => |c| has(with(c).try_key_by(|state, n| ok(n + state)).keys(), [1, 2, 3, 4, 5, 6]);
    "BagWith::try_zip_partitions" => |c| has(with(c).try_zip_partitions(numbers(c), |state, _, _, emit| {
        emit(*state);
        ok(())
    }), [1, 1, 1]);
    "BagWith::zip_partitions" => |c| has(
        with(c).zip_partitions(numbers(c), |state, a, b, emit| {
            emit((a.count() + b.count()) as i64 + state);
        }),
        [5, 5, 5]
    );
    "BagWith::try_map" => |c| has(with(c).try_map(|state, n| ok(n * state)), [0, 1, 2, 3, 4, 5]);
    "BagWith::try_filter" => |c| has(with(c).try_filter(|state, n| ok(n <= state)), [0, 1]);
    "BagWith::try_filter_map" => |c| has(with(c).try_filter_map(|state, n| ok((n <= *state).then_some(n))), [0, 1]);
    "BagWith::try_flat_map" => |c| has(with(c).try_flat_map(|state, n| ok(3 + state..n)), [4]);
    "BagWith::map_init" => |c| has(with(c).map_init(|_| (), |state, (), n| n * state), [0, 1, 2, 3, 4, 5]);
    "BagWith::try_map_init" => |c| has(
        with(c).try_map_init(|_| (), |state, (), n| ok(n * state)), [0, 1, 2, 3, 4, 5]
    );
    "BagWith::flat_map_emit" => |c| has(with(c).flat_map_emit(|state, n, emit| (3 + state..n).for_each(emit)), [4]);
    "BagWith::try_flat_map_emit" => |c| has(with(c).try_flat_map_emit(|state, n, emit| {
        (3 + state..n).for_each(emit);
        ok(())
    }), [4]);
    "BagWith::flat_map_str" => |c| has(with(c).flat_map_str(|state, _, emit| emit(&state.to_string())), ["1"; 6]);
    "BagWith::try_flat_map_str" => |c| has(with(c).try_flat_map_str(|state, _, emit| {
        emit(&state.to_string());
        ok(())
    }), ["1"; 6]);
    "BagWith::flat_map_bytes" => |c| has(with(c).flat_map_bytes(|state, _, emit| emit(&[*state as u8])), [[1]; 6]);
    "BagWith::try_flat_map_bytes" => |c| has(with(c).try_flat_map_bytes(|state, _, emit| {
        emit(&[*state as u8]);
        ok(())
    }), [[1]; 6]);
    "BagWith::try_inspect" => |c| is(with(c).try_inspect(|_, _| ok(())).count(), 6);
    "BagWith::try_map_partitions" => |c| has(with(c).try_map_partitions(|state, _, emit| {
        emit(*state);
        ok(())
    }), [1, 1, 1]);
    "BagWith::try_map_partitions_with_index" => |c| has(with(c).try_map_partitions_with_index(|state, index, _, emit| {
        emit(index as i64 + state);
        ok(())
    }), [1, 2, 3]);
    "BagWith::map_values" => |c| {
        has(pairs(c).with(1).map_values(|state, n| n + state).values(), [11, 21, 31, 6])?;
        let counts = pairs(c).group_by_key().with(1).map_values(|state, values| values.count() as i64 + state);
        has(counts.sort(), [(1, 3), (2, 3)])
    };
    "BagWith::flat_map_values" => |c| has(pairs(c).with(28).flat_map_values(|state, n| *state..n).values(), [28, 29]);
    "BagWith::filter_values" => |c| has(pairs(c).with(20).filter_values(|state, n| n > state).values(), [30]);
    "BagWith::try_flat_map_values" => |c| has(
        pairs(c).with(28).try_flat_map_values(|state, n| ok(*state..n)).values(), [28, 29]
    );
    "BagWith::try_filter_values" => |c| has(pairs(c).with(20).try_filter_values(|state, n| ok(n > state)).values(), [30]);
    "BagWith::try_map_values" => |c| has(
        pairs(c).with(1).try_map_values(|state, n| ok(n + state)).values(), [11, 21, 31, 6]
    );
    "BagWith::take_while" => |c| has(with(c).take_while(|state, n| n <= state), [0, 1]);
    "BagWith::skip_while" => |c| has(with(c).skip_while(|state, n| *n < 4 + state), [5]);
    "BagWith::try_running_fold" => |c| has(
        with(c).try_running_fold(0, |state, sum, n| ok(sum + n * state), |_, a, b| ok(a + b)), [0, 1, 3, 6, 10, 15]
    );
    "BagWith::running_fold" => |c| has(
        with(c).running_fold(0, |state, sum, n| sum + n * state, |_, a, b| a + b), [0, 1, 3, 6, 10, 15]
    );
    "BagWith::try_running_reduce" => |c| has(
        with(c).try_running_reduce(|state, a, b| ok(a + b * state)), [0, 1, 3, 6, 10, 15]
    );
    "BagWith::running_reduce" => |c| has(with(c).running_reduce(|state, a, b| a + b * state), [0, 1, 3, 6, 10, 15]);
    "BagWith::chunk_by" => |c| has(with(c).chunk_by(|state, n| n / (3 + state)).keys(), [0, 1]);
    "BagWith::chunk_while" => |c| has(with(c).chunk_while(|state, a, _| *a != 1 + state), [[0, 1, 2], [3, 4, 5]]);
    "BagWith::filter_range_by_key" => |c| has(with(c).filter_range_by_key(6.., |state, n| n + state), [5]);
    "BagWith::map_str" => |c| has(lines(c).with(6).map_str(|at, line| &line[*at..]), ["or", " be"]);
    "BagWith::try_map_str" => |c| has(
        lines(c).with(6).try_map_str(|at, line| line.get(*at..).ok_or("short")), ["or", " be"]
    );
    "BagWith::try_filter_map_str" => |c| has(
        lines(c).with(8).try_filter_map_str(|at, line| ok(line.get(*at..=*at))), ["e"]
    );
    "BagWith::filter_map_str" => |c| has(lines(c).with(8).filter_map_str(|at, line| line.get(*at..=*at)), ["e"]);
    "BagWith::reduce_by_key" => |c| has(
        pairs(c).with(1).reduce_by_key(|state, a, b| a + b * state).sort(), [(1, 40), (2, 25)]
    );
    "BagWith::try_reduce_by_key" => |c| has(
        pairs(c).with(1).try_reduce_by_key(|state, a, b| ok(a + b * state)).sort(), [(1, 40), (2, 25)]
    );
    "BagWith::try_fold_by_key" => |c| has(
        pairs(c).with(1).try_fold_by_key(0, |state, sum, n| try_add(sum, n * state)).sort(), [(1, 40), (2, 25)]
    );
    "BagWith::try_aggregate_by_key" => |c| has(
        pairs(c).with(2).try_aggregate_by_key(0, |state, count, _| try_add(count, *state), |_, a, b| try_add(a, b)).sort(),
        [(1, 4), (2, 4)]
    );
    "BagWith::fold_by_key" => |c| has(
        pairs(c).with(1).fold_by_key(0, |state, sum, n| *sum += n * state).sort(), [(1, 40), (2, 25)]
    );
    "BagWith::aggregate_by_key" => |c| has(
        pairs(c).with(2).aggregate_by_key(0, |state, count, _| *count += state, |_, a, b| *a += b).sort(),
        [(1, 4), (2, 4)]
    );
    "BagWith::try_combine_by_key" => |c| has(
        pairs(c).with(1).try_combine_by_key(
            |state, n| ok(n * state), |state, sum, n| try_add(sum, n * state), |_, a, b| try_add(a, b)
        ).sort(),
        [(1, 40), (2, 25)]
    );
    "BagWith::combine_by_key" => |c| has(
        pairs(c).with(1).combine_by_key(|state, n| n * state, |_, a, b| *a += b, |_, a, b| *a += b).sort(),
        [(1, 40), (2, 25)]
    );
    "BagWith::sort_values_by" => |c| is(
        pairs(c).with(-1).sort_values_by(|sign, a, b| (a * sign).cmp(&(b * sign))).lookup(&1), [30, 10]
    );
    "BagWith::sort_by" => |c| has(
        with(c).sort_by(|state, a, b| (b * state).cmp(&(a * state))), [5, 4, 3, 2, 1, 0]
    );
    "BagWith::partition_with" => |c| has(
        with(c).partition_with(2, |state, n| ((n + state) % 2) as usize), [1, 3, 5, 0, 2, 4]
    );
    "BagWith::reduce" => |c| is(with(c).reduce(|state, a, b| a + b * state), Some(15));
    "BagWith::fold" => |c| is(with(c).fold(0, |state, a, b| a + b * state), 15);
    "BagWith::aggregate" => |c| is(with(c).aggregate(0, |state, sum, _| sum + state, |_, a, b| a + b), 6);
    "BagWith::try_reduce" => |c| is(with(c).try_reduce(|state, a, b| ok(a + b * state)), Some(15));
    "BagWith::try_fold" => |c| is(with(c).try_fold(0, |state, a, b| ok(a + b * state)), 15);
    "BagWith::try_aggregate" => |c| is(
        with(c).try_aggregate(0, |state, sum, _| ok(sum + state), |_, a, b| ok(a + b)), 6
    );
    "BagWith::top_by" => |c| is(with(c).top_by(1, |state, a, b| (a * state).cmp(&(b * state))), [5]);
    "BagWith::bottom_by" => |c| is(with(c).bottom_by(1, |state, a, b| (a * state).cmp(&(b * state))), [0]);
    "BagWith::min_by" => |c| is(with(c).min_by(|state, a, b| (a * state).cmp(&(b * state))), Some(0));
    "BagWith::max_by" => |c| is(with(c).max_by(|state, a, b| (a * state).cmp(&(b * state))), Some(5));
    "BagWith::quantiles_by" => |c| is(with(c).quantiles_by(&[1.0], |state, a, b| (a * state).cmp(&(b * state))), [5]);
    "BagWith::for_each" => |c| is(with(c).for_each(|_, _| ()), ());
    "BagWith::for_each_partition" => |c| is(with(c).for_each_partition(|_, _| ()), ());
    "BagWith::try_for_each_partition" => |c| is(with(c).try_for_each_partition(|_, _| ok(())), ());
    "BagWith::try_for_each" => |c| is(with(c).try_for_each(|_, _| ok(())), ());
}
