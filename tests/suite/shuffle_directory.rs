//! Map outputs in a shuffle directory: the loss of machines costs nothing, and nothing is left there.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use holdall::files::{
    FileInfo, FileSystem, LocalFiles, OpenedFile, OutputOptions, PendingFile, PendingOutput, Token,
};
use holdall::{CancelHandle, Context, ContextBuilder, ErrorKind, Executor, Result, StorageLevel};
use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::common::{Files, ON_PURPOSE, assert_empty, quiet_panics, within_the_limit};

/// Harm to the first object that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Harm {
    None,
    Missing,
    Short,
    Changed,
}

/// A store in a directory.
#[derive(Serialize, Deserialize)]
struct Objects {
    harm: Harm,
}

impl Objects {
    fn harm(&self, path: &str) -> io::Result<()> {
        static HARMED: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);
        // Each test has a directory of its own.
        let job = Path::new(path).parent().expect("a directory").to_owned();
        let mut harmed = HARMED.lock().expect("no panic");
        if self.harm == Harm::None || !harmed.get_or_insert_default().insert(job) {
            return Ok(());
        }
        let mut bytes = fs::read(path)?;
        match self.harm {
            Harm::Missing | Harm::None => return fs::remove_file(path),
            Harm::Short => bytes.truncate(bytes.len() / 2),
            Harm::Changed => bytes.iter_mut().for_each(|byte| *byte ^= 1),
        }
        fs::write(path, bytes)
    }
}

impl FileSystem for Objects {
    fn list(&self, prefix: &str) -> io::Result<Vec<FileInfo>> {
        LocalFiles.list(prefix)
    }

    fn open(&self, path: &str, range: Range<u64>) -> io::Result<OpenedFile> {
        self.harm(path)?;
        LocalFiles.open(path, range)
    }

    fn begin(&self, path: &str, _: &OutputOptions) -> io::Result<Box<dyn PendingOutput>> {
        Ok(Box::new(Pending(Token::new(&path)?)))
    }

    fn create(&self, output: &Token, name: &str, _: &str) -> io::Result<Box<dyn PendingFile>> {
        let directory: PathBuf = output.get()?;
        Ok(Box::new(Upload {
            path: directory.join(name),
            bytes: Vec::new(),
        }))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        match Path::new(path).is_dir() {
            true => fs::remove_dir(path),
            false => LocalFiles.remove(path),
        }
    }
}

struct Pending(Token);

impl PendingOutput for Pending {
    fn token(&self) -> io::Result<Token> {
        Ok(self.0.clone())
    }

    fn commit(self: Box<Self>, files: Vec<Token>) -> io::Result<()> {
        files.iter().try_for_each(|file| {
            let (path, bytes): (PathBuf, Vec<u8>) = file.get()?;
            fs::create_dir_all(path.parent().expect("a directory"))?;
            fs::write(path, bytes)
        })
    }
}

struct Upload {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PendingFile for Upload {
    fn finish(self: Box<Self>) -> io::Result<Token> {
        Token::new(&(self.path, self.bytes))
    }
}

/// A store that cannot be written to.
#[derive(Serialize, Deserialize)]
struct ReadOnly;

impl FileSystem for ReadOnly {
    fn list(&self, prefix: &str) -> io::Result<Vec<FileInfo>> {
        LocalFiles.list(prefix)
    }

    fn open(&self, path: &str, range: Range<u64>) -> io::Result<OpenedFile> {
        LocalFiles.open(path, range)
    }
}

/// Returns a builder for a context on `cluster`.
fn builder(files: &Files, cluster: Cluster) -> ContextBuilder {
    let builder = Context::builder().remote_executor(cluster);
    let builder = builder.spill_directory(files.path("spill"));
    builder.shuffle_partitions(5).progress(false)
}

/// Returns builders for contexts with a shuffle directory in a store, and on a disk that all machines share.
fn with_shuffles(files: &Files, cluster: impl Fn() -> Cluster) -> [ContextBuilder; 2] {
    let directory = files.path("shuffle");
    let stored = builder(files, cluster()).file_system("objects", Objects { harm: Harm::None });
    let url = format!("objects://{}", directory.display());
    let shared = builder(files, cluster());
    [
        stored.shuffle_directory(url),
        shared.shuffle_directory(directory),
    ]
}

fn inline() -> Context {
    let inline = Context::builder().executor(Executor::Inline);
    let inline = inline.shuffle_partitions(5).build();
    inline.expect("the settings are right")
}

/// Compares the results of machines with a shuffle directory, some of which die, with those of this thread.
fn same_as_inline<R: PartialEq + std::fmt::Debug>(work: impl Fn(&Context) -> Result<R>) {
    let expected = work(&inline()).expect("an answer");
    for (seed, life) in [(1, None), (3, Some(4))] {
        let files = Files::new();
        let cluster = || Cluster::new(files.path("machines"), life, seed);
        for builder in with_shuffles(&files, cluster) {
            let context = builder.build().expect("the settings are right");
            let answer = work(&context).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert!(answer == expected, "seed {seed}: {answer:?}");
            assert_empty(&files.path("shuffle"));
        }
        assert_empty(&files.path("spill"));
    }
}

#[test]
fn answers_are_the_same_whatever_is_lost() {
    within_the_limit("machines", || {
        same_as_inline(|context| {
            let counts = context.range(0..10_000).map(|n| n % 1_007);
            let digits = counts.count_by_value().map(|(n, count)| (n % 10, count));
            digits.sum_by_key().collect()
        });
        same_as_inline(|context| {
            let numbers = context.range(0..10_000).map(|n| n * 7_919 % 50_021);
            numbers.sort().collect()
        });
    });
}

#[test]
fn joins_and_groups_are_the_same_whatever_is_lost() {
    within_the_limit("machines", || {
        same_as_inline(|context| {
            let pairs = context.range(0..3_000).map(|n| (n % 300, n));
            let others = context.range(0..300).map(|n| (n % 600, n.to_string()));
            let joined = pairs.clone().join(others);
            let joined = joined.map(|(key, (n, text))| (key, n + text.len() as u64));
            joined.cogroup(pairs).keys().collect()
        });
    });
}

#[test]
fn sources_of_the_driver_and_persisted_bags_are_the_same_whatever_is_lost() {
    within_the_limit("machines", || {
        same_as_inline(|context| {
            let numbers = context.from_iter(0..5_000_u64).map(|n| (n % 97, n));
            numbers.sum_by_key().sort().collect()
        });
        same_as_inline(|context| {
            let counts = context.range(0..20_000).map(|n| n % 1_003).count_by_value();
            let counts = counts.persist(StorageLevel::MemoryThenDisk);
            let first = counts.clone().map(|(n, _)| n % 7).count_by_value();
            Ok((first.collect()?, counts.sort().collect()?))
        });
        same_as_inline(|context| {
            let sums = context.range(0..20_000).map(|n| (n % 3_001, n));
            let sums = sums.sum_by_key();
            let mut first = Vec::new();
            for pair in sums.iter()?.take(5) {
                first.push(pair?);
            }
            Ok((first, sums.take(3)?))
        });
    });
}

/// Counts in two stages of 60 map tasks. All machines are lost between them. Returns the number of map tasks.
fn runs_with_a_loss(
    files: &Files,
    configure: impl FnOnce(ContextBuilder) -> ContextBuilder,
) -> usize {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let before = RUNS.load(Ordering::SeqCst);
    let cluster = Cluster::new(files.path("machines"), None, 1).losing_all_before(2);
    let context = configure(builder(files, cluster)).build();
    let context = context.expect("the settings are right");
    let numbers = context.range_partitioned(0..60, 60).map(|n| {
        RUNS.fetch_add(1, Ordering::SeqCst);
        n % 7
    });
    assert_eq!(numbers.count_by_value().count().expect("a count"), 7);
    RUNS.load(Ordering::SeqCst) - before
}

#[test]
fn nothing_is_computed_again_if_machines_are_lost() {
    within_the_limit("machines", || {
        let files = Files::new();
        assert_eq!(runs_with_a_loss(&files, |builder| builder), 120);
        let directory = files.path("shuffle");
        let runs = runs_with_a_loss(&files, |builder| builder.shuffle_directory(&directory));
        assert_eq!(runs, 60);
        let runs = runs_with_a_loss(&files, |builder| {
            let builder = builder.file_system("objects", Objects { harm: Harm::None });
            builder.shuffle_directory(format!("objects://{}", directory.display()))
        });
        assert_eq!(runs, 60);
        assert_empty(&directory);
    });
}

#[test]
fn harmed_objects_are_computed_again() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    within_the_limit("machines", || {
        for harm in [Harm::Missing, Harm::Short, Harm::Changed] {
            let files = Files::new();
            let directory = files.path("shuffle");
            let cluster = Cluster::new(files.path("machines"), None, 1);
            let context = builder(&files, cluster)
                .file_system("objects", Objects { harm })
                .shuffle_directory(format!("objects://{}", directory.display()));
            let context = context.build().expect("the settings are right");
            RUNS.store(0, Ordering::SeqCst);
            let count = |context: &Context| {
                let numbers = context.range_partitioned(0..6_000, 60).map(|n| {
                    if n % 100 == 0 {
                        RUNS.fetch_add(1, Ordering::SeqCst);
                    }
                    n % 77
                });
                numbers.count_by_value().collect()
            };
            let answer = count(&context).unwrap_or_else(|error| panic!("{harm:?}: {error}"));
            let runs = RUNS.load(Ordering::SeqCst);
            assert!(runs > 60 && runs < 80, "{harm:?}: {runs}");
            assert_eq!(answer, count(&inline()).expect("an answer"), "{harm:?}");
            assert_empty(&directory);
        }
    });
}

#[test]
fn nothing_is_left_after_an_error_and_a_cancellation() {
    quiet_panics();
    within_the_limit("machines", || {
        let files = Files::new();
        for builder in with_shuffles(&files, || Cluster::new(files.path("machines"), None, 1)) {
            let context = builder.build().expect("the settings are right");
            let counts =
                |context: &Context| context.range(0..9_000).map(|n| n % 3_007).count_by_value();
            let failing = counts(&context).map(|(n, _)| {
                assert!(n != 1_000, "{ON_PURPOSE}: a record");
                n
            });
            let error = failing.count().unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::TaskPanicked { .. }),
                "{error}"
            );
            assert_empty(&files.path("shuffle"));

            let cancel = CancelHandle::new();
            let slow = counts(&context.with_cancel(&cancel)).map(|(n, _)| {
                std::thread::sleep(Duration::from_millis(5));
                n
            });
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    // Once map outputs are there.
                    let directory = files.path("shuffle");
                    let has_outputs = || {
                        let jobs = directory.read_dir().into_iter().flatten().flatten();
                        let files =
                            jobs.flat_map(|job| job.path().read_dir().into_iter().flatten());
                        files.flatten().any(|file| file.path().is_file())
                    };
                    while !has_outputs() {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    cancel.cancel();
                });
                assert!(slow.count().unwrap_err().is_cancelled());
            });
            assert_empty(&files.path("shuffle"));
        }
    });
}

#[test]
fn a_directory_that_cannot_be_used_is_named_before_anything_runs() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    within_the_limit("machines", || {
        let files = Files::new();
        let file = files.write("file", "no directory");
        let fail = |directory: &str| {
            let cluster = Cluster::new(files.path("machines"), None, 1);
            let builder = builder(&files, cluster).file_system("readonly", ReadOnly);
            let context = builder.shuffle_directory(directory).build();
            let numbers = context
                .expect("the settings are right")
                .range(0..10)
                .map(|n| {
                    RUNS.fetch_add(1, Ordering::SeqCst);
                    n
                });
            numbers.distinct().count().unwrap_err()
        };
        let error = fail("nowhere://bucket/x");
        assert!(
            matches!(error.kind(), ErrorKind::UnknownScheme { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("nowhere://bucket/x"), "{error}");
        let error = fail("readonly://bucket/x/").to_string();
        assert!(error.contains("readonly://bucket/x/holdall-"), "{error}");
        assert!(error.contains("read-only"), "{error}");
        let below = file.join("x");
        let error = fail(below.to_str().expect("a text")).to_string();
        assert!(error.contains(below.to_str().expect("a text")), "{error}");
        assert_eq!(RUNS.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn executors_that_share_a_disk_do_not_use_it() {
    for executor in [Executor::Inline, Executor::Threads(2)] {
        let builder = Context::builder().executor(executor);
        let context = builder.shuffle_directory("nowhere://bucket").build();
        let numbers = context.expect("the settings are right").range(0..100);
        assert_eq!(numbers.distinct().count().expect("a count"), 100);
    }
}
