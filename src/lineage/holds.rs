//! Determines which nodes can still be read, and releases the stored partitions of all others.
//!
//! ```text
//!  bag, job ──use──> node ──use──> persisted, complete ──backup──> node ──backup──> persisted, complete ──> nothing
//! ```
//!
//! A bag or a running job uses its node, and a node uses the nodes that it is computed from. A complete persisted node
//! is not computed. It holds the nodes that it would be computed from as backups, up to the nearest complete persisted
//! nodes before it. If one of its partitions is lost, it is recomputed from these. A node that is neither used nor a
//! backup is released, so a loop that persists a bag in each round keeps two rounds. If even a backup is lost, the
//! lineage before it recomputes it.

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

    /// Returns the node if it was just created, so that there is no other reference to it.
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

/// Held while needs change, so that each change is atomic. No code of the user runs while it is held.
static CHANGING: Mutex<()> = Mutex::new(());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
thread_local! {
    /// Number of nodes that this thread has visited.
    pub(crate) static VISITED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Changes the need for `first`, and updates the nodes before it accordingly.
fn change(first: &Arc<Node>, change: impl FnOnce(&mut Need)) {
    let mut released = Vec::new();
    let changing = lock(&CHANGING);
    change(&mut lock(&first.need));
    let mut to_visit = vec![first];
    while let Some(node) = to_visit.pop() {
        #[cfg(test)]
        VISITED.set(VISITED.get() + 1);
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
    // Deleting files takes time, so it happens without the lock.
    drop(released);
}

impl Node {
    /// Returns how a node with this need holds the nodes that it depends on.
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

    /// Updates the needs after the store has become complete or incomplete.
    pub(crate) fn stored_changed(self: &Arc<Self>) {
        change(self, |_| {});
    }
}
