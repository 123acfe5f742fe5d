//! Directories are created late and deleted early, whichever process dies.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child as Process, ChildStdin, Command, ExitStatus, Stdio};

use super::super::live;
use super::*;

const CHILD_DIRECTORY: &str = "HOLDALL_TEST_CHILD_DIRECTORY";

/// A process of this test program that runs one test of `storage` until it reports that it is ready.
pub(in crate::storage) struct Child {
    process: Process,
    /// Kept away from `Process::wait`, which would close it, and the child would continue.
    _input: Option<ChildStdin>,
}

impl Child {
    pub(in crate::storage) fn start(test: &str, directory: &Path) -> Self {
        let process = Command::new(std::env::current_exe().expect("this program"))
            .args([&format!("storage::{test}"), "--exact", "--nocapture"])
            .env(CHILD_DIRECTORY, directory)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        let mut process = process.expect("start this program again");
        let input = process.stdin.take();
        let mut child = Self {
            process,
            _input: input,
        };
        let errors = BufReader::new(child.process.stderr.take().expect("a pipe"));
        let mut lines = errors.lines().map_while(Result::ok);
        assert!(
            lines.any(|line| line == "ready"),
            "{test} did not get ready"
        );
        child
    }

    #[cfg(unix)]
    pub(in crate::storage) fn send(&self, signal: libc::c_int) {
        system::send(self.process.id(), signal);
    }

    fn kill(&mut self) {
        self.process.kill().expect("kill");
        self.wait();
    }

    pub(in crate::storage) fn wait(&mut self) -> ExitStatus {
        self.process.wait().expect("wait")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs `body` if this process is a [`Child`]. The closure that `body` receives reports that the child is ready, and
/// then waits to be killed.
pub(in crate::storage) fn in_child(body: impl FnOnce(&Path, &dyn Fn())) {
    if let Some(directory) = std::env::var_os(CHILD_DIRECTORY) {
        #[cfg(unix)]
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            system::heed(signal); // the parent may ignore them, like `nohup` or a shell's `&`
        }
        body(Path::new(&directory), &|| {
            eprintln!("ready");
            // Wait until the parent has ended.
            let _ = std::io::stdin().read(&mut [0]);
        });
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("read the directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_directory_comes_with_the_first_file_and_goes_with_the_last() {
    let spill = tempfile::tempdir().unwrap();
    let below = spill.path().join("made/on/the/way");
    let scratch = Scratch::new(Some(&below), None);
    assert!(scratch.directory().is_none() && !below.exists());
    let mut first = scratch.create("a").unwrap();
    let second = scratch.create("a").unwrap();
    let directory = scratch.directory().unwrap();
    assert_eq!(names(&below).len(), 1);
    assert!(live::paths().contains(&directory));
    assert_ne!(first.file().path(), second.file().path());

    first.append(b"abc").unwrap();
    first.append(b"de").unwrap();
    assert_eq!((first.bytes(), scratch.used_bytes()), (5, 5));
    let file = Arc::clone(first.file());
    drop(first);
    assert_eq!(fs::read(file.path()).unwrap(), b"abcde");
    drop(file);
    assert_eq!((scratch.used_bytes(), scratch.written_bytes()), (0, 5));
    assert_eq!(names(&directory).len(), 2, "the lock and the second file");

    drop(scratch);
    assert!(directory.exists(), "a file is left");
    drop(second);
    assert!(names(&below).is_empty());
    assert!(!live::paths().contains(&directory));
}

#[cfg(unix)]
#[test]
fn a_directory_is_for_this_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let spill = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(Some(spill.path()), None);
    let file = scratch.create("a").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&scratch.directory().unwrap()), 0o700);
    assert_eq!(mode(file.file().path()), 0o600);
}

#[test]
fn a_panic_removes_the_directory() {
    let spill = tempfile::tempdir().unwrap();
    let path = spill.path().to_owned();
    let result = std::panic::catch_unwind(move || {
        let scratch = Scratch::new(Some(&path), None);
        let _file = scratch.create("a").unwrap();
        assert_eq!(names(&path).len(), 1);
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(result.is_err());
    assert!(names(spill.path()).is_empty());
}

#[test]
fn an_open_file_is_shared_and_closed_with_its_last_reader() {
    let spill = tempfile::tempdir().unwrap();
    let writer = Scratch::new(Some(spill.path()), None).create("a").unwrap();
    let file = Arc::clone(writer.file());
    let open = || match file.open().unwrap() {
        ScratchHandle::Here(handle) => handle,
        ScratchHandle::Elsewhere(_) => panic!("it has no home"),
    };
    assert!(Arc::ptr_eq(&open(), &writer.handle));
    drop(writer);
    assert_eq!(lock(&file.handle).strong_count(), 0);
    let reader = open();
    assert!(Arc::ptr_eq(&reader, &open()));
}

#[test]
fn a_quota_holds_for_all_files_together() {
    let spill = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(Some(spill.path()), Some(10));
    let mut first = scratch.create("first").unwrap();
    let mut second = scratch.create("second").unwrap();
    first.append(&[0; 6]).unwrap();
    let error = second.append(&[0; 5]).unwrap_err();
    match error.kind() {
        ErrorKind::QuotaExceeded {
            path,
            needed_bytes: 5,
            quota_bytes: 10,
            ..
        } => {
            assert_eq!(path, second.file().path());
        }
        other => panic!("expected a quota, got {other}"),
    }
    assert!(error.context().is_some());
    second.append(&[0; 4]).unwrap();
    drop(first);
    second.append(&[0; 6]).unwrap();
}

#[test]
fn a_sweep_takes_what_the_dead_have_left_and_nothing_else() {
    let spill = tempfile::tempdir().unwrap();
    let mine = Scratch::new(Some(spill.path()), None);
    let _file = mine.create("a").unwrap();
    let mut dead = Child::start("scratch::tests::child_holds_scratch", spill.path());
    let living = Child::start("scratch::tests::child_holds_scratch", spill.path());
    fs::create_dir(spill.path().join("other")).unwrap();
    fs::write(spill.path().join("holdall-file"), "").unwrap();
    assert_eq!(names(spill.path()).len(), 5);
    assert_eq!(sweep(spill.path()), 0, "all live");
    dead.kill();
    assert_eq!(names(spill.path()).len(), 5);
    assert_eq!(sweep(spill.path()), 1);
    assert_eq!(names(spill.path()).len(), 4);
    assert!(mine.directory().unwrap().join("lock").exists());
    drop(living); // Killed as well.
    assert_eq!(sweep(spill.path()), 1);
    assert_eq!(sweep(&spill.path().join("missing")), 0);
}

/// Not a test of its own: a process with a scratch directory.
#[test]
fn child_holds_scratch() {
    in_child(|directory, ready| {
        let scratch = Scratch::new(Some(directory), None);
        let mut file = scratch.create("a").unwrap();
        file.append(b"left behind").unwrap();
        ready();
    });
}

#[cfg(unix)]
#[test]
fn a_sweep_follows_no_link() {
    let spill = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("precious"), "").unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), spill.path().join("holdall-link")).unwrap();
    assert_eq!(sweep(spill.path()), 0);
    // A link in an abandoned directory does not belong to holdall, so the directory stays.
    let mut dead = Child::start("scratch::tests::child_holds_scratch", spill.path());
    let left = spill.path().join(&names(spill.path())[0]);
    let left = if left.ends_with("holdall-link") {
        spill.path().join(&names(spill.path())[1])
    } else {
        left
    };
    dead.kill();
    std::os::unix::fs::symlink(elsewhere.path(), left.join("link-1")).unwrap();
    assert_eq!(sweep(spill.path()), 0);
    assert!(elsewhere.path().join("precious").exists() && left.join("a-1").exists());
    fs::remove_file(left.join("link-1")).unwrap();
    assert_eq!(sweep(spill.path()), 1);
    assert_eq!(names(spill.path()), ["holdall-link"]);
}

/// Owners create directories while sweepers sweep. The directory of each owner must stay.
#[test]
fn a_sweep_never_takes_a_directory_that_is_being_made() {
    /// Stops the sweepers, even if an owner fails.
    struct End<'a>(&'a std::sync::atomic::AtomicBool);

    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let spill = tempfile::tempdir().unwrap();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = End(&is_over);
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    sweep(spill.path());
                }
            });
        }
        for _ in 0..300 {
            let scratch = Scratch::new(Some(spill.path()), None);
            let mut file = scratch.create("a").unwrap();
            file.append(b"abc").unwrap();
            assert_eq!(fs::read(file.file().path()).unwrap(), b"abc");
        }
    });
    assert!(names(spill.path()).is_empty());
}

/// A small file system for this test, if this user may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", "size=1m", "none"])
            .arg(directory.path());
        let mounted = command.stderr(Stdio::null()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(directory));
        }
        eprintln!("SKIPPED: no tmpfs can be mounted here, so no disk can be filled");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_an_error_and_nothing_is_left_behind() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let spill = disk.0.path();
    let scratch = Scratch::new(Some(spill), None);
    let mut file = scratch.create("a").unwrap();
    file.append(&vec![1; 600_000]).unwrap();
    let error = file.append(&vec![2; 600_000]).unwrap_err();
    match error.kind() {
        ErrorKind::DiskFull {
            path, needed_bytes, ..
        } => {
            assert_eq!(path, file.file().path());
            assert!(*needed_bytes > 100_000 && *needed_bytes <= 600_000);
        }
        other => panic!("expected a full disk, got {other}"),
    }
    assert_eq!((file.bytes(), scratch.used_bytes()), (600_000, 600_000));
    assert_eq!(fs::metadata(file.file().path()).unwrap().len(), 600_000);
    file.append(&vec![3; 300_000]).unwrap();
    drop((file, scratch));
    assert!(names(spill).is_empty());
}
