//! Serves the status page on threads of its own, so that it answers while all cores are busy.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::recorder::Recorder;
use super::request::read_request;
use super::response::Response;
use crate::error::{Error, ErrorKind, Result};

/// Maximum number of connections at a time. A browser opens at most six.
const MAX_CONNECTIONS: usize = 16;

/// Maximum time in which a response is received.
const SEND_TIME: Duration = Duration::from_secs(10);

/// Maximum time for which the rest of a request is read and ignored. If the connection ended before, the client might
/// not receive the response.
const IGNORE_TIME: Duration = Duration::from_secs(1);

/// Size of the parts in which a response is sent, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// Maximum size of the rest of a request that is read and ignored, in bytes.
const MAX_IGNORED_BYTES: usize = 64 << 10;

/// Time after which a connection is accepted again, if the system cannot.
const RETRY: Duration = Duration::from_millis(100);

/// The status page of the jobs that the recorder keeps. The page ends when this is dropped.
pub(super) struct StatusServer {
    address: SocketAddr,
    serving: Arc<Serving>,
}

/// State of the threads that serve.
struct Serving {
    recorder: Arc<Recorder>,
    connections: AtomicUsize,
    has_ended: AtomicBool,
}

impl StatusServer {
    /// Serves the jobs of `recorder` at an address with a port, as `HOST:PORT`.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::StatusPage`] if the address is invalid or in use.
    pub(super) fn start(address: &str, recorder: Arc<Recorder>) -> Result<Self> {
        let failed = |source| {
            Error::new(ErrorKind::StatusPage {
                address: address.to_owned(),
                source,
            })
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let serving = Arc::new(Serving {
            recorder,
            connections: AtomicUsize::new(0),
            has_ended: AtomicBool::new(false),
        });
        let server = Self {
            address: bound,
            serving: Arc::clone(&serving),
        };
        let accepting = thread::Builder::new().name("holdall-status".to_owned());
        let started = accepting.spawn(move || serving.accept(&listener));
        started.map_err(failed)?;
        Ok(server)
    }

    /// Returns the URL of the page on this machine.
    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.local_address())
    }

    /// Returns the address, or that of this machine if the server listens on all addresses.
    fn local_address(&self) -> SocketAddr {
        let mut address = self.address;
        match address {
            SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
                address.set_ip(Ipv4Addr::LOCALHOST.into());
            }
            SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
                address.set_ip(Ipv6Addr::LOCALHOST.into());
            }
            _ => {}
        }
        address
    }
}

impl Drop for StatusServer {
    fn drop(&mut self) {
        self.serving.has_ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts connections. If this fails, it ends with the next connection.
        let _ = TcpStream::connect_timeout(&self.local_address(), RETRY);
    }
}

impl Serving {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        loop {
            let accepted = listener.accept();
            if self.has_ended.load(Ordering::SeqCst) {
                return;
            }
            match accepted {
                Ok((stream, _)) => self.serve(stream),
                // For example, this process may have no file descriptors left.
                Err(_) => thread::sleep(RETRY),
            }
        }
    }

    /// Serves a connection on a thread of its own. If there are too many, or no thread can be started, it is closed.
    fn serve(self: &Arc<Self>, stream: TcpStream) {
        /// When dropped, also by unwinding, ends a connection.
        struct Open(Arc<Serving>);

        impl Drop for Open {
            fn drop(&mut self) {
                self.0.connections.fetch_sub(1, Ordering::SeqCst);
            }
        }

        let connections = self.connections.fetch_add(1, Ordering::SeqCst);
        let open = Open(Arc::clone(self));
        if connections >= MAX_CONNECTIONS {
            return;
        }
        let thread = thread::Builder::new().name("holdall-status".to_owned());
        let _ = thread.spawn(move || open.0.answer(stream));
    }

    /// Answers one request. Errors of the connection concern only its client.
    fn answer(&self, mut stream: TcpStream) {
        let (response, is_head) = match read_request(&mut stream) {
            None => return,
            Some(Ok(request)) => (Response::to(&request, &self.recorder), request.is_head),
            Some(Err(refusal)) => (Response::refused(refusal), false),
        };
        let _ = send(&mut stream, &response.to_bytes(is_head));
    }
}

fn send(stream: &mut TcpStream, response: &[u8]) -> io::Result<()> {
    let deadline = Instant::now() + SEND_TIME;
    for chunk in response.chunks(CHUNK_BYTES) {
        stream.set_write_timeout(Some(left_until(deadline)?))?;
        stream.write_all(chunk)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let deadline = Instant::now() + IGNORE_TIME;
    let mut ignored = [0; 1 << 10];
    let mut bytes = 0;
    while bytes < MAX_IGNORED_BYTES {
        stream.set_read_timeout(Some(left_until(deadline)?))?;
        match stream.read(&mut ignored)? {
            0 => break,
            read => bytes += read,
        }
    }
    Ok(())
}

fn left_until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}
