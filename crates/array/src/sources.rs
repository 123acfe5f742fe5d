//! Arrays whose elements are given, or computed from their numbers.

use std::ops::Range;
use std::path::Path;
#[cfg(any(feature = "hdf5", feature = "netcdf", feature = "zarr"))]
use std::path::PathBuf;

#[cfg(any(feature = "hdf5", feature = "netcdf", feature = "zarr"))]
use holdall::BoxError;
use holdall::extend::Function;
use holdall::{Error, Result};
use ndarray::{Dimension, IntoDimension, Ix1};

use crate::array::Array;
use crate::chunk::Chunk;
use crate::constant::Constant;
use crate::element::{Element, Number};
use crate::grid::Grid;
use crate::indices::Indices;
use crate::leaf::Leaf;
use crate::npy::NpyFile;
use crate::ops::{Counted, Mapped};

/// Returns the numbers of a range, one after the other, in chunks of a length. Those of a range of floats begin with its
/// start, and have the distance 1.
///
/// # Panics
///
/// Panics if the chunks have no elements, or if the range has more than 2⁵³.
///
/// # Examples
///
/// ```
/// use holdall_array::arange;
///
/// let sum = (arange(0_i64..1_000_000_000, 3_000_000) + 1).sum();
/// # let sum = (arange(0_i64..1_000_000, 30_000) + 1).sum();
/// println!("{}", sum.value(&holdall::Context::default())?);
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn arange<A: Number>(
    range: Range<A>,
    chunk: usize,
) -> Array<A, Ix1, Mapped<Indices, Counted<A>>> {
    let length = (range.end.as_f64() - range.start.as_f64()).ceil();
    assert!(length <= 2_f64.powi(53), "{range:?} is too long");
    // A negative length becomes 0.
    let shape = [length as usize];
    let expr = Mapped {
        of: Indices::new(&shape),
        operation: Counted(range.start),
    };
    Array::new(shape.to_vec(), Grid::regular(&shape, &[chunk]), expr)
}

/// Returns an array whose elements a closure computes from their numbers, which begin at 0 and increase along the last
/// axis first.
///
/// On worker processes, the closure must capture nothing.
///
/// # Panics
///
/// Panics if the chunks have no elements.
///
/// # Examples
///
/// ```
/// let x = holdall_array::from_fn((2, 3), (2, 2), |number| 10 * number);
/// let x = x.compute(&holdall::Context::default())?;
/// assert_eq!(x, ndarray::arr2(&[[0, 10, 20], [30, 40, 50]]));
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn from_fn<A, I, F>(
    shape: I,
    chunk: impl IntoDimension<Dim = I::Dim>,
    function: F,
) -> Array<A, I::Dim, Mapped<Indices, Function<F>>>
where
    A: Element,
    I: IntoDimension,
    F: Fn(i64) -> A + Clone + Send + Sync + 'static,
{
    let shape = shape.into_dimension().slice().to_vec();
    let expr = Mapped {
        of: Indices::new(&shape),
        operation: Function::new(function),
    };
    let grid = Grid::regular(&shape, chunk.into_dimension().slice());
    Array::new(shape, grid, expr)
}

/// Returns an array whose elements are all the same.
///
/// # Panics
///
/// Panics if the chunks have no elements.
///
/// # Examples
///
/// ```
/// let ones = holdall_array::full((3, 4), (3, 4), 1_i32);
/// assert_eq!(ones.sum().value(&holdall::Context::default())?, 12);
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn full<A: Element, I: IntoDimension>(
    shape: I,
    chunk: impl IntoDimension<Dim = I::Dim>,
    element: A,
) -> Array<A, I::Dim, Constant<A>> {
    let shape = shape.into_dimension().slice().to_vec();
    let grid = Grid::regular(&shape, chunk.into_dimension().slice());
    Array::new(shape, grid, Constant(element))
}

/// Returns an array whose elements are in memory.
///
/// The whole array is one value: on worker processes, each worker receives it.
///
/// # Panics
///
/// Panics if the chunks have no elements.
///
/// # Examples
///
/// ```
/// use holdall_array::{Axis, from_ndarray};
///
/// let x = from_ndarray(ndarray::arr2(&[[1.0, 2.0], [3.0, 4.0]]), (1, 2));
/// let means = x.mean_axis(Axis(1)).compute(&holdall::Context::default())?;
/// assert_eq!(means.to_vec(), [1.5, 3.5]);
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn from_ndarray<A: Element, D: Dimension>(
    array: ndarray::Array<A, D>,
    chunk: impl IntoDimension<Dim = D>,
) -> Array<A, D> {
    let shape = array.shape().to_vec();
    let grid = Grid::regular(&shape, chunk.into_dimension().slice());
    let chunks = vec![Chunk::from(array)];
    let leaf = Leaf::memory(&shape, Grid::whole(&shape), chunks);
    Array::new(shape, grid, leaf)
}

/// Opens a file of NumPy. Tasks read the parts that they need.
///
/// # Errors
///
/// Returns an error if the file cannot be opened, if it is no file of NumPy, if its length is wrong, or if its elements
/// have another type or number of axes. Complex numbers, texts, and elements in big-endian order are refused.
///
/// # Panics
///
/// Panics if the chunks have no elements.
///
/// # Examples
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # std::env::set_current_dir(&dir).unwrap();
/// use holdall_array::{Ix2, from_fn, open_npy};
///
/// let context = holdall::Context::default();
/// let x = from_fn((100, 50), (10, 50), |number| number as f64);
/// x.write_npy(&context, "x.npy")?;
/// let y = open_npy::<f64, Ix2>("x.npy", (30, 30))?;
/// assert_eq!((&x - &y).max().value(&context)?, 0.0);
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn open_npy<A: Element, D: Dimension>(
    path: impl AsRef<Path>,
    chunk: impl IntoDimension<Dim = D>,
) -> Result<Array<A, D>> {
    let path = path.as_ref();
    let failed = |reason: String| Error::other(format!("cannot open {path:?}: {reason}"));
    // Worker processes may run in another directory.
    let absolute = std::path::absolute(path).map_err(|error| failed(error.to_string()))?;
    let file = NpyFile::open::<A>(&absolute).map_err(|error| failed(error.to_string()))?;
    let chunk = chunk.into_dimension();
    let (axes, expected) = (file.shape.len(), chunk.ndim());
    if axes != expected {
        return Err(failed(format!("it has {axes} axes, not {expected}")));
    }
    let is_reversed = file.is_reversed;
    let shape = file.shape.clone();
    let whole = Grid::whole(&shape);
    let array: Array<A, D> = Array::new(shape.clone(), whole, Leaf::npy(&shape, file));
    let array = if is_reversed { array.t() } else { array };
    Ok(array.rechunk(chunk))
}

/// Opens a file as an array. `open` returns the lengths of the axes and the leaf; its errors begin with `what`.
#[cfg(any(feature = "hdf5", feature = "netcdf", feature = "zarr"))]
pub(crate) fn open_file<A: Element, D: Dimension>(
    what: &str,
    path: &Path,
    chunk: impl IntoDimension<Dim = D>,
    open: impl FnOnce(PathBuf) -> Result<(Vec<usize>, Leaf<A>), BoxError>,
) -> Result<Array<A, D>> {
    let failed = |error: BoxError| Error::other(format!("cannot open {what}: {error}"));
    // Worker processes may run in another directory.
    let absolute = std::path::absolute(path).map_err(|error| failed(error.into()))?;
    let (shape, leaf) = open(absolute).map_err(failed)?;
    let chunk = chunk.into_dimension();
    let (axes, expected) = (shape.len(), chunk.ndim());
    if axes != expected {
        return Err(failed(format!("it has {axes} axes, not {expected}").into()));
    }
    let grid = Grid::regular(&shape, chunk.slice());
    Ok(Array::new(shape, grid, leaf))
}
