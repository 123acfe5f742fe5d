//! Messages between the driver and the agents: JSON, each with its length before it.

use std::io;

use holdall::executor::{Home, ShuffleDirectory, WorkerExit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Maximum length of a message, in bytes: far longer than any message is.
const MAX_BYTES: u32 = 1 << 20;

/// What the driver tells a slot, through the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlotSpec {
    /// Address at which agents reach the driver: `host:port`.
    pub(crate) driver: String,
    /// Identifies the driver's use of the cluster. Known only to those that may connect to the driver.
    pub(crate) session: String,
    /// The build of the driver.
    pub(crate) fingerprint: String,
    /// Time after which a silent peer counts as lost, in milliseconds.
    pub(crate) patience_ms: u64,
}

/// First message of a connection: its purpose.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Hello {
    /// The line of an agent, to the driver.
    Agent {
        session: String,
        /// Home of the files of the agent's workers.
        home: String,
    },
    /// The channel of a worker, to the driver.
    Worker {
        session: String,
        number: usize,
        mark: String,
    },
    /// The output of a worker, to the driver: 0 for standard output, 1 for standard error.
    Output {
        session: String,
        number: usize,
        stream: usize,
    },
    /// Requests for files of a home.
    Files { home: String },
}

/// Message from the driver to an agent.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToAgent {
    /// Starts a worker.
    Start(usize),
    /// Kills a worker.
    Kill(usize),
    /// Ends the slots of the session. The session goes on, because its files may be needed.
    LetGo,
    /// The shuffle directory of a context. The agent removes its files if the driver dies.
    Shuffle(ShuffleDirectory),
    /// A sign of life, which the agent answers.
    Ping,
}

/// Message from an agent to the driver.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToDriver {
    /// Number of slots that the agent has now.
    Slots(usize),
    /// A worker has ended.
    Ended(usize, WorkerExit),
    /// A worker could not be started.
    NotStarted(usize, String),
    /// The agent is about to end, and should get no more tasks.
    Leaving,
    /// A sign of life.
    Pong,
}

/// Sends a message.
pub(crate) async fn send<M: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &M,
) -> io::Result<()> {
    stream.write_all(&encoded(message)?).await?;
    stream.flush().await
}

/// Returns the bytes of a message, for a stream.
pub(crate) fn encoded<M: Serialize>(message: &M) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - 4).map_err(io::Error::other)?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Receives a message. Not safe to cancel.
pub(crate) async fn receive<M: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<M> {
    let length = stream.read_u32_le().await?;
    if length > MAX_BYTES {
        return Err(io::Error::other("what arrived is no message of holdall"));
    }
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes).await?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Returns the address in the name of a home.
pub(crate) fn address_of(home: &Home) -> &str {
    home.name()
        .split_once('#')
        .map_or(home.name(), |(address, _)| address)
}

/// Returns a home at an address, with a name that was never used before.
pub(crate) fn new_home(address: &str) -> Home {
    Home::new(&format!("{address}#{}", uuid::Uuid::new_v4().simple()))
}
