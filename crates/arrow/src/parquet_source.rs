//! The row groups of Parquet files, as a source.

use std::marker::PhantomData;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt64Array, new_null_array};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use bytes::Bytes;
use holdall::files::InputFile;
use holdall::{BadRecords, BoxError, Reading, Source};
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, RowFilter,
};
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};
use parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaDataPushDecoder, RowGroupMetaData,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::filter::{Filter, Statistics};
use crate::inputs::{MetadataCache, decode, in_file, read_each, read_range};
use crate::rows::{RowFlow, emit_rows, end_part};
use crate::shape::Shape;

/// Number of bytes at the end of a file that are read for its metadata. If that is longer, the rest is read in a second
/// call.
const TAIL_BYTES: u64 = 64 << 10;

/// Number of rows that are decoded at once.
const BATCH_ROWS: usize = 8192;

/// The row groups of Parquet files.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ReadParquet<T> {
    pub(crate) files: Vec<InputFile>,
    pub(crate) filter: Option<Filter>,
    pub(crate) bad: Option<BadRecords>,
    pub(crate) cache: MetadataCache<ArrowReaderMetadata>,
    pub(crate) records: PhantomData<fn() -> T>,
}

/// A row group, or a file that cannot be read.
#[derive(Debug, Serialize, Deserialize)]
pub struct RowGroup {
    file: usize,
    /// `None` if the metadata of the file could not be read, and bad files are skipped.
    number: Option<usize>,
    /// Number of the first row in the file, from 1.
    first_row: u64,
    /// Size of the columns that are read.
    bytes: u64,
}

impl<T: DeserializeOwned + 'static> ReadParquet<T> {
    /// Returns the row groups of a file that may have rows of the filter.
    fn row_groups(
        &self,
        file: usize,
        metadata: &ArrowReaderMetadata,
    ) -> Result<Vec<RowGroup>, BoxError> {
        let is_needed = match &self.filter {
            Some(filter) => {
                filter.check(metadata.schema())?;
                filter.row_groups(&FileStatistics(metadata))?
            }
            None => vec![true; metadata.metadata().num_row_groups()],
        };
        let mask = self.projection(metadata);
        let mut first_row = 1;
        let mut groups = Vec::new();
        for (number, group) in metadata.metadata().row_groups().iter().enumerate() {
            let columns = group.columns().iter().enumerate();
            let columns = columns.filter(|(leaf, _)| mask.leaf_included(*leaf));
            let sizes = columns.map(|(_, column)| u64::try_from(column.compressed_size()));
            if is_needed[number] {
                groups.push(RowGroup {
                    file,
                    number: Some(number),
                    first_row,
                    bytes: sizes.sum::<Result<_, _>>()?,
                });
            }
            first_row += u64::try_from(group.num_rows())?;
        }
        Ok(groups)
    }

    /// Returns the columns that the type and the filter need.
    fn projection(&self, metadata: &ArrowReaderMetadata) -> ProjectionMask {
        let mut mask = self.columns(metadata);
        if let Some(filter) = &self.filter {
            mask.union(&filter_columns(filter, metadata));
        }
        mask
    }

    /// Returns the columns that the type needs.
    fn columns(&self, metadata: &ArrowReaderMetadata) -> ProjectionMask {
        let fields = metadata.schema().fields().iter();
        let columns = Shape::of::<T>().columns(fields.map(|field| field.name().as_str()));
        ProjectionMask::roots(metadata.parquet_schema(), columns)
    }

    fn decoder(
        &self,
        metadata: &ArrowReaderMetadata,
        number: usize,
    ) -> Result<ParquetPushDecoder, BoxError> {
        let builder = ParquetPushDecoderBuilder::new_with_metadata(metadata.clone())
            .with_batch_size(BATCH_ROWS)
            .with_projection(self.columns(metadata))
            .with_row_groups(vec![number]);
        let builder = match self.filter.clone() {
            Some(filter) => {
                let columns = filter_columns(&filter, metadata);
                let predicate = ArrowPredicateFn::new(columns, move |batch| filter.rows(&batch));
                builder.with_row_filter(RowFilter::new(vec![Box::new(predicate)]))
            }
            None => builder,
        };
        Ok(builder.build()?)
    }

    fn read_group(
        &self,
        group: &RowGroup,
        reading: &Reading<'_>,
        emit: &mut impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<RowFlow, BoxError> {
        let file = &self.files[group.file];
        let read = || read_metadata(file, Some(reading));
        let metadata = self.cache.get_or_read(group.file, read)?;
        let number = group
            .number
            .ok_or("it could not be read when the bag was created")?;
        let damaged = |error: BoxError| format!("row group {number}: {error}");
        let columns = metadata.metadata().row_group(number).columns().iter();
        let starts = columns.map(ColumnChunkMetaData::data_page_offset);
        if let Some(start) = starts.filter_map(|start| u64::try_from(start).ok()).min() {
            reading.set_offset(start);
        }
        let mut decoder = decode(|| self.decoder(&metadata, number)).map_err(damaged)?;
        // The numbers of the rows that a filter has selected are unknown.
        let mut first = self.filter.is_none().then_some(group.first_row);
        while !reading.is_stopped() {
            match decode(|| decoder.try_decode()).map_err(damaged)? {
                DecodeResult::NeedsData(ranges) => {
                    let read = |range: &Range<u64>| read_range(file, range.clone(), Some(reading));
                    let data = ranges.iter().map(|range| read(range).map(Bytes::from));
                    let data = data.collect::<Result<_, _>>()?;
                    decoder.push_ranges(ranges, data)?;
                }
                DecodeResult::Data(batch) => {
                    let flow = emit_rows(&batch, first, self.bad.as_ref(), reading, emit)?;
                    if flow.is_break() {
                        return Ok(flow);
                    }
                    first = first.map(|first| first + batch.num_rows() as u64);
                }
                DecodeResult::Finished => break,
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl<T: DeserializeOwned + 'static> Source for ReadParquet<T> {
    type Split = RowGroup;
    type Item = T;

    fn splits(&self) -> Result<Vec<RowGroup>, BoxError> {
        let metadata = read_each(&self.files, |file| read_metadata(&self.files[file], None));
        let mut splits = Vec::new();
        for (file, metadata) in metadata.into_iter().enumerate() {
            let groups = metadata.and_then(|metadata| {
                let groups = decode(|| self.row_groups(file, &metadata));
                self.cache.insert(file, metadata);
                groups
            });
            match groups {
                Ok(groups) => splits.extend(groups),
                Err(error) if self.bad.is_none() => return Err(in_file(&self.files[file], error)),
                Err(_) => splits.push(RowGroup {
                    file,
                    number: None,
                    first_row: 1,
                    bytes: 0,
                }),
            }
        }
        Ok(splits)
    }

    fn read(
        &self,
        group: &RowGroup,
        reading: &Reading<'_>,
        mut emit: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<(), BoxError> {
        let path = self.files[group.file].path();
        reading.set_file(path);
        let read = self.read_group(group, reading, &mut emit);
        end_part(read, path, self.bad.as_ref(), reading)
    }

    fn name(&self) -> &'static str {
        "read_parquet"
    }

    fn detail(&self) -> String {
        format!("{} files", self.files.len())
    }

    fn bytes(&self, group: &RowGroup) -> Option<u64> {
        Some(group.bytes)
    }
}

/// Reads the metadata at the end of a file.
fn read_metadata(
    file: &InputFile,
    reading: Option<&Reading<'_>>,
) -> Result<ArrowReaderMetadata, BoxError> {
    let mut decoder = ParquetMetaDataPushDecoder::try_new(file.bytes())?
        .with_page_index_policy(PageIndexPolicy::Skip);
    let tail = file.bytes().saturating_sub(TAIL_BYTES)..file.bytes();
    let mut ranges = vec![tail];
    loop {
        let read = |range: &Range<u64>| read_range(file, range.clone(), reading).map(Bytes::from);
        let data = ranges.iter().map(read).collect::<Result<_, _>>()?;
        decoder.push_ranges(ranges, data)?;
        ranges = match decode(|| decoder.try_decode())? {
            DecodeResult::NeedsData(ranges) => ranges,
            DecodeResult::Data(metadata) => {
                let options = ArrowReaderOptions::new();
                let inferred = ArrowReaderMetadata::try_new(Arc::new(metadata), options)?;
                let options = ArrowReaderOptions::new().with_schema(with_views(inferred.schema()));
                return Ok(ArrowReaderMetadata::try_new(
                    Arc::clone(inferred.metadata()),
                    options,
                )?);
            }
            DecodeResult::Finished => return Err("it has no metadata".into()),
        };
    }
}

/// Returns the schema with texts as views, which a decoder does not copy.
fn with_views(schema: &Schema) -> SchemaRef {
    let with_view = |field: &FieldRef| match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => {
            let field = Field::clone(field).with_data_type(DataType::Utf8View);
            Arc::new(field)
        }
        _ => Arc::clone(field),
    };
    let fields: Fields = schema.fields().iter().map(with_view).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn filter_columns(filter: &Filter, metadata: &ArrowReaderMetadata) -> ProjectionMask {
    let names = filter.columns();
    let fields = metadata.schema().fields().iter().enumerate();
    let columns = fields.filter(|(_, field)| names.contains(field.name().as_str()));
    ProjectionMask::roots(metadata.parquet_schema(), columns.map(|(column, _)| column))
}

/// The statistics of the row groups of a file.
struct FileStatistics<'m>(&'m ArrowReaderMetadata);

impl FileStatistics<'_> {
    fn converter(&self, column: &str) -> Result<StatisticsConverter<'_>, ArrowError> {
        let (schema, parquet_schema) = (self.0.schema(), self.0.parquet_schema());
        Ok(StatisticsConverter::try_new(
            column,
            schema,
            parquet_schema,
        )?)
    }

    /// Returns `bounds`, or nulls if they are in the order of signed bytes, in which old programs have written them.
    fn bounds(&self, column: &str, bounds: ArrayRef) -> Result<ArrayRef, ArrowError> {
        let leaf = self.converter(column)?.parquet_column_index();
        let statistics = |group: &RowGroupMetaData| group.column(leaf?).statistics().cloned();
        let mut groups = self.0.metadata().row_groups().iter().filter_map(statistics);
        match groups.any(|statistics| statistics.is_min_max_deprecated()) {
            true => Ok(new_null_array(bounds.data_type(), bounds.len())),
            false => Ok(bounds),
        }
    }
}

impl Statistics for FileStatistics<'_> {
    fn min(&self, column: &str) -> Result<ArrayRef, ArrowError> {
        let groups = self.0.metadata().row_groups();
        self.bounds(column, self.converter(column)?.row_group_mins(groups)?)
    }

    fn max(&self, column: &str) -> Result<ArrayRef, ArrowError> {
        let groups = self.0.metadata().row_groups();
        self.bounds(column, self.converter(column)?.row_group_maxes(groups)?)
    }

    fn nulls(&self, column: &str) -> Result<UInt64Array, ArrowError> {
        let converter = self
            .converter(column)?
            .with_missing_null_counts_as_zero(false);
        Ok(converter.row_group_null_counts(self.0.metadata().row_groups())?)
    }

    fn rows(&self) -> UInt64Array {
        let groups = self.0.metadata().row_groups().iter();
        groups
            .map(|group| u64::try_from(group.num_rows()).ok())
            .collect()
    }
}
