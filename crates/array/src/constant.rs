//! Arrays whose elements are all the same.

use holdall::BoxError;
use holdall::extend::Needs;
use serde::{Deserialize, Serialize};

use crate::element::Element;
use crate::expr::{Block, Expr, LANES, Loading, Tile};
use crate::grid::Region;
use crate::lowering::Lowering;
use crate::view::View;

/// One value at all positions.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Constant<A: Element>(pub(crate) A);

impl<A: Element> Expr for Constant<A> {
    type Item = A;
    type Block = Self;

    fn view(&self, _: &View) -> Self {
        *self
    }

    fn needs_tasks(&self) -> bool {
        false
    }

    fn lower(&mut self, _: &mut Lowering) {}

    fn needs(&self, _: &Region, _: &mut Needs<'_>) {}

    fn load(&self, _: &Region, _: &mut Loading<'_>) -> Result<Self, BoxError> {
        Ok(*self)
    }
}

impl<A: Element> Block for Constant<A> {
    type Item = A;
    type Tile<'t> = Self;

    fn is_flat(&self) -> bool {
        true
    }

    fn flatten(&mut self, _: usize) {}

    fn seek(&mut self, _: &[usize]) {}

    fn tile(&mut self, _: usize, _: usize) -> Self {
        *self
    }
}

impl<A: Element> Tile for Constant<A> {
    type Item = A;

    #[inline(always)]
    fn get(&self, _: usize) -> A {
        self.0
    }

    #[inline(always)]
    fn packet(&self, _: usize) -> [A; LANES] {
        [self.0; LANES]
    }
}
