//! Writing of frames: directories with a file for each partition.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv::WriterBuilder;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;
use futures::TryStreamExt;
use futures::future::try_join;
use holdall::extend::ContextResources;
use holdall::files::{FinishedFile, OutputFile, OutputOptions, OutputWriter};
use holdall::{BoxError, Result, Written};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::failure::cause;
use crate::frame::Frame;
use crate::job::run;
use crate::session::PARTITIONS;

/// Minimum and maximum size of a row group of Parquet, in bytes. A larger one is compressed and read better, and each
/// partition holds one in memory.
const ROW_GROUP_BYTES: (usize, usize) = (1 << 20, 128 << 20);

/// Number of pieces that may wait for the thread that writes. They do not count towards the memory budget.
const WAITING_PIECES: usize = 4;

/// Writes frames with other options than [`Frame::write_parquet`] and [`Frame::write_csv`].
///
/// # Examples
///
/// ```
/// use holdall_frame::{FrameWriter, read_csv, read_parquet};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # std::env::set_current_dir(&dir).unwrap();
/// std::fs::write("flights.csv", "carrier,delay\nUA,2\nAA,-3\n")?;
/// let flights = read_csv("flights.csv")?;
/// flights.write_parquet("flights")?;
/// let writer = FrameWriter::new().overwrite(true);
/// writer.write_parquet(&flights.limit(1)?, "flights")?;
/// assert_eq!(read_parquet("flights")?.count()?, 1);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "a writer does nothing until it is given a frame"]
pub struct FrameWriter {
    output: OutputOptions,
}

/// The format of an output.
#[derive(Clone, Copy)]
enum Format {
    Csv,
    Parquet { row_group_bytes: usize },
}

impl FrameWriter {
    /// Creates a writer with the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether an existing output is replaced, once the new one is complete. Default: `false`. See
    /// [`TextWriter::overwrite`](holdall::TextWriter::overwrite).
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.output.overwrite = overwrite;
        self
    }

    /// Sets whether the output is on disk when the method returns. Default: `true`. See
    /// [`TextWriter::durable`](holdall::TextWriter::durable).
    pub fn durable(mut self, durable: bool) -> Self {
        self.output.durable = durable;
        self
    }

    /// Sets whether the files are added to those of an existing output. Default: `false`. See
    /// [`TextWriter::append`](holdall::TextWriter::append).
    pub fn append(mut self, append: bool) -> Self {
        self.output.append = append;
        self
    }

    /// Writes the rows as Parquet, which is compressed by Snappy. Runs a job. See [`Frame::write_parquet`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Frame::write_parquet`].
    #[track_caller]
    pub fn write_parquet(&self, frame: &Frame, path: impl AsRef<Path>) -> Result<Written> {
        let resources = ContextResources::new(frame.context());
        let (least, most) = ROW_GROUP_BYTES;
        let share = resources.budget_bytes() / (4 * PARTITIONS);
        let format = Format::Parquet {
            row_group_bytes: share.clamp(least, most),
        };
        self.write(frame, path.as_ref(), "write_parquet", "parquet", format)
    }

    /// Writes the rows as CSV with a header in each file. Runs a job. See [`Frame::write_csv`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Frame::write_csv`].
    #[track_caller]
    pub fn write_csv(&self, frame: &Frame, path: impl AsRef<Path>) -> Result<Written> {
        self.write(frame, path.as_ref(), "write_csv", "csv", Format::Csv)
    }

    #[track_caller]
    fn write(
        &self,
        frame: &Frame,
        path: &Path,
        action: &'static str,
        extension: &str,
        format: Format,
    ) -> Result<Written> {
        let job = frame.job(action);
        let output = frame.context().begin_output(path, &self.output)?;
        let writer = output.writer(extension, Some(PARTITIONS))?;
        let (files, records) = run(frame.context(), job, frame.plan(), async |running| {
            let (sender, pieces) = channel(WAITING_PIECES);
            let schema = running.plan().schema();
            // Moved, so that the last sender is dropped with the last partition.
            let encode = move |partition, batches| {
                let encoder = Encoder::new(format, Arc::clone(&schema));
                encode(partition, batches, encoder, sender.clone())
            };
            let encode = running.each_partition(encode);
            let (records, mut files) = try_join(encode, write_pieces(&writer, pieces)).await?;
            if files.is_empty() {
                let mut file = writer.create(0, &attempt(0))?;
                file.write_all(&Encoder::new(format, running.plan().schema()).finish()?)?;
                files.push(file.finish()?);
            }
            Ok((files, records.into_iter().sum()))
        })?;
        let mut written = Written::default();
        written.records = records;
        written.bytes = files.iter().map(FinishedFile::bytes).sum();
        written.files = output.commit(files)?;
        Ok(written)
    }
}

/// Returns the name of the only attempt at the file of a partition.
fn attempt(partition: usize) -> String {
    format!("{}-{partition}", std::process::id())
}

/// A part of the file of a partition.
type Piece = (usize, Vec<u8>);

/// Encodes the rows of a partition. Returns their number.
async fn encode(
    partition: usize,
    mut batches: SendableRecordBatchStream,
    mut encoder: Encoder,
    sender: Sender<Piece>,
) -> Result<u64, BoxError> {
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await.map_err(cause)? {
        rows += batch.num_rows() as u64;
        let bytes = encoder.write(&batch)?;
        if !bytes.is_empty() {
            sender.send((partition, bytes)).await?;
        }
    }
    if rows > 0 {
        sender.send((partition, encoder.finish()?)).await?;
    }
    Ok(rows)
}

/// Writes the pieces to the files of their partitions. Returns the files in the order of the partitions. They stay on the
/// thread that creates them.
async fn write_pieces(
    writer: &OutputWriter,
    mut pieces: Receiver<Piece>,
) -> Result<Vec<FinishedFile>, BoxError> {
    let mut files = BTreeMap::<usize, OutputFile>::new();
    while let Some((partition, bytes)) = pieces.recv().await {
        let file = match files.entry(partition) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(writer.create(partition, &attempt(partition))?),
        };
        file.write_all(&bytes)?;
    }
    let files = files.into_values().map(OutputFile::finish);
    Ok(files.collect::<Result<_>>()?)
}

/// Encodes the batches of a file. Its writers are created with the first batch.
struct Encoder {
    format: Format,
    schema: SchemaRef,
    parquet: Option<ArrowWriter<Vec<u8>>>,
    has_header: bool,
}

impl Encoder {
    fn new(format: Format, schema: SchemaRef) -> Self {
        Self {
            format,
            schema,
            parquet: None,
            has_header: false,
        }
    }

    /// Adds rows. Returns the bytes that are complete.
    fn write(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, BoxError> {
        match self.format {
            Format::Csv => self.csv(batch),
            Format::Parquet { row_group_bytes } => {
                let mut writer = self.parquet(row_group_bytes)?;
                writer.write(batch)?;
                let bytes = std::mem::take(writer.inner_mut());
                self.parquet = Some(writer);
                Ok(bytes)
            }
        }
    }

    /// Returns the rest of the bytes.
    fn finish(mut self) -> Result<Vec<u8>, BoxError> {
        match self.format {
            Format::Csv if self.has_header => Ok(Vec::new()),
            Format::Csv => self.csv(&RecordBatch::new_empty(Arc::clone(&self.schema))),
            Format::Parquet { row_group_bytes } => {
                Ok(self.parquet(row_group_bytes)?.into_inner()?)
            }
        }
    }

    fn csv(&mut self, batch: &RecordBatch) -> Result<Vec<u8>, BoxError> {
        let mut bytes = Vec::new();
        let builder = WriterBuilder::new().with_header(!self.has_header);
        builder.build(&mut bytes).write(batch)?;
        self.has_header = true;
        Ok(bytes)
    }

    fn parquet(&mut self, row_group_bytes: usize) -> Result<ArrowWriter<Vec<u8>>, BoxError> {
        if let Some(writer) = self.parquet.take() {
            return Ok(writer);
        }
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_bytes(Some(row_group_bytes))
            .build();
        let schema = Arc::clone(&self.schema);
        Ok(ArrowWriter::try_new(Vec::new(), schema, Some(properties))?)
    }
}

impl Frame {
    /// Writes the rows as Parquet: a directory with a file for each partition that has rows, such as `part-00000.parquet`.
    /// Runs a job. The files in the order of their names have the rows in their order.
    ///
    /// The directory appears as a whole, or not at all, on any file system of the context. [`FrameWriter`] has options.
    ///
    /// # Errors
    ///
    /// Returns [`OutputExists`](holdall::ErrorKind::OutputExists) if something exists at `path`, the errors of the file
    /// system, and those of [`batches`](Self::batches).
    #[track_caller]
    pub fn write_parquet(&self, path: impl AsRef<Path>) -> Result<Written> {
        FrameWriter::new().write_parquet(self, path)
    }

    /// Writes the rows as CSV: a directory with a file for each partition that has rows, such as `part-00000.csv`, each
    /// with a header. Runs a job. The files in the order of their names have the rows in their order. Nulls are empty
    /// fields.
    ///
    /// The directory appears as a whole, or not at all, on any file system of the context. [`FrameWriter`] has options.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`write_parquet`](Self::write_parquet).
    #[track_caller]
    pub fn write_csv(&self, path: impl AsRef<Path>) -> Result<Written> {
        FrameWriter::new().write_csv(self, path)
    }
}
