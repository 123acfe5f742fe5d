//! `parse_json`: parses each record as a JSON value. Narrow.

use std::fmt;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::counter::BadRecords;
use crate::error::Result;
use crate::pipeline::{Pipeline, Record, Text, TextSlice};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, Site, Task};
use crate::text::FlatJson;

/// The error of a text that is not JSON, or not that of the type.
///
/// It is the source of the [`ErrorKind::Closure`](crate::ErrorKind::Closure) that
/// [`parse_json`](crate::Bag::parse_json) returns.
#[derive(Debug)]
pub struct JsonError(serde_json::Error);

impl JsonError {
    /// Returns the column of the error in the record, in bytes, counted from 1. 0 if it is unknown.
    #[must_use]
    pub fn column(&self) -> usize {
        self.0.column()
    }
}

/// Names the column only: the record is one line, of which the error of the job has the number.
impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        match text.rsplit_once(" at line 1 column ") {
            Some((reason, column)) => write!(f, "{reason} at column {column}"),
            None => f.write_str(&text),
        }
    }
}

impl std::error::Error for JsonError {}

/// The pipeline of [`parse_json`](crate::Bag::parse_json).
pub struct ParseJson<P, U> {
    pub(crate) parent: Arc<P>,
    /// Takes the records that cannot be parsed.
    pub(crate) bad: Option<BadRecords>,
    pub(crate) site: Site,
    pub(crate) out: PhantomData<fn() -> U>,
}

impl<P, U> fmt::Debug for ParseJson<P, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParseJson").finish_non_exhaustive()
    }
}

portable! {
    [P: Portable, U] ParseJson<P, U> { parent: part, bad: data, site: part, out: part }
}

impl<P, U> Pipeline for ParseJson<P, U>
where
    P: Pipeline<Out: Text>,
    U: DeserializeOwned + 'static,
{
    type Out = U;

    fn partitions(&self) -> Option<usize> {
        self.parent.partitions()
    }

    fn stream(&self) -> PartitionStream<'_> {
        self.parent.stream()
    }

    #[inline]
    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: FnMut(U) -> Flow,
    {
        let mut json = FlatJson::new();
        self.parent.run(partition, task, &mut |record| {
            let text = P::Out::peek(&record).as_slice();
            let bytes = text.as_bytes();
            // Text is known to be UTF-8, so the strings in it need no check.
            let parsed = task.call(&self.site, || match text.as_str() {
                Ok(text) => json.parse(text),
                Err(_) => serde_json::from_slice(bytes),
            });
            match parsed {
                Ok(value) => sink(value),
                Err(_) if bytes.trim_ascii().is_empty() => ControlFlow::Continue(()),
                Err(error) => self.fail(task, error, bytes),
            }
        })
    }
}

impl<P, U> ParseJson<P, U> {
    #[cold]
    #[inline(never)]
    fn fail(&self, task: &Task<'_>, error: serde_json::Error, text: &[u8]) -> Flow {
        let error = JsonError(error);
        match &self.bad {
            None => task.fail(self.site, error),
            Some(bad) => task.reject(bad, self.site, &error, Some(text)),
        }
    }
}
