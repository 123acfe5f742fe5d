//! An executor that runs tasks in processes that share no directory. Each stands for a machine.

use std::env;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use holdall::executor::{
    FileTransfer, Home, RemoteExecutor, Report, ScratchDirectory, Stage, TaskSpec, Tasks, Worker,
    WorkerHome,
};
use holdall::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::files::Sockets;

const SLOTS: usize = 3;

/// Number of the machine that a process is, and the directory of all machines.
const NUMBER: &str = "HOLDALL_TEST_MACHINE";
const DIRECTORY: &str = "HOLDALL_TEST_MACHINES";

/// Name of the test that is the entry point of machines.
const ENTRY: &str = "machine";

/// Name of the socket at which the driver expects machines.
const DRIVER: &str = "control";

#[derive(Serialize, Deserialize)]
enum Order {
    Stage(Box<Stage>),
    Task(TaskSpec),
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Ready,
    Chunk(usize, usize, Vec<u8>),
    Done(Box<Report>),
    Failed(Error),
}

fn send<M: Serialize>(stream: &mut UnixStream, message: &M) -> io::Result<()> {
    let config = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(message, config).expect("it is plain data");
    stream.write_all(&(bytes.len() as u64).to_le_bytes())?;
    stream.write_all(&bytes)
}

fn receive<M: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<M> {
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u64::from_le_bytes(length)).expect("64 bits");
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    let decoded = bincode::serde::decode_from_slice(&bytes, bincode::config::standard());
    Ok(decoded.map_err(io::Error::other)?.0)
}

/// Runs tasks for the driver, if this process is a machine.
pub(crate) fn run_if_machine() {
    let (Ok(number), Some(directory)) = (env::var(NUMBER), env::var_os(DIRECTORY)) else {
        return;
    };
    let number = number.parse().expect("a number");
    // The driver has ended, or this machine is not needed any more.
    let _ = run_machine(number, Path::new(&directory));
    std::process::exit(0);
}

fn run_machine(number: usize, directory: &Path) -> io::Result<()> {
    let scratch = ScratchDirectory::create(&directory.join("scratch"))?;
    let transfer = Sockets::serve(&directory.join("sockets"), home(number))?;
    let mut home = WorkerHome::new(scratch.path(), Arc::new(transfer));
    home.memory_bytes = Some(1 << 20);
    let mut worker = Worker::with_home(number, home);
    let mut stream = UnixStream::connect(directory.join("sockets").join(DRIVER))?;
    send(&mut stream, &Answer::Ready)?;
    let mut stage = None;
    loop {
        let task = match receive(&mut stream)? {
            Order::Stage(next) => {
                stage = Some(next);
                continue;
            }
            Order::Task(task) => task,
        };
        let stage = stage.as_ref().expect("it was sent before");
        let mut sent = Ok(());
        let outcome = worker.run(stage, &task, &mut |partition, number, chunk| {
            sent = send(&mut stream, &Answer::Chunk(partition, number, chunk));
        });
        sent?;
        let answer = match outcome {
            Ok(report) => Answer::Done(Box::new(report)),
            Err(error) => Answer::Failed(error),
        };
        send(&mut stream, &answer)?;
    }
}

fn home(number: usize) -> Home {
    Home::new(&format!("machine{number}"))
}

/// A machine from the side of the driver.
struct Machine {
    number: usize,
    stream: UnixStream,
    /// The stage that it has.
    stage: Option<u64>,
}

/// Machines that can be killed at any moment.
pub(crate) struct Cluster {
    directory: PathBuf,
    here: Arc<Sockets>,
    /// Locked while a machine starts.
    listener: Mutex<UnixListener>,
    idle: Mutex<Vec<Machine>>,
    children: Arc<Mutex<Vec<(usize, Child)>>>,
    started: AtomicUsize,
}

impl Cluster {
    pub(crate) fn new(directory: &Path) -> Self {
        let sockets = directory.join("sockets");
        std::fs::create_dir_all(&sockets).expect("room");
        let listener = UnixListener::bind(sockets.join(DRIVER)).expect("a socket");
        let here = Sockets::serve(&sockets, Home::new("driver")).expect("a socket");
        Self {
            directory: directory.to_owned(),
            here: Arc::new(here),
            listener: Mutex::new(listener),
            idle: Mutex::default(),
            children: Arc::default(),
            started: AtomicUsize::new(0),
        }
    }

    /// Returns what kills a machine.
    pub(crate) fn killer(&self) -> impl Fn(usize) -> bool + Send + use<> {
        let children = Arc::clone(&self.children);
        move |index| {
            let mut children = children.lock().expect("no panic");
            let most = children.len().max(1);
            let child = children.get_mut(index % most);
            child.is_some_and(|(_, child)| child.kill().is_ok())
        }
    }

    fn start(&self) -> io::Result<Machine> {
        let listener = self.listener.lock().expect("no panic");
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        let child = Command::new(env::current_exe()?)
            .args([ENTRY, "--exact", "--nocapture", "--test-threads", "1"])
            .env(NUMBER, number.to_string())
            .env(DIRECTORY, &self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        // It can be killed only once it is ready.
        let (mut stream, _) = listener.accept()?;
        receive::<Answer>(&mut stream)?;
        let mut children = self.children.lock().expect("no panic");
        children.push((number, child));
        Ok(Machine {
            number,
            stream,
            stage: None,
        })
    }

    /// Runs a task on a machine.
    ///
    /// # Errors
    ///
    /// Returns an error if the machine is lost.
    fn run_task(
        stage: &Stage,
        task: &TaskSpec,
        tasks: &Tasks<'_>,
        machine: &mut Machine,
    ) -> io::Result<()> {
        if machine.stage != Some(stage.id) {
            send(&mut machine.stream, &Order::Stage(Box::new(stage.clone())))?;
            machine.stage = Some(stage.id);
        }
        send(&mut machine.stream, &Order::Task(task.clone()))?;
        loop {
            match receive(&mut machine.stream)? {
                Answer::Ready => {}
                Answer::Chunk(partition, number, chunk) => {
                    tasks.chunk(task, partition, number, chunk);
                }
                Answer::Done(report) => {
                    tasks.done(task, *report);
                    return Ok(());
                }
                Answer::Failed(error) => {
                    tasks.failed(task, error);
                    return Ok(());
                }
            }
        }
    }

    fn run_slot(&self, stage: &Stage, tasks: &Tasks<'_>) {
        while let Some(task) = tasks.next() {
            let idle = self.idle.lock().expect("no panic").pop();
            let machine = idle.map_or_else(|| self.start(), Ok);
            let mut machine = machine.expect("a machine starts");
            if Self::run_task(stage, &task, tasks, &mut machine).is_ok() {
                self.idle.lock().expect("no panic").push(machine);
                continue;
            }
            self.reap(machine.number);
            // The others find out by themselves.
            if machine.number.is_multiple_of(2) {
                tasks.lost_home(&home(machine.number));
            }
            tasks.lost(&task, machine.number, "killed");
        }
    }

    fn reap(&self, number: usize) {
        let mut children = self.children.lock().expect("no panic");
        if let Some(at) = children.iter().position(|(of, _)| *of == number) {
            let (_, mut child) = children.swap_remove(at);
            let _ = child.kill();
            child.wait().expect("it has ended");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.idle.get_mut().expect("no panic").clear();
        for (_, mut child) in self.children.lock().expect("no panic").drain(..) {
            child.wait().expect("it ends when its stream is closed");
        }
    }
}

impl RemoteExecutor for Cluster {
    fn slots(&self) -> usize {
        SLOTS
    }

    fn transfer(&self) -> Option<Arc<dyn FileTransfer>> {
        Some(Arc::clone(&self.here) as _)
    }

    fn run(&self, stage: &Stage, tasks: &Tasks<'_>) -> Result<()> {
        thread::scope(|scope| {
            for _ in 0..SLOTS {
                scope.spawn(|| self.run_slot(stage, tasks));
            }
        });
        Ok(())
    }
}
