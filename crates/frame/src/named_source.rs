//! Adds the names of files to the errors of a source of DataFusion.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::config::ConfigOptions;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource};
use datafusion::error::{DataFusionError, Result};
use datafusion::object_store::ObjectStore;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer};
use datafusion_datasource::{PartitionedFile, TableSchema};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::failure::{cause, external, in_file};
use crate::files::TableFile;

/// A source whose errors name the file.
pub(crate) struct NamedSource(pub(crate) Arc<dyn FileSource>);

impl NamedSource {
    fn wrapped(source: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self(source))
    }
}

impl FileSource for NamedSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.0.create_file_opener(store, config, partition)
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        let morselizer = self.0.create_morselizer(store, config, partition)?;
        Ok(Box::new(NamedMorselizer(morselizer)))
    }

    fn table_schema(&self) -> &TableSchema {
        self.0.table_schema()
    }

    fn with_batch_size(&self, rows: usize) -> Arc<dyn FileSource> {
        Self::wrapped(self.0.with_batch_size(rows))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.0.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.0.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.0.metrics()
    }

    fn file_type(&self) -> &str {
        self.0.file_type()
    }

    fn fmt_extra(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_extra(format, f)
    }

    fn supports_repartitioning(&self) -> bool {
        self.0.supports_repartitioning()
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let pushed = self.0.try_pushdown_filters(filters, config)?;
        Ok(FilterPushdownPropagation {
            updated_node: pushed.updated_node.map(Self::wrapped),
            filters: pushed.filters,
        })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        let pushed = self.0.try_pushdown_sort(order, properties)?;
        Ok(pushed.map(Self::wrapped))
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn FileSource>>> {
        let pushed = self.0.try_pushdown_projection(projection)?;
        Ok(pushed.map(Self::wrapped))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.0.apply_expressions(f)
    }
}

#[derive(Debug)]
struct NamedMorselizer(Box<dyn Morselizer>);

/// A part of the work on a file, with the path of the file.
#[derive(Debug)]
struct Named<T: ?Sized> {
    path: Arc<Path>,
    of: Box<T>,
}

fn named(path: &Path, error: DataFusionError) -> DataFusionError {
    external(in_file(path, cause(error)))
}

impl Morselizer for NamedMorselizer {
    fn plan_file(&self, part: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let file = part.extension::<TableFile>();
        let path = file.map_or(Path::new(""), |file| file.file.path()).into();
        let of = self.0.plan_file(part)?;
        Ok(Box::new(Named { path, of }))
    }
}

impl MorselPlanner for Named<dyn MorselPlanner> {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Self { path, of } = *self;
        let planner = |path: &Arc<Path>, of| -> Box<dyn MorselPlanner> {
            let path = Arc::clone(path);
            Box::new(Named { path, of })
        };
        let Some(mut plan) = of.plan().map_err(|error| named(&path, error))? else {
            return Ok(None);
        };
        let morsels = plan
            .take_morsels()
            .into_iter()
            .map(|of| -> Box<dyn Morsel> {
                let path = Arc::clone(&path);
                Box::new(Named { path, of })
            });
        let ready = plan.take_ready_planners().into_iter();
        let mut wrapped = MorselPlan::new()
            .with_morsels(morsels.collect())
            .with_planners(ready.map(|of| planner(&path, of)).collect());
        if let Some(pending) = plan.take_pending_planner() {
            wrapped.set_pending_planner(async move {
                let of = pending.await.map_err(|error| named(&path, error))?;
                Ok(planner(&path, of))
            });
        }
        Ok(Some(wrapped))
    }
}

impl Morsel for Named<dyn Morsel> {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let Self { path, of } = *self;
        let batches = of.into_stream();
        let batches = batches.map(move |batch| batch.map_err(|error| named(&path, error)));
        batches.boxed()
    }
}
