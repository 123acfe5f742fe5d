//! Tests of random programs and of chosen cases of damage, of which `ci/full` runs more. They are a separate program, so
//! that it compiles in parallel with the suite.

#[path = "../common/mod.rs"]
mod common;

mod fuzz;
mod recovery;
