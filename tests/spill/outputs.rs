//! Outputs appear whole, spill files are deleted when their process ends, and files of others are never touched.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::child::{self, Child};
use crate::common::{
    Files, assert_empty, concatenation, names_in, on_every_executor_and_processes, within_the_limit,
};
use holdall::{Bag, BagWriter, Context, ErrorKind, Executor, StorageLevel, TextWriter};

fn context(executor: Executor, spill: &Path) -> Context {
    let builder = Context::builder().executor(executor).memory(8 << 20);
    let builder = builder.spill_directory(spill).shuffle_partitions(5);
    builder
        .progress(false)
        .build()
        .expect("the settings are right")
}

fn on_disk(context: &Context) -> Bag<u64> {
    let numbers = context.range_partitioned(0..1_000, 4);
    numbers.persist(StorageLevel::Disk).boxed()
}

fn range(numbers: std::ops::Range<u64>, partitions: usize) -> Bag<u64> {
    let context = Context::builder().build().expect("the settings are right");
    context.range_partitioned(numbers, partitions).boxed()
}

fn sweep(spill: &Path) {
    drop(context(Executor::Inline, spill));
}

fn is_root() -> bool {
    Path::new("/proc/self")
        .metadata()
        .is_ok_and(|own| own.uid() == 0)
}

/// Runs a test of this file to its end in a separate process.
fn run(test: &str, directory: &Path, work: &str) {
    let mut command = child::command(test, directory, work);
    let output = command.stdin(Stdio::null()).output().expect("this program");
    assert!(
        output.status.success(),
        "{test} {work}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

// Files of others.

#[test]
fn nothing_that_others_have_made_is_swept() {
    let files = Files::new();
    files.write("holdall-notes/thesis.tex", "precious");
    files.write("holdall-0.1.0/src/lib.rs", "precious");
    files.write("holdall-1-1-1/group-1", "precious");
    files.write("holdall-1-1-1/lock", "");
    files.write("holdall-file", "precious");
    files.write(".holdall-notes/part-00000", "precious");
    fs::create_dir(files.path("holdall-2-1a-0")).unwrap();
    fs::create_dir(files.path("holdall-out")).unwrap();
    symlink(files.path("holdall-notes"), files.path("holdall-1-1-2")).unwrap();
    let before = files.names();
    sweep(files.root());
    holdall::range(0..3).write_text(files.path("out")).unwrap();
    sweep(files.root());
    fs::remove_dir_all(files.path("out")).unwrap();
    assert_eq!(files.names(), before);
    for name in [
        "holdall-notes/thesis.tex",
        "holdall-0.1.0/src/lib.rs",
        "holdall-1-1-1/group-1",
    ] {
        assert_eq!(fs::read_to_string(files.path(name)).unwrap(), "precious");
    }
}

#[test]
fn what_looks_like_ours_and_is_not_is_left_alone() {
    let files = Files::new();
    let mut dead = Child::start("outputs::child_spills", &files.path("spill"), "wait");
    let name = names_in(&files.path("spill")).remove(0);
    let real = files.path("spill").join(&name);
    let again = |to: &str| {
        let to = files.path(to);
        fs::create_dir(&to).unwrap();
        let to = to.join(&name);
        fs::create_dir(&to).unwrap();
        to
    };
    // A copy with all files, like a backup.
    let copy = again("copy");
    for name in names_in(&real) {
        fs::copy(real.join(&name), copy.join(&name)).unwrap();
    }
    let files_in_copy = names_in(&copy);
    // Files of the user, or a link, with the names of ours.
    let file = again("file").join("thesis.tex");
    fs::write(&file, "precious").unwrap();
    let lock = again("lock").join("lock");
    fs::write(&lock, "precious").unwrap();
    fs::create_dir(files.path("link")).unwrap();
    symlink(&copy, files.path("link").join(&name)).unwrap();
    dead.send("KILL");
    dead.wait();
    for spill in ["copy", "file", "lock", "link"] {
        sweep(&files.path(spill));
        assert_eq!(names_in(&files.path(spill)), [&*name]);
    }
    assert_eq!(names_in(&copy), files_in_copy);
    assert!(file.exists() && lock.exists());
    // The real directory, with a file or a directory of the user in it, and without.
    for precious in ["thesis.tex", "directory/persist-1", "lock.old"] {
        let precious = real.join(precious);
        fs::create_dir_all(precious.parent().unwrap()).unwrap();
        fs::write(&precious, "precious").unwrap();
        sweep(&files.path("spill"));
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
        fs::remove_file(&precious).unwrap();
        let _ = fs::remove_dir(real.join("directory"));
    }
    if is_root() {
        std::os::unix::fs::chown(&real, Some(12_345), None).unwrap();
        sweep(&files.path("spill"));
        assert!(real.exists(), "it is another user's");
        std::os::unix::fs::chown(&real, Some(0), None).unwrap();
    }
    sweep(&files.path("spill"));
    assert_empty(&files.path("spill"));
}

// The end of a process.

/// Not a test of its own: a process with spill files that ends in some way.
#[test]
fn child_spills() {
    let Some((spill, work)) = child::task() else {
        return;
    };
    child::heed_signals();
    static KEPT: OnceLock<(Context, Bag<u64>)> = OnceLock::new();
    let (context, bag) = KEPT.get_or_init(|| {
        let context = context(Executor::Threads(2), &spill);
        let bag = on_disk(&context);
        (context, bag)
    });
    assert_eq!(bag.count().unwrap(), 1_000);
    assert_eq!(names_in(&spill).len(), 1);
    match &*work {
        "wait" => child::wait_for_the_end(),
        "return" => {}
        "exit" => std::process::exit(0),
        "exit while others work" => {
            for _ in 0..3 {
                thread::spawn(|| while on_disk(context).count().is_ok() {});
            }
            thread::sleep(Duration::from_millis(20));
            std::process::exit(0)
        }
        other => panic!("{other}"),
    }
}

#[test]
fn spill_files_are_deleted_when_the_program_ends() {
    let files = Files::new();
    for how in ["return", "exit", "exit while others work"] {
        within_the_limit(how, {
            let spill = files.path("spill");
            move || run("outputs::child_spills", &spill, how)
        });
        assert_empty(&files.path("spill"));
    }
}

/// Not a test of its own: a process that ends in some way while it writes.
#[test]
fn child_writes() {
    let Some((directory, work)) = child::task() else {
        return;
    };
    child::heed_signals();
    let writer = TextWriter::new().overwrite(true);
    let numbers = range(0..8, 8);
    match &*work {
        "exit" => {
            thread::spawn(move || {
                let waiting = numbers.inspect(|n| {
                    if *n == 7 {
                        thread::sleep(Duration::from_secs(60));
                    }
                });
                writer.write(&waiting, directory.join("out"))
            });
            thread::sleep(Duration::from_millis(200));
            std::process::exit(0);
        }
        "wait" => {
            let is_first = AtomicBool::new(true);
            let waiting = numbers.inspect(move |n| {
                if *n == 7 && is_first.swap(false, Ordering::Relaxed) {
                    child::wait_for_the_end();
                }
            });
            let _ = writer.write(&waiting, directory.join("out"));
        }
        _ => {
            // Repeat until the process is killed at some point.
            eprintln!("ready");
            for round in 0.. {
                let same = numbers.clone().map(move |_| round % 2);
                writer.write(&same, directory.join("out")).unwrap();
            }
        }
    }
}

#[test]
fn an_unfinished_output_goes_with_its_process() {
    let files = Files::new();
    files.write("out/part-00000", "old\n");
    for (signal, number) in [("INT", 2), ("TERM", 15), ("KILL", 9)] {
        let mut child = Child::start("outputs::child_writes", files.root(), "wait");
        assert_eq!(files.names().len(), 2);
        child.send(signal);
        assert_eq!(child.wait().signal(), Some(number));
        assert_eq!(files.names().len(), if signal == "KILL" { 2 } else { 1 });
        assert_eq!(concatenation(&files.path("out")), "old\n");
    }
    // The next run with an output next to it deletes what the killed one has left, even if it fails itself.
    let failing = holdall::range(0..3).try_map(|_| Err::<u64, _>("no"));
    assert!(failing.write_text(files.path("other")).is_err());
    assert_eq!(files.names(), ["out"]);
    run("outputs::child_writes", files.root(), "exit");
    assert_eq!(files.names(), ["out"]);
    assert_eq!(concatenation(&files.path("out")), "old\n");
}

#[test]
fn an_output_is_there_at_any_time() {
    let files = Files::new();
    files.write("out/part-00000", "1\n1\n1\n1\n1\n1\n1\n1\n");
    for milliseconds in 0..8 {
        let mut child = Child::start("outputs::child_writes", files.root(), "loop");
        for _ in 0..50 {
            // The output may be replaced while it is read, so only its name is certain.
            assert!(files.path("out").is_dir());
        }
        thread::sleep(Duration::from_millis(milliseconds * 3));
        child.send(if milliseconds % 2 == 0 {
            "KILL"
        } else {
            "TERM"
        });
        child.wait();
        let text = concatenation(&files.path("out"));
        assert!(
            ["0\n".repeat(8), "1\n".repeat(8)].contains(&text),
            "{text:?}"
        );
    }
    holdall::range(0..1)
        .write_text(files.path("other"))
        .unwrap();
    assert_eq!(files.names(), ["other", "out"]);
}

// Copies of the process.

/// Copies this process, by `fork` or by a clone without its handlers. Returns 0 in the copy.
#[expect(unsafe_code, reason = "std has no fork")]
fn copy(is_clone: bool) -> libc::pid_t {
    // SAFETY: the copy uses only data of this thread, and ends by `exit` or a signal.
    unsafe {
        if !is_clone {
            return libc::fork();
        }
        let copied = libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
        libc::pid_t::try_from(copied).expect("the number of a process")
    }
}

/// Not a test of its own: a program that forks.
#[test]
#[expect(unsafe_code, reason = "std has no kill")]
fn child_forks() {
    let Some((spill, work)) = child::task() else {
        return;
    };
    child::heed_signals();
    let executor = if work == "drop workers" {
        Executor::Processes(1)
    } else {
        Executor::Inline
    };
    let context = context(executor, &spill);
    let numbers = on_disk(&context);
    assert_eq!(numbers.count().unwrap(), 1_000);
    let pairs = numbers.clone().map(|n| (n % 7, n)).group_by_key();
    let mut sizes = pairs.map(|(_, group)| group.count()).iter().unwrap();
    sizes.next().unwrap().unwrap();
    let (work, is_clone) = match work.strip_prefix("clone, ") {
        Some(work) => (work, true),
        None => (&*work, false),
    };
    let copy = copy(is_clone);
    if copy == 0 {
        match work {
            "drop" | "drop workers" => drop((sizes, numbers, context)),
            "use" => {
                let again = on_disk(&context);
                assert_eq!(again.sum::<u64>().unwrap(), 499_500);
                assert_eq!(numbers.sum::<u64>().unwrap(), 499_500);
                // The copy has its own directory.
                assert!(names_in(&spill).len() > 1);
                drop((again, numbers));
            }
            _ => thread::sleep(Duration::from_secs(60)),
        }
        std::process::exit(0);
    }
    if work == "signal" {
        thread::sleep(Duration::from_millis(50));
        // SAFETY: kill takes numbers.
        unsafe { libc::kill(copy, libc::SIGTERM) };
    }
    let mut status = 0;
    // SAFETY: the pointer is to a number on the stack.
    unsafe { libc::waitpid(copy, &raw mut status, 0) };
    let status = std::process::ExitStatus::from_raw(status);
    if work == "signal" {
        assert_eq!(status.signal(), Some(libc::SIGTERM));
    } else {
        assert!(status.success(), "{status}");
    }
    let files = fs::read_dir(&spill)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.flat_map(|job| names_in(&job)).collect();
    assert!(
        files.iter().any(|name| name.starts_with("persist")),
        "{files:?}"
    );
    assert_eq!(sizes.count() + 1, 7);
    assert_eq!(numbers.count().unwrap(), 1_000);
}

#[test]
fn a_copy_of_the_process_deletes_nothing_and_ends_by_signals() {
    for work in [
        "drop",
        "drop workers",
        "use",
        "signal",
        "clone, drop",
        "clone, signal",
    ] {
        let files = Files::new();
        within_the_limit(work, {
            let spill = files.path("spill");
            move || run("outputs::child_forks", &spill, work)
        });
        assert_empty(&files.path("spill"));
    }
}

// Lost directories.

fn lose(spill: &Path) {
    for job in names_in(spill) {
        let _ = fs::remove_dir_all(spill.join(job));
    }
}

#[test]
fn a_job_survives_the_loss_of_its_directory() {
    for executor in [
        Executor::Inline,
        Executor::Threads(2),
        Executor::Processes(2),
    ] {
        let files = Files::new();
        let spill = files.path("spill");
        let context = context(executor, &spill);
        let state = (spill.clone(), files.path("mark"));
        let numbers = context.range_partitioned(0..20_000, 8).with(state);
        let losing = numbers.map(|(spill, mark), n| {
            if n == 9_000 && fs::File::create_new(mark).is_ok() {
                lose(spill);
            }
            n
        });
        let kept = losing.persist(StorageLevel::Disk);
        let sums = kept.map(|n| (n % 1_000, n)).sum_by_key();
        let sum = within_the_limit("any", {
            let sums = sums.clone();
            move || sums.map(|(_, sum)| sum).sum::<u64>().unwrap()
        });
        assert_eq!(sum, 19_999 * 10_000, "{executor:?}");
        // Lose the directory again, after all partitions have been persisted: the next job finds none of them, and
        // computes them again.
        lose(&spill);
        assert_eq!(sums.count().unwrap(), 1_000);
        drop((sums, context));
        assert_empty(&spill);
    }
}

#[test]
fn a_directory_may_be_lost_at_any_time() {
    for executor in [
        Executor::Inline,
        Executor::Threads(2),
        Executor::Processes(2),
    ] {
        let files = Files::new();
        let spill = files.path("spill");
        let context = context(executor, &spill);
        for milliseconds in (0..60).step_by(10) {
            let numbers = context.range_partitioned(0..20_000, 8);
            let kept = numbers.map(|n| (n % 2_000, n)).persist(StorageLevel::Disk);
            let sums = kept
                .sum_by_key()
                .repartition(3)
                .sort_by_key(|(key, _)| *key);
            let losing = thread::spawn({
                let spill = spill.clone();
                move || {
                    thread::sleep(Duration::from_millis(milliseconds));
                    if spill.exists() {
                        lose(&spill);
                    }
                }
            });
            let found = within_the_limit("any", move || sums.collect().unwrap());
            losing.join().unwrap();
            let expected = (0..2_000).map(|key| (key, (0..10).map(|n| n * 2_000 + key).sum()));
            assert_eq!(found, expected.collect::<Vec<(u64, u64)>>(), "{executor:?}");
        }
        drop(context);
        if spill.exists() {
            assert_empty(&spill);
        }
    }
}

// Existing directories.

#[test]
fn an_empty_directory_is_written_into() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let numbers = context.range_partitioned(0..4, 2);
        for (name, writer) in [
            ("plain", TextWriter::new()),
            ("overwritten", TextWriter::new().overwrite(true)),
            ("link", TextWriter::new()),
        ] {
            let path = files.path(name);
            if name == "link" {
                fs::create_dir(files.path("linked")).unwrap();
                symlink("linked", &path).unwrap();
            } else {
                fs::create_dir(&path).unwrap();
            }
            let before = fs::metadata(&path).unwrap().ino();
            writer.write(&numbers, &path).unwrap();
            assert_eq!(names_in(&path), ["part-00000", "part-00001"]);
            assert_eq!(concatenation(&path), "0\n1\n2\n3\n");
            assert_eq!(fs::metadata(&path).unwrap().ino(), before);
            let error = TextWriter::new().write(&numbers, &path).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::OutputExists { .. }),
                "{error}"
            );
        }
        // If the path is a link, the directory is replaced, and not the link.
        let writer = TextWriter::new().overwrite(true);
        let fewer = context.range_partitioned(7..8, 1);
        writer.write(&fewer, files.path("link")).unwrap();
        assert_eq!(concatenation(&files.path("linked")), "7\n");
        assert!(files.path("link").symlink_metadata().unwrap().is_symlink());
        assert_eq!(files.names(), ["link", "linked", "overwritten", "plain"]);
    });
}

/// A file system for this test, if this user may mount one.
struct Volume(Files);

impl Volume {
    fn mount() -> Option<Self> {
        let files = Files::new();
        fs::create_dir(files.path("volume")).expect("room for a directory");
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", "size=1m", "none"])
            .arg(files.path("volume"));
        let mounted = command.stderr(Stdio::null()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(files));
        }
        eprintln!("SKIPPED: no tmpfs can be mounted here");
        None
    }

    fn root(&self) -> PathBuf {
        self.0.path("volume")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.root()).status();
    }
}

#[test]
fn the_root_of_a_volume_is_written_into_and_overwritten() {
    let Some(volume) = Volume::mount() else {
        return;
    };
    let root = volume.root();
    fs::create_dir(root.join("lost+found")).unwrap();
    let mut expected = vec!["lost+found".to_owned()];
    range(0..4, 4).write_text(&root).unwrap();
    expected.extend((0..4).map(|n| format!("part-0000{n}")));
    assert_eq!(names_in(&root), expected);
    let writer = TextWriter::new().overwrite(true);
    writer.write(&range(5..6, 1), &root).unwrap();
    assert_eq!(names_in(&root), expected[..2]);
    assert_eq!(fs::read_to_string(root.join("part-00000")).unwrap(), "5\n");
    fs::write(root.join("thesis.tex"), "precious").unwrap();
    let error = writer.write(&holdall::range(0..3), &root).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::NotAnOutput { .. }),
        "{error}"
    );
    assert_eq!(fs::read_to_string(root.join("part-00000")).unwrap(), "5\n");
    assert_eq!(volume.0.names(), ["volume"]);
}

#[test]
fn a_full_disk_leaves_the_old_output_and_nothing_else() {
    let Some(volume) = Volume::mount() else {
        return;
    };
    let root = volume.root();
    let writer = TextWriter::new().overwrite(true);
    for path in [root.join("out"), root.clone()] {
        let _ = fs::remove_dir_all(root.join("out"));
        range(0..4, 2).write_text(&path).unwrap();
        let error = writer.write(&range(0..400_000, 4), &path).unwrap_err();
        assert!(error.is_io(), "{error}");
        assert_eq!(concatenation(&path), "0\n1\n2\n3\n");
        // The next output fits.
        writer.write(&range(7..8, 1), &path).unwrap();
        assert_eq!(concatenation(&path), "7\n");
        assert_eq!(names_in(&root).len(), 1);
    }
}

#[test]
fn a_full_disk_leaves_the_old_saved_bag_and_nothing_else() {
    let Some(volume) = Volume::mount() else {
        return;
    };
    let path = volume.root().join("bag");
    let writer = BagWriter::new().overwrite(true);
    for executor in [Executor::Inline, Executor::Processes(2)] {
        let context = context(executor, volume.0.root());
        let numbers = |count| context.range_partitioned(0..count, 4);
        writer.save(&numbers(10), &path).unwrap();
        let noise = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) | 1 << 63;
        let error = writer
            .save(&numbers(1_000_000).map(noise), &path)
            .unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::DiskFull { .. }),
            "{error}"
        );
        assert_eq!(context.load::<u64>(&path).unwrap().count().unwrap(), 10);
        assert_eq!(names_in(&volume.root()), ["bag"]);
    }
}

/// Not a test of its own: a process of a user who can write only to `mine`.
#[test]
#[expect(unsafe_code, reason = "std changes the user of another process only")]
fn child_writes_as_another_user() {
    let Some((directory, _)) = child::task() else {
        return;
    };
    // SAFETY: the call takes numbers.
    assert_eq!(unsafe { libc::setresuid(12_345, 12_345, 12_345) }, 0);
    let out = directory.join("mine");
    range(0..4, 4).write_text(&out).unwrap();
    let writer = TextWriter::new().overwrite(true);
    writer.write(&range(5..7, 2), &out).unwrap();
    let error = range(0..4, 4)
        .write_text(directory.join("other"))
        .unwrap_err();
    assert!(
        error.is_io() && error.to_string().starts_with("cannot create"),
        "{error}"
    );
}

#[test]
fn the_directory_above_an_output_need_not_be_writable() {
    if !is_root() {
        eprintln!("SKIPPED: only root can be another user");
        return;
    }
    let files = Files::new();
    fs::set_permissions(files.root(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(files.path("mine")).unwrap();
    std::os::unix::fs::chown(files.path("mine"), Some(12_345), None).unwrap();
    run("outputs::child_writes_as_another_user", files.root(), "");
    assert_eq!(names_in(&files.path("mine")), ["part-00000", "part-00001"]);
    assert_eq!(concatenation(&files.path("mine")), "5\n6\n");
    assert_eq!(files.names(), ["mine"]);
}

// The environment.

/// Not a test of its own: prints the spill directory and the working directory of a process.
#[test]
fn child_prints_where_it_spills() {
    let Some((directory, _)) = child::task() else {
        return;
    };
    let numbers = range(0..100, 2).persist(StorageLevel::Disk);
    assert_eq!(numbers.count().unwrap(), 100);
    let has_spilled = |path: &Path| {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let own = format!("holdall-{}-", std::process::id());
        entries
            .into_iter()
            .any(|entry| entry.file_name().to_string_lossy().starts_with(&own))
    };
    let candidates = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let candidates = candidates.chain(["/tmp".into(), std::env::current_dir().unwrap()]);
    for candidate in candidates.filter(|path| has_spilled(path)) {
        eprintln!("spills into {}", candidate.display());
    }
}

fn spills_into(files: &Files, configure: impl FnOnce(&mut Command)) -> (bool, String) {
    let mut command = child::command("outputs::child_prints_where_it_spills", files.root(), "");
    command.current_dir(files.root()).stdin(Stdio::null());
    configure(&mut command);
    let output = command.output().expect("this program");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), errors)
}

#[test]
fn variables_are_believed_whole_or_not_at_all() {
    use std::os::unix::ffi::OsStrExt;
    let files = Files::new();
    let odd = std::ffi::OsStr::from_bytes(b"odd\xff");
    fs::create_dir(files.root().join(odd)).unwrap();
    fs::create_dir(files.path("plain")).unwrap();
    let into = |variables: &[(&str, &std::ffi::OsStr)]| {
        let (is_good, errors) = spills_into(&files, |command| {
            command.envs(variables.iter().copied());
        });
        assert!(is_good, "{errors}");
        let line = errors
            .lines()
            .find_map(|line| line.strip_prefix("spills into "));
        line.expect("it says where").to_owned()
    };
    let path = |name: &std::ffi::OsStr| files.root().join(name);
    let odd_path = path(odd);
    let said = |path: &Path| path.display().to_string();
    assert_eq!(
        into(&[("HOLDALL_SPILL_DIR", odd_path.as_os_str())]),
        said(&odd_path)
    );
    assert_eq!(into(&[("HOLDALL_SPILL_DIR", odd)]), said(&odd_path));
    assert_eq!(into(&[("TMPDIR", odd_path.as_os_str())]), said(&odd_path));
    assert_eq!(
        into(&[("HOLDALL_SPILL_DIR", "".as_ref()), ("TMPDIR", "".as_ref())]),
        "/tmp"
    );
    let empty: [(&str, &std::ffi::OsStr); 5] = [
        ("HOLDALL_SPILL_DIR", "plain".as_ref()),
        ("HOLDALL_EXECUTOR", "".as_ref()),
        ("HOLDALL_THREADS", "".as_ref()),
        ("HOLDALL_MEMORY", "".as_ref()),
        ("HOLDALL_SUMMARY", "".as_ref()),
    ];
    assert_eq!(into(&empty), said(&files.path("plain")));
    for name in [
        "HOLDALL_EXECUTOR",
        "HOLDALL_THREADS",
        "HOLDALL_MEMORY",
        "HOLDALL_SUMMARY",
    ] {
        let (is_good, errors) = spills_into(&files, |command| {
            command.env(name, odd);
        });
        assert!(!is_good && errors.contains(name), "{errors}");
    }
    // No files are left in the spill directories.
    assert_eq!(fs::read_dir(files.root()).unwrap().count(), 2);
    assert_empty(&files.path("plain"));
}

#[test]
fn a_set_user_id_program_heeds_no_variable() {
    if !is_root() {
        eprintln!("SKIPPED: only root can make a program another user's");
        return;
    }
    let files = Files::new();
    fs::set_permissions(files.root(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::create_dir(files.path("chosen")).unwrap();
    let program = files.path("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    let plain = child::command("outputs::child_prints_where_it_spills", files.root(), "");
    let output = Command::new(&program)
        .args(plain.get_args())
        .envs(
            plain
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("HOLDALL_SPILL_DIR", files.path("chosen"))
        .env("HOLDALL_THREADS", "not a number")
        .uid(65_534)
        .stdin(Stdio::null())
        .output();
    let output = output.expect("it can be run by anybody");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("spills into /tmp\n"), "{errors}");
    assert_empty(&files.path("chosen"));
}

// Few descriptors.

/// Not a test of its own: a process that can open only few descriptors.
#[test]
fn child_runs_out_of_descriptors() {
    let Some((directory, work)) = child::task() else {
        return;
    };
    let executor = work.parse().unwrap();
    let context = context(executor, &directory.join("spill"));
    let pairs = context
        .range_partitioned(0..20_000, 4)
        .map(|n| (n % 5_000, n));
    let sums = pairs.sum_by_key().persist(StorageLevel::Disk);
    let outcome = sums.count().and_then(|count| {
        let lines = sums.map(|(key, sum)| format!("{key} {sum}"));
        lines.write_text(directory.join("out")).map(|_| count)
    });
    match outcome {
        Ok(count) => assert_eq!(count, 5_000),
        Err(error) => eprintln!("{error}"),
    }
}

#[test]
fn nothing_is_left_behind_for_want_of_descriptors() {
    for executor in ["inline", "threads:2", "processes:2"] {
        for descriptors in [4, 6, 8, 9, 10, 12] {
            let files = Files::new();
            let limit = format!("ulimit -n {descriptors}");
            let test = "outputs::child_runs_out_of_descriptors";
            let mut command = child::command_after(&limit, test, files.root(), executor);
            let command = command.stdin(Stdio::null()).stderr(Stdio::null());
            let status = command.status().expect("a shell");
            assert!(
                status.code().is_some(),
                "{executor} {descriptors}: {status}"
            );
            let mut names = files.names();
            if names.contains(&"spill".to_owned()) {
                assert_empty(&files.path("spill"));
                names.retain(|name| name != "spill");
            }
            assert!(
                names.is_empty() || names == ["out"],
                "{executor} {descriptors}: {names:?}"
            );
        }
    }
}
