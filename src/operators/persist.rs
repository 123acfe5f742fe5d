//! `persist`: stores partitions once they have been computed. Narrow.

mod elsewhere;
mod keeper;
mod level;
mod replayed;
mod store;

use std::sync::Arc;

use crate::error::Result;
use crate::lineage::StoredNode;
use crate::pipeline::{Boxed, Pipeline, Record, Ref, Storable};
use crate::portable::{Loader, Portable, Saver};
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

use keeper::Keeper;
use replayed::replay_or_compute;

pub(crate) use elsewhere::StoreElsewhere;
pub use level::StorageLevel;
pub(crate) use store::Store;

/// Location of the store: in this process, or in another.
pub(crate) enum Keeping {
    Here(Arc<Store>),
    Elsewhere(StoreElsewhere),
}

pub(crate) struct Persist<T: Record + ?Sized> {
    pub(crate) parent: Boxed<T>,
    pub(crate) keeping: Keeping,
    pub(crate) site: Site,
}

impl<T: Record + ?Sized> Portable for Persist<T> {
    fn save(&self, to: &mut Saver) -> Result<()> {
        self.parent.save(to)?;
        self.site.save(to)?;
        match &self.keeping {
            Keeping::Here(store) => to.data(&store.export()?),
            Keeping::Elsewhere(store) => to.data(store),
        }
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        Ok(Self {
            parent: Portable::load(from)?,
            site: Portable::load(from)?,
            keeping: Keeping::Elsewhere(from.data()?),
        })
    }
}

impl<T: Storable + ?Sized> Pipeline for Persist<T> {
    type Out = T;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        let Keeping::Here(store) = &self.keeping else {
            return self.parent.stream();
        };
        if store.is_complete() {
            let mut indices = 0..store.count().unwrap_or(0);
            return Box::new(move || Ok(indices.next().map(Partition::at)));
        }
        let mut parent = self.parent.stream();
        let mut count = 0;
        Box::new(move || {
            let next = parent()?;
            match next {
                Some(_) => count += 1,
                None => store.set_count(count),
            }
            Ok(next)
        })
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        let store = match &self.keeping {
            Keeping::Here(store) => store,
            Keeping::Elsewhere(store) => {
                return store.run(&self.parent, self.site, partition, task, sink);
            }
        };
        let index = partition.index;
        let Some(parts) = store.get(index) else {
            return self.compute(store, partition, task, sink);
        };
        let is_computable = partition.has_payload() || self.parent.partitions().is_some();
        replay_or_compute(parts, is_computable, self.site, task, sink, |_, sink| {
            store.remove(index);
            let sink = &mut |record: Ref<'_, T>| sink(record);
            self.compute(store, partition, task, sink)
        })
    }
}

impl<T: Storable + ?Sized> Persist<T> {
    /// Computes a partition, and stores it in `store`.
    fn compute<S>(
        &self,
        store: &Store,
        partition: Partition,
        task: &Task<'_>,
        sink: &mut S,
    ) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        let index = partition.index;
        let mut keeper = Keeper::new(store, &task.resources().stop);
        let flow = self.parent.run(partition, task, &mut |record| {
            // The codec calls `Serialize`, which may be user code.
            let kept = task.call(&self.site, || keeper.push::<T>(T::peek(&record)));
            match kept {
                Ok(()) => sink(record),
                Err(error) => task.fail_at(self.site, error),
            }
        })?;
        // A partition that was interrupted is incomplete.
        if flow.is_continue() && !task.has_failed() && !task.is_stopped() {
            let finished = keeper.finish(index);
            finished.map_err(|error| error.at(self.site))?;
        }
        Ok(flow)
    }
}
