//! Arrays compared with those of ndarray, on all executors.

mod common;

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use holdall::{ErrorKind, value};
use holdall_array::{
    Array, Axis, Chunk, Ix1, Ix2, Ix3, arange, from_bag, from_delayed, from_fn, from_ndarray, full,
    open_npy, s,
};
use ndarray::{Array2, Array3};

use common::contexts;

/// A pseudorandom number between -1 and 1.
fn noise(number: i64) -> f64 {
    let mixed = (number as u64 ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

fn matrix(rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| noise((i * columns + j) as i64))
}

fn is_close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * b.abs().max(1.0)
}

#[test]
fn operators_broadcast_as_those_of_ndarray() {
    let (a, b, c) = (
        matrix(37, 53),
        matrix(37, 1),
        matrix(1, 53).remove_axis(Axis(0)),
    );
    let expected = (&a - &b) * &c / 2.0 + (1.0 - &a);
    for context in contexts() {
        for chunk in [(37, 53), (10, 20), (1, 53), (37, 1)] {
            let x = from_ndarray(a.clone(), chunk);
            let y = from_ndarray(b.clone(), (7, 1));
            let z = from_ndarray(c.clone(), 11);
            let result = (&x - &y) * &z / 2.0 + (1.0 - &x);
            assert_eq!(result.compute(&context).unwrap(), expected, "{chunk:?}");
        }
    }
}

#[test]
fn sums_have_the_same_digits_on_every_executor() {
    let x = from_fn((301, 507), (40, 50), noise);
    let plain = matrix(301, 507);
    let results = contexts().map(|context| {
        let value = |array: Array<f64, holdall_array::Ix0>| array.value(&context).unwrap();
        let all = [x.sum(), x.mean(), x.var(), x.std(), x.min(), x.max()].map(value);
        let rows = x.std_axis(Axis(0)).compute(&context).unwrap();
        let columns = x.mean_axis(Axis(1)).compute(&context).unwrap();
        (all, rows, columns)
    });
    for other in &results {
        assert_eq!(*other, results[0]);
    }
    let ([sum, mean, var, std, min, max], deviations, means) = &results[0];
    assert!(is_close(*sum, plain.sum()));
    assert!(is_close(*mean, plain.mean().unwrap()));
    assert!(is_close(*var, plain.var(0.0)));
    assert!(is_close(*std, plain.std(0.0)));
    assert_eq!(*min, plain.iter().copied().fold(f64::INFINITY, f64::min));
    assert_eq!(
        *max,
        plain.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    );
    let close = |a: &ndarray::Array1<f64>, b: ndarray::Array1<f64>| {
        a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| is_close(*a, *b))
    };
    assert!(close(deviations, plain.std_axis(Axis(0), 0.0)));
    assert!(close(means, plain.mean_axis(Axis(1)).unwrap()));
}

#[test]
fn every_axis_of_three_can_be_reduced() {
    let plain = Array3::from_shape_fn((5, 7, 9), |(i, j, k)| (i * 63 + j * 9 + k) as i64 % 17);
    let context = &contexts()[1];
    for chunk in [(5, 7, 9), (2, 3, 4), (1, 1, 1), (5, 1, 9)] {
        let x: Array<i64, Ix3> = from_ndarray(plain.clone(), chunk);
        for axis in (0..3).map(Axis) {
            assert_eq!(
                x.sum_axis(axis).compute(context).unwrap(),
                plain.sum_axis(axis)
            );
            let greatest = plain.map_axis(axis, |lane| *lane.iter().max().unwrap());
            assert_eq!(x.max_axis(axis).compute(context).unwrap(), greatest);
        }
        let twice = x
            .min_axis(Axis(1))
            .sum_axis(Axis(0))
            .compute(context)
            .unwrap();
        let least = plain.map_axis(Axis(1), |lane| *lane.iter().min().unwrap());
        assert_eq!(twice, least.sum_axis(Axis(0)));
    }
}

#[test]
fn views_are_those_of_ndarray() {
    let plain = matrix(23, 31);
    for context in contexts() {
        for chunk in [(23, 31), (5, 7), (1, 31)] {
            let x = from_ndarray(plain.clone(), chunk);
            macro_rules! same {
                ($($slice:expr),*) => {
                    $(
                        let (part, expected) = (x.slice($slice), plain.slice($slice).to_owned());
                        assert_eq!(part.compute(&context).unwrap(), expected);
                        assert_eq!(part.t().compute(&context).unwrap(), expected.t());
                    )*
                };
            }
            same!(
                s![.., ..],
                s![3..17, 4..;3],
                s![..;-1, ..;-4],
                s![-5.., ..-20;2],
                s![4..4, ..]
            );
            assert_eq!(x.slice(s![7, ..]).compute(&context).unwrap(), plain.row(7));
            assert_eq!(
                x.slice(s![.., -1]).compute(&context).unwrap(),
                plain.column(30)
            );
            let part = x.slice(s![2..20;3, ..;-2]).slice(s![..;-2, 3..9]);
            let expected = plain.slice(s![2..20;3, ..;-2]);
            assert_eq!(
                part.compute(&context).unwrap(),
                expected.slice(s![..;-2, 3..9])
            );
            let product = (&x * &x.slice(s![0, ..])).t() + &x.slice(s![.., 0]);
            let expected = (&plain * &plain.row(0)).t().to_owned() + plain.column(0);
            assert_eq!(product.compute(&context).unwrap(), expected);
        }
    }
}

#[test]
fn axes_can_be_permuted() {
    let plain = Array3::from_shape_fn((4, 5, 6), |(i, j, k)| (i * 30 + j * 6 + k) as i32);
    let x = from_ndarray(plain.clone(), (2, 5, 4));
    for axes in [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 2, 1]] {
        let expected = plain.clone().permuted_axes(axes);
        assert_eq!(
            x.permuted_axes(axes).compute(&contexts()[1]).unwrap(),
            expected
        );
    }
}

#[test]
fn products_and_other_chunks_have_the_same_elements() {
    let (a, b) = (matrix(41, 29), matrix(29, 33));
    let expected = a.dot(&b);
    for context in contexts() {
        let (x, y) = (
            from_ndarray(a.clone(), (10, 7)),
            from_ndarray(b.clone(), (11, 20)),
        );
        let product = x.dot(&y).compute(&context).unwrap();
        assert!(product.iter().zip(&expected).all(|(a, b)| is_close(*a, *b)));
        let other = x.boxed().rechunk((41, 3)).boxed().rechunk((3, 29));
        assert_eq!(other.chunks()[0].len(), 14);
        assert_eq!(other.compute(&context).unwrap(), a);
    }
    let nothing = from_ndarray(matrix(3, 0), (3, 1)).dot(&from_ndarray(matrix(0, 2), (1, 2)));
    assert_eq!(
        nothing.compute(&contexts()[0]).unwrap(),
        Array2::<f64>::zeros((3, 2))
    );
}

#[test]
fn arrays_without_elements_have_empty_sums() {
    let context = &contexts()[0];
    let x = from_ndarray(matrix(0, 4), (2, 2));
    assert_eq!(x.compute(context).unwrap(), matrix(0, 4));
    assert_eq!(x.sum().value(context).unwrap(), 0.0);
    assert_eq!(
        x.sum_axis(Axis(0)).compute(context).unwrap().to_vec(),
        [0.0; 4]
    );
    assert_eq!(x.sum_axis(Axis(1)).compute(context).unwrap().len(), 0);
    assert!(x.mean().value(context).unwrap().is_nan());
    assert!(arange(5_i64..5, 2).to_delayed(context).unwrap().is_empty());
}

#[test]
fn nan_is_the_extreme_of_elements_with_nan() {
    let context = &contexts()[1];
    let x = from_fn(5_000, 600, |n| if n == 3_333 { f32::NAN } else { n as f32 });
    assert!(x.max().value(context).unwrap().is_nan());
    assert!(x.min().value(context).unwrap().is_nan());
    assert_eq!(x.slice(s![..3_000]).max().value(context).unwrap(), 2_999.0);
}

#[test]
fn integers_wrap_around_and_are_added_as_wide_ones() {
    let context = &contexts()[1];
    let x = full(1_000, 300, 200_u8);
    assert_eq!(x.sum().value(context).unwrap(), 200_000);
    assert_eq!((x + 100).max().value(context).unwrap(), 44);
}

#[test]
fn files_of_numpy_can_be_written_and_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.npy");
    for context in contexts() {
        let x = from_fn((301, 70), (100, 30), noise);
        (&x - &x.mean()).write_npy(&context, &path).unwrap();
        let y = open_npy::<f64, Ix2>(&path, (64, 64)).unwrap();
        let mean = x.mean().value(&context).unwrap();
        let expected = matrix(301, 70) - mean;
        assert_eq!(y.compute(&context).unwrap(), expected);
        assert_eq!(
            y.t().slice(s![3..;7, ..]).compute(&context).unwrap(),
            expected.t().slice(s![3..;7, ..])
        );
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn files_in_the_order_of_fortran_have_their_axes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.npy");
    let header = "{'descr': '<i4', 'fortran_order': True, 'shape': (2, 3), }";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend([1_i32, 2, 3, 4, 5, 6].map(i32::to_le_bytes).concat());
    fs::write(&path, bytes).unwrap();
    let x = open_npy::<i32, Ix2>(&path, (1, 2)).unwrap();
    assert_eq!(
        x.compute(&contexts()[1]).unwrap(),
        ndarray::arr2(&[[1, 3, 5], [2, 4, 6]])
    );
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.npy");
    let context = &contexts()[1];
    arange(0_i64..10, 5).write_npy(context, &path).unwrap();
    let refused = |array: holdall::Result<Array<f64, Ix1>>| array.unwrap_err().to_string();
    let message = refused(open_npy(&path, 5));
    assert!(
        message.ends_with("its elements are `<i8`, not `<f8`"),
        "{message}"
    );
    let message = open_npy::<i64, Ix2>(&path, (5, 5)).unwrap_err().to_string();
    assert!(message.ends_with("it has 1 axes, not 2"), "{message}");
    let whole = fs::read(&path).unwrap();
    let x = open_npy::<i64, Ix1>(&path, 5).unwrap();
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    let message = open_npy::<i64, Ix1>(&path, 5).unwrap_err().to_string();
    assert!(message.contains("its length is"), "{message}");
    let error = format!("{:?}", x.compute(context).unwrap_err());
    assert!(error.contains("x.npy"), "{error}");
    fs::write(&path, "something else").unwrap();
    let message = refused(open_npy(&path, 5));
    assert!(message.ends_with("it is no file of NumPy"), "{message}");
    assert!(refused(open_npy(directory.path().join("none.npy"), 5)).contains("none.npy"));
}

#[test]
fn a_panic_is_an_error_that_names_the_line() {
    for context in contexts() {
        let x = arange(0_i64..100, 10).map(|n| if n == 55 { panic!("on purpose") } else { n });
        let directory = tempfile::tempdir().unwrap();
        let sum = x.sum();
        let line = line!() - 1;
        let error = sum.value(&context).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::TaskPanicked { .. }),
            "{error}"
        );
        let place = error.context().unwrap();
        assert_eq!(place.operator, Some("sum"));
        let location = place.location.unwrap();
        assert!(
            location.file().ends_with("arrays.rs") && location.line() == line,
            "{error}"
        );
        x.write_npy(&context, directory.path().join("x.npy"))
            .unwrap_err();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_closure_that_captures_is_refused_on_worker_processes() {
    let k = std::hint::black_box(3);
    let x = arange(0_i64..10, 5).map(move |n| n * k);
    let [inline, .., processes] = contexts();
    assert_eq!(x.sum().value(&inline).unwrap(), 135);
    let error = format!("{:?}", x.sum().value(&processes).unwrap_err());
    assert!(error.contains("captures"), "{error}");
}

#[test]
#[should_panic(expected = "shapes [2, 3] and [2] cannot be broadcast together")]
fn shapes_that_do_not_fit_panic() {
    let _ = full((2, 3), (2, 3), 1.0) + full(2, 2, 1.0);
}

#[test]
fn chunks_become_bags_and_delayed_values() {
    for context in contexts() {
        let x = from_fn((10, 3), (4, 2), |number| number);
        let centred = &x - &x.min();
        let rows = centred.to_bag(&context).unwrap();
        assert_eq!(rows.partitions(), Some(3));
        let sums = rows.map(|row| row.iter().sum::<i64>()).collect().unwrap();
        assert_eq!(sums, (0..10).map(|row| 9 * row + 3).collect::<Vec<_>>());
        let chunks = (&x + 1).to_delayed(&context).unwrap();
        let counts = chunks
            .iter()
            .map(|chunk| chunk.map(|chunk: &Chunk<i64>| chunk.clone().into_array().len()));
        assert_eq!(
            context.compute(counts.collect::<Vec<_>>()).unwrap(),
            [8, 4, 8, 4, 4, 2]
        );
    }
}

#[test]
fn bags_and_delayed_values_become_arrays() {
    let context = &contexts()[1];
    let rows = context.range(0..20).map(|n| vec![n as f64; 3]);
    let x = from_bag(&rows, (7, 2)).unwrap();
    assert_eq!(
        x.compute(context).unwrap(),
        Array2::from_shape_fn((20, 3), |(i, _)| i as f64)
    );
    let uneven = context
        .range(0..20)
        .map(|n| vec![n; if n == 13 { 2 } else { 3 }]);
    let error = from_bag(&uneven, (7, 2)).unwrap_err().to_string();
    assert!(
        error.contains("row 13 has 2 elements, but row 0 has 3"),
        "{error}"
    );
    let chunk = |rows, columns| value(Chunk::from(matrix(rows, columns)));
    let x = from_delayed::<f64, Ix2>(context, [chunk(2, 3), chunk(5, 3)]).unwrap();
    assert_eq!(
        (x.shape(), x.chunks()),
        (&[7, 3][..], vec![vec![2, 5], vec![3]])
    );
    assert_eq!(x.slice(s![2.., ..]).compute(context).unwrap(), matrix(5, 3));
    from_delayed::<f64, Ix2>(context, [chunk(2, 3), chunk(5, 4)]).unwrap_err();
    from_delayed::<f64, Ix1>(context, [chunk(2, 3)]).unwrap_err();
    from_delayed::<f64, Ix2>(context, []).unwrap_err();
}

#[test]
fn a_boxed_array_is_computed_once_for_several_readers() {
    static COMPUTED: AtomicUsize = AtomicUsize::new(0);
    let x = arange(0_i64..1_000, 100).map(|n| {
        COMPUTED.fetch_add(1, Ordering::Relaxed);
        n
    });
    let x = x.boxed();
    let sum = (&x - &x.min()).sum().value(&contexts()[1]).unwrap();
    assert_eq!((sum, COMPUTED.load(Ordering::Relaxed)), (999 * 500, 1_000));
}
