//! Random graphs have the values that a plain evaluation has, with much and with little memory.
//!
//! `HOLDALL_GRAPHS` sets the number of graphs for each setting.

use holdall::{Context, Executor};

use crate::common::{Files, assert_empty};
use crate::graph_cases::Case;

/// Returns the number of graphs for each setting.
fn graphs(default: u64) -> u64 {
    let text = std::env::var("HOLDALL_GRAPHS").ok();
    text.map_or(default, |text| text.parse().expect("a number"))
}

fn executors() -> Vec<(&'static str, Executor)> {
    let mut executors = vec![
        ("inline", Executor::Inline),
        ("threads:2", Executor::Threads(2)),
        ("threads:8", Executor::Threads(8)),
    ];
    if cfg!(target_os = "linux") {
        executors.push(("processes:2", Executor::Processes(2)));
    }
    executors
}

#[test]
fn random_graphs_agree_with_plain_evaluation() {
    let spill = Files::new();
    for memory in [1 << 20, 1 << 30] {
        for (name, executor) in executors() {
            let context = Context::builder().executor(executor).progress(false);
            let context = context.memory(memory as u64).spill_directory(spill.root());
            let context = context.build().expect("the settings are right");
            for seed in 0..graphs(40) {
                let case = Case::new(seed);
                let values = case.compute(seed, &context);
                let values = values.unwrap_or_else(|error| panic!("{name}, seed {seed}: {error}"));
                assert!(case.is_right(&values), "{name}, seed {seed}: wrong values");
            }
            drop(context);
            assert_empty(spill.root());
        }
    }
}
