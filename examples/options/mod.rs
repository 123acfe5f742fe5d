//! Command-line options of the examples. Most examples use only some of them.
#![allow(dead_code, reason = "each example uses only some of it")]

use std::error::Error;
use std::io;
use std::process::ExitCode;

use holdall::Context;

/// The words of the command line that have not been parsed yet.
pub(crate) struct Options {
    words: Vec<String>,
}

/// Runs `program` and reports its error, unless the reader of its output closed the pipe.
pub(crate) fn run(
    usage: &str,
    program: impl FnOnce(Options) -> Result<(), Box<dyn Error>>,
) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help") {
        eprintln!("{usage}");
        return ExitCode::SUCCESS;
    }
    match program(Options { words }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

impl Options {
    /// Returns the word after the option `name`, or `None` if the option is absent.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>, Box<dyn Error>> {
        let Some(at) = self.words.iter().position(|word| word == name) else {
            return Ok(None);
        };
        if at + 1 == self.words.len() {
            return Err(format!("{name} needs a value").into());
        }
        self.words.remove(at);
        Ok(Some(self.words.remove(at)))
    }

    pub(crate) fn number(&mut self, name: &str) -> Result<Option<usize>, Box<dyn Error>> {
        let number = self.value(name)?.map(|text| text.parse());
        number
            .transpose()
            .map_err(|error| format!("{name}: {error}").into())
    }

    /// Returns a context with the settings of `--executor` and `--memory`.
    pub(crate) fn context(&mut self) -> Result<Context, Box<dyn Error>> {
        let mut builder = Context::builder();
        if let Some(executor) = self.value("--executor")? {
            builder = builder.executor(executor.parse()?);
        }
        if let Some(size) = self.value("--memory")? {
            builder = builder.memory(size);
        }
        Ok(builder.build()?)
    }

    /// Returns the remaining words. Fails if one of them is an option.
    pub(crate) fn rest(self) -> Result<Vec<String>, Box<dyn Error>> {
        match self.words.iter().find(|word| word.starts_with("--")) {
            Some(word) => Err(format!("unknown option {word}; see --help").into()),
            None => Ok(self.words),
        }
    }

    pub(crate) fn paths_or(self, default: &str) -> Result<Vec<String>, Box<dyn Error>> {
        let paths = self.rest()?;
        Ok(if paths.is_empty() {
            vec![default.to_owned()]
        } else {
            paths
        })
    }

    /// Like [`paths_or`](Self::paths_or), with a file or pattern in `datasets/` as the default.
    pub(crate) fn paths_or_dataset(self, name: &str) -> Result<Vec<String>, Box<dyn Error>> {
        self.paths_or(&format!("{}/datasets/{name}", env!("CARGO_MANIFEST_DIR")))
    }
}
