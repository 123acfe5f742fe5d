//! `summarize` and the statistics: one part of a summary for each partition.

use std::ops::ControlFlow;

use crate::error::Result;
use crate::pipeline::{Action, Pipeline, Record};
use crate::portable::{Portable, portable};
use crate::summary::Summary;
use crate::task::{Partition, Site, Task};

pub(crate) struct SummaryAction<S> {
    pub(crate) site: Site,
    pub(crate) summary: S,
}

portable! {
    [S: Portable] SummaryAction<S> { site: part, summary: part }
}

impl<T, S> Action<T> for SummaryAction<S>
where
    T: Record + ?Sized,
    S: Summary<T> + Portable,
{
    type Part = S::Part;

    fn site(&self) -> Site {
        self.site
    }

    fn compute<P>(&self, pipeline: &P, partition: Partition, task: &Task<'_>) -> Result<S::Part>
    where
        P: Pipeline<Out = T>,
    {
        let mut part = task.call(&self.site, || self.summary.start());
        let _ = pipeline.run(partition, task, &mut |record| {
            let record = T::peek(&record);
            task.call(&self.site, || self.summary.add(&mut part, record));
            ControlFlow::Continue(())
        })?;
        Ok(part)
    }

    sent_whole!(T);
}
