//! Connections, encrypted if the machines share a token or have certificates.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::message::{self, Hello};
use crate::tls::Security;

/// Size of the buffers of a relay, in bytes.
const RELAY_BYTES: usize = 64 << 10;

/// A connection.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// A connection of either kind.
pub(crate) type Stream = Box<dyn Duplex>;

/// Returns the runtime that serves the connections of this process.
///
/// # Errors
///
/// Returns an error if its threads cannot be started.
pub(crate) fn runtime() -> io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let mut builder = Builder::new_multi_thread();
    let runtime = builder
        .enable_all()
        .thread_name("holdall-cluster")
        .build()?;
    // If another thread was faster, that runtime is used, and this one ends without having done anything.
    Ok(RUNTIME.get_or_init(|| runtime))
}

/// Runs a future on the runtime, and waits for its value. The calling thread may belong to another runtime.
///
/// # Errors
///
/// Returns an error if the future panics.
pub(crate) fn wait_for<F>(future: F) -> io::Result<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let (send, receive) = mpsc::channel();
    runtime()?.spawn(async move { _ = send.send(future.await) });
    receive.recv().map_err(io::Error::other)
}

/// Connects to the process at `address`, and sends `hello`.
///
/// # Errors
///
/// Returns an error if that takes longer than `limit`, or if the process is not trusted.
pub(crate) async fn connect(
    address: &str,
    security: &Security,
    hello: &Hello,
    limit: Duration,
) -> io::Result<Stream> {
    let connect = async {
        let tcp = net::TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let mut stream: Stream = match security {
            Security::Loopback => Box::new(tcp),
            Security::Tls(tls) => {
                let connector = TlsConnector::from(Arc::clone(&tls.client));
                Box::new(connector.connect(tls.server_name(address)?, tcp).await?)
            }
        };
        message::send(&mut stream, hello).await?;
        Ok(stream)
    };
    timeout(limit, connect)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Accepts a connection, and receives its first message.
///
/// # Errors
///
/// Returns an error if that takes longer than `limit`, or if the peer is not trusted.
pub(crate) async fn accept(
    tcp: net::TcpStream,
    security: &Security,
    limit: Duration,
) -> io::Result<(Stream, Hello)> {
    let accept = async {
        tcp.set_nodelay(true)?;
        let mut stream: Stream = match security {
            Security::Loopback => Box::new(tcp),
            Security::Tls(tls) => {
                let acceptor = TlsAcceptor::from(Arc::clone(&tls.server));
                Box::new(acceptor.accept(tcp).await?)
            }
        };
        let hello = message::receive(&mut stream).await?;
        Ok((stream, hello))
    };
    timeout(limit, accept)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Passes on all bytes in both directions until both ends are closed, or one is broken.
pub(crate) async fn relay(mut stream: Stream, channel: UnixStream) -> io::Result<()> {
    channel.set_nonblocking(true)?;
    let mut channel = net::UnixStream::from_std(channel)?;
    let (a, b) = (RELAY_BYTES, RELAY_BYTES);
    tokio::io::copy_bidirectional_with_sizes(&mut stream, &mut channel, a, b).await?;
    Ok(())
}

/// A connection for blocking calls.
pub(crate) trait BlockingDuplex: Read + Write + Send {}

impl<S: Read + Write + Send> BlockingDuplex for S {}

/// Like [`connect`], for blocking calls, each of which takes at most `limit`.
///
/// # Errors
///
/// Returns an error if the process cannot be reached or is not trusted.
pub(crate) fn connect_blocking(
    address: &str,
    security: &Security,
    hello: &Hello,
    limit: Duration,
) -> io::Result<Box<dyn BlockingDuplex>> {
    let mut outcome = Err(io::Error::other("the name has no address"));
    for target in address.to_socket_addrs()? {
        outcome = TcpStream::connect_timeout(&target, limit);
        if outcome.is_ok() {
            break;
        }
    }
    let tcp = outcome?;
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(limit))?;
    tcp.set_write_timeout(Some(limit))?;
    let mut stream: Box<dyn BlockingDuplex> = match security {
        Security::Loopback => Box::new(tcp),
        Security::Tls(tls) => {
            let name = tls.server_name(address)?;
            let connection = ClientConnection::new(Arc::clone(&tls.client), name);
            Box::new(StreamOwned::new(connection.map_err(io::Error::other)?, tcp))
        }
    };
    stream.write_all(&message::encoded(hello)?)?;
    stream.flush()?;
    Ok(stream)
}
