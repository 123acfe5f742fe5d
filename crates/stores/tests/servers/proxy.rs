//! A proxy that loses connections, answers with errors, and is slow.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Fate of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// The first request is answered with this status.
    Status(&'static str),
    /// The connection is cut after this number of bytes from the server.
    CutAfter(u64),
    /// The connection is cut after this number of bytes to the server.
    CutRequestAfter(u64),
    /// Everything arrives late. The connection is cut after some requests, so that the next one has another fault.
    Slow(u64),
}

/// A proxy in front of a server. The connections have the faults one after another. It ends with the test.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) fn start(server: &str, faults: &'static [Fault]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (server, count) = (server.to_owned(), Arc::clone(&connections));
        thread::spawn(move || {
            for client in listener.incoming() {
                let number = count.fetch_add(1, Ordering::Relaxed);
                let (server, fault) = (server.clone(), faults[number % faults.len()]);
                let Ok(client) = client else { continue };
                // The client sees what goes wrong.
                thread::spawn(move || _ = serve(client, &server, fault));
            }
        });
        Self {
            address,
            connections,
        }
    }

    /// Returns the number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn serve(client: TcpStream, server: &str, fault: Fault) -> io::Result<()> {
    let mut client = client;
    if let Fault::Status(status) = fault {
        // Enough of the request for an answer. The rest is lost with the connection.
        _ = client.read(&mut [0; 64 << 10])?;
        let answer = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        client.write_all(answer.as_bytes())?;
        client.shutdown(Shutdown::Write)?;
        // Without this, the system may reset the connection before the client has read the answer.
        client.set_read_timeout(Some(Duration::from_secs(5)))?;
        io::copy(&mut client, &mut io::sink())?;
        return Ok(());
    }
    let upstream = TcpStream::connect(server)?;
    let (to_server, to_client, pause) = match fault {
        Fault::CutAfter(bytes) => (u64::MAX, bytes, None),
        Fault::CutRequestAfter(bytes) => (bytes, u64::MAX, None),
        Fault::Slow(bytes) => (u64::MAX, bytes, Some(Duration::from_millis(100))),
        Fault::Status(_) => unreachable!("answered above"),
    };
    let (from_client, from_server) = (client.try_clone()?, upstream.try_clone()?);
    let requests = thread::spawn({
        let upstream = upstream.try_clone()?;
        move || pass(from_client, upstream, to_server, pause)
    });
    let passed = pass(from_server, client, to_client, pause);
    _ = upstream.shutdown(Shutdown::Both);
    _ = requests.join();
    passed
}

/// Copies up to `limit` bytes, and closes both sides.
fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    limit: u64,
    pause: Option<Duration>,
) -> io::Result<()> {
    let mut buffer = vec![0; 32 << 10];
    let mut left = limit;
    let outcome = loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(read) => read,
            Err(error) => break Err(error),
        };
        if let Some(pause) = pause {
            thread::sleep(pause);
        }
        let passed = read.min(usize::try_from(left).unwrap_or(usize::MAX));
        if let Err(error) = to.write_all(&buffer[..passed]) {
            break Err(error);
        }
        left -= passed as u64;
        if left == 0 {
            break Ok(());
        }
    };
    _ = to.shutdown(Shutdown::Both);
    _ = from.shutdown(Shutdown::Both);
    outcome
}
