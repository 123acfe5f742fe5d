//! All formats, exchanged with programs written by others, and interrupted while they are written.

mod interrupted;
mod peers;

/// Entry point of worker processes.
#[test]
fn holdall_worker() {
    holdall::init();
}
