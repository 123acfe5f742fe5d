//! Arrays of zarr, by the crate `zarrs`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdall::{BoxError, Result};
use ndarray::{Dimension, IntoDimension};
use serde::{Deserialize, Serialize};
use zarrs::array::{ArraySubset, CodecOptions};
use zarrs::filesystem::FilesystemStore;

use crate::array::Array;
use crate::element::Element;
use crate::grid::Region;
use crate::leaf::Leaf;
use crate::sources::open_file;

/// An open array.
pub(crate) type Opened = zarrs::array::Array<FilesystemStore>;

/// The directory of an array.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ZarrArray {
    path: PathBuf,
}

/// Returns options with which zarrs uses the thread that calls it, and no others.
pub(crate) fn on_this_thread() -> CodecOptions {
    CodecOptions::default().with_concurrent_target(1)
}

/// Opens the directory of an array as a store.
pub(crate) fn store(path: &Path) -> Result<Arc<FilesystemStore>, BoxError> {
    Ok(Arc::new(FilesystemStore::new(path)?))
}

impl ZarrArray {
    fn open(&self) -> Result<Opened, BoxError> {
        Ok(zarrs::array::Array::open(store(&self.path)?, "/")?)
    }

    /// Reads the elements of a region. The metadata is read for each region, so that nothing refers to an open store.
    pub(crate) fn read<A: Element>(&self, region: &Region) -> Result<Vec<A>, BoxError> {
        let read = || -> Result<Vec<A>, BoxError> {
            let ranges = region
                .iter()
                .map(|range| range.start as u64..range.end as u64);
            let subset = ArraySubset::new_with_ranges(&ranges.collect::<Vec<_>>());
            let array = self.open()?;
            Ok(array.retrieve_array_subset_opt(&subset, &on_this_thread())?)
        };
        let failed = |error| format!("cannot read {:?}: {error}", self.path);
        Ok(read().map_err(failed)?)
    }
}

/// Opens an array of zarr, version 2 or 3: a directory with metadata and compressed chunks. Tasks read the chunks that they
/// need.
///
/// The chunks of the array need not be those of the directory, but each of these is read for every chunk of the array that
/// overlaps it.
///
/// # Errors
///
/// Returns an error if the array cannot be opened, for example because its compression is unknown, or if the elements have
/// another type or number of axes.
///
/// # Panics
///
/// Panics if the chunks have no elements.
///
/// # Examples
///
/// ```
/// use holdall::Context;
/// use holdall_array::{Ix2, from_fn, open_zarr};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # std::env::set_current_dir(&dir).unwrap();
/// let context = Context::builder().threads(2).build()?;
/// from_fn((300, 200), (100, 100), |number| number).write_zarr(&context, "numbers.zarr")?;
///
/// let numbers = open_zarr::<i64, Ix2>("numbers.zarr", (150, 200))?;
/// assert_eq!(numbers.sum().value(&context)?, 1_799_970_000);
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn open_zarr<A: Element, D: Dimension>(
    path: impl AsRef<Path>,
    chunk: impl IntoDimension<Dim = D>,
) -> Result<Array<A, D>> {
    let path = path.as_ref();
    open_file(&format!("{path:?}"), path, chunk, |path| {
        let array = ZarrArray { path };
        let opened = array.open()?;
        let kind = opened.data_type();
        A::validate_data_type(kind)
            .map_err(|_| format!("its elements are `{kind}`, not `{}`", A::KIND))?;
        let shape = opened.shape().iter().map(|length| *length as usize);
        let shape: Vec<_> = shape.collect();
        Ok((shape.clone(), Leaf::zarr(&shape, array)))
    })
}
