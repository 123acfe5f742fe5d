//! Arrays of zarr that are written and read, on all executors.

mod common;

use std::path::{Path, PathBuf};
use std::{fs, io};

use holdall_array::{
    Array, Axis, Element, Ix1, Ix2, IxDyn, arange, from_fn, from_ndarray, open_zarr, s,
};
use ndarray::{Array2, ArrayD, arr1};

use common::contexts;

fn number(number: i64) -> f64 {
    (number * 7_919 % 1_013) as f64
}

#[test]
fn what_was_written_is_read_with_any_chunks() {
    let mut first = None;
    for context in contexts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.zarr");
        // Chunks at the ends of both axes are shorter.
        let x = from_fn((250, 130), (100, 50), number);
        let x = &x - &x.mean_axis(Axis(1)).insert_axis(Axis(1));
        x.write_zarr(&context, &path).unwrap();
        let expected = x.compute(&context).unwrap();
        for chunk in [(100, 50), (250, 130), (7, 64)] {
            let y = open_zarr::<f64, Ix2>(&path, chunk).unwrap();
            assert_eq!(y.compute(&context).unwrap(), expected);
        }
        let y = open_zarr::<f64, Ix2>(&path, (33, 33)).unwrap();
        let part = y.slice(s![20..240;3, ..;-1]).t().compute(&context).unwrap();
        assert_eq!(part, expected.slice(s![20..240;3, ..;-1]).t());
        let files = files_below(&path).unwrap();
        assert_eq!(*first.get_or_insert_with(|| files.clone()), files);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}

/// Returns the paths and contents of all files.
fn files_below(directory: &Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    let mut paths = vec![directory.to_owned()];
    while let Some(path) = paths.pop() {
        if !path.is_dir() {
            files.push((
                path.strip_prefix(directory).unwrap_or(&path).to_owned(),
                fs::read(&path)?,
            ));
            continue;
        }
        for entry in fs::read_dir(path)? {
            paths.push(entry?.path());
        }
    }
    files.sort();
    Ok(files)
}

fn is_the_same_again<A: Element>(array: ArrayD<A>) {
    let [context, ..] = contexts();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let shape = array.shape().iter().map(|length| (*length).clamp(1, 3));
    let chunk = IxDyn(&shape.collect::<Vec<_>>());
    from_ndarray(array.clone(), chunk.clone())
        .write_zarr(&context, directory.path())
        .expect("an empty directory");
    let read: Array<A, IxDyn> = open_zarr(directory.path(), chunk).expect("an array");
    assert_eq!(read.compute(&context).expect("no error"), array);
}

#[test]
fn every_type_and_shape_is_read_again() {
    is_the_same_again(arr1(&[true, false, true, true]).into_dyn());
    is_the_same_again(arr1(&[i8::MIN, 0, 1, i8::MAX]).into_dyn());
    is_the_same_again(arr1(&[i16::MIN, 0, 1, i16::MAX]).into_dyn());
    is_the_same_again(arr1(&[i32::MIN, 0, 1, i32::MAX]).into_dyn());
    is_the_same_again(arr1(&[i64::MIN, 0, 1, i64::MAX]).into_dyn());
    is_the_same_again(arr1(&[0, u8::MAX]).into_dyn());
    is_the_same_again(arr1(&[0, u16::MAX]).into_dyn());
    is_the_same_again(arr1(&[0, u32::MAX]).into_dyn());
    is_the_same_again(arr1(&[0, u64::MAX]).into_dyn());
    is_the_same_again(arr1(&[f32::MIN, -0.0, f32::INFINITY]).into_dyn());
    is_the_same_again(arr1(&[f64::MIN, -0.0, f64::INFINITY]).into_dyn());
    is_the_same_again(ArrayD::from_elem(IxDyn(&[]), 7_i32));
    is_the_same_again(ArrayD::from_elem(IxDyn(&[0, 3]), 7_i32));
    is_the_same_again(ArrayD::from_elem(IxDyn(&[2, 5, 1, 4]), 7_i32));
}

#[test]
fn a_directory_that_is_in_use_is_refused_and_an_empty_one_is_filled() {
    let [context, ..] = contexts();
    let directory = tempfile::tempdir().unwrap();
    let x = arange(0..10, 3);
    x.write_zarr(&context, directory.path()).unwrap();
    let before = files_below(directory.path()).unwrap();
    let error = x
        .write_zarr(&context, directory.path())
        .unwrap_err()
        .to_string();
    assert!(error.contains("is not empty"), "{error}");
    assert_eq!(files_below(directory.path()).unwrap(), before);
    let file = directory.path().join("zarr.json");
    let error = x.write_zarr(&context, &file).unwrap_err().to_string();
    assert!(error.contains("zarr.json"), "{error}");
}

#[test]
fn a_failure_leaves_nothing() {
    for context in contexts() {
        let directory = tempfile::tempdir().unwrap();
        let x = arange(0_i64..100, 10).map(|n| if n == 55 { panic!("on purpose") } else { n });
        let error = x.write_zarr(&context, directory.path().join("x.zarr"));
        assert_eq!(
            error.unwrap_err().context().unwrap().operator,
            Some("write_zarr")
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}

#[test]
fn arrays_that_do_not_fit_are_refused_and_damage_is_an_error() {
    let [context, ..] = contexts();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.zarr");
    let refused = |error: holdall::Error| {
        let error = error.to_string();
        assert!(error.contains("x.zarr"), "{error}");
        error
    };
    refused(open_zarr::<i64, Ix1>(&path, 3).unwrap_err());
    arange(1_i64..11, 5).write_zarr(&context, &path).unwrap();
    let error = refused(open_zarr::<f64, Ix1>(&path, 3).unwrap_err());
    assert!(error.contains("int64") && error.contains("f8"), "{error}");
    let error = refused(open_zarr::<i64, Ix2>(&path, (3, 3)).unwrap_err());
    assert!(error.ends_with("it has 1 axes, not 2"), "{error}");
    let x = open_zarr::<i64, Ix1>(&path, 5).unwrap();
    let chunk = path.join("c/1");
    let content = fs::read(&chunk).unwrap();
    fs::write(&chunk, &content[..content.len() / 2]).unwrap();
    refused(x.sum().value(&context).unwrap_err());
    // A chunk without a file has nothing but the fill value.
    fs::remove_file(&chunk).unwrap();
    assert_eq!(x.sum().value(&context).unwrap(), 15);
    fs::write(path.join("zarr.json"), "{}").unwrap();
    refused(x.sum().value(&context).unwrap_err());
}

#[test]
fn chunks_of_zeros_have_no_files() {
    let [context, ..] = contexts();
    let directory = tempfile::tempdir().unwrap();
    let mut x = Array2::zeros((40, 40));
    x[[39, 39]] = 1.0;
    from_ndarray(x.clone(), (10, 10))
        .write_zarr(&context, directory.path())
        .unwrap();
    assert_eq!(files_below(directory.path()).unwrap().len(), 2);
    let y = open_zarr::<f64, Ix2>(directory.path(), (40, 40)).unwrap();
    assert_eq!(y.compute(&context).unwrap(), x);
}
