//! Processes that are killed and disks that are full while a format is written: the old output survives or the new one is
//! complete, and nothing else is left.
#![cfg(target_os = "linux")]

use std::env;
use std::fs;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use holdall::{Bag, Context, ErrorKind, Pipeline};
use holdall_test_extensions::on_each_executor;
use holdall_test_formats::{Format, Row, row};
use tempfile::TempDir;

/// Environment variable of a child with the format and the executor, separated by a space.
const WORK: &str = "HOLDALL_TEST_WORK";

/// Environment variable of a child with its directory.
const DIRECTORY: &str = "HOLDALL_TEST_DIRECTORY";

const EXECUTORS: [&str; 3] = ["inline", "threads:2", "processes:2"];

/// Number of rows of the old output and of each complete one.
const ROWS: u32 = 40;

/// Number of long rows: several times as many bytes as any writer keeps in memory.
const LONG_ROWS: u32 = 20_000;

/// Returns a row with a text that no compression makes much shorter.
fn long_row(number: u32) -> Row {
    let hash = BuildHasherDefault::<DefaultHasher>::default();
    let word = |n: u32| format!("{:016x}", hash.hash_one((number, n)));
    Row {
        name: (0..25).map(word).collect(),
        ..row(number)
    }
}

/// Returns the rows of a round of a child, which differ from those of the rounds before and after.
fn rows_of(context: &Context, round: u32) -> Bag<Row, impl Pipeline<Out = Row> + use<>> {
    let numbers = context.range_partitioned(0..ROWS, 4).with(round % 2);
    numbers.map(|parity, number| row(2 * number + parity))
}

fn read(context: &Context, format: Format, directory: &Path) -> Vec<Row> {
    let rows = format.read(context, &directory.join("out"));
    rows.and_then(|rows| rows.collect()).expect("an output")
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("UTF-8");
    entries
        .map(|entry| name(entry.expect("an entry")))
        .collect()
}

/// A process that runs a test of this file, and is killed.
struct Victim {
    process: Child,
    ready: PathBuf,
}

impl Victim {
    fn start(test: &str, format: Format, executor: &str, files: &TempDir) -> Self {
        let ready = files.path().join("ready");
        let _ = fs::remove_file(&ready);
        let process = Command::new(env::current_exe().expect("this program"))
            .args([&format!("interrupted::{test}"), "--exact", "--nocapture"])
            .env(WORK, format!("{} {executor}", format.name()))
            .env(DIRECTORY, files.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("start this program again");
        Self { process, ready }
    }

    fn wait_until_ready(&mut self) {
        while !self.ready.exists() {
            let ended = self.process.try_wait().expect("a child");
            assert!(ended.is_none(), "it ended before it was ready");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("a child");
    }
}

/// In a victim or its workers: returns its directory.
fn victim_directory() -> PathBuf {
    env::var_os(DIRECTORY).expect("this is a victim").into()
}

/// In a victim or its workers: reports that it can be killed.
fn report_ready() {
    fs::write(victim_directory().join("ready"), "").expect("room for a file");
}

/// Returns the format of a victim, its context, and the path of its output, if this process is one.
fn victim() -> Option<(Format, Context, PathBuf)> {
    let work = env::var(WORK).ok()?;
    let (name, executor) = work.split_once(' ').expect("two words");
    let format = Format::ALL.into_iter().find(|format| format.name() == name);
    let builder = Context::builder().executor(executor.parse().expect("an executor"));
    let context = builder.progress(false).build().expect("a context");
    let output = victim_directory().join("outputs/out");
    Some((format.expect("a format"), context, output))
}

/// Not a test of its own: a process that stops while one of its files is half written.
#[test]
fn victim_stops_in_the_middle() {
    let Some((format, context, output)) = victim() else {
        return;
    };
    let numbers = context.range_partitioned(0..LONG_ROWS, 4);
    let stopping = numbers.inspect(|number| {
        if *number == LONG_ROWS / 8 * 5 {
            report_ready();
            thread::sleep(Duration::from_secs(600));
        }
    });
    format
        .write(&stopping.map(long_row), &output)
        .expect("it is killed before");
}

/// Not a test of its own: a process that replaces its output again and again.
#[test]
fn victim_writes_again_and_again() {
    let Some((format, context, output)) = victim() else {
        return;
    };
    for round in 1.. {
        let written = format.write(&rows_of(&context, round), &output);
        written.expect("nothing is in the way");
        report_ready();
    }
}

#[test]
fn the_old_output_survives_a_kill() {
    for executor in EXECUTORS {
        for format in Format::ALL {
            let files = TempDir::new().unwrap();
            let outputs = files.path().join("outputs");
            let context = Context::default();
            let old = rows_of(&context, 0);
            fs::create_dir(&outputs).unwrap();
            format.write(&old, &outputs.join("out")).unwrap();
            let mut victim = Victim::start("victim_stops_in_the_middle", format, executor, &files);
            victim.wait_until_ready();
            victim.kill();
            assert_eq!(names_in(&outputs).len(), 2, "{format:?} {executor}");
            assert_eq!(read(&context, format, &outputs), old.collect().unwrap());
            let new = rows_of(&context, 1);
            format.write(&new, &outputs.join("out")).unwrap();
            assert_eq!(read(&context, format, &outputs), new.collect().unwrap());
            assert_eq!(names_in(&outputs), ["out"], "{format:?} {executor}");
        }
    }
}

#[test]
fn an_output_is_complete_whenever_its_process_is_killed() {
    for executor in EXECUTORS {
        for (format, milliseconds) in Format::ALL.into_iter().zip((0..).step_by(3)) {
            let files = TempDir::new().unwrap();
            let outputs = files.path().join("outputs");
            let context = Context::default();
            fs::create_dir(&outputs).unwrap();
            for _ in 0..3 {
                let test = "victim_writes_again_and_again";
                let mut victim = Victim::start(test, format, executor, &files);
                victim.wait_until_ready();
                thread::sleep(Duration::from_millis(milliseconds));
                victim.kill();
                let rows = read(&context, format, &outputs);
                let complete = [0, 1].map(|round| rows_of(&context, round).collect().unwrap());
                assert!(complete.contains(&rows), "{format:?} {executor}: {rows:?}");
            }
            format
                .write(&rows_of(&context, 0), &outputs.join("out"))
                .unwrap();
            assert_eq!(names_in(&outputs), ["out"], "{format:?} {executor}");
        }
    }
}

/// A file system of 1 MiB, if this user may mount one.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let files = TempDir::new().expect("a temporary directory");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=1m", "none"]);
        let mounted = command.arg(files.path()).stderr(Stdio::null()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(files));
        }
        eprintln!("SKIPPED: no tmpfs can be mounted here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_leaves_the_old_output_and_nothing_else() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let directory = disk.0.path();
    let output = directory.join("out");
    on_each_executor(|context| {
        for format in Format::ALL {
            let old = rows_of(context, 0);
            format.write(&old, &output).unwrap();
            let long = context.range_partitioned(0..LONG_ROWS, 4).map(long_row);
            let error = format.write(&long, &output).unwrap_err();
            match error.kind() {
                // The file has another name until it is complete.
                ErrorKind::DiskFull { path, .. } => assert!(path.starts_with(directory), "{error}"),
                _ => panic!("{format:?}: {error}"),
            }
            assert_eq!(read(context, format, directory), old.collect().unwrap());
            // The next output fits.
            let new = rows_of(context, 1);
            format.write(&new, &output).unwrap();
            assert_eq!(read(context, format, directory), new.collect().unwrap());
            assert_eq!(names_in(directory), ["out"], "{format:?}");
        }
    });
}
