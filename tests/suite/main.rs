//! Tests of everything but the operators that need no separate process. A few programs with many files compile sooner than
//! many programs do. This one and `tests/operators` are two, so that two cores compile them at the same time.

#[path = "../common/cluster.rs"]
mod cluster;
#[path = "../common/mod.rs"]
mod common;

mod actions;
mod bad_records;
mod cancel;
mod compressed_files;
mod counters;
mod cycles;
mod delayed;
mod errors;
mod events;
mod graph_cases;
mod graphs;
mod homes;
mod inputs;
mod jobs;
mod layering;
mod laziness;
mod lineage;
mod located;
mod persist;
mod piping;
mod plans;
mod random_graphs;
mod regressions;
mod remote_executor;
mod results;
mod saved;
mod shuffle_directory;
mod stages;
mod text_files;
mod whole_files;
