//! Tests of random programs and of chosen cases of damage, of which `ci/full` runs more. They are a program of their own, which
//! is compiled beside the suite.

#[path = "../common/mod.rs"]
mod common;

mod fuzz;
mod recovery;
