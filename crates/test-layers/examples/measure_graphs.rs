//! Measures the time of a task of a graph: of a tree of many trivial tasks, and of tasks of 1 ms.
//!
//! ```text
//! cargo run --release -p holdall-test-layers --example measure_graphs -- threads:2 1000000
//! ```

use std::time::{Duration, Instant};

use holdall::graph::{Graph, all, data, task};
use holdall::{Context, Executor};

fn leaf(n: u64) -> u64 {
    n
}

fn add(a: u64, b: u64) -> u64 {
    a + b
}

fn spin(_: u64) -> u64 {
    // Asleep, so that other programs on the machine delay the tasks as little as possible.
    std::thread::sleep(Duration::from_millis(1));
    1
}

fn total(numbers: &[u64]) -> u64 {
    numbers.iter().sum()
}

/// Returns a tree of about `tasks` tasks, whose root is "0".
fn tree(tasks: usize) -> Graph {
    let leaves = tasks.div_ceil(2);
    let mut graph = Graph::new();
    for n in 0..2 * leaves - 1 {
        let item = match n.checked_sub(leaves - 1) {
            Some(leaf_number) => task(leaf, [data(leaf_number as u64)]),
            None => task(add, [(2 * n + 1).to_string(), (2 * n + 2).to_string()]),
        };
        graph.insert(n.to_string(), item);
    }
    graph
}

/// Returns the CPU time of this process, in steps of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name is in parentheses.
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks = fields
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

fn measure_tree(context: &Context, tasks: usize) -> holdall::Result<()> {
    let start = Instant::now();
    let graph = tree(tasks);
    let nanos = |start: Instant| start.elapsed().as_nanos() / graph.len() as u128;
    eprintln!("built in {} ns a task", nanos(start));
    for _ in 0..3 {
        let (start, before) = (Instant::now(), cpu_time());
        let sum: u64 = context.get(&graph, "0")?;
        let (time, tasks) = (nanos(start), graph.len());
        let cpu = (cpu_time() - before).as_nanos() / tasks as u128;
        eprintln!("{time} ns a task, {cpu} ns of CPU time in this process, of {tasks} tasks");
        let leaves = tasks.div_ceil(2) as u64;
        assert_eq!(sum, (0..leaves).sum::<u64>());
    }
    Ok(())
}

fn measure_speed_up(context: &Context, threads: u32) -> holdall::Result<()> {
    let tasks = 10_000_u64;
    let mut graph = Graph::new();
    for n in 0..tasks {
        graph.insert(n.to_string(), task(spin, [data(n)]));
    }
    let all = all((0..tasks).map(|n| n.to_string()));
    graph.insert("total", task(total, [all]));
    // A sleep takes longer than it is told to.
    let start = Instant::now();
    (0..200).for_each(|n| _ = spin(n));
    let ideal = start.elapsed() / 200 * 10_000 / threads;
    let start = Instant::now();
    let total: u64 = context.get(&graph, "total")?;
    let ratio = ideal.as_secs_f64() / start.elapsed().as_secs_f64();
    eprintln!("{ratio:.3} of the ideal speed-up, for {total} tasks of 1 ms");
    Ok(())
}

fn main() -> holdall::Result<()> {
    holdall::init();
    let mut words = std::env::args().skip(1);
    let executor: Executor = words.next().unwrap_or("threads:2".to_owned()).parse()?;
    let tasks = words.next().and_then(|tasks| tasks.parse().ok());
    let context = Context::builder().executor(executor).build()?;
    context.range(0..2).count()?; // starts threads or workers
    measure_tree(&context, tasks.unwrap_or(1_000_000))?;
    match executor {
        Executor::Threads(threads) | Executor::Processes(threads) if tasks.is_none() => {
            measure_speed_up(&context, threads as u32)
        }
        _ => Ok(()),
    }
}
