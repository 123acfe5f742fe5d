//! `values` of groups: one record for each value of a group. Narrow.

use std::ops::ControlFlow;

use super::Step;
use super::group_by_key::Group;
use crate::pipeline::{Data, Ref};
use crate::portable::portable;
use crate::task::{Flow, Site, Task};

pub(crate) struct Ungroup {
    pub(crate) site: Site,
}

portable! {
    [] Ungroup { site: part }
}

impl<K: 'static, V: Data> Step<Group<K, V>> for Ungroup {
    type Out = V;

    #[inline]
    fn push<S>(&self, record: Ref<'_, Group<K, V>>, task: &Task<'_>, sink: &mut S) -> Flow
    where
        S: FnMut(V) -> Flow,
    {
        for value in record.1 {
            sink(value)?;
        }
        if task.has_failed() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
