//! Reads a range of a file on a thread of its own, ahead of the task that uses the bytes.

use std::io::{self, Read};
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::{Builder, JoinHandle};

use super::range_reader::{RangeReader, RemoteFile};

/// Maximum size of the chunks that the thread passes on, in bytes. Larger chunks need fewer wake-ups; smaller ones let
/// the task begin earlier.
const MAX_CHUNK_BYTES: usize = 256 << 10;
const MIN_CHUNK_BYTES: usize = 4 << 10;

/// A thread that reads ahead. Dropping it waits until the thread has ended.
pub(super) struct ReadAhead {
    /// `None` once the thread must end.
    chunks: Option<Receiver<io::Result<Vec<u8>>>>,
    chunk: io::Cursor<Vec<u8>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ReadAhead {
    /// Starts to read a range. At most `bytes` bytes, and at least two small chunks, are in memory at any time.
    ///
    /// # Errors
    ///
    /// Returns an error if the thread cannot be started.
    pub(super) fn start(file: RemoteFile, range: Range<u64>, bytes: usize) -> io::Result<Self> {
        // One chunk is with the task, one with the thread, and the others are in the channel.
        let chunk_bytes = (bytes / 4).clamp(MIN_CHUNK_BYTES, MAX_CHUNK_BYTES);
        let (send, chunks) = sync_channel((bytes / chunk_bytes).saturating_sub(2));
        let (stop, stopped) = channel();
        let read = move || {
            let mut reader = RangeReader::new(file, range, Some(stopped));
            loop {
                let mut chunk = Vec::with_capacity(chunk_bytes);
                let outcome = reader
                    .by_ref()
                    .take(chunk_bytes as u64)
                    .read_to_end(&mut chunk);
                let is_end = outcome.is_err() || chunk.is_empty();
                if !chunk.is_empty() && send.send(Ok(chunk)).is_err() {
                    return;
                }
                if let Err(error) = outcome {
                    // If this fails, the task has ended.
                    _ = send.send(Err(error));
                }
                if is_end {
                    return;
                }
            }
        };
        let thread = Builder::new()
            .name("holdall-read-ahead".to_owned())
            .spawn(read)?;
        Ok(Self {
            chunks: Some(chunks),
            chunk: io::Cursor::default(),
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Read for ReadAhead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.chunk.read(out)?;
            if read > 0 || out.is_empty() {
                return Ok(read);
            }
            match self.chunks.as_ref().map(Receiver::recv) {
                Some(Ok(chunk)) => self.chunk = io::Cursor::new(chunk?),
                _ => {
                    self.chunks = None;
                    if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
                        resume_unwind(panic);
                    }
                    return Ok(0);
                }
            }
        }
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.chunks = None;
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread no longer matters: the task has ended.
            _ = thread.join();
        }
    }
}
