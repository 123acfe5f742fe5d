//! Helpers that tests share: settings of contexts, a time limit, files, and the order of keys.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::fs;
use std::io::Write;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Once, mpsc};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use holdall::{Context, ContextBuilder, Executor};
use serde::Serialize;
use tempfile::TempDir;

/// The worker that removes the file that this variable names stops itself before it is ready.
pub(crate) const STOPPED_AT_START: &str = "HOLDALL_TEST_STOPPED_AT_START";

/// Entry point of worker processes.
#[test]
fn holdall_worker() {
    let file = std::env::var_os(STOPPED_AT_START);
    if file.is_some_and(|file| fs::remove_file(file).is_ok()) {
        let id = std::process::id().to_string();
        let stopped = Command::new("kill").args(["-s", "STOP", &id]).status();
        stopped.expect("the system has `kill`");
    }
    holdall::init();
}

/// Whether `HOLDALL_TEST_SETTINGS=all` asks for all settings, in long runs. Without it, tests use those that differ most.
pub(crate) fn all_settings() -> bool {
    std::env::var_os("HOLDALL_TEST_SETTINGS").is_some_and(|which| which == "all")
}

/// Settings under which a behaviour must be the same. To test another executor, or a tiny memory budget, add a line.
pub(crate) fn settings() -> Vec<(&'static str, ContextBuilder)> {
    let on = |executor| Context::builder().executor(executor);
    let mut settings = vec![
        ("inline", on(Executor::Inline)),
        (
            "threads:7 with as little memory as can be",
            on(Executor::Threads(7)).memory(7 << 20),
        ),
    ];
    if all_settings() {
        settings.push(("threads:1", on(Executor::Threads(1))));
        settings.push(("threads:2", on(Executor::Threads(2))));
        settings.push(("threads:7", on(Executor::Threads(7))));
        settings.push((
            "threads:2 with as little memory as can be",
            on(Executor::Threads(2)).memory(2 << 20),
        ));
    }
    settings
}

/// Time after which a behaviour counts as hanging. All of them take far less, so that they pass on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Boxed, so that what runs it is compiled once, not for each behaviour.
type Behaviour = Arc<dyn Fn(&Context) + Send + Sync>;

/// Runs `behaviour` once in each of the settings.
pub(crate) fn on_every_executor(behaviour: impl Fn(&Context) + Send + Sync + 'static) {
    on_every_executor_with(|builder| builder, behaviour);
}

/// Like [`on_every_executor`], and also runs `behaviour` in worker processes. Its closures must capture nothing.
pub(crate) fn on_every_executor_and_processes(
    behaviour: impl Fn(&Context) + Send + Sync + 'static,
) {
    let behaviour: Behaviour = Arc::new(behaviour);
    in_all_settings(&|builder| builder, &behaviour);
    if cfg!(target_os = "linux") {
        let builder = Context::builder().executor(Executor::Processes(2));
        run_in("processes:2", builder, behaviour);
    }
}

/// Like [`on_every_executor`], with additional settings by `configure`.
pub(crate) fn on_every_executor_with(
    configure: impl Fn(ContextBuilder) -> ContextBuilder,
    behaviour: impl Fn(&Context) + Send + Sync + 'static,
) {
    let behaviour: Behaviour = Arc::new(behaviour);
    in_all_settings(&configure, &behaviour);
}

fn in_all_settings(configure: &dyn Fn(ContextBuilder) -> ContextBuilder, behaviour: &Behaviour) {
    for (name, builder) in settings() {
        run_in(name, configure(builder), Arc::clone(behaviour));
    }
}

fn run_in(name: &str, builder: ContextBuilder, behaviour: Behaviour) {
    let context = builder.progress(false).build();
    let context = context.expect("the settings are right");
    within_the_limit(name, move || behaviour(&context));
}

/// Fails, instead of hanging, if `work` takes longer than the limit.
pub(crate) fn within_the_limit<R: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> R + Send + 'static,
) -> R {
    let (done, wait) = mpsc::channel();
    let work: Box<dyn FnOnce() + Send> = Box::new(move || drop(done.send(work())));
    let worker = thread::spawn(work);
    match wait.recv_timeout(LIMIT) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("on {name}: not done after {LIMIT:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            eprintln!("the failure is on {name}");
            let payload = worker.join().expect_err("it ended without a result");
            panic::resume_unwind(payload)
        }
    }
}

/// Beginning of the messages of panics that are part of a test, and are not printed to standard error.
pub(crate) const ON_PURPOSE: &str = "on purpose";

/// Silences the panics that are part of a test. All others are reported as usual.
pub(crate) fn quiet_panics() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let message = info.payload_as_str().unwrap_or(ON_PURPOSE);
            if !message.starts_with(ON_PURPOSE) {
                report(info);
            }
        }));
    });
}

/// Returns the number of tasks of large graphs: 100,000, or `HOLDALL_LARGE_GRAPH`.
pub(crate) fn large_graph() -> usize {
    let number = std::env::var("HOLDALL_LARGE_GRAPH");
    number.map_or(100_000, |number| number.parse().expect("a number"))
}

/// A temporary directory with files.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and creates its parent directories.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        let parent = path.parent().expect("it is in a directory");
        fs::create_dir_all(parent).expect("room for a directory");
        fs::write(&path, content).expect("room for a file");
        path
    }

    /// Writes a gzip file with a member for each of `members`.
    pub(crate) fn write_gzip(&self, name: &str, members: &[&[u8]]) -> PathBuf {
        let members = members.iter().map(|text| gzip(text, Compression::fast()));
        self.write(name, members.collect::<Vec<_>>().concat())
    }

    /// Returns the names of all files and directories, including hidden ones, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        names_in(self.root())
    }
}

/// Returns a member of a gzip file.
pub(crate) fn gzip(text: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(text).expect("room in memory");
    encoder.finish().expect("room in memory")
}

/// Returns a stream of a bzip2 file.
pub(crate) fn bzip2(text: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(text).expect("room in memory");
    encoder.finish().expect("room in memory")
}

/// Returns a stream of an xz file.
pub(crate) fn xz(text: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).expect("good options");
    encoder.write_all(text).expect("room in memory");
    encoder.finish().expect("room in memory")
}

/// Returns a frame of a zstd file.
pub(crate) fn zstd(text: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
}

/// Returns the names in a directory, including hidden ones, sorted.
pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let name = entry.expect("a directory").file_name();
        name.into_string().expect("the tests' names are UTF-8")
    };
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}

/// Returns the content of all files of a directory, concatenated in the order of their names.
pub(crate) fn concatenation(directory: &Path) -> String {
    let read = |name: String| fs::read_to_string(directory.join(name)).expect("a text");
    names_in(directory).into_iter().map(read).collect()
}

/// Fails if a directory is not empty, for example a spill directory.
pub(crate) fn assert_empty(directory: &Path) {
    assert_eq!(names_in(directory), [""; 0]);
}

/// Returns a context for each executor, with as little memory as can be and with plenty. All of them spill to `spill`.
pub(crate) fn spilling_contexts(spill: &Path) -> Vec<Context> {
    // With the minimum memory: 1 MiB per thread.
    let executors = [
        (Executor::Threads(2), 2 << 20, true),
        (Executor::Inline, 1 << 20, all_settings()),
        (Executor::Threads(7), 7 << 20, all_settings()),
    ];
    let mut contexts = Vec::new();
    for (executor, least, has_plenty) in executors {
        let budgets = [least, 1 << 30].into_iter();
        for memory in budgets.take(1 + usize::from(has_plenty)) {
            let builder = Context::builder().executor(executor).memory(memory);
            let builder = builder.spill_directory(spill).shuffle_partitions(5);
            contexts.push(builder.build().expect("the settings are right"));
        }
    }
    contexts
}

pub(crate) type Pairs = Vec<(u32, String)>;

/// Returns pairs with the keys that `key` returns, and with values of many lengths.
pub(crate) fn pairs(count: u32, key: impl Fn(u32) -> u32) -> Pairs {
    let value = |n: u32| format!("{n}{}", "-".repeat(n as usize % 160));
    (0..count).map(|n| (key(n), value(n))).collect()
}

/// Returns the hash that determines the order of keyed bags: rapidhash V3 micro with its default seed, over the bytes
/// padded to at least 16.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    use rapidhash::v3::{DEFAULT_RAPID_SECRETS, rapidhash_v3_micro_inline};
    let mut padded = [0; 16];
    let hashed = match bytes.len() {
        len @ 0..16 => {
            padded[..len].copy_from_slice(bytes);
            padded[15] = len as u8 + 1;
            &padded
        }
        _ => bytes,
    };
    rapidhash_v3_micro_inline::<true, false>(hashed, &DEFAULT_RAPID_SECRETS)
}

/// Returns the bytes of a key of a sized type.
pub(crate) fn key_bytes<K: Serialize + 'static>(key: &K) -> Vec<u8> {
    let any: &dyn std::any::Any = key;
    if let Some(text) = any.downcast_ref::<String>() {
        return text.clone().into_bytes();
    }
    bincode::serde::encode_to_vec(key, bincode::config::standard()).expect("a key can be encoded")
}

/// Sorts records into the order of keyed bags: by the hash of the key's bytes, then by the bytes.
pub(crate) fn sort_as_keyed<R>(records: &mut [R], bytes_of: impl Fn(&R) -> Vec<u8>) {
    records.sort_by_cached_key(|record| {
        let bytes = bytes_of(record);
        (hash(&bytes), bytes)
    });
}
