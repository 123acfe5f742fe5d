//! The executor: runs the stages of this program on the machines of a cluster.
//!
//! ```text
//!  Cluster ─ Leases ──────── requests slots ────────> Engine (Ballista)
//!     │                                                  │ gives slots to agents
//!     │                                                  V
//!     ├─ Listener <───────── lines ────────────────── agents, and channels of their workers
//!     └─ WorkerPool ───────── tasks ─────────────────> workers
//! ```

mod host;
mod leases;
mod listener;
mod session;

use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use holdall::executor::{FileTransfer, RemoteExecutor, Stage, Tasks, WorkerPool};
use holdall::{Error, Result};

use crate::engine::Engine;
use crate::fingerprint::fingerprint;
use crate::message::new_home;
use crate::settings::{self, ClusterAddress, Setting, host_and_port};
use crate::tls::Security;
use crate::transfer::FileClient;
use host::Machines;
use leases::Leases;
use listener::{Listener, Reception, Serving};
use session::Session;

/// Interval at which the driver checks whether its slots are idle.
const TICK: Duration = Duration::from_millis(100);

/// The machines of a cluster, for the jobs of a context.
pub(crate) struct Cluster {
    pool: Arc<WorkerPool<Machines>>,
    files: Arc<FileClient>,
    _serving: Serving,
}

/// Where the driver waits for agents, and how.
pub(crate) struct DriverSettings {
    /// Name by which machines reach this one.
    pub(crate) host: String,
    /// Address of the driver's port.
    pub(crate) bind: IpAddr,
    /// The port, or 0 for any.
    pub(crate) port: u16,
    pub(crate) security: Security,
}

impl DriverSettings {
    /// Returns the settings in the environment, for a cluster with this scheduler.
    pub(crate) fn from_env(scheduler: &str) -> Setting<Self> {
        let security = Security::from_env()?;
        let bind =
            settings::route_to(scheduler).map_err(|error| format!("{scheduler}: {error}"))?;
        security.check(bind)?;
        let port = "a port number";
        Ok(Self {
            host: settings::text("HOLDALL_HOST")?.unwrap_or_else(|| bind.to_string()),
            bind,
            port: settings::parsed("HOLDALL_DRIVER_PORT", port, |port| port.parse().ok())?
                .unwrap_or(0),
            security,
        })
    }
}

impl Cluster {
    /// Opens the port of the driver. Slots are requested when a stage needs them.
    pub(crate) fn new(
        address: &'static str,
        cluster: ClusterAddress,
        driver: DriverSettings,
        engine: Box<dyn Engine>,
    ) -> Result<Self> {
        let patience = cluster.patience;
        let session = Arc::<Session>::default();
        let id = uuid::Uuid::new_v4().simple().to_string();
        let failed = |error: std::io::Error| {
            let reason = format!("cannot open a port at {}: {error}", driver.bind);
            Error::cluster(address, reason)
        };
        let listener = Listener::open(driver.bind, driver.port).map_err(failed)?;
        let own = host_and_port(&driver.host, listener.port);
        let home = new_home(&own);
        let reception = Reception {
            id: id.clone(),
            home: home.clone(),
            session: Arc::clone(&session),
            security: driver.security.clone(),
            patience,
        };
        let serving = listener.serve(reception).map_err(failed)?;
        let files = FileClient::new(home, driver.security.clone(), patience);
        let leases = Leases::new(address, cluster, engine, Arc::clone(&session), (id, own));
        let leases = Arc::new(leases);
        let machines = Machines { session, leases };
        let pool = Arc::new(WorkerPool::new(machines, patience));
        let idle = Arc::downgrade(&pool);
        let watch = move || {
            // The first stage needs it; reading a large program takes a moment.
            let _ = fingerprint();
            watch_idle(&idle);
        };
        let thread = thread::Builder::new().name("holdall-leases".to_owned());
        thread.spawn(watch).map_err(failed)?;
        Ok(Self {
            pool,
            files: Arc::new(files),
            _serving: serving,
        })
    }
}

/// Releases the slots whenever they are idle, until the executor is dropped.
fn watch_idle(pool: &Weak<WorkerPool<Machines>>) {
    while let Some(pool) = pool.upgrade() {
        pool.host().leases.release_idle(|| pool.end_idle());
        drop(pool);
        thread::sleep(TICK);
    }
}

impl RemoteExecutor for Cluster {
    fn slots(&self) -> usize {
        self.pool.host().leases.ask_for_slots()
    }

    fn divides_memory(&self) -> bool {
        false
    }

    fn transfer(&self) -> Option<Arc<dyn FileTransfer>> {
        Some(Arc::clone(&self.files) as _)
    }

    fn run(&self, stage: &Stage, tasks: &Tasks<'_>) -> Result<()> {
        let Machines { session, leases } = self.pool.host();
        stage
            .shuffle
            .iter()
            .for_each(|shuffle| session.announce(shuffle));
        let _stage = leases.begin(tasks.partitions().unwrap_or(usize::MAX))?;
        // Jobs that began before a loss know of it only if they had workers there.
        let lost = session.lock().lost.clone();
        lost.iter().for_each(|home| tasks.lost_home(home));
        if leases.wait_for_slot(&|| tasks.is_cancelled())? {
            self.pool.run(stage, tasks)?;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.pool.end_idle();
        self.pool.host().session.end();
    }
}
