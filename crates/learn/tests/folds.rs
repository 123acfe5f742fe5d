//! Folds: those of scikit-learn, and those that are refused.

use holdall_learn::{Folds, Labelled};

fn assigned(folds: &Folds) -> Vec<usize> {
    let mut assigned = vec![usize::MAX; folds.rows()];
    for fold in 0..folds.count() {
        for row in folds.test(fold) {
            assert_eq!(assigned[row], usize::MAX, "row {row} is tested twice");
            assigned[row] = fold;
        }
        let (test, training) = (folds.test(fold), folds.training(fold));
        assert_eq!(test.len() + training.len(), folds.rows());
        assert!(training.iter().all(|row| !test.contains(row)));
    }
    assigned
}

#[test]
fn stratified_folds_are_those_of_scikit_learn() {
    let labels = [2, 0, 1, 0, 0, 2, 1, 0, 1, 0, 2, 2, 2, 2, 2, 0];
    let folds = Folds::stratified(&labels, 3).unwrap();
    assert_eq!(
        assigned(&folds),
        [0, 0, 0, 0, 1, 0, 1, 1, 2, 2, 0, 1, 1, 2, 2, 2]
    );
    let labels = ["b", "b", "b", "a", "b", "a", "a", "a", "b", "b", "c", "b"];
    let folds = Folds::stratified(&labels, 4).unwrap();
    assert_eq!(assigned(&folds), [0, 0, 1, 0, 1, 1, 2, 3, 2, 2, 3, 3]);
}

#[test]
fn consecutive_folds_differ_by_a_row_at_most() {
    let folds = Folds::consecutive(11, 3).unwrap();
    assert_eq!(assigned(&folds), [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2]);
    assert_eq!(assigned(&Folds::consecutive(2, 2).unwrap()), [0, 1]);
}

#[test]
fn shuffled_folds_keep_the_shares_of_the_classes() {
    let labels: Vec<_> = (0..100).map(|row| row % 10 < 3).collect();
    let folds = Folds::stratified_shuffled(&labels, 5, 3).unwrap();
    for fold in 0..5 {
        let test = folds.test(fold);
        assert_eq!(test.len(), 20);
        assert_eq!(test.iter().filter(|row| labels[**row]).count(), 6);
    }
    assert_ne!(
        assigned(&folds),
        assigned(&Folds::stratified(&labels, 5).unwrap())
    );
    assert_ne!(folds, Folds::stratified_shuffled(&labels, 5, 4).unwrap());
    assert_ne!(
        Folds::shuffled(9, 3, 0).unwrap(),
        Folds::consecutive(9, 3).unwrap()
    );
}

#[test]
fn folds_without_rows_are_refused() {
    let message = |folds: Result<Folds, holdall::Error>| folds.unwrap_err().to_string();
    assert!(message(Folds::consecutive(5, 1)).starts_with("cannot divide 5 rows into 1 folds"));
    assert!(message(Folds::shuffled(2, 3, 0)).starts_with("cannot divide 2 rows into 3 folds"));
    assert!(message(Folds::stratified(&[0, 1, 2, 3], 2)).contains("no class has as many rows"));
    assert!(message(Folds::assigned([0, 0])).starts_with("cannot divide 2 rows into 1 folds"));
    assert!(message(Folds::assigned([0, 3, 1, 0])).starts_with("fold 2 of 4 folds has no rows"));
}

#[test]
fn rows_of_different_lengths_are_refused() {
    let error = Labelled::new([(vec![1.0], 0), (vec![], 1)]).unwrap_err();
    assert_eq!(error.to_string(), "row 1 has 0 values, but row 0 has 1");
}

#[test]
fn a_bad_line_of_a_file_is_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("rows.csv");
    let context = holdall::Context::builder().threads(1).build().unwrap();
    for (bad, reason) in [
        ("1,x,2", "\"x\" is no number"),
        ("1,2.5", "the label 2.5 is no integer"),
    ] {
        std::fs::write(&file, format!("1,2,3\n{bad}\n")).expect("room for a file");
        let error = format!("{:?}", Labelled::read(&context, &file).unwrap_err());
        assert!(
            error.contains("rows.csv") && error.contains(reason),
            "{error}"
        );
    }
}
