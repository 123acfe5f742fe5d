//! Datasets of HDF5, by the crate `hdf5-reader`.

use std::path::{Path, PathBuf};

use hdf5_reader::filters::FILTER_SHUFFLE;
use hdf5_reader::{Dataset, FilterRegistry, Hdf5File, OpenOptions, SliceInfo, SliceInfoElem};
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
    /// Opens the dataset. The file is opened for each region, so that nothing refers to an open file, and a cache of its
    /// chunks would be of no use.
    fn open(&self) -> Result<Dataset, hdf5_reader::error::Error> {
        let mut filters = FilterRegistry::new();
        let filter = Box::new(|_: &_, bytes: &_, size| Ok(unshuffled(bytes, size)));
        filters.register(FILTER_SHUFFLE, filter);
        let options = OpenOptions {
            chunk_cache_bytes: 0,
            filter_registry: Some(filters),
            ..OpenOptions::default()
        };
        Hdf5File::open_with_options(&self.path, options)?.dataset(&self.name)
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
        // The array is new and in the standard order.
        let (elements, _) = read().map_err(failed)?.into_raw_vec_and_offset();
        Ok(elements)
    }
}

/// Reverses the filter that stores the first bytes of all elements, then the second ones, and so on. Writes a block of
/// elements after the other, because each byte would otherwise go to another cache line. The crate's own filter takes most
/// of the time of a dataset that compresses well.
fn unshuffled(bytes: &[u8], size: usize) -> Vec<u8> {
    /// Number of elements of a block, which fits into the first cache.
    const BLOCK: usize = 1024;

    let mut elements = bytes.to_vec();
    let count = bytes.len() / size.max(1);
    if size < 2 || count == 0 {
        return elements;
    }
    let blocks = elements[..count * size].chunks_mut(BLOCK * size);
    for (block, start) in blocks.zip((0..).step_by(BLOCK)) {
        for (at, plane) in bytes.chunks_exact(count).take(size).enumerate() {
            for (element, byte) in block.chunks_exact_mut(size).zip(&plane[start..]) {
                element[at] = *byte;
            }
        }
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::unshuffled;

    #[test]
    fn elements_are_whole_again() {
        for (size, count) in [(1, 5), (2, 0), (4, 3), (8, 1024), (8, 2500), (3, 1025)] {
            let bytes: Vec<_> = (0..size * count + 1).map(|n| (n * 7 % 251) as u8).collect();
            let planes =
                (0..size).flat_map(|at| bytes[..size * count].iter().skip(at).step_by(size));
            // Bytes after the last element stay where they are.
            let shuffled: Vec<_> = planes.chain(&bytes[size * count..]).copied().collect();
            assert_eq!(unshuffled(&shuffled, size), bytes, "{size} {count}");
        }
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
