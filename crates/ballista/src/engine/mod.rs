//! The cluster that decides which machines a driver may use.

use holdall::Result;

use crate::message::SlotSpec;

mod lease;
mod roles;
mod slots;

pub(crate) use lease::Ballista;
pub(crate) use roles::{run_scheduler, run_worker};

/// A cluster, as the driver uses it.
pub(crate) trait Engine: Send + Sync + 'static {
    /// Number of slots of the whole cluster.
    ///
    /// # Errors
    ///
    /// Returns an error if the cluster cannot be reached.
    fn slots(&self) -> Result<usize>;

    /// Requests slots, each of which receives `spec`. Does not wait for them.
    ///
    /// # Errors
    ///
    /// Returns an error if the cluster cannot be reached.
    fn lease(&self, spec: &SlotSpec, slots: usize) -> Result<Box<dyn Lease>>;
}

/// Slots that were requested. Dropping the lease withdraws the request for those that are not free yet.
pub(crate) trait Lease: Send {
    /// Returns whether the cluster may still give slots.
    ///
    /// # Errors
    ///
    /// Returns an error if the cluster or a machine has refused the request.
    fn is_open(&mut self) -> Result<bool>;
}
