//! Layers on an executor that is as difficult as possible.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../../../tests/common/cluster.rs"]
mod cluster;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cluster::Cluster;
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
                tasks.requeue(&task);
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
    check_on(Awkward::default(), spill.path());
    assert_eq!(fs::read_dir(spill.path()).unwrap().count(), 0);
}

#[test]
fn machines_that_share_no_disk_and_die_do_not_show() {
    for (seed, life) in [(1, None), (2, Some(30)), (3, Some(5))] {
        let spill = tempfile::tempdir().unwrap();
        let machines = tempfile::tempdir().unwrap();
        let cluster = Cluster::new(machines.path().to_owned(), life, seed);
        let (reads, losses) = (cluster.reads(), Arc::clone(&cluster.losses));
        check_on(cluster, spill.path());
        assert!(reads.load(Ordering::SeqCst) > 0);
        assert!(life.is_none() || losses.load(Ordering::SeqCst) > 0);
        assert_eq!(fs::read_dir(spill.path()).unwrap().count(), 0);
        for machine in fs::read_dir(machines.path()).unwrap() {
            assert_eq!(fs::read_dir(machine.unwrap().path()).unwrap().count(), 0);
        }
    }
}

fn check_on(executor: impl RemoteExecutor, spill: &Path) {
    let builder = Context::builder().spill_directory(spill).memory("1MiB");
    let context = builder.remote_executor(executor).build().unwrap();
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
}
