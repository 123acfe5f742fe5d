//! Support vector machines, by the crate `libsvm-rs`.

use holdall::BoxError;
use libsvm_rs::train::svm_train;
use libsvm_rs::{KernelType, SvmNode, SvmParameter, SvmProblem, SvmType};
use serde::{Deserialize, Serialize};

use crate::estimator::Estimator;
use crate::labelled::Labelled;

/// A support vector classifier with a radial kernel, `exp(-gamma * |x - y|²)`. For several classes, it votes among the
/// classifiers of all pairs, as `SVC` of scikit-learn does. Its score is the share of rows whose label it predicts.
///
/// **Memory:** a fit holds the kernel of all pairs of its rows, 16 bytes for each. The budget does not cover it.
///
/// # Examples
///
/// ```
/// use holdall_learn::svm::Svc;
/// use holdall_learn::{Estimator, Labelled};
///
/// // Points within a circle, and around it: no line divides them.
/// let points = (0..100).map(|n| (f64::from(n % 10) - 4.5, f64::from(n / 10) - 4.5));
/// let points = points.map(|(x, y)| ([x, y], i32::from(x * x + y * y < 9.0)));
/// let data = Labelled::new(points)?;
/// let (even, odd): (Vec<_>, Vec<_>) = (0..100).partition(|n| n % 2 == 0);
/// let svc = Svc { c: 10.0, gamma: 0.5 };
/// let model = svc.fit(&data, &even)?;
/// assert_eq!(model.predict(&[0.0, 0.5]), 1);
/// assert_eq!(svc.score(&model, &data, &odd)?, 0.88); // as with scikit-learn
/// # Ok::<(), holdall::BoxError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Svc {
    /// Penalty for rows on the wrong side. Greater than zero.
    pub c: f64,
    /// Inverse width of the kernel. Greater than zero.
    pub gamma: f64,
}

/// A fitted [`Svc`].
#[derive(Clone, Debug)]
pub struct SvcModel {
    gamma: f64,
    /// Length of a row.
    columns: usize,
    /// The support vectors, one after the other, by class.
    vectors: Vec<f64>,
    /// Labels of the classes, and the number of support vectors of each.
    classes: Vec<(i32, usize)>,
    /// Coefficients of the support vectors in the pairs of their classes with each of the others.
    coefficients: Vec<Vec<f64>>,
    /// Thresholds of the pairs.
    thresholds: Vec<f64>,
}

impl Estimator for Svc {
    type Data = Labelled;
    type Model = SvcModel;

    fn fit(&self, data: &Labelled, rows: &[usize]) -> Result<SvcModel, BoxError> {
        let is_positive = |number: f64| number > 0.0 && number.is_finite();
        if !is_positive(self.c) || !is_positive(self.gamma) {
            return Err("`c` and `gamma` must be greater than zero, and finite".into());
        }
        // scikit-learn's copy of LIBSVM sorts the classes; the original takes them as they come.
        let mut rows = rows.to_vec();
        rows.sort_by_key(|row| data.labels()[*row]);
        let problem = SvmProblem {
            labels: rows
                .iter()
                .map(|row| f64::from(data.labels()[*row]))
                .collect(),
            instances: self.kernel(data, &rows)?,
        };
        let parameters = SvmParameter {
            svm_type: SvmType::CSvc,
            kernel_type: KernelType::Precomputed,
            c: self.c,
            cache_size: 200.0,
            ..SvmParameter::default()
        };
        libsvm_rs::set_quiet(true);
        let model = svm_train(&problem, &parameters);
        let vectors = model
            .sv_indices
            .iter()
            .map(|number| data.row(rows[number - 1]));
        Ok(SvcModel {
            gamma: self.gamma,
            columns: data.columns(),
            vectors: vectors.flatten().copied().collect(),
            classes: model.label.into_iter().zip(model.n_sv).collect(),
            coefficients: model.sv_coef,
            thresholds: model.rho,
        })
    }

    fn score(&self, model: &SvcModel, data: &Labelled, rows: &[usize]) -> Result<f64, BoxError> {
        let is_right = |row: &&usize| model.predict(data.row(**row)) == data.labels()[**row];
        Ok(rows.iter().filter(is_right).count() as f64 / rows.len() as f64)
    }
}

impl Svc {
    /// Returns the kernel of all pairs of rows, as LIBSVM wants it: the number of the row, then its kernel with each row.
    /// The library would compute it from sparse rows, which takes three times as long for dense ones.
    fn kernel(&self, data: &Labelled, rows: &[usize]) -> Result<Vec<Vec<SvmNode>>, BoxError> {
        let numbers = 0..i32::try_from(rows.len() + 1)?;
        let empty: Vec<_> = numbers.map(|index| SvmNode { index, value: 0.0 }).collect();
        let mut kernel = vec![empty; rows.len()];
        for (i, row) in rows.iter().enumerate() {
            kernel[i][0].value = (i + 1) as f64;
            for (j, other) in rows[..=i].iter().enumerate() {
                let value = radial(self.gamma, data.row(*row), data.row(*other));
                kernel[i][j + 1].value = value;
                kernel[j][i + 1].value = value;
            }
        }
        Ok(kernel)
    }
}

impl SvcModel {
    /// Returns the label of the class that wins most pairs, the first one of several.
    ///
    /// # Panics
    ///
    /// Panics if the row is shorter than those of the training set.
    #[must_use]
    pub fn predict(&self, row: &[f64]) -> i32 {
        let vectors = self.vectors.chunks_exact(self.columns.max(1));
        let kernel: Vec<_> = vectors
            .map(|vector| radial(self.gamma, vector, row))
            .collect();
        let mut end = 0;
        let ranges = self.classes.iter().map(|(_, vectors)| {
            end += vectors;
            end - vectors..end
        });
        let ranges: Vec<_> = ranges.collect();
        let sum = |coefficients: &[f64], range: &std::ops::Range<usize>| -> f64 {
            let products = coefficients[range.clone()]
                .iter()
                .zip(&kernel[range.clone()]);
            products
                .map(|(coefficient, kernel)| coefficient * kernel)
                .sum()
        };
        let mut votes = vec![0; self.classes.len()];
        let mut thresholds = self.thresholds.iter();
        for (i, first) in ranges.iter().enumerate() {
            for (j, second) in ranges.iter().enumerate().skip(i + 1) {
                let value =
                    sum(&self.coefficients[j - 1], first) + sum(&self.coefficients[i], second);
                let wins = thresholds
                    .next()
                    .is_some_and(|threshold| value > *threshold);
                votes[if wins { i } else { j }] += 1;
            }
        }
        // The crate's own prediction takes the last class of several, where LIBSVM takes the first.
        let most = votes.iter().max();
        let winner = votes.iter().position(|votes| Some(votes) == most);
        winner.map_or(0, |class| self.classes[class].0)
    }
}

/// Returns the kernel of two rows. Independent sums let the compiler use vector instructions.
fn radial(gamma: f64, a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let mut add = |a: &[f64], b: &[f64]| {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += (a - b) * (a - b);
        }
    };
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b[..a.len()].as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        add(a, b);
    }
    add(a_rest, b_rest);
    (-gamma * sums.iter().sum::<f64>()).exp()
}
