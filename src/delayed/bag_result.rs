//! Results of bags as delayed values.

use std::any::Any;
use std::sync::Arc;

use crate::bag::Bag;
use crate::context::Context;
use crate::error::{Error, Result, Site};
use crate::layers::Value;
use crate::lineage::PendingValue;
use crate::operators::results::{AnySummary, PartialResult};
use crate::pipeline::{Pipeline, Record};

/// A bag of any type.
pub(super) trait AnyBag: Send + Sync {
    /// Returns what identifies the bag: clones have the same.
    fn address(&self) -> usize;

    fn context(&self) -> &Context;

    /// Returns the values that must be known before the bag is read, and are not.
    fn pending_values(&self) -> Vec<Arc<dyn PendingValue>>;

    /// Returns parts of some results of this bag, which has the given number.
    fn partial_results(&self, number: u32, results: &[&BagResult]) -> Result<Bag<PartialResult>>;

    /// Returns a result from its parts.
    fn finish(&self, result: &BagResult, parts: &mut dyn Iterator<Item = Vec<u8>>)
    -> Result<Value>;
}

/// A result of a bag.
#[derive(Clone)]
pub(super) struct BagResult {
    pub(super) bag: Arc<dyn AnyBag>,
    /// The only partition that it needs.
    partition: Option<usize>,
    /// An `Arc<dyn AnySummary<T>>`, where `T` are the records of the bag.
    summary: Arc<dyn Any + Send + Sync>,
    site: Site,
}

impl BagResult {
    pub(super) fn new<T: Record + ?Sized>(
        bag: Arc<dyn AnyBag>,
        partition: Option<usize>,
        summary: Arc<dyn AnySummary<T>>,
    ) -> Self {
        Self {
            bag,
            partition,
            site: summary.site(),
            summary: Arc::new(summary),
        }
    }

    fn summary<T: Record + ?Sized>(&self) -> Result<&Arc<dyn AnySummary<T>>> {
        let summary = self.summary.downcast_ref();
        summary.ok_or_else(|| Error::internal("a summary is of another bag".to_owned()))
    }
}

impl<T: Record + ?Sized, P: Pipeline<Out = T>> AnyBag for Bag<T, P> {
    fn address(&self) -> usize {
        self.pipeline_address()
    }

    fn context(&self) -> &Context {
        Self::context(self)
    }

    fn pending_values(&self) -> Vec<Arc<dyn PendingValue>> {
        Self::pending_values(self)
    }

    fn partial_results(&self, number: u32, results: &[&BagResult]) -> Result<Bag<PartialResult>> {
        let mut summaries = Vec::with_capacity(results.len());
        for result in results {
            summaries.push((result.partition, Arc::clone(result.summary::<T>()?)));
        }
        let site = results.first().map(|result| result.site);
        let site = site.ok_or_else(|| Error::internal("no result is wanted".to_owned()))?;
        Ok(Self::partial_results(self, site, number, summaries))
    }

    fn finish(
        &self,
        result: &BagResult,
        parts: &mut dyn Iterator<Item = Vec<u8>>,
    ) -> Result<Value> {
        result.summary::<T>()?.finish(parts)
    }
}
