//! Observers receive the same events on every executor, in order, with the numbers of the summary.

use std::fmt;
use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdall::events::{Event, JobOutcome, Observer, TaskRunner};
use holdall::{Bag, Context, ContextBuilder, ErrorKind, Executor, StageSummary};

use crate::common::{Files, ON_PURPOSE, quiet_panics, settings, within_the_limit};
use crate::remote_executor::Awkward;

/// Keeps all events. Clones share them.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Event>>>);

impl Observer for Recorder {
    fn event(&self, event: &Event) {
        self.0.lock().expect("no panic").push(event.clone());
    }
}

impl Recorder {
    /// Returns the events since the last call.
    fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

/// Runs `behaviour` in each setting, in worker processes, and on a custom executor that loses tasks.
fn on_every_executor(behaviour: impl Fn(&Context, &Recorder) + Send + Sync + 'static) {
    let mut builders = settings();
    if cfg!(target_os = "linux") {
        let processes = Context::builder().executor(Executor::Processes(2));
        builders.push(("processes:2", processes));
    }
    let awkward = Context::builder().remote_executor(Awkward::default());
    builders.push(("an awkward executor", awkward));
    let behaviour = Arc::new(behaviour);
    for (name, builder) in builders {
        let (behaviour, recorder) = (Arc::clone(&behaviour), Recorder::default());
        let context = observed(builder, &recorder);
        within_the_limit(name, move || behaviour(&context, &recorder));
    }
}

fn observed(builder: ContextBuilder, recorder: &Recorder) -> Context {
    let builder = builder.progress(false).observer(recorder.clone());
    builder.build().expect("the settings are right")
}

/// The events of a stage, between its first and its last.
struct StageEvents {
    summary: StageSummary,
    tasks: Option<usize>,
    events: Vec<Event>,
}

/// Asserts that the events of one job are in order, and returns those of its stages.
#[track_caller]
fn stages(events: &[Event]) -> Vec<StageEvents> {
    let [
        Event::JobStarted { job, plan, .. },
        middle @ ..,
        Event::JobDone { summary, .. },
    ] = events
    else {
        panic!("{events:?}");
    };
    assert!(events.iter().all(|event| event.job() == *job), "{events:?}");
    assert_eq!(summary.job, *job);
    let mut stages = Vec::new();
    let mut rest = middle.iter();
    while let Some(first) = rest.next() {
        let Event::StageStarted {
            stage,
            operator,
            tasks,
            ..
        } = first
        else {
            panic!("{first:?}");
        };
        let planned = &plan.stages()[stages.len()];
        assert_eq!((*stage, *tasks), (planned.number, planned.partitions));
        let mut inner = Vec::new();
        let summary = loop {
            match rest.next() {
                Some(Event::StageDone { summary, .. }) => break summary,
                Some(Event::StageStarted { .. }) | None => panic!("{events:?}"),
                Some(event) => inner.push(event.clone()),
            }
        };
        assert_eq!((summary.stage, summary.operator), (*stage, *operator));
        stages.push(StageEvents {
            summary: summary.clone(),
            tasks: *tasks,
            events: inner,
        });
    }
    let summaries: Vec<_> = stages.iter().map(|stage| stage.summary.clone()).collect();
    assert_eq!(summaries, summary.stages);
    stages
}

impl StageEvents {
    fn sum(&self, number: impl Fn(&Event) -> u64) -> u64 {
        self.events.iter().map(number).sum()
    }

    /// Returns the ranges of partitions that are done, in order.
    fn done(&self) -> Vec<Range<usize>> {
        let done = self.events.iter().filter_map(|event| match event {
            Event::TasksDone { partitions, .. } => Some(partitions.clone()),
            _ => None,
        });
        let mut done: Vec<_> = done.filter(|partitions| !partitions.is_empty()).collect();
        done.sort_by_key(|partitions| partitions.start);
        done
    }

    /// Asserts that the events have the numbers of the summary.
    #[track_caller]
    fn assert_agrees(&self) {
        let summary = &self.summary;
        let tasks = |event: &Event| match event {
            Event::TasksDone {
                partitions, stage, ..
            } => {
                assert_eq!(*stage, summary.stage);
                partitions.len() as u64
            }
            _ => 0,
        };
        assert_eq!(self.sum(tasks), summary.tasks as u64);
        let numbers = |event: &Event| match event {
            Event::TasksDone {
                input_bytes,
                shuffled_records,
                shuffled_bytes,
                ..
            } => [*input_bytes, *shuffled_records, *shuffled_bytes, 0],
            Event::Spilled { bytes, .. } => [0, 0, 0, *bytes],
            _ => [0; 4],
        };
        let sums = [0, 1, 2, 3].map(|at| self.sum(|event| numbers(event)[at]));
        let expected = [
            summary.input_bytes,
            summary.shuffled_records,
            summary.shuffled_bytes,
            summary.spilled_bytes,
        ];
        assert_eq!(sums, expected, "stage {}", summary.stage);
    }

    /// Asserts that each partition was done once.
    #[track_caller]
    fn assert_whole(&self) {
        let mut end = 0;
        for partitions in self.done() {
            assert_eq!(partitions.start, end);
            end = partitions.end;
        }
        assert_eq!(self.tasks.unwrap_or(end), end);
    }
}

#[track_caller]
fn outcome(events: &[Event]) -> &JobOutcome {
    match events.last() {
        Some(Event::JobDone { outcome, .. }) => outcome,
        _ => panic!("{events:?}"),
    }
}

#[test]
fn a_word_count_has_its_events_in_order() {
    let files = Files::new();
    let text = "to be or not to be\n".repeat(1_000);
    let path = files.write("text", &text);
    on_every_executor(move |context, recorder| {
        let words = context.read_text(&path).expect("a file").words();
        let counts = words.count_by_value();
        let line = line!() + 1;
        let counted = counts.collect().expect("counts");
        assert_eq!(counted.len(), 4);
        let events = recorder.take();
        let stages = stages(&events);
        assert_eq!(stages.len(), 2);
        for stage in &stages {
            stage.assert_agrees();
            stage.assert_whole();
        }
        assert_eq!(stages[0].summary.input_bytes, text.len() as u64);
        assert_eq!(stages[0].summary.shuffled_records, 6_000);
        assert_eq!(outcome(&events), &JobOutcome::Completed);
        let Event::JobStarted {
            action,
            location,
            plan,
            ..
        } = &events[0]
        else {
            panic!("{events:?}");
        };
        assert_eq!((*action, location.file()), ("collect", file!()));
        assert_eq!(location.line(), line);
        assert_eq!(*plan, counts.explain());
        let Some(Event::JobDone { summary, .. }) = events.last() else {
            panic!("{events:?}");
        };
        assert_eq!(context.last_job().as_ref(), Some(summary));
    });
}

#[test]
fn a_job_that_fails_says_why() {
    /// No attempt that the awkward executor loses has this reason.
    const REASON: &str = "55 is wrong";
    on_every_executor(|context, recorder| {
        let numbers = context.range_partitioned(0..100, 10);
        let failing = numbers.try_map(|n| if n == 55 { Err(REASON) } else { Ok(n) });
        let error = failing.distinct().count().expect_err("it fails");
        let events = recorder.take();
        let stages = stages(&events);
        assert_eq!(stages.len(), 1, "the second does not begin");
        let failed = |event: &&Event| matches!(event, Event::TaskFailed { error, .. } if error.contains(REASON));
        let failed = stages[0].events.iter().find(failed);
        let Some(Event::TaskFailed {
            partitions: Some(partitions),
            context: place,
            ..
        }) = failed
        else {
            panic!("{events:?}");
        };
        assert!(partitions.contains(&5));
        assert_eq!((place.stage, place.partition), (Some(1), Some(5)));
        assert_eq!(place.operator, Some("try_map"));
        let JobOutcome::Failed {
            error: message,
            context: place,
            ..
        } = outcome(&events)
        else {
            panic!("{events:?}");
        };
        assert_eq!(*message, error.to_string());
        assert_eq!(place.as_ref(), error.context());
        assert_eq!(context.last_job().expect("it ran").stages.len(), 1);
    });
}

/// An error whose message panics.
#[derive(Debug)]
struct Mute;

impl fmt::Display for Mute {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("{ON_PURPOSE}");
    }
}

impl std::error::Error for Mute {}

#[test]
fn an_error_without_a_message_ends_its_job_as_others_do() {
    quiet_panics();
    for (name, builder) in settings() {
        let recorder = Recorder::default();
        let context = observed(builder, &recorder);
        let failing = context.range(0..10).try_map(|_| Err::<u64, _>(Mute));
        let error = failing.count().expect_err("it fails");
        assert!(matches!(error.kind(), ErrorKind::Closure { .. }), "{name}");
        let events = recorder.take();
        assert_eq!(stages(&events).len(), 1);
        let JobOutcome::Failed { error, .. } = outcome(&events) else {
            panic!("{events:?}");
        };
        assert_eq!(error, "an error without a message", "{name}");
    }
}

#[test]
fn an_action_that_has_enough_is_complete() {
    on_every_executor(|context, recorder| {
        let first = context.range(0..100_000).take(3).expect("numbers");
        assert_eq!(first, [0, 1, 2]);
        let events = recorder.take();
        stages(&events)[0].assert_agrees();
        assert_eq!(outcome(&events), &JobOutcome::Completed);
    });
}

#[test]
fn an_iterator_that_is_dropped_early_cancels_its_job() {
    on_every_executor(|context, recorder| {
        let mut numbers = context.from_iter(0_u64..).iter().expect("an iterator");
        assert_eq!(numbers.next().expect("a number").expect("a number"), 0);
        drop(numbers);
        let events = recorder.take();
        assert_eq!(stages(&events).len(), 1);
        assert_eq!(outcome(&events), &JobOutcome::Cancelled);
    });
}

#[test]
fn an_iterator_that_ends_has_sent_all_events() {
    on_every_executor(|context, recorder| {
        let mut numbers = context.range(0..1_000).iter().expect("an iterator");
        assert_eq!(numbers.by_ref().count(), 1_000);
        let events = recorder.take();
        let stages = stages(&events);
        stages[0].assert_agrees();
        stages[0].assert_whole();
        assert_eq!(outcome(&events), &JobOutcome::Completed);
        drop(numbers);
        assert_eq!(recorder.take(), []);
    });
}

#[test]
fn concurrent_jobs_have_different_numbers() {
    on_every_executor(|context, recorder| {
        let mut numbers = context.range(0..2).iter().expect("an iterator");
        for number in numbers.by_ref() {
            let number = number.expect("a number");
            assert_eq!(context.range(0..number).count().expect("a count"), number);
        }
        let events = recorder.take();
        let mut jobs: Vec<_> = events.iter().map(Event::job).collect();
        jobs.sort_unstable();
        jobs.dedup();
        assert_eq!(jobs.len(), 3);
        for job in jobs {
            let of_job = events.iter().filter(|event| event.job() == job).cloned();
            let of_job: Vec<_> = of_job.collect();
            stages(&of_job)[0].assert_agrees();
            assert_eq!(outcome(&of_job), &JobOutcome::Completed);
        }
    });
}

/// Sets few partitions, because the awkward executor reads all of the input for each.
fn spilling(builder: ContextBuilder, files: &Files) -> ContextBuilder {
    let builder = builder.spill_directory(files.path("spill"));
    builder.shuffle_partitions(4)
}

/// Returns more text than the memory of one thread.
fn texts(context: &Context) -> Bag<String> {
    let numbers = context.range_partitioned(0..12_000, 8);
    numbers.map(|n| format!("{:0250}", n ^ 0xfff)).boxed()
}

#[test]
fn spilled_bytes_are_those_of_the_summary() {
    let on = |executor| Context::builder().executor(executor);
    let mut builders = vec![
        on(Executor::Inline).memory(1 << 20),
        on(Executor::Threads(2)).memory(2 << 20),
        Context::builder().remote_executor(Awkward::default()),
    ];
    if cfg!(target_os = "linux") {
        builders.push(on(Executor::Processes(2)));
    }
    for builder in builders {
        let (files, recorder) = (Files::new(), Recorder::default());
        let context = observed(spilling(builder, &files), &recorder);
        within_the_limit("a sort", move || {
            let texts = texts(&context);
            let sorted = texts.sort().collect().expect("texts");
            assert!(sorted.is_sorted() && sorted.len() == 12_000);
            let events = recorder.take();
            let stages = stages(&events);
            for stage in &stages {
                stage.assert_agrees();
                stage.assert_whole();
            }
            assert!(stages[0].summary.spilled_bytes > 0);
            drop(files);
        });
    }
}

/// Truncates all spill files, when called for the first time.
fn damage_once(root: &Path) {
    if File::create_new(root.join("mark")).is_err() {
        return;
    }
    for job in fs::read_dir(root.join("spill")).expect("a directory") {
        for file in fs::read_dir(job.expect("a directory").path()).expect("a directory") {
            let path = file.expect("a file").path();
            if !path.ends_with("lock") {
                let file = File::options().write(true).open(&path).expect("a file");
                let length = file.metadata().expect("a length").len();
                file.set_len(length / 2).expect("to cut it");
            }
        }
    }
}

#[test]
fn stages_that_run_again_are_restarted() {
    let mut builders = vec![
        Context::builder()
            .executor(Executor::Inline)
            .memory(1 << 20),
    ];
    if cfg!(target_os = "linux") {
        builders.push(Context::builder().executor(Executor::Processes(1)));
    }
    for builder in builders {
        let (files, recorder) = (Files::new(), Recorder::default());
        let context = observed(spilling(builder, &files), &recorder);
        within_the_limit("a sort", move || {
            let texts = texts(&context);
            let sorted = texts.sort().with(files.root().to_owned());
            let sorted = sorted.map(|root, text| {
                damage_once(root);
                text
            });
            assert_eq!(sorted.count().expect("a count"), 12_000);
            let events = recorder.take();
            let stages = stages(&events);
            stages[0].assert_whole();
            let again = |event: &Event| match event {
                Event::StageRestarted {
                    stage, operator, ..
                } => Some((*stage, *operator)),
                _ => None,
            };
            let again: Vec<_> = stages[1].events.iter().filter_map(again).collect();
            // First the output in the file whose damage was found, then that in all others.
            assert!((1..=2).contains(&again.len()), "{again:?}");
            assert!(again.iter().all(|stage| *stage == (1, "map")), "{again:?}");
            let failed = |event: &Event| match event {
                Event::TaskFailed { attempt, stage, .. } => Some((*attempt, *stage)),
                _ => None,
            };
            let failed: Vec<_> = stages[1].events.iter().filter_map(failed).collect();
            assert!(failed.contains(&(1, 2)), "{failed:?}");
            assert_eq!(outcome(&events), &JobOutcome::Completed);
        });
    }
}

#[test]
#[cfg(target_os = "linux")]
fn lost_workers_are_reported_and_replaced() {
    let (files, recorder) = (Files::new(), Recorder::default());
    let context = observed(
        Context::builder().executor(Executor::Processes(2)),
        &recorder,
    );
    within_the_limit("processes", move || {
        let numbers = context.range_partitioned(0..1_000, 20);
        let numbers = numbers.with(files.path("mark")).map(|mark, n| {
            if n == 555 && File::create_new(mark).is_ok() {
                std::process::abort();
            }
            n
        });
        assert_eq!(numbers.count().expect("a count"), 1_000);
        let events = recorder.take();
        let stages = stages(&events);
        stages[0].assert_agrees();
        stages[0].assert_whole();
        let (mut started, mut lost, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for event in &stages[0].events {
            match event {
                Event::WorkerStarted { worker, .. } => started.push(*worker),
                Event::WorkerLost { worker, cause, .. } => {
                    assert_eq!(cause, "killed by signal 6");
                    assert!(started.contains(worker));
                    lost.push(*worker);
                }
                Event::TaskFailed {
                    attempt,
                    error,
                    partitions: Some(partitions),
                    ..
                } => {
                    assert!(error.contains("killed by signal 6"), "{error}");
                    assert!(partitions.contains(&11));
                    failed.push(*attempt);
                }
                Event::TasksDone {
                    runner: TaskRunner::Worker(worker),
                    ..
                } => assert!(started.contains(worker)),
                _ => panic!("{event:?}"),
            }
        }
        assert_eq!((lost.len(), failed), (1, vec![1]));
        assert_eq!(outcome(&events), &JobOutcome::Completed);
        assert!(started.len() >= 2, "{started:?}");
        drop(files);
    });
}

#[test]
fn a_panic_of_an_observer_ends_only_the_observer() {
    quiet_panics();
    for (name, builder) in settings() {
        let (recorder, calls) = (Recorder::default(), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&calls);
        let builder = builder.observer(move |_: &Event| {
            seen.fetch_add(1, Ordering::SeqCst);
            panic!("{ON_PURPOSE}");
        });
        let context = observed(builder, &recorder);
        for _ in 0..2 {
            let counts = context.range(0..1_000).map(|n| n % 7).count_by_value();
            assert_eq!(counts.count().expect("a count"), 7, "{name}");
            let events = recorder.take();
            for stage in stages(&events) {
                stage.assert_agrees();
                stage.assert_whole();
            }
            assert_eq!(calls.load(Ordering::SeqCst), 1, "{name}");
        }
    }
}

#[test]
fn an_observer_cannot_run_jobs() {
    for (name, builder) in settings() {
        let refused = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&refused);
        let builder = builder.observer(move |_: &Event| {
            let error = holdall::range(0..10).count().expect_err("it is nested");
            if matches!(error.kind(), ErrorKind::NestedJob) {
                seen.fetch_add(1, Ordering::SeqCst);
            }
        });
        let recorder = Recorder::default();
        let context = observed(builder, &recorder);
        assert_eq!(context.range(0..10).count().expect("a count"), 10);
        let events = recorder.take();
        assert_eq!(refused.load(Ordering::SeqCst), events.len(), "{name}");
    }
}

#[test]
fn events_are_serialised_with_their_fields() {
    let recorder = Recorder::default();
    let context = observed(Context::builder().executor(Executor::Inline), &recorder);
    assert_eq!(
        context
            .range_partitioned(0..10, 1)
            .count()
            .expect("a count"),
        10
    );
    let events = recorder.take();
    let settings = bincode::config::standard();
    let bytes = |event: &Event| bincode::serde::encode_to_vec(event, settings).expect("it is data");
    assert!(events.iter().all(|event| !bytes(event).is_empty()));
    let done = |event: &&Event| matches!(event, Event::TasksDone { .. });
    let done = events.iter().find(done).expect("a batch");
    // Enumerations are serialised as the number of the variant, followed by its fields.
    type Fields = (
        u32,
        u64,
        usize,
        (u32, usize),
        (usize, usize),
        Duration,
        [u64; 3],
    );
    let decoded = bincode::serde::decode_from_slice(&bytes(done), settings);
    let (fields, _): (Fields, usize) = decoded.expect("the fields are these");
    let (3, job, 1, (0, 1..), (0, 1), _, [0, 0, 0]) = fields else {
        panic!("{fields:?}");
    };
    assert_eq!(job, done.job());
}
