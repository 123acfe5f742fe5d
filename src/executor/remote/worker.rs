//! Runs tasks in this process, on behalf of an executor.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use super::homes::WorkerHome;
use super::results;
use super::spec::{Metrics, Report, Stage, TaskSpec};
use crate::error::{Error, ErrorKind, Result, caught};
use crate::files::{ShuffleFiles, attempt_name};
use crate::storage::memory::MemoryBudget;
use crate::storage::scratch::Scratch;
use crate::storage::transfer::Transfer;
use crate::task::{
    Flow, Imports, JobState, MapBlock, MapOutput, Partition, RemoteStage, Resources, StopFlag,
    in_task, load_stage, resolving,
};

/// Runs the tasks of one stage after another, one task at a time, as a worker process does.
///
/// A worker keeps the decoded stage until it receives a task of another one.
pub struct Worker {
    number: usize,
    /// Place for its files, if that is not the scratch directory of the job.
    home: Option<WorkerHome>,
    stage: Option<Loaded>,
    /// Number of stages that it has received.
    loads: usize,
    current: Arc<Mutex<Current>>,
}

/// A stage that is ready to run.
struct Loaded {
    id: u64,
    code: Box<dyn RemoteStage>,
    resources: Resources,
    imports: Arc<Imports>,
    /// The files in the shuffle directory, if map outputs go there.
    shuffle: Option<Arc<ShuffleFiles>>,
}

/// The state that a [`Canceller`] needs.
#[derive(Default)]
struct Current {
    cancelled: Option<u64>,
    stage: u64,
    job: Weak<JobState>,
}

/// Stops the tasks of a [`Worker`] from another thread. Cheap to clone.
#[derive(Clone)]
pub struct Canceller(Arc<Mutex<Current>>);

impl Canceller {
    /// Stops all tasks of the stage with this [`id`](Stage::id) as soon as possible, including those that have not
    /// begun. They end with [`Cancelled`](crate::ErrorKind::Cancelled).
    pub fn cancel(&self, stage: u64) {
        let mut current = lock(&self.0);
        current.cancelled = Some(stage);
        if let Some(job) = current.job.upgrade().filter(|_| current.stage == stage) {
            job.stop();
        }
    }
}

impl Worker {
    /// Creates a worker. The names of its files in the [scratch directory](Stage::scratch) contain `number`, so no two
    /// workers of a stage may have the same number.
    #[must_use]
    pub fn new(number: usize) -> Self {
        Self {
            number,
            home: None,
            stage: None,
            loads: 0,
            current: Arc::default(),
        }
    }

    /// Creates a worker that keeps its files in a directory of its own, and shares no disk with the others. The names
    /// of its files contain `number`, so no two workers with the same directory may have the same number, not even for
    /// different stages.
    #[must_use]
    pub fn with_home(number: usize, home: WorkerHome) -> Self {
        Self {
            home: Some(home),
            ..Self::new(number)
        }
    }

    /// Returns a handle that stops its tasks.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller(Arc::clone(&self.current))
    }

    /// Computes the partitions of a task. Calls `chunk` for each part of the result as it is produced, with the
    /// partition, the number of the chunk in the partition, and the bytes.
    ///
    /// # Errors
    ///
    /// Returns the error to pass to [`Tasks::failed`](super::Tasks::failed).
    pub fn run(
        &mut self,
        stage: &Stage,
        task: &TaskSpec,
        chunk: &mut dyn FnMut(usize, usize, Vec<u8>),
    ) -> Result<Report> {
        let loaded = match self.stage.take().filter(|loaded| loaded.id == stage.id) {
            Some(loaded) => loaded,
            None => self.load(stage)?,
        };
        let loaded = self.stage.insert(loaded);
        let job = Arc::new(loaded.job());
        lock(&self.current).begin(stage.id, &job);
        if job.is_stopped() {
            return Err(Error::new(ErrorKind::Cancelled));
        }
        let measures = Measures::of(self.number, &loaded.resources);
        let mut chunks = vec![0; task.partitions.len()];
        // The call may drop records of the user's types, and dropping them may panic.
        let blocks = caught(None, || {
            resolving(&loaded.resources.scratch, || {
                loaded.run(&job, stage.number, task, &mut chunks, chunk)
            })
        })?;
        if job.is_stopped() {
            return Err(Error::new(ErrorKind::Cancelled));
        }
        let mut outputs = MapOutput::group(blocks)?;
        if let Some(shuffle) = &loaded.shuffle {
            // Two attempts have two names, of digits, as files of outputs have them.
            let name = || {
                let attempt = attempt_name().replace('-', "");
                format!("part-{:05}{attempt}", task.first())
            };
            MapOutput::relocate(&mut outputs, &loaded.resources.scratch, |file, bytes| {
                shuffle.put(&name(), file, bytes, &|| job.is_stopped())
            })?;
        }
        Ok(Report {
            outputs,
            chunks,
            stored: job.take_stored(),
            counter_updates: job.counter_updates().take(),
            metrics: measures.until_now(&job),
        })
    }

    fn load(&mut self, stage: &Stage) -> Result<Loaded> {
        self.loads += 1;
        let directory = stage.shuffle.as_ref();
        let shuffle = directory.map(|directory| ShuffleFiles::open(directory, stage.job));
        let shuffle = shuffle.map(Arc::new);
        let resources = self.resources(stage, shuffle.as_ref());
        let load = || in_task(|| load_stage(&stage.code));
        Ok(Loaded {
            id: stage.id,
            code: resolving(&resources.scratch, load)?,
            resources,
            imports: Arc::new(Imports::new(stage.inputs.iter().cloned())),
            shuffle,
        })
    }

    fn resources(&self, stage: &Stage, shuffle: Option<&Arc<ShuffleFiles>>) -> Resources {
        // The worker may have loaded this stage before, with other stages in between.
        let prefix = format!("w{}-s{}-{}-", self.number, stage.id, self.loads);
        let home = self.home.as_ref();
        let directory = home.map_or(&stage.scratch, |home| &home.directory).clone();
        let memory_bytes = home.and_then(|home| home.memory_bytes);
        let memory_bytes = memory_bytes.unwrap_or(stage.memory_bytes);
        let transfer = Transfer::from(home.map(|home| Arc::clone(&home.transfer)));
        let transfer = match shuffle.filter(|shuffle| shuffle.are_stored()) {
            Some(shuffle) => transfer.with_store(Arc::clone(shuffle) as _, memory_bytes),
            None => transfer,
        };
        Resources {
            budget: MemoryBudget::new(memory_bytes),
            scratch: Scratch::within_home(directory, prefix, stage.disk_quota_bytes, transfer),
            threads: 1,
            progress: Arc::default(),
            reclaimer: Arc::default(),
            stop: StopFlag::default(),
        }
    }
}

impl Loaded {
    /// Creates the state of one attempt. All tasks of the stage share the memory and the inputs.
    fn job(&self) -> JobState {
        let resources = Resources {
            progress: Arc::default(),
            ..self.resources.clone()
        };
        JobState::remote(resources, Arc::clone(&self.imports))
    }

    fn run(
        &self,
        job: &JobState,
        number: usize,
        task: &TaskSpec,
        chunks: &mut [usize],
        chunk: &mut dyn FnMut(usize, usize, Vec<u8>),
    ) -> Result<Vec<MapBlock>> {
        let partitions = task.partitions.iter();
        let partitions = partitions.map(|spec| Partition::from_bytes(spec.index, &spec.payload));
        let partitions = partitions.collect::<Result<_>>()?;
        let mut position = 0;
        let mut emit = |partition: usize, bytes: Vec<u8>, is_last| {
            // A cancelled task may have stopped within a chunk.
            if job.is_stopped() {
                return Ok(Flow::Break(()));
            }
            // A task computes its partitions in order.
            while task.partitions[position].index != partition {
                position += 1;
            }
            chunk(partition, chunks[position], results::framed(bytes, is_last));
            chunks[position] += 1;
            Ok(Flow::Continue(()))
        };
        in_task(|| self.code.run(job, number, partitions, &mut emit))
    }
}

impl Current {
    /// Records the current job, so that it can be stopped, and stops it if its stage was already cancelled.
    fn begin(&mut self, stage: u64, job: &Arc<JobState>) {
        self.stage = stage;
        self.job = Arc::downgrade(job);
        if self.cancelled == Some(stage) {
            job.stop();
        }
    }
}

/// The state is consistent at any time, so a poisoned lock is harmless.
fn lock(current: &Mutex<Current>) -> MutexGuard<'_, Current> {
    current.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Resources used before a task.
struct Measures {
    worker: usize,
    start: Instant,
    written_bytes: u64,
}

impl Measures {
    fn of(worker: usize, resources: &Resources) -> Self {
        Self {
            worker,
            start: Instant::now(),
            written_bytes: resources.scratch.written_bytes(),
        }
    }

    /// Returns the resources that the task has used.
    fn until_now(&self, job: &JobState) -> Metrics {
        let (progress, resources) = (job.progress(), job.resources());
        Metrics {
            worker: self.worker,
            input_bytes: progress.bytes(),
            shuffled_records: progress.shuffled_records(),
            shuffled_bytes: progress.shuffled_bytes(),
            filtered_records: progress.filtered_records(),
            spilled_bytes: resources.scratch.written_bytes() - self.written_bytes,
            peak_memory_bytes: resources.budget.peak_bytes(),
            time: self.start.elapsed(),
        }
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Canceller").finish_non_exhaustive()
    }
}
