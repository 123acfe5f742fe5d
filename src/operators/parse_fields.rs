//! `parse_fields`: parses the fields of each record into a value. Narrow.

use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::counter::BadRecords;
use crate::error::Result;
use crate::pipeline::{Pipeline, Record, Text, TextSlice};
use crate::portable::{Portable, portable};
use crate::task::{Flow, Partition, PartitionStream, Site, Task};
use crate::text::{Fields, FieldsError, TextKind};

pub(crate) struct ParseFields<P, U> {
    pub(crate) parent: Arc<P>,
    pub(crate) delimiter: char,
    /// Takes the records that cannot be parsed.
    pub(crate) bad: Option<BadRecords>,
    pub(crate) site: Site,
    pub(crate) out: PhantomData<fn() -> U>,
}

portable! {
    [P: Portable, U] ParseFields<P, U> { parent: part, delimiter: data, bad: data, site: part, out: part }
}

impl<P, U: DeserializeOwned> ParseFields<P, U> {
    /// Parses the current record and pushes the value.
    #[inline(always)]
    fn push<S>(&self, fields: &mut Fields<'_>, task: &Task<'_>, sink: &mut S) -> Flow
    where
        S: FnMut(U) -> Flow,
    {
        match task.call(&self.site, || fields.parse()) {
            Ok(value) => sink(value),
            Err(error) => self.fail(fields, task, error),
        }
    }

    #[cold]
    fn fail(&self, fields: &mut Fields<'_>, task: &Task<'_>, error: FieldsError) -> Flow {
        match &self.bad {
            None => task.fail(self.site, error),
            Some(bad) => {
                let text = fields.finish_record().as_bytes();
                task.reject(bad, self.site, &error, Some(text))
            }
        }
    }
}

impl<P, U> Pipeline for ParseFields<P, U>
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
        let mut push = |text: &<P::Out as Text>::Slice, kind| {
            // Bytes come record by record, so that the error is at the right one.
            let text = match text.as_str() {
                Ok(text) => text,
                Err(error) => {
                    return match &self.bad {
                        None => task.fail(self.site, error),
                        Some(bad) => task.reject(bad, self.site, &error, Some(text.as_bytes())),
                    };
                }
            };
            let mut fields = Fields::new(text, kind, self.delimiter);
            if kind == TextKind::Record {
                return self.push(&mut fields, task, sink);
            }
            while let Some(line) = fields.next_line() {
                task.enter_record(line);
                self.push(&mut fields, task, sink)?;
            }
            ControlFlow::Continue(())
        };
        // These characters may be part of a line ending, so the lines must be split first.
        if matches!(self.delimiter, '\r' | '\n') {
            return self.parent.run(partition, task, &mut |record| {
                push(P::Out::peek(&record).as_slice(), TextKind::Record)
            });
        }
        self.parent.run_text(partition, task, &mut push)
    }
}
