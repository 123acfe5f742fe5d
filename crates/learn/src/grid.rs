//! Grids of parameters.

/// All combinations of values of several parameters.
///
/// # Order
///
/// The values of the last parameter vary fastest.
///
/// # Examples
///
/// ```
/// use holdall_learn::{Grid, Sampler};
///
/// #[derive(Clone, Debug, Default, PartialEq)]
/// struct Candidate { c: f64, shrinking: bool }
///
/// let grid = Grid::new(Candidate::default())
///     .vary([0.1, 1.0, 10.0], |candidate, c| Candidate { c, ..candidate })
///     .vary([false, true], |candidate, shrinking| Candidate { shrinking, ..candidate });
/// assert_eq!(grid.len(), 6);
///
/// let some = Sampler::new(0).distinct(4, grid.clone()); // a random search
/// let all: Vec<_> = grid.into_iter().collect();
/// assert_eq!(all[1], Candidate { c: 0.1, shrinking: true });
/// assert!(some.len() == 4 && some.iter().all(|candidate| all.contains(candidate)));
/// ```
#[derive(Clone, Debug)]
pub struct Grid<E>(Vec<E>);

impl<E: Clone> Grid<E> {
    /// Creates a grid of one candidate, with the values of all parameters that do not vary.
    #[must_use]
    pub fn new(candidate: E) -> Self {
        Self(vec![candidate])
    }

    /// Replaces each candidate by one for each value. `set` sets the parameter.
    #[must_use]
    pub fn vary<V: Clone>(
        self,
        values: impl IntoIterator<Item = V>,
        set: impl Fn(E, V) -> E,
    ) -> Self {
        let values: Vec<_> = values.into_iter().collect();
        let varied = |candidate: E| {
            let set = &set;
            let values = values.iter();
            values.map(move |value| set(candidate.clone(), value.clone()))
        };
        Self(self.0.into_iter().flat_map(varied).collect())
    }

    /// Number of candidates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no candidates, because a parameter has no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<E> IntoIterator for Grid<E> {
    type Item = E;
    type IntoIter = std::vec::IntoIter<E>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
