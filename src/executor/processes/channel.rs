//! Messages between the driver and a worker, over a socket pair.
//!
//! ```text
//!  ┌────────────────┬────────────────┬───────────────┬─────────────────────────┬───────────────────────┐
//!  │ u32: length of │ u64: length of │ u32: checksum │ message, by the codec   │ bytes that go with it │
//!  │ the message    │ the bytes      │ of both       │ of records              │                       │
//!  └────────────────┴────────────────┴───────────────┴─────────────────────────┴───────────────────────┘
//! ```
//!
//! The checksum detects garbage at its first bytes. Without it, the receiver would take them for a length and wait for
//! a message of that length.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::remote::{Report, TaskSpec};
use super::token::DriverToken;
use crate::error::Error;
use crate::storage::codec;
use crate::storage::file::{Uninterrupted, uninterrupted};

/// Message from the driver to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Command {
    /// The token that identifies the driver.
    Begin(DriverToken),
    /// Sets the stage of the tasks that follow; the attached bytes are the stage.
    Stage,
    Task(TaskSpec),
    /// Stops the tasks of this stage.
    Cancel(u64),
    /// Requests an `Alive`.
    Ping,
    /// Requests the mark on standard output and standard error.
    Mark,
    Exit,
}

/// Message from a worker to the driver.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum WorkerMessage {
    Ready,
    Alive,
    /// A chunk of a result, in the attached bytes.
    Chunk {
        partition: usize,
        number: usize,
    },
    /// The oldest unanswered task is done.
    Done(Report),
    /// The oldest unanswered task ended with an error.
    Failed(Error),
}

const LENGTHS_BYTES: usize = 12;
const HEAD_BYTES: usize = LENGTHS_BYTES + 4;

/// Size of a read from the socket, in bytes.
const READ_BYTES: usize = 64 << 10;

/// Sending end of a channel. Threads may share it.
#[derive(Debug)]
pub(super) struct Sender(Mutex<UnixStream>);

impl Sender {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(Mutex::new(stream))
    }

    /// Sends a message with attached bytes. After an error, the channel is unusable.
    pub(super) fn send<M: Serialize>(&self, message: &M, bytes: &[u8]) -> io::Result<()> {
        let mut frame = vec![0; HEAD_BYTES];
        codec::encode_own(message, &mut frame).map_err(io::Error::other)?;
        let length = u32::try_from(frame.len() - HEAD_BYTES).map_err(io::Error::other)?;
        frame[..4].copy_from_slice(&length.to_le_bytes());
        frame[4..LENGTHS_BYTES].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        let checksum = crc32fast::hash(&frame[..LENGTHS_BYTES]);
        frame[LENGTHS_BYTES..HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
        let is_short = bytes.len() < READ_BYTES;
        if is_short {
            frame.extend_from_slice(bytes);
        }
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stream = Uninterrupted(&*stream);
        stream.write_all(&frame)?;
        if is_short {
            return Ok(());
        }
        stream.write_all(bytes)
    }

    /// Closes the channel in both directions.
    pub(super) fn close(&self) {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// Result of [`Receiver::receive`].
#[derive(Debug)]
pub(super) enum Received<M> {
    Message(M, Vec<u8>),
    /// No complete message arrived within the time limit.
    Nothing,
    /// The other end is closed.
    Closed,
}

/// Receiving end of a channel.
#[derive(Debug)]
pub(super) struct Receiver {
    stream: UnixStream,
    /// Maximum time to wait for a message.
    limit: Option<Duration>,
    /// Received bytes; those from `start` on have not been decoded yet.
    buffer: Vec<u8>,
    start: usize,
    read: Box<[u8]>,
}

impl Receiver {
    /// Creates a receiver that waits at most `limit` for a message, or for any time if `limit` is `None`.
    pub(super) fn new(stream: UnixStream, limit: Option<Duration>) -> io::Result<Self> {
        stream.set_read_timeout(limit)?;
        Ok(Self {
            stream,
            limit,
            buffer: Vec::new(),
            start: 0,
            read: vec![0; READ_BYTES].into(),
        })
    }

    pub(super) fn receive<M: DeserializeOwned>(&mut self) -> io::Result<Received<M>> {
        let begun = Instant::now();
        loop {
            if let Some((message, bytes)) = self.take()? {
                return Ok(Received::Message(message, bytes));
            }
            let is_late = || self.limit.is_some_and(|limit| begun.elapsed() >= limit);
            let read = || match self.stream.read(&mut self.read) {
                // After an interruption, the system restarts the time limit.
                Err(error) if error.kind() == io::ErrorKind::Interrupted && is_late() => {
                    Err(io::ErrorKind::TimedOut.into())
                }
                outcome => outcome,
            };
            match uninterrupted(read) {
                Ok(0) => return Ok(Received::Closed),
                Ok(length) => self.buffer.extend_from_slice(&self.read[..length]),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        return Ok(Received::Nothing);
                    }
                    // The other end was closed while data was on its way to it.
                    io::ErrorKind::ConnectionReset => return Ok(Received::Closed),
                    _ => return Err(error),
                },
            }
        }
    }

    /// Takes the first message from the buffer, if it is complete.
    fn take<M: DeserializeOwned>(&mut self) -> io::Result<Option<(M, Vec<u8>)>> {
        let unread = &self.buffer[self.start..];
        let Some((head, rest)) = unread.split_first_chunk::<HEAD_BYTES>() else {
            return Ok(None);
        };
        let (message_bytes, bytes) = lengths(*head)?;
        let whole = message_bytes.saturating_add(bytes);
        let Some(frame) = rest.get(..whole) else {
            return Ok(None);
        };
        let (message, bytes) = frame.split_at(message_bytes);
        let message = codec::decode(message).map_err(io::Error::other)?;
        let bytes = bytes.to_vec();
        self.start += HEAD_BYTES + whole;
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        } else if self.start > READ_BYTES {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        Ok(Some((message, bytes)))
    }
}

/// Returns the lengths of the message and of the attached bytes.
fn lengths(head: [u8; HEAD_BYTES]) -> io::Result<(usize, usize)> {
    let [a, b, c, d, bytes @ .., e, f, g, h] = head;
    if crc32fast::hash(&head[..LENGTHS_BYTES]) != u32::from_le_bytes([e, f, g, h]) {
        return Err(io::Error::other("what came is no message"));
    }
    let bytes = usize::try_from(u64::from_le_bytes(bytes)).map_err(io::Error::other)?;
    Ok((u32::from_le_bytes([a, b, c, d]) as usize, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(limit: Option<Duration>) -> (UnixStream, Receiver) {
        let (a, b) = UnixStream::pair().unwrap();
        (a, Receiver::new(b, limit).unwrap())
    }

    #[test]
    fn messages_come_whole_and_in_order() {
        let (stream, mut receiver) = pair(None);
        let sender = Sender::new(stream);
        let long = vec![7; 3 * READ_BYTES + 1];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..100 {
                    sender.send(&Command::Cancel(number), &[1, 2]).unwrap();
                    sender.send(&Command::Stage, &long).unwrap();
                }
                drop(sender);
            });
            for number in 0..100 {
                let received = receiver.receive::<Command>().unwrap();
                assert!(matches!(
                    received,
                    Received::Message(Command::Cancel(n), bytes) if n == number && bytes == [1, 2]
                ));
                let received = receiver.receive::<Command>().unwrap();
                assert!(matches!(
                    received,
                    Received::Message(Command::Stage, bytes) if bytes == long
                ));
            }
            let received = receiver.receive::<Command>().unwrap();
            assert!(matches!(received, Received::Closed));
        });
    }

    #[test]
    fn a_message_that_is_slow_to_come_is_not_lost() {
        let (mut stream, mut receiver) = pair(Some(Duration::from_millis(1)));
        let (copy, mut other) = UnixStream::pair().unwrap();
        let sender = Sender::new(copy);
        sender.send(&Command::Cancel(300), b"abc").unwrap();
        drop(sender);
        let mut frame = Vec::new();
        other.read_to_end(&mut frame).unwrap();
        for byte in &frame[..frame.len() - 1] {
            stream.write_all(&[*byte]).unwrap();
            let received = receiver.receive::<Command>().unwrap();
            assert!(matches!(received, Received::Nothing));
        }
        stream.write_all(&frame[frame.len() - 1..]).unwrap();
        let received = receiver.receive::<Command>().unwrap();
        assert!(
            matches!(received, Received::Message(Command::Cancel(300), bytes) if bytes == b"abc")
        );
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for garbage in [&[255; 20][..], &[0; 20], &[1; 20], b"GET / HTTP/1.1\r\n"] {
            // The receiver must not wait for more, although the other end stays open.
            let (mut stream, mut receiver) = pair(None);
            stream.write_all(garbage).unwrap();
            let error = receiver.receive::<Command>().unwrap_err();
            assert!(error.to_string().contains("no message"), "{error}");
        }
    }
}
