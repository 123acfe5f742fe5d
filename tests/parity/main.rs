//! Calls each method that docs/PARITY.md names, and each public method of a bag, in every setting, and asserts its
//! result.

#[path = "../common/mod.rs"]
mod common;

mod actions;
mod document;
mod keyed;
mod narrow;
mod sources;
mod stateful;
mod statistics;
mod text;
mod wide;

use std::fmt::Debug;

use common::on_every_executor_and_processes;
use holdall::{Bag, Context, Data, Pipeline, Record, Result};

/// A call of a method, with its expected result.
pub(crate) struct Check {
    /// The name in docs/PARITY.md: `map`, `PerKey::sum`, `summary::count`.
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Context) -> Result<()>,
    /// The code of `run`.
    pub(crate) code: &'static str,
}

/// Defines the checks of a file.
macro_rules! checks {
    ($($name:literal => $run:expr;)*) => {
        pub(crate) const CHECKS: &[$crate::Check] = &[
            $($crate::Check { name: $name, run: $run, code: stringify!($run) },)*
        ];

        #[test]
        fn all() {
            $crate::run_all(CHECKS);
        }
    };
}
pub(crate) use checks;

fn run_all(checks: &'static [Check]) {
    on_every_executor_and_processes(move |context| {
        for check in checks {
            if let Err(error) = (check.run)(context) {
                panic!("{}: {error}", check.name);
            }
        }
    });
}

/// Asserts that a bag has the expected records.
#[track_caller]
pub(crate) fn has<T, P, E>(bag: Bag<T, P>, expected: E) -> Result<()>
where
    T: Record + ?Sized,
    T::Owned: Data + Debug,
    P: Pipeline<Out = T>,
    Vec<T::Owned>: PartialEq<E>,
    E: Debug,
{
    assert_eq!(bag.collect()?, expected);
    Ok(())
}

/// Asserts that the result of an action is the expected one.
#[track_caller]
pub(crate) fn is<A: PartialEq<E> + Debug, E: Debug>(actual: Result<A>, expected: E) -> Result<()> {
    assert_eq!(actual?, expected);
    Ok(())
}

/// Returns 0 to 5, in three partitions.
pub(crate) fn numbers(context: &Context) -> Bag<i64> {
    context.range_partitioned(0..6, 3).boxed()
}

/// Adds `n` to `sum`, as a closure that may fail.
pub(crate) fn try_add(sum: &mut i64, n: i64) -> std::result::Result<(), std::fmt::Error> {
    *sum += n;
    Ok(())
}

/// Returns pairs of two keys, in two partitions.
pub(crate) fn pairs(context: &Context) -> Bag<(u32, i64)> {
    context
        .from_vec_partitioned(vec![(1, 10), (2, 20), (1, 30), (2, 5)], 2)
        .boxed()
}

/// Returns two lines, each in its partition.
pub(crate) fn lines(context: &Context) -> Bag<String> {
    let lines = ["to be or", "not to be"].map(str::to_owned);
    context.from_vec_partitioned(lines.to_vec(), 2).boxed()
}
