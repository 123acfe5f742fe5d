//! Joins of frames.

use std::collections::HashSet;

use datafusion::common::Column;
use datafusion::functions::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, JoinType, ident};
use holdall::{Error, Result};

use crate::frame::Frame;

/// Prefix of the columns of the right side while they are joined.
const RIGHT: &str = "__right_";

impl Frame {
    /// Joins the rows of two frames whose columns `keys` are equal, in any order.
    ///
    /// The columns of the result are those of this frame, and those of `right` except the keys. A column of `right` that
    /// has the name of another one gets the suffix `_right`. Semi and anti joins return the columns of one side only. Null
    /// equals nothing.
    ///
    /// The rows of one side are held in memory. If the memory budget refuses, the job fails.
    ///
    /// # Errors
    ///
    /// Returns an error if a column does not exist, if there are no keys, or if the types of two keys cannot be compared.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_frame::{JoinType, read_csv};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// std::fs::write("flights.csv", "tailnum,year\nN1,2013\nN2,2013\n")?;
    /// std::fs::write("planes.csv", "tailnum,year\nN1,1998\n")?;
    /// let (flights, planes) = (read_csv("flights.csv")?, read_csv("planes.csv")?);
    /// let joined = flights.join(&planes, JoinType::Left, ["tailnum"])?.sort_by(["tailnum"])?;
    /// let rows: Vec<(String, i64, Option<i64>)> = joined.collect()?; // tailnum, year, year_right
    /// assert_eq!(rows, [("N1".to_owned(), 2013, Some(1998)), ("N2".to_owned(), 2013, None)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn join<'k>(
        &self,
        right: &Self,
        join_type: JoinType,
        keys: impl IntoIterator<Item = &'k str>,
    ) -> Result<Self> {
        let keys: Vec<_> = keys.into_iter().collect();
        if keys.is_empty() {
            return Err(Error::other("a join needs a column that both frames have"));
        }
        for key in &keys {
            self.column(key)?;
            right.column(key)?;
        }
        let renamed = |column: Column| {
            let name = format!("{RIGHT}{}", column.name());
            Expr::Column(column).alias(name)
        };
        let renamed = right.select(right.columns().into_iter().map(renamed))?;
        let is_equal = |key: &&str| ident(*key).eq(ident(format!("{RIGHT}{key}")));
        let are_equal: Vec<_> = keys.iter().map(is_equal).collect();
        let joined =
            self.transform(|data| data.join_on(renamed.data().clone(), join_type, are_equal))?;
        joined.select(self.joined_columns(right, join_type, &keys))
    }

    /// Returns the columns of the result, with their names.
    fn joined_columns(&self, right: &Self, join_type: JoinType, keys: &[&str]) -> Vec<Expr> {
        use JoinType::{
            Full, LeftAnti, LeftMark, LeftSemi, Right, RightAnti, RightMark, RightSemi,
        };
        let of_right = |column: &Column| Column::from_name(format!("{RIGHT}{}", column.name()));
        if matches!(join_type, RightSemi | RightAnti | RightMark) {
            let column = |column: Column| Expr::Column(of_right(&column)).alias(column.name());
            return right.columns().into_iter().map(column).collect();
        }
        let left = self.columns();
        let mut names: HashSet<_> = left.iter().map(|column| column.name().to_owned()).collect();
        let is_key = |column: &Column| keys.contains(&column.name());
        let key = |column: Column| {
            let name = column.name().to_owned();
            match join_type {
                Right => Expr::Column(of_right(&column)).alias(name),
                Full => {
                    let right = Expr::Column(of_right(&column));
                    coalesce(vec![Expr::Column(column), right]).alias(name)
                }
                _ => Expr::Column(column),
            }
        };
        let column = |column: Column| match is_key(&column) {
            true => key(column),
            false => Expr::Column(column),
        };
        let mut columns: Vec<_> = left.into_iter().map(column).collect();
        if matches!(join_type, LeftSemi | LeftAnti | LeftMark) {
            return columns;
        }
        for column in right.columns() {
            if is_key(&column) {
                continue;
            }
            let mut name = column.name().to_owned();
            while !names.insert(name.clone()) {
                name.push_str("_right");
            }
            columns.push(Expr::Column(of_right(&column)).alias(name));
        }
        columns
    }
}
