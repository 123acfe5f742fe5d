//! The clean-up when the process ends: what it owns goes, and then it ends as it would have without us.
//!
//! At a signal the program comes first. SIGINT, SIGTERM and SIGHUP are handled only if the program neither handles nor
//! ignores them when the first directory is made. When a signal arrives, nothing is done if the program has put a handler
//! over ours since (and calls ours from it, as `signal-hook` and tokio do): that program ends in its own way, and drops
//! its jobs then.
//!
//! A signal handler may call next to nothing, so it only notes the signal and writes a byte to a pipe; a thread that
//! waits at the other end does the work. The crate `signal-hook` would do the same without `unsafe` of ours, but
//! cannot tell whether another handler was added later.
//!
//! At a plain exit the directories go whose owners are never dropped: those in statics, and all of them after
//! `std::process::exit`. Threads may still run then; no directory can be made any more.

#[cfg(unix)]
use std::sync::OnceLock;

/// Removes what this process owns.
#[cfg(unix)]
static CLEAN_UP: OnceLock<fn()> = OnceLock::new();

/// Starts to look after the end of this process, once in each copy of it. `clean_up` is called at the end.
#[cfg(unix)]
pub(crate) fn install(clean_up: fn()) {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::system;

    /// The process that this was last done in.
    static DONE_IN: AtomicU64 = AtomicU64::new(0);
    CLEAN_UP.get_or_init(|| clean_up);
    system::look_after_forks();
    system::at_exit(on_exit);
    outlive_long_files();
    let process = system::process_number();
    // Without a pipe or a thread, what is left is swept later, as after `kill -9`; the next directory tries again.
    if DONE_IN.swap(process, Ordering::SeqCst) != process && try_install().is_err() {
        DONE_IN.store(0, Ordering::SeqCst);
    }
}

/// Makes a write beyond the limit to the length of files (`RLIMIT_FSIZE`) an error, which names the file. Without a
/// handler the signal would end the process, and leave its files.
#[cfg(unix)]
pub(crate) fn outlive_long_files() {
    super::system::outlive_if_default(libc::SIGXFSZ);
}

/// Does nothing: other systems have no such limit.
#[cfg(not(unix))]
pub(crate) fn outlive_long_files() {}

/// Does nothing: other systems leave everything to the next sweep.
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

/// Waits for signals, and ends the process by the first that is ours to handle.
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
    if let Some(clean_up) = CLEAN_UP.get() {
        clean_up();
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

    /// Not a test by itself: a process with two scratch directories.
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

    /// Not a test by itself: a process as `nohup` starts it.
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

    /// Not a test by itself: a process whose program puts a handler over ours that calls ours.
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
