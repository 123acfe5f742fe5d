//! Places of elements in memory.

use std::ops::Range;

use crate::grid::{lengths, strides};

/// Places of the elements of a region, row by row.
#[derive(Debug)]
pub(crate) struct Places {
    offset: isize,
    strides: Vec<isize>,
    shape: Vec<usize>,
    /// Place of the first element of the row.
    row: isize,
}

impl Places {
    pub(crate) fn new(offset: isize, strides: Vec<isize>, shape: Vec<usize>) -> Self {
        Self {
            offset,
            strides,
            shape,
            row: offset,
        }
    }

    /// Returns whether all elements are neighbours, in their order, or all are the same.
    pub(crate) fn are_flat(&self) -> bool {
        let is_long = |axis: &usize| self.shape[*axis] > 1;
        let expected = strides(&self.shape);
        let long: Vec<_> = (0..self.shape.len()).filter(is_long).collect();
        long.iter()
            .all(|axis| self.strides[*axis] == expected[*axis])
            || long.iter().all(|axis| self.strides[*axis] == 0)
    }

    /// Makes one row of the region.
    pub(crate) fn flatten(&mut self, length: usize) {
        let is_long = |axis: &usize| self.shape[*axis] > 1;
        let longest = (0..self.shape.len()).rev().find(is_long);
        let stride = longest.map_or(0, |axis| self.strides[axis]);
        self.shape = vec![length];
        self.strides = vec![stride];
    }

    /// Begins the row at a position.
    pub(crate) fn seek(&mut self, position: &[usize]) {
        let steps = position.iter().zip(&self.strides);
        let steps = steps.map(|(at, stride)| *at as isize * stride);
        self.row = self.offset + steps.sum::<isize>();
    }

    /// Returns the place of an element of the row, and the distance of the next one.
    pub(crate) fn run(&self, start: usize) -> (isize, isize) {
        let stride = self.strides.last().copied().unwrap_or_default();
        (self.row + stride * start as isize, stride)
    }
}

/// Ranges of neighbours of a region, among the elements of a region that contains it: one for each row.
#[derive(Debug)]
pub(crate) struct Runs {
    places: Places,
    position: Vec<usize>,
    leading: Vec<usize>,
    length: usize,
    left: usize,
}

impl Runs {
    pub(crate) fn new(region: &[Range<usize>], within: &[Range<usize>]) -> Self {
        let strides = strides(&lengths(within));
        let offsets = region.iter().zip(within).zip(&strides);
        let offset = offsets
            .map(|((part, whole), stride)| (part.start - whole.start) as isize * stride)
            .sum();
        let mut leading = lengths(region);
        let length = leading.pop().unwrap_or(1);
        Self {
            position: vec![0; leading.len()],
            left: if length == 0 {
                0
            } else {
                leading.iter().product()
            },
            places: Places::new(offset, strides, lengths(region)),
            leading,
            length,
        }
    }
}

impl Iterator for Runs {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        self.left = self.left.checked_sub(1)?;
        self.places.seek(&self.position);
        let start = self.places.run(0).0 as usize;
        advance(&mut self.position, &self.leading);
        Some(start..start + self.length)
    }
}

/// Goes to the next position in the order of positions. After the last comes the first.
pub(crate) fn advance(position: &mut [usize], shape: &[usize]) {
    for (at, length) in position.iter_mut().zip(shape).rev() {
        *at += 1;
        if *at < *length {
            return;
        }
        *at = 0;
    }
}
