//! Division of an array into chunks.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A part of an array: a range of each axis.
pub(crate) type Region = Vec<Range<usize>>;

/// Boundaries between chunks along each axis, with both ends. An axis of length zero has one boundary and no chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grid(pub(crate) Vec<Vec<usize>>);

impl Grid {
    /// Divides an array into chunks of equal lengths, except for the last ones.
    ///
    /// # Panics
    ///
    /// Panics if a chunk has no elements, or if the chunks have another number of axes than the array.
    pub(crate) fn regular(shape: &[usize], chunk: &[usize]) -> Self {
        assert_eq!(
            shape.len(),
            chunk.len(),
            "chunks of {} axes for an array of {} axes",
            chunk.len(),
            shape.len()
        );
        assert!(!chunk.contains(&0), "chunks {chunk:?} have no elements");
        let cuts = |(length, step): (&usize, &usize)| {
            let mut cuts: Vec<_> = (0..*length).step_by(*step).collect();
            cuts.push(*length);
            cuts
        };
        Self(shape.iter().zip(chunk).map(cuts).collect())
    }

    /// Returns the grid of an array with one chunk.
    pub(crate) fn whole(shape: &[usize]) -> Self {
        let chunk: Vec<_> = shape.iter().map(|length| (*length).max(1)).collect();
        Self::regular(shape, &chunk)
    }

    /// Number of chunks along each axis.
    pub(crate) fn counts(&self) -> Vec<usize> {
        self.0.iter().map(|cuts| cuts.len() - 1).collect()
    }

    /// Number of chunks.
    pub(crate) fn chunks(&self) -> usize {
        self.counts().iter().product()
    }

    /// Returns the region of a chunk. Chunks are numbered in the order of their positions, the last axis first.
    pub(crate) fn region(&self, chunk: usize) -> Region {
        let position = position(chunk, &self.counts());
        let ranges = self.0.iter().zip(position);
        ranges.map(|(cuts, at)| cuts[at]..cuts[at + 1]).collect()
    }

    /// Returns the coarsest grid with the boundaries of both.
    pub(crate) fn refined(&self, other: &Self) -> Self {
        let merged = |(a, b): (&Vec<usize>, &Vec<usize>)| {
            let mut cuts = [&a[..], b].concat();
            cuts.sort_unstable();
            cuts.dedup();
            cuts
        };
        Self(self.0.iter().zip(&other.0).map(merged).collect())
    }

    /// Returns the numbers of the chunks that overlap a region, in ascending order.
    pub(crate) fn overlapping(&self, region: &[Range<usize>]) -> Vec<usize> {
        let mut numbers = vec![0];
        for ((cuts, range), count) in self.0.iter().zip(region).zip(self.counts()) {
            if range.is_empty() {
                return Vec::new();
            }
            let first = cuts.partition_point(|cut| *cut <= range.start) - 1;
            let end = cuts.partition_point(|cut| *cut < range.end);
            let along = |number: usize| (first..end).map(move |at| number * count + at);
            numbers = numbers.into_iter().flat_map(along).collect();
        }
        numbers
    }
}

/// Returns the position of an element, or of a chunk, from its number.
pub(crate) fn position(mut number: usize, shape: &[usize]) -> Vec<usize> {
    let mut position = vec![0; shape.len()];
    for (at, length) in position.iter_mut().zip(shape).rev() {
        *at = number % length;
        number /= length;
    }
    position
}

/// Returns the distances between neighbours along each axis, if elements are in the order of their positions.
pub(crate) fn strides(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![0; shape.len()];
    let mut stride = 1;
    for (axis, length) in strides.iter_mut().zip(shape).rev() {
        *axis = stride;
        stride *= *length as isize;
    }
    strides
}

/// Returns the lengths of a region.
pub(crate) fn lengths(region: &[Range<usize>]) -> Vec<usize> {
    region.iter().map(ExactSizeIterator::len).collect()
}
