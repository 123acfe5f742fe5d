//! All tests that hold on every executor and need no separate process. They form one program, which is compiled and
//! linked once.

#[path = "../common/cluster.rs"]
mod cluster;
#[path = "../common/mod.rs"]
mod common;

mod actions;
mod agrees_with_std;
mod bad_records;
mod by_key;
mod cancel;
mod closures;
mod compressed_files;
mod cookbook;
mod counters;
mod cycles;
mod delayed;
mod determinism;
mod errors;
mod events;
mod examples;
mod fields;
mod graph_cases;
mod graphs;
mod group;
mod homes;
mod inputs;
mod jobs;
mod join;
mod layering;
mod laziness;
mod lineage;
mod located;
mod nesting;
mod ngrams;
mod pairs;
mod partitions;
mod persist;
mod piping;
mod plans;
mod positions;
mod random_graphs;
mod ranges;
mod regressions;
mod remote_executor;
mod results;
mod sampling;
mod saved;
mod sort;
mod sort_without_order;
mod stages;
mod summaries;
mod text_files;
mod text_tools;
mod types;
mod whole_files;
