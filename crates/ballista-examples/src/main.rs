//! Runs the example whose name is that of the program: link the name of the example to this program.

#![expect(clippy::duplicate_mod, reason = "examples share modules")]

mod aborting_record;
#[cfg(feature = "collections")]
mod arrays;
#[cfg(feature = "collections")]
mod frames;
#[path = "../../../tests/suite/graph_cases.rs"]
mod graph_cases;
mod lease_time;
mod random_graphs;
#[cfg(feature = "collections")]
mod search;
#[cfg(feature = "collections")]
mod shown_jobs;

use std::env;
use std::path::Path;
use std::process::{ExitCode, Termination};

include!(concat!(env!("OUT_DIR"), "/programs.rs"));

fn main() -> ExitCode {
    // The scheduler, machines and their workers have other names.
    holdall::init();
    #[cfg(feature = "stores")]
    holdall_stores::init();
    let program = env::args().next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default();
    let name = name.to_string_lossy();
    match &*name {
        "aborting_record" => aborting_record::main(),
        #[cfg(feature = "collections")]
        "arrays" => arrays::main().report(),
        #[cfg(feature = "collections")]
        "frames" => frames::main().report(),
        "lease_time" => lease_time::main(),
        "random_graphs" => random_graphs::main(),
        #[cfg(feature = "collections")]
        "search" => search::main().report(),
        #[cfg(feature = "collections")]
        "shown_jobs" => shown_jobs::main().report(),
        _ => example(&name).unwrap_or_else(|| {
            eprintln!("error: there is no example {name}: link the name of one to this program");
            ExitCode::FAILURE
        }),
    }
}
