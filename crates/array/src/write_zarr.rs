//! Writes arrays to zarr.

use std::fs;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdall::extend::{Inputs, Layer, Needs, TaskScope};
use holdall::{BoxError, Context, Error, Result};
use ndarray::Dimension;
use serde::{Deserialize, Serialize};
use zarrs::array::codec::ZstdCodec;
use zarrs::array::{ArrayBuilder, FillValue};

use crate::array::Array;
use crate::chunk::Chunk;
use crate::element::Element;
use crate::expr::{Expr, Loading};
use crate::grid::{Region, position};
use crate::lowering::{Chunks, Lowering};
use crate::places::Runs;
use crate::unfinished::Unfinished;
use crate::zarr::{Opened, on_this_thread, store};

/// Writes the chunks of an expression to the files of an array.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct WrittenChunks<E: Expr> {
    chunks: Chunks<E>,
    path: PathBuf,
    /// Lengths of all chunks in the files. The last ones of an axis may reach beyond its end.
    chunk: Vec<usize>,
}

impl<E: Expr> WrittenChunks<E> {
    fn write(&self, number: usize, chunk: Chunk<E::Item>) -> Result<(), BoxError> {
        let array = Opened::open(store(&self.path)?, "/")?;
        let indices = position(number, &self.chunks.grid.counts());
        let indices: Vec<_> = indices.into_iter().map(|index| index as u64).collect();
        let elements = padded(chunk, &self.chunk);
        Ok(array.store_chunk_opt(&indices, &elements[..], &on_this_thread())?)
    }
}

/// Returns the elements of a chunk, with the default for those that it lacks.
fn padded<A: Element>(chunk: Chunk<A>, shape: &[usize]) -> Arc<Vec<A>> {
    if chunk.shape == shape {
        return chunk.elements;
    }
    let region = |shape: &[usize]| -> Region { shape.iter().map(|length| 0..*length).collect() };
    let mut padded = vec![A::default(); shape.iter().product()];
    let rows = chunk
        .elements
        .chunks(chunk.shape.last().copied().unwrap_or(1));
    for (to, row) in Runs::new(&region(&chunk.shape), &region(shape)).zip(rows) {
        padded[to].copy_from_slice(row);
    }
    Arc::new(padded)
}

impl<E: Expr> Layer for WrittenChunks<E> {
    type Value = ();

    fn name(&self) -> &'static str {
        "write_zarr"
    }

    fn tasks(&self) -> usize {
        self.chunks.tasks()
    }

    fn needs(&self, task: usize, needs: &mut Needs<'_>) {
        self.chunks.needs(task, needs);
    }

    fn run(&self, task: usize, inputs: &Inputs<'_>, scope: &TaskScope<'_>) -> Result<(), BoxError> {
        let chunk = self.chunks.chunk(task, &mut Loading::new(inputs, scope))?;
        let failed = |error| format!("cannot write {:?}: {error}", self.path);
        Ok(self.write(task, chunk).map_err(failed)?)
    }
}

/// Returns the name that zarr has for a type.
fn data_type<A: Element>() -> String {
    let bits = 8 * size_of::<A>();
    match A::KIND.as_bytes()[0] {
        b'b' => "bool".to_owned(),
        b'f' => format!("float{bits}"),
        b'i' => format!("int{bits}"),
        _ => format!("uint{bits}"),
    }
}

/// Writes the metadata of an array into a directory.
fn write_metadata<A: Element>(
    path: &Path,
    shape: &[usize],
    chunk: &[usize],
) -> Result<(), BoxError> {
    let lengths = |lengths: &[usize]| lengths.iter().map(|n| *n as u64).collect::<Vec<_>>();
    let fill = FillValue::new(bytemuck::bytes_of(&A::default()).to_vec());
    let mut builder = ArrayBuilder::new(lengths(shape), lengths(chunk), data_type::<A>(), fill);
    // The default level.
    builder.bytes_to_bytes_codecs(vec![Arc::new(ZstdCodec::new(0, false))]);
    builder.build(store(path)?, "/")?.store_metadata()?;
    Ok(())
}

impl<A: Element, D: Dimension, E: Expr<Item = A>> Array<A, D, E> {
    /// Writes the array to a directory in the format of zarr, version 3, compressed by zstd. Runs a job.
    ///
    /// Each task writes its chunk to a file, so the array may be larger than memory. Chunks have the lengths of the first
    /// one; [`rechunk`](Self::rechunk) before this chooses others. The directory appears at `path` when it is complete.
    /// Chunks with nothing but zeros have no file.
    ///
    /// # Errors
    ///
    /// Returns an error if something other than an empty directory is at `path`, if a file cannot be written, for example
    /// because the disk is full, and the errors of [`compute`](Self::compute). Then nothing is left behind.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Context;
    /// use holdall_array::{Axis, from_fn};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// let x = from_fn((1_000, 300), (200, 300), |number| (number % 7) as f64);
    /// let centred = &x - &x.mean_axis(Axis(1)).insert_axis(Axis(1));
    /// centred.write_zarr(&Context::default(), "centred.zarr")?;
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn write_zarr(&self, context: &Context, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let failed = |error: BoxError| Error::other(format!("cannot write {path:?}: {error}"));
        let found = fs::read_dir(path).map(|mut entries| entries.next().is_some());
        match found {
            Ok(false) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Ok(true) => return Err(failed("the directory is not empty".into())),
            Err(error) => return Err(failed(error.into())),
        }
        // An axis of length zero has no chunk, but its chunks have a length.
        let chunk = self
            .grid
            .0
            .iter()
            .map(|cuts| cuts.get(1).map_or(1, |cut| cut - cuts[0]));
        let chunk: Vec<_> = chunk.collect();
        let array = self.rechunk(D::from_dimension(&ndarray::IxDyn(&chunk)).unwrap_or_default());
        let directory = Unfinished::new(path, |path| fs::create_dir(path));
        let directory = directory.map_err(|error| failed(error.into()))?;
        write_metadata::<A>(&directory.path, &array.shape, &chunk).map_err(failed)?;
        let mut lowering = Lowering::new(context);
        let written = WrittenChunks {
            chunks: array.all_chunks().lowered(&mut lowering),
            path: directory.path.clone(),
            chunk,
        };
        let layer = lowering.add(written, Location::caller());
        lowering.layers.get(layer, 0..array.grid.chunks())?;
        directory.complete().map_err(|error| failed(error.into()))
    }
}
