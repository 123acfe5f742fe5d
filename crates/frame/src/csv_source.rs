//! Reading of CSV files by DataFusion's scans.
//!
//! The source of DataFusion cannot read texts such as `NA` as nulls, and its errors do not name the file.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv::ReaderBuilder;
use datafusion::arrow::csv::reader::Format;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::file_format::csv::CsvDecoder;
use datafusion::datasource::physical_plan::{
    FileOpenFuture, FileOpener, FileScanConfig, FileSource,
};
use datafusion::datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion::error::{DataFusionError, Result};
use datafusion::object_store::{self, ObjectStore};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::apply_expression_roots;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use datafusion_datasource::boundary_stream::AlignedBoundaryStream;
use datafusion_datasource::decoder::{DecoderDeserializer, deserialize_stream};
use datafusion_datasource::{PartitionedFile, TableSchema};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use holdall::Error;
use holdall::files::InputFile;
use regex::Regex;

use crate::failure::{cause, external, in_file};
use crate::files::TableFile;
use crate::line_range::LineRange;
use crate::order::RowOrder;
use crate::store::{FileStore, decoded};

/// Form of CSV files.
#[derive(Clone, Debug)]
pub(crate) struct CsvOptions {
    pub(crate) delimiter: u8,
    pub(crate) quote: u8,
    pub(crate) has_headers: bool,
    /// Matches the texts that are nulls.
    pub(crate) nulls: Option<Regex>,
    pub(crate) line_ends_in_quotes: bool,
    /// Column by which the rows of each file are sorted.
    pub(crate) sorted_by: Option<usize>,
}

impl CsvOptions {
    /// Returns the form for the reader of Arrow.
    pub(crate) fn format(&self, has_headers: bool) -> Format {
        let format = Format::default()
            .with_header(has_headers)
            .with_delimiter(self.delimiter)
            .with_quote(self.quote);
        match &self.nulls {
            Some(nulls) => format.with_null_regex(nulls.clone()),
            None => format,
        }
    }
}

/// Returns the source of a scan.
pub(crate) fn source(schema: &SchemaRef, options: &Arc<CsvOptions>) -> Arc<dyn FileSource> {
    let schema = TableSchema::from(Arc::clone(schema));
    Arc::new(CsvSource {
        options: Arc::clone(options),
        projection: SplitProjection::unprojected(&schema),
        schema,
        batch_rows: 0,
        metrics: ExecutionPlanMetricsSet::new(),
    })
}

#[derive(Clone)]
struct CsvSource {
    options: Arc<CsvOptions>,
    schema: TableSchema,
    projection: SplitProjection,
    batch_rows: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl FileSource for CsvSource {
    fn create_file_opener(
        &self,
        _: Arc<dyn ObjectStore>,
        _: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let opener = CsvOpener {
            source: self.clone(),
            bytes: MetricBuilder::new(&self.metrics).counter("bytes_scanned", partition),
        };
        ProjectionOpener::try_new(
            self.projection.clone(),
            Arc::new(opener),
            self.schema.file_schema(),
        )
    }

    fn table_schema(&self) -> &TableSchema {
        &self.schema
    }

    fn with_batch_size(&self, batch_rows: usize) -> Arc<dyn FileSource> {
        Arc::new(Self {
            batch_rows,
            ..self.clone()
        })
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        Ok(Some(Arc::new(Self {
            projection: SplitProjection::new(self.schema.file_schema(), &merged),
            ..self.clone()
        })))
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        "csv"
    }

    fn supports_repartitioning(&self) -> bool {
        !self.options.line_ends_in_quotes
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.projection.source.iter(), f)
    }
}

struct CsvOpener {
    source: CsvSource,
    bytes: Count,
}

impl FileOpener for CsvOpener {
    fn open(&self, part: PartitionedFile) -> Result<FileOpenFuture> {
        let missing = || DataFusionError::Internal("a file of a scan is missing".to_owned());
        let table_file: TableFile = part.extension().cloned().ok_or_else(missing)?;
        let TableFile {
            file,
            is_compressed,
            ..
        } = table_file;
        let (start, end) = part.range();
        let (source, bytes) = (&self.source, self.bytes.clone());
        let options = Arc::clone(&source.options);
        let columns = source.projection.file_indices.clone();
        let position = |sorted: usize| columns.iter().position(|column| *column == sorted);
        let mut order = options.sorted_by.and_then(position).map(RowOrder::new);
        let reader = ReaderBuilder::new(Arc::clone(source.schema.file_schema()))
            .with_format(options.format(options.has_headers && start == 0))
            .with_batch_size(source.batch_rows)
            .with_projection(columns);
        Ok(Box::pin(async move {
            let batches = if is_compressed {
                bytes.add(usize::try_from(file.bytes()).unwrap_or(usize::MAX));
                batches(decoded(file.clone()), reader)
            } else if file.is_remote() {
                let store: Arc<dyn ObjectStore> = Arc::new(FileStore(file.clone()));
                let path = part.object_meta.location;
                let input =
                    AlignedBoundaryStream::new(store, path, start, end, file.bytes(), b'\n');
                let input = input.await?;
                batches(input.inspect_ok(move |read| bytes.add(read.len())), reader)
            } else {
                // A local file is mostly in the page cache. Passing its bytes between threads costs more than reading them.
                let lines = LineRange::open(&file, start..end, bytes);
                let lines = lines.map_err(|error| external(in_file(file.path(), error)))?;
                stream::iter(reader.build_buffered(lines)?).boxed()
            };
            let has_headers = options.has_headers;
            let checked = move |batch: std::result::Result<RecordBatch, ArrowError>| {
                let batch = batch.map_err(|error| external(placed(&file, start, error)))?;
                if let Some(order) = &mut order {
                    let unsorted = |row| external(not_sorted(&file, start, has_headers, row));
                    order
                        .check(&batch)?
                        .map_or(Ok(()), |row| Err(unsorted(row)))?;
                }
                Ok(batch)
            };
            Ok(batches.map(checked).boxed())
        }))
    }
}

/// Returns the batches of a stream of bytes.
fn batches(
    input: impl Stream<Item = object_store::Result<Bytes>> + Send + 'static,
    reader: ReaderBuilder,
) -> BoxStream<'static, std::result::Result<RecordBatch, ArrowError>> {
    let decoder = DecoderDeserializer::new(CsvDecoder::new(reader.build_decoder()));
    let input = input.map_err(Into::into).boxed().fuse();
    deserialize_stream(input, decoder).boxed()
}

/// Text before the number of a line in an error of Arrow, which counts the lines of a part from 0.
const AT_LINE: &str = " at line ";

/// Adds the file to an error, and sets the number of its line.
fn placed(file: &InputFile, start: u64, error: ArrowError) -> Error {
    let error = cause(error.into());
    if error.is::<Error>() {
        return in_file(file.path(), error);
    }
    let message = error.to_string();
    let placed = message.split_once(AT_LINE).and_then(|(reason, rest)| {
        let digits = rest.find(|c: char| !c.is_ascii_digit());
        let (line, rest) = rest.split_at(digits.unwrap_or(rest.len()));
        let line = first_line(file, start).ok()? + line.parse::<u64>().ok()?;
        Some(format!("{reason}{AT_LINE}{line}{rest}"))
    });
    in_file(file.path(), placed.unwrap_or(message))
}

/// Returns the error of a row, counted from 0 at the start of a part, that is less than the one before it.
fn not_sorted(file: &InputFile, start: u64, has_headers: bool, row: u64) -> Error {
    let header = u64::from(has_headers && start == 0);
    let line = first_line(file, start).map(|line| line + header + row);
    let place = line.map_or(String::new(), |line| format!("line {line}: "));
    in_file(
        file.path(),
        format!("{place}the rows are not in the order of the index"),
    )
}

/// Returns the number of the first line that begins at `start` or after it, from 1.
fn first_line(file: &InputFile, start: u64) -> io::Result<u64> {
    if start == 0 {
        return Ok(1);
    }
    let mut lines = 2;
    let mut reader = file.open(0..start - 1)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok(lines);
        }
        let ends = buffer[..count].iter().filter(|byte| **byte == b'\n');
        lines += ends.count() as u64;
    }
}
