//! Executor that runs all tasks on the thread that calls the action. Serves as the reference, and for debugging.

use super::StageExecutor;
use crate::error::Result;

#[derive(Debug)]
pub(crate) struct Inline;

impl StageExecutor for Inline {
    fn run(&self, work: &(dyn Fn() + Sync)) -> Result<()> {
        work();
        Ok(())
    }

    fn threads(&self) -> usize {
        1
    }
}
