//! Any system call may fail, at any time, once or for ever: the answer is right or the error clean, the run ends, and
//! nothing is left behind.
//!
//! `HOLDALL_FAULTS` says how many runs there are for each operation of [`program`]: a number, or `all` to have each
//! call of each kind fail in each way. `HOLDALL_FAULTS_SEED` chooses which runs a number of them are.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

#[path = "../common/mod.rs"]
mod common;

mod calls;
mod faults;
mod harness;
mod limits;
mod program;
mod sample;
