//! Settings of a context, and the environment variables.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::storage::environment::temporary_directory;
pub(crate) use crate::storage::environment::variable;
use crate::storage::limits::default_budget_bytes;
use crate::storage::size::{EXPECTED as SIZE, parse_bytes};

/// Default number of partitions after a shuffle: enough for the cores of a large machine. It is the same on a small
/// one, so that the output does not depend on the machine.
const SHUFFLE_PARTITIONS: usize = 64;

/// Default time after which a silent worker counts as lost. A worker is silent only if it is stopped or hangs: while
/// its tasks run, another thread of it gives signs of life.
const WORKER_TIMEOUT: Duration = Duration::from_secs(10);

/// The threads or processes that run the tasks of a job.
///
/// Written as `inline`, `threads`, `threads:N`, `processes`, `processes:N` or as an address, on command lines and in the
/// [environment](crate#settings-and-environment). Results are the same on each.
///
/// # Examples
///
/// ```
/// use holdall::Executor;
///
/// assert_eq!("inline".parse::<Executor>()?, Executor::Inline);
/// assert_eq!("threads:4".parse::<Executor>()?, Executor::Threads(4));
/// assert_eq!(Executor::Threads(4).to_string(), "threads:4");
/// assert!("threads:0".parse::<Executor>().is_err());
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Executor {
    /// On the thread that calls the action, one task after the other. Serves as the reference, and for debugging.
    Inline,
    /// On rayon's global pool, which has a thread for each core, and on the thread that calls the action: `threads`. As
    /// many of them as the pool has run tasks at a time.
    #[default]
    GlobalThreads,
    /// On a separate pool with this many threads, and on the thread that calls the action: `threads:N`, or
    /// [`threads(n)`](crate::ContextBuilder::threads) of the builder. At most this many of them run tasks at a time. There
    /// may be up to 1,024.
    Threads(usize),
    /// In this many worker processes, which are your program, started again; see [worker
    /// processes](crate#worker-processes). `main` must begin with [`init`](crate::init). Linux only.
    Processes(usize),
    /// On the executor at this address, such as `ballista://host:50050`. Another crate has
    /// [registered](crate::executor::register) the scheme. To create the variant from a `String`, parse it.
    At(&'static str),
}

const EXECUTORS: &str = if cfg!(target_os = "linux") {
    "inline, threads, threads:N with N from 1 to 1024, processes, processes:N with N of 1 or more, or scheme://address"
} else {
    "inline, threads, threads:N with N from 1 to 1024, or scheme://address; processes need Linux"
};

const THREADS: &str = "a number from 1 to 1024";
const SUMMARY: &str = "0 or 1";
#[cfg(feature = "status")]
const STATUS: &str = "an address with a port, such as 127.0.0.1:8787";
#[cfg(not(feature = "status"))]
const STATUS: &str =
    "no value, because this program is built without the feature `status` of holdall";

/// Numbers of threads of a pool. Each thread that starts searches all others for work, so the time is quadratic: 0.3 s
/// of CPU time for 300 threads, and some seconds for the maximum.
const POOL_THREADS: RangeInclusive<usize> = 1..=1024;

impl Executor {
    /// Returns an error if no task could ever run, or if the threads would take long to start.
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Threads(threads) if !POOL_THREADS.contains(&threads) => {}
            Self::Processes(0) => {}
            Self::Processes(_) if !cfg!(target_os = "linux") => {}
            _ => return Ok(()),
        }
        Err(invalid("executor", &self.to_string(), EXECUTORS))
    }
}

impl FromStr for Executor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let executor = match text.split_once(':') {
            None if text == "inline" => Some(Self::Inline),
            None if text == "threads" => Some(Self::GlobalThreads),
            None if text == "processes" => Some(Self::Processes(cores())),
            Some(("threads", n)) => n.parse().ok().map(Self::Threads),
            Some(("processes", n)) => n.parse().ok().map(Self::Processes),
            Some((_, rest)) if rest.starts_with("//") => Some(Self::At(interned(text))),
            _ => None,
        };
        let executor = executor.filter(|executor| executor.check().is_ok());
        executor.ok_or_else(|| invalid("executor", text, EXECUTORS))
    }
}

impl fmt::Display for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline => f.write_str("inline"),
            Self::GlobalThreads => f.write_str("threads"),
            Self::Threads(threads) => write!(f, "threads:{threads}"),
            Self::Processes(workers) => write!(f, "processes:{workers}"),
            Self::At(address) => f.write_str(address),
        }
    }
}

/// Returns a copy of an address that is never freed, so that [`Executor`] stays `Copy`. Equal addresses share one copy.
fn interned(address: &str) -> &'static str {
    static ADDRESSES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut addresses = ADDRESSES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = addresses.get(address) {
        return known;
    }
    let copy: &'static str = address.to_owned().leak();
    addresses.insert(copy);
    copy
}

/// Maximum number of partitions that a method may be asked for. Each partition of a shuffle takes some 50 bytes before
/// there is a record, and a task even if it has none, so a much larger number would be no error of the job: it would
/// exhaust the memory, or never end.
pub(crate) const MAX_PARTITIONS: usize = 1 << 24;

/// Panics unless `partitions` is a number of partitions that a method may be asked for.
#[track_caller]
pub(crate) fn assert_partitions(partitions: usize) {
    assert!(partitions > 0, "records need a partition");
    assert!(
        partitions <= MAX_PARTITIONS,
        "at most {MAX_PARTITIONS} partitions, not {partitions}"
    );
}

/// Default number of worker processes: the number of cores.
fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// All settings of a context.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) executor: Executor,
    /// Number of threads, unless the executor specifies it.
    pub(crate) threads: Option<usize>,
    pub(crate) shuffle_partitions: usize,
    pub(crate) progress: bool,
    pub(crate) summary: bool,
    pub(crate) memory_bytes: usize,
    pub(crate) spill_directory: PathBuf,
    pub(crate) shuffle_directory: Option<PathBuf>,
    pub(crate) disk_quota_bytes: Option<u64>,
    /// Time after which a silent worker process counts as lost.
    pub(crate) worker_timeout: Duration,
    /// Maximum number of started jobs that run at the same time, if it is set.
    pub(crate) concurrent_jobs: Option<usize>,
    #[cfg(feature = "status")]
    pub(crate) status: StatusSettings,
}

/// The status page, the trace and the report.
#[cfg(feature = "status")]
#[derive(Clone, Debug, Default)]
pub(crate) struct StatusSettings {
    /// Address of the status page.
    pub(crate) address: Option<String>,
    pub(crate) trace: Option<PathBuf>,
    pub(crate) report: Option<PathBuf>,
}

impl Config {
    /// Returns the defaults, overridden by the environment variables.
    pub(crate) fn from_env() -> Result<Self> {
        Self::from_variables(variable)
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let text = |name, expected| {
            let text = variable(name).map(OsString::into_string).transpose();
            text.map_err(|value| invalid(name, &value.to_string_lossy(), expected))
        };
        let mut executor = Executor::default();
        if let Some(text) = text("HOLDALL_EXECUTOR", EXECUTORS)? {
            executor = text
                .parse()
                .map_err(|_| invalid("HOLDALL_EXECUTOR", &text, EXECUTORS))?;
        }
        let mut threads = None;
        if let Some(text) = text("HOLDALL_THREADS", THREADS)? {
            threads = text.parse().ok().filter(|n| POOL_THREADS.contains(n));
            if threads.is_none() {
                return Err(invalid("HOLDALL_THREADS", &text, THREADS));
            }
        }
        #[cfg(not(feature = "status"))]
        for name in ["HOLDALL_STATUS", "HOLDALL_TRACE", "HOLDALL_REPORT"] {
            if let Some(value) = variable(name) {
                return Err(invalid(name, &value.to_string_lossy(), STATUS));
            }
        }
        Ok(Self {
            executor,
            threads,
            shuffle_partitions: SHUFFLE_PARTITIONS,
            progress: true,
            summary: match text("HOLDALL_SUMMARY", SUMMARY)?.as_deref() {
                None | Some("0") => false,
                Some("1") => true,
                Some(text) => return Err(invalid("HOLDALL_SUMMARY", text, SUMMARY)),
            },
            memory_bytes: match text("HOLDALL_MEMORY", SIZE)? {
                Some(text) => parse_bytes("HOLDALL_MEMORY", &text)?.saturating_usize(),
                None => default_budget_bytes(),
            },
            spill_directory: variable("HOLDALL_SPILL_DIR")
                .map_or_else(temporary_directory, PathBuf::from),
            shuffle_directory: variable("HOLDALL_SHUFFLE").map(PathBuf::from),
            disk_quota_bytes: None,
            worker_timeout: WORKER_TIMEOUT,
            concurrent_jobs: None,
            #[cfg(feature = "status")]
            status: StatusSettings {
                address: text("HOLDALL_STATUS", STATUS)?,
                trace: variable("HOLDALL_TRACE").map(PathBuf::from),
                report: variable("HOLDALL_REPORT").map(PathBuf::from),
            },
        })
    }
}

fn invalid(setting: &'static str, value: &str, expected: &'static str) -> Error {
    Error::new(ErrorKind::InvalidSetting {
        setting,
        value: value.to_owned(),
        expected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Result<Config> {
        Config::from_variables(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_environment_chooses_the_executor() {
        let executor = |variables: &[_]| config(variables).unwrap().executor;
        assert_eq!(executor(&[]), Executor::GlobalThreads);
        assert_eq!(
            executor(&[("HOLDALL_EXECUTOR", "inline")]),
            Executor::Inline
        );
        assert_eq!(
            config(&[("HOLDALL_THREADS", "3")]).unwrap().threads,
            Some(3)
        );
        let both = [("HOLDALL_EXECUTOR", "threads:2"), ("HOLDALL_THREADS", "3")];
        assert_eq!(executor(&both), Executor::Threads(2));
    }

    #[test]
    fn an_executor_is_read_as_it_is_written() {
        let mut executors = vec![
            Executor::Inline,
            Executor::GlobalThreads,
            Executor::Threads(3),
            Executor::At("cluster://host:1?slots=2"),
        ];
        if cfg!(target_os = "linux") {
            executors.push(Executor::Processes(2));
        }
        for executor in executors {
            assert_eq!(executor.to_string().parse::<Executor>().unwrap(), executor);
        }
        assert!(Executor::Threads(1024).check().is_ok());
        let error = Executor::Processes(0).check().unwrap_err().to_string();
        assert!(error.contains("\"processes:0\""), "{error}");
    }

    #[test]
    fn a_directory_is_used_as_it_is() {
        let shuffle = ("HOLDALL_SHUFFLE", "s3://bucket/a b");
        let config = config(&[("HOLDALL_SPILL_DIR", "a b"), shuffle]).unwrap();
        assert_eq!(config.spill_directory, PathBuf::from("a b"));
        assert_eq!(config.shuffle_directory, Some(shuffle.1.into()));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_text_is_used_as_a_path_and_refused_as_anything_else() {
        use std::os::unix::ffi::OsStringExt;
        let value = OsString::from_vec(b"inline\xff".to_vec());
        let config = |variable: &'static str| {
            Config::from_variables(|name| (name == variable).then(|| value.clone()))
        };
        let directory = config("HOLDALL_SPILL_DIR").unwrap().spill_directory;
        assert_eq!(directory, PathBuf::from(value.clone()));
        for variable in [
            "HOLDALL_EXECUTOR",
            "HOLDALL_THREADS",
            "HOLDALL_MEMORY",
            "HOLDALL_SUMMARY",
        ] {
            let error = config(variable).unwrap_err().to_string();
            assert!(error.contains(variable), "{error}");
        }
    }

    #[cfg(not(feature = "status"))]
    #[test]
    fn variables_of_a_missing_feature_are_refused() {
        for variable in ["HOLDALL_STATUS", "HOLDALL_TRACE", "HOLDALL_REPORT"] {
            let error = config(&[(variable, "127.0.0.1:0")])
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(variable), "{error}");
            assert!(error.contains("without the feature `status`"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (variable, value) in [
            ("HOLDALL_EXECUTOR", "thread"),
            ("HOLDALL_EXECUTOR", "threads:0"),
            ("HOLDALL_EXECUTOR", "inline:2"),
            ("HOLDALL_EXECUTOR", "processes:0"),
            ("HOLDALL_EXECUTOR", "processes:two"),
            ("HOLDALL_THREADS", "many"),
            ("HOLDALL_THREADS", "0"),
            ("HOLDALL_EXECUTOR", "threads:1025"),
            ("HOLDALL_THREADS", "1025"),
        ] {
            let error = config(&[(variable, value)]).unwrap_err().to_string();
            assert!(error.contains(variable) && error.contains(value), "{error}");
        }
    }
}
