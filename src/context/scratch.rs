//! Places for the files of a job: the spill directory, and the shuffle directory.

use std::sync::{Arc, PoisonError};

use super::Shared;
use crate::config::Config;
use crate::error::Result;
use crate::files::{ShuffleDirectory, ShuffleFiles};
use crate::storage::scratch::Scratch;

impl Shared {
    /// Returns the scratch files of a job or a persisted bag.
    pub(super) fn scratch(&self, shuffle: Option<&Arc<ShuffleFiles>>) -> Scratch {
        let Config {
            spill_directory,
            disk_quota_bytes,
            ..
        } = &self.config;
        let transfer = self.executor.transfer();
        let transfer = match shuffle.filter(|shuffle| shuffle.are_stored()) {
            Some(shuffle) => {
                let memory_bytes = self.budget.limit_bytes() / self.executor.slots();
                transfer.with_store(Arc::clone(shuffle) as _, memory_bytes)
            }
            None => transfer,
        };
        Scratch::with_homes(Some(spill_directory), *disk_quota_bytes, transfer)
    }

    /// Returns the files of a job in the shuffle directory, if its map outputs go there.
    pub(super) fn shuffle_files(&self, job: u64) -> Result<Option<Arc<ShuffleFiles>>> {
        let Some(parent) = self.config.shuffle_directory.as_ref() else {
            return Ok(None);
        };
        if !self.executor.has_homes() {
            return Ok(None);
        }
        let mut directory = self.shuffle.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = match &mut *directory {
            Some(directory) => directory,
            None => {
                let file_systems = self.file_systems.with_registered();
                directory.insert(ShuffleDirectory::create(&file_systems, parent)?)
            }
        };
        Ok(Some(Arc::new(ShuffleFiles::create(directory, job)?)))
    }
}
