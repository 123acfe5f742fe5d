//! The status page, the trace and the report show what jobs do, and refuse what they must.

mod client;
#[path = "../common/mod.rs"]
mod common;
mod files;
mod page;
mod server;

use holdall::{Context, ContextBuilder, Executor};

/// Runs `behaviour` with a builder for each kind of executor.
fn on_each(behaviour: impl Fn(&str, ContextBuilder)) {
    let mut executors = vec![Executor::Inline, Executor::Threads(2)];
    if cfg!(target_os = "linux") {
        executors.push(Executor::Processes(2));
    }
    for executor in executors {
        let builder = Context::builder().executor(executor).progress(false);
        behaviour(&executor.to_string(), builder);
    }
}
