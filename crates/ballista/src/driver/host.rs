//! Starts workers on the machines of a cluster.

use std::fmt::{self, Debug, Formatter};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdall::executor::{Home, HostedWorker, Tasks, WorkerExit, WorkerHandle, WorkerHost};
use holdall::{Error, Result};

use super::leases::Leases;
use super::session::{Arriving, Session};
use crate::message::{ToAgent, address_of};

/// Maximum time for a worker to start and connect.
const START: Duration = Duration::from_secs(30);

/// Interval at which a thread that waits checks whether its job still runs.
const LOOK: Duration = Duration::from_millis(50);

/// The machines of a cluster.
#[derive(Clone)]
pub(super) struct Machines {
    pub(super) session: Arc<Session>,
    pub(super) leases: Arc<Leases>,
}

impl WorkerHost for Machines {
    fn slots(&self) -> usize {
        self.leases.slots()
    }

    fn free_slots(&self, known: usize, limit: Duration) -> usize {
        let more = self.session.wait_for(limit, |state| {
            let slots = state.slots();
            (slots > known).then_some(slots)
        });
        more.unwrap_or_else(|| self.session.lock().slots())
    }

    fn start(&self, number: usize, tasks: &Tasks<'_>) -> Result<HostedWorker> {
        loop {
            if !self.leases.wait_for_slot(&|| tasks.is_cancelled())? {
                return Err(Error::cluster(self.leases.address(), "the job has ended"));
            }
            let home = self.session.change(|state| {
                let home = state.freest()?.clone();
                let agent = state.agents.get_mut(&home)?;
                agent.workers += 1;
                state.arriving.insert(number, Arriving::default());
                Some(home)
            });
            let Some(home) = home else { continue };
            self.session.tell(&home, ToAgent::Start(number));
            let worker = self.connect(number, &home, tasks);
            self.session.change(|state| state.arriving.remove(&number));
            match worker {
                Some(worker) => return worker,
                // Its machine was lost in the meantime.
                None => tasks.lost_home(&home),
            }
        }
    }
}

impl Machines {
    /// Waits for the connections of a worker. Returns `None` if its machine is lost.
    fn connect(
        &self,
        number: usize,
        home: &Home,
        tasks: &Tasks<'_>,
    ) -> Option<Result<HostedWorker>> {
        let deadline = Instant::now() + START;
        let host = address_of(home);
        let fail = |reason: &str| {
            Err(Error::cluster(
                self.leases.address(),
                format!("cannot start a worker at {host}: {reason}"),
            ))
        };
        loop {
            let arrived = self.session.wait_for(LOOK, |state| {
                if !state.agents.contains_key(home) {
                    return Some(None);
                }
                let arriving = state.arriving.get_mut(&number)?;
                if let Some(reason) = arriving.failure.take() {
                    return Some(Some(Err(reason)));
                }
                match arriving {
                    Arriving {
                        channel: channel @ Some(_),
                        outputs: [stdout @ Some(_), stderr @ Some(_)],
                        ..
                    } => Some(Some(Ok((channel.take()?, stdout.take()?, stderr.take()?)))),
                    _ => None,
                }
            });
            match arrived {
                Some(None) => return None,
                Some(Some(Err(reason))) => {
                    self.forget_worker(home);
                    return Some(fail(&reason));
                }
                Some(Some(Ok(((channel, mark), stdout, stderr)))) => {
                    return Some(Ok(HostedWorker {
                        handle: Box::new(RemoteWorker {
                            session: Arc::clone(&self.session),
                            patience: self.leases.patience(),
                            home: home.clone(),
                            number,
                        }),
                        channel,
                        outputs: [Box::new(stdout), Box::new(stderr)],
                        mark,
                        label: format!("[worker {number} at {host}] "),
                    }));
                }
                None if tasks.is_cancelled() || Instant::now() >= deadline => {
                    self.session.tell(home, ToAgent::Kill(number));
                    return Some(fail("it did not connect"));
                }
                None => {}
            }
        }
    }

    /// Forgets a worker that has not been started.
    fn forget_worker(&self, home: &Home) {
        self.session.change(|state| {
            if let Some(agent) = state.agents.get_mut(home) {
                agent.workers = agent.workers.saturating_sub(1);
            }
        });
    }
}

/// A worker on another machine.
struct RemoteWorker {
    session: Arc<Session>,
    patience: Duration,
    home: Home,
    number: usize,
}

impl RemoteWorker {
    /// Returns how the worker has ended.
    fn exit(&self, state: &super::session::State) -> Option<WorkerExit> {
        let is_lost = || !state.agents.contains_key(&self.home);
        let ended = state.ended.get(&self.number).copied();
        ended.or_else(|| is_lost().then_some(WorkerExit::MachineLost))
    }
}

impl WorkerHandle for RemoteWorker {
    fn try_wait(&mut self) -> io::Result<Option<WorkerExit>> {
        Ok(self.exit(&self.session.lock()))
    }

    fn kill(&mut self) {
        if let Ok(Some(exit)) = self.try_wait() {
            let host = address_of(&self.home);
            eprintln!("holdall: worker {} at {host} is lost: {exit}", self.number);
            return;
        }
        self.session.tell(&self.home, ToAgent::Kill(self.number));
        let ended = self
            .session
            .wait_for(self.patience, |state| self.exit(state));
        if ended.is_none() {
            // The agent answers immediately, unless its machine is out of order.
            self.session.lose(&self.home);
        }
    }

    fn home(&self) -> Option<&Home> {
        Some(&self.home)
    }

    fn is_home_lost(&self) -> bool {
        !self.session.lock().agents.contains_key(&self.home)
    }

    fn is_leaving(&self) -> bool {
        self.session
            .lock()
            .agents
            .get(&self.home)
            .is_none_or(|agent| agent.is_leaving)
    }
}

impl Drop for RemoteWorker {
    fn drop(&mut self) {
        self.session.lock().ended.remove(&self.number);
    }
}

impl Debug for RemoteWorker {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteWorker")
            .field("home", &self.home)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
