//! Numbers of elements, from which other elements are computed.

use holdall::BoxError;
use holdall::extend::Needs;
use serde::{Deserialize, Serialize};

use crate::expr::{Block, Expr, LANES, Loading, Tile};
use crate::grid::{Region, lengths, strides};
use crate::lowering::Lowering;
use crate::places::Places;
use crate::view::View;

/// The number of each element in the order of positions, from 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Indices {
    strides: Vec<isize>,
    view: View,
}

impl Indices {
    pub(crate) fn new(shape: &[usize]) -> Self {
        Self {
            strides: strides(shape),
            view: View::identity(shape),
        }
    }
}

impl Expr for Indices {
    type Item = i64;
    type Block = IndexBlock;

    fn view(&self, view: &View) -> Self {
        Self {
            strides: self.strides.clone(),
            view: view.of(&self.view),
        }
    }

    fn needs_tasks(&self) -> bool {
        false
    }

    fn lower(&mut self, _: &mut Lowering) {}

    fn needs(&self, _: &Region, _: &mut Needs<'_>) {}

    fn load(&self, region: &Region, _: &mut Loading<'_>) -> Result<IndexBlock, BoxError> {
        let (offset, strides) = self.view.numbers(&self.strides);
        let starts = region.iter().zip(&strides);
        let starts = starts.map(|(range, stride)| range.start as isize * stride);
        let offset = offset + starts.sum::<isize>();
        Ok(IndexBlock(Places::new(offset, strides, lengths(region))))
    }
}

/// Numbers of a region.
#[derive(Debug)]
pub struct IndexBlock(Places);

impl Block for IndexBlock {
    type Item = i64;
    type Tile<'t> = IndexTile;

    fn is_flat(&self) -> bool {
        self.0.are_flat()
    }

    fn flatten(&mut self, length: usize) {
        self.0.flatten(length);
    }

    fn seek(&mut self, position: &[usize]) {
        self.0.seek(position);
    }

    fn tile(&mut self, start: usize, _: usize) -> IndexTile {
        let (first, stride) = self.0.run(start);
        IndexTile {
            first: first as i64,
            stride: stride as i64,
        }
    }
}

/// Numbers of a part of a row.
#[derive(Debug)]
pub struct IndexTile {
    first: i64,
    stride: i64,
}

impl Tile for IndexTile {
    type Item = i64;

    #[inline(always)]
    fn get(&self, at: usize) -> i64 {
        self.first + self.stride * at as i64
    }

    #[inline(always)]
    fn packet(&self, at: usize) -> [i64; LANES] {
        let first = self.get(at);
        std::array::from_fn(|lane| first + self.stride * lane as i64)
    }
}
