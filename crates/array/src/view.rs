//! Views: slices, transposes and broadcasts, as the position in a source of each element.

use std::ops::Range;

use ndarray::SliceInfoElem;
use serde::{Deserialize, Serialize};

use crate::grid::{Grid, Region, lengths, strides};

/// Maps positions of an array to those of its source. Each axis of the source is an axis of the array, with a step, or
/// has a fixed position.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct View {
    pub(crate) shape: Vec<usize>,
    /// Position of the first element, by axis of the source.
    base: Vec<usize>,
    /// Axis of the source and step, by axis of the array. `None` if all positions are the same.
    axes: Vec<Option<(usize, isize)>>,
}

impl View {
    /// Returns the view of a whole source.
    pub(crate) fn identity(shape: &[usize]) -> Self {
        Self {
            shape: shape.to_vec(),
            base: vec![0; shape.len()],
            axes: (0..shape.len()).map(|axis| Some((axis, 1))).collect(),
        }
    }

    /// Returns the view with its axes in another order.
    pub(crate) fn permuted(shape: &[usize], order: &[usize]) -> Self {
        Self {
            shape: order.iter().map(|axis| shape[*axis]).collect(),
            base: vec![0; shape.len()],
            axes: order.iter().map(|axis| Some((*axis, 1))).collect(),
        }
    }

    /// Returns the view that repeats elements along missing axes, and along those of length 1.
    pub(crate) fn broadcast(shape: &[usize], to: &[usize]) -> Self {
        let missing = to.len() - shape.len();
        let axis = |(axis, length): (usize, &usize)| {
            let own = axis.checked_sub(missing)?;
            (shape[own] == *length).then_some((own, 1))
        };
        Self {
            shape: to.to_vec(),
            base: vec![0; shape.len()],
            axes: to.iter().enumerate().map(axis).collect(),
        }
    }

    /// Returns the view with another axis, of length 1.
    pub(crate) fn with_axis(shape: &[usize], axis: usize) -> Self {
        let mut view = Self::identity(shape);
        view.shape.insert(axis, 1);
        view.axes.insert(axis, None);
        view
    }

    /// Returns the view of a slice.
    ///
    /// # Panics
    ///
    /// Panics if an index or a range exceeds its axis.
    pub(crate) fn sliced(shape: &[usize], slices: &[SliceInfoElem]) -> Self {
        let mut view = Self {
            shape: Vec::new(),
            base: Vec::new(),
            axes: Vec::new(),
        };
        for slice in slices {
            if let SliceInfoElem::NewAxis = slice {
                view.shape.push(1);
                view.axes.push(None);
                continue;
            }
            let axis = view.base.len();
            let length = shape[axis];
            let absolute = |index: isize| match index {
                0.. => index as usize,
                _ => length.wrapping_add_signed(index),
            };
            match *slice {
                SliceInfoElem::Index(index) => {
                    let index = absolute(index);
                    assert!(
                        index < length,
                        "index {index} of axis {axis} of length {length}"
                    );
                    view.base.push(index);
                }
                SliceInfoElem::Slice { start, end, step } => {
                    let (start, end) = (absolute(start), end.map_or(length, absolute));
                    let end = end.max(start);
                    assert!(
                        end <= length,
                        "range {start}..{end} of axis {axis} of length {length}"
                    );
                    assert!(step != 0, "a slice of axis {axis} has step 0");
                    let count = (end - start).div_ceil(step.unsigned_abs());
                    let first = if step > 0 {
                        start
                    } else {
                        end.saturating_sub(1)
                    };
                    view.base.push(first);
                    view.shape.push(count);
                    view.axes.push(Some((axis, step)));
                }
                SliceInfoElem::NewAxis => {}
            }
        }
        view
    }

    /// Returns this view of another one.
    pub(crate) fn of(&self, inner: &Self) -> Self {
        let mut base: Vec<_> = inner.base.iter().map(|base| *base as isize).collect();
        for (at, axis) in self.base.iter().zip(&inner.axes) {
            if let Some((axis, step)) = axis {
                base[*axis] += step * *at as isize;
            }
        }
        let compose = |(middle, step): (usize, isize)| {
            let (axis, of_inner) = inner.axes[middle]?;
            Some((axis, step * of_inner))
        };
        Self {
            shape: self.shape.clone(),
            base: base.into_iter().map(|base| base.max(0) as usize).collect(),
            axes: self
                .axes
                .iter()
                .map(|axis| axis.and_then(compose))
                .collect(),
        }
    }

    /// Returns the grid of the view, if that of its source is `grid`.
    pub(crate) fn grid(&self, grid: &Grid) -> Grid {
        let axes = self.axes.iter().zip(&self.shape);
        let cuts = axes.map(|(axis, length)| {
            let mut cuts = vec![0, *length];
            if let Some((axis, step)) = axis {
                let base = self.base[*axis] as isize;
                // The first position of the view whose source is at the cut or, if the step is negative, before it.
                cuts.extend(grid.0[*axis].iter().map(|cut| {
                    let cut = *cut as isize;
                    let first = match step {
                        1.. => (cut - base + step - 1).div_euclid(*step),
                        _ => (base - cut).div_euclid(-step) + 1,
                    };
                    first.clamp(0, *length as isize) as usize
                }));
            }
            cuts.sort_unstable();
            cuts.dedup();
            cuts
        });
        Grid(cuts.collect())
    }

    /// Returns the region of the source that a region of the view needs.
    pub(crate) fn source(&self, region: &[Range<usize>]) -> Region {
        let mut ranges: Vec<_> = self.base.iter().map(|base| *base..*base + 1).collect();
        for (axis, range) in self.axes.iter().zip(region) {
            let Some((axis, step)) = axis else { continue };
            let at = |index: usize| self.base[*axis].wrapping_add_signed(step * index as isize);
            ranges[*axis] = if range.is_empty() {
                0..0
            } else {
                let (first, last) = (at(range.start), at(range.end - 1));
                first.min(last)..first.max(last) + 1
            };
        }
        ranges
    }

    /// Returns the place of the first element of a region among those of a region of the source that contains it, and
    /// the distances of neighbours along each axis.
    pub(crate) fn places(
        &self,
        region: &[Range<usize>],
        source: &[Range<usize>],
    ) -> (isize, Vec<isize>) {
        let of_source = strides(&lengths(source));
        let mut offset = 0;
        for ((base, range), stride) in self.base.iter().zip(source).zip(&of_source) {
            offset += (*base as isize - range.start as isize) * stride;
        }
        let mut own = Vec::with_capacity(region.len());
        for (axis, range) in self.axes.iter().zip(region) {
            let stride = axis.map_or(0, |(axis, step)| step * of_source[axis]);
            offset += stride * range.start as isize;
            own.push(stride);
        }
        (offset, own)
    }

    /// Returns the number of the first element in the whole source, and the distances of neighbours along each axis.
    pub(crate) fn numbers(&self, of_source: &[isize]) -> (isize, Vec<isize>) {
        let offsets = self.base.iter().zip(of_source);
        let offset = offsets.map(|(base, stride)| *base as isize * stride).sum();
        let stride =
            |axis: &Option<(usize, isize)>| axis.map_or(0, |(axis, step)| step * of_source[axis]);
        (offset, self.axes.iter().map(stride).collect())
    }
}
