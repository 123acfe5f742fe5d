//! Forwards the output of workers to the output of the driver, line by line, each labelled with its worker.

use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::storage::file::uninterrupted;

/// Maximum length of a labelled line, in bytes. Longer lines are split.
const LONGEST_LINE_BYTES: usize = 64 << 10;

/// Size of the output before the first mark that is kept, in bytes. It appears in the error if a worker never becomes
/// ready.
const KEPT_BYTES: usize = 1 << 10;

/// Maximum time to wait for the output of a worker.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Standard output or standard error of a worker.
#[derive(Debug)]
pub(super) struct WorkerOutput(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    marks: usize,
    is_closed: bool,
    /// End of the output before the first mark.
    before: Vec<u8>,
}

impl WorkerOutput {
    /// Forwards the lines from `from` to the writer that `to` returns, with `label` before each line. Drops `mark`, and
    /// everything before its first occurrence.
    pub(super) fn pass_on<W: Write>(
        mut from: impl Read + Send + 'static,
        label: String,
        mark: String,
        to: impl Fn() -> W + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut lines = Lines::new(label, mark);
        let output = Self(Arc::clone(&shared));
        let pass_on = move || {
            let mut buffer = vec![0; 8 << 10];
            let mut labelled = Vec::new();
            loop {
                let length = uninterrupted(|| from.read(&mut buffer)).unwrap_or(0);
                let marks = lines.push(&buffer[..length], &mut labelled);
                if length == 0 {
                    lines.end(&mut labelled);
                }
                // A program may hold the lock of its standard output while a job runs. So lock it only to write something.
                if !labelled.is_empty() {
                    // Ignore errors: the reader may have ended, as after `| head`.
                    let _ = to().write_all(&labelled).and_then(|()| to().flush());
                    labelled.clear();
                }
                let mut state = shared.lock();
                state.marks += marks;
                state.is_closed = length == 0;
                if !lines.has_begun {
                    state.before.clone_from(&lines.line);
                }
                drop(state);
                shared.changed.notify_all();
                if length == 0 {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("holdall-output".to_owned())
            .spawn(pass_on)?;
        Ok(output)
    }

    /// Waits until all output before mark number `marks`, counted from 1, has been forwarded, or all output if `marks`
    /// is `None`. Returns `false` after a timeout, because another process may keep the output open.
    pub(super) fn wait_for(&self, marks: Option<usize>) -> bool {
        let deadline = Instant::now() + TIMEOUT;
        let mut state = self.0.lock();
        let is_there = |state: &State| marks.is_some_and(|marks| state.marks >= marks);
        while !state.is_closed && !is_there(&state) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return false;
            };
            let waited = self.0.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Returns the last line before the first mark.
    pub(super) fn last_words(&self) -> Option<String> {
        let state = self.0.lock();
        let text = String::from_utf8_lossy(&state.before);
        let line = text.lines().rfind(|line| !line.trim().is_empty());
        line.map(str::to_owned)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Labels lines.
struct Lines {
    label: String,
    mark: String,
    /// The current, incomplete line. Before the first mark: the end of the output so far.
    line: Vec<u8>,
    has_begun: bool,
}

impl Lines {
    fn new(label: String, mark: String) -> Self {
        Self {
            label,
            mark,
            line: Vec::new(),
            has_begun: false,
        }
    }

    /// Appends complete lines to `output`, and returns the number of marks among them.
    fn push(&mut self, bytes: &[u8], output: &mut Vec<u8>) -> usize {
        let mut marks = 0;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                marks += usize::from(self.end_line(output));
            } else if self.has_begun && self.line.len() > LONGEST_LINE_BYTES {
                // The end of the buffer may be the start of a mark.
                let rest = self.line.split_off(self.line.len() - self.mark.len());
                self.put(output);
                self.line = rest;
            } else if !self.has_begun {
                self.forget();
            }
        }
        marks
    }

    /// Ends a line. Returns whether it is a mark.
    fn end_line(&mut self, output: &mut Vec<u8>) -> bool {
        let without_break = &self.line[..self.line.len() - 1];
        let Some(before) = without_break.strip_suffix(self.mark.as_bytes()) else {
            if self.has_begun {
                self.line.pop();
                self.put(output);
            } else {
                self.forget();
            }
            return false;
        };
        // Text without a line break before the mark must not be joined to the next line.
        self.line.truncate(before.len());
        if self.has_begun && !self.line.is_empty() {
            self.put(output);
        }
        self.line.clear();
        self.has_begun = true;
        true
    }

    /// Outputs the last line, even if it has no line break.
    fn end(&mut self, output: &mut Vec<u8>) {
        if self.has_begun && !self.line.is_empty() {
            self.put(output);
        }
    }

    /// Outputs the line with its label.
    fn put(&mut self, output: &mut Vec<u8>) {
        output.extend_from_slice(self.label.as_bytes());
        output.append(&mut self.line);
        output.push(b'\n');
    }

    fn forget(&mut self) {
        let surplus = self.line.len().saturating_sub(KEPT_BYTES);
        self.line.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the output for `pieces`, and the number of marks in each piece.
    fn printed(pieces: &[&str]) -> (String, Vec<usize>) {
        let mut lines = Lines::new("[w] ".to_owned(), "MARK".to_owned());
        let mut output = Vec::new();
        let pieces = pieces.iter();
        let marks = pieces.map(|piece| lines.push(piece.as_bytes(), &mut output));
        let marks = marks.collect();
        lines.end(&mut output);
        (String::from_utf8(output).unwrap(), marks)
    }

    #[test]
    fn each_line_has_its_label_however_it_comes() {
        let text = "MARK\none\n\ntwo";
        let whole = "[w] one\n[w] \n[w] two\n";
        assert_eq!(printed(&[text]), (whole.to_owned(), vec![1]));
        let bytes: Vec<_> = text.split_inclusive(|_| true).collect();
        assert_eq!(printed(&bytes).0, whole);
    }

    #[test]
    fn what_comes_before_the_first_mark_is_dropped() {
        let (text, marks) = printed(&["\nrunning 1 test\n", "test x ... MARK\na\nb", "MARK\nc\n"]);
        assert_eq!(text, "[w] a\n[w] b\n[w] c\n");
        assert_eq!(marks, [0, 1, 1]);
        assert_eq!(printed(&["never begun\n"]).0, "");
    }

    #[test]
    fn a_line_without_end_is_printed_in_pieces() {
        let long = "x".repeat(LONGEST_LINE_BYTES + 100);
        let (text, marks) = printed(&["MARK\n", &long, "MARK\n"]);
        assert_eq!(marks, [1, 0, 1]);
        assert_eq!(text.matches('x').count(), long.len());
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| line.starts_with("[w] x")));
    }

    #[test]
    fn marks_alone_do_not_wait_for_the_writer() {
        let (reader, mut writer) = io::pipe().unwrap();
        let to = || -> io::Sink { panic!("there is nothing to write") };
        let output = WorkerOutput::pass_on(reader, "> ".to_owned(), "MARK".to_owned(), to).unwrap();
        write!(writer, "noise\nMARK\nMARK\n").unwrap();
        assert!(output.wait_for(Some(2)));
    }

    #[test]
    fn who_waits_for_a_mark_sees_what_came_before_it() {
        let (reader, mut writer) = io::pipe().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        struct Sink(Arc<Mutex<Vec<u8>>>);
        impl Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let to = move || Sink(Arc::clone(&sink));
        let output = WorkerOutput::pass_on(reader, "> ".to_owned(), "MARK".to_owned(), to).unwrap();
        write!(writer, "noise\nMARK\na\nMARK\n").unwrap();
        output.wait_for(Some(2));
        assert_eq!(*seen.lock().unwrap(), b"> a\n");
        write!(writer, "b").unwrap();
        drop(writer);
        output.wait_for(None);
        assert_eq!(*seen.lock().unwrap(), b"> a\n> b\n");
    }
}
