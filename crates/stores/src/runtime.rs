//! The runtime on which requests run. holdall itself is not async.

use std::future::Future;
use std::panic::resume_unwind;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        let builder = builder.thread_name("holdall-stores").enable_all();
        builder.build().expect("the system starts threads")
    })
}

/// Starts a future, which runs on while the caller does something else.
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    runtime().spawn(future)
}

/// Calls a function that starts tasks, but does not wait for them. Unlike [`wait`], it may be called within a future: a
/// thread of the runtime that waits for a task it has just started waits forever, because no other thread takes that task.
#[cfg(feature = "hdfs")]
pub(crate) fn within<R>(function: impl FnOnce() -> R) -> R {
    let _entered = runtime().enter();
    function()
}

/// Waits for a future that [`spawn`] has started.
///
/// The caller may be a thread of another runtime, where tokio's own blocking calls would panic.
pub(crate) fn join<T>(handle: &mut JoinHandle<T>) -> T {
    match pollster::block_on(handle) {
        Ok(output) => output,
        Err(error) => resume_unwind(error.into_panic()),
    }
}

/// Runs a future to its end.
pub(crate) fn wait<F>(future: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    join(&mut spawn(future))
}
