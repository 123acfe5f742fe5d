//! Executor that runs all tasks on the thread that calls the action. Serves as the reference, and for debugging.

use super::{StageExecutor, Summon};
use crate::error::Result;

#[derive(Debug)]
pub(crate) struct Inline;

impl StageExecutor for Inline {
    fn run_summoning(&self, _: bool, _: usize, work: &(dyn Fn(&Summon<'_>) + Sync)) -> Result<()> {
        work(&|| {});
        Ok(())
    }

    fn threads(&self) -> usize {
        1
    }
}
