//! Runs the program with a fault, and judges the outcome.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::common::{concatenation, names_in};
use super::faults::{self, Control, Effect, Fault, Operation, Times};
use super::program::{self, FAILED, OUTPUT, OUTPUTS, SAVED, SPILL, TEXT};

/// Time after which a run counts as hanging. Most runs take a tenth of a second.
const LIMIT: Duration = Duration::from_secs(30);

/// Maximum time that processes may take to end after the program has ended.
const END: Duration = Duration::from_secs(10);

/// The content of the output before it is overwritten.
const OLD: &str = "old\n";

/// One run of the program.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) work: &'static str,
    pub(crate) executor: &'static str,
    /// Names and values of resource limits, or empty.
    pub(crate) limits: String,
    /// User of the program, if it differs from that of the harness. The harness must then run as root.
    pub(crate) user: Option<u32>,
    pub(crate) fault: Option<Fault>,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.work, self.executor, self.limits)?;
        let Some(fault) = self.fault else {
            return Ok(());
        };
        let effect = match fault.effect {
            Effect::Error(error) => std::io::Error::from_raw_os_error(error).to_string(),
            Effect::Short => "short".to_owned(),
        };
        let (label, times, scope) = (fault.operation.label(), fault.times, fault.scope);
        write!(f, "{label} {} {times:?} {scope:?}: {effect}", fault.first)
    }
}

/// Outcome of a correct run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Right,
    Error,
}

/// Result of a run.
pub(crate) struct Report {
    /// The outcome, or a description of the misbehaviour.
    pub(crate) outcome: Result<Outcome, String>,
    /// Message of the program's error, if it ended with one.
    pub(crate) message: Option<String>,
    /// Number of affected calls.
    pub(crate) affected: u64,
    /// Number of calls of each kind.
    pub(crate) counts: Vec<u64>,
}

/// A directory in which the program runs.
pub(crate) struct Scene<'a> {
    root: &'a Path,
    /// Output of `write_text`.
    new: String,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(root: &'a Path) -> Self {
        let lines = program::text().into_iter().map(|line| line + "\n");
        let new: String = lines.collect();
        fs::write(root.join(TEXT), &new).expect("room for a file");
        open_to_all(root);
        Self { root, new }
    }

    /// Runs the program. If it had no chance to clean up, runs it again without a fault.
    pub(crate) fn run(&self, run: &Run) -> Report {
        for directory in [self.root.join(SPILL), self.root.join(OUTPUTS)] {
            let _ = fs::remove_dir_all(&directory);
            fs::create_dir(&directory).expect("room for a directory");
            open_to_all(&directory);
        }
        if run.work == "overwrite" {
            let output = self.root.join(OUTPUT);
            fs::create_dir(&output).expect("room for a directory");
            open_to_all(&output);
            fs::write(output.join("part-00000"), OLD).expect("room for a file");
        }
        let (outcome, control) = self.start_and_judge(run);
        let outcome = outcome.and_then(|outcome| {
            self.clean_up(run)?;
            Ok(outcome)
        });
        let counts = Operation::ALL.iter();
        Report {
            outcome,
            message: control.answer().err(),
            affected: control.affected(),
            counts: counts.map(|operation| control.count(*operation)).collect(),
        }
    }

    /// Checks that nothing is left, or, after a permanent fault, that the next run removes the rest.
    fn clean_up(&self, run: &Run) -> Result<(), String> {
        let left = self.left();
        if left.is_empty() {
            return Ok(());
        }
        let lasts = run.fault.is_none_or(|fault| fault.times == Times::Always);
        if !lasts {
            return Err(format!("it left {left:?}"));
        }
        let next = Run {
            work: "overwrite",
            executor: "inline",
            limits: String::new(),
            user: run.user,
            fault: None,
        };
        match (self.start_and_judge(&next).0, self.left()) {
            (Err(reason), _) => Err(format!("it left {left:?}; the next run failed: {reason}")),
            (Ok(_), still) if !still.is_empty() => {
                Err(format!("it left {left:?}; the next run left {still:?}"))
            }
            _ => Ok(()),
        }
    }

    fn start_and_judge(&self, run: &Run) -> (Result<Outcome, String>, Control) {
        let faults = self.root.join("faults");
        let control = Control::create(&faults, run.fault).expect("room for a file");
        open_to_all(&faults);
        let mut child = self.start(run);
        let stderr = child.stderr.take().expect("a pipe");
        let errors = thread::spawn(move || io::read_to_string(stderr).unwrap_or_default());
        let status = wait(&mut child);
        let _ = child.kill();
        let _ = child.wait();
        let ended = end_workers(&control);
        let errors = errors.join().expect("a text");
        let outcome = match status {
            Some(status) => self.judge(run, status, &errors, &control),
            None => Err(format!("it was not done after {LIMIT:?}: {errors}")),
        };
        (ended.and(outcome), control)
    }

    fn start(&self, run: &Run) -> Child {
        let task = format!("{} {} {}", run.work, run.executor, run.limits);
        let variable = faults::VARIABLE.to_str().expect("ASCII");
        // This path leads to the program from any directory, and for any user.
        let mut command = Command::new("/proc/self/exe");
        command.args(["program::program", "--exact", "--nocapture"]);
        command.args(["--test-threads", "1"]);
        command.current_dir(self.root).env(program::VARIABLE, task);
        command.env(variable, self.root.join("faults"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::piped());
        if let Some(user) = run.user {
            command.uid(user).gid(user);
        }
        command.spawn().expect("start this program again")
    }

    fn judge(
        &self,
        run: &Run,
        status: ExitStatus,
        errors: &str,
        control: &Control,
    ) -> Result<Outcome, String> {
        let outcome = match (status.code(), control.answer()) {
            (Some(0), Ok(answer)) => {
                if answer != program::checksum(&program::expected(run.work)) {
                    return Err("the answer is wrong".to_owned());
                }
                Outcome::Right
            }
            (Some(FAILED), Err(_)) => Outcome::Error,
            _ if is_out_of_memory(run, status, errors) => Outcome::Error,
            _ => return Err(format!("it ended with {status}: {errors}")),
        };
        if errors.contains("panicked") {
            return Err(format!("it panicked: {errors}"));
        }
        let saved = self.root.join(SAVED);
        if saved.exists() {
            let answer = holdall::load::<String>(saved).and_then(|lines| lines.collect());
            let mut answer: Vec<String> = answer.map_err(|error| error.to_string())?;
            answer.sort();
            if answer != program::expected("checkpoint") {
                return Err("the saved bag is wrong".to_owned());
            }
        }
        let output = self.output(&self.root.join(OUTPUT));
        let is_right = match (run.work, outcome) {
            ("write_text" | "overwrite", Outcome::Right) => output == Output::New,
            ("write_text", Outcome::Error) => matches!(output, Output::None | Output::New),
            ("overwrite", Outcome::Error) => self.has_output(run),
            _ => output == Output::None,
        };
        if !is_right {
            let answer = control.answer();
            return Err(format!("the output is {output:?}: {answer:?}"));
        }
        Ok(outcome)
    }

    /// Returns `true` if the old or the new output is at its path. If no call to move it back succeeds, the old output
    /// may be next to its path until the next run.
    fn has_output(&self, run: &Run) -> bool {
        let is_whole = |path: &Path| matches!(self.output(path), Output::Old | Output::New);
        let outputs = self.root.join(OUTPUTS);
        let aside = || {
            let names = names_in(&outputs).into_iter();
            let paths = names.flat_map(|name| {
                let names = names_in(&outputs.join(&name)).into_iter();
                names.map(move |inner| Path::new(&name).join(inner))
            });
            paths.map(|path| outputs.join(path)).collect::<Vec<_>>()
        };
        let lasts = run.fault.is_none_or(|fault| fault.times == Times::Always);
        is_whole(&self.root.join(OUTPUT)) || lasts && aside().iter().any(|path| is_whole(path))
    }

    fn output(&self, path: &Path) -> Output {
        if !path.is_dir() {
            return Output::None;
        }
        match concatenation(path) {
            text if text == OLD => Output::Old,
            text if text == self.new => Output::New,
            _ => Output::Other,
        }
    }

    /// Returns the names of the files that a run has left behind.
    fn left(&self) -> Vec<String> {
        let mut left = names_in(&self.root.join(SPILL));
        left.extend(names_in(&self.root.join(OUTPUTS)));
        left.retain(|name| name != "output" && name != "saved");
        left
    }
}

/// Returns `true` if the system refused memory to a program with a limit on memory. Rust then ends the process.
fn is_out_of_memory(run: &Run, status: ExitStatus, errors: &str) -> bool {
    run.limits.contains("as=")
        && status.signal() == Some(libc::SIGABRT)
        && errors.contains("memory allocation of")
}

/// Lets programs of other users write to the directory.
fn open_to_all(path: &Path) {
    let all = fs::Permissions::from_mode(0o777);
    fs::set_permissions(path, all).expect("something of this user's");
}

#[derive(Debug, PartialEq, Eq)]
enum Output {
    None,
    Old,
    New,
    Other,
}

/// Returns the exit status of a process, or `None` if it did not end in time.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("it is a child of ours") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(1));
    }
    None
}

/// Waits until all workers have ended, and kills those that do not end.
fn end_workers(control: &Control) -> Result<(), String> {
    let is_running = |id: &u32| {
        let name = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        name.starts_with(b"holdall-worker")
    };
    let deadline = Instant::now() + END;
    loop {
        let mut running = control.processes();
        running.retain(is_running);
        if running.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            for id in &running {
                let _ = Command::new("kill")
                    .args(["-KILL", &id.to_string()])
                    .status();
            }
            return Err(format!("workers still ran: {running:?}"));
        }
        thread::sleep(Duration::from_millis(1));
    }
}
