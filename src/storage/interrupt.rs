//! Clean-up at the end of the process: removes the directories that the process owns, and then lets it end normally.
//!
//! On a signal, handlers of the user take precedence. This module handles SIGINT, SIGTERM and SIGHUP only if the
//! program neither handles nor ignores them when the first directory is created. If the program later installs another
//! handler, which calls this one as `signal-hook` and tokio do, this one does nothing: such a program ends in its own
//! way, and drops its jobs.
//!
//! A signal handler may call almost nothing. So it only records the signal and writes a byte to a pipe; a thread that
//! waits at the other end does the work. The crate `signal-hook` would need no `unsafe` code here, but cannot detect
//! that another handler was installed later.
//!
//! At a normal exit, this module removes the directories whose owners are never dropped: those in statics, and all of
//! them after `std::process::exit`. Other threads may still run at that time, but can no longer create directories.

#[cfg(unix)]
use std::sync::OnceLock;

/// Removes the directories that this process owns.
#[cfg(unix)]
static CLEAN_UP: OnceLock<fn()> = OnceLock::new();

/// Other work at the end of the process.
#[cfg(unix)]
static LAST_WORK: OnceLock<fn()> = OnceLock::new();

/// Installs the clean-up at the end of this process, once in the process and in each forked copy. `clean_up` is called
/// at the end.
#[cfg(unix)]
pub(crate) fn install(clean_up: fn()) {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::system;

    /// The process in which this was last done.
    static DONE_IN: AtomicU64 = AtomicU64::new(0);
    CLEAN_UP.get_or_init(|| clean_up);
    system::look_after_forks();
    system::at_exit(on_exit);
    outlive_long_files();
    let process = system::process_number();
    // If there is no pipe or thread, a later sweep removes the directories, as after `kill -9`. The next directory
    // tries again.
    if DONE_IN.swap(process, Ordering::SeqCst) != process && try_install().is_err() {
        DONE_IN.store(0, Ordering::SeqCst);
    }
}

/// Calls `work`, the same in each call, when `main` returns or the user's code calls `exit`. If directories exist, also
/// when a signal ends the process. `work` must not unwind. Other systems than Unix do not call it.
#[cfg(feature = "status")]
pub(crate) fn at_exit(work: fn()) {
    #[cfg(unix)]
    {
        LAST_WORK.get_or_init(|| work);
        super::system::at_exit(on_exit);
    }
    #[cfg(not(unix))]
    let _ = work;
}

/// Turns a write beyond the limit for the length of files (`RLIMIT_FSIZE`) into an error that names the file. Without a
/// handler, the signal would end the process and leave its files behind.
#[cfg(unix)]
pub(crate) fn outlive_long_files() {
    super::system::outlive_if_default(libc::SIGXFSZ);
}

/// Does nothing: other systems have no such limit.
#[cfg(not(unix))]
pub(crate) fn outlive_long_files() {}

/// Does nothing: on other systems, the next sweep removes the directories.
#[cfg(not(unix))]
pub(crate) fn install(_: fn()) {}

#[cfg(unix)]
fn try_install() -> std::io::Result<()> {
    use super::system;

    let (reader, writer) = std::io::pipe()?;
    std::thread::Builder::new()
        .name("holdall-interrupt".to_owned())
        .spawn(move || watch(reader))?;
    system::wake_by(writer);
    for signal in system::SIGNALS {
        system::handle_if_default(signal);
    }
    Ok(())
}

/// Waits for signals, and ends the process at the first one that this module handles.
#[cfg(unix)]
fn watch(mut pipe: std::io::PipeReader) {
    use super::system;

    let mut byte = [0];
    while std::io::Read::read_exact(&mut pipe, &mut byte).is_ok() {
        let signal = system::received_signal();
        if system::is_handled_by_us(signal) {
            clean_up();
            system::end_by(signal);
        }
    }
}

#[cfg(unix)]
extern "C" fn on_exit() {
    clean_up();
}

#[cfg(unix)]
fn clean_up() {
    for work in [&CLEAN_UP, &LAST_WORK]
        .into_iter()
        .filter_map(OnceLock::get)
    {
        work();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::path::Path;

    use super::super::live;
    use super::super::scratch::Scratch;
    use super::super::scratch::tests::{Child, in_child};
    use super::super::system;

    fn entries(directory: &Path) -> usize {
        std::fs::read_dir(directory).expect("read").count()
    }

    #[test]
    fn scratch_goes_at_each_signal_and_the_process_ends_by_it() {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            let directory = tempfile::tempdir().unwrap();
            let mut child = Child::start("interrupt::tests::child_waits", directory.path());
            assert_eq!(entries(directory.path()), 2);
            child.send(signal);
            assert_eq!(child.wait().signal(), Some(signal));
            assert_eq!(entries(directory.path()), 0);
        }
    }

    /// Child process of a test: has two scratch directories.
    #[test]
    fn child_waits() {
        in_child(|directory, ready| {
            let scratch = [(); 2].map(|()| Scratch::new(Some(directory), None));
            let files = scratch
                .each_ref()
                .map(|scratch| scratch.create("a").unwrap());
            assert_eq!(live::paths().len(), 2);
            ready();
            drop(files);
        });
    }

    #[test]
    fn a_signal_that_is_ignored_stays_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Child::start("interrupt::tests::child_ignores_hangups", directory.path());
        child.send(libc::SIGHUP);
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(entries(directory.path()), 1, "the child goes on");
        child.send(libc::SIGTERM);
        assert_eq!(child.wait().signal(), Some(libc::SIGTERM));
        assert_eq!(entries(directory.path()), 0);
    }

    /// Child process of a test: started as by `nohup`.
    #[test]
    fn child_ignores_hangups() {
        in_child(|directory, ready| {
            system::ignore(libc::SIGHUP);
            let scratch = Scratch::new(Some(directory), None);
            let _file = scratch.create("a").unwrap();
            ready();
        });
    }

    #[test]
    fn a_handler_that_came_later_wins() {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Child::start("interrupt::tests::child_is_handled_later", directory.path());
        child.send(libc::SIGINT);
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(entries(directory.path()), 1, "the child goes on");
        child.send(libc::SIGTERM);
        child.wait();
    }

    /// Child process of a test: installs a handler later that calls ours.
    #[test]
    fn child_is_handled_later() {
        in_child(|directory, ready| {
            let scratch = Scratch::new(Some(directory), None);
            let _file = scratch.create("a").unwrap();
            system::cover_our_handler(libc::SIGINT);
            ready();
        });
    }
}
