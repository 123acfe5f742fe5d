//! A program for tests of clusters: random graphs have the values of a plain evaluation. Its argument is their number.

use std::process::ExitCode;

use holdall::Context;

use crate::graph_cases::Case;

pub(crate) fn main() -> ExitCode {
    let graphs = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let Some(graphs) = graphs else {
        eprintln!("error: how many graphs?");
        return ExitCode::FAILURE;
    };
    let context = Context::default();
    for seed in 0..graphs {
        let case = Case::new(seed);
        match case.compute(seed, &context) {
            Ok(values) if case.is_right(&values) => {}
            Ok(_) => {
                eprintln!("error: graph {seed} has wrong values");
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("error: graph {seed}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{graphs} graphs have the values of a plain evaluation");
    ExitCode::SUCCESS
}
