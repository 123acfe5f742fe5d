//! Distribution of the times of tasks, in bounded memory.

use std::collections::BTreeMap;
use std::time::Duration;

/// Number of buckets for each power of two. More buckets give more exact quantiles and take more memory.
const BUCKETS: f64 = 8.0;

/// Counts the times of tasks in buckets whose bounds grow by 9 %. The shortest and the longest time are exact.
#[derive(Clone, Default)]
pub(super) struct TaskTimes {
    /// Number of tasks by the logarithm of their time in microseconds.
    buckets: BTreeMap<i32, u64>,
    count: u64,
    total: Duration,
    shortest: Duration,
    longest: Duration,
}

impl TaskTimes {
    /// Adds `tasks` that took the time `elapsed` together.
    pub(super) fn add(&mut self, tasks: usize, elapsed: Duration) {
        let Ok(tasks @ 1..) = u32::try_from(tasks) else {
            return;
        };
        let each = elapsed / tasks;
        self.shortest = match self.count {
            0 => each,
            _ => self.shortest.min(each),
        };
        self.longest = self.longest.max(each);
        self.count += u64::from(tasks);
        self.total += elapsed;
        let micros = each.as_secs_f64() * 1e6;
        // No time is a number below zero, and the logarithm of zero is the lowest bucket.
        let bucket = (micros.max(0.001).log2() * BUCKETS).floor() as i32;
        *self.buckets.entry(bucket).or_default() += u64::from(tasks);
    }

    /// Returns the shortest time, the quartiles and the longest time, or `None` without tasks. The quartiles are exact
    /// to 5 %.
    pub(super) fn quantiles(&self) -> Option<[Duration; 5]> {
        let quartile = |n| self.quantile(f64::from(n) / 4.0);
        (self.count > 0).then(|| {
            [
                self.shortest,
                quartile(1),
                quartile(2),
                quartile(3),
                self.longest,
            ]
        })
    }

    /// Returns the longest time divided by the mean, or `None` without tasks.
    pub(super) fn skew(&self) -> Option<f64> {
        let mean = self.total.as_secs_f64() / self.count as f64;
        (mean > 0.0).then(|| self.longest.as_secs_f64() / mean)
    }

    fn quantile(&self, share: f64) -> Duration {
        let mut rest = share * self.count as f64;
        for (bucket, count) in &self.buckets {
            rest -= *count as f64;
            if rest <= 0.0 {
                let middle = (f64::from(*bucket) + 0.5) / BUCKETS;
                let time = Duration::from_secs_f64(middle.exp2() / 1e6);
                return time.clamp(self.shortest, self.longest);
            }
        }
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_exact_to_five_percent() {
        let mut times = TaskTimes::default();
        assert!(times.quantiles().is_none() && times.skew().is_none());
        for millis in 1..=1000 {
            times.add(1, Duration::from_millis(millis));
        }
        let quantiles = times.quantiles().unwrap().map(|time| time.as_secs_f64());
        for (found, expected) in quantiles.into_iter().zip([0.001, 0.25, 0.5, 0.75, 1.0]) {
            assert!((found / expected - 1.0).abs() < 0.05, "{quantiles:?}");
        }
        assert!((times.skew().unwrap() - 1.998).abs() < 0.001);
    }

    #[test]
    fn tasks_of_a_batch_share_its_time() {
        let mut times = TaskTimes::default();
        times.add(0, Duration::from_secs(9));
        times.add(4, Duration::from_secs(8));
        times.add(1, Duration::ZERO);
        let [shortest, _, median, _, longest] = times.quantiles().unwrap();
        assert_eq!(
            (shortest, longest),
            (Duration::ZERO, Duration::from_secs(2))
        );
        assert!(median > Duration::from_secs(1));
        assert_eq!(times.total, Duration::from_secs(8));
    }
}
