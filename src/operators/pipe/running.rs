//! A running program, whose input is written and whose output is read by one thread.
//!
//! A program may write before it has read all of its input, and then waits until its output is read. So neither side
//! may ever block: `poll` waits until the program takes input or has written output.

use std::io::{self, ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::task::Flow;

/// Number of bytes of input that are collected before they are written. Larger values mean fewer system calls; a pipe
/// usually holds 64 KiB.
pub(super) const INPUT_BYTES: usize = 64 << 10;

/// Number of bytes of output that are read at once.
const OUTPUT_BYTES: usize = 64 << 10;

/// Maximum number of bytes of the end of standard error that an error contains.
const STDERR_BYTES: usize = 4 << 10;

/// Time after which a wait for the program ends, so that the caller can check whether the job has been stopped, or the
/// program has ended although another one still holds its output open. Smaller values cost more wake-ups.
const WAIT_NANOSECONDS: i64 = 20_000_000;

pub(super) struct RunningProgram {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    input: Vec<u8>,
    /// Number of bytes of the input that have been written.
    written: usize,
    is_input_complete: bool,
    buffer: Vec<u8>,
    /// The end of standard error.
    tail: Vec<u8>,
}

impl RunningProgram {
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command.spawn()?;
        let running = Self {
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            child,
            input: Vec::new(),
            written: 0,
            is_input_complete: false,
            buffer: vec![0; OUTPUT_BYTES],
            tail: Vec::new(),
        };
        let Self {
            stdin,
            stdout,
            stderr,
            ..
        } = &running;
        if let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) {
            rustix::io::ioctl_fionbio(stdin, true)?;
            rustix::io::ioctl_fionbio(stdout, true)?;
            rustix::io::ioctl_fionbio(stderr, true)?;
        }
        Ok(running)
    }

    /// Appends a line to the input.
    pub(super) fn add(&mut self, line: &[u8]) {
        self.input.extend_from_slice(line);
        self.input.push(b'\n');
    }

    /// Returns the number of bytes of input that have not been written.
    pub(super) fn pending_bytes(&self) -> usize {
        self.input.len() - self.written
    }

    /// Returns `false` once the program has closed its input.
    pub(super) fn reads_input(&self) -> bool {
        self.stdin.is_some()
    }

    /// Announces that there is no more input.
    pub(super) fn end_input(&mut self) {
        self.is_input_complete = true;
        self.close_input_at_end();
    }

    fn close_input_at_end(&mut self) {
        if self.is_input_complete && self.pending_bytes() == 0 {
            self.stdin = None;
        }
    }

    /// Waits a while, until the program takes input or has written output. Passes the output to `take`.
    pub(super) fn exchange(&mut self, take: &mut impl FnMut(&[u8]) -> Flow) -> io::Result<Flow> {
        let (may_write, may_read, has_errors) = self.wait()?;
        if may_write {
            self.write()?;
        }
        if has_errors {
            self.read_stderr()?;
        }
        if !may_read {
            return Ok(ControlFlow::Continue(()));
        }
        match read(&mut self.stdout, &mut self.buffer)? {
            Some(bytes) => Ok(take(&self.buffer[..bytes])),
            None => Ok(ControlFlow::Continue(())),
        }
    }

    /// Returns whether the program takes input, has written output, and has written to standard error.
    fn wait(&self) -> io::Result<(bool, bool, bool)> {
        let stdin = self.stdin.as_ref().filter(|_| self.pending_bytes() > 0);
        let stdin = stdin.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::OUT));
        let stdout = self.stdout.as_ref();
        let stdout = stdout.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
        let stderr = self.stderr.as_ref();
        let stderr = stderr.map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
        let (has_stdin, has_stdout, has_stderr) =
            (stdin.is_some(), stdout.is_some(), stderr.is_some());
        let mut pipes: Vec<_> = [stdin, stdout, stderr].into_iter().flatten().collect();
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: WAIT_NANOSECONDS,
        };
        match poll(&mut pipes, Some(&timeout)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok((false, false, false)),
            Err(error) => return Err(error.into()),
        }
        // Any event makes the next call return at once, also the end of the other side and an error.
        let mut ready = pipes.iter().map(|pipe| !pipe.revents().is_empty());
        let mut next = |is_open: bool| is_open && ready.next() == Some(true);
        Ok((next(has_stdin), next(has_stdout), next(has_stderr)))
    }

    fn write(&mut self) -> io::Result<()> {
        let Some(stdin) = &mut self.stdin else {
            return Ok(());
        };
        match stdin.write(&self.input[self.written..]) {
            Ok(bytes) => self.written += bytes,
            Err(error) if is_temporary(&error) => {}
            // The program has closed its input, or has ended. That is no error unless its status says so.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.written = self.input.len();
                self.stdin = None;
            }
            Err(error) => return Err(error),
        }
        // The pipe rarely has room for all of the input. Remove the written bytes once there are at least as many of
        // them as of the others, which have to be moved.
        if self.written >= self.pending_bytes() {
            self.input.drain(..self.written);
            self.written = 0;
        }
        self.close_input_at_end();
        Ok(())
    }

    fn read_stderr(&mut self) -> io::Result<()> {
        if let Some(bytes) = read(&mut self.stderr, &mut self.buffer)? {
            self.tail.extend_from_slice(&self.buffer[..bytes]);
            let excess = self.tail.len().saturating_sub(STDERR_BYTES);
            self.tail.drain(..excess);
        }
        Ok(())
    }

    /// Returns the exit status, once the program has ended and its output has been read to the end.
    pub(super) fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.stdout.is_some() {
            return Ok(None);
        }
        let Some(status) = self.child.try_wait()? else {
            return Ok(None);
        };
        // Another program may still hold standard error open, so this reads only the bytes that have arrived.
        while self.stderr.is_some() && self.wait()?.2 {
            self.read_stderr()?;
        }
        Ok(Some(status))
    }

    /// Returns the end of what the program has written to standard error.
    pub(super) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.tail).trim().to_owned()
    }
}

/// Kills the program unless it has ended.
impl Drop for RunningProgram {
    fn drop(&mut self) {
        // An error means that it has ended. A killed program ends at once, so waiting takes no time.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Reads the bytes that have arrived, and returns their number. Closes the pipe at its end.
fn read(pipe: &mut Option<impl Read>, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    let Some(open) = pipe else {
        return Ok(None);
    };
    match open.read(buffer) {
        Ok(0) => *pipe = None,
        Ok(bytes) => return Ok(Some(bytes)),
        Err(error) if is_temporary(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    /// A pipe holds less than what is written at once, so a part of the input is always left.
    #[test]
    fn the_input_in_memory_does_not_grow_with_what_has_been_written() {
        let mut command = Command::new("wc");
        command.arg("-c").stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = RunningProgram::start(&mut command).unwrap();
        let line = [b'x'; 1_000];
        let mut output = Vec::new();
        for _ in 0..20_000 {
            program.add(&line);
            while program.pending_bytes() >= INPUT_BYTES {
                let _ = program
                    .exchange(&mut |_| ControlFlow::Continue(()))
                    .unwrap();
            }
            assert!(program.input.len() <= 4 * INPUT_BYTES);
        }
        program.end_input();
        while program.status().unwrap().is_none() {
            let mut take = |bytes: &[u8]| {
                output.extend_from_slice(bytes);
                ControlFlow::Continue(())
            };
            let _ = program.exchange(&mut take).unwrap();
        }
        let output = String::from_utf8(output).unwrap();
        assert_eq!(output.trim(), (20_000 * 1_001).to_string());
    }
}
