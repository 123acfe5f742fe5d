//! Reading of Parquet: options, the schema of the files, and the source of scans.

use std::io::{self, BufReader, Read};
use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::Statistics;
use datafusion::datasource::physical_plan::parquet::{
    DefaultParquetFileReaderFactory, transform_schema_to_view,
};
use datafusion::datasource::physical_plan::{FileSource, ParquetFileReaderFactory, ParquetSource};
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::arrow::parquet_to_arrow_schema;
use datafusion::parquet::errors::Result as ParquetResult;
use datafusion::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use datafusion::parquet::file::reader::{ChunkReader, Length};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion_datasource::PartitionedFile;
use holdall::files::{InputFile, InputReader};
use holdall::{BoxError, Context, IntoInputs, Result};

use crate::failure::in_file;
use crate::files::{Files, Format, TableFile};
use crate::frame::Frame;
use crate::named_source::NamedSource;
use crate::schema::merged;
use crate::store::FileStore;

/// Reads Parquet files with other options than [`read_parquet`](crate::read_parquet).
#[derive(Clone, Debug, Default)]
#[must_use = "a reader does nothing until it is given files"]
pub struct ParquetReader {
    context: Option<Context>,
}

impl ParquetReader {
    /// Creates a reader with the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the context, whose jobs compute the frame, and whose file systems have the files. Default: the default
    /// context.
    pub fn context(mut self, context: &Context) -> Self {
        self.context = Some(context.clone());
        self
    }

    /// Returns a frame with the rows of the files. Reads the metadata at the end of each file, and no more.
    ///
    /// A job reads only the columns that it needs, and skips the files and row groups whose statistics show that a filter
    /// keeps none of their rows.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Context::find_files`], and an error with the name of the file if its columns do not have
    /// the names and types of those of the first file, or if it is no Parquet.
    pub fn read(&self, inputs: impl IntoInputs) -> Result<Frame> {
        let context = self.context.clone().unwrap_or_default();
        let files = context.find_files(inputs)?;
        let mut schema: Option<SchemaRef> = None;
        let mut metadata = Vec::with_capacity(files.len());
        for file in &files {
            let named = |error: BoxError| in_file(file.path(), error);
            let (found, of_file) = read_metadata(file).map_err(named)?;
            let first = schema.as_ref().unwrap_or(&found);
            let same = |a: &_, b: &_| (a == b).then(|| Clone::clone(a));
            schema = Some(merged(first, &found, same).map_err(named)?);
            metadata.push(of_file);
        }
        let schema = schema.unwrap_or_else(|| Arc::new(Schema::empty()));
        let files = files.into_iter().zip(metadata).map(|(file, metadata)| {
            let statistics = statistics(&metadata, &schema);
            let statistics = statistics.map_err(|error| in_file(file.path(), error))?;
            Ok(TableFile {
                file,
                statistics: Some(Arc::new(statistics)),
                is_compressed: false,
            })
        });
        let files = Files {
            files: files.collect::<Result<_>>()?,
            format: Format::Parquet,
            schema,
        };
        Frame::of_table(&context, Arc::new(files))
    }
}

fn read_metadata(file: &InputFile) -> Result<(SchemaRef, ParquetMetaData), BoxError> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&FileChunks(file))?;
    let of_file = metadata.file_metadata();
    let schema = parquet_to_arrow_schema(of_file.schema_descr(), of_file.key_value_metadata())?;
    // The operators of DataFusion are faster with views of texts.
    let schema = transform_schema_to_view(&schema);
    Ok((Arc::new(schema.with_metadata(Default::default())), metadata))
}

fn statistics(metadata: &ParquetMetaData, schema: &SchemaRef) -> PlanResult<Statistics> {
    use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
    DFParquetMetadata::statistics_from_parquet_metadata(metadata, schema)
}

/// A file as the reader of metadata needs it.
struct FileChunks<'a>(&'a InputFile);

impl Length for FileChunks<'_> {
    fn len(&self) -> u64 {
        self.0.bytes()
    }
}

impl ChunkReader for FileChunks<'_> {
    type T = BufReader<InputReader>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let reader = self.0.open(start..self.0.bytes());
        Ok(BufReader::new(reader.map_err(io::Error::from)?))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let mut bytes = vec![0; length];
        self.get_read(start)?.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Returns the source of a scan.
pub(crate) fn source(schema: &SchemaRef) -> Arc<dyn FileSource> {
    let source = ParquetSource::new(Arc::clone(schema));
    let source = source.with_parquet_file_reader_factory(Arc::new(FileReaders));
    Arc::new(NamedSource(Arc::new(source)))
}

/// Opens the files of a scan.
#[derive(Debug)]
struct FileReaders;

impl ParquetFileReaderFactory for FileReaders {
    fn create_reader(
        &self,
        partition: usize,
        part: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> PlanResult<Box<dyn AsyncFileReader + Send>> {
        let missing = || DataFusionError::Internal("a file of a scan is missing".to_owned());
        let file: &TableFile = part.extension().ok_or_else(missing)?;
        let store = Arc::new(FileStore(file.file.clone()));
        let readers = DefaultParquetFileReaderFactory::new(store);
        readers.create_reader(partition, part, metadata_size_hint, metrics)
    }
}
