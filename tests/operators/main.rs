//! Tests of the operators: what they return on every executor, and that programs made of them do what they say.

#[path = "../common/mod.rs"]
mod common;

mod agrees_with_std;
mod by_key;
mod closures;
mod cookbook;
mod determinism;
mod examples;
mod fields;
mod group;
mod join;
mod nesting;
mod ngrams;
mod pairs;
mod partitions;
mod positions;
mod ranges;
mod sampling;
mod sort;
mod sort_without_order;
mod summaries;
mod text_tools;
mod types;
