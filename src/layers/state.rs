//! The tasks that are ready, running and done, and those that must run again because a value is lost.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use super::plan::LayerPlan;
use super::values::{InFile, InMemory, Stored, ValueStore, Victim};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::memory::Reservation;
use crate::storage::transfer::Home;

/// Maximum number of times that a value is computed.
const ATTEMPTS: u8 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// Values that it needs are missing.
    Waiting,
    Ready,
    Running,
    /// It has returned its value, which exists as long as it has readers.
    Done,
}

/// State of all tasks of a job, by rank. The fields satisfy, for each task:
///
/// - `missing` counts its needs without a value, if it is waiting.
/// - `readers` counts the tasks that need it and are not done, and the times that it is wanted.
pub(super) struct TaskStates {
    status: Vec<Status>,
    missing: Vec<u32>,
    readers: Vec<u32>,
    /// Number of times that its value was lost.
    losses: Vec<u8>,
    lost_homes: HashSet<Home>,
    /// Tasks that are ready, except those that need nothing and have not run yet. May contain tasks that no longer are.
    ready: BinaryHeap<Reverse<u32>>,
    /// The first task that may need nothing and has not run yet, and the number of such tasks.
    next_source: u32,
    sources: usize,
    /// Number of tasks that are not done.
    left: usize,
    pub(super) values: ValueStore,
    /// Values that no task needs any more. Dropping them may run code of the user, so they wait for a moment when no
    /// lock is held.
    pub(super) dropped: Vec<Stored>,
}

impl TaskStates {
    pub(super) fn new(plan: &LayerPlan, reservation: Reservation) -> Self {
        let tasks = plan.tasks();
        let ranks = || 0..tasks as u32;
        let mut readers: Vec<_> = ranks()
            .map(|rank| plan.users.of(rank).len() as u32)
            .collect();
        for rank in &plan.wanted {
            readers[*rank as usize] += 1;
        }
        let missing: Vec<_> = ranks()
            .map(|rank| plan.needs.of(rank).len() as u32)
            .collect();
        Self {
            status: vec![Status::Waiting; tasks],
            sources: missing.iter().filter(|missing| **missing == 0).count(),
            missing,
            readers,
            losses: vec![0; tasks],
            lost_homes: HashSet::new(),
            ready: BinaryHeap::new(),
            next_source: 0,
            left: tasks,
            values: ValueStore::new(tasks, reservation),
            dropped: Vec::new(),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Returns about how many tasks are ready.
    pub(super) fn ready(&self) -> usize {
        self.ready.len() + self.sources
    }

    /// Takes the ready task of lowest rank.
    pub(super) fn take(&mut self, plan: &LayerPlan) -> Option<u32> {
        while let Some(Reverse(rank)) = self.ready.peek()
            && self.status[*rank as usize] != Status::Ready
        {
            self.ready.pop();
        }
        let ready = self.ready.peek().map(|Reverse(rank)| *rank);
        let source = self.next_source(plan);
        let rank = match (ready, source) {
            (Some(ready), source) if source.is_none_or(|source| ready < source) => {
                self.ready.pop();
                ready
            }
            (_, source) => {
                let source = source?;
                self.next_source = source + 1;
                self.sources -= 1;
                source
            }
        };
        self.status[rank as usize] = Status::Running;
        Some(rank)
    }

    /// Finds the next task that needs nothing and has not run yet.
    fn next_source(&mut self, plan: &LayerPlan) -> Option<u32> {
        if self.sources == 0 {
            return None;
        }
        while !plan.needs.of(self.next_source).is_empty() {
            self.next_source += 1;
        }
        Some(self.next_source)
    }

    /// Records that a running task has returned its value.
    pub(super) fn finish(&mut self, plan: &LayerPlan, rank: u32, stored: Stored) {
        self.status[rank as usize] = Status::Done;
        self.left -= 1;
        if self.readers[rank as usize] > 0 {
            self.values.put(stored);
        } else {
            // It has run again, and in the meantime its reader has ended with the value that it had received before.
            self.dropped.push(stored);
        }
        for need in plan.needs.of(rank) {
            self.readers[*need as usize] -= 1;
            if self.readers[*need as usize] == 0 {
                self.dropped.extend(self.values.remove(*need));
            }
        }
        for user in plan.users.of(rank) {
            let missing = &mut self.missing[*user as usize];
            if self.status[*user as usize] == Status::Waiting {
                *missing -= 1;
                if *missing == 0 {
                    self.make_ready(*user);
                }
            }
        }
    }

    fn make_ready(&mut self, rank: u32) {
        self.status[rank as usize] = Status::Ready;
        self.ready.push(Reverse(rank));
    }

    /// Records that a running task has found damage: in the file of the value at position `need`, or in a file that one
    /// of its values refers to. Tasks whose values are lost run again, and then this one.
    ///
    /// # Errors
    ///
    /// Returns an error after the last attempt.
    pub(super) fn postpone(
        &mut self,
        plan: &LayerPlan,
        rank: u32,
        need: Option<usize>,
        error: Error,
    ) -> Result<()> {
        let is_home_lost = self.lose_home_of(plan, &error);
        match need {
            _ if is_home_lost => {}
            Some(position) => {
                let lost = plan.needs.of(rank)[position];
                // It may have been recomputed in the meantime.
                if self.is_in_damaged_file(lost, &error) {
                    self.lose(plan, lost, error)?;
                }
            }
            // The damaged file comes from outside this run, so recomputing values may never help.
            None if plan.needs.of(rank).is_empty() => _ = self.count_loss(plan, rank, error)?,
            None => {
                for lost in plan.needs.of(rank) {
                    if self.values.has(*lost) {
                        self.lose(plan, *lost, again(&error))?;
                    }
                }
            }
        }
        self.status[rank as usize] = Status::Waiting;
        let needs = plan.needs.of(rank).iter();
        let missing = needs.filter(|need| !self.values.has(**need)).count();
        self.missing[rank as usize] = missing as u32;
        if missing == 0 {
            self.make_ready(rank);
        }
        Ok(())
    }

    /// Records that the value of a task that is done is damaged. The task runs again, and before it those that it needs
    /// and whose values are gone.
    ///
    /// # Errors
    ///
    /// Returns an error after the last attempt.
    pub(super) fn lose(&mut self, plan: &LayerPlan, rank: u32, error: Error) -> Result<()> {
        if !self.lose_home_of(plan, &error) {
            self.count_loss(plan, rank, error)?;
            self.run_again(plan, rank);
        }
        Ok(())
    }

    /// If an error is that a home is lost, records the loss. Returns whether there were values.
    fn lose_home_of(&mut self, plan: &LayerPlan, error: &Error) -> bool {
        match error.kind() {
            ErrorKind::HomeLost { home, .. } => self.lose_home(plan, &Home::new(home)),
            _ => false,
        }
    }

    /// Records that all values at a home are lost. The first time, this does not count as an attempt at them. Returns
    /// whether there were any.
    pub(super) fn lose_home(&mut self, plan: &LayerPlan, home: &Home) -> bool {
        let is_new = self.lost_homes.insert(home.clone());
        let lost = if is_new {
            self.values.at(home)
        } else {
            Vec::new()
        };
        for rank in &lost {
            self.run_again(plan, *rank);
        }
        !lost.is_empty()
    }

    /// Has a task that is done run again, and before it those that it needs and whose values are gone.
    fn run_again(&mut self, plan: &LayerPlan, rank: u32) {
        let mut gone = vec![rank];
        let mut waiting = Vec::new();
        while let Some(rank) = gone.pop() {
            if self.status[rank as usize] != Status::Done {
                continue;
            }
            self.status[rank as usize] = Status::Waiting;
            self.left += 1;
            self.dropped.extend(self.values.remove(rank));
            for user in plan.users.of(rank) {
                match self.status[*user as usize] {
                    Status::Waiting => self.missing[*user as usize] += 1,
                    Status::Ready => {
                        self.status[*user as usize] = Status::Waiting;
                        self.missing[*user as usize] = 1;
                    }
                    Status::Running | Status::Done => {}
                }
            }
            self.missing[rank as usize] = 0;
            for need in plan.needs.of(rank) {
                self.readers[*need as usize] += 1;
                match self.status[*need as usize] {
                    // When it becomes waiting, it counts as missing.
                    Status::Done if !self.values.has(*need) => gone.push(*need),
                    Status::Done => {}
                    _ => self.missing[rank as usize] += 1,
                }
            }
            waiting.push(rank);
        }
        for rank in waiting {
            if self.missing[rank as usize] == 0 {
                self.make_ready(rank);
            }
        }
    }

    fn count_loss(&mut self, plan: &LayerPlan, rank: u32, error: Error) -> Result<Error> {
        let losses = &mut self.losses[rank as usize];
        *losses += 1;
        if *losses < ATTEMPTS {
            return Ok(error);
        }
        Err(Error::new(ErrorKind::TooManyAttempts {
            context: plan.place(rank),
            attempts: usize::from(ATTEMPTS),
            last: Box::new(error),
        }))
    }

    fn is_in_damaged_file(&self, rank: u32, error: &Error) -> bool {
        let file = self
            .values
            .get(rank)
            .and_then(|stored| stored.file.as_ref());
        match error.kind() {
            ErrorKind::CorruptRun { path, .. } => {
                file.is_some_and(|InFile { file, .. }| file.path() == path)
            }
            ErrorKind::HomeLost { home, .. } => {
                let its = file.and_then(|InFile { file, .. }| file.file().home());
                its.is_some_and(|its| its.name() == home)
            }
            _ => file.is_some(),
        }
    }

    /// Selects values to be spilled; see [`ValueStore::select`].
    pub(super) fn select(&mut self, plan: &LayerPlan, dropped: &mut Vec<InMemory>) -> Vec<Victim> {
        let status = &self.status;
        let is_to_run =
            |user: &&u32| matches!(status[**user as usize], Status::Waiting | Status::Ready);
        let next_reader = |rank| {
            let next = plan.users.of(rank).iter().find(is_to_run).copied();
            next.or_else(|| plan.is_wanted.contains(&rank).then_some(u32::MAX))
        };
        self.values.select(next_reader, dropped)
    }
}

/// Returns a copy of an error of damage.
fn again(error: &Error) -> Error {
    match error.kind() {
        ErrorKind::CorruptRun {
            path,
            offset,
            reason,
        } => Error::new(ErrorKind::CorruptRun {
            path: path.clone(),
            offset: *offset,
            reason,
        }),
        ErrorKind::HomeLost { home, reason } => Error::new(ErrorKind::HomeLost {
            home: home.clone(),
            reason: reason.clone(),
        }),
        _ => Error::new(ErrorKind::MapOutputLost),
    }
}
