//! A file that a task writes to a web server.

use std::io::{self, Write};
use std::mem;

use bytes::Bytes;
use futures_util::stream;
use holdall::files::{PendingFile, Token};
use reqwest::{Body, RequestBuilder};
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::JoinHandle;

use crate::requests::send;
use crate::runtime::{join, spawn, wait};
use crate::staged::Staged;

/// Size of the pieces in which a file is written, in bytes.
const PIECE_BYTES: usize = 256 << 10;

/// A file that a task sends to the server.
pub(crate) struct HttpFile {
    staged: Staged,
    /// Deletes the file.
    delete: RequestBuilder,
    piece: Vec<u8>,
    /// `None` once the file is complete.
    pieces: Option<Sender<io::Result<Bytes>>>,
    request: Option<JoinHandle<io::Result<()>>>,
}

impl HttpFile {
    /// Creates a file by the requests that write and delete it.
    pub(crate) fn create(write: RequestBuilder, delete: RequestBuilder, staged: Staged) -> Self {
        let (pieces, mut received) = channel(2);
        let body = stream::poll_fn(move |context| received.poll_recv(context));
        Self {
            staged,
            delete,
            piece: Vec::with_capacity(PIECE_BYTES),
            pieces: Some(pieces),
            request: Some(spawn(send(write.body(Body::wrap_stream(body))))),
        }
    }

    fn send_piece(&mut self) -> io::Result<()> {
        let piece = mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let sent = self
            .pieces
            .as_ref()
            .map(|pieces| pollster::block_on(pieces.send(Ok(piece.into()))));
        if let Some(Ok(())) = sent {
            return Ok(());
        }
        // The request has ended early.
        self.pieces = None;
        match self.request.take() {
            Some(mut request) => join(&mut request),
            None => Ok(()),
        }?;
        Err(io::Error::other("the server did not read the whole file"))
    }
}

impl Write for HttpFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() == PIECE_BYTES {
            self.send_piece()?;
        }
        let bytes = &bytes[..bytes.len().min(PIECE_BYTES - self.piece.len())];
        self.piece.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PendingFile for HttpFile {
    fn finish(mut self: Box<Self>) -> io::Result<Token> {
        self.send_piece()?;
        self.pieces = None;
        if let Some(mut request) = self.request.take() {
            join(&mut request)?;
        }
        Token::new(&self.staged)
    }
}

impl Drop for HttpFile {
    fn drop(&mut self) {
        // The end of the request without its last piece is an error to the server.
        if let Some(request) = self.request.take()
            && let Some(delete) = self.delete.try_clone()
        {
            request.abort();
            _ = wait(send(delete));
        }
    }
}
