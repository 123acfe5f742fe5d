//! The agent of a machine: runs workers for drivers, and serves the files of its workers.
//!
//! Each driver that has slots on the machine has a *session* there: a directory for files, and a line to the driver. The
//! session ends with the line. It outlives the slots, because the driver may still need its files.

mod children;
mod session;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::OnceCell;

#[cfg(test)]
pub(crate) use children::PLACE;
pub(crate) use children::home_of_this_process;
use session::AgentSession;

use crate::fingerprint::fingerprint;
use crate::message::{Hello, SlotSpec};
use crate::net;
use crate::settings::{Setting, host_and_port};
use crate::tls::Security;
use crate::transfer;

/// Maximum time for another process to introduce itself.
const INTRODUCTION: Duration = Duration::from_secs(10);

/// Settings of an agent.
#[derive(Clone, Debug)]
pub(crate) struct AgentSettings {
    /// Name by which others reach this machine.
    pub(crate) host: String,
    /// Address of the agent's port.
    pub(crate) bind: IpAddr,
    pub(crate) security: Security,
    /// Directory for the files of all sessions.
    pub(crate) spill_directory: PathBuf,
    /// Memory of one worker, in bytes.
    pub(crate) worker_memory_bytes: usize,
}

type SessionCell = Arc<OnceCell<Arc<AgentSession>>>;

/// The agent of this machine.
pub(crate) struct Agent {
    settings: AgentSettings,
    /// Address of its port, for others.
    address: String,
    port: u16,
    sessions: Mutex<HashMap<String, SessionCell>>,
    /// Whether this machine takes no more slots.
    is_leaving: AtomicBool,
}

impl Agent {
    /// Opens the port, and serves files there.
    pub(crate) async fn start(settings: AgentSettings) -> Setting<Arc<Self>> {
        settings.security.check(settings.bind)?;
        let listener = TcpListener::bind((settings.bind, 0)).await;
        let listener = listener.map_err(|error| format!("{}: {error}", settings.bind))?;
        let port = listener
            .local_addr()
            .map_err(|error| error.to_string())?
            .port();
        let agent = Arc::new(Self {
            address: host_and_port(&settings.host, port),
            port,
            settings,
            sessions: Mutex::default(),
            is_leaving: AtomicBool::new(false),
        });
        tokio::spawn(Arc::clone(&agent).listen(listener));
        Ok(agent)
    }

    /// Number of its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    async fn listen(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((tcp, _)) => {
                    let agent = Arc::clone(&self);
                    // The connection ends with an error when the other process closes it.
                    tokio::spawn(async move { _ = agent.serve(tcp).await });
                }
                // There may be too many open files at the moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn serve(&self, tcp: tokio::net::TcpStream) -> io::Result<()> {
        let (stream, hello) = net::accept(tcp, &self.settings.security, INTRODUCTION).await?;
        let Hello::Files { home } = hello else {
            return Ok(());
        };
        let directory = self.directory_of(&home);
        match directory {
            Some(directory) => transfer::serve(stream, Some(&directory)).await,
            None => Ok(()),
        }
    }

    /// Returns the directory of a home of this machine.
    fn directory_of(&self, home: &str) -> Option<PathBuf> {
        let sessions = self.sessions();
        let mut sessions = sessions.values().filter_map(|cell| cell.get());
        let session = sessions.find(|session| session.home.name() == home)?;
        Some(session.directory.clone())
    }

    /// Holds a slot for a driver until the driver lets go of it, or ends.
    ///
    /// # Errors
    ///
    /// Returns an error if the driver must not use this machine.
    pub(crate) async fn hold_slot(self: &Arc<Self>, spec: &SlotSpec) -> Result<(), String> {
        let own = fingerprint().map_err(|error| format!("cannot read the program: {error}"))?;
        if spec.fingerprint != own {
            let host = &self.settings.host;
            return Err(format!(
                "the worker at {host} runs another build of the program"
            ));
        }
        if self.is_leaving.load(Ordering::SeqCst) {
            return Ok(());
        }
        let cell = Arc::clone(self.sessions().entry(spec.session.clone()).or_default());
        let session = cell
            .get_or_try_init(|| AgentSession::start(self, spec))
            .await;
        match session {
            Ok(session) => {
                if self.is_leaving.load(Ordering::SeqCst) {
                    session.leave();
                }
                session.hold_slot().await;
            }
            // A driver that cannot be reached has ended, or has no use for slots on this machine.
            Err(error) => {
                eprintln!(
                    "holdall: cannot work for the driver at {}: {error}",
                    spec.driver
                );
                self.forget(&spec.session);
            }
        }
        Ok(())
    }

    /// Asks all drivers for no more tasks, and returns when no driver needs this machine any more.
    pub(crate) async fn leave(&self) {
        self.is_leaving.store(true, Ordering::SeqCst);
        let sessions = || {
            let sessions = self.sessions();
            sessions
                .values()
                .filter_map(|cell| cell.get().cloned())
                .collect::<Vec<_>>()
        };
        for session in sessions() {
            session.leave();
        }
        for session in sessions() {
            session.ended().await;
        }
    }

    fn forget(&self, session: &str) {
        self.sessions().remove(session);
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, SessionCell>> {
        lock(&self.sessions)
    }
}

/// A panic while a lock is held leaves these values consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
