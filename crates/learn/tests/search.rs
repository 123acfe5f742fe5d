//! Searches on all executors: outcomes, failures, and lost workers.

use std::fs;
use std::path::PathBuf;

use holdall::{BoxError, Context, ErrorKind, Executor};
use holdall_learn::{Estimator, Folds, Found, Grid, Search};
use serde::{Deserialize, Serialize};

/// Entry point of worker processes.
#[test]
fn holdall_worker() {
    holdall::init();
}

fn contexts() -> [Context; 3] {
    let executors = [
        Executor::Inline,
        Executor::Threads(2),
        Executor::Processes(2),
    ];
    executors.map(|executor| {
        let builder = Context::builder().executor(executor).progress(false);
        builder.build().expect("the settings are right")
    })
}

/// Predicts the mean of a power of the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Power {
    exponent: f64,
    then: Then,
}

/// Behaviour of a fit that includes row 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Then {
    Succeed,
    Fail,
    Panic,
    /// Ends the process, if the file does not exist yet.
    Abort(PathBuf),
}

impl Estimator for Power {
    type Data = Vec<f64>;
    type Model = f64;

    fn fit(&self, data: &Vec<f64>, rows: &[usize]) -> Result<f64, BoxError> {
        match &self.then {
            Then::Fail if rows.contains(&0) => return Err("row 0 is wrong".into()),
            Then::Panic if rows.contains(&0) => panic!("on purpose"),
            Then::Abort(path) if !path.exists() => {
                fs::write(path, "")?;
                std::process::abort();
            }
            _ => {}
        }
        let powers = rows.iter().map(|row| data[*row].powf(self.exponent));
        Ok(powers.sum::<f64>() / rows.len() as f64)
    }

    fn score(&self, mean: &f64, data: &Vec<f64>, rows: &[usize]) -> Result<f64, BoxError> {
        let errors = rows.iter().map(|row| (data[*row] - mean).abs());
        Ok(-errors.sum::<f64>() / rows.len() as f64)
    }
}

fn data() -> Vec<f64> {
    (0..300).map(|n| 1.0 + f64::from(n * 37 % 11)).collect()
}

fn grid(then: &Then) -> Grid<Power> {
    let exponents = (0..8).map(|n| f64::from(n) / 4.0);
    let first = Power {
        exponent: 0.0,
        then: then.clone(),
    };
    Grid::new(first).vary(exponents, |power, exponent| Power { exponent, ..power })
}

fn search(then: &Then) -> Search<Power> {
    Search::new(grid(then), Folds::shuffled(300, 4, 1).expect("enough rows"))
}

fn scores(found: &Found<Power>) -> Vec<Vec<f64>> {
    let outcomes = found.outcomes.iter();
    outcomes.map(|outcome| outcome.scores.clone()).collect()
}

/// Scores as a plain loop computes them.
fn expected(folds: &Folds) -> Vec<Vec<f64>> {
    let score = |power: &Power, fold| {
        let model = power
            .fit(&data(), &folds.training(fold))
            .expect("it succeeds");
        let score = power.score(&model, &data(), &folds.test(fold));
        score.expect("it succeeds")
    };
    let candidates = grid(&Then::Succeed).into_iter();
    candidates
        .map(|power| (0..folds.count()).map(|fold| score(&power, fold)).collect())
        .collect()
}

#[test]
fn a_search_has_the_scores_of_a_plain_loop_in_the_order_of_the_candidates() {
    let expected = expected(&Folds::shuffled(300, 4, 1).expect("enough rows"));
    for context in contexts() {
        let found = search(&Then::Succeed).run(&context, data()).unwrap();
        assert_eq!(scores(&found), expected);
        let candidates: Vec<_> = found
            .outcomes
            .iter()
            .map(|outcome| &outcome.candidate)
            .collect();
        assert_eq!(
            candidates,
            grid(&Then::Succeed)
                .into_iter()
                .collect::<Vec<_>>()
                .iter()
                .collect::<Vec<_>>()
        );
        let best = found.best().unwrap();
        assert_eq!(best.candidate.exponent, 1.0);
        assert!(
            found
                .outcomes
                .iter()
                .all(|other| other.mean() <= best.mean())
        );
        assert_eq!(
            found.refit(&data()).unwrap(),
            data().iter().sum::<f64>() / 300.0
        );
        assert_eq!(found.to_string().lines().count(), 8);
    }
}

#[test]
fn the_data_may_be_the_result_of_a_bag() {
    let folds = Folds::shuffled(300, 4, 1).expect("enough rows");
    for context in contexts() {
        let rows = context.range(0..300).map(|n| 1.0 + (n * 37 % 11) as f64);
        let found = search(&Then::Succeed).run(&context, rows.delayed().collect());
        assert_eq!(scores(&found.unwrap()), expected(&folds));
    }
}

#[test]
fn an_error_names_the_candidate_and_the_fold() {
    for context in contexts() {
        let error = search(&Then::Fail).run(&context, data()).unwrap_err();
        let place = error.context().unwrap();
        let key = place.key.clone().unwrap();
        assert!(
            key.starts_with("Power { exponent: 0.0, then: Fail }, fold "),
            "{key}"
        );
        assert!(
            place
                .location
                .is_some_and(|location| location.file().ends_with("search.rs"))
        );
        assert!(format!("{error:?}").contains("row 0 is wrong"), "{error:?}");
    }
}

#[test]
fn a_panic_names_the_candidate_and_the_fold() {
    for context in contexts() {
        let error = search(&Then::Panic)
            .keep_failures()
            .run(&context, data())
            .unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::TaskPanicked { .. }),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .contains("Power { exponent: 0.0, then: Panic }, fold "),
            "{error}"
        );
    }
}

#[test]
fn kept_failures_are_nan_and_the_other_scores_remain() {
    let folds = Folds::shuffled(300, 4, 1).expect("enough rows");
    let expected = expected(&folds);
    for context in contexts() {
        let found = search(&Then::Fail)
            .keep_failures()
            .run(&context, data())
            .unwrap();
        for (outcome, expected) in found.outcomes.iter().zip(&expected) {
            for (fold, (score, error)) in outcome.scores.iter().zip(&outcome.errors).enumerate() {
                if folds.test(fold).contains(&0) {
                    assert_eq!((*score, error), (expected[fold], &None));
                } else {
                    assert!(score.is_nan());
                    assert_eq!(error.as_deref(), Some("row 0 is wrong"));
                }
            }
            assert!(outcome.mean().is_nan());
        }
        assert!(found.best().is_none());
        let error = found.refit(&data()).unwrap_err();
        assert_eq!(error.to_string(), "cannot refit: no candidate has a score");
    }
}

#[test]
fn data_with_another_number_of_rows_is_refused() {
    for context in contexts() {
        let error = search(&Then::Succeed)
            .keep_failures()
            .run(&context, vec![0.0; 299]);
        let error = format!("{:?}", error.unwrap_err());
        assert!(
            error.contains("the data has 299 rows, but the folds have 300"),
            "{error}"
        );
    }
}

#[test]
fn a_search_survives_the_death_of_a_worker() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("aborted");
    let [.., context] = contexts();
    let found = search(&Then::Abort(file.clone()))
        .run(&context, data())
        .unwrap();
    assert_eq!(
        scores(&found),
        expected(&Folds::shuffled(300, 4, 1).expect("enough rows"))
    );
    assert!(file.exists());
}

#[test]
fn a_search_without_candidates_finds_nothing() {
    let folds = Folds::consecutive(4, 2).expect("enough rows");
    let search = Search::<Power>::new([], folds);
    let found = search.run(&contexts()[1], vec![0.0; 4]).unwrap();
    assert!(found.outcomes.is_empty() && found.best().is_none());
}
