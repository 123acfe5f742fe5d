//! `last` and `position`: where a partition ends, and where it first has a record.

use std::marker::PhantomData;
use std::ops::ControlFlow;

use crate::error::Result;
use crate::pipeline::{Action, Data, Pipeline, Record};
use crate::portable::portable;
use crate::task::{Partition, Site, Task};

/// Computes the last record of a partition.
pub(crate) struct Last<T: ?Sized> {
    pub(crate) site: Site,
    pub(crate) records: PhantomData<fn(&T)>,
}

portable! {
    [T: ?Sized] Last<T> { site: part, records: part }
}

impl<T: Record<Owned: Data> + ?Sized> Action<T> for Last<T> {
    type Part = Option<T::Owned>;

    fn site(&self) -> Site {
        self.site
    }

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<Self::Part>
    where
        P: Pipeline<Out = T>,
    {
        let mut last = None;
        let _ = pipeline.run(partition, task, &mut |record| {
            // Dropping the record before may run user code.
            task.call(&self.site, || last = Some(T::into_owned(record)));
            ControlFlow::Continue(())
        })?;
        Ok(last)
    }

    sent_whole!(T);
}

/// Computes the number of records of a partition up to the first one that is `true`, and whether there is one.
pub(crate) struct Position {
    pub(crate) site: Site,
}

portable! {
    [] Position { site: part }
}

impl Action<bool> for Position {
    /// The number of records before the first one that is `true`, and whether there is one.
    type Part = (u64, bool);

    fn site(&self) -> Site {
        self.site
    }

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<(u64, bool)>
    where
        P: Pipeline<Out = bool>,
    {
        let mut before = 0;
        let mut has_any = false;
        let _ = pipeline.run(partition, task, &mut |is_wanted| {
            has_any = is_wanted;
            if is_wanted {
                return ControlFlow::Break(());
            }
            before += 1;
            ControlFlow::Continue(())
        })?;
        Ok((before, has_any))
    }

    sent_whole!(bool);
}
