//! The executors and file systems on which everything must behave the same.

use holdall::{Context, ContextBuilder, Executor};
use tempfile::TempDir;

use crate::Store;

/// Runs `test` in a context with each executor.
///
/// # Panics
///
/// Panics if `test` does.
pub fn on_each_executor(test: impl Fn(&Context)) {
    for builder in builders() {
        test(&builder.build().expect("the settings are right"));
    }
}

/// Runs `test` in a context with each executor, and with a path of a [`Store`] and a local path. Nothing exists at either
/// path.
///
/// # Panics
///
/// Panics if `test` does, or if no temporary directory can be created.
pub fn on_each_file_system(test: impl Fn(&Context, &str)) {
    for builder in builders() {
        let files = TempDir::new().expect("a temporary directory");
        let store = Store::create(files.path()).expect("room for a directory");
        let context = builder.file_system("store", store).build();
        let context = context.expect("the settings are right");
        test(&context, "store://dir");
        test(&context, files.path().join("dir").to_str().expect("UTF-8"));
    }
}

fn builders() -> impl Iterator<Item = ContextBuilder> {
    let executors = [
        Executor::Inline,
        Executor::Threads(2),
        Executor::Processes(2),
    ];
    let builder = |executor| Context::builder().executor(executor).progress(false);
    executors.into_iter().map(builder)
}
