//! `containing`: the records that contain a pattern. Narrow.

use std::sync::Arc;

use crate::error::Result;
use crate::pipeline::{Pipeline, Ref, Text};
use crate::portable::{Loader, Portable, Saver};
use crate::task::{Flow, Partition, PartitionStream, Task};
use crate::text::Needle;

pub(crate) struct Containing<P> {
    pub(crate) parent: Arc<P>,
    pub(crate) needle: Needle,
}

impl<P: Portable> Portable for Containing<P> {
    fn save(&self, to: &mut Saver) -> Result<()> {
        self.parent.save(to)?;
        to.data(self.needle.bytes())
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        let parent = Portable::load(from)?;
        let needle: Vec<u8> = from.data()?;
        let needle = Needle::new(&needle);
        Ok(Self { parent, needle })
    }
}

impl<T, P> Pipeline for Containing<P>
where
    T: Text + ?Sized,
    P: Pipeline<Out = T>,
{
    type Out = T;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    #[inline]
    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        self.parent
            .run_containing(&self.needle, partition, task, sink)
    }
}
