//! Rows in scratch files as a table of DataFusion.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::Statistics;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::{StreamExt, TryStreamExt, stream};
use holdall::extend::SpillFile;
use tokio::task::spawn_blocking;

use crate::chunks::{Chunk, Chunks};
use crate::failure::external;
use crate::pruning::needed;

/// Rows in a scratch file.
pub(crate) struct ChunkTable {
    pub(crate) schema: SchemaRef,
    pub(crate) chunks: Chunks,
    /// What is known of the columns of each chunk, if anything is.
    pub(crate) statistics: Vec<Arc<Statistics>>,
}

impl fmt::Debug for ChunkTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChunkTable")
            .field("chunks", &self.chunks.chunks.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for ChunkTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let chunks = &self.chunks.chunks;
        let chunks: Vec<_> = match self.statistics.is_empty() {
            true => chunks.to_vec(),
            false => {
                let statistics = self.statistics.clone();
                let is_needed = needed(&self.schema, statistics, session, filters)?;
                let chunks = chunks.iter().zip(is_needed);
                let chunks = chunks.filter_map(|(chunk, is_needed)| is_needed.then_some(*chunk));
                chunks.collect()
            }
        };
        let partitions = session.config().target_partitions();
        let of_partition = chunks.len().div_ceil(partitions).max(1);
        let partition = |chunks: &[Chunk]| -> Arc<dyn PartitionStream> {
            Arc::new(ChunkStream {
                schema: Arc::clone(&self.schema),
                file: self.chunks.file.clone(),
                chunks: chunks.to_vec(),
            })
        };
        let mut streams: Vec<_> = chunks.chunks(of_partition).map(partition).collect();
        if streams.is_empty() {
            streams.push(partition(&[]));
        }
        let schema = Arc::clone(&self.schema);
        let scan = StreamingTableExec::try_new(schema, streams, projection, [], false, limit)?;
        Ok(Arc::new(scan))
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // They select chunks. Their rows are filtered afterwards.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

/// Some chunks of a file.
#[derive(Debug)]
struct ChunkStream {
    schema: SchemaRef,
    file: SpillFile,
    chunks: Vec<Chunk>,
}

impl PartitionStream for ChunkStream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let file = self.file.clone();
        let read = move |chunk: Chunk| {
            let file = file.clone();
            async move {
                let read = spawn_blocking(move || chunk.read(&file));
                let batches = read.await.map_err(external)?.map_err(external)?;
                Ok::<_, DataFusionError>(stream::iter(batches.into_iter().map(Ok)))
            }
        };
        let batches = stream::iter(self.chunks.clone()).then(read).try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            batches,
        ))
    }
}
