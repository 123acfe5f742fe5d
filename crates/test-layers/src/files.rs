//! Values that refer to scratch files.

use std::fs;
use std::path::PathBuf;

use holdall::BoxError;
use holdall::extend::{Inputs, Layer, LayerId, Needs, SpillFile, TaskScope};
use serde::{Deserialize, Serialize};

/// Returns the content of the file of task `n` of [`WriteFile`].
#[must_use]
pub fn content(n: usize) -> Vec<u8> {
    (0..200_000_usize)
        .map(|byte| (byte * (n + 7) % 253) as u8)
        .collect()
}

/// Task `i` writes a file. With `of`, it returns the file of task `i` of another such layer instead.
#[derive(Debug, Serialize, Deserialize)]
pub struct WriteFile {
    /// Number of tasks.
    pub tasks: usize,
    /// The layer whose files it returns.
    pub of: Option<LayerId<SpillFile>>,
}

impl Layer for WriteFile {
    type Value = SpillFile;

    fn name(&self) -> &'static str {
        "write_file"
    }

    fn tasks(&self) -> usize {
        self.tasks
    }

    fn needs(&self, task: usize, needs: &mut Needs<'_>) {
        if let Some(of) = self.of {
            needs.add(of, task);
        }
    }

    fn run(
        &self,
        task: usize,
        inputs: &Inputs<'_>,
        scope: &TaskScope<'_>,
    ) -> Result<SpillFile, BoxError> {
        // A file without a reader is deleted with its handle.
        scope.create_file()?.append(b"unread")?;
        if self.of.is_some() {
            return Ok(inputs.get::<SpillFile>(0).clone());
        }
        let mut writer = scope.create_file()?;
        for piece in content(task).chunks(1000) {
            writer.append(piece)?;
        }
        Ok(writer.finish()?)
    }
}

/// Task `i` deletes the file of task `i` of a layer, and then reads it. It does so once, or in each attempt.
#[derive(Debug, Serialize, Deserialize)]
pub struct Delete {
    /// The files.
    pub files: LayerId<SpillFile>,
    /// Number of tasks.
    pub tasks: usize,
    /// The spill directory.
    pub spill: PathBuf,
    /// If this file exists, the task deletes it, too; otherwise, it deletes nothing. `None` if it always deletes.
    pub once: Option<PathBuf>,
}

impl Layer for Delete {
    type Value = Vec<u8>;

    fn name(&self) -> &'static str {
        "delete"
    }

    fn tasks(&self) -> usize {
        self.tasks
    }

    fn needs(&self, task: usize, needs: &mut Needs<'_>) {
        needs.add(self.files, task);
    }

    fn run(&self, _: usize, inputs: &Inputs<'_>, _: &TaskScope<'_>) -> Result<Vec<u8>, BoxError> {
        if self
            .once
            .as_ref()
            .is_none_or(|once| fs::remove_file(once).is_ok())
        {
            for directory in fs::read_dir(&self.spill)? {
                for file in fs::read_dir(directory?.path())? {
                    let file = file?;
                    if file.file_name().to_string_lossy().contains("file") {
                        fs::remove_file(file.path())?;
                    }
                }
            }
        }
        let file = inputs.get::<SpillFile>(0);
        let mut bytes = vec![0; file.bytes() as usize];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    }
}
