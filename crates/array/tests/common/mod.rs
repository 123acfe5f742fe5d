//! What the tests of this crate share.

use holdall::{Context, Executor};

/// Entry point of worker processes.
#[test]
fn holdall_worker() {
    holdall::init();
}

/// Contexts in which arrays must be the same.
pub(crate) fn contexts() -> [Context; 4] {
    let context = |executor, memory: &str| {
        let builder = Context::builder().executor(executor).progress(false);
        builder
            .memory(memory)
            .build()
            .expect("the settings are right")
    };
    [
        context(Executor::Inline, "64MiB"),
        context(Executor::Threads(2), "64MiB"),
        context(Executor::Threads(2), "2MiB"),
        context(Executor::Processes(2), "64MiB"),
    ]
}
