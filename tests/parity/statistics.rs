//! Extremes, numbers, and summaries.

use holdall::Counter;
use holdall::summary::*;

use crate::{checks, is, numbers, pairs};

checks! {
    "sum" => |c| is(numbers(c).sum::<i64>(), 15);
    "product" => |c| is(numbers(c).skip(1).product::<i64>(), 120);
    "min" => |c| is(numbers(c).min(), Some(0));
    "max" => |c| is(numbers(c).max(), Some(5));
    "min_by" => |c| is(numbers(c).min_by(|a, b| b.cmp(a)), Some(5));
    "max_by" => |c| is(numbers(c).max_by(|a, b| b.cmp(a)), Some(0));
    "min_by_key" => |c| is(numbers(c).min_by_key(|n| (n - 3).abs()), Some(3));
    "max_by_key" => |c| is(numbers(c).max_by_key(|n| (n - 3).abs()), Some(0));
    "minmax" => |c| is(numbers(c).minmax(), Some((0, 5)));
    "top" => |c| is(numbers(c).top(2), [5, 4]);
    "top_by" => |c| is(numbers(c).top_by(2, |a, b| b.cmp(a)), [0, 1]);
    "top_by_key" => |c| is(numbers(c).top_by_key(2, |n| n % 4), [3, 2]);
    "bottom" => |c| is(numbers(c).bottom(2), [0, 1]);
    "bottom_by" => |c| is(numbers(c).bottom_by(2, |a, b| b.cmp(a)), [5, 4]);
    "bottom_by_key" => |c| is(numbers(c).bottom_by_key(2, |n| n % 4), [0, 4]);
    "mean" => |c| is(numbers(c).mean(), Some(2.5));
    "stats" => |c| is(numbers(c).stats().map(|stats| stats.max()), Some(5.0));
    "stats_of" => |c| is(pairs(c).stats_of(|pair| pair.1).map(|stats| stats.count()), 4);
    "sum_exact" => |c| is(numbers(c).map(|n| n as f64 / 10.0).sum_exact(), 1.5);
    "histogram" => |c| is(numbers(c).histogram(&[0.0, 2.0, 5.0]).map(|h| h.counts().to_vec()), [2, 4]);
    "histogram_even" => |c| is(numbers(c).histogram_even(5).map(|h| h.counts().to_vec()), [1, 1, 1, 1, 2]);
    "quantiles" => |c| is(numbers(c).quantiles(&[0.0, 1.0]), [0, 5]);
    "quantiles_by" => |c| is(numbers(c).quantiles_by(&[0.0], |a, b| b.cmp(a)), [5]);
    "count_distinct" => |c| is(pairs(c).keys().count_distinct(), 2);
    "take_sample" => |c| is(numbers(c).take_sample(9, 1), [0, 1, 2, 3, 4, 5]);
    "take_sample_with_replacement" => |c| is(numbers(c).take_sample_with_replacement(9, 1).map(|s| s.len()), 9);

    "summarize" => |c| is(numbers(c).summarize((count(), sum())), (6, 15));
    "summary::count" => |c| is(numbers(c).summarize(count()), 6);
    "summary::sum" => |c| is(numbers(c).summarize(sum()), 15);
    "summary::product" => |c| is(numbers(c).skip(1).summarize(product()), 120);
    "summary::mean" => |c| is(numbers(c).summarize(mean()), Some(2.5));
    "summary::min" => |c| is(numbers(c).summarize(min()), Some(0));
    "summary::max" => |c| is(numbers(c).summarize(max()), Some(5));
    "summary::minmax" => |c| is(numbers(c).summarize(minmax()), Some((0, 5)));
    "summary::first" => |c| is(numbers(c).summarize(first()), Some(0));
    "summary::last" => |c| is(numbers(c).summarize(last()), Some(5));
    "summary::top" => |c| is(numbers(c).summarize(top(2)), [5, 4]);
    "summary::bottom" => |c| is(numbers(c).summarize(bottom(2)), [0, 1]);
    "summary::stats" => |c| is(numbers(c).summarize(stats()).map(|stats| stats.count()), 6);
    "summary::histogram" => |c| is(numbers(c).summarize(histogram(&[0.0, 9.0])).map(|h| h.counts().to_vec()), [6]);
    "summary::of" => |c| is(pairs(c).summarize(of(|pair: &(u32, i64)| pair.1, max())), Some(30));
    "summary::filter" => |c| is(numbers(c).summarize(filter(|n: &i64| *n > 3, count())), 2);
    "summary::to_vec" => |c| is(numbers(c).summarize(to_vec()), [0, 1, 2, 3, 4, 5]);
    "summary::to_set" => |c| is(pairs(c).keys().summarize(to_set()).map(|set| set.len()), 2);
    "summary::count_distinct" => |c| is(pairs(c).keys().summarize(count_distinct()), 2);
    "summary::count_distinct_approx" => |c| is(
        pairs(c).keys().summarize(count_distinct_approx(0.01)), 2
    );
    "summary::heavy_hitters" => |c| is(
        pairs(c).keys().summarize(heavy_hitters(10)).map(|hitters| hitters.len()), 2
    );
    "summary::quantiles_approx" => |c| is(
        numbers(c).summarize(quantiles_approx(&[1.0], 0.01)).map(|q| q.values().to_vec()), [5]
    );
    "summary::sum_exact" => |c| is(numbers(c).map(|n| n as f64).summarize(sum_exact()), 15.0);
    "summary::aggregate" => |c| is(
        numbers(c).summarize(aggregate(0, |sum: &mut i64, n: &i64| *sum += n, |sum: &mut i64, later: i64| *sum += later)),
        15
    );
    "Counter::value" => |c| {
        let counter = Counter::new("even");
        let even = numbers(c).with(counter.clone()).filter(|counter, n| {
            counter.add(1);
            n % 2 == 0
        });
        is(even.count(), 3)?;
        is(Ok(counter.value()), 6)
    };
}
