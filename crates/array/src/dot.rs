//! Products of matrices.

use std::panic::Location;
use std::sync::Arc;

use holdall::BoxError;
use holdall::extend::{Inputs, Layer, LayerId, Needs, TaskScope};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, Ix2, LinalgScalar};
use serde::{Deserialize, Serialize};

use crate::array::Array;
use crate::chunk::Chunk;
use crate::element::{Element, Number};
use crate::expr::{Expr, Loading, evaluate};
use crate::grid::{Grid, Region};
use crate::lowering::{Located, Lowering, Node};

/// A product of two matrices. The chunk at a position is a sum of products of chunks: each task adds one product to the
/// value of the task before.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
struct Product<X: Expr, Y: Expr> {
    of: (X, Y),
    rows: Vec<usize>,
    columns: Vec<usize>,
    /// Boundaries of the products that are added.
    inner: Vec<usize>,
}

impl<X: Expr, Y: Expr> Product<X, Y> {
    fn grid(&self) -> Grid {
        Grid(vec![self.rows.clone(), self.columns.clone()])
    }

    /// Number of products that are added for each chunk. If the matrices have nothing in common, the empty one.
    fn steps(&self) -> usize {
        (self.inner.len() - 1).max(1)
    }

    /// Returns the regions of both matrices that a task multiplies.
    fn regions(&self, task: usize) -> [Region; 2] {
        let chunk = self.grid().region(task / self.steps());
        let step = task % self.steps();
        let inner = match self.inner.get(step + 1) {
            Some(end) => self.inner[step]..*end,
            None => 0..0,
        };
        [
            vec![chunk[0].clone(), inner.clone()],
            vec![inner, chunk[1].clone()],
        ]
    }
}

impl<A, X, Y> Layer for Product<X, Y>
where
    A: Number + LinalgScalar,
    X: Expr<Item = A>,
    Y: Expr<Item = A>,
{
    type Value = Chunk<A>;

    fn name(&self) -> &'static str {
        "dot"
    }

    fn tasks(&self) -> usize {
        self.grid().chunks() * self.steps()
    }

    fn needs(&self, task: usize, needs: &mut Needs<'_>) {
        let [a, b] = self.regions(task);
        if !task.is_multiple_of(self.steps()) {
            needs.add_own(task - 1);
        }
        self.of.0.needs(&a, needs);
        self.of.1.needs(&b, needs);
    }

    fn run(
        &self,
        task: usize,
        inputs: &Inputs<'_>,
        scope: &TaskScope<'_>,
    ) -> Result<Chunk<A>, BoxError> {
        let [a, b] = self.regions(task);
        let shape = [a[0].len(), b[1].len()];
        let mut loading = Loading::new(inputs, scope);
        let mut sum = if task.is_multiple_of(self.steps()) {
            vec![A::zero(); shape[0] * shape[1]]
        } else {
            loading.chunk::<A>()?.elements.to_vec()
        };
        let x = evaluate(&mut self.of.0.load(&a, &mut loading)?, &a);
        let y = evaluate(&mut self.of.1.load(&b, &mut loading)?, &b);
        let x = ArrayView2::from_shape((shape[0], a[1].len()), &x)?;
        let y = ArrayView2::from_shape((b[0].len(), shape[1]), &y)?;
        let mut out = ArrayViewMut2::from_shape((shape[0], shape[1]), &mut sum)?;
        general_mat_mul(A::one(), &x, &y, A::one(), &mut out);
        Ok(Chunk::new(shape.to_vec(), sum))
    }
}

/// The last sums of a product.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct LastSums<A: Element> {
    of: LayerId<Chunk<A>>,
    chunks: usize,
    steps: usize,
}

impl<A: Element> Layer for LastSums<A> {
    type Value = Chunk<A>;

    fn name(&self) -> &'static str {
        "dot"
    }

    fn tasks(&self) -> usize {
        self.chunks
    }

    fn needs(&self, task: usize, needs: &mut Needs<'_>) {
        needs.add(self.of, (task + 1) * self.steps - 1);
    }

    fn run(&self, _: usize, inputs: &Inputs<'_>, _: &TaskScope<'_>) -> Result<Chunk<A>, BoxError> {
        Ok(inputs.get::<Chunk<A>>(0).clone())
    }
}

impl<A, X, Y> Node<A> for Located<Product<X, Y>>
where
    A: Number + LinalgScalar,
    X: Expr<Item = A>,
    Y: Expr<Item = A>,
{
    fn add(&self, lowering: &mut Lowering) -> LayerId<Chunk<A>> {
        let mut product = self.of.clone();
        product.of.0.lower(lowering);
        product.of.1.lower(lowering);
        let of = lowering.add(product, self.location);
        let last = LastSums {
            of,
            chunks: self.of.grid().chunks(),
            steps: self.of.steps(),
        };
        lowering.add(last, self.location)
    }
}

impl<A: Number + LinalgScalar, E: Expr<Item = A>> Array<A, Ix2, E> {
    /// Returns the product of two matrices.
    ///
    /// Its chunks have the boundaries of this array along the first axis, and those of `other` along the second. Products
    /// of chunks are added in their order.
    ///
    /// # Panics
    ///
    /// Panics if this array has not as many columns as `other` has rows. In debug builds, a task panics if an integer
    /// overflows.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_array::from_fn;
    ///
    /// let x = from_fn((3, 2), (2, 1), |number| number as f64);
    /// let gram = x.t().dot(&x).compute(&holdall::Context::default())?;
    /// assert_eq!(gram, ndarray::arr2(&[[20.0, 26.0], [26.0, 35.0]]));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn dot<E2: Expr<Item = A>>(&self, other: &Array<A, Ix2, E2>) -> Array<A, Ix2> {
        let (a, b) = (&self.shape, &other.shape);
        assert!(
            a[1] == b[0],
            "matrices of shapes {a:?} and {b:?} cannot be multiplied"
        );
        let shape = vec![a[0], b[1]];
        let columns = Grid(vec![self.grid.0[1].clone()]);
        let rows = Grid(vec![other.grid.0[0].clone()]);
        let mut inner = columns.refined(&rows).0;
        let product = Product {
            of: (self.expr.clone(), other.expr.clone()),
            rows: self.grid.0[0].clone(),
            columns: other.grid.0[1].clone(),
            inner: inner.remove(0),
        };
        let grid = product.grid();
        let product = Located {
            of: product,
            location: Location::caller(),
        };
        Array::of_node(shape, grid, Arc::new(product))
    }
}
