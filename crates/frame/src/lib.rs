//! Data frames on [DataFusion](https://datafusion.apache.org), with the memory budget, the files and the bags of
//! [holdall].
//!
//! DataFusion computes on columns, in parallel, and larger than memory. This crate gives it the files, the memory and the
//! jobs of holdall, and adds an index along files, and the way to bags and back.
//!
//! ```
//! use holdall_frame::{avg, col, count, lit, read_csv};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # std::env::set_current_dir(&dir).unwrap();
//! # std::fs::write("2013-01-01.csv", "day,carrier,delay\n2013-01-01,UA,2\n2013-01-01,AA,33\n")?;
//! # std::fs::write("2013-01-02.csv", "day,carrier,delay\n2013-01-02,UA,14\n2013-01-02,B6,-1\n")?;
//! let flights = read_csv("2013-*-*.csv")?;                                   // reads the first rows of each file
//! let delays = flights
//!     .filter(col("delay").gt(lit(0)))?
//!     .group_by([col("carrier")])?
//!     .agg([avg(col("delay")).alias("mean"), count(col("delay"))])?
//!     .sort_by(["carrier"])?;
//! let rows: Vec<(String, f64, i64)> = delays.collect()?;                     // an action: runs a job
//! assert_eq!(rows, [("AA".to_owned(), 33.0, 1), ("UA".to_owned(), 8.0, 2)]);
//!
//! let january = flights.with_sorted_index("day")?.between("2013-01-01", "2013-01-01")?;
//! assert_eq!(january.count()?, 2);                                           // opens one of the files
//! # Ok::<(), holdall::Error>(())
//! ```
//!
//! | to | use |
//! | --- | --- |
//! | create a frame | [`read_csv`], [`CsvReader`], [`read_parquet`], [`Frame::from_bag`], [`Frame::from_batches`] |
//! | compute columns | [`select`](Frame::select), [`with_column`](Frame::with_column) |
//! | select rows | [`filter`](Frame::filter), [`limit`](Frame::limit), [`between`](Frame::between) |
//! | combine rows | [`group_by`](Frame::group_by), [`agg`](Frame::agg), [`join`](Frame::join) |
//! | order rows | [`sort_by`](Frame::sort_by), [`set_index`](Frame::set_index), [`with_sorted_index`](Frame::with_sorted_index) |
//! | use another method of DataFusion | [`transform`](Frame::transform), `sql` (feature `sql`) |
//! | run a job | [`collect`](Frame::collect), [`batches`](Frame::batches), [`count`](Frame::count), [`describe`](Frame::describe), [`write_parquet`](Frame::write_parquet), [`write_csv`](Frame::write_csv) |
//! | go on with a bag | [`to_bag`](Frame::to_bag) |
//!
//! Expressions are those of DataFusion: [`Expr`], and the functions of [`functions`](datafusion::prelude). The crate
//! [`datafusion`] is part of this one, so that versions agree. [`col`] reads names as SQL does, in lower case unless they are
//! quoted; [`ident`] takes a name as it is.
//!
//! # Jobs
//!
//! An action runs a job of the frame's context, with the events, the summary, the limits and the page of every other job. Its
//! partitions run on threads of this process, as many as the executor has, also if the executor has worker processes. The
//! tasks of the bags that [`to_bag`](Frame::to_bag) returns and [`from_bag`](Frame::from_bag) takes run in the workers.
//!
//! # Order and digits
//!
//! The rows of files are in the order of the files, and within them. [`filter`](Frame::filter),
//! [`select`](Frame::select) and [`with_column`](Frame::with_column) keep the order. Groups and joined rows have any order;
//! sort them if it matters. Floating-point numbers that are combined, for example by [`avg`], may differ in the last digits
//! between two runs.
//!
//! # Memory
//!
//! Frames share the [budget](holdall::ContextBuilder::memory) of their context with bags. If it is exhausted, sorts and
//! groups are written to scratch files, which count towards the [disk quota](holdall::ContextBuilder::disk_quota). Operators
//! that cannot do this, such as the hashed side of a join, end the job with an error. Each operator may exceed an exhausted
//! budget by one batch or 1 MiB, and a merge of sorted runs by its share of the budget. For what operators do not count, such
//! as the batches between them, a job reserves 2 MiB for each of up to 16 partitions, but at most a quarter of the budget. A
//! process needs more memory than the budget, because the allocator keeps what is freed in small pieces.

mod actions;
mod bags;
mod chunk_table;
mod chunks;
mod csv;
mod csv_source;
mod describe;
mod failure;
mod files;
mod frame;
mod grouped;
mod index;
mod job;
mod join;
mod line_range;
mod named_source;
mod order;
mod parquet;
mod pool;
mod pruning;
mod schema;
mod session;
mod sort_key;
mod spill;
#[cfg(feature = "sql")]
mod sql;
mod store;
mod write;

use holdall::{IntoInputs, Result};

pub use csv::CsvReader;
pub use datafusion;
pub use datafusion::functions_aggregate::expr_fn::{
    avg, count, count_distinct, max, median, min, stddev, sum,
};
pub use datafusion::logical_expr::{Expr, JoinType, SortExpr, col, ident, lit, when};
pub use frame::Frame;
pub use grouped::GroupedFrame;
pub use parquet::ParquetReader;
pub use sort_key::IntoSortKey;
#[cfg(feature = "sql")]
pub use sql::sql;
pub use write::FrameWriter;

/// Returns a frame with the rows of CSV files. Short for [`CsvReader::read`].
///
/// # Errors
///
/// Returns the same errors as [`CsvReader::read`].
pub fn read_csv(inputs: impl IntoInputs) -> Result<Frame> {
    CsvReader::new().read(inputs)
}

/// Returns a frame with the rows of Parquet files. Short for [`ParquetReader::read`].
///
/// # Errors
///
/// Returns the same errors as [`ParquetReader::read`].
pub fn read_parquet(inputs: impl IntoInputs) -> Result<Frame> {
    ParquetReader::new().read(inputs)
}

/// The examples of the README are tested as those of the docs are.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
