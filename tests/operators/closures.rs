//! Values that closures receive besides records: states, and whole partitions.

use crate::common::on_every_executor_and_processes;

#[test]
fn two_states_are_passed_as_a_pair_and_shared_by_clones() {
    on_every_executor_and_processes(|context| {
        let numbers = context.range_partitioned(0..6, 3).with(2);
        let again = numbers.clone();
        let both = numbers.with("x".to_owned());
        let texts = both.map(|(factor, text), n| format!("{text}{}", factor * n));
        let expected = ["x0", "x2", "x4", "x6", "x8", "x10"];
        assert_eq!(texts.collect().unwrap(), expected);
        let large = again.filter(|least, n| n > least);
        assert_eq!(large.collect().unwrap(), [3, 4, 5]);
    });
}

#[test]
fn a_partition_is_folded_counted_and_collected() {
    on_every_executor_and_processes(|context| {
        let numbers = context.range_partitioned(0..7, 3);
        let folds = numbers.clone().map_partitions(|numbers, emit| {
            emit(numbers.fold(String::new(), |text, n| text + &n.to_string()));
        });
        let counts = numbers
            .clone()
            .map_partitions(|numbers, emit| emit(numbers.count()));
        let lasts = numbers
            .clone()
            .map_partitions(|numbers, emit| emit(numbers.last()));
        let lists = numbers
            .clone()
            .map_partitions(|numbers, emit| emit(numbers.collect()));
        let lists = lists.collect().unwrap();
        assert_eq!(lists.concat(), [0, 1, 2, 3, 4, 5, 6]);
        let of_each = |text: fn(&[u64]) -> String| -> Vec<String> {
            lists.iter().map(|list| text(list)).collect()
        };
        let digits = of_each(|list| list.iter().map(u64::to_string).collect());
        assert_eq!(folds.collect().unwrap(), digits);
        let lens = of_each(|list| list.len().to_string());
        assert_eq!(counts.map(|n| n.to_string()).collect().unwrap(), lens);
        let ends = of_each(|list| list.last().map_or_else(String::new, u64::to_string));
        let lasts = lasts.map(|last| last.map_or_else(String::new, |n: u64| n.to_string()));
        assert_eq!(lasts.collect().unwrap(), ends);

        let none = numbers.filter(|_| false).coalesce(1);
        let none = none.map_partitions(|numbers, emit| emit(numbers.last()));
        assert_eq!(none.collect().unwrap(), [None]);
        let words = context.from_vec(vec!["a bag", "of words"]).coalesce(1);
        let words = words.flat_map_str(|line, emit| line.split(' ').for_each(emit));
        let words = words.map_partitions(|words, emit| emit(words.collect()));
        assert_eq!(
            words.collect().unwrap().concat(),
            ["a", "bag", "of", "words"]
        );
    });
}
