//! The workers of a session: child processes of the agent, and their connections to the driver.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use holdall::executor::{Home, WorkerChild, WorkerExit, WorkerHome};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncRead;
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::mpsc;

use super::{AgentSettings, lock};
use crate::message::{Hello, SlotSpec, ToDriver};
use crate::net::{self, Stream};
use crate::settings;
use crate::tls::Security;
use crate::transfer::FileClient;

/// The environment variable that tells a worker the place of its files.
pub(crate) const PLACE: &str = "HOLDALL_PLACE";

/// Place for the files of a worker.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    home: String,
    directory: PathBuf,
    memory_bytes: usize,
    patience_ms: u64,
}

/// Returns the place for the files of this process, which is a worker.
///
/// # Errors
///
/// Returns an error if the agent has not told it.
pub(crate) fn home_of_this_process() -> io::Result<Option<WorkerHome>> {
    // A worker of the executor for processes shares the disk with its driver.
    let Some(text) = settings::text(PLACE).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let place: Place = serde_json::from_str(&text)?;
    let security = Security::from_env().map_err(io::Error::other)?;
    let patience = Duration::from_millis(place.patience_ms);
    let client = FileClient::new(Home::new(&place.home), security, patience);
    let mut home = WorkerHome::new(place.directory, Arc::new(client));
    home.memory_bytes = Some(place.memory_bytes);
    Ok(Some(home))
}

/// The workers of a session, by their number.
#[derive(Clone)]
pub(super) struct Children {
    running: Arc<Mutex<HashMap<usize, Child>>>,
    shared: Arc<Shared>,
}

struct Shared {
    driver: String,
    session: String,
    security: Security,
    patience: Duration,
    place: String,
    line: mpsc::UnboundedSender<ToDriver>,
}

impl Children {
    pub(super) fn new(
        settings: &AgentSettings,
        spec: &SlotSpec,
        home: &Home,
        directory: &Path,
        line: mpsc::UnboundedSender<ToDriver>,
    ) -> io::Result<Self> {
        let place = Place {
            home: home.name().to_owned(),
            directory: directory.to_owned(),
            memory_bytes: settings.worker_memory_bytes,
            patience_ms: spec.patience_ms,
        };
        Ok(Self {
            running: Arc::default(),
            shared: Arc::new(Shared {
                driver: spec.driver.clone(),
                session: spec.session.clone(),
                security: settings.security.clone(),
                patience: Duration::from_millis(spec.patience_ms),
                place: serde_json::to_string(&place)?,
                line,
            }),
        })
    }

    /// Starts a worker in the background.
    pub(super) fn start(&self, number: usize) {
        let children = self.clone();
        tokio::spawn(async move {
            if let Err(reason) = children.run(number).await {
                let _ = children
                    .shared
                    .line
                    .send(ToDriver::NotStarted(number, reason));
            }
        });
    }

    /// Starts a worker, and passes on what it sends until it ends.
    async fn run(&self, number: usize) -> Result<(), String> {
        let shared = Arc::clone(&self.shared);
        let start = move || {
            WorkerChild::start(number, |command| {
                command.env(PLACE, &shared.place).env_remove("HOLDALL_ROLE");
            })
        };
        let child = tokio::task::spawn_blocking(start)
            .await
            .map_err(|error| error.to_string())?;
        let mut child = child.map_err(|error| error.to_string())?;
        let outputs = self.outputs(&mut child.process);
        let pid = Pid::from_child(&child.process);
        lock(&self.running).insert(number, child.process);
        self.watch(number, pid).map_err(|error| error.to_string())?;
        let session = || self.shared.session.clone();
        let output = |stream| Hello::Output {
            session: session(),
            number,
            stream,
        };
        let worker = Hello::Worker {
            session: session(),
            number,
            mark: child.mark,
        };
        let (stdout, stderr) = (output(0), output(1));
        let connected = tokio::try_join!(
            self.connect(&worker),
            self.connect(&stdout),
            self.connect(&stderr)
        );
        // If this fails, the worker ends, because its channel is closed.
        let (channel, stdout, stderr) = connected.map_err(|error| error.to_string())?;
        let (own_stdout, own_stderr) = outputs.map_err(|error| error.to_string())?;
        tokio::spawn(forward(own_stdout, stdout));
        tokio::spawn(forward(own_stderr, stderr));
        // It ends when either side does.
        let _ = net::relay(channel, child.channel).await;
        Ok(())
    }

    fn outputs(&self, child: &mut Child) -> io::Result<(ChildStdout, ChildStderr)> {
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            unreachable!("both are pipes");
        };
        Ok((
            ChildStdout::from_std(stdout)?,
            ChildStderr::from_std(stderr)?,
        ))
    }

    async fn connect(&self, hello: &Hello) -> io::Result<Stream> {
        let Shared {
            driver,
            security,
            patience,
            ..
        } = &*self.shared;
        net::connect(driver, security, hello, *patience).await
    }

    /// Starts a thread that waits for the end of a worker, and tells the driver.
    fn watch(&self, number: usize, pid: Pid) -> io::Result<()> {
        let children = self.clone();
        let watch = move || {
            // The process keeps its number until it is reaped below, so that `kill` cannot hit another one.
            let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while matches!(waitid(WaitId::Pid(pid), ended), Err(Errno::INTR)) {}
            let child = lock(&children.running).remove(&number);
            let status = child.map(|mut child| child.wait());
            let exit = status
                .and_then(Result::ok)
                .map_or(WorkerExit::Unknown, WorkerExit::from);
            let _ = children.shared.line.send(ToDriver::Ended(number, exit));
        };
        thread::Builder::new()
            .name("holdall-watch".to_owned())
            .spawn(watch)
            .map(drop)
    }

    pub(super) fn kill(&self, number: usize) {
        if let Some(child) = lock(&self.running).get_mut(&number) {
            let _ = child.kill();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.running).is_empty()
    }

    /// Kills all workers, and returns when they have ended.
    pub(super) async fn end(&self) {
        while !self.is_empty() {
            for child in lock(&self.running).values_mut() {
                let _ = child.kill();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Sends all output to the driver.
async fn forward(mut output: impl AsyncRead + Unpin, mut stream: Stream) {
    let _ = tokio::io::copy(&mut output, &mut stream).await;
    let _ = tokio::io::AsyncWriteExt::shutdown(&mut stream).await;
}
