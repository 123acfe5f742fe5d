//! The use of a machine by one driver.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdall::executor::{Home, ScratchDirectory, ShuffleDirectory};
use tokio::io::ReadHalf;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::children::Children;
use super::{Agent, lock};
use crate::message::{self, Hello, SlotSpec, ToAgent, ToDriver, new_home};
use crate::net::{self, Stream};

/// Time after which a silent driver counts as lost, as a multiple of its patience. The driver may have been stopped for
/// a while, as by Ctrl-Z.
const PATIENCE: u32 = 6;

/// Time in which a driver that ends closes its port. With less, a driver that has just ended seems to go on.
const CLOSING: Duration = Duration::from_millis(300);

/// Maximum time for a connection to a driver that may have ended.
const CONNECTING: Duration = Duration::from_secs(10);

/// A session: the directory, the workers, and the line to the driver.
pub(super) struct AgentSession {
    pub(super) home: Home,
    pub(super) directory: PathBuf,
    /// The directory, until the session ends.
    scratch: Mutex<Option<ScratchDirectory>>,
    /// The shuffle directories of the driver.
    shuffles: Mutex<Vec<ShuffleDirectory>>,
    /// Address of the driver.
    driver: String,
    children: Children,
    /// Messages to the driver.
    line: mpsc::UnboundedSender<ToDriver>,
    slots: Mutex<usize>,
    /// Changes when the driver lets go of its slots.
    phase: watch::Sender<Phase>,
    is_leaving: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The driver has let go of its slots this number of times.
    LetGo(u64),
    Ended,
}

impl AgentSession {
    /// Connects to the driver.
    pub(super) async fn start(agent: &Arc<Agent>, spec: &SlotSpec) -> io::Result<Arc<Self>> {
        let settings = &agent.settings;
        let patience = Duration::from_millis(spec.patience_ms);
        let home = new_home(&agent.address);
        let scratch = ScratchDirectory::create(&settings.spill_directory);
        let scratch = scratch.map_err(io::Error::other)?;
        let hello = Hello::Agent {
            session: spec.session.clone(),
            home: home.name().to_owned(),
        };
        let stream = net::connect(&spec.driver, &settings.security, &hello, patience).await?;
        let (reader, mut writer) = tokio::io::split(stream);
        let (line, mut messages) = mpsc::unbounded_channel();
        let session = Arc::new(Self {
            children: Children::new(settings, spec, &home, scratch.path(), line.clone())?,
            home,
            directory: scratch.path().to_owned(),
            scratch: Mutex::new(Some(scratch)),
            shuffles: Mutex::default(),
            driver: spec.driver.clone(),
            line,
            slots: Mutex::new(0),
            phase: watch::channel(Phase::LetGo(0)).0,
            is_leaving: AtomicBool::new(false),
        });
        tokio::spawn(async move {
            while let Some(message) = messages.recv().await {
                if message::send(&mut writer, &message).await.is_err() {
                    break;
                }
            }
        });
        let (agent, id) = (Arc::clone(agent), spec.session.clone());
        let running = Arc::clone(&session);
        tokio::spawn(async move {
            running.obey(reader, patience * PATIENCE).await;
            agent.forget(&id);
            running.end().await;
        });
        Ok(session)
    }

    /// Obeys the driver until the line ends, or until this machine leaves and no workers are left.
    async fn obey(&self, mut reader: ReadHalf<Stream>, patience: Duration) {
        let obey = async {
            while let Ok(Ok(message)) = timeout(patience, message::receive(&mut reader)).await {
                match message {
                    ToAgent::Start(number) => self.children.start(number),
                    ToAgent::Kill(number) => self.children.kill(number),
                    ToAgent::LetGo => self.phase.send_modify(|phase| {
                        if let Phase::LetGo(times) = phase {
                            *times += 1;
                        }
                    }),
                    ToAgent::Shuffle(shuffle) => lock(&self.shuffles).push(shuffle),
                    ToAgent::Ping => _ = self.line.send(ToDriver::Pong),
                }
            }
        };
        let leave = async {
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                if self.is_leaving.load(Ordering::SeqCst) && self.children.is_empty() {
                    return;
                }
            }
        };
        tokio::select! {
            () = obey => {}
            () = leave => {}
        }
    }

    /// Ends all workers, and removes the files.
    async fn end(&self) {
        self.children.end().await;
        let scratch = lock(&self.scratch).take();
        // Removing many files takes a while.
        let _ = tokio::task::spawn_blocking(move || drop(scratch)).await;
        let shuffles = std::mem::take(&mut *lock(&self.shuffles));
        // A driver that goes on without this machine needs the files.
        if !shuffles.is_empty() && self.is_driver_dead().await {
            let remove = move || shuffles.iter().for_each(ShuffleDirectory::remove_all);
            let _ = tokio::task::spawn_blocking(remove).await;
        }
        self.phase.send_replace(Phase::Ended);
    }

    /// Returns whether the driver has ended, and not only the connection to it.
    async fn is_driver_dead(&self) -> bool {
        tokio::time::sleep(CLOSING).await;
        let connected = timeout(CONNECTING, TcpStream::connect(&self.driver)).await;
        let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        connected.is_ok_and(|connected| connected.is_err_and(refused))
    }

    /// Holds a slot until the driver lets go of it, or the session ends.
    pub(super) async fn hold_slot(&self) {
        let mut phase = self.phase.subscribe();
        let begun = *phase.borrow_and_update();
        if begun == Phase::Ended {
            return;
        }
        self.change_slots(|slots| slots + 1);
        // The session keeps the sender.
        let _ = phase.wait_for(|phase| *phase != begun).await;
        self.change_slots(|slots| slots - 1);
    }

    fn change_slots(&self, change: impl FnOnce(usize) -> usize) {
        // The message is sent under the lock, so that the driver receives the numbers in order.
        let mut slots = lock(&self.slots);
        *slots = change(*slots);
        let _ = self.line.send(ToDriver::Slots(*slots));
    }

    /// Asks the driver for no more tasks.
    pub(super) fn leave(&self) {
        let _ = self.line.send(ToDriver::Leaving);
        self.is_leaving.store(true, Ordering::SeqCst);
    }

    /// Returns when the session has ended.
    pub(super) async fn ended(&self) {
        let mut phase = self.phase.subscribe();
        let _ = phase.wait_for(|phase| *phase == Phase::Ended).await;
    }
}
