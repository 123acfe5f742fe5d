//! A classic netCDF file that is read on all executors. `ci/array` reads files that another program has written.

mod common;

use std::fs;

use holdall_array::{Axis, Ix1, Ix2, open_netcdf};
use ndarray::Array2;

use common::contexts;

/// Returns a classic file with the variable `v`, as the specification of the format describes it.
fn classic(values: &Array2<f32>) -> Vec<u8> {
    let (rows, columns) = values.dim();
    let number = |n: usize| (n as u32).to_be_bytes();
    let name = |name: &str| [&number(name.len())[..], name.as_bytes(), &[0; 3]].concat();
    let dimension = |text: &str, length| [&name(text)[..], &number(length)].concat();
    let none = [number(0), number(0)].concat();
    let mut file = [
        &b"CDF\x01"[..],
        &number(0), // records
        &[number(10), number(2)].concat(),
        &dimension("r", rows),
        &dimension("c", columns),
        &none, // attributes
        &[number(11), number(1)].concat(),
        &name("v"),
        &[number(2), number(0), number(1)].concat(), // its dimensions
        &none,
        &[number(5), number(4 * rows * columns)].concat(), // floats
    ]
    .concat();
    let start = file.len() + 4;
    file.extend(number(start));
    file.extend(values.iter().flat_map(|value| value.to_be_bytes()));
    file
}

#[test]
fn a_variable_is_read_in_parts() {
    let values = Array2::from_shape_fn((50, 30), |(i, j)| (i * 30 + j) as f32 / 8.0);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.nc");
    fs::write(&path, classic(&values)).unwrap();
    for context in contexts() {
        let x = open_netcdf::<f32, Ix2>(&path, "v", (20, 7)).unwrap();
        assert_eq!(x.compute(&context).unwrap(), values);
        let sums = x.sum_axis(Axis(0)).compute(&context).unwrap();
        assert_eq!(sums, values.sum_axis(Axis(0)));
    }
}

#[test]
fn variables_that_do_not_fit_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.nc");
    fs::write(&path, classic(&Array2::zeros((2, 3)))).unwrap();
    let refused = |error: holdall::Error| {
        let error = error.to_string();
        assert!(error.contains("x.nc"), "{error}");
        error
    };
    let error = refused(open_netcdf::<f64, Ix2>(&path, "v", (1, 1)).unwrap_err());
    assert!(
        error.contains("Float") && error.contains("Double"),
        "{error}"
    );
    refused(open_netcdf::<bool, Ix2>(&path, "v", (1, 1)).unwrap_err());
    refused(open_netcdf::<f32, Ix2>(&path, "w", (1, 1)).unwrap_err());
    let error = refused(open_netcdf::<f32, Ix1>(&path, "v", 1).unwrap_err());
    assert!(error.ends_with("it has 2 axes, not 1"), "{error}");
    fs::write(&path, "no file of netCDF").unwrap();
    refused(open_netcdf::<f32, Ix2>(&path, "v", (1, 1)).unwrap_err());
}
