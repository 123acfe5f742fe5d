//! `persist`: stores partitions once they have been computed. Narrow.

mod elsewhere;
mod keeper;
mod level;
mod replayed;
mod store;
mod stored_parent;

use std::sync::Arc;

use crate::error::{Error, PlaceError as _, Result};
use crate::lineage::StoredNode;
use crate::pipeline::{Pipeline, Record, Ref, Storable};
use crate::portable::{Loader, Portable, Saver};
use crate::task::{Flow, Partition, PartitionStream, Site, Task};

use keeper::Keeper;
use replayed::replay_or_compute;

pub(crate) use elsewhere::StoreElsewhere;
pub use level::StorageLevel;
pub(crate) use store::Store;
pub(crate) use stored_parent::StoredParent;

/// Location of the store: in this process, or in another.
pub(crate) enum Keeping {
    Here(Arc<Store>),
    Elsewhere(StoreElsewhere),
}

pub(crate) struct Persist<T: Record + ?Sized> {
    pub(crate) parent: StoredParent<T>,
    pub(crate) keeping: Keeping,
    pub(crate) site: Site,
}

impl<T: Record + ?Sized> Portable for Persist<T> {
    /// Of a loop that persists a bag in each round, sends the last two rounds, not all of them. A worker computes a
    /// damaged partition of the last round from the one before. If both are damaged, the driver
    /// [forgets](crate::lineage::StoredNode::forget) the partition of the last one, and sends more.
    fn save(&self, to: &mut Saver) -> Result<()> {
        self.site.save(to)?;
        let Keeping::Here(store) = &self.keeping else {
            return Err(Error::internal("a stage is sent by a worker".to_owned()));
        };
        // Where the records are stored differs from run to run.
        if let (true, StoredParent::Known(parent)) = (to.is_key(), &self.parent) {
            return parent.save(to);
        }
        let elsewhere = store.export()?;
        let is_complete = store.count() == Some(elsewhere.partitions());
        to.data(&elsewhere)?;
        let is_backup = is_complete && to.is_in_backup();
        to.data(&is_backup)?;
        match &self.parent {
            StoredParent::Known(parent) if !is_backup => {
                to.within(is_complete, |to| parent.save(to))?;
                Ok(())
            }
            parent => to.data(&parent.partitions()),
        }
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        let site = Portable::load(from)?;
        let keeping = Keeping::Elsewhere(from.data()?);
        let parent = match from.data()? {
            true => StoredParent::LeftOut(from.data()?),
            false => StoredParent::Known(Portable::load(from)?),
        };
        Ok(Self {
            parent,
            keeping,
            site,
        })
    }
}

impl<T: Storable + ?Sized> Pipeline for Persist<T> {
    type Out = T;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        let (Keeping::Here(store), StoredParent::Known(parent)) = (&self.keeping, &self.parent)
        else {
            unreachable!("only the driver reads the partitions")
        };
        if store.is_complete() {
            let mut indices = 0..store.count().unwrap_or(0);
            return Box::new(move || Ok(indices.next().map(Partition::at)));
        }
        let mut parent = parent.stream();
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
        let is_computable = self.parent.can_compute(&partition);
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
        let parent = self.parent.get()?;
        if store.is_closed() {
            return parent.run(partition, task, sink);
        }
        let mut keeper = Keeper::new(store, &task.resources().stop);
        let flow = parent.run(partition, task, &mut |record| {
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
            finished.at(self.site)?;
        }
        Ok(flow)
    }
}
