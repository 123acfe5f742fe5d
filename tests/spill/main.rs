//! Shuffles larger than memory: whatever happens, the answers are the same, and nothing is left behind.

#[path = "../common/mod.rs"]
mod common;

mod answers;
mod child;
mod damage;
mod disk;
mod outputs;
mod peak_memory;
mod resume;
mod scratch;

use std::path::Path;

use holdall::{Context, ContextBuilder, Executor};

use common::{Files, all_settings, within_the_limit};

/// Minimum memory with which a thread can shuffle, in bytes.
const MIN_THREAD_BYTES: usize = 1 << 20;

/// Memory that suffices for all data of these tests, in bytes.
const PLENTY_BYTES: usize = 1 << 30;

const EXECUTORS: [(Executor, usize); 4] = [
    (Executor::Inline, 1),
    (Executor::Threads(1), 1),
    (Executor::Threads(2), 2),
    (Executor::Threads(3), 3),
];

/// Returns a context that spills into `directory` and has the minimum memory.
fn tight(executor: Executor, directory: &Path) -> ContextBuilder {
    let threads = EXECUTORS.iter().find(|(other, _)| *other == executor);
    let (_, threads) = threads.expect("one of the executors");
    Context::builder()
        .executor(executor)
        .memory((MIN_THREAD_BYTES * threads) as u64)
        .spill_directory(directory)
        .progress(false)
}

/// Returns the number of bytes that all stages of the last job spilled.
fn spilled_bytes(context: &Context) -> u64 {
    let summary = context.last_job().expect("a job has run");
    summary.stages.iter().map(|stage| stage.spilled_bytes).sum()
}

/// Expected spilling of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spills {
    /// It spills with the minimum memory, but not with plenty.
    WhenTight,
    /// It may spill: only the answer counts.
    Perhaps,
    /// It always spills, because data that is read twice is read from a file.
    Always,
}

/// Runs `behaviour` on each executor with the minimum memory, with more, and with plenty, and checks whether it
/// spilled.
fn on_every_budget(spills: Spills, behaviour: impl Fn(&Context) + Clone + Send + 'static) {
    for (executor, threads) in EXECUTORS {
        let least = MIN_THREAD_BYTES * threads;
        let budgets = match executor {
            Executor::Threads(1 | 3) if !all_settings() => vec![],
            Executor::Threads(2) if all_settings() => vec![least, 2 * least, PLENTY_BYTES],
            Executor::Threads(2) => vec![least, PLENTY_BYTES],
            _ => vec![least],
        };
        for bytes in budgets {
            let files = Files::new();
            let context = tight(executor, files.root()).memory(bytes as u64);
            let context = context.build().expect("the settings are right");
            let (behaviour, mine) = (behaviour.clone(), context.clone());
            let name = format!("{executor:?} with {bytes} bytes");
            within_the_limit(&name, move || behaviour(&mine));
            let spilled = spilled_bytes(&context);
            let is_expected = match (spills, bytes) {
                (Spills::Perhaps, _) => true,
                (Spills::Always, _) => spilled > 0,
                (Spills::WhenTight, PLENTY_BYTES) => spilled == 0,
                (Spills::WhenTight, bytes) => spilled > 0 || bytes > least,
            };
            assert!(is_expected, "{name} spilled {spilled} bytes");
            assert!(files.names().is_empty(), "{name}: {:?}", files.names());
        }
    }
}
