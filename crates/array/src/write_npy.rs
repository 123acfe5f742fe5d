//! Writes arrays to files of NumPy.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::panic::Location;
use std::path::{Path, PathBuf};

use holdall::extend::{Inputs, Layer, Needs, TaskScope};
use holdall::{BoxError, Context, Error, Result};
use ndarray::Dimension;
use serde::{Deserialize, Serialize};

use crate::array::Array;
use crate::element::Element;
use crate::expr::{Expr, Loading};
use crate::grid::Region;
use crate::lowering::{Chunks, Lowering};
use crate::npy::header;
use crate::places::Runs;
use crate::unfinished::Unfinished;

/// Writes the chunks of an expression to their places in a file.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct WrittenChunks<E: Expr> {
    chunks: Chunks<E>,
    path: PathBuf,
    start: u64,
    shape: Vec<usize>,
}

impl<E: Expr> Layer for WrittenChunks<E> {
    type Value = ();

    fn name(&self) -> &'static str {
        "write_npy"
    }

    fn tasks(&self) -> usize {
        self.chunks.tasks()
    }

    fn needs(&self, task: usize, needs: &mut Needs<'_>) {
        self.chunks.needs(task, needs);
    }

    fn run(&self, task: usize, inputs: &Inputs<'_>, scope: &TaskScope<'_>) -> Result<(), BoxError> {
        let chunk = self.chunks.chunk(task, &mut Loading::new(inputs, scope))?;
        let failed = |error: io::Error| format!("cannot write {:?}: {error}", self.path);
        let file = OpenOptions::new()
            .write(true)
            .open(&self.path)
            .map_err(failed)?;
        let region = self.chunks.grid.region(task);
        let whole: Region = self.shape.iter().map(|length| 0..*length).collect();
        let mut bytes: &[u8] = bytemuck::cast_slice(&chunk.elements);
        for run in crate::npy::merged(Runs::new(&region, &whole)) {
            let size = size_of::<E::Item>();
            let (part, rest) = bytes.split_at(run.len() * size);
            let offset = self.start + (run.start * size) as u64;
            file.write_all_at(part, offset).map_err(failed)?;
            bytes = rest;
        }
        Ok(())
    }
}

impl<A: Element, D: Dimension, E: Expr<Item = A>> Array<A, D, E> {
    /// Writes the array to a file of NumPy. Runs a job.
    ///
    /// Each task writes its chunk, so the array may be larger than memory. The file appears at `path` when it is
    /// complete, and replaces another file there.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written, for example because the disk is full, and the errors of
    /// [`compute`](Self::compute). Then nothing is left behind.
    #[track_caller]
    pub fn write_npy(&self, context: &Context, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let failed = |error| Error::other(format!("cannot write {path:?}: {error}"));
        let start = header::<A>(&self.shape);
        let bytes = self.shape.iter().product::<usize>() * size_of::<A>();
        let length = (start.len() + bytes) as u64;
        let unfinished = Unfinished::new(path, |path| File::create_new(path).map(drop));
        let unfinished = unfinished.map_err(failed)?;
        let file = OpenOptions::new().write(true).open(&unfinished.path);
        let begin = |file: &File| {
            file.write_all_at(&start, 0)
                .and_then(|()| file.set_len(length))
        };
        let file = file
            .and_then(|file| begin(&file).map(|()| file))
            .map_err(failed)?;
        let mut lowering = Lowering::new(context);
        let written = WrittenChunks {
            chunks: self.all_chunks().lowered(&mut lowering),
            path: unfinished.path.clone(),
            start: start.len() as u64,
            shape: self.shape.clone(),
        };
        let layer = lowering.add(written, Location::caller());
        lowering.layers.get(layer, 0..self.grid.chunks())?;
        let synced = file.sync_all();
        synced.and_then(|()| unfinished.complete()).map_err(failed)
    }
}
