//! The port of the driver, to which agents connect.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use holdall::executor::Home;
use tokio::io::ReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::session::{AgentState, Session};
use crate::message::{self, Hello, ToAgent, ToDriver};
use crate::net::{self, Stream};
use crate::tls::Security;
use crate::transfer;

/// Interval of signs of life.
const TICK: Duration = Duration::from_millis(500);

/// The open port.
pub(super) struct Listener {
    pub(super) port: u16,
    listener: TcpListener,
}

/// Accepts connections until it is dropped.
pub(super) struct Serving(AbortHandle);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the connections to the driver share.
pub(super) struct Reception {
    /// The name of the session, which agents must know.
    pub(super) id: String,
    /// Home of the driver's own files.
    pub(super) home: Home,
    pub(super) session: Arc<Session>,
    pub(super) security: Security,
    pub(super) patience: Duration,
}

impl Listener {
    /// Opens the port at `address`, or any free one if `port` is 0.
    pub(super) fn open(address: IpAddr, port: u16) -> io::Result<Self> {
        let listener = net::wait_for(TcpListener::bind((address, port)))??;
        Ok(Self {
            port: listener.local_addr()?.port(),
            listener,
        })
    }

    /// Accepts connections until the result is dropped.
    pub(super) fn serve(self, reception: Reception) -> io::Result<Serving> {
        let serve = listen(self.listener, Arc::new(reception));
        Ok(Serving(net::runtime()?.spawn(serve).abort_handle()))
    }
}

async fn listen(listener: TcpListener, reception: Arc<Reception>) {
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                let reception = Arc::clone(&reception);
                // The connection ends with an error when the other process closes it.
                tokio::spawn(async move { _ = reception.serve(tcp).await });
            }
            // There may be too many open files at the moment.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

impl Reception {
    async fn serve(&self, tcp: TcpStream) -> io::Result<()> {
        let (stream, hello) = net::accept(tcp, &self.security, self.patience).await?;
        match hello {
            Hello::Agent { session, home } if session == self.id => {
                let home = Home::new(&home);
                self.serve_agent(&home, stream).await;
                self.session.lose(&home);
                Ok(())
            }
            Hello::Worker {
                session,
                number,
                mark,
            } if session == self.id => {
                let (here, there) = std::os::unix::net::UnixStream::pair()?;
                self.session.change(|state| {
                    if let Some(arriving) = state.arriving.get_mut(&number) {
                        arriving.channel = Some((here, mark));
                    }
                });
                net::relay(stream, there).await
            }
            Hello::Output {
                session,
                number,
                stream: index,
            } if session == self.id && index < 2 => {
                let (here, there) = std::os::unix::net::UnixStream::pair()?;
                self.session.change(|state| {
                    if let Some(arriving) = state.arriving.get_mut(&number) {
                        arriving.outputs[index] = Some(here);
                    }
                });
                net::relay(stream, there).await
            }
            Hello::Files { home } if home == self.home.name() => {
                transfer::serve(stream, None).await
            }
            _ => Ok(()),
        }
    }

    /// Serves the line of an agent until it ends, or the agent is silent for too long.
    async fn serve_agent(&self, home: &Home, stream: Stream) {
        let (line, mut to_agent) = mpsc::unbounded_channel();
        self.session.change(|state| {
            for shuffle in &state.shuffles {
                let _ = line.send(ToAgent::Shuffle(shuffle.clone()));
            }
            let agent = AgentState {
                line,
                slots: 0,
                workers: 0,
                is_leaving: false,
            };
            state.agents.insert(home.clone(), agent)
        });
        let (reader, mut writer) = tokio::io::split(stream);
        let (heard, mut from_agent) = mpsc::channel(1);
        let read = read(reader, heard);
        let serve = async {
            // A count and not a time, because this process may have been stopped in the meantime.
            let mut silences = 0;
            let mut ticks = interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let message = tokio::select! {
                    biased;
                    message = from_agent.recv() => match message {
                        Some(message) => {
                            silences = 0;
                            self.take(home, &message);
                            continue;
                        }
                        None => return,
                    },
                    message = to_agent.recv() => match message {
                        Some(message) => message,
                        // The machine counts as lost.
                        None => return,
                    },
                    _ = ticks.tick() => {
                        silences += 1;
                        if TICK * silences > self.patience {
                            return;
                        }
                        ToAgent::Ping
                    }
                };
                // An agent that is stopped does not read.
                let sent =
                    tokio::time::timeout(self.patience, message::send(&mut writer, &message));
                if !matches!(sent.await, Ok(Ok(()))) {
                    return;
                }
            }
        };
        tokio::select! {
            () = read => {}
            () = serve => {}
        }
    }

    /// Records what an agent has sent.
    fn take(&self, home: &Home, message: &ToDriver) {
        self.session.change(|state| {
            let Some(agent) = state.agents.get_mut(home) else {
                return;
            };
            match message {
                ToDriver::Slots(slots) => agent.slots = *slots,
                ToDriver::Leaving => agent.is_leaving = true,
                ToDriver::Ended(number, exit) => {
                    agent.workers = agent.workers.saturating_sub(1);
                    state.ended.insert(*number, *exit);
                }
                ToDriver::NotStarted(number, reason) => {
                    if let Some(arriving) = state.arriving.get_mut(number) {
                        arriving.failure = Some(reason.clone());
                    }
                }
                ToDriver::Pong => {}
            }
        });
    }
}

/// Passes on all messages of an agent. Receiving one cannot be interrupted.
async fn read(mut reader: ReadHalf<Stream>, heard: mpsc::Sender<ToDriver>) {
    while let Ok(message) = message::receive(&mut reader).await {
        if heard.send(message).await.is_err() {
            return;
        }
    }
    // The last messages are still on their way to the other half.
    drop(heard);
    std::future::pending().await
}
