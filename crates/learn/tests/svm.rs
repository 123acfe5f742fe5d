//! Support vector machines: what they predict, and parameters that are refused.
#![cfg(feature = "svm")]

use holdall_learn::svm::Svc;
use holdall_learn::{Estimator, Labelled};

/// Three groups of points around the corners of a triangle.
fn groups() -> Labelled {
    let centres = [(0.0, 0.0), (4.0, 0.0), (0.0, 4.0)];
    let rows = (0..60).map(|n| {
        let (group, step) = (n % 3, f64::from(n / 3) / 20.0);
        let (x, y) = centres[group as usize];
        ([x + step, y - step], 7 - group)
    });
    Labelled::new(rows).expect("rows of equal lengths")
}

#[test]
fn several_classes_are_told_apart() {
    let (data, svc) = (
        groups(),
        Svc {
            c: 10.0,
            gamma: 0.2,
        },
    );
    let (training, test): (Vec<_>, Vec<_>) = (0..60).partition(|row| row % 4 != 0);
    let model = svc.fit(&data, &training).unwrap();
    assert_eq!(svc.score(&model, &data, &test).unwrap(), 1.0);
    assert_eq!(
        [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]].map(|row| model.predict(&row)),
        [7, 6, 5]
    );
}

#[test]
fn the_only_class_is_predicted() {
    let data = Labelled::new([([1.0], 3), ([2.0], 3)]).unwrap();
    let model = Svc { c: 1.0, gamma: 1.0 }.fit(&data, &[0, 1]).unwrap();
    assert_eq!(model.predict(&[9.0]), 3);
}

#[test]
fn parameters_that_are_not_positive_are_refused() {
    for (c, gamma) in [
        (0.0, 1.0),
        (1.0, -1.0),
        (f64::NAN, 1.0),
        (1.0, f64::INFINITY),
    ] {
        let error = Svc { c, gamma }.fit(&groups(), &[0, 1]).unwrap_err();
        assert!(error.to_string().contains("greater than zero"), "{error}");
    }
}
