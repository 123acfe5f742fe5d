//! A program that never calls `init` cannot start worker processes, and returns an error that explains it.
#![cfg(target_os = "linux")]

use holdall::{Context, ErrorKind, Executor};

#[test]
fn without_init_no_worker_is_started() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let builder = Context::builder().executor(Executor::Processes(2));
    let builder = builder.spill_directory(directory.path());
    let context = builder.build().expect("the settings are right");
    let error = context.range(0..10).count().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoInit), "{error}");
    assert!(error.to_string().contains("holdall::init"), "{error}");
    let mut entries = directory.path().read_dir().expect("a directory");
    assert!(entries.next().is_none());
}
