//! Expressions: what an element of an array is computed from.
//!
//! The type of an expression contains those of its operands and operations, as that of an iterator does, so the compiler
//! makes one loop of a chain of operations. The loop runs over *tiles*, parts of a row which fit into the cache, and
//! within a tile over packets of [`LANES`] elements, which it computes by vector instructions.

use std::ops::Range;

use holdall::BoxError;
use holdall::extend::{Inputs, Needs, TaskScope};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::chunk::Chunk;
use crate::element::Element;
use crate::grid::{Region, lengths};
use crate::lowering::Lowering;
use crate::places::advance;
use crate::view::View;

/// Number of elements that are computed together.
pub(crate) const LANES: usize = 8;

/// Maximum number of elements of a tile. Larger tiles exceed the L1 cache if there are several operands; smaller ones
/// spend more time between tiles.
pub(crate) const TILE: usize = 1024;

/// Computes the elements of an array.
///
/// Only this crate implements it.
pub trait Expr: Clone + Send + Sync + Serialize + DeserializeOwned + 'static {
    /// Type of the elements.
    type Item: Element;
    #[doc(hidden)]
    type Block: Block<Item = Self::Item>;

    /// Returns the same elements at other positions.
    #[doc(hidden)]
    fn view(&self, view: &View) -> Self;

    /// Returns whether it needs chunks of other tasks.
    #[doc(hidden)]
    fn needs_tasks(&self) -> bool;

    /// Adds the layers whose chunks it needs.
    #[doc(hidden)]
    fn lower(&mut self, lowering: &mut Lowering);

    /// Adds the chunks that a region needs.
    #[doc(hidden)]
    fn needs(&self, region: &Region, needs: &mut Needs<'_>);

    /// Loads what a region needs.
    #[doc(hidden)]
    fn load(&self, region: &Region, inputs: &mut Loading<'_>) -> Result<Self::Block, BoxError>;
}

/// Chunks that a task has received, in the order of its needs.
#[derive(Debug)]
pub struct Loading<'a> {
    inputs: Option<&'a Inputs<'a>>,
    scope: Option<&'a TaskScope<'a>>,
    /// Position of the next chunk.
    next: usize,
}

/// Elements of a region, row by row.
pub trait Block: Sized + 'static {
    #[doc(hidden)]
    type Item: Element;
    #[doc(hidden)]
    type Tile<'t>: Tile<Item = Self::Item>
    where
        Self: 't;

    /// Returns whether the region can be read as one row.
    #[doc(hidden)]
    fn is_flat(&self) -> bool;

    /// Makes one row of the region.
    #[doc(hidden)]
    fn flatten(&mut self, length: usize);

    /// Begins a row.
    #[doc(hidden)]
    fn seek(&mut self, position: &[usize]);

    /// Returns a part of the row.
    #[doc(hidden)]
    fn tile(&mut self, start: usize, length: usize) -> Self::Tile<'_>;
}

/// A part of a row.
pub trait Tile {
    #[doc(hidden)]
    type Item: Element;

    #[doc(hidden)]
    fn get(&self, at: usize) -> Self::Item;

    /// Returns neighbouring elements.
    #[doc(hidden)]
    fn packet(&self, at: usize) -> [Self::Item; LANES];
}

/// Passes all rows of a region to `each`, with their numbers and lengths. If `may_flatten`, the region may be one row.
pub(crate) fn for_each_row<B: Block>(
    block: &mut B,
    region: &[Range<usize>],
    may_flatten: bool,
    mut each: impl FnMut(&mut B, usize, usize),
) {
    let shape = lengths(region);
    let elements: usize = shape.iter().product();
    if elements == 0 {
        return;
    }
    let Some((length, leading)) = shape.split_last() else {
        block.flatten(1);
        block.seek(&[]);
        return each(block, 0, 1);
    };
    if may_flatten && block.is_flat() {
        block.flatten(elements);
        block.seek(&[]);
        return each(block, 0, elements);
    }
    let mut position = vec![0; leading.len()];
    for row in 0..elements / length {
        block.seek(&position);
        each(block, row, *length);
        advance(&mut position, leading);
    }
}

/// Passes the tiles of a row to `each`, with their positions in the row.
pub(crate) fn for_each_tile<B: Block>(
    block: &mut B,
    length: usize,
    mut each: impl FnMut(&B::Tile<'_>, usize, usize),
) {
    for start in (0..length).step_by(TILE) {
        let count = TILE.min(length - start);
        each(&block.tile(start, count), start, count);
    }
}

/// Computes all elements of a region.
pub(crate) fn evaluate<B: Block>(block: &mut B, region: &[Range<usize>]) -> Vec<B::Item> {
    let shape = lengths(region);
    let mut elements = vec![B::Item::default(); shape.iter().product()];
    for_each_row(block, region, true, |block, row, length| {
        let out = &mut elements[row * length..][..length];
        for_each_tile(block, length, |tile, start, count| {
            let mut packets = out[start..start + count].chunks_exact_mut(LANES);
            let mut at = 0;
            for packet in packets.by_ref() {
                packet.copy_from_slice(&tile.packet(at));
                at += LANES;
            }
            for element in packets.into_remainder() {
                *element = tile.get(at);
                at += 1;
            }
        });
    });
    elements
}

impl<'a> Loading<'a> {
    pub(crate) fn new(inputs: &'a Inputs<'a>, scope: &'a TaskScope<'a>) -> Self {
        Self {
            inputs: Some(inputs),
            scope: Some(scope),
            next: 0,
        }
    }

    /// For an expression that [needs no task](Expr::needs_tasks).
    pub(crate) fn outside_of_layers() -> Self {
        Self {
            inputs: None,
            scope: None,
            next: 0,
        }
    }

    /// Returns the next chunk.
    pub(crate) fn chunk<A: Element>(&mut self) -> Result<&'a Chunk<A>, BoxError> {
        let inputs = self.inputs.ok_or("a chunk is needed outside of its job")?;
        self.next += 1;
        Ok(inputs.get(self.next - 1))
    }

    /// Counts bytes that were read from a file.
    pub(crate) fn count_bytes(&self, bytes: usize) {
        if let Some(scope) = self.scope {
            scope.count_bytes(bytes as u64);
        }
    }
}
