//! `pipe`: passes the records of each partition through a program, as lines. Narrow.

mod running;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::running::{INPUT_BYTES, RunningProgram};
use crate::error::{Error, ErrorKind, Result};
use crate::pipeline::{Pipeline, Record, Ref, Text, TextSlice};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

/// A program for [`pipe`](crate::Bag::pipe), with its arguments and environment.
///
/// No shell interprets the arguments. To use one, run `sh -c`.
///
/// # Examples
///
/// ```
/// use holdall::Pipe;
///
/// let shout = Pipe::new("tr").args(["a-z", "A-Z"]).env("LC_ALL", "C");
/// let words = holdall::from_vec(vec!["to".to_owned(), "be".to_owned()]).pipe(shout);
/// assert_eq!(words.collect()?, ["TO", "BE"]);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "a program does nothing until a bag is piped through it"]
pub struct Pipe {
    program: OsString,
    arguments: Vec<OsString>,
    variables: BTreeMap<OsString, OsString>,
    directory: Option<PathBuf>,
}

impl Pipe {
    /// Names the program. If the name has no `/`, it is searched for in the directories of `PATH`.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            variables: BTreeMap::new(),
            directory: None,
        }
    }

    /// Appends an argument.
    pub fn arg(self, argument: impl Into<OsString>) -> Self {
        self.args([argument])
    }

    /// Appends arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item: Into<OsString>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable. All others are those of this process.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Sets the directory in which the program runs. By default, it is that of this process.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(&self.variables);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

impl From<&str> for Pipe {
    fn from(program: &str) -> Self {
        Self::new(program)
    }
}

pub(crate) struct Piped<P> {
    pub(crate) parent: Arc<P>,
    pub(crate) pipe: Pipe,
    pub(crate) site: Site,
}

portable! {
    [P: Portable] Piped<P> { site: part, parent: part, pipe: data }
}

/// The lines that the program has written.
struct Lines<'t, 's, T: ?Sized, S> {
    task: &'t Task<'t>,
    site: Site,
    sink: &'s mut S,
    lines: PhantomData<fn(&T)>,
    /// Whether `sink` needs more lines.
    flow: Flow,
    /// The start of a line whose end has not been read yet.
    start: Vec<u8>,
}

impl<T, S> Lines<'_, '_, T, S>
where
    T: TextSlice + ?Sized,
    S: for<'a> FnMut(Ref<'a, T>) -> Flow,
{
    /// Passes on the lines that end in `bytes`.
    fn push(&mut self, mut bytes: &[u8]) -> Flow {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.start.is_empty() {
                self.emit(line)?;
            } else {
                let mut start = std::mem::take(&mut self.start);
                start.extend_from_slice(line);
                self.emit(&start)?;
            }
            bytes = rest;
        }
        self.start.extend_from_slice(bytes);
        ControlFlow::Continue(())
    }

    /// Passes on the last line if it has no end.
    fn finish(&mut self) -> Flow {
        let start = std::mem::take(&mut self.start);
        match start.is_empty() {
            true => ControlFlow::Continue(()),
            false => self.emit(&start),
        }
    }

    fn emit(&mut self, line: &[u8]) -> Flow {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.flow = match T::from_bytes(line) {
            Ok(line) => (self.sink)(line),
            Err(error) => self.task.fail(self.site, error),
        };
        self.flow
    }
}

impl<P: Pipeline<Out: Text>> Piped<P> {
    fn failed(&self, source: std::io::Error) -> Error {
        Error::io("run", Path::new(&self.pipe.program), source)
    }

    /// Runs the program to its end, after all input has been passed to it.
    fn finish<T, S>(
        &self,
        program: &mut RunningProgram,
        lines: &mut Lines<'_, '_, T, S>,
    ) -> Result<Flow>
    where
        T: TextSlice + ?Sized,
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        let task = lines.task;
        program.end_input();
        let status = loop {
            let mut take = |bytes: &[u8]| lines.push(bytes);
            let flow = program.exchange(&mut take);
            let flow = flow.map_err(|error| self.failed(error))?;
            if flow.is_break() || task.is_stopped() {
                return Ok(ControlFlow::Break(()));
            }
            let status = program.status();
            if let Some(status) = status.map_err(|error| self.failed(error))? {
                break status;
            }
        };
        if status.success() {
            return Ok(lines.finish());
        }
        Err(Error::new(ErrorKind::ProgramFailed {
            context: self.site.into(),
            program: self.pipe.program.to_string_lossy().into_owned(),
            code: status.code(),
            status: status.to_string(),
            stderr: program.stderr(),
        }))
    }
}

impl<P: Pipeline<Out: Text>> Pipeline for Piped<P> {
    type Out = <P::Out as Text>::Slice;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, Self::Out>) -> Flow,
    {
        let started = RunningProgram::start(&mut self.pipe.command());
        let mut program = started.map_err(|error| self.failed(error))?;
        let mut lines = Lines::<<P::Out as Text>::Slice, _> {
            task,
            site: self.site,
            sink,
            flow: ControlFlow::Continue(()),
            start: Vec::new(),
            lines: PhantomData,
        };
        let _ = self.parent.run(partition, task, &mut |record| {
            program.add(P::Out::peek(&record).as_ref());
            while program.pending_bytes() >= INPUT_BYTES {
                if task.is_stopped() {
                    return ControlFlow::Break(());
                }
                match program.exchange(&mut |bytes| lines.push(bytes)) {
                    Ok(flow) => flow?,
                    Err(error) => return task.fail_with(self.failed(error)),
                }
            }
            match program.reads_input() {
                true => ControlFlow::Continue(()),
                // The program needs no more records, but may still write lines.
                false => ControlFlow::Break(()),
            }
        })?;
        if lines.flow.is_break() || task.has_failed() || task.is_stopped() {
            return Ok(ControlFlow::Break(()));
        }
        self.finish(&mut program, &mut lines)
    }
}
