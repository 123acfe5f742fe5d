//! Counters count the work of tasks, and count each partition once.

use crate::common::{on_every_executor_and_processes, quiet_panics};
use holdall::Counter;

#[test]
fn a_counter_counts_on_every_executor_and_processes() {
    on_every_executor_and_processes(|context| {
        let (odd, all) = (Counter::new("odd"), Counter::new("all"));
        let numbers = context.range_partitioned(0..10_000, 37);
        let numbers = numbers.with((odd.clone(), all.clone()));
        let halves = numbers.map(|(odd, all), n| {
            all.add(1);
            odd.add(n % 2);
            n / 2
        });
        assert_eq!((odd.value(), all.value()), (0, 0));
        assert_eq!(
            halves.clone().count_by_value().count().expect("a count"),
            5_000
        );
        assert_eq!((odd.value(), all.value()), (5_000, 10_000));
        assert_eq!(halves.count().expect("a count"), 10_000);
        assert_eq!(
            (odd.value(), all.value()),
            (10_000, 20_000),
            "each action counts"
        );
    });
}

#[test]
fn a_task_that_fails_counts_nothing() {
    quiet_panics();
    on_every_executor_and_processes(|context| {
        let seen = Counter::new("seen");
        let numbers = context.range_partitioned(0..10, 1).with(seen.clone());
        let error = numbers.try_map(|seen, n| {
            seen.add(1);
            if n == 7 { Err("on purpose") } else { Ok(n) }
        });
        assert!(error.count().is_err());
        assert_eq!(seen.value(), 0);
    });
}
