//! Large values with many readers: each task of `Mix` needs all tasks of `Blocks`.

use std::path::{Path, PathBuf};
use std::{fs, io};

use holdall::BoxError;
use holdall::extend::{Inputs, Layer, LayerId, Needs, TaskScope};
use serde::{Deserialize, Serialize};

/// Task `i` returns [`block`] `i`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Blocks {
    /// Number of tasks.
    pub tasks: usize,
    /// Length of each value.
    pub bytes: usize,
    /// A directory for a file for each run of a task.
    pub runs: PathBuf,
    /// The spill directory, if the last task needs the others and then damages all files of values.
    pub last_damages: Option<PathBuf>,
}

/// Returns the value of task `n` of [`Blocks`].
#[must_use]
pub fn block(n: usize, bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|byte| (byte * (n + 3) % 251) as u8)
        .collect()
}

impl Layer for Blocks {
    type Value = Vec<u8>;

    fn name(&self) -> &'static str {
        "blocks"
    }

    fn tasks(&self) -> usize {
        self.tasks
    }

    fn needs(&self, task: usize, needs: &mut Needs<'_>) {
        if self.last_damages.is_some() && task == self.tasks - 1 {
            (0..task).for_each(|other| needs.add_own(other));
        }
    }

    fn run(&self, task: usize, _: &Inputs<'_>, scope: &TaskScope<'_>) -> Result<Vec<u8>, BoxError> {
        if let Some(spill) = self
            .last_damages
            .as_ref()
            .filter(|_| task == self.tasks - 1)
        {
            damage(spill, Damage::Change)?;
        }
        let number = fs::read_dir(&self.runs)?.count();
        fs::write(self.runs.join(format!("{task}-{number}")), "")?;
        scope.count_bytes(self.bytes as u64);
        Ok(block(task, self.bytes))
    }
}

/// Task `i` returns the sum of the bytes at positions `i`, `i + tasks`, and so on, of all blocks.
#[derive(Debug, Serialize, Deserialize)]
pub struct Mix {
    /// The blocks.
    pub blocks: LayerId<Vec<u8>>,
    /// Number of blocks.
    pub of: usize,
    /// Number of tasks.
    pub tasks: usize,
    /// A layer whose first task must be done before.
    pub after: Option<LayerId<()>>,
}

/// Returns the value of task `n` of [`Mix`].
#[must_use]
pub fn mixed(n: usize, tasks: usize, blocks: usize, bytes: usize) -> u64 {
    let sum = |block: Vec<u8>| -> u64 {
        block
            .iter()
            .skip(n)
            .step_by(tasks)
            .map(|b| u64::from(*b))
            .sum()
    };
    (0..blocks).map(|number| sum(block(number, bytes))).sum()
}

impl Layer for Mix {
    type Value = u64;

    fn name(&self) -> &'static str {
        "mix"
    }

    fn tasks(&self) -> usize {
        self.tasks
    }

    fn needs(&self, _: usize, needs: &mut Needs<'_>) {
        needs.add_all(self.blocks, 0..self.of);
        if let Some(after) = self.after {
            needs.add(after, 0);
        }
    }

    fn run(&self, task: usize, inputs: &Inputs<'_>, _: &TaskScope<'_>) -> Result<u64, BoxError> {
        let blocks = inputs.iter::<Vec<u8>>().take(self.of);
        let of_block = |block: &Vec<u8>| -> u64 {
            let bytes = block.iter().skip(task).step_by(self.tasks);
            bytes.map(|byte| u64::from(*byte)).sum()
        };
        Ok(blocks.map(of_block).sum())
    }
}

/// Damages all files of values once, after all blocks are done.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sabotage {
    /// The blocks.
    pub blocks: LayerId<Vec<u8>>,
    /// Number of blocks.
    pub of: usize,
    /// The spill directory.
    pub spill: PathBuf,
    /// The operation.
    pub damage: Damage,
}

/// Operation on the files of values.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Damage {
    /// A byte of each is changed.
    Change,
    /// They are deleted.
    Delete,
    /// The scratch directory is deleted.
    DeleteDirectory,
}

impl Layer for Sabotage {
    type Value = ();

    fn name(&self) -> &'static str {
        "sabotage"
    }

    fn tasks(&self) -> usize {
        1
    }

    fn needs(&self, _: usize, needs: &mut Needs<'_>) {
        needs.add_all(self.blocks, 0..self.of);
    }

    fn run(&self, _: usize, _: &Inputs<'_>, _: &TaskScope<'_>) -> Result<(), BoxError> {
        damage(&self.spill, self.damage)?;
        Ok(())
    }
}

fn damage(spill: &Path, damage: Damage) -> io::Result<()> {
    for directory in fs::read_dir(spill)? {
        let directory = directory?.path();
        if let Damage::DeleteDirectory = damage {
            fs::remove_dir_all(directory)?;
            continue;
        }
        for file in fs::read_dir(directory)? {
            let file = file?;
            if !file.file_name().to_string_lossy().contains("value") {
                continue;
            }
            if let Damage::Delete = damage {
                fs::remove_file(file.path())?;
                continue;
            }
            let mut bytes = fs::read(file.path())?;
            if let Some(byte) = bytes.get_mut(1000) {
                *byte ^= 1;
                fs::write(file.path(), bytes)?;
            }
        }
    }
    Ok(())
}
