//! Frames to bags, and bags to frames.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use holdall::extend::{ContextResources, ReservedMemory};
use holdall::{Bag, BoxError, Error, Pipeline, Reading, Records, Result, Source, StorageLevel};
use holdall_arrow::{from_batch, schema_of, to_batch};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::chunk_table::ChunkTable;
use crate::chunks::{ChunkWriter, Chunks, encoded};
use crate::failure::cause;
use crate::frame::Frame;
use crate::job::run;

/// Number of rows of a chunk that a task of a bag encodes.
const CHUNK_ROWS: usize = 8192;

/// Part of the memory budget that encoded records may take while they wait to be written: one of this many.
const SHARE_OF_BUDGET: usize = 8;

impl Frame {
    /// Returns a bag of the rows, mapped to values as by [`collect`](Self::collect). Runs a job.
    ///
    /// The job computes the rows and writes them to scratch files, which exist as long as the bag. A partition of the bag
    /// has the rows of a partition of the frame, in their order. The tasks of the bag, also in worker processes, read the
    /// files.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`batches`](Self::batches), and [`DiskFull`](holdall::ErrorKind::DiskFull) or
    /// [`QuotaExceeded`](holdall::ErrorKind::QuotaExceeded).
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_frame::{col, lit, read_csv};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// std::fs::write("flights.csv", "carrier,delay\nUA,2\nAA,-3\nUA,14\n")?;
    /// let late = read_csv("flights.csv")?.filter(col("delay").gt(lit(0)))?.to_bag::<(String, i64)>()?;
    /// let sums = late.sum_by_key();
    /// assert_eq!(sums.collect()?, [("UA".to_owned(), 16)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn to_bag<T: DeserializeOwned + 'static>(&self) -> Result<Bag<T>> {
        let resources = ContextResources::new(self.context());
        let parts = run(
            self.context(),
            self.job("to_bag"),
            self.plan(),
            async |running| {
                let schema = running.plan().schema();
                let write = |_, mut batches: SendableRecordBatchStream| {
                    let (resources, schema) = (resources.clone(), Arc::clone(&schema));
                    async move {
                        let mut writer = ChunkWriter::new(schema, resources.create_file()?);
                        while let Some(batch) = batches.try_next().await.map_err(cause)? {
                            writer.add(batch)?;
                        }
                        writer.finish()
                    }
                };
                running.each_partition(write).await
            },
        )?;
        let rows = FrameRows::<T> {
            parts: parts.into_iter().filter(|part| part.rows() > 0).collect(),
            rows: PhantomData,
        };
        Ok(self.context().from_source(rows)?.boxed())
    }

    /// Returns a frame with the records of a bag, in their order. Runs jobs: one that computes the bag, and one for each
    /// eighth of the memory budget that the encoded records take.
    ///
    /// The columns are the fields of the struct, or the elements of the tuple, which are named `0`, `1` and so on; see
    /// [`schema_of`](holdall_arrow::schema_of). The tasks of the bag, also in worker processes, encode the records. This
    /// process then writes them to a scratch file, which exists as long as the frame. In the meantime, it holds an eighth of
    /// the budget, or one partition if that is larger.
    ///
    /// # Errors
    ///
    /// Returns the errors of the bag, an error if the type has no schema, and [`DiskFull`](holdall::ErrorKind::DiskFull) or
    /// [`QuotaExceeded`](holdall::ErrorKind::QuotaExceeded).
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall_frame::{Frame, col, max};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Square {
    ///     number: u64,
    ///     square: u64,
    /// }
    ///
    /// let squares = holdall::range(0..10).map(|number| Square { number, square: number * number });
    /// let frame = Frame::from_bag(&squares)?;
    /// assert_eq!(frame.agg([max(col("square"))])?.collect::<(u64,)>()?, [(81,)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn from_bag<T, P>(bag: &Bag<T, P>) -> Result<Self>
    where
        T: Serialize + DeserializeOwned + 'static,
        P: Pipeline<Out = T>,
    {
        let schema = schema_of::<T>()?;
        // Tasks keep their results within the budget. An iterator over all of them would not.
        let chunks = bag.clone().try_map_partitions(encode_rows::<T>);
        let chunks = chunks.persist(StorageLevel::default());
        let sizes = chunks.clone().map_partitions(|chunks, emit| {
            let mut size = 0;
            chunks.for_each(|(_, bytes)| size += bytes.len());
            emit(size);
        });
        let sizes = sizes.collect()?;
        let resources = ContextResources::new(bag.context());
        let mut writer = ChunkWriter::new(Arc::clone(&schema), resources.create_file()?);
        let mut memory = resources.reserve();
        let mut next = 0;
        while next < sizes.len() {
            let partitions = next..fitting(&sizes, next, &mut memory, &resources)?;
            next = partitions.end;
            for chunk in chunks.clone().select_partitions(partitions).iter()? {
                let (rows, bytes) = chunk?;
                writer.add_encoded(&bytes, rows)?;
            }
            memory.shrink(memory.bytes());
        }
        let table = ChunkTable {
            schema,
            chunks: writer.finish().map_err(Error::other)?,
            statistics: Vec::new(),
        };
        Self::of_table(bag.context(), Arc::new(table))
    }
}

/// Reserves memory for the partitions that one job returns: the one at `first`, and those after it that fit into their share
/// of the budget. Returns the end of their range.
fn fitting(
    sizes: &[usize],
    first: usize,
    memory: &mut ReservedMemory,
    resources: &ContextResources,
) -> Result<usize> {
    let most = resources.budget_bytes() / SHARE_OF_BUDGET;
    for (partition, bytes) in sizes.iter().enumerate().skip(first) {
        let fits = memory.bytes() + bytes <= most && memory.try_grow(*bytes)?;
        // A job returns whole partitions, also one that does not fit.
        if !fits && partition > first {
            return Ok(partition);
        }
    }
    Ok(sizes.len())
}

/// Encodes the records of a partition in chunks, and emits each with the number of its rows.
fn encode_rows<T: Serialize + DeserializeOwned + 'static>(
    records: Records<'_, T>,
    emit: &mut dyn FnMut((u64, Vec<u8>)),
) -> Result<(), BoxError> {
    let schema = schema_of::<T>()?;
    let mut rows = Vec::with_capacity(CHUNK_ROWS);
    let mut encode = |rows: &mut Vec<T>| {
        let batch = to_batch(&schema, rows)?;
        emit((rows.len() as u64, encoded(&schema, &[batch])?));
        rows.clear();
        Ok::<_, BoxError>(())
    };
    let mut outcome = Ok(());
    records.try_for_each(|record| {
        rows.push(record);
        if rows.len() == CHUNK_ROWS {
            outcome = encode(&mut rows);
        }
        match outcome {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    outcome?;
    match rows.is_empty() {
        true => Ok(()),
        false => encode(&mut rows),
    }
}

/// The rows of the partitions of a frame.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct FrameRows<T> {
    parts: Vec<Chunks>,
    rows: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + 'static> Source for FrameRows<T> {
    type Split = usize;
    type Item = T;

    fn splits(&self) -> Result<Vec<usize>, BoxError> {
        Ok((0..self.parts.len()).collect())
    }

    fn read(
        &self,
        part: &usize,
        reading: &Reading<'_>,
        mut emit: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<(), BoxError> {
        let Chunks { file, chunks } = &self.parts[*part];
        let mut record = 1;
        for chunk in chunks {
            for batch in chunk.read(file)? {
                for row in from_batch(&batch)? {
                    reading.set_record(record);
                    record += 1;
                    if emit(row).is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        "to_bag"
    }

    fn detail(&self) -> String {
        let rows = self.parts.iter().map(Chunks::rows);
        format!("{} rows", rows.sum::<u64>())
    }
}
