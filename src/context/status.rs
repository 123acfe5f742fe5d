//! The status page, the trace and the report of a context.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Context, ContextBuilder, Shared};
use crate::config::Executor;
use crate::events::GuardedObserver;
use crate::executor::AnyExecutor;
use crate::status::FollowedResources;
use crate::task::Progress;

impl Shared {
    /// Adds the observers of a new job to `observers`.
    pub(super) fn observe(
        &self,
        progress: &Arc<Progress>,
        observers: &mut Vec<Arc<GuardedObserver>>,
    ) {
        if self.status.is_empty() {
            return;
        }
        let executor = match &self.executor {
            AnyExecutor::Remote(_) if self.config.executor == Executor::default() => {
                format!("custom executor, {} slots", self.executor.slots())
            }
            _ => self.config.executor.to_string(),
        };
        let resources = FollowedResources {
            progress: Arc::clone(progress),
            budget: self.budget.clone(),
            executor: executor.into(),
        };
        self.status.observe(&resources, observers);
    }
}

impl Context {
    /// Returns the URL of the [status page](crate::guide::status), or `None` if it is not served.
    ///
    /// # Examples
    ///
    /// ```
    /// let context = holdall::Context::builder().status("127.0.0.1:0").build()?;
    /// let url = context.status_url().unwrap();
    /// assert!(url.starts_with("http://127.0.0.1:"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn status_url(&self) -> Option<String> {
        self.shared.as_ref()?.status.url()
    }
}

impl ContextBuilder {
    /// Serves a [status page](crate::guide::status) for the jobs of this context, at an address with a port. Port 0
    /// stands for any free one; [`status_url`](Context::status_url) returns which. The page ends with the context.
    /// Default: no page.
    ///
    /// The page shows paths and error messages to everyone who can reach the address, so use an address of the loopback
    /// interface unless all of them may see these. It changes nothing in your program.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) returns [`StatusPage`](crate::ErrorKind::StatusPage) if the address is invalid or in use.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use std::net::TcpStream;
    ///
    /// let context = holdall::Context::builder().status("127.0.0.1:0").build()?;
    /// assert_eq!(context.range(0..1000).count()?, 1000);
    ///
    /// let url = context.status_url().unwrap();
    /// let address = url.trim_start_matches("http://").trim_end_matches('/');
    /// let mut stream = TcpStream::connect(address).unwrap();
    /// write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    /// let mut answer = String::new();
    /// stream.read_to_string(&mut answer).unwrap();
    /// assert!(answer.contains("holdall_jobs_total{outcome=\"completed\"} 1\n"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn status(mut self, address: impl Into<String>) -> Self {
        self.status.address = Some(address.into());
        self
    }

    /// Writes a Chrome trace of the jobs of this context to a file, which is replaced if it exists. Perfetto and
    /// `chrome://tracing` open it. Default: no trace.
    ///
    /// The file is complete whenever no job runs. It grows by about 300 bytes for each batch of tasks. If it cannot be
    /// written, a message is printed to standard error, and the jobs go on.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) returns [`Io`](crate::ErrorKind::Io) if the file cannot be created.
    ///
    /// # Examples
    ///
    /// ```
    /// let directory = tempfile::tempdir().unwrap();
    /// let path = directory.path().join("trace.json");
    /// let context = holdall::Context::builder().trace(&path).build()?;
    /// assert_eq!(context.range(0..1000).count()?, 1000);
    /// let events: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    /// assert!(events.iter().any(|event| event["name"] == "stage 1 (range)"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn trace(mut self, path: impl Into<PathBuf>) -> Self {
        self.status.trace = Some(path.into());
        self
    }

    /// Writes a report of the jobs of this context to a file, which is replaced if it exists. The report is one HTML
    /// file that shows what the [status page](crate::guide::status) shows. Default: no report.
    ///
    /// It is written when the context is dropped, when the process ends by returning from `main` or by `exit`, and
    /// after jobs, but at most once a second. If it cannot be written, a message is printed to standard error, and the
    /// jobs go on.
    ///
    /// # Errors
    ///
    /// [`build`](Self::build) returns [`Io`](crate::ErrorKind::Io) if the file cannot be created.
    ///
    /// # Examples
    ///
    /// ```
    /// let directory = tempfile::tempdir().unwrap();
    /// let path = directory.path().join("report.html");
    /// let context = holdall::Context::builder().report(&path).build()?;
    /// assert_eq!(context.range(0..1000).count()?, 1000);
    /// drop(context);
    /// assert!(std::fs::read_to_string(path).unwrap().starts_with("<!doctype html>"));
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn report(mut self, path: impl Into<PathBuf>) -> Self {
        self.status.report = Some(path.into());
        self
    }
}
