//! Layers on an executor that is as difficult as possible.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use holdall::executor::{RemoteExecutor, Report, Stage, TaskSpec, Tasks, Worker};
use holdall::extend::Layers;
use holdall::{Context, Result};
use holdall_test_layers::{Random, Tree, WriteFile, content};

/// Runs tasks out of order, loses each third attempt, and runs each fourth twice, always on a new worker.
#[derive(Default)]
struct Awkward {
    attempts: AtomicUsize,
    workers: AtomicUsize,
    seed: Mutex<usize>,
}

impl Awkward {
    fn random(&self, below: usize) -> usize {
        let mut seed = self.seed.lock().expect("no panic");
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 33) % below
    }

    fn run_task(&self, stage: &Stage, task: &TaskSpec) -> Result<Report> {
        let mut worker = Worker::new(self.workers.fetch_add(1, Ordering::SeqCst));
        worker.run(stage, task, &mut |_, _, _| panic!("no task sends chunks"))
    }
}

impl RemoteExecutor for Awkward {
    fn slots(&self) -> usize {
        3
    }

    fn run(&self, stage: &Stage, tasks: &Tasks<'_>) -> Result<()> {
        let mut taken = Vec::new();
        loop {
            while let Some(task) = tasks.try_next() {
                taken.push(task);
            }
            if taken.is_empty() {
                match tasks.next() {
                    Some(task) => taken.push(task),
                    None => return Ok(()),
                }
            }
            let task = taken.swap_remove(self.random(taken.len()));
            let attempt = self.attempts.fetch_add(1, Ordering::SeqCst);
            if self.random(5) == 0 {
                tasks.give_back(&task);
                continue;
            }
            let outcome = self.run_task(stage, &task);
            // A task must not be lost more often than the job allows.
            if attempt % 3 == 1 && task.attempt < 4 {
                tasks.lost(&task, 7, "on purpose");
                continue;
            }
            match outcome {
                Ok(report) => tasks.done(&task, report),
                Err(error) => tasks.failed(&task, error),
            }
            if attempt.is_multiple_of(4) {
                let again = self.run_task(stage, &task)?;
                tasks.done(&task, again);
            }
        }
    }
}

#[test]
fn order_losses_and_repetitions_do_not_show() {
    let spill = tempfile::tempdir().unwrap();
    let builder = Context::builder()
        .spill_directory(spill.path())
        .memory("1MiB");
    let context = builder.remote_executor(Awkward::default()).build().unwrap();
    for seed in 0..5 {
        let graph = Random {
            seed,
            tasks: 150,
            bytes: 70_000,
        };
        let expected = graph.values();
        let mut layers = Layers::new(&context);
        let graph = layers.add(graph);
        let values = layers.get(graph, 100..150).unwrap();
        assert!(values == expected[100..]);
    }
    let mut layers = Layers::new(&context);
    let tree = Tree {
        leaves: 3_000,
        padding: 5,
    };
    let expected = tree.sum();
    let tree = layers.add(tree);
    assert_eq!(layers.get(tree, [0]).unwrap()[0].0, expected);

    let files = layers.add(WriteFile { tasks: 9, of: None });
    let files = layers.add(WriteFile {
        tasks: 9,
        of: Some(files),
    });
    let values = layers.get(files, 0..9).unwrap();
    for (n, file) in values.iter().enumerate() {
        let mut bytes = vec![0; 200_000];
        file.read_at(0, &mut bytes).unwrap();
        assert!(bytes == content(n));
    }
    drop(values);
    assert_eq!(fs::read_dir(spill.path()).unwrap().count(), 0);
}
