//! Reading from file systems that a program adds, with all that can go wrong there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use flate2::Compression;
use holdall::files::{FileInfo, FileSystem, OpenedFile, PathPattern};
use holdall::{Context, ContextBuilder, ErrorKind, Executor, TextReader};
use serde::{Deserialize, Serialize};

use crate::common::{
    Files, ON_PURPOSE, bzip2, gzip, quiet_panics, settings, within_the_limit, xz, zstd,
};

/// What happens when a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Fault {
    None,
    /// Every second file cannot be opened at the first attempt.
    Refuses,
    /// Each reader loses its connection after so many bytes.
    BreaksAfter(u64),
    /// Each reader ends after so many bytes.
    EndsAfter(u64),
    /// The byte at this offset cannot be read.
    At(u64, Failing),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Failing {
    ForGood,
    Again,
    AsEnd,
    AsInterruption,
    ByPanic,
}

/// A flat list of keys, which are the paths of the files below a directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Store {
    root: PathBuf,
    fault: Fault,
    has_versions: bool,
    ahead_bytes: usize,
    /// Whether a reader ends where it is expected to, as one of an HTTP range does.
    is_exact: bool,
}

/// Number of open readers of this process, for each directory.
static OPEN: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

fn open_readers<R>(root: &Path, change: impl FnOnce(&mut usize) -> R) -> R {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    change(open.entry(root.to_owned()).or_default())
}

impl Store {
    fn new(files: &Files) -> Self {
        Self {
            root: files.root().to_owned(),
            fault: Fault::None,
            has_versions: true,
            ahead_bytes: 0,
            is_exact: false,
        }
    }

    fn add(&self, directory: &Path, prefix: &str, found: &mut Vec<FileInfo>) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let key = path.strip_prefix(&self.root).expect("it is below it");
            let key = key.to_str().expect("the tests' names are UTF-8").to_owned();
            if path.is_dir() {
                self.add(&path, prefix, found)?;
            } else if key.starts_with(prefix) {
                let file = FileInfo::new(key, path.metadata()?.len());
                found.push(if self.has_versions {
                    file.version(version_of(&path)?)
                } else {
                    file
                });
            }
        }
        Ok(())
    }
}

fn version_of(path: &Path) -> io::Result<String> {
    let metadata = path.metadata()?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH);
    Ok(format!("{} {:?}", metadata.len(), modified))
}

impl FileSystem for Store {
    fn list(&self, prefix: &str) -> io::Result<Vec<FileInfo>> {
        let mut found = Vec::new();
        self.add(&self.root, prefix, &mut found)?;
        Ok(found)
    }

    fn open(&self, path: &str, range: Range<u64>) -> io::Result<OpenedFile> {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let is_refused = CALLS.fetch_add(1, Ordering::Relaxed) % 2 == 0;
        if is_refused && self.fault == Fault::Refuses {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let path = self.root.join(path);
        let mut file = File::open(&path)?;
        assert!(range.start < range.end, "something is to be read");
        assert!(range.end <= file.metadata()?.len().max(1 << 20));
        file.seek(SeekFrom::Start(range.start))?;
        open_readers(&self.root, |open| *open += 1);
        let reader = StoreReader {
            root: self.root.clone(),
            file,
            fault: self.fault,
            at: range.start,
            read: 0,
            end: if self.is_exact { range.end } else { u64::MAX },
        };
        let open = OpenedFile::new(reader);
        Ok(match self.has_versions {
            true => open.version(version_of(&path)?),
            false => open,
        })
    }

    fn read_ahead_bytes(&self) -> usize {
        self.ahead_bytes
    }
}

struct StoreReader {
    root: PathBuf,
    file: File,
    fault: Fault,
    at: u64,
    read: u64,
    end: u64,
}

impl Drop for StoreReader {
    fn drop(&mut self) {
        open_readers(&self.root, |open| *open -= 1);
    }
}

impl Read for StoreReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut left = self.end - self.at;
        match self.fault {
            Fault::BreaksAfter(bytes) if self.read == bytes => {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Fault::EndsAfter(bytes) if self.read == bytes => return Ok(0),
            Fault::At(at, failing) if self.at == at => {
                return match failing {
                    Failing::ForGood => Err(io::Error::other("the disk is gone")),
                    Failing::Again => Err(io::Error::new(io::ErrorKind::TimedOut, "too slow")),
                    Failing::AsEnd => Ok(0),
                    Failing::AsInterruption => Err(io::ErrorKind::Interrupted.into()),
                    Failing::ByPanic => panic!("{ON_PURPOSE}: a file system"),
                };
            }
            Fault::BreaksAfter(bytes) | Fault::EndsAfter(bytes) => left = bytes - self.read,
            Fault::At(at, _) if self.at < at => left = left.min(at - self.at),
            Fault::None | Fault::Refuses | Fault::At(..) => {}
        }
        let len = out.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.file.read(&mut out[..len])?;
        self.at += read as u64;
        self.read += read as u64;
        Ok(read)
    }
}

/// Returns settings for each executor.
fn builders() -> Vec<ContextBuilder> {
    let mut builders: Vec<_> = settings().into_iter().map(|(_, builder)| builder).collect();
    if cfg!(target_os = "linux") {
        builders.push(Context::builder().executor(Executor::Processes(2)));
    }
    builders
}

/// Runs `test` on each executor, in a context with `store`.
fn on_each(store: &Store, test: impl Fn(&Context) + Clone + Send + 'static) {
    for builder in builders() {
        let context = builder.file_system("store", store.clone()).progress(false);
        let context = context.build().unwrap();
        let test = test.clone();
        within_the_limit("a file system", move || test(&context));
    }
}

fn lines(count: u32) -> String {
    (0..count)
        .map(|n| format!("line {n} of a text\n"))
        .collect()
}

fn lines_of(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// Reads in small splits, so that each file has several.
fn read(context: &Context, input: &str) -> holdall::Result<Vec<String>> {
    let reader = TextReader::new().context(context).partition_bytes(100_000);
    reader.read(input)?.collect()
}

#[test]
fn files_are_read_as_local_ones_are() {
    let files = Files::new();
    let text = lines(40_000);
    files.write("bucket/plain/a", &text);
    files.write("bucket/plain/b", "first\nsecond");
    files.write("bucket/plain/c", "");
    files.write(
        "bucket/packed/a.gz",
        gzip(text.as_bytes(), Compression::fast()),
    );
    files.write("bucket/packed/b.bz2", bzip2(b"by bzip2\n"));
    files.write("bucket/packed/c.xz", xz(b"by xz\n"));
    files.write("bucket/packed/d.zst", zstd(b"by zstd\n"));
    for (ahead_bytes, is_exact) in [(0, false), (0, true), (1, false), (1 << 20, true)] {
        let store = Store {
            ahead_bytes,
            is_exact,
            ..Store::new(&files)
        };
        let root = files.root().join("bucket");
        on_each(&store, move |context| {
            for input in ["plain", "packed", "*/a*", "**/*.gz", "**"] {
                let expected = TextReader::new().context(context).read(root.join(input));
                let expected = expected.unwrap().collect().unwrap();
                assert_eq!(
                    read(context, &format!("store://bucket/{input}")).unwrap(),
                    expected
                );
            }
            let reader = TextReader::new().context(context).skip_header(true);
            let input = "STORE://bucket/plain";
            assert_eq!(
                reader
                    .partition_bytes(50_000)
                    .read(input)
                    .unwrap()
                    .collect()
                    .unwrap(),
                [&lines_of(&lines(40_000))[1..], &["second".to_owned()]].concat()
            );
        });
    }
    assert_eq!(open_readers(files.root(), |open| *open), 0);
}

#[test]
fn a_large_compressed_file_is_read_in_pieces() {
    let files = Files::new();
    // Random enough to stay large.
    let text: String = (0..600_000_u64)
        .map(|n| format!("{:x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    files.write("a.gz", gzip(text.as_bytes(), Compression::fast()));
    let store = Store {
        ahead_bytes: 1 << 20,
        fault: Fault::BreaksAfter(1_000_000),
        ..Store::new(&files)
    };
    on_each(&store, move |context| {
        let bag = context.read_text("store://a.gz").unwrap();
        assert_eq!(bag.partitions(), None);
        let expected = lines_of(&text);
        assert!(bag.collect().unwrap() == expected);
        // The thread that reads ahead ends with the job, even if the job ends early.
        assert_eq!(bag.take(1).unwrap(), expected[..1]);
    });
    assert_eq!(open_readers(files.root(), |open| *open), 0);
}

#[test]
fn splits_of_every_size_have_each_line_once() {
    let files = Files::new();
    let text = lines(300);
    files.write("a", &text);
    let expected = lines_of(&text);
    for (ahead_bytes, is_exact) in [(0, false), (1, true)] {
        let store = Store {
            ahead_bytes,
            is_exact,
            ..Store::new(&files)
        };
        let context = Context::builder().threads(2).file_system("store", store);
        let context = context.build().unwrap();
        for bytes in [1, 10, 23, 500, 5_000, 100_000] {
            let reader = TextReader::new().context(&context).partition_bytes(bytes);
            let read = reader.read("store://a").unwrap().collect().unwrap();
            assert_eq!(read, expected, "{bytes}");
        }
    }
}

#[test]
fn transient_errors_cost_no_line() {
    let files = Files::new();
    let text = lines(30_000);
    files.write("a", &text);
    files.write("b.gz", gzip(text.as_bytes(), Compression::fast()));
    let expected = [lines_of(&text), lines_of(&text)].concat();
    for fault in [
        Fault::Refuses,
        Fault::BreaksAfter(10_000),
        Fault::EndsAfter(10_000),
    ] {
        for ahead_bytes in [0, 100_000] {
            let store = Store {
                fault,
                ahead_bytes,
                ..Store::new(&files)
            };
            let expected = expected.clone();
            on_each(&store, move |context| {
                assert!(read(context, "store://*").unwrap() == expected);
            });
        }
    }
}

#[test]
fn an_error_has_its_place() {
    let files = Files::new();
    let text = lines(30_000);
    files.write("a", &text);
    for (name, packed) in [
        ("b.gz", gzip(text.as_bytes(), Compression::fast())),
        ("b.bz2", bzip2(text.as_bytes())),
        ("b.xz", xz(text.as_bytes())),
        ("b.zst", zstd(text.as_bytes())),
    ] {
        assert!(packed.len() > 5_000);
        files.write(name, packed);
    }
    for (failing, reason) in [
        (Failing::ForGood, "the disk is gone"),
        (Failing::Again, "too slow (attempt 6)"),
        (Failing::AsInterruption, "operation interrupted (attempt 6)"),
        (
            Failing::AsEnd,
            "the file ends at byte 5000, before its listed size (attempt 6)",
        ),
    ] {
        for ahead_bytes in [0, 1 << 20] {
            let store = Store {
                fault: Fault::At(5_000, failing),
                ahead_bytes,
                ..Store::new(&files)
            };
            // The pauses after transient errors take a while.
            let is_quick = failing == Failing::ForGood;
            let names = match failing {
                Failing::ForGood => &["a", "b.gz", "b.bz2", "b.xz", "b.zst"][..],
                Failing::AsEnd => &["a", "b.gz"],
                Failing::Again | Failing::AsInterruption | Failing::ByPanic => &["b.gz"],
            };
            let check = move |context: &Context| {
                for name in names {
                    let error = context.read_text(format!("store://{name}"));
                    let error = error.and_then(|bag| bag.count()).unwrap_err();
                    let place = format!("cannot read store://{name} at byte 5000");
                    assert_eq!(error.to_string(), format!("{place}: {reason}"));
                    assert!(matches!(
                        error.kind(),
                        ErrorKind::Io {
                            offset: Some(5_000),
                            ..
                        }
                    ));
                }
            };
            if is_quick {
                on_each(&store, check);
            } else if ahead_bytes == 0 {
                let context = Context::builder().threads(2).file_system("store", store);
                check(&context.build().unwrap());
            }
        }
    }
}

#[test]
fn a_panic_of_a_file_system_ends_the_job() {
    quiet_panics();
    let files = Files::new();
    files.write("a", lines(1_000));
    for ahead_bytes in [0, 1 << 20] {
        let store = Store {
            fault: Fault::At(5_000, Failing::ByPanic),
            ahead_bytes,
            ..Store::new(&files)
        };
        on_each(&store, |context| {
            let error = context.read_text("store://a").unwrap().count().unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::TaskPanicked { message, .. } if message.contains("a file system")),
                "{error}"
            );
        });
    }
}

#[test]
fn a_change_is_noticed() {
    let files = Files::new();
    let text = lines(30_000);
    for (is_split, has_versions) in [(true, true), (false, true), (true, false)] {
        let store = Store {
            has_versions,
            ..Store::new(&files)
        };
        let path = files.path("a");
        let text = text.clone();
        for change in ["longer", "shorter"] {
            let (path, text) = (path.clone(), text.clone());
            let check = move |context: &Context| {
                fs::write(&path, &text).unwrap();
                let bytes = if is_split { 100_000 } else { 10_000_000 };
                let reader = TextReader::new().context(context).partition_bytes(bytes);
                let bag = reader.read("store://a").unwrap();
                match change {
                    "longer" => fs::write(&path, text.clone() + "more\n").unwrap(),
                    _ => fs::write(&path, &text[..text.len() - 1]).unwrap(),
                }
                let read = bag.collect();
                if has_versions {
                    assert!(
                        matches!(read.unwrap_err().kind(), ErrorKind::InputChanged { path, .. }
                            if path == Path::new("store://a"))
                    );
                } else if change == "longer" {
                    // What was listed is read.
                    assert!(read.unwrap() == lines_of(&text));
                } else {
                    let error = read.unwrap_err().to_string();
                    assert!(error.contains("before its listed size"), "{error}");
                }
            };
            if has_versions {
                on_each(&store, check);
            } else {
                let builder = Context::builder().threads(2);
                check(&builder.file_system("store", store.clone()).build().unwrap());
            }
        }
    }
}

#[test]
fn a_file_that_is_gone_is_an_error() {
    let files = Files::new();
    let path = files.path("d/a");
    on_each(&Store::new(&files), move |context| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "text\n").unwrap();
        let bag = context.read_text("store://d").unwrap();
        fs::remove_file(&path).unwrap();
        let error = bag.count().unwrap_err();
        assert!(error.is_io());
        assert!(
            error.to_string().starts_with("cannot read store://d/a: "),
            "{error}"
        );
        for input in ["store://d", "store://d/a", "store://d/*", "store://"] {
            let error = context.read_text(input).unwrap_err();
            assert_eq!(error.to_string(), format!("no input file at {input}"));
        }
        let error = context.read_text("store://d/[a").unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InvalidPattern { pattern, .. } if pattern == "store://d/[a")
        );
    });
}

#[test]
fn the_place_of_a_record_has_the_scheme() {
    let files = Files::new();
    files.write("a", "1\n2\nthree\n");
    on_each(&Store::new(&files), |context| {
        let numbers = context.read_text("store://a").unwrap();
        let numbers = numbers.try_map(|line| line.parse::<u32>());
        let error = numbers.collect().unwrap_err();
        let place = error.context().unwrap();
        assert_eq!(place.path.as_deref(), Some(Path::new("store://a")));
        assert_eq!(place.offset, Some(4));
    });
}

#[test]
fn schemes_are_checked() {
    let files = Files::new();
    let a = files.write("a", "local\n");
    files.write("b:/c", "in a directory b:\n");
    let store = || Store::new(&files);
    let context = Context::builder()
        .file_system("store", store())
        .file_system("s3+x.y-z", store())
        .build()
        .unwrap();
    let error = context.read_text(["store://a", "s3://a"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot use s3://a: the context has no file system for s3://, only for file://, store://, s3+x.y-z://; \
         add it by `ContextBuilder::file_system(\"s3\", …)`, or write `./` before the path of a local file"
    );
    assert!(matches!(error.kind(), ErrorKind::UnknownScheme { .. }));
    assert_eq!(
        context.read_text("s3+x.y-z://a").unwrap().count().unwrap(),
        1
    );

    // Local files.
    let url = format!("file://{}", a.display());
    assert_eq!(
        context.read_text(&url).unwrap().collect().unwrap(),
        ["local"]
    );
    let both = [url.as_str(), "store://a"];
    assert_eq!(
        context.read_text(both).unwrap().collect().unwrap(),
        ["local"; 2]
    );
    let pattern = format!("FILE://{}/*", files.root().display());
    assert_eq!(context.read_text(pattern).unwrap().count().unwrap(), 2);
    let bag = context.read_text(&url).unwrap();
    fs::remove_file(&a).unwrap();
    let error = bag.count().unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot open {url}: ")),
        "{error}"
    );
    assert!(
        context
            .read_text("file://a")
            .unwrap_err()
            .to_string()
            .contains("file:///data")
    );
    let colon = files.root().join("b:");
    assert_eq!(
        context.read_text(colon.join("c")).unwrap().count().unwrap(),
        1
    );
    assert_eq!(context.read_text(colon).unwrap().count().unwrap(), 1);

    for scheme in ["", "file", "File", "1a", "a b", "a:"] {
        let error = Context::builder()
            .file_system(scheme, store())
            .build()
            .unwrap_err();
        assert!(matches!(
            error.kind(),
            ErrorKind::InvalidSetting {
                setting: "file_system",
                ..
            }
        ));
    }
}

/// Counts what is read of each file.
#[test]
fn the_bytes_that_are_read_are_counted() {
    let files = Files::new();
    let text = lines(10_000);
    files.write("a", &text);
    let context = Context::builder()
        .threads(1)
        .file_system("store", Store::new(&files));
    let context = context.build().unwrap();
    assert_eq!(
        context.read_text("store://a").unwrap().count().unwrap(),
        10_000
    );
    let summary = context.last_job().unwrap();
    assert_eq!(summary.stages[0].input_bytes, text.len() as u64);
}

/// A file system that can list a pattern by itself.
#[derive(Serialize, Deserialize)]
struct Finder(Store);

impl FileSystem for Finder {
    fn list(&self, _: &str) -> io::Result<Vec<FileInfo>> {
        unreachable!("only `find` is called")
    }

    fn find(&self, path: &str) -> io::Result<Vec<FileInfo>> {
        let pattern = PathPattern::new(path);
        pattern.select(self.0.list(pattern.prefix())?)
    }

    fn open(&self, path: &str, range: Range<u64>) -> io::Result<OpenedFile> {
        self.0.open(path, range)
    }
}

#[test]
fn a_file_system_may_find_files_by_itself() {
    let files = Files::new();
    files.write("a", "text\n");
    let context = Context::builder().file_system("store", Finder(Store::new(&files)));
    let context = context.build().unwrap();
    assert_eq!(context.read_text("store://?").unwrap().count().unwrap(), 1);
}
