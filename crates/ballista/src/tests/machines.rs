//! A cluster of agents on this machine, which get their slots over standard input.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use holdall::executor::Home;
use holdall::{Context, ContextBuilder, Error, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::agent::{Agent, AgentSettings, PLACE};
use crate::driver::{Cluster, DriverSettings};
use crate::engine::{Engine, Lease};
use crate::message::SlotSpec;
use crate::net;
use crate::settings::ClusterAddress;
use crate::tls::Security;

/// Number of machines, each with this number of slots.
pub(super) const MACHINES: usize = 3;
pub(super) const SLOTS: usize = 2;

/// The environment variable with the directory of an agent.
const DIRECTORY: &str = "HOLDALL_TEST_AGENT";

/// Line that tells an agent to leave the cluster.
const LEAVE: &str = "leave";

/// Serves as an agent if this process is one. Holds a slot for each line of standard input: the number of the lease, and
/// what the slot is for.
pub(super) fn run_if_agent() {
    let Some(directory) = env::var_os(DIRECTORY) else {
        return;
    };
    let settings = AgentSettings {
        host: "127.0.0.1".to_owned(),
        bind: Ipv4Addr::LOCALHOST.into(),
        security: Security::from_env().unwrap(),
        spill_directory: directory.into(),
        worker_memory_bytes: 2 << 20,
    };
    let agent = net::wait_for(Agent::start(settings)).unwrap().unwrap();
    for line in io::stdin().lines() {
        let line = line.unwrap();
        if line == LEAVE {
            let agent = Arc::clone(&agent);
            net::wait_for(async move { agent.leave().await }).unwrap();
            break;
        }
        let (lease, spec) = line.split_once(' ').unwrap();
        let (lease, spec) = (lease.to_owned(), serde_json::from_str(spec).unwrap());
        let agent = Arc::clone(&agent);
        net::runtime().unwrap().spawn(async move {
            let outcome = agent.hold_slot(&spec).await;
            let outcome = outcome.map_or_else(
                |reason| format!("refused {reason}"),
                |()| "released".to_owned(),
            );
            // The test may have ended.
            let _ = writeln!(io::stdout(), "\nslot {lease} {outcome}");
        });
    }
    std::process::exit(0);
}

/// An agent.
struct Machine {
    directory: PathBuf,
    process: Child,
    slots: ChildStdin,
    held: Held,
}

/// The number of slots that a machine holds for each lease.
type Held = Arc<Mutex<HashMap<usize, usize>>>;

impl Machine {
    fn start(shared: &Arc<Shared>, directory: PathBuf) -> Self {
        fs::create_dir_all(&directory).unwrap();
        let mut command = Command::new("/proc/self/exe");
        command.args([
            "tests::agent",
            "--exact",
            "--nocapture",
            "--test-threads",
            "1",
        ]);
        command.env(DIRECTORY, &directory).env("TMPDIR", &directory);
        if let Some(token) = &shared.token {
            command.env("HOLDALL_TOKEN_FILE", token);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (slots, output) = (
            process.stdin.take().unwrap(),
            process.stdout.take().unwrap(),
        );
        let held = Held::default();
        let (shared, counts) = (Arc::clone(shared), Arc::clone(&held));
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(io::Result::ok) {
                let slot = line.strip_prefix("slot ");
                let Some((lease, outcome)) = slot.and_then(|slot| slot.split_once(' ')) else {
                    continue;
                };
                let mut counts = counts.lock().unwrap();
                *counts.get_mut(&lease.parse().unwrap()).unwrap() -= 1;
                drop(counts);
                if let Some(reason) = outcome.strip_prefix("refused ") {
                    *shared.refusal.lock().unwrap() = Some(reason.to_owned());
                }
            }
            counts.lock().unwrap().clear();
        });
        Self {
            directory,
            process,
            slots,
            held,
        }
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Shared {
    token: Option<PathBuf>,
    machines: Mutex<Vec<Machine>>,
    refusal: Mutex<Option<String>>,
    requests: AtomicUsize,
    /// The fingerprint that drivers claim to have, if it is not their own.
    fingerprint: Option<String>,
}

/// Machines that share no directory.
pub(super) struct Machines {
    shared: Arc<Shared>,
    security: Security,
    directory: tempfile::TempDir,
    /// Maximum time to wait for a slot, in seconds.
    wait: usize,
    started: AtomicUsize,
}

impl Machines {
    /// Starts machines. They have the token, and the drivers have the security.
    pub(super) fn start(security: Security, token: Option<&str>) -> Self {
        Self::start_with(security, token, None)
    }

    /// Sets the maximum time for which drivers wait for a slot, in seconds.
    pub(super) fn wait(mut self, seconds: usize) -> Self {
        self.wait = seconds;
        self
    }

    /// Like `start`, with drivers that claim to be another build.
    pub(super) fn start_with(security: Security, token: Option<&str>, build: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, token.unwrap_or_default()).unwrap();
        let shared = Arc::new(Shared {
            token: token.map(|_| path),
            machines: Mutex::default(),
            refusal: Mutex::default(),
            requests: AtomicUsize::new(0),
            fingerprint: build.map(str::to_owned),
        });
        let machines = Self {
            shared,
            security,
            directory,
            wait: 60,
            started: AtomicUsize::new(0),
        };
        let started = (0..MACHINES).map(|_| machines.new_machine());
        *machines.shared.machines.lock().unwrap() = started.collect();
        machines
    }

    fn new_machine(&self) -> Machine {
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        Machine::start(&self.shared, self.path(&format!("machine{number}")))
    }

    /// Returns a context that runs its tasks on the machines.
    pub(super) fn context(&self) -> Context {
        self.context_with(|builder| builder)
    }

    /// Like `context`, with other settings.
    pub(super) fn context_with(
        &self,
        configure: impl FnOnce(ContextBuilder) -> ContextBuilder,
    ) -> Context {
        let wait = self.wait;
        let address = format!("ballista://127.0.0.1:1?idle=0.2&patience=4&wait={wait}");
        let cluster = ClusterAddress::parse(&address).unwrap();
        let driver = DriverSettings {
            host: "127.0.0.1".to_owned(),
            bind: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            security: self.security.clone(),
        };
        let engine = Box::new(Pipes(Arc::clone(&self.shared)));
        let cluster = Cluster::new("ballista://test", cluster, driver, engine).unwrap();
        let builder = Context::builder().remote_executor(cluster).progress(false);
        let builder = builder.spill_directory(self.path("driver"));
        configure(builder.shuffle_partitions(5)).build().unwrap()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns the directories of the machines.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        let machines = self.shared.machines.lock().unwrap();
        machines
            .iter()
            .map(|machine| machine.directory.clone())
            .collect()
    }

    /// Kills a machine with its workers, and starts another one.
    pub(super) fn replace(&self, index: usize) {
        let new = self.new_machine();
        self.shared.machines.lock().unwrap()[index] = new;
    }

    /// Tells a machine to leave the cluster.
    pub(super) fn leave(&self, index: usize) {
        let machine = &mut self.shared.machines.lock().unwrap()[index];
        writeln!(machine.slots, "{LEAVE}").unwrap();
    }

    /// Returns whether a machine runs.
    pub(super) fn is_alive(&self, index: usize) -> bool {
        self.shared.machines.lock().unwrap()[index].is_alive()
    }

    /// Kills a worker of a machine, if it has one.
    pub(super) fn kill_worker(&self, index: usize) {
        let pid = self.shared.machines.lock().unwrap()[index].pid();
        if let Some(worker) = children(pid).first() {
            let _ = kill_process(*worker, Signal::KILL);
        }
    }

    /// Sends a signal to a machine and its workers.
    pub(super) fn signal(&self, index: usize, signal: Signal) {
        let pid = self.shared.machines.lock().unwrap()[index].pid();
        for pid in children(pid).into_iter().chain([pid]) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Returns the process IDs of the workers of a machine.
    pub(super) fn workers(&self, index: usize) -> Vec<String> {
        let pid = self.shared.machines.lock().unwrap()[index].pid();
        let pids = children(pid).into_iter();
        pids.map(|pid| pid.as_raw_nonzero().to_string()).collect()
    }

    pub(super) fn are_alive(&self) -> bool {
        self.shared
            .machines
            .lock()
            .unwrap()
            .iter_mut()
            .all(Machine::is_alive)
    }

    /// Number of slots that drivers hold.
    pub(super) fn held(&self) -> usize {
        let machines = self.shared.machines.lock().unwrap();
        machines
            .iter()
            .map(|machine| machine.held.lock().unwrap().values().sum::<usize>())
            .sum()
    }

    /// Number of times that drivers have requested slots.
    pub(super) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Returns the directory of a session that has files, and its home.
    pub(super) fn session(&self) -> (PathBuf, Home) {
        let machines = self.shared.machines.lock().unwrap();
        let workers = machines.iter().flat_map(|machine| children(machine.pid()));
        let mut places = workers.filter_map(|worker| {
            let environment =
                fs::read(format!("/proc/{}/environ", worker.as_raw_nonzero())).ok()?;
            let mut variables = environment.split(|byte| *byte == 0);
            let place = variables
                .find_map(|variable| variable.strip_prefix(PLACE.as_bytes())?.strip_prefix(b"="));
            let place: serde_json::Value = serde_json::from_slice(place?).unwrap();
            let directory = PathBuf::from(place["directory"].as_str().unwrap());
            let mut files = super::names_in(&directory).into_iter();
            let has_files = files.any(|file| !file.ends_with("lock"));
            has_files.then(|| (directory, Home::new(place["home"].as_str().unwrap())))
        });
        places.next().expect("a worker with files")
    }
}

/// Returns the children of a process.
fn children(parent: Pid) -> Vec<Pid> {
    let threads = super::names_in(Path::new(&format!(
        "/proc/{}/task",
        parent.as_raw_nonzero()
    )));
    let lists = threads
        .iter()
        .filter_map(|thread| fs::read_to_string(thread.join("children")).ok());
    let pids = lists.flat_map(|list| {
        let pids = list.split_whitespace().map(|pid| pid.parse().unwrap());
        pids.collect::<Vec<i32>>()
    });
    pids.filter_map(Pid::from_raw).collect()
}

/// Gives slots over the standard input of agents.
struct Pipes(Arc<Shared>);

impl Engine for Pipes {
    fn slots(&self) -> Result<usize> {
        Ok(MACHINES * SLOTS)
    }

    fn lease(&self, spec: &SlotSpec, slots: usize) -> Result<Box<dyn Lease>> {
        let number = self.0.requests.fetch_add(1, Ordering::SeqCst);
        let mut spec = spec.clone();
        if let Some(fingerprint) = &self.0.fingerprint {
            spec.fingerprint.clone_from(fingerprint);
        }
        let line = format!("{number} {}\n", serde_json::to_string(&spec).unwrap());
        let mut machines = self.0.machines.lock().unwrap();
        for slot in 0..slots {
            let machine = &mut machines[slot % MACHINES];
            *machine.held.lock().unwrap().entry(number).or_default() += 1;
            // It may just have been killed.
            if machine.slots.write_all(line.as_bytes()).is_err() {
                machine.held.lock().unwrap().clear();
            }
        }
        let held = machines.iter().map(|machine| Arc::clone(&machine.held));
        Ok(Box::new(PipeLease {
            shared: Arc::clone(&self.0),
            number,
            held: held.collect(),
        }))
    }
}

struct PipeLease {
    shared: Arc<Shared>,
    number: usize,
    /// The slots of the machines that existed when it began.
    held: Vec<Held>,
}

impl Lease for PipeLease {
    fn is_open(&mut self) -> Result<bool> {
        if let Some(reason) = &*self.shared.refusal.lock().unwrap() {
            return Err(Error::cluster("ballista://test", reason));
        }
        let slots_of = |held: &Held| held.lock().unwrap().get(&self.number).copied();
        Ok(self.held.iter().filter_map(slots_of).any(|slots| slots > 0))
    }
}
