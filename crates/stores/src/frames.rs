//! Readers of what requests receive piece by piece.

use std::io::{self, Read};
use std::pin::pin;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc::{Receiver, channel};

use crate::runtime::spawn;

/// Maximum number of pieces that wait for the reader. With fewer, the connection pauses more often; with more, a slow
/// reader needs more memory.
const WAITING: usize = 8;

/// Reads the pieces of a response.
pub(crate) struct Frames {
    frames: Receiver<io::Result<Bytes>>,
    frame: Bytes,
}

impl Frames {
    /// Receives the pieces of a stream. It ends when the reader is dropped.
    pub(crate) fn new(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        let (send, frames) = channel(WAITING);
        spawn(async move {
            let mut stream = pin!(stream);
            while let Some(frame) = stream.next().await {
                if send.send(frame).await.is_err() {
                    return;
                }
            }
        });
        Self {
            frames,
            frame: Bytes::new(),
        }
    }
}

impl Read for Frames {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.frame.is_empty() {
            match pollster::block_on(self.frames.recv()) {
                Some(frame) => self.frame = frame?,
                None => return Ok(0),
            }
        }
        let read = self.frame.len().min(out.len());
        self.frame.copy_to_slice(&mut out[..read]);
        Ok(read)
    }
}
