//! Writing of formats: a directory with a file for each partition.

use std::marker::PhantomData;
use std::path::Path;

use super::{Bag, Sink, Written};
use crate::error::{BoxError, Result};
use crate::files::{FinishedFile, NewOutput, OutputOptions};
use crate::operators::actions::{RecordFormat, WriteFormat};
use crate::pipeline::{Pipeline, Record};

/// A format, and where it is written.
pub(super) struct FormatSink<F> {
    output: NewOutput,
    /// The name of the method.
    name: &'static str,
    extension: &'static str,
    format: F,
}

impl<F> FormatSink<F> {
    /// Writes `bag` to the directory `path`.
    #[track_caller]
    pub(super) fn write<T, P>(
        bag: &Bag<T, P>,
        path: &Path,
        options: &OutputOptions,
        (name, extension): (&'static str, &'static str),
        format: F,
    ) -> Result<Written>
    where
        T: Record + ?Sized,
        P: Pipeline<Out = T>,
        F: RecordFormat<T> + Clone,
    {
        bag.write(Self {
            output: bag.context.begin_output(path, options)?,
            name,
            extension,
            format,
        })
    }
}

impl<T: Record + ?Sized, F: RecordFormat<T> + Clone> Sink<T> for FormatSink<F> {
    type Writer = WriteFormat<T, F>;
    type Output = Written;

    fn begin(&mut self, partitions: Option<usize>) -> Result<WriteFormat<T, F>, BoxError> {
        Ok(WriteFormat {
            output: self.output.writer(self.extension, partitions)?,
            format: self.format.clone(),
            records: PhantomData,
        })
    }

    fn commit(self, parts: Vec<(FinishedFile, u64)>) -> Result<Written, BoxError> {
        Ok(Written::commit(self.output, parts)?)
    }

    fn name(&self) -> &'static str {
        self.name
    }
}
