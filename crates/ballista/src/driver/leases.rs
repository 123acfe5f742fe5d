//! The slots that a driver has leased: requested when a stage needs them, released when no stage runs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use holdall::{Error, Result};

use super::session::Session;
use crate::engine::{Engine, Lease};
use crate::fingerprint::fingerprint;
use crate::message::SlotSpec;
use crate::settings::ClusterAddress;

/// Interval at which a thread that waits for a slot asks the cluster what has become of the request.
const LOOK: Duration = Duration::from_millis(50);

/// Time after which a program says that it waits.
const SILENCE: Duration = Duration::from_secs(10);

/// Time for which the number of slots of the cluster is not asked for again.
const FRESH: Duration = Duration::from_secs(1);

/// The slots of a driver.
pub(super) struct Leases {
    address: &'static str,
    settings: ClusterAddress,
    engine: Box<dyn Engine>,
    session: Arc<Session>,
    /// Name of the session, and address of the driver.
    names: (String, String),
    /// Largest number of slots that the cluster has had. It never falls, because jobs have planned with it.
    slots: AtomicUsize,
    asked: Mutex<Option<Instant>>,
    state: Mutex<LeaseState>,
}

#[derive(Default)]
struct LeaseState {
    leases: Vec<Box<dyn Lease>>,
    /// Number of slots in these leases.
    requested: usize,
    /// Number of slots that the stages need.
    wanted: usize,
    /// Number of machines that had been lost when the slots were requested last.
    lost: usize,
    /// Number of stages that run.
    stages: usize,
    /// Time since which no stage runs.
    idle_since: Option<Instant>,
    /// Whether the cluster has answered a request.
    is_known: bool,
}

/// A stage that uses the slots.
pub(super) struct StageUse<'a>(&'a Leases);

impl Drop for StageUse<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.stages -= 1;
        if state.stages == 0 {
            state.idle_since = Some(Instant::now());
        }
    }
}

impl Leases {
    pub(super) fn new(
        address: &'static str,
        settings: ClusterAddress,
        engine: Box<dyn Engine>,
        session: Arc<Session>,
        names: (String, String),
    ) -> Self {
        Self {
            address,
            settings,
            engine,
            session,
            names,
            slots: AtomicUsize::new(1),
            asked: Mutex::default(),
            state: Mutex::default(),
        }
    }

    pub(super) fn address(&self) -> &'static str {
        self.address
    }

    pub(super) fn patience(&self) -> Duration {
        self.settings.patience
    }

    /// Number of slots with which jobs plan.
    pub(super) fn slots(&self) -> usize {
        self.slots.load(Ordering::SeqCst)
    }

    /// Asks the cluster for its number of slots, unless that is recent, and returns the number with which jobs plan.
    pub(super) fn ask_for_slots(&self) -> usize {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.is_none_or(|asked| asked.elapsed() > FRESH) {
            // If the cluster does not answer, the request for slots returns the error.
            let slots = self.engine.slots().unwrap_or(1);
            let most = self.settings.slots.unwrap_or(usize::MAX);
            self.slots.fetch_max(slots.min(most), Ordering::SeqCst);
            *asked = Some(Instant::now());
        }
        self.slots()
    }

    /// Records that a stage begins, and requests slots for it.
    ///
    /// # Errors
    ///
    /// Returns an error if the cluster does not answer.
    pub(super) fn begin(&self, slots: usize) -> Result<StageUse<'_>> {
        let mut state = self.lock();
        state.stages += 1;
        state.idle_since = None;
        let stage = StageUse(self);
        state.wanted = state.wanted.max(slots);
        let requested = self.request(&mut state);
        drop(state);
        requested.map(|()| stage)
    }

    /// Requests the slots that stages need and that are not requested yet. If the cluster does not answer, but has
    /// answered before, they are requested later.
    fn request(&self, state: &mut LeaseState) -> Result<()> {
        let missing = state
            .wanted
            .clamp(1, self.slots())
            .saturating_sub(state.requested);
        if missing == 0 {
            return Ok(());
        }
        let fingerprint = fingerprint().map_err(|error| {
            Error::cluster(self.address, format!("cannot read the program: {error}"))
        })?;
        let spec = SlotSpec {
            driver: self.names.1.clone(),
            session: self.names.0.clone(),
            fingerprint: fingerprint.to_owned(),
            patience_ms: u64::try_from(self.settings.patience.as_millis()).unwrap_or(u64::MAX),
        };
        match self.engine.lease(&spec, missing) {
            Ok(lease) => {
                state.leases.push(lease);
                state.lost = self.session.lock().lost.len();
                state.requested += missing;
                state.is_known = true;
                Ok(())
            }
            Err(_) if state.is_known => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits until a machine has a slot. Returns `false` if that is not needed any more.
    ///
    /// # Errors
    ///
    /// Returns an error if the cluster refuses, or gives no slot for too long.
    pub(super) fn wait_for_slot(&self, is_cancelled: &dyn Fn() -> bool) -> Result<bool> {
        let begun = Instant::now();
        let mut is_told = false;
        loop {
            let found = self
                .session
                .wait_for(LOOK, |state| state.freest().map(|_| ()));
            if found.is_some() {
                return Ok(true);
            }
            if is_cancelled() {
                return Ok(false);
            }
            self.renew()?;
            if begun.elapsed() > self.settings.wait {
                let reason = format!("no slot was free for {:?}", self.settings.wait);
                return Err(Error::cluster(self.address, reason));
            }
            if !is_told && begun.elapsed() > SILENCE {
                is_told = true;
                let slots = self.slots();
                eprintln!(
                    "holdall: waiting for slots of {} (0 of {slots})",
                    self.address
                );
            }
        }
    }

    /// Requests slots again if the cluster has ended all requests, or if the machines that it gave are lost.
    fn renew(&self) -> Result<()> {
        let mut state = self.lock();
        if self.session.lock().lost.len() > state.lost {
            // The cluster would notice much later, and offer the slots of these requests again.
            state.leases.clear();
        }
        let mut open = Vec::new();
        for mut lease in std::mem::take(&mut state.leases) {
            match lease.is_open() {
                Ok(true) => open.push(lease),
                Ok(false) => {}
                Err(error) => {
                    state.requested = 0;
                    return Err(error);
                }
            }
        }
        state.leases = open;
        if state.leases.is_empty() {
            state.requested = 0;
            return self.request(&mut state);
        }
        Ok(())
    }

    /// Releases all slots if no stage has run for a while. `end_workers` ends the workers before that.
    pub(super) fn release_idle(&self, end_workers: impl FnOnce()) {
        let mut state = self.lock();
        let is_idle = state.stages == 0
            && state
                .idle_since
                .is_none_or(|since| since.elapsed() >= self.settings.idle);
        let has_slots = || self.session.lock().slots() > 0;
        if is_idle && (!state.leases.is_empty() || has_slots()) {
            end_workers();
            self.session.let_go();
            state.leases.clear();
            state.requested = 0;
            state.wanted = 0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, LeaseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
