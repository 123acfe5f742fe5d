//! Plans that a job makes while it runs.

use std::sync::OnceLock;

use crate::plan::JobPlan;

/// A list that only grows, so that running stages can borrow its plans. A plan keeps the persisted partitions that it
/// relies on.
#[derive(Default)]
pub(super) struct Plans(OnceLock<Box<Entry>>);

struct Entry {
    plan: JobPlan,
    next: Plans,
}

impl Plans {
    pub(super) fn push(&self, plan: JobPlan) -> &JobPlan {
        let mut new = Some(plan);
        let mut end = self;
        loop {
            let entry = end.0.get_or_init(|| {
                let plan = new
                    .take()
                    .unwrap_or_else(|| unreachable!("it is added once"));
                let next = Self::default();
                Box::new(Entry { plan, next })
            });
            if new.is_none() {
                return &entry.plan;
            }
            end = &entry.next;
        }
    }
}
