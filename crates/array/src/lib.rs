//! Lazy, chunked arrays on the executors of [holdall].
//!
//! An [`Array`] is to an array of [ndarray](ndarray) what a bag is to a `Vec`: it is divided into chunks, described by
//! operations, and computed by tasks, which may read what exceeds memory.
//!
//! ```
//! use holdall::Context;
//! use holdall_array::{Axis, Ix2, from_fn, open_npy};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # std::env::set_current_dir(&dir).unwrap();
//! let context = Context::builder().threads(2).build()?;
//! let x = from_fn((2_000, 500), (300, 300), |number| (number % 1_013) as f64); // nothing is computed
//! let centred = &x - &x.mean_axis(Axis(1)).insert_axis(Axis(1));
//! centred.write_npy(&context, "centred.npy")?;                                 // a task for each chunk
//!
//! let y = open_npy::<f64, Ix2>("centred.npy", (500, 500))?;
//! assert!(y.sum().value(&context)?.abs() < 1e-6);
//! let gram = y.t().dot(&y).compute(&context)?;                                 // an array of ndarray
//! assert_eq!(gram.dim(), (500, 500));
//! # Ok::<(), holdall::Error>(())
//! ```
//!
//! | to | use |
//! | --- | --- |
//! | create an array | [`arange`], [`from_fn`], [`full`], [`from_ndarray`], [`open_npy`], `open_hdf5`, `open_netcdf`, `open_zarr` (features `hdf5`, `netcdf`, `zarr`) |
//! | compute each element | `+`, `-`, `*`, `/`, [`map`](Array::map), [`zip`](Array::zip), [`cast`](Array::cast), [`sqrt`](Array::sqrt) |
//! | combine elements | [`sum`](Array::sum), [`mean`](Array::mean), [`var`](Array::var), [`std`](Array::std), [`min`](Array::min), [`max`](Array::max), and `…_axis` |
//! | select elements | [`slice`](Array::slice), [`t`](Array::t), [`permuted_axes`](Array::permuted_axes), [`insert_axis`](Array::insert_axis) |
//! | multiply matrices | [`dot`](Array::dot) |
//! | choose chunks, and what is computed once | [`rechunk`](Array::rechunk), [`boxed`](Array::boxed), [`persist`](Array::persist) |
//! | run a job | [`compute`](Array::compute), [`value`](Array::value), [`write_npy`](Array::write_npy), `write_zarr` (feature `zarr`) |
//! | go on with bags and functions | [`to_bag`](Array::to_bag), [`from_bag`], [`to_delayed`](Array::to_delayed), [`from_delayed`] |
//!
//! # Fusion
//!
//! Element-wise operations, slices and transposes run within the task that needs their elements, and the compiler makes
//! one loop of them. They hold no intermediate arrays. Reductions and products are tasks of their own. If two of them read
//! `&x + 1`, each computes it; [`boxed`](Array::boxed) makes a task of it that both of them use.
//!
//! # Memory
//!
//! A task holds the chunks that it reads and the one that it computes. Chunks that wait for other tasks count towards the
//! [budget](holdall::ContextBuilder::memory), and are spilled to files if it is exhausted.
//!
//! # Digits
//!
//! Numbers are combined in an order that depends on the chunks only. The result has the same digits on one thread, on
//! many, and in worker processes.

mod array;
mod chunk;
mod compute;
mod constant;
mod convert;
mod dot;
mod element;
mod expr;
mod grid;
#[cfg(feature = "hdf5")]
mod hdf5;
mod indices;
mod leaf;
mod lowering;
#[cfg(feature = "netcdf")]
mod netcdf;
mod npy;
mod operators;
mod ops;
mod places;
mod reduce;
mod reduction;
mod sources;
mod unfinished;
mod view;
mod write_npy;
#[cfg(feature = "zarr")]
mod write_zarr;
#[cfg(feature = "zarr")]
mod zarr;

pub use array::Array;
pub use chunk::Chunk;
pub use constant::Constant;
pub use convert::{from_bag, from_delayed};
pub use element::{Element, Float, Number};
pub use expr::Expr;
#[cfg(feature = "hdf5")]
pub use hdf5::open_hdf5;
pub use indices::Indices;
pub use leaf::Leaf;
pub use ndarray::{Axis, Ix0, Ix1, Ix2, Ix3, Ix4, IxDyn, s};
#[cfg(feature = "netcdf")]
pub use netcdf::open_netcdf;
pub use ops::{Cast, Counted, Mapped, Minus, Negated, Over, Plus, Root, Times, Zipped};
pub use sources::{arange, from_fn, from_ndarray, full, open_npy};
#[cfg(feature = "zarr")]
pub use zarr::open_zarr;

/// The examples of the README are tested as those of the docs are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
