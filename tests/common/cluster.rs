//! An executor whose machines share no disk, and die at random moments. Each has a directory of its own, and reads the
//! files of others through the executor.
//!
//! All machines are in this process. Files have names that only the executor can read, so no machine reads a file of
//! another by its path.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use holdall::Result;
use holdall::executor::{
    FileTransfer, Home, RemoteExecutor, ScratchDirectory, Stage, TaskSpec, Tasks, Worker,
    WorkerHome,
};

const SLOTS: usize = 3;

/// Number of machines that die at most in a context.
const MOST_LOSSES: usize = 12;

/// The directories of the machines that are alive, by their homes. `None` stands for this process.
type Machines = Mutex<HashMap<Home, Option<PathBuf>>>;

/// The files of all machines, as one of them reaches them.
struct Network {
    home: Home,
    machines: Arc<Machines>,
    reads: Arc<AtomicUsize>,
}

impl Network {
    /// Returns the file at a path of a machine.
    fn find(&self, home: &Home, path: &Path) -> io::Result<PathBuf> {
        assert_ne!(*home, self.home, "its own files are read directly");
        match self.machines.lock().expect("no panic").get(home) {
            Some(Some(directory)) if path.parent() != Some(directory) => {
                Err(io::ErrorKind::NotFound.into())
            }
            Some(_) => Ok(path.to_owned()),
            None => Err(io::Error::other("connection refused")),
        }
    }
}

impl FileTransfer for Network {
    fn home(&self) -> &Home {
        &self.home
    }

    fn read(&self, home: &Home, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let file = ScratchDirectory::open(&self.find(home, path)?)?;
        // A network returns as many bytes as have arrived.
        let most = buffer.len().min(50_000);
        std::os::unix::fs::FileExt::read_at(&file, &mut buffer[..most], offset)
    }

    fn remove(&self, home: &Home, path: &Path) {
        if let Ok(path) = self.find(home, path) {
            let _ = ScratchDirectory::remove(&path);
        }
    }
}

/// A machine with one worker.
struct Machine {
    home: Home,
    worker: Worker,
    /// The files vanish with the machine.
    _directory: ScratchDirectory,
}

/// Runs tasks on machines that die at random moments, and are replaced.
pub(crate) struct Cluster {
    spill: PathBuf,
    here: Arc<Network>,
    idle: Mutex<Vec<Machine>>,
    started: AtomicUsize,
    /// Each machine dies after a random number of tasks, which is below this.
    life: Option<usize>,
    random: Mutex<u64>,
    /// All machines die before the stage with this number begins for the first time.
    all_die_before: Mutex<Option<usize>>,
    pub(crate) losses: Arc<AtomicUsize>,
}

impl Cluster {
    /// Creates machines with directories in `spill`.
    pub(crate) fn new(spill: PathBuf, life: Option<usize>, seed: u64) -> Self {
        let home = Home::new("driver");
        let machines = Mutex::new(HashMap::from([(home.clone(), None)]));
        Self {
            spill,
            here: Arc::new(Network {
                home,
                machines: Arc::new(machines),
                reads: Arc::default(),
            }),
            idle: Mutex::default(),
            started: AtomicUsize::new(0),
            life,
            random: Mutex::new(seed),
            all_die_before: Mutex::default(),
            losses: Arc::default(),
        }
    }

    /// Makes all machines die before the stage with this number begins for the first time.
    pub(crate) fn losing_all_before(self, stage: usize) -> Self {
        Self {
            all_die_before: Mutex::new(Some(stage)),
            ..self
        }
    }

    /// Number of reads from other homes.
    pub(crate) fn reads(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.here.reads)
    }

    fn random(&self, below: usize) -> usize {
        let mut seed = self.random.lock().expect("no panic");
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*seed >> 33).expect("31 bits") % below
    }

    fn alive(&self) -> MutexGuard<'_, HashMap<Home, Option<PathBuf>>> {
        self.here.machines.lock().expect("no panic")
    }

    fn start(&self) -> Result<Machine> {
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        let home = Home::new(&format!("machine{number}:7"));
        let directory = ScratchDirectory::create(&self.spill.join(home.name()))?;
        let path = directory.path().to_owned();
        self.alive().insert(home.clone(), Some(path));
        let network = Network {
            home: home.clone(),
            machines: Arc::clone(&self.here.machines),
            reads: Arc::clone(&self.here.reads),
        };
        let mut worker_home = WorkerHome::new(directory.path(), Arc::new(network));
        worker_home.memory_bytes = Some((1 << 20) + (number << 18));
        Ok(Machine {
            home,
            worker: Worker::with_home(number, worker_home),
            _directory: directory,
        })
    }

    /// Loses a machine, with its files. Reports only half of the losses.
    fn lose(&self, machine: Machine, tasks: &Tasks<'_>) {
        self.losses.fetch_add(1, Ordering::SeqCst);
        self.alive().remove(&machine.home);
        if self.random(2) == 0 {
            tasks.lost_home(&machine.home);
        }
    }

    /// Returns whether a machine dies now. The number of deaths is limited, because otherwise more might be lost than is
    /// recomputed.
    fn dies(&self) -> bool {
        let losses = self.losses.load(Ordering::SeqCst);
        let life = self.life.filter(|_| losses < MOST_LOSSES);
        life.is_some_and(|life| self.random(life) == 0)
    }

    /// Runs a task, and returns the machine if it is still alive.
    fn run_task(
        &self,
        stage: &Stage,
        task: &TaskSpec,
        tasks: &Tasks<'_>,
        mut machine: Machine,
    ) -> Option<Machine> {
        let outcome = machine
            .worker
            .run(stage, task, &mut |partition, number, chunk| {
                tasks.chunk(task, partition, number, chunk);
            });
        // A task must not be lost more often than the job allows.
        if task.attempt == 1 && self.dies() {
            self.lose(machine, tasks);
            tasks.lost(task, 7, "on purpose");
            return None;
        }
        match outcome {
            Ok(report) => tasks.done(task, report),
            Err(error) => tasks.failed(task, error),
        }
        if self.dies() {
            self.lose(machine, tasks);
            return None;
        }
        Some(machine)
    }

    fn run_slot(&self, stage: &Stage, tasks: &Tasks<'_>) -> Result<()> {
        loop {
            let idle = self.idle.lock().expect("no panic").pop();
            let machine = idle.map_or_else(|| self.start(), Ok)?;
            let Some(task) = tasks.next_near(&machine.home) else {
                self.idle.lock().expect("no panic").push(machine);
                return Ok(());
            };
            let machine = self.run_task(stage, &task, tasks, machine);
            self.idle.lock().expect("no panic").extend(machine);
        }
    }
}

impl RemoteExecutor for Cluster {
    fn slots(&self) -> usize {
        SLOTS
    }

    fn divides_memory(&self) -> bool {
        false
    }

    fn transfer(&self) -> Option<Arc<dyn FileTransfer>> {
        Some(Arc::clone(&self.here) as _)
    }

    fn run(&self, stage: &Stage, tasks: &Tasks<'_>) -> Result<()> {
        let mut all_die_before = self.all_die_before.lock().expect("no panic");
        if all_die_before
            .take_if(|number| *number == stage.number)
            .is_some()
        {
            for machine in self.idle.lock().expect("no panic").drain(..) {
                self.lose(machine, tasks);
            }
        }
        drop(all_die_before);
        thread::scope(|scope| {
            let slots: Vec<_> = (0..SLOTS)
                .map(|_| scope.spawn(|| self.run_slot(stage, tasks)))
                .collect();
            let mut outcomes = slots.into_iter().map(|slot| slot.join().expect("no panic"));
            outcomes.try_for_each(|outcome| outcome)
        })
    }
}
