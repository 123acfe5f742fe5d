//! Any system call may fail at any time, once or permanently. The answer must be right or the error clean, the run must
//! end, and nothing may be left behind.
//!
//! `HOLDALL_FAULTS` sets the number of runs for each operation of [`program`]. With `all`, each call of each kind fails
//! in each way. `HOLDALL_FAULTS_SEED` determines the faults of a limited number of runs.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

#[path = "../common/mod.rs"]
mod common;

mod calls;
mod faults;
mod harness;
mod limits;
mod program;
mod sample;
