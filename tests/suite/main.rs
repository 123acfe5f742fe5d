//! What holds on every executor and needs no process of its own: one program, so that it is compiled and linked once.

#[path = "../common/mod.rs"]
mod common;

mod actions;
mod agrees_with_std;
mod counters;
mod determinism;
mod errors;
mod examples;
mod fields;
mod fuzz;
mod group;
mod join;
mod layering;
mod laziness;
mod nesting;
mod persist;
mod plans;
mod regressions;
mod remote_executor;
mod sort;
mod sort_without_order;
mod text_files;
