//! Layers on all executors: results, spilling, damage, lost workers, errors, events, and files that remain.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use holdall::events::{Event, JobOutcome};
use holdall::extend::{Layers, SpillFile};
use holdall::{Context, ContextBuilder, Error, ErrorKind, Executor};
use holdall_test_layers::{
    Blocks, Damage, Delete, Mix, Random, Sabotage, Tree, Trouble, Troubled, WriteFile, block,
    content, mixed,
};
use tempfile::TempDir;

/// Entry point of worker processes.
#[test]
fn holdall_worker() {
    holdall::init();
}

/// A spill directory, and a directory for other files.
struct Directories(TempDir);

impl Directories {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(root.path().join("spill")).expect("room for a directory");
        fs::create_dir(root.path().join("other")).expect("room for a directory");
        Self(root)
    }

    fn spill(&self) -> PathBuf {
        self.0.path().join("spill")
    }

    fn other(&self, name: &str) -> PathBuf {
        self.0.path().join("other").join(name)
    }

    fn contexts(
        &self,
        configure: impl Fn(ContextBuilder) -> ContextBuilder,
    ) -> Vec<(Executor, Context)> {
        let executors = [
            Executor::Inline,
            Executor::Threads(2),
            Executor::Processes(2),
        ];
        let context = |executor| {
            let builder = Context::builder().executor(executor).progress(false);
            let builder = configure(builder.spill_directory(self.spill()));
            (executor, builder.build().expect("the settings are right"))
        };
        executors.map(context).into()
    }
}

fn count(directory: &Path) -> usize {
    fs::read_dir(directory).expect("a directory").count()
}

/// Returns the events that `work` causes in a context, as text.
fn observed<R>(
    directories: &Directories,
    configure: impl Fn(ContextBuilder) -> ContextBuilder,
    work: impl Fn(Executor, &Context) -> R,
) -> Vec<(Executor, R, Vec<Event>)> {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let contexts = directories.contexts(|builder| {
        let seen = Arc::clone(&seen);
        let observer = move |event: &Event| seen.lock().expect("no panic").push(event.clone());
        configure(builder.observer(observer))
    });
    let mut all = Vec::new();
    for (executor, context) in contexts {
        let result = work(executor, &context);
        drop(context);
        assert_eq!(count(&directories.spill()), 0, "{executor:?}");
        all.push((
            executor,
            result,
            std::mem::take(&mut *events.lock().expect("no panic")),
        ));
    }
    all
}

fn failures(events: &[Event]) -> usize {
    let is_failure = |event: &&Event| matches!(event, Event::TaskFailed { .. });
    events.iter().filter(is_failure).count()
}

#[test]
fn a_tree_of_many_tasks_has_the_right_sum_and_its_events() {
    let directories = Directories::new();
    let results = observed(
        &directories,
        |builder| builder,
        |_, context| {
            let tree = Tree {
                leaves: 20_000,
                padding: 0,
            };
            let expected = tree.sum();
            let mut layers = Layers::new(context);
            let tree = layers.add(tree);
            let values = layers.get(tree, [0, 0, 1]).unwrap();
            assert_eq!((values[0].0, values[1].0), (expected, expected));
            assert!(layers.get(tree, []).unwrap().is_empty());
            context.last_job().unwrap()
        },
    );
    for (_, _, events) in results {
        let Some(Event::JobStarted { action, plan, .. }) = events.first() else {
            panic!("{:?}", events.first());
        };
        assert_eq!((*action, plan.stages().len()), ("get", 1));
        let Event::StageStarted {
            operator, tasks, ..
        } = events[1]
        else {
            panic!("{:?}", events[1]);
        };
        assert_eq!((operator, tasks), ("tree", Some(39_999)));
        let ends = events
            .iter()
            .position(|event| matches!(event, Event::JobDone { .. }));
        let events = &events[..=ends.unwrap()];
        let mut done = vec![0; 39_999];
        for event in events {
            if let Event::TasksDone { partitions, .. } = event {
                partitions
                    .clone()
                    .for_each(|partition| done[partition] += 1);
            }
        }
        assert!(done.iter().all(|count| *count == 1));
        let Some(Event::JobDone {
            outcome, summary, ..
        }) = events.last()
        else {
            panic!("{:?}", events.last());
        };
        assert_eq!(
            (outcome, summary.stages[0].tasks),
            (&JobOutcome::Completed, 39_999)
        );
    }
}

#[test]
fn random_graphs_agree_with_plain_evaluation() {
    let directories = Directories::new();
    for memory in [1 << 20, 1 << 30] {
        let contexts = directories.contexts(|builder| builder.memory(memory));
        for seed in 0..12 {
            let graph = Random {
                seed,
                tasks: 200,
                bytes: if seed < 6 { 20 } else { 100_000 },
            };
            let expected = graph.values();
            let wanted = [199, 3, 150, 199, 180];
            for (executor, context) in &contexts {
                let mut layers = Layers::new(context);
                let id = layers.add(graph.clone());
                let values = layers.get(id, wanted).unwrap();
                for (task, value) in wanted.into_iter().zip(values) {
                    assert!(value == expected[task], "{executor:?} {graph:?} {task}");
                }
                let tasks = context.last_job().unwrap().stages[0].tasks;
                assert_eq!(tasks, graph.below(&wanted));
            }
        }
    }
    assert_eq!(count(&directories.spill()), 0);
}

/// Adds blocks and what mixes them, and returns the result.
fn mix(
    context: &Context,
    directories: &Directories,
    blocks: usize,
    bytes: usize,
    damage: Option<Damage>,
) -> Vec<u64> {
    let runs = directories.other("runs");
    let _ = fs::remove_dir_all(&runs);
    fs::create_dir(&runs).expect("room for a directory");
    let mut layers = Layers::new(context);
    let of = blocks;
    let blocks = layers.add(Blocks {
        tasks: of,
        bytes,
        runs,
        last_damages: None,
    });
    let after = damage.map(|damage| {
        let spill = directories.spill();
        layers.add(Sabotage {
            blocks,
            of,
            spill,
            damage,
        })
    });
    let mix = layers.add(Mix {
        blocks,
        of,
        tasks: 7,
        after,
    });
    layers.get(mix, 0..7).expect("values")
}

#[test]
fn values_beyond_the_budget_are_spilled() {
    let directories = Directories::new();
    let bytes = 200_000;
    let expected: Vec<_> = (0..7).map(|n| mixed(n, 7, 50, bytes)).collect();
    let results = observed(
        &directories,
        |builder| builder.memory("4MiB"),
        |_, context| {
            assert_eq!(mix(context, &directories, 50, bytes, None), expected);
            assert_eq!(
                count(&directories.other("runs")),
                50,
                "each block is computed once"
            );
            context.last_job().unwrap()
        },
    );
    for (executor, summary, events) in results {
        let stage = &summary.stages[0];
        assert_eq!((stage.tasks, stage.input_bytes), (57, 50 * bytes as u64));
        assert!(stage.spilled_bytes > 5_000_000, "{executor:?} {stage}");
        assert!(stage.peak_memory_bytes <= 4 << 20, "{executor:?} {stage}");
        let spilled: u64 = events
            .iter()
            .map(|event| match event {
                Event::Spilled { bytes, .. } => *bytes,
                _ => 0,
            })
            .sum();
        assert_eq!(spilled, stage.spilled_bytes);
        assert_eq!(failures(&events), 0);
    }
}

#[test]
fn damaged_and_deleted_values_are_recomputed() {
    let directories = Directories::new();
    let expected: Vec<_> = (0..7).map(|n| mixed(n, 7, 20, 200_000)).collect();
    for damage in [Damage::Change, Damage::Delete, Damage::DeleteDirectory] {
        let results = observed(
            &directories,
            |builder| builder.memory("2MiB"),
            |_, context| {
                let values = mix(context, &directories, 20, 200_000, Some(damage));
                assert_eq!(values, expected);
                count(&directories.other("runs"))
            },
        );
        for (executor, runs, events) in results {
            assert!(runs > 20, "{executor:?}: none is recomputed");
            assert!(failures(&events) > 0);
        }
    }
}

#[test]
fn wanted_values_are_recomputed_too() {
    let directories = Directories::new();
    let runs = directories.other("runs");
    for (executor, context) in directories.contexts(|builder| builder.memory("1MiB")) {
        let _ = fs::remove_dir_all(&runs);
        fs::create_dir(&runs).unwrap();
        let mut layers = Layers::new(&context);
        let blocks = Blocks {
            tasks: 20,
            bytes: 200_000,
            runs: runs.clone(),
            last_damages: Some(directories.spill()),
        };
        let blocks = layers.add(blocks);
        let values = layers.get(blocks, (0..20).rev()).unwrap();
        for (n, value) in (0..20).rev().zip(values) {
            assert!(value == block(n, 200_000));
        }
        assert!(count(&runs) > 20, "{executor:?}: none is recomputed");
    }
    assert_eq!(count(&directories.spill()), 0);
}

#[test]
fn values_can_refer_to_files() {
    let directories = Directories::new();
    observed(
        &directories,
        |builder| builder,
        |_, context| {
            let mut layers = Layers::new(context);
            let mut files = layers.add(WriteFile { tasks: 5, of: None });
            for _ in 0..3 {
                files = layers.add(WriteFile {
                    tasks: 5,
                    of: Some(files),
                });
            }
            let values: Vec<SpillFile> = layers.get(files, 0..5).unwrap();
            drop(layers);
            // The caller has the last references.
            for (n, file) in values.iter().enumerate() {
                let mut bytes = vec![0; 200_001];
                assert_eq!(file.read_at(0, &mut bytes).unwrap(), 200_000);
                assert!(bytes[..200_000] == content(n));
            }
            let directory = fs::read_dir(directories.spill()).unwrap().next().unwrap();
            assert_eq!(
                count(&directory.unwrap().path()),
                5 + 1,
                "the files and the lock"
            );
        },
    );
}

#[test]
fn lost_files_are_written_again_up_to_four_times() {
    let directories = Directories::new();
    for once in [true, false] {
        let results = observed(
            &directories,
            |builder| builder,
            |_, context| {
                let once = once.then(|| directories.other("once"));
                if let Some(once) = &once {
                    fs::write(once, "").unwrap();
                }
                let mut layers = Layers::new(context);
                let files = layers.add(WriteFile { tasks: 3, of: None });
                let files = layers.add(WriteFile {
                    tasks: 3,
                    of: Some(files),
                });
                let spill = directories.spill();
                let delete = layers.add(Delete {
                    files,
                    tasks: 3,
                    spill,
                    once,
                });
                layers.get(delete, [1])
            },
        );
        for (executor, result, _) in results {
            match result {
                Ok(values) => assert!(once && values[0] == content(1), "{executor:?}"),
                Err(error) => {
                    assert!(!once, "{executor:?}: {error}");
                    assert!(error.is_damage());
                    assert!(matches!(
                        error.kind(),
                        ErrorKind::TooManyAttempts { attempts: 4, .. }
                    ));
                    let context = error.context().unwrap();
                    assert_eq!(
                        (context.stage, context.operator, context.task),
                        (Some(1), Some("write_file"), Some(1))
                    );
                }
            }
        }
    }
}

/// Runs a chain of 30 tasks, of which task 20 is in trouble.
fn chain(context: &Context, trouble: Trouble) -> Result<Vec<usize>, Error> {
    let mut layers = Layers::new(context);
    // The search for a cycle begins at its other end.
    let task = if matches!(trouble, Trouble::Cycle) {
        22
    } else {
        20
    };
    let trouble = Troubled {
        tasks: 30,
        at: 20,
        trouble,
    };
    let line = line!() + 1;
    let chain = layers.add(trouble);
    let result = layers.get(chain, [29]);
    if let Some(context) = result.as_ref().err().and_then(Error::context) {
        assert_eq!(
            (context.operator, context.task),
            (Some("troubled"), Some(task))
        );
        let location = context.location.expect("it has a place");
        assert_eq!((location.file(), location.line()), (file!(), line));
        assert_eq!(context.partition, None);
    }
    result
}

#[test]
fn errors_and_panics_have_their_place() {
    let directories = Directories::new();
    let results = observed(
        &directories,
        |builder| builder,
        |_, context| {
            let error = chain(context, Trouble::Error).unwrap_err();
            let message = error.to_string();
            assert!(
                message.starts_with("a closure failed in troubled at "),
                "{message}"
            );
            assert!(
                message.ends_with(" (stage 1, task 20): the reason"),
                "{message}"
            );
            assert!(matches!(error.kind(), ErrorKind::Closure { .. }));

            let error = chain(context, Trouble::Panic).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::TaskPanicked { message, .. } if message == "on purpose")
            );

            let error = chain(context, Trouble::Action).unwrap_err();
            let ErrorKind::Closure { source, .. } = error.kind() else {
                panic!("{error}");
            };
            assert!(
                source
                    .to_string()
                    .starts_with("cannot run an action inside"),
                "{source}"
            );
        },
    );
    for (_, (), events) in results {
        assert_eq!(failures(&events), 3);
        for event in events {
            match event {
                Event::TaskFailed { context, .. } => assert_eq!(context.task, Some(20)),
                Event::JobDone { outcome, .. } => {
                    assert!(matches!(outcome, JobOutcome::Failed { .. }), "{outcome:?}");
                }
                _ => {}
            }
        }
    }
}

#[test]
fn wrong_graphs_are_refused_before_anything_runs() {
    let directories = Directories::new();
    observed(
        &directories,
        |builder| builder,
        |_, context| {
            let message = |trouble| {
                let error = chain(context, trouble).unwrap_err();
                assert!(matches!(
                    error.kind(),
                    ErrorKind::InvalidGraph { .. } | ErrorKind::TaskPanicked { .. }
                ));
                error.to_string()
            };
            let cycle = message(Trouble::Cycle);
            assert!(
                cycle.starts_with("cannot run the tasks in troubled at "),
                "{cycle}"
            );
            let names = "task 22 of troubled needs task 21 of troubled needs task 20 of troubled needs \
             task 22 of troubled";
            assert!(
                cycle.ends_with(&format!(" (task 22): it needs itself: {names}")),
                "{cycle}"
            );
            let unknown = message(Trouble::Unknown);
            assert!(
                unknown.ends_with("it needs task 30 of troubled, which has 30 tasks"),
                "{unknown}"
            );
            let panic = message(Trouble::PanicInNeeds);
            assert!(panic.ends_with("(task 20): on purpose"), "{panic}");

            let mut layers = Layers::new(context);
            let other = layers.add(Tree {
                leaves: 2,
                padding: 0,
            });
            let mut layers = Layers::new(context);
            let error = layers.get(other, [0]).unwrap_err();
            assert!(
                error
                    .to_string()
                    .ends_with("the layer was added to other `Layers`"),
                "{error}"
            );
            let tree = layers.add(Tree {
                leaves: 2,
                padding: 0,
            });
            let error = layers.get(tree, [3]).unwrap_err();
            assert!(
                error
                    .to_string()
                    .ends_with("(task 3): the layer has 3 tasks"),
                "{error}"
            );
            assert!(context.last_job().is_none());
        },
    );
}

#[test]
fn a_worker_that_dies_is_replaced_up_to_four_times() {
    let directories = Directories::new();
    let once = directories.other("once");
    let results = observed(
        &directories,
        |builder| builder,
        |executor, context| {
            if executor != Executor::Processes(2) {
                return;
            }
            fs::write(&once, "").unwrap();
            assert_eq!(chain(context, Trouble::Abort(once.clone())).unwrap(), [30]);
            let error = chain(context, Trouble::AlwaysAbort).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::TooManyAttempts { attempts: 4, .. }),
                "{error}"
            );
        },
    );
    let (_, (), events) = &results[2];
    let lost = events
        .iter()
        .filter(|event| matches!(event, Event::WorkerLost { .. }));
    assert_eq!(lost.count(), 1 + 4);
}

#[test]
fn a_job_can_be_cancelled() {
    let directories = Directories::new();
    let begun = directories.other("begun");
    let results = observed(
        &directories,
        |builder| builder,
        |_, context| {
            let _ = fs::remove_file(&begun);
            let mut layers = Layers::new(context);
            let trouble = Trouble::Wait(begun.clone());
            let chain = layers.add(Troubled {
                tasks: 30,
                at: 20,
                trouble,
            });
            let handle = layers.cancel_handle();
            thread::scope(|scope| {
                scope.spawn(|| {
                    while !begun.exists() {
                        thread::sleep(Duration::from_millis(1));
                    }
                    handle.cancel();
                });
                let error = layers.get(chain, [29]).unwrap_err();
                assert!(error.is_cancelled(), "{error}");
            });
            assert!(layers.get(chain, [0]).unwrap_err().is_cancelled());
        },
    );
    for (_, (), events) in results {
        assert!(matches!(
            events.last(),
            Some(Event::JobDone {
                outcome: JobOutcome::Cancelled,
                ..
            })
        ));
    }
}
