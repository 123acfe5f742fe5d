//! Measures the time of a task: of a tree of many trivial tasks, and of tasks of 1 ms.

use std::time::{Duration, Instant};

use holdall::BoxError;
use holdall::extend::{Inputs, Layer, LayerId, Layers, Needs, TaskScope};
use holdall::{Context, Executor};
use serde::{Deserialize, Serialize};

/// Leaf `n` has the value `n`, and inner nodes are sums.
#[derive(Serialize, Deserialize)]
struct Sums {
    leaves: usize,
}

impl Layer for Sums {
    type Value = u64;

    fn name(&self) -> &'static str {
        "sums"
    }

    fn tasks(&self) -> usize {
        2 * self.leaves - 1
    }

    fn needs(&self, task: usize, needs: &mut Needs<'_>) {
        if task < self.leaves - 1 {
            needs.add_own(2 * task + 1);
            needs.add_own(2 * task + 2);
        }
    }

    fn run(&self, task: usize, inputs: &Inputs<'_>, _: &TaskScope<'_>) -> Result<u64, BoxError> {
        Ok(match task.checked_sub(self.leaves - 1) {
            Some(leaf) => leaf as u64,
            None => inputs.get::<u64>(0) + inputs.get::<u64>(1),
        })
    }
}

/// Each task takes a time.
#[derive(Serialize, Deserialize)]
struct Spin {
    tasks: usize,
    time: Duration,
}

impl Layer for Spin {
    type Value = ();

    fn name(&self) -> &'static str {
        "spin"
    }

    fn tasks(&self) -> usize {
        self.tasks
    }

    fn run(&self, _: usize, _: &Inputs<'_>, _: &TaskScope<'_>) -> Result<(), BoxError> {
        // Asleep, so that other programs on the machine delay the tasks as little as possible.
        std::thread::sleep(self.time);
        Ok(())
    }
}

/// Needs all tasks of a layer.
#[derive(Serialize, Deserialize)]
struct All {
    of: LayerId<()>,
    tasks: usize,
}

impl Layer for All {
    type Value = ();

    fn name(&self) -> &'static str {
        "all"
    }

    fn tasks(&self) -> usize {
        1
    }

    fn needs(&self, _: usize, needs: &mut Needs<'_>) {
        needs.add_all(self.of, 0..self.tasks);
    }

    fn run(&self, _: usize, _: &Inputs<'_>, _: &TaskScope<'_>) -> Result<(), BoxError> {
        Ok(())
    }
}

fn main() -> holdall::Result<()> {
    holdall::init();
    let executors = [
        Executor::Inline,
        Executor::Threads(2),
        Executor::Processes(2),
    ];
    for executor in executors {
        let context = Context::builder().executor(executor).build()?;
        context.range(0..2).count()?; // starts threads or workers
        let leaves = if executor == Executor::Processes(2) {
            50_000
        } else {
            500_000
        };
        for _ in 0..3 {
            let mut layers = Layers::new(&context);
            let sums = layers.add(Sums { leaves });
            let start = Instant::now();
            let values = layers.get(sums, [0])?;
            let time = start.elapsed();
            assert_eq!(values, [(0..leaves as u64).sum::<u64>()]);
            let nanos = time.as_nanos() / (2 * leaves as u128 - 1);
            eprintln!("{executor}: {nanos} ns a task, of {} tasks", 2 * leaves - 1);
        }
        if executor == Executor::Inline {
            continue;
        }
        let (tasks, time) = (10_000, Duration::from_millis(1));
        let mut layers = Layers::new(&context);
        let of = layers.add(Spin { tasks, time });
        let all = layers.add(All { of, tasks });
        // A sleep takes longer than it is told to.
        let start = Instant::now();
        (0..200).for_each(|_| std::thread::sleep(time));
        let ideal = start.elapsed() / 200 * u32::try_from(tasks).unwrap_or(u32::MAX) / 2;
        let start = Instant::now();
        layers.get(all, [0])?;
        let ratio = ideal.as_secs_f64() / start.elapsed().as_secs_f64();
        eprintln!("{executor}: {ratio:.3} of the ideal speed-up, for {tasks} tasks of 1 ms");
    }
    Ok(())
}
