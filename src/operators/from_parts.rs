//! `from_delayed`: partitions that become known before the first job reads them. A source.

use std::ops::ControlFlow;

use crate::error::Result;
use crate::pipeline::{ClosureState, Data, Pipeline};
use crate::portable::{Loader, Portable, Saver};
use crate::task::{Flow, Partition, STOP_CHECK_RECORDS, Site, Task};

pub(crate) struct FromParts<T> {
    pub(crate) parts: Vec<ClosureState<Vec<T>>>,
    pub(crate) site: Site,
}

impl<T: Data + Sync> Portable for FromParts<T> {
    fn save(&self, to: &mut Saver) -> Result<()> {
        to.site(self.site)?;
        to.data(&self.parts.len())?;
        self.parts.iter().try_for_each(|part| part.save(to))
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        let site = from.site()?;
        let parts: usize = from.data()?;
        let parts = (0..parts).map(|_| Portable::load(from));
        let parts = parts.collect::<Result<_>>()?;
        Ok(Self { parts, site })
    }
}

impl<T: Data + Sync + Clone> Pipeline for FromParts<T> {
    type Out = T;

    fn partitions(&self) -> Option<usize> {
        Some(self.parts.len())
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(T) -> Flow,
    {
        for records in self.parts[partition.index].get().chunks(STOP_CHECK_RECORDS) {
            if task.is_stopped() {
                return Ok(ControlFlow::Break(()));
            }
            for record in records {
                if sink(record.clone()).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
