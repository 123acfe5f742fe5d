//! Datasets of HDF5, by the crate `hdf5-reader`.

use std::path::{Path, PathBuf};

use hdf5_reader::{Dataset, Hdf5File, SliceInfo, SliceInfoElem};
use holdall::{BoxError, Result};
use ndarray::{Dimension, IntoDimension};
use serde::{Deserialize, Serialize};

use crate::array::Array;
use crate::element::Element;
use crate::grid::Region;
use crate::leaf::Leaf;
use crate::sources::open_file;

/// A dataset of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hdf5Dataset {
    path: PathBuf,
    name: String,
}

impl Hdf5Dataset {
    /// Opens the dataset. The file is opened for each region, so that nothing refers to an open file.
    fn open(&self) -> Result<Dataset, hdf5_reader::error::Error> {
        Hdf5File::open(&self.path)?.dataset(&self.name)
    }

    /// Reads the elements of a region.
    pub(crate) fn read<A: Element>(&self, region: &Region) -> Result<Vec<A>, BoxError> {
        let read = || {
            let ranges = region.iter().map(|range| SliceInfoElem::Slice {
                start: range.start as u64,
                end: range.end as u64,
                step: 1,
            });
            let selections = ranges.collect();
            A::read_hdf5(&self.open()?, &SliceInfo { selections })
        };
        let failed = |error| format!("cannot read {} of {:?}: {error}", self.name, self.path);
        let array = read().map_err(failed)?;
        Ok(array.into_iter().collect())
    }
}

/// Opens a dataset of an HDF5 file, such as one of netCDF-4. Tasks read the parts that they need, and decompress the chunks
/// of the file in parallel.
///
/// The chunks of the array need not be those of the file, but each chunk of the file is read for every chunk of the array
/// that overlaps it.
///
/// # Errors
///
/// Returns an error if the file or the dataset cannot be opened, or if the elements have another type or number of axes.
///
/// # Panics
///
/// Panics if the chunks have no elements.
///
/// # Examples
///
/// ```no_run
/// use holdall_array::{Axis, Ix2, open_hdf5};
///
/// let x = open_hdf5::<f64, Ix2>("file.hdf5", "/data", (1000, 1000))?;
/// let centred = &x - &x.mean_axis(Axis(1)).insert_axis(Axis(1));
/// centred.write_npy(&holdall::Context::default(), "centred.npy")?;
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn open_hdf5<A: Element, D: Dimension>(
    path: impl AsRef<Path>,
    dataset: &str,
    chunk: impl IntoDimension<Dim = D>,
) -> Result<Array<A, D>> {
    let path = path.as_ref();
    open_file(&format!("{dataset} of {path:?}"), path, chunk, |path| {
        let name = dataset.to_owned();
        let file = Hdf5Dataset { path, name };
        let opened = file.open()?;
        A::check_hdf5(opened.dtype())?;
        let shape = opened.shape().iter().map(|length| *length as usize);
        let shape: Vec<_> = shape.collect();
        Ok((shape.clone(), Leaf::hdf5(&shape, file)))
    })
}
