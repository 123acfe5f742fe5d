//! The loop of a worker process.

use std::env;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::{Arc, mpsc};
use std::thread;

use super::channel::{Command, Received, Receiver, Sender, WorkerMessage};
use super::token::DriverToken;
use crate::error::{Error, ErrorKind, Result};
use crate::executor::remote::{Canceller, Stage, TaskSpec, Worker, WorkerHome};
use crate::storage::codec;

/// Commands for the thread that runs tasks, in order.
enum Work {
    Stage(Vec<u8>),
    Task(TaskSpec),
    Mark,
    Exit,
}

/// Runs tasks for the driver at the other end of `channel`, until it receives the command to exit. The process then
/// ends; if the driver ends, the process ends immediately.
pub(super) fn work(
    number: usize,
    token: &DriverToken,
    channel: UnixStream,
    home: Option<WorkerHome>,
) -> ! {
    let mark = token.mark();
    let mut worker = match home {
        Some(home) => Worker::with_home(number, home),
        None => Worker::new(number),
    };
    let canceller = worker.canceller();
    let (send, work) = mpsc::channel();
    let streams = channel.try_clone().and_then(|copy| {
        let receiver = Receiver::new(channel, None)?;
        let sender = Arc::new(Sender::new(copy));
        let events = Arc::clone(&sender);
        thread::Builder::new()
            .name("holdall-control".to_owned())
            .spawn(move || control(receiver, &events, &canceller, &send))?;
        Ok(sender)
    });
    let events = match streams {
        Ok(events) => events,
        Err(error) => refuse(&error),
    };
    print(&mark);
    tell(&events, &WorkerMessage::Ready, &[]);
    let mut stage = None;
    for work in work {
        match work {
            Work::Stage(bytes) => stage = Some(open(&bytes)),
            Work::Task(task) => {
                let outcome = run(&mut worker, stage.as_ref(), &task, &events);
                let event = outcome.map_or_else(WorkerMessage::Failed, WorkerMessage::Done);
                tell(&events, &event, &[]);
            }
            Work::Mark => print(&mark),
            Work::Exit => process::exit(0),
        }
    }
    vanish()
}

/// Ends a process that was started as a worker but cannot be one.
pub(super) fn refuse(error: &io::Error) -> ! {
    let _ = writeln!(
        io::stderr(),
        "holdall: this process was started as a worker, but {error}"
    );
    process::exit(1)
}

/// Decodes the stage that the driver has sent, and changes to its working directory.
fn open(bytes: &[u8]) -> Result<Stage> {
    let stage: Stage = codec::decode(bytes)?;
    if stage.directory.is_some() && stage.directory != env::current_dir().ok() {
        // If the directory no longer exists, operations on relative paths report the error.
        let _ = stage.directory.as_ref().map(env::set_current_dir);
    }
    Ok(stage)
}

fn run(
    worker: &mut Worker,
    stage: Option<&Result<Stage>>,
    task: &TaskSpec,
    events: &Sender,
) -> Result<crate::executor::remote::Report> {
    let refused = |reason: String| Error::new(ErrorKind::WorkerStart { reason });
    let stage = match stage {
        Some(Ok(stage)) => stage,
        Some(Err(error)) => return Err(refused(error.to_string())),
        None => return Err(refused("a task came without its stage".to_owned())),
    };
    worker.run(stage, task, &mut |partition, number, chunk| {
        tell(events, &WorkerMessage::Chunk { partition, number }, &chunk);
    })
}

/// Handles the commands of the driver while tasks run.
fn control(
    mut receiver: Receiver,
    events: &Sender,
    canceller: &Canceller,
    work: &mpsc::Sender<Work>,
) {
    while let Ok(Received::Message(command, bytes)) = receiver.receive() {
        let work_to_do = match command {
            Command::Begin(_) => continue,
            Command::Stage => Work::Stage(bytes),
            Command::Task(task) => Work::Task(task),
            Command::Mark => Work::Mark,
            Command::Exit => Work::Exit,
            Command::Cancel(stage) => {
                canceller.cancel(stage);
                continue;
            }
            Command::Ping => {
                tell(events, &WorkerMessage::Alive, &[]);
                continue;
            }
        };
        if work.send(work_to_do).is_err() {
            break;
        }
    }
    vanish()
}

/// Sends an event to the driver. Ends this process if the driver has ended.
fn tell(events: &Sender, event: &WorkerMessage, bytes: &[u8]) {
    if events.send(event, bytes).is_err() {
        vanish();
    }
}

/// Prints the mark after all earlier output.
fn print(mark: &str) {
    // If a closure has closed the stream, the driver does not wait for long.
    let _ = writeln!(io::stdout(), "{mark}").and_then(|()| io::stdout().flush());
    let _ = writeln!(io::stderr(), "{mark}");
}

/// Ends this process immediately, whatever its threads are doing: the driver has ended.
fn vanish() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    process::abort()
}
