//! The source of `from_delayed`: each partition is the value of some calls.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use crate::error::{Error, Result};
use crate::graph::TaskParts;
use crate::pipeline::{Data, Pipeline};
use crate::portable::{Loader, Portable, Saver};
use crate::task::{Flow, Partition, STOP_CHECK_RECORDS, Site, Task};

/// Partitions whose calls are known once the values that several of them need are.
pub(super) struct FromParts<T> {
    tasks: LazyLock<Result<TaskParts>, NewTasks>,
    count: usize,
    site: Site,
    types: PhantomData<fn() -> T>,
}

type NewTasks = Box<dyn FnOnce() -> Result<TaskParts> + Send>;

impl<T> FromParts<T> {
    pub(super) fn new(
        site: Site,
        count: usize,
        tasks: impl FnOnce() -> Result<TaskParts> + Send + 'static,
    ) -> Self {
        Self {
            tasks: LazyLock::new(Box::new(tasks)),
            count,
            site,
            types: PhantomData,
        }
    }

    fn tasks(&self) -> Result<&TaskParts> {
        // The compiler has checked the types of all calls.
        let tasks = self.tasks.as_ref();
        tasks.map_err(|error| Error::internal(error.to_string()))
    }
}

impl<T: Data + Sync> Portable for FromParts<T> {
    fn save(&self, to: &mut Saver) -> Result<()> {
        to.site(self.site)?;
        to.data(&self.count)?;
        self.tasks()?.save(to)
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        let (site, count) = (from.site()?, from.data()?);
        let tasks = TaskParts::load(from)?;
        Ok(Self::new(site, count, || Ok(tasks)))
    }
}

impl<T: Data + Sync + Clone> Pipeline for FromParts<T> {
    type Out = T;

    fn partitions(&self) -> Option<usize> {
        Some(self.count)
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(T) -> Flow,
    {
        let value = self
            .tasks()?
            .value(partition.index, &|| task.is_stopped())?;
        let Some(value) = value else {
            return Ok(ControlFlow::Break(()));
        };
        let records = value.downcast::<Vec<T>>();
        let other_type = |_| Error::internal("a partition has another type".to_owned());
        let records = Arc::unwrap_or_clone(records.map_err(other_type)?);
        for (number, record) in records.into_iter().enumerate() {
            let is_time = number.is_multiple_of(STOP_CHECK_RECORDS);
            if (is_time && task.is_stopped()) || sink(record).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
