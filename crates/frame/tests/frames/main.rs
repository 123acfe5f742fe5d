//! Frames on all executors.

mod bags;
mod files;
mod index;
mod jobs;
mod queries;
mod writing;

use std::fs;
use std::path::{Path, PathBuf};

use holdall::{Context, ContextBuilder, Executor};
use holdall_frame::{CsvReader, Frame};
use tempfile::TempDir;

/// Entry point of worker processes.
#[test]
fn holdall_worker() {
    holdall::init();
}

fn on(executor: Executor) -> ContextBuilder {
    Context::builder().executor(executor).progress(false)
}

/// Runs `behaviour` on each executor, and with little memory.
fn on_every_executor(behaviour: impl Fn(&Context)) {
    for builder in [
        on(Executor::Inline),
        on(Executor::Threads(2)),
        on(Executor::Threads(2)).memory("4MiB"),
        on(Executor::Processes(2)).memory("64MiB"),
    ] {
        behaviour(&builder.build().expect("the settings are right"));
    }
}

/// A temporary directory with files.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).expect("the file can be written");
        self.path(name)
    }

    /// Writes a file for each of `days` days, each with `rows` rows, which are sorted by their time.
    fn days(&self, days: usize, rows: usize) -> PathBuf {
        for day in 1..=days {
            let mut text = "time,carrier,delay\n".to_owned();
            for row in 0..rows {
                let (hour, minute) = (row * 24 / rows, row % 60);
                let (carrier, delay) = (["AA", "B6", "UA"][row % 3], row as i64 % 100 - 20);
                // Within an hour, the time is the same.
                let minute = if rows <= 24 { minute } else { 0 };
                let time = format!("2013-03-{day:02}T{hour:02}:{minute:02}:00Z");
                text += &format!("{time},{carrier},{delay}\n");
            }
            self.write(&format!("2013-03-{day:02}.csv"), &text);
        }
        self.path("2013-03-*.csv")
    }
}

fn read_csv(context: &Context, files: impl AsRef<Path>) -> Frame {
    let read = CsvReader::new().context(context).read(files.as_ref());
    read.expect("the files are CSV")
}
