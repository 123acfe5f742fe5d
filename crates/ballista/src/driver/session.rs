//! The state of a driver's use of a cluster: its agents, and the workers that connect.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use holdall::executor::{Home, ShuffleDirectory, WorkerExit};
use tokio::sync::mpsc;

use crate::message::{ToAgent, address_of};

/// Agents and workers of this driver.
#[derive(Default)]
pub(super) struct Session {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    /// Machines, by the home of their files.
    pub(super) agents: HashMap<Home, AgentState>,
    /// Homes that were lost.
    pub(super) lost: Vec<Home>,
    /// The shuffle directories that machines know.
    pub(super) shuffles: Vec<ShuffleDirectory>,
    /// Workers that have been started, and have not connected completely.
    pub(super) arriving: HashMap<usize, Arriving>,
    /// Workers that have ended, until their handle is dropped.
    pub(super) ended: HashMap<usize, WorkerExit>,
}

/// A machine from the driver's side.
pub(super) struct AgentState {
    pub(super) line: mpsc::UnboundedSender<ToAgent>,
    pub(super) slots: usize,
    /// Number of workers that have been started there, and have not ended.
    pub(super) workers: usize,
    pub(super) is_leaving: bool,
}

/// The connections of a worker so far.
#[derive(Default)]
pub(super) struct Arriving {
    pub(super) channel: Option<(UnixStream, String)>,
    pub(super) outputs: [Option<UnixStream>; 2],
    /// Reason why it did not start.
    pub(super) failure: Option<String>,
}

impl State {
    /// Number of slots of all machines.
    pub(super) fn slots(&self) -> usize {
        self.agents
            .values()
            .filter(|agent| !agent.is_leaving)
            .map(|agent| agent.slots)
            .sum()
    }

    /// Returns the machine for another worker: the one with the most slots that are free.
    pub(super) fn freest(&self) -> Option<&Home> {
        let agents = self
            .agents
            .iter()
            .filter(|(_, agent)| !agent.is_leaving && agent.slots > 0);
        // The name decides between equals, so that the choice does not depend on the order of the map.
        let freest = agents.max_by_key(|(home, agent)| {
            let free = agent.slots.cast_signed() - agent.workers.cast_signed();
            (free, std::cmp::Reverse(*home))
        });
        freest.map(|(home, _)| home)
    }
}

impl Session {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves the state consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes the threads that wait for a change.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `ready` returns a value, for at most `limit`.
    pub(super) fn wait_for<T>(
        &self,
        limit: Duration,
        mut ready: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now().checked_add(limit);
        let mut state = self.lock();
        loop {
            if let Some(value) = ready(&mut state) {
                return Some(value);
            }
            let left = deadline?.checked_duration_since(Instant::now())?;
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Records that a machine is lost, with its files.
    pub(super) fn lose(&self, home: &Home) {
        self.change(|state| {
            // Dropping its line closes the connection.
            if state.agents.remove(home).is_some() {
                state.lost.push(home.clone());
                eprintln!("holdall: the machine at {} is lost", address_of(home));
            }
        });
    }

    /// Tells all machines which shuffle directory a context uses, also those that are added later.
    pub(super) fn announce(&self, shuffle: &ShuffleDirectory) {
        let mut state = self.lock();
        let mut known = state.shuffles.iter();
        if known.any(|known| known.path() == shuffle.path()) {
            return;
        }
        for agent in state.agents.values() {
            let _ = agent.line.send(ToAgent::Shuffle(shuffle.clone()));
        }
        state.shuffles.push(shuffle.clone());
    }

    /// Closes the lines to all machines, which end the session there.
    pub(super) fn end(&self) {
        self.change(|state| state.agents.clear());
    }

    /// Sends a message to a machine, unless it is lost.
    pub(super) fn tell(&self, home: &Home, message: ToAgent) {
        if let Some(agent) = self.lock().agents.get(home) {
            let _ = agent.line.send(message);
        }
    }

    /// Lets go of all slots. The machines stay known, because their files may be needed.
    pub(super) fn let_go(&self) {
        self.change(|state| {
            for agent in state.agents.values_mut() {
                agent.slots = 0;
                let _ = agent.line.send(ToAgent::LetGo);
            }
        });
    }
}
