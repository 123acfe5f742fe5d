//! `range`: consecutive integers, computed where they are used. A source.

use std::ops::ControlFlow;

use crate::error::Result;
use crate::pipeline::Pipeline;
use crate::portable::portable;
use crate::task::{Flow, Partition, STOP_CHECK_RECORDS, Task};

pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) len: u64,
    pub(crate) partitions: usize,
}

portable! {
    [] Range { start: data, len: data, partitions: data }
}

impl Pipeline for Range {
    type Out = u64;

    fn partitions(&self) -> Option<usize> {
        Some(self.partitions)
    }

    #[inline]
    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(u64) -> Flow,
    {
        let (mut from, end) = bounds(self.len, partition.index, self.partitions);
        while from < end {
            if task.is_stopped() {
                return Ok(ControlFlow::Break(()));
            }
            let to = end.min(from + STOP_CHECK_RECORDS as u64);
            let mut numbers = self.start + from..self.start + to;
            if numbers.try_for_each(&mut *sink).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            from = to;
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Returns the bounds of part `index` if `0..len` is divided into `parts` nearly equal parts.
pub(crate) fn bounds(len: u64, index: usize, parts: usize) -> (u64, u64) {
    let at = |i: usize| (u128::from(len) * i as u128 / parts as u128) as u64;
    (at(index), at(index + 1))
}
