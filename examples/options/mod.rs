//! The command lines of the examples. Not each of them has all kinds of options.
#![allow(dead_code, reason = "what is unused differs from example to example")]

use std::error::Error;
use std::io;
use std::process::ExitCode;

use holdall::Context;

/// What stands on the command line and has not been asked for yet.
pub(crate) struct Options {
    words: Vec<String>,
}

/// Runs `program` and reports its error. A reader of its output that wants no more is no error.
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
    /// The word behind `name`, if `name` is there.
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

    /// A context as the options common to all examples say.
    pub(crate) fn context(&mut self) -> Result<Context, Box<dyn Error>> {
        let mut builder = Context::builder();
        if let Some(executor) = self.value("--executor")? {
            builder = builder.executor(executor.parse()?);
        }
        if let Some(size) = self.value("--memory")? {
            builder = builder.memory(bytes(&size)?);
        }
        Ok(builder.build()?)
    }

    /// What is left, which cannot be options.
    pub(crate) fn rest(self) -> Result<Vec<String>, Box<dyn Error>> {
        match self.words.iter().find(|word| word.starts_with("--")) {
            Some(word) => Err(format!("unknown option {word}; --help says what there is").into()),
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
}

/// A size such as `1000`, `512MiB` or `2G`: with a unit, in powers of 1024.
fn bytes(size: &str) -> Result<usize, Box<dyn Error>> {
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match size[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => {
            return Err(
                format!("--memory: cannot use {size:?}, expected a size such as 512MiB").into(),
            );
        }
    };
    let number: usize = digits
        .parse()
        .map_err(|error| format!("--memory: {error}"))?;
    Ok(number << shift)
}
