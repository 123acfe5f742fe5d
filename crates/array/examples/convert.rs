//! Copies an array of floats from one file format to another, less the mean of all elements:
//!
//!     convert FORMAT PATH[#NAME] CHUNKS OUT
//!
//! FORMAT is `hdf5`, `netcdf`, `npy` or `zarr`; NAME is that of a dataset or a variable, and CHUNKS has lengths such as
//! `100,200`. OUT is written as zarr if it ends in `.zarr`, and otherwise as a file of NumPy. Prints the peak of the memory
//! that the job reserved. `HOLDALL_EXECUTOR` and `HOLDALL_MEMORY` apply.

use std::env::args;

use holdall::{BoxError, Context};
use holdall_array::{Array, IxDyn, open_hdf5, open_netcdf, open_npy, open_zarr};

/// An array of any shape.
type Any = Array<f64, IxDyn>;

fn main() -> Result<(), BoxError> {
    holdall::init();
    let arguments: Vec<_> = args().skip(1).collect();
    let [format, place, chunks, out] = &arguments[..] else {
        return Err("usage: convert FORMAT PATH[#NAME] CHUNKS OUT".into());
    };
    let chunks = chunks.split(',').map(str::parse);
    let chunks = IxDyn(&chunks.collect::<Result<Vec<usize>, _>>()?);
    let (path, name) = place.split_once('#').unwrap_or((place, ""));
    let x: Any = match &format[..] {
        "hdf5" => open_hdf5(path, name, chunks)?,
        "netcdf" => open_netcdf(path, name, chunks)?,
        "npy" => open_npy(path, chunks)?,
        "zarr" => open_zarr(path, chunks)?,
        _ => return Err(format!("{format} is no format").into()),
    };
    let context = Context::default();
    let centred = &x - x.mean().value(&context)?;
    if out.ends_with(".zarr") {
        centred.write_zarr(&context, out)?;
    } else {
        centred.write_npy(&context, out)?;
    }
    Ok(())
}
