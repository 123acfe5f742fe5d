//! Which nodes can still be read: what is kept of the others goes.
//!
//! ```text
//!  bag, job ──use──> node ──use──> persisted, complete ──backup──> node ──backup──> persisted, complete ──> nothing
//! ```
//!
//! A bag or a running job uses its node, and a node uses what it is computed from. A persisted node that is complete is
//! not computed: it holds what it would be computed from as a backup, up to the nearest complete persisted nodes before
//! it. Should a part of it be lost, it is computed from them. What is neither used nor a backup is released: a loop that
//! persists a bag in each round keeps two rounds. If even the backup is lost, the lineage before it computes it again.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::need::{Hold, Need};
use super::node::Node;

/// A use of a node, by a bag or a job.
pub(crate) struct Handle(Arc<Node>);

impl Handle {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        change(&node, |need| need.uses += 1);
        Self(node)
    }

    /// The node, if it was just made, so that nothing else knows of it.
    pub(crate) fn get_mut(&mut self) -> Option<&mut Node> {
        Arc::get_mut(&mut self.0)
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl Deref for Handle {
    type Target = Arc<Node>;

    fn deref(&self) -> &Arc<Node> {
        &self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        change(&self.0, |need| need.uses -= 1);
    }
}

/// Held while needs change, so that each change is seen as a whole. No code of the program runs meanwhile.
static CHANGING: Mutex<()> = Mutex::new(());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Changes how `first` is needed, and then what follows from that for the nodes before it.
fn change(first: &Arc<Node>, change: impl FnOnce(&mut Need)) {
    let mut released = Vec::new();
    let changing = lock(&CHANGING);
    change(&mut lock(&first.need));
    let mut to_visit = vec![first];
    while let Some(node) = to_visit.pop() {
        let mut need = lock(&node.need);
        let hold = node.hold(&need);
        let before = std::mem::replace(&mut need.hold, hold);
        let is_needed = need.is_needed();
        drop(need);
        if !is_needed && node.is_repeatable {
            let stored = node.stored.as_ref();
            released.extend(stored.and_then(|stored| stored.release()));
        }
        if before == hold {
            continue;
        }
        for parent in node
            .dependencies
            .iter()
            .map(|dependency| dependency.parent())
        {
            let mut need = lock(&parent.need);
            if let Some(count) = need.count(before) {
                *count -= 1;
            }
            if let Some(count) = need.count(hold) {
                *count += 1;
            }
            to_visit.push(parent);
        }
    }
    drop(changing);
    // Deleting files takes time.
    drop(released);
}

impl Node {
    /// How a node that is needed so holds those that it depends on.
    fn hold(&self, need: &Need) -> Hold {
        let is_complete = || {
            self.stored
                .as_ref()
                .is_some_and(|stored| stored.is_complete())
        };
        match need {
            Need { uses: 1.., .. } if is_complete() => Hold::AsBackup,
            Need { uses: 1.., .. } => Hold::Use,
            Need { backups: 1.., .. } if !is_complete() => Hold::AsBackup,
            _ => Hold::None,
        }
    }

    /// To be called when what is kept has become complete, or is no more.
    pub(crate) fn stored_changed(self: &Arc<Self>) {
        change(self, |_| {});
    }
}
