//! Variables of netCDF, by the crate `netcdf-reader`.

use std::path::{Path, PathBuf};

use holdall::{BoxError, Result};
use ndarray::{Dimension, IntoDimension};
use netcdf_reader::{NcFile, NcSliceInfo, NcSliceInfoElem};
use serde::{Deserialize, Serialize};

use crate::array::Array;
use crate::element::Element;
use crate::grid::Region;
use crate::leaf::Leaf;
use crate::sources::open_file;

/// A variable of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NetcdfVariable {
    path: PathBuf,
    name: String,
}

impl NetcdfVariable {
    /// Returns the lengths of the axes, if the elements have type `A`.
    fn shape<A: Element>(&self) -> Result<Vec<usize>, netcdf_reader::Error> {
        let file = NcFile::open(&self.path)?;
        let variable = file.variable(&self.name)?;
        A::check_netcdf(variable.dtype())?;
        let shape = variable.shape().into_iter();
        Ok(shape.map(|length| length as usize).collect())
    }

    /// Reads the elements of a region. The file is opened for each region, so that nothing refers to an open file.
    pub(crate) fn read<A: Element>(&self, region: &Region) -> Result<Vec<A>, BoxError> {
        let read = || {
            let ranges = region.iter().map(|range| NcSliceInfoElem::Slice {
                start: range.start as u64,
                end: range.end as u64,
                step: 1,
            });
            let selections = ranges.collect();
            let file = NcFile::open(&self.path)?;
            A::read_netcdf(&file, &self.name, &NcSliceInfo { selections })
        };
        let failed = |error: netcdf_reader::Error| {
            format!("cannot read {} of {:?}: {error}", self.name, self.path)
        };
        let array = read().map_err(failed)?;
        Ok(array.into_iter().collect())
    }
}

/// Opens a variable of a netCDF file, classic or netCDF-4. Tasks read the parts that they need.
///
/// The elements are those of the file: attributes such as `scale_factor` and `_FillValue` are not applied. The file must
/// not become shorter while it is read.
///
/// # Errors
///
/// Returns an error if the file or the variable cannot be opened, or if the elements have another type or number of axes.
///
/// # Panics
///
/// Panics if the chunks have no elements.
///
/// # Examples
///
/// ```no_run
/// use holdall_array::{Axis, Ix3, open_netcdf};
///
/// let temperature = open_netcdf::<f32, Ix3>("climate.nc", "SST", (1, 90, 180))?;
/// let mean = temperature.mean_axis(Axis(0)).compute(&holdall::Context::default())?;
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn open_netcdf<A: Element, D: Dimension>(
    path: impl AsRef<Path>,
    variable: &str,
    chunk: impl IntoDimension<Dim = D>,
) -> Result<Array<A, D>> {
    let path = path.as_ref();
    open_file(&format!("{variable} of {path:?}"), path, chunk, |path| {
        let name = variable.to_owned();
        let file = NetcdfVariable { path, name };
        let shape = file.shape::<A>()?;
        Ok((shape.clone(), Leaf::netcdf(&shape, file)))
    })
}
