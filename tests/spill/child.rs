//! Runs this test program again as a process that can be killed, measured, or prevented from writing.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Lines, Read};
use std::path::{Path, PathBuf};
use std::process::{Child as Process, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};

const DIRECTORY: &str = "HOLDALL_TEST_CHILD_DIRECTORY";
const WORK: &str = "HOLDALL_TEST_CHILD_WORK";

/// Returns the command that runs one test of this program as a child that does `work`.
pub(crate) fn command(test: &str, directory: &Path, work: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    set(&mut command, directory, work);
    command
}

/// Like [`command`], but through a shell that runs `before` first.
#[cfg(unix)]
pub(crate) fn command_after(before: &str, test: &str, directory: &Path, work: &str) -> Command {
    let plain = command(test, directory, work);
    let mut command = Command::new("sh");
    let script = format!("{before}; exec \"$0\" \"$@\"");
    command.args([OsStr::new("-c"), script.as_ref(), plain.get_program()]);
    command.args(plain.get_args());
    set(&mut command, directory, work);
    command
}

fn set(command: &mut Command, directory: &Path, work: &str) {
    command.env(DIRECTORY, directory).env(WORK, work);
    command.stdin(Stdio::piped()).stdout(Stdio::null());
}

/// Returns the directory and the work if this process is a child.
pub(crate) fn task() -> Option<(PathBuf, String)> {
    let directory = std::env::var_os(DIRECTORY)?;
    Some((directory.into(), std::env::var(WORK).ok()?))
}

/// Called in a child: restores the default of signals that it may have inherited as ignored, for example from `nohup`
/// or a shell's `&`.
#[cfg(unix)]
#[expect(unsafe_code, reason = "a shell cannot do it, and std has no signals")]
pub(crate) fn heed_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the call takes numbers, and no other thread of this child handles signals yet.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Called in a child: reports that it is ready, then waits to be killed.
pub(crate) fn wait_for_the_end() {
    eprintln!("ready");
    // Wait until the parent has ended.
    let _ = std::io::stdin().read(&mut [0]);
}

/// A process that has reported that it is ready.
pub(crate) struct Child {
    process: Process,
    /// Kept away from `Process::wait`, which would close it, and the child would continue.
    _input: Option<ChildStdin>,
    _errors: Lines<BufReader<ChildStderr>>,
}

impl Child {
    pub(crate) fn start(test: &str, directory: &Path, work: &str) -> Self {
        let mut command = command(test, directory, work);
        let process = command.stderr(Stdio::piped()).spawn();
        let mut process = process.expect("start this program again");
        let input = process.stdin.take();
        let mut errors = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        let is_ready = errors.by_ref().map_while(Result::ok).any(|l| l == "ready");
        let child = Self {
            process,
            _input: input,
            _errors: errors,
        };
        assert!(is_ready, "{test} did not get ready");
        child
    }

    /// Sends a signal by its name, such as `INT`.
    pub(crate) fn send(&self, signal: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.expect("kill can be run").success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait().expect("it is a child of ours")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
