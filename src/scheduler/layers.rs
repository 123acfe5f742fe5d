//! Runs a job of tasks of layers.

use super::Job;
use crate::error::{Error, ErrorKind, Result, caught};
use crate::executor::{AnyExecutor, RemoteExecutor, Round, StageSite, Tasks};
use crate::layers::{LayerDriver, LayerRun, LocalRun, Value, save_layers};
use crate::portable::Saver;

impl Job {
    /// Runs the tasks of its only stage. Returns the wanted values.
    pub(crate) fn run_layers(&self, run: &LayerRun) -> Result<Vec<Value>> {
        let (number, node) = (self.plan.stages(), &self.plan.result);
        let resources = self.state.resources().clone();
        let watch = self.start_stage(number, node, node.partitions, resources);
        // The run drops values of the user's types, and dropping them may panic.
        let ran = caught(None, || {
            loop {
                self.run_ready_layers(run)?;
                if self.state.is_stopped() {
                    return Err(Error::new(ErrorKind::Cancelled));
                }
                if !run.is_done() {
                    return Err(Error::internal("tasks are left".to_owned()));
                }
                // Files of wanted values may turn out to be damaged only now.
                if let Some(values) = run.wanted()? {
                    return Ok(values);
                }
                self.send_restarted(number, node);
            }
        });
        // The first error counts.
        let result = self.state.outcome().and(ran);
        self.end_stage(&watch);
        self.set_outcome(&result, true);
        result
    }

    /// Runs all tasks that are not done.
    fn run_ready_layers(&self, run: &LayerRun) -> Result<()> {
        match &self.executor {
            AnyExecutor::Local(executor) => {
                let local = LocalRun::new(run, &self.state, &self.events, self.threads());
                executor.run_summoning(false, usize::MAX, &|summon| local.work(summon))
            }
            AnyExecutor::Remote(executor) => self.run_remote_layers(&**executor, run),
        }
    }

    fn run_remote_layers(&self, executor: &dyn RemoteExecutor, run: &LayerRun) -> Result<()> {
        let driver = LayerDriver::new(run, &self.state, &self.events, self.threads());
        let number = self.plan.stages();
        let site = StageSite {
            number,
            site: self.plan.result.site,
            events: &self.events,
        };
        let tasks = Tasks::new(&driver, site, None, 1, &self.slots);
        loop {
            // The directory may have been lost and created again.
            let code = Saver::write(|to| save_layers(run.set(), to))?;
            let stage = self.stage(number, code, Vec::new())?;
            executor.run(&stage, &tasks)?;
            driver.send_failures();
            match tasks.round().map_err(|error| driver.placed(error))? {
                Round::Done | Round::Stopped => return Ok(()),
                Round::Damaged | Round::Again => {}
            }
        }
    }
}
