//! Runs the program under a fault and judges what came of it.

use std::fmt;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::common::{Files, concatenation, names_in};
use super::faults::{self, Control, Effect, Fault, Operation, Times};
use super::program::{self, FAILED, OUTPUT, OUTPUTS, SPILL, TEXT};

/// After which a run counts as hanging. Most take a tenth of a second.
const LIMIT: Duration = Duration::from_secs(30);

/// How long processes may take to end after the program has.
const END: Duration = Duration::from_secs(10);

/// The content of the output before it is overwritten.
const OLD: &str = "old\n";

/// One run of the program.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) work: &'static str,
    pub(crate) executor: &'static str,
    /// The names and values of resource limits, or nothing.
    pub(crate) limits: String,
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

/// What became of a run that behaved well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Right,
    Error,
}

/// What a run gave.
pub(crate) struct Report {
    /// Or what was wrong with it.
    pub(crate) outcome: Result<Outcome, String>,
    /// How many calls were affected.
    pub(crate) affected: u64,
    /// How many calls of each kind there were.
    pub(crate) counts: Vec<u64>,
}

/// A directory in which the program runs.
pub(crate) struct Place {
    files: Files,
    /// What `write_text` writes.
    new: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        let files = Files::new();
        let lines = program::text().into_iter().map(|line| line + "\n");
        let new: String = lines.collect();
        files.write(TEXT, &new);
        Self { files, new }
    }

    /// Runs the program, and again without a fault if it had no chance to clean up.
    pub(crate) fn run(&self, run: &Run) -> Report {
        for name in [SPILL, OUTPUTS] {
            let _ = fs::remove_dir_all(self.files.path(name));
            fs::create_dir(self.files.path(name)).expect("room for a directory");
        }
        if run.work == "overwrite" {
            self.files.write("outputs/output/part-00000", OLD);
        }
        let (outcome, control) = self.start_and_judge(run);
        let outcome = outcome.and_then(|outcome| {
            self.clean_up(run)?;
            Ok(outcome)
        });
        let counts = Operation::ALL.iter();
        Report {
            outcome,
            affected: control.affected(),
            counts: counts.map(|operation| control.count(*operation)).collect(),
        }
    }

    /// Checks that nothing is left; or, after a fault that does not end, that the next run removes what is.
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
        let control = Control::create(&self.files.path("faults"), run.fault);
        let control = control.expect("room for a file");
        let mut child = self.start(run);
        let outcome = match wait(&mut child) {
            Some(status) => self.judge(run, status, &control),
            None => Err(format!("it was not done after {LIMIT:?}")),
        };
        let _ = child.kill();
        let _ = child.wait();
        (end_workers(&control).and(outcome), control)
    }

    fn start(&self, run: &Run) -> Child {
        let file = |name| File::create(self.files.path(name)).expect("room for a file");
        let task = format!("{} {} {}", run.work, run.executor, run.limits);
        let variable = faults::VARIABLE.to_str().expect("ASCII");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args([
            "program::program",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ]);
        command.current_dir(self.files.root());
        command.env(program::VARIABLE, task);
        command.env(variable, self.files.path("faults"));
        command.stdin(Stdio::null()).stdout(file("stdout"));
        command.stderr(file("stderr"));
        command.spawn().expect("start this program again")
    }

    fn judge(&self, run: &Run, status: ExitStatus, control: &Control) -> Result<Outcome, String> {
        let errors = fs::read(self.files.path("stderr")).unwrap_or_default();
        let errors = String::from_utf8_lossy(&errors);
        let error = errors
            .lines()
            .find_map(|line| line.strip_prefix(program::ERROR));
        let outcome = match status.code() {
            Some(0) => Outcome::Right,
            Some(FAILED) if error.is_some_and(|message| !message.is_empty()) => Outcome::Error,
            _ => return Err(format!("it ended with {status}: {errors}")),
        };
        if errors.contains("panicked") {
            return Err(format!("it panicked: {errors}"));
        }
        let expected = program::checksum(&program::expected(run.work));
        if outcome == Outcome::Right && control.answer() != expected {
            return Err("the answer is wrong".to_owned());
        }
        let output = self.output(&self.files.path(OUTPUT));
        let is_right = match (run.work, outcome) {
            ("write_text" | "overwrite", Outcome::Right) => output == Output::New,
            ("write_text", Outcome::Error) => matches!(output, Output::None | Output::New),
            ("overwrite", Outcome::Error) => self.has_output(run),
            _ => output == Output::None,
        };
        if !is_right {
            return Err(format!("the output is {output:?}: {errors}"));
        }
        Ok(outcome)
    }

    /// Whether the old output or the new one is where it should be. If no call to move it back succeeds, the old one
    /// may be beside its place, until the next run.
    fn has_output(&self, run: &Run) -> bool {
        let is_whole = |path: &Path| matches!(self.output(path), Output::Old | Output::New);
        let outputs = self.files.path(OUTPUTS);
        let aside = || {
            let names = names_in(&outputs).into_iter();
            let paths = names.flat_map(|name| {
                let names = names_in(&outputs.join(&name)).into_iter();
                names.map(move |inner| Path::new(&name).join(inner))
            });
            paths.map(|path| outputs.join(path)).collect::<Vec<_>>()
        };
        let lasts = run.fault.is_none_or(|fault| fault.times == Times::Always);
        is_whole(&self.files.path(OUTPUT)) || lasts && aside().iter().any(|path| is_whole(path))
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

    /// What a run has left behind.
    fn left(&self) -> Vec<String> {
        let mut left = names_in(&self.files.path(SPILL));
        left.extend(names_in(&self.files.path(OUTPUTS)));
        left.retain(|name| name != "output");
        left
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Output {
    None,
    Old,
    New,
    Other,
}

/// How a process ended, if it did in time.
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

/// Waits until all workers have ended, and ends those that do not.
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
