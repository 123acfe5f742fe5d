//! Outputs appear whole, or not at all.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use holdall::files::{
    FileInfo, FileSystem, LocalFiles, OpenedFile, OutputOptions, PendingFile, PendingOutput, Token,
};
use holdall::{Context, ErrorKind, Executor, TextWriter, Written};
use holdall_test_extensions::{Call, Fault, Store};
use serde::{Deserialize, Serialize};

use crate::{Files, names_in, on, on_each, quiet_panics, threads};

const RECORDS: u64 = 20_000;

/// Writes the numbers from 0 in `partitions` partitions.
fn write(context: &Context, partitions: usize) -> holdall::Result<Written> {
    let numbers = context.range_partitioned(0..RECORDS, partitions);
    TextWriter::new()
        .overwrite(true)
        .write(&numbers, "store://bucket/out")
}

/// Asserts that the output has the numbers in `partitions` files, and that no other file exists.
fn assert_written(store: &Store, partitions: usize) {
    let directory = store.root.join("bucket/out");
    let expected: Vec<_> = (0..partitions).map(|n| format!("part-{n:05}")).collect();
    assert_eq!(names_in(&directory), expected);
    let lines = threads(store).read_text("store://bucket/out");
    let lines = lines.and_then(|lines| lines.collect()).expect("a text");
    let expected: Vec<_> = (0..RECORDS).map(|n| n.to_string()).collect();
    assert!(lines == expected);
    assert_eq!(names_in(&store.uploads), [""; 0]);
}

fn assert_nothing_left(store: &Store) {
    let directory = store.root.join("bucket/out");
    assert!(!directory.exists() || names_in(&directory).is_empty());
    assert_eq!(names_in(&store.uploads), [""; 0]);
}

#[test]
fn what_is_written_can_be_read() {
    let files = Files::new();
    let store = files.store();
    on_each(&store, |context| {
        let written = write(context, 3).unwrap();
        let names = ["part-00000", "part-00001", "part-00002"];
        let paths = names.map(|name| PathBuf::from(format!("store://bucket/out/{name}")));
        assert_eq!(written.files, paths);
        assert_eq!(written.records, RECORDS);
        let bytes = |name| {
            fs::metadata(store.root.join("bucket/out").join(name))
                .unwrap()
                .len()
        };
        assert_eq!(written.bytes, names.map(bytes).iter().sum::<u64>());
        assert_written(&store, 3);

        let written = context.empty::<u64>().write_text("store://bucket/empty/");
        assert_eq!(written.unwrap().files.len(), 1);
        assert_eq!(names_in(&store.root.join("bucket/empty")).len(), 1);
        fs::remove_dir_all(&store.root).unwrap();
        fs::create_dir(&store.root).unwrap();
    });
}

#[test]
fn an_output_is_replaced_on_request() {
    let files = Files::new();
    let store = files.store();
    // Another directory, whose name begins in the same way.
    files.write("bucket/out2/a", "kept");
    on_each(&store, |context| {
        for partitions in [4, 7, 2] {
            write(context, partitions).unwrap();
            assert_written(&store, partitions);
        }
        let error = context
            .range(0..3_u64)
            .write_text("store://bucket/out")
            .unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::OutputExists { .. }),
            "{error}"
        );
        assert_written(&store, 2);
    });
    assert_eq!(names_in(&files.path("bucket/out2")), ["a"]);
}

#[test]
fn other_files_are_not_replaced() {
    let files = Files::new();
    let store = files.store();
    for other in ["part-1", "sub/part-00000", ".hidden", "_SUCCESS"] {
        files.write("bucket/out/part-00000", "old");
        files.write(&format!("bucket/out/{other}"), "mine");
        let error = write(&threads(&store), 3).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::NotAnOutput { found, .. }
                if found.to_str().unwrap() == format!("store://bucket/out/{other}")),
            "{error}"
        );
        assert_eq!(
            fs::read(files.path("bucket/out/part-00000")).unwrap(),
            b"old"
        );
        assert_eq!(names_in(&store.uploads), [""; 0]);
        fs::remove_dir_all(files.path("bucket/out")).unwrap();
    }
    // A file at the path itself.
    files.write("bucket/out", "old");
    let context = threads(&store);
    let error = context
        .range(0..3_u64)
        .write_text("store://bucket/out")
        .unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::OutputExists { .. }),
        "{error}"
    );
}

#[test]
fn nothing_appears_if_a_call_fails() {
    quiet_panics();
    let files = Files::new();
    for (call, message) in [
        (Call::Begin, "cannot create store://bucket/out: Begin fails"),
        (
            Call::Create,
            "cannot create store://bucket/out/part-00001: Create fails",
        ),
        (
            Call::Write,
            "cannot write store://bucket/out/part-00001: Write fails",
        ),
        (
            Call::Finish,
            "cannot write store://bucket/out/part-00001: Finish fails",
        ),
        (
            Call::Commit,
            "cannot create store://bucket/out: Commit fails",
        ),
        (Call::CommitByPanic, "on purpose: a commit"),
    ] {
        let store = Store {
            fault: Fault::In(call),
            ..files.store()
        };
        on_each(&store, |context| {
            let numbers = context.range_partitioned(0..RECORDS, 3);
            let error = numbers.write_text("store://bucket/out").unwrap_err();
            if call == Call::CommitByPanic {
                assert!(error.to_string().contains(message), "{error}");
                // The store itself is not careful with panics.
                fs::remove_dir_all(store.root.join("bucket/out")).unwrap();
            } else {
                let (what, why) = message.split_once(": ").unwrap();
                let place = error.context().unwrap();
                assert_eq!(error.to_string(), format!("{what}{place}: {why}"));
                assert!(error.is_io());
            }
            assert_nothing_left(&store);
        });
    }
}

#[test]
fn a_failed_overwrite_keeps_what_is_there_before_the_commit() {
    let files = Files::new();
    write(&threads(&files.store()), 4).unwrap();
    for call in [Call::Begin, Call::Create, Call::Write, Call::Finish] {
        let store = Store {
            fault: Fault::In(call),
            ..files.store()
        };
        assert!(write(&threads(&store), 2).is_err());
        assert_written(&files.store(), 4);
    }
    let store = Store {
        fault: Fault::In(Call::Remove),
        ..files.store()
    };
    let error = write(&threads(&store), 2).unwrap_err();
    let place = error.context().unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot remove store://bucket/out/part-00002{place}: Remove fails; \
             the new files are beside this one of the old output"
        )
    );
    // The next one puts that right.
    write(&threads(&files.store()), 3).unwrap();
    assert_written(&files.store(), 3);
}

#[test]
fn nothing_appears_if_a_task_fails() {
    quiet_panics();
    let files = Files::new();
    let store = files.store();
    on_each(&store, |context| {
        let numbers = || context.range_partitioned(0..RECORDS, 3);
        let failed = numbers().try_map(|n| if n < 15_000 { Ok(n) } else { Err("too large") });
        let error = failed.write_text("store://bucket/out").unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Closure { .. }), "{error}");
        assert_nothing_left(&store);
        let panics = numbers().inspect(|n| assert!(*n < 15_000, "on purpose"));
        let error = panics.write_text("store://bucket/out").unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::TaskPanicked { .. }),
            "{error}"
        );
        assert_nothing_left(&store);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_lost_worker_leaves_nothing_of_its_attempt() {
    let files = Files::new();
    for partition in ["part-00000", "part-00002"] {
        let path = files.write("alive", "");
        let store = Store {
            fault: Fault::DiesIn(partition.to_owned(), path.clone()),
            ..files.store()
        };
        write(&on(Executor::Processes(2), &store), 3).unwrap();
        assert!(!path.exists(), "a worker died");
        assert_written(&store, 3);
    }
}

#[derive(Serialize, Deserialize)]
struct ReadOnly;

impl FileSystem for ReadOnly {
    fn list(&self, _: &str) -> io::Result<Vec<FileInfo>> {
        Ok(Vec::new())
    }

    fn open(&self, path: &str, _: Range<u64>) -> io::Result<OpenedFile> {
        unreachable!("{path} is not in the list")
    }
}

#[test]
fn a_file_system_need_not_write() {
    let context = Context::builder().file_system("read", ReadOnly);
    let context = context.build().unwrap();
    let error = context
        .range(0..3_u64)
        .write_text("read://out")
        .unwrap_err();
    let place = error.context().unwrap();
    assert_eq!(
        error.to_string(),
        format!("cannot create read://out{place}: the file system is read-only")
    );
}

/// Keys in memory. One of them may begin with another one and a `/`, which no directory can.
static KEYS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn keys() -> MutexGuard<'static, BTreeSet<String>> {
    KEYS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A store of [`KEYS`], which have no content. If it is broken, no file can be completed.
#[derive(Clone, Serialize, Deserialize)]
struct Keys {
    is_broken: bool,
}

impl FileSystem for Keys {
    fn list(&self, prefix: &str) -> io::Result<Vec<FileInfo>> {
        let keys = keys();
        let found = keys.iter().filter(|key| key.starts_with(prefix));
        Ok(found.map(|key| FileInfo::new(key, 0)).collect())
    }

    fn open(&self, _: &str, _: Range<u64>) -> io::Result<OpenedFile> {
        Ok(OpenedFile::new(io::empty()))
    }

    fn begin(&self, path: &str, _: &OutputOptions) -> io::Result<Box<dyn PendingOutput>> {
        Ok(Box::new(KeysOutput(path.to_owned())))
    }

    fn create(&self, _: &Token, name: &str, _: &str) -> io::Result<Box<dyn PendingFile>> {
        let name = (!self.is_broken).then(|| name.to_owned());
        Ok(Box::new(KeysFile(name)))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        keys().remove(path);
        Ok(())
    }
}

struct KeysOutput(String);

impl PendingOutput for KeysOutput {
    fn token(&self) -> io::Result<Token> {
        Token::new(&())
    }

    fn commit(self: Box<Self>, files: Vec<Token>) -> io::Result<()> {
        for file in files {
            let name: String = file.get()?;
            keys().insert(match &*self.0 {
                "" => name,
                directory => format!("{directory}/{name}"),
            });
        }
        Ok(())
    }
}

struct KeysFile(Option<String>);

impl io::Write for KeysFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PendingFile for KeysFile {
    fn finish(self: Box<Self>) -> io::Result<Token> {
        Token::new(&self.0.ok_or_else(|| io::Error::other("no upload"))?)
    }
}

#[test]
fn the_root_and_a_file_at_the_path_are_replaced_only_on_request() {
    let open = |is_broken| {
        let context = Context::builder().file_system("keys", Keys { is_broken });
        context.build().unwrap()
    };
    let context = open(false);
    for (path, before, after) in [
        (
            "keys://a/part-00000",
            "a/part-00000",
            ["a/part-00000/part-00000", "a/part-00000/part-00001"],
        ),
        ("keys://", "part-00007", ["part-00000", "part-00001"]),
    ] {
        *keys() = BTreeSet::from([before.to_owned()]);
        let numbers = context.range_partitioned(0..10, 2);
        let error = numbers.write_text(path).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::OutputExists { .. }),
            "{error}"
        );
        let writer = TextWriter::new().overwrite(true);
        writer.write(&numbers, path).unwrap();
        assert!(keys().iter().eq(&after), "{:?}", keys());
    }
    keys().insert("notes".to_owned());
    let writer = TextWriter::new().overwrite(true);
    let error = writer.write(&context.range(0..10), "keys://").unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::NotAnOutput { found, .. } if found.ends_with("notes")),
        "{error}"
    );

    // A bag without partitions has one file, which the action writes.
    let error = open(true).empty::<u64>().write_text("keys://empty");
    let error = error.unwrap_err();
    let place = error.context().unwrap();
    assert_eq!(
        error.to_string(),
        format!("cannot write keys://empty/part-00000{place}: no upload")
    );
}

#[test]
fn local_files_have_a_scheme_too() {
    let files = Files::new();
    let path = files.path("out");
    let url = format!("file://{}", path.display());
    on_each(&files.store(), |context| {
        let written = context
            .range_partitioned(0..RECORDS, 2)
            .write_text(&url)
            .unwrap();
        assert_eq!(
            written.files[1].to_str().unwrap(),
            format!("{url}/part-00001")
        );
        assert_eq!(names_in(&path), ["part-00000", "part-00001"]);
        assert_eq!(context.read_text(&url).unwrap().count().unwrap(), RECORDS);
        let error = context.range(0..3_u64).write_text(&url).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot write to {url} at {}", file!())),
            "{error}"
        );
        fs::remove_dir_all(&path).unwrap();
        let error = context
            .range(0..3_u64)
            .write_text("file://out")
            .unwrap_err();
        assert!(error.to_string().contains("file:///data"), "{error}");
        let error = context
            .range(0..3_u64)
            .write_text("other://out")
            .unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::UnknownScheme { .. }),
            "{error}"
        );
    });
}

#[test]
fn local_files_are_a_file_system() {
    let files = Files::new();
    let path = files.path("out");
    let url = format!("local://{}", path.display());
    files.write("out2/part-00000", "another\n");
    for executor in [
        Executor::Inline,
        Executor::Threads(2),
        Executor::Processes(2),
    ] {
        let context = Context::builder()
            .executor(executor)
            .file_system("local", LocalFiles);
        let context = context.progress(false).build().unwrap();
        for partitions in [3, 1, 2] {
            let numbers = context.range_partitioned(0..RECORDS, partitions);
            let written = TextWriter::new()
                .overwrite(true)
                .write(&numbers, &url)
                .unwrap();
            assert_eq!(written.files.len(), partitions);
            assert_eq!(names_in(&path).len(), partitions);
            assert!(context.range(0..3_u64).write_text(&url).is_err());
            for input in [
                url.clone(),
                format!("{url}/*"),
                format!("{url}/part-0000[0-9]"),
            ] {
                assert_eq!(context.read_text(input).unwrap().count().unwrap(), RECORDS);
            }
        }
        let failing = context.range(0..RECORDS).try_map(u8::try_from);
        assert!(
            TextWriter::new()
                .overwrite(true)
                .write(&failing, &url)
                .is_err()
        );
        assert_eq!(names_in(&path).len(), 2);
        fs::remove_dir_all(&path).unwrap();
    }
    assert_eq!(names_in(&files.root()), ["out2"]);
}
