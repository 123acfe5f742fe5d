//! Tasks that fail.

use std::fs;
use std::path::PathBuf;

use holdall::BoxError;
use holdall::extend::{Inputs, Layer, Needs, TaskScope};
use serde::{Deserialize, Serialize};

/// Behaviour of a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Trouble {
    /// Returns an error.
    Error,
    /// Panics.
    Panic,
    /// Runs an action.
    Action,
    /// Ends its process if it can delete this file.
    Abort(PathBuf),
    /// Ends its process in each attempt.
    AlwaysAbort,
    /// Creates this file, and then waits until it is cancelled.
    Wait(PathBuf),
    /// Needs itself.
    Cycle,
    /// Needs a task that does not exist.
    Unknown,
    /// Panics where it names what it needs.
    PanicInNeeds,
}

/// A chain of tasks, each of which needs the one before. One of them is in trouble. The others count.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Troubled {
    /// Number of tasks.
    pub tasks: usize,
    /// The task in trouble.
    pub at: usize,
    /// Its behaviour.
    pub trouble: Trouble,
}

impl Layer for Troubled {
    type Value = usize;

    fn name(&self) -> &'static str {
        "troubled"
    }

    fn tasks(&self) -> usize {
        self.tasks
    }

    fn needs(&self, task: usize, needs: &mut Needs<'_>) {
        if let Some(before) = task.checked_sub(1) {
            needs.add_own(before);
        }
        if task == self.at {
            match self.trouble {
                Trouble::Cycle => needs.add_own(task + 2),
                Trouble::Unknown => needs.add_own(self.tasks),
                Trouble::PanicInNeeds => panic!("on purpose"),
                _ => {}
            }
        }
    }

    fn run(
        &self,
        task: usize,
        inputs: &Inputs<'_>,
        scope: &TaskScope<'_>,
    ) -> Result<usize, BoxError> {
        if task == self.at {
            match &self.trouble {
                Trouble::Error => return Err("the reason".into()),
                Trouble::Panic => panic!("on purpose"),
                Trouble::Action => _ = holdall::range(0..10).count()?,
                Trouble::Abort(file) if fs::remove_file(file).is_err() => {}
                Trouble::Abort(_) | Trouble::AlwaysAbort => std::process::abort(),
                Trouble::Wait(file) => {
                    fs::write(file, "")?;
                    while !scope.is_stopped() {
                        std::thread::yield_now();
                    }
                }
                Trouble::Cycle | Trouble::Unknown | Trouble::PanicInNeeds => {}
            }
        }
        Ok(inputs.iter::<usize>().sum::<usize>() + 1)
    }
}
