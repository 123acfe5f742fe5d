//! Files as a table of DataFusion.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::Statistics;
use datafusion::datasource::physical_plan::{
    FileGroup, FileGroupPartitioner, FileScanConfigBuilder, FileSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion_datasource::PartitionedFile;
use holdall::files::InputFile;

use crate::csv_source::CsvOptions;
use crate::pruning::needed;

/// Minimum size of the input that is divided into partitions, in bytes. A smaller input takes less time than its division
/// would save.
const DIVIDED_BYTES: usize = 1 << 20;

/// Files with the same columns.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) schema: SchemaRef,
    pub(crate) format: Format,
    pub(crate) files: Vec<TableFile>,
}

/// The format of files, and its options.
#[derive(Clone, Debug)]
pub(crate) enum Format {
    Csv(Arc<CsvOptions>),
    Parquet,
}

/// A file of a table.
#[derive(Clone)]
pub(crate) struct TableFile {
    pub(crate) file: InputFile,
    /// What is known of its columns before it is read.
    pub(crate) statistics: Option<Arc<Statistics>>,
    /// Whether it must be decompressed from its start.
    pub(crate) is_compressed: bool,
}

impl Files {
    /// Returns the size of all files, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.file.bytes()).sum()
    }

    /// Returns the files that may have rows for which all filters hold.
    fn needed(&self, session: &dyn Session, filters: &[Expr]) -> Result<Vec<&TableFile>> {
        let unknown = Arc::new(Statistics::new_unknown(&self.schema));
        let statistics = self.files.iter().map(|file| {
            let known = file.statistics.as_ref().unwrap_or(&unknown);
            Arc::clone(known)
        });
        let is_needed = needed(&self.schema, statistics.collect(), session, filters)?;
        let files = self.files.iter().zip(is_needed);
        let files = files.filter_map(|(file, is_needed)| is_needed.then_some(file));
        Ok(files.collect())
    }

    fn source(&self) -> Arc<dyn FileSource> {
        match &self.format {
            Format::Csv(options) => crate::csv_source::source(&self.schema, options),
            Format::Parquet => crate::parquet::source(&self.schema),
        }
    }
}

/// Divides files into neighbouring parts of about the same size, or into whole files if some of them cannot be divided.
fn divided(files: Vec<&TableFile>, partitions: usize, source: &dyn FileSource) -> Vec<FileGroup> {
    let is_whole = files.iter().any(|file| file.is_compressed);
    let files: Vec<_> = files.into_iter().map(partitioned_file).collect();
    let group = FileGroup::new(files);
    if is_whole || !source.supports_repartitioning() {
        let files = group.len().div_ceil(partitions).max(1);
        return group
            .into_inner()
            .chunks(files)
            .map(|files| FileGroup::new(files.to_vec()))
            .collect();
    }
    let partitioner = FileGroupPartitioner::new()
        .with_target_partitions(partitions)
        .with_repartition_file_min_size(DIVIDED_BYTES);
    let groups = vec![group];
    partitioner
        .repartition_file_groups(&groups)
        .unwrap_or(groups)
}

fn partitioned_file(file: &TableFile) -> PartitionedFile {
    let path = file.file.path().to_string_lossy();
    PartitionedFile::new(path, file.file.bytes()).with_extension(file.clone())
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files")
            .field("format", &self.format)
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for Files {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let source = self.source();
        let files = self.needed(session, filters)?;
        let partitions = session.config().target_partitions();
        let groups = divided(files, partitions, &*source);
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), source)
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // They select files. Their rows are filtered afterwards.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}
