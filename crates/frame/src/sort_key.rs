//! What rows are sorted by.

use datafusion::logical_expr::{Expr, SortExpr, ident};

/// A key that rows are sorted by: the name of a column, an expression, or an expression with an order.
///
/// [`Frame::sort_by`](crate::Frame::sort_by) has an example.
pub trait IntoSortKey {
    /// Returns the expression, with its order.
    fn into_sort_key(self) -> SortExpr;
}

impl IntoSortKey for SortExpr {
    fn into_sort_key(self) -> SortExpr {
        self
    }
}

impl IntoSortKey for Expr {
    fn into_sort_key(self) -> SortExpr {
        self.sort(true, false)
    }
}

impl IntoSortKey for &str {
    fn into_sort_key(self) -> SortExpr {
        ident(self).into_sort_key()
    }
}
