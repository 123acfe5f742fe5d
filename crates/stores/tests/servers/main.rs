//! One contract for all stores, against the servers that `ci/stores` starts.

#![expect(
    clippy::unwrap_used,
    reason = "the tests call functions that check one store, and that clippy does not know as tests"
)]

mod contract;
mod faults;
mod kills;
mod proxy;
mod server;
mod special;

/// Entry point of worker processes.
#[test]
fn holdall_worker() {
    holdall::init();
}
