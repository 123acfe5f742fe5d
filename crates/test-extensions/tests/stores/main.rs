//! A file system of another crate is read and written on every executor, with all that can go wrong there.

mod formats;
mod reading;
mod saving;
mod writing;

use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::Once;

use holdall::{Context, Executor};
use holdall_test_extensions::Store;
use tempfile::TempDir;

/// Entry point of worker processes.
#[test]
fn holdall_worker() {
    holdall::init();
}

/// Silences the panics that are part of a test.
fn quiet_panics() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !info
                .payload_as_str()
                .unwrap_or_default()
                .starts_with("on purpose")
            {
                report(info);
            }
        }));
    });
}

/// The files of a store in a temporary directory.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn store(&self) -> Store {
        Store::create(self.0.path()).expect("room for a directory")
    }

    fn root(&self) -> PathBuf {
        self.store().root
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("room for a directory");
        fs::write(&path, content).expect("room for a file");
        path
    }
}

/// Returns a context with two threads and a store.
fn threads(store: &Store) -> Context {
    on(Executor::Threads(2), store)
}

fn on(executor: Executor, store: &Store) -> Context {
    let builder = Context::builder().executor(executor).progress(false);
    let context = builder.file_system("store", store.clone()).build();
    context.expect("the settings are right")
}

/// Runs `test` on each executor, in a context with `store`.
fn on_each(store: &Store, test: impl Fn(&Context)) {
    for executor in [
        Executor::Inline,
        Executor::Threads(2),
        Executor::Processes(2),
    ] {
        test(&on(executor, store));
    }
}

/// Returns the names in a directory, including hidden ones, sorted.
fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<_> = entries
        .map(|entry| name(entry).into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}
