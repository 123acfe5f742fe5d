//! Which parts of a table may have rows for which filters hold.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::{DFSchema, Statistics};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;

/// Returns, for the statistics of each part, whether the part may have rows for which all filters hold.
pub(crate) fn needed(
    schema: &SchemaRef,
    statistics: Vec<Arc<Statistics>>,
    session: &dyn Session,
    filters: &[Expr],
) -> Result<Vec<bool>> {
    let all = vec![true; statistics.len()];
    let Some(filter) = conjunction(filters.iter().cloned()) else {
        return Ok(all);
    };
    let columns = DFSchema::try_from(Arc::clone(schema))?;
    let filter = session.create_physical_expr(filter, &columns)?;
    let predicate = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema));
    // Statistics tell nothing about some kinds of filters.
    let Some(predicate) = predicate.build(filter) else {
        return Ok(all);
    };
    predicate.prune(&PrunableStatistics::new(statistics, Arc::clone(schema)))
}
