//! Runs the stages of a program on the machines of a cluster.
//!
#![doc = include_str!("../README.md")]
#![cfg(target_os = "linux")]
#![cfg_attr(not(test), expect(dead_code, reason = "only the tests have an engine"))]

mod agent;
mod driver;
mod engine;
mod fingerprint;
mod message;
mod net;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod transfer;

/// Turns this process into a worker if it was started as one.
///
/// Call it first in `main`, in place of [`holdall::init`], which it includes and whose docs apply.
///
/// # Examples
///
/// ```
/// holdall_ballista::init();
/// // A worker does not come here.
/// ```
pub fn init() {
    holdall::executor::init_with_home(agent::home_of_this_process);
}
