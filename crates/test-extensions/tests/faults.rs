//! Sources and sinks that fail, panic, die, go on after a break, or never end.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use holdall::events::{Event, JobOutcome};
use holdall::{
    Attempt, Bag, BoxError, Context, Error, ErrorKind, Executor, PartitionWriter, Pipeline,
    Reading, Sink, Source,
};
use holdall_test_extensions::Recorder;
use serde::{Deserialize, Serialize};

/// Entry point of worker processes.
#[test]
fn holdall_worker() {
    holdall::init();
}

const PROCESSES: Executor = Executor::Processes(2);

fn on(executor: Executor) -> (Context, Recorder) {
    let recorder = Recorder::default();
    let builder = Context::builder().executor(executor).progress(false);
    let context = builder.observer(recorder.clone()).build();
    (context.expect("the settings are right"), recorder)
}

/// Runs `behaviour` on each executor.
fn on_every_executor(behaviour: impl Fn(&Context, &Recorder)) {
    for executor in [Executor::Inline, Executor::Threads(2), PROCESSES] {
        let (context, recorder) = on(executor);
        behaviour(&context, &recorder);
    }
}

/// Failure at a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Fault {
    None,
    /// An error.
    Fail,
    /// An error of this library.
    FailAsOurs,
    Panic,
    /// The process ends, if it can delete the file.
    Die(PathBuf),
}

impl Fault {
    fn occur(&self) -> Result<(), BoxError> {
        match self {
            Self::None => Ok(()),
            Self::Fail => Err("on purpose".into()),
            // This action fails, because it runs within a task.
            Self::FailAsOurs => Ok(holdall::range(0..1).count().map(drop)?),
            Self::Panic => panic!("on purpose"),
            Self::Die(file) if fs::remove_file(file).is_ok() => process::abort(),
            Self::Die(_) => Ok(()),
        }
    }
}

/// A file whose deletion is the right to die once.
fn die_once(directory: &Path) -> Fault {
    let file = directory.join("alive");
    fs::write(&file, "").expect("room for a file");
    Fault::Die(file)
}

const PARTITIONS: u64 = 4;
const RECORDS: u64 = 5_000;
/// The record at which a fault occurs: number 1,235 of partition 2.
const BAD: u64 = 2 * RECORDS + 1_234;

/// Consecutive numbers.
#[derive(Serialize, Deserialize)]
struct Numbers {
    fault: Fault,
    /// Whether it goes on after a break, and then fails.
    is_stubborn: bool,
}

impl Source for Numbers {
    type Split = u64;
    type Item = u64;

    fn splits(&self) -> Result<Vec<u64>, BoxError> {
        Ok((0..PARTITIONS).collect())
    }

    fn read(
        &self,
        split: &u64,
        reading: &Reading<'_>,
        mut emit: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), BoxError> {
        reading.set_record(1);
        for number in split * RECORDS..(split + 1) * RECORDS {
            if number == BAD {
                self.fault.occur()?;
            }
            let flow = emit(number);
            if flow.is_break() && !self.is_stubborn {
                return Ok(());
            }
        }
        if self.is_stubborn {
            Err("on purpose".into())
        } else {
            Ok(())
        }
    }
}

fn numbers(context: &Context, fault: Fault) -> Bag<u64, impl Pipeline<Out = u64> + use<>> {
    let is_stubborn = false;
    let numbers = context.from_source(Numbers { fault, is_stubborn });
    numbers.expect("splits")
}

/// Calls of a sink.
type Calls = Arc<Mutex<Vec<&'static str>>>;

/// Keeps the records of each partition.
struct Memory {
    fault: Fault,
    commit_fault: Fault,
    calls: Calls,
    is_committed: bool,
}

#[derive(Serialize, Deserialize)]
struct MemoryWriter {
    fault: Fault,
}

impl Memory {
    fn new(fault: Fault) -> (Self, Calls) {
        let calls = Calls::default();
        let sink = Self {
            fault,
            commit_fault: Fault::None,
            calls: Arc::clone(&calls),
            is_committed: false,
        };
        (sink, calls)
    }

    fn call(&self, name: &'static str) {
        self.calls.lock().expect("no panic").push(name);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if !self.is_committed {
            self.call("abort");
        }
    }
}

impl Sink<u64> for Memory {
    type Writer = MemoryWriter;
    type Output = Vec<Vec<u64>>;

    fn begin(&mut self, partitions: Option<usize>) -> Result<MemoryWriter, BoxError> {
        self.call(if partitions.is_some() {
            "begin"
        } else {
            "begin a stream"
        });
        Ok(MemoryWriter {
            fault: self.fault.clone(),
        })
    }

    fn commit(mut self, parts: Vec<Vec<u64>>) -> Result<Vec<Vec<u64>>, BoxError> {
        self.call("commit");
        self.commit_fault.occur()?;
        self.is_committed = true;
        Ok(parts)
    }
}

impl PartitionWriter<u64> for MemoryWriter {
    type Open = Vec<u64>;
    type Part = Vec<u64>;

    fn open(&self, attempt: &Attempt) -> Result<Vec<u64>, BoxError> {
        assert!((attempt.partition() as u64) < PARTITIONS);
        Ok(Vec::new())
    }

    fn write(&self, records: &mut Vec<u64>, record: u64) -> Result<(), BoxError> {
        if record == BAD {
            self.fault.occur()?;
        }
        records.push(record);
        Ok(())
    }

    fn finish(&self, records: Vec<u64>) -> Result<Vec<u64>, BoxError> {
        Ok(records)
    }
}

fn calls(calls: &Calls) -> Vec<&'static str> {
    calls.lock().expect("no panic").clone()
}

fn assert_is_whole(written: &[Vec<u64>]) {
    assert_eq!(written.len() as u64, PARTITIONS);
    assert!(
        written
            .iter()
            .flatten()
            .copied()
            .eq(0..PARTITIONS * RECORDS)
    );
}

#[test]
fn a_sink_is_begun_and_committed_once() {
    on_every_executor(|context, _| {
        let (sink, called) = Memory::new(Fault::None);
        let written = numbers(context, Fault::None)
            .write(sink)
            .expect("an output");
        assert_is_whole(&written);
        assert_eq!(calls(&called), ["begin", "commit"]);

        let (sink, called) = Memory::new(Fault::None);
        assert!(context.empty().write(sink).expect("an output").is_empty());
        assert_eq!(calls(&called), ["begin", "commit"]);

        let (sink, called) = Memory::new(Fault::None);
        let written = context.from_iter(0..10).write(sink).expect("an output");
        assert_eq!(written, [(0..10).collect::<Vec<_>>()]);
        assert_eq!(calls(&called), ["begin a stream", "commit"]);
    });
}

#[track_caller]
fn assert_place(error: &Error, operator: &str, record: Option<u64>) {
    let place = error.context().expect("a place");
    assert_eq!(place.operator, Some(operator), "{error}");
    assert_eq!(place.location.map(|at| at.file()), Some(file!()), "{error}");
    assert_eq!(
        (place.stage, place.partition),
        (Some(1), Some(2)),
        "{error}"
    );
    assert_eq!(place.record, record, "{error}");
}

#[test]
fn a_fault_of_a_source_ends_the_job_with_its_place() {
    on_every_executor(|context, recorder| {
        let record = Some(BAD - 2 * RECORDS + 1);
        let error = numbers(context, Fault::Fail).count().expect_err("it fails");
        assert!(matches!(error.kind(), ErrorKind::Read { .. }), "{error:?}");
        assert_place(&error, "from_source", record);
        assert!(
            error.to_string().ends_with("record 1235): on purpose"),
            "{error}"
        );

        let error = numbers(context, Fault::Panic)
            .count()
            .expect_err("it panics");
        assert!(
            matches!(error.kind(), ErrorKind::TaskPanicked { .. }),
            "{error:?}"
        );
        assert_place(&error, "from_source", record);
        let events = recorder.take();
        let done = events.last().expect("events");
        let is_failed = |outcome: &JobOutcome| matches!(outcome, JobOutcome::Failed { context, .. } if context.is_some());
        assert!(
            matches!(done, Event::JobDone { outcome, .. } if is_failed(outcome)),
            "{done:?}"
        );

        let error = numbers(context, Fault::FailAsOurs)
            .count()
            .expect_err("it fails");
        assert!(matches!(error.kind(), ErrorKind::NestedJob), "{error:?}");
    });
}

#[test]
fn a_fault_of_a_sink_ends_the_job_and_the_sink() {
    on_every_executor(|context, _| {
        for (fault, is_panic) in [(Fault::Fail, false), (Fault::Panic, true)] {
            let (sink, called) = Memory::new(fault);
            let error = numbers(context, Fault::None)
                .write(sink)
                .expect_err("it fails");
            match error.kind() {
                ErrorKind::TaskPanicked { .. } => assert!(is_panic, "{error}"),
                ErrorKind::Write { .. } => assert!(!is_panic, "{error}"),
                _ => panic!("{error:?}"),
            }
            assert_place(&error, "write", Some(BAD - 2 * RECORDS + 1));
            assert_eq!(calls(&called), ["begin", "abort"]);
        }
        for fault in [Fault::Fail, Fault::Panic] {
            let (mut sink, called) = Memory::new(Fault::None);
            sink.commit_fault = fault;
            let error = numbers(context, Fault::None)
                .write(sink)
                .expect_err("it fails");
            assert_eq!(
                error.context().and_then(|place| place.operator),
                Some("write")
            );
            assert_eq!(calls(&called), ["begin", "commit", "abort"]);
        }
        let (sink, called) = Memory::new(Fault::None);
        let failing = numbers(context, Fault::Fail).write(sink);
        let error = failing.expect_err("the source fails");
        assert!(matches!(error.kind(), ErrorKind::Read { .. }), "{error:?}");
        assert_eq!(calls(&called), ["begin", "abort"]);
    });
}

#[test]
fn a_source_may_go_on_after_a_break() {
    on_every_executor(|context, _| {
        let numbers = Numbers {
            fault: Fault::None,
            is_stubborn: true,
        };
        let numbers = context.from_source(numbers).expect("splits");
        assert_eq!(numbers.take(3).expect("records"), [0, 1, 2]);
        assert!(!numbers.is_empty().expect("records"));
        // The error of a closure is not hidden by the one that follows.
        let failing = numbers
            .clone()
            .select_partitions(0..1)
            .try_map(|n| if n == 7 { Err("seven") } else { Ok(n) });
        let error = failing.count().expect_err("it fails");
        assert!(error.to_string().ends_with("record 8): seven"), "{error}");
        assert!(
            numbers.count().is_err(),
            "without a break, its error counts"
        );
    });
}

#[test]
fn a_worker_that_dies_while_it_reads_costs_no_record() {
    let directory = tempfile::tempdir().expect("a directory");
    let (context, recorder) = on(PROCESSES);
    let numbers = numbers(&context, die_once(directory.path()));
    assert!(
        numbers
            .collect()
            .expect("records")
            .into_iter()
            .eq(0..PARTITIONS * RECORDS)
    );
    assert_one_worker_is_lost(&recorder);
}

#[test]
fn a_worker_that_dies_while_it_writes_costs_no_record() {
    let directory = tempfile::tempdir().expect("a directory");
    let (context, recorder) = on(PROCESSES);
    let (sink, called) = Memory::new(die_once(directory.path()));
    let written = numbers(&context, Fault::None)
        .write(sink)
        .expect("an output");
    assert_is_whole(&written);
    assert_eq!(calls(&called), ["begin", "commit"]);
    assert_one_worker_is_lost(&recorder);
}

#[track_caller]
fn assert_one_worker_is_lost(recorder: &Recorder) {
    let events = recorder.take();
    let is_lost = |event: &&Event| matches!(event, Event::WorkerLost { .. });
    assert_eq!(events.iter().filter(is_lost).count(), 1);
    let is_failed = |event: &&Event| matches!(event, Event::TaskFailed { .. });
    assert_eq!(events.iter().filter(is_failed).count(), 1);
}

/// Emits nothing until its task must end, except in the first split, which fails.
#[derive(Serialize, Deserialize)]
struct Endless;

impl Source for Endless {
    type Split = bool;
    type Item = str;

    fn splits(&self) -> Result<Vec<bool>, BoxError> {
        Ok(vec![true, false])
    }

    fn read(
        &self,
        is_first: &bool,
        reading: &Reading<'_>,
        mut emit: impl FnMut(&str) -> ControlFlow<()>,
    ) -> Result<(), BoxError> {
        if *is_first {
            // The other task has begun.
            thread::sleep(Duration::from_millis(50));
            return Err("on purpose".into());
        }
        while !reading.is_stopped() {
            thread::sleep(Duration::from_millis(1));
        }
        let _ = emit("never seen");
        Err("ignored".into())
    }
}

#[test]
fn a_source_ends_when_its_job_does() {
    static IS_SEEN: AtomicBool = AtomicBool::new(false);
    for executor in [Executor::Threads(2), PROCESSES] {
        let (context, _) = on(executor);
        let records = context.from_source(Endless).expect("splits");
        let seen = records.inspect(|record| IS_SEEN.store(record.len() > 3, Ordering::Relaxed));
        let error = seen.count().expect_err("it fails");
        assert!(error.to_string().ends_with("on purpose"), "{error}");
    }
}
