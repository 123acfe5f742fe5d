//! Runs tasks in a worker.

use std::cell::Cell;
use std::sync::Arc;

use super::any_layer::{AnyLayer, load_layer};
use super::cache::ValueCache;
use super::call::{RefersTo, SentInput, SentValue, TaskCall, TaskReport};
use super::layer::Inputs;
use super::plan::LayerSet;
use super::scope::TaskScope;
use super::value::Value;
use crate::error::{Error, ErrorContext, ErrorKind, Result};
use crate::portable::{FunctionEntry, Loader, Saver};
use crate::storage::blocks::BlockWriter;
use crate::storage::codec;
use crate::storage::scratch::{Scratch, ScratchFile};
use crate::task::{
    Emit, FilePart, JobState, MapBlock, Partition, RemoteStage, Resources, Task, in_task,
    referencing,
};

/// Maximum length of a value that is sent in the report, in bytes. Longer values are written to files, one for each.
/// With larger values of this constant, more bytes pass through the driver; with smaller ones, there are more files.
const INLINE_BYTES: usize = 32 << 10;

/// Writes the layers for [`load_stage`](crate::task::load_stage).
pub(crate) fn save_layers(set: &LayerSet, to: &mut Saver) -> Result<()> {
    to.entry(const { &FunctionEntry::of::<RemoteLayers>(load) })?;
    to.data(&set.layers.len())?;
    set.layers.iter().try_for_each(|layer| layer.save(to))
}

fn load(from: &mut Loader<'_>) -> Result<Box<dyn RemoteStage>> {
    let layers: usize = from.data()?;
    let layers = (0..layers).map(|_| load_layer(from));
    let layers = layers.collect::<Result<_>>()?;
    let cache = Arc::default();
    Ok(Box::new(RemoteLayers { layers, cache }))
}

/// The layers in a worker.
struct RemoteLayers {
    layers: Vec<Arc<dyn AnyLayer>>,
    cache: Arc<ValueCache>,
}

impl RemoteStage for RemoteLayers {
    fn run(
        &self,
        job: &JobState,
        number: usize,
        partitions: Vec<Partition>,
        _emit: &mut Emit<'_>,
    ) -> Result<Vec<MapBlock>> {
        let mut blocks = Vec::with_capacity(partitions.len());
        for partition in partitions {
            if job.is_stopped() {
                return Err(Error::new(ErrorKind::Cancelled));
            }
            let index = partition.index;
            let call = partition.into_payload::<TaskCall>();
            let call = call.ok_or_else(|| Error::internal("a task has no payload".to_owned()))?;
            self.run_task(job, number, index, call, &mut blocks)?;
        }
        Ok(blocks)
    }
}

/// A value with its bytes, and the files that it refers to.
struct Computed {
    value: Value,
    bytes: Vec<u8>,
    files: Vec<Arc<ScratchFile>>,
}

impl RemoteLayers {
    fn layer(&self, number: u32) -> Result<&dyn AnyLayer> {
        let layer = self.layers.get(number as usize);
        let layer = layer.ok_or_else(|| Error::internal(format!("there is no layer {number}")))?;
        Ok(&**layer)
    }

    /// Runs a task and appends its blocks.
    fn run_task(
        &self,
        job: &JobState,
        number: usize,
        index: usize,
        call: TaskCall,
        blocks: &mut Vec<MapBlock>,
    ) -> Result<()> {
        let layer = self.layer(call.layer)?;
        let task_number = call.task;
        let placed = |error: Error| {
            error.of_task(ErrorContext {
                stage: Some(number),
                ..layer.place(task_number)
            })
        };
        let task = Task::new(job, number, call.rank as usize);
        // Position of the value that is being read.
        let reading = Cell::new(None);
        let outcome = in_task(|| task.guard(|task| self.compute(layer, call, task, &reading)));
        let resources = job.resources();
        let scratch = &resources.scratch;
        match outcome {
            Ok(computed) => self.put(resources, index, computed, blocks).map_err(placed),
            // The driver creates the directory again, and sends the task again.
            Err(error) if !error.is_recoverable() || is_of_directory(&error, scratch) => {
                Err(placed(error))
            }
            Err(error) => {
                let report = TaskReport::Damaged {
                    need: reading.get(),
                    error,
                };
                blocks.push(block(index, None, &report)?);
                Ok(())
            }
        }
    }

    fn compute(
        &self,
        layer: &dyn AnyLayer,
        call: TaskCall,
        task: &Task<'_>,
        reading: &Cell<Option<usize>>,
    ) -> Result<Computed> {
        let mut values = Vec::with_capacity(call.inputs.len());
        for (position, input) in call.inputs.into_iter().enumerate() {
            reading.set(Some(position));
            values.push(self.input(input, task.resources())?);
        }
        reading.set(None);
        let (saved, inputs) = (Loader::new(&call.saved), Inputs(&values));
        let value = layer.run_saved(call.task, saved, &inputs, &TaskScope(task))?;
        let mut bytes = Vec::new();
        let encode = || layer.value_type().encode(&value, &mut bytes);
        let ((), files) = referencing(encode)?;
        Ok(Computed {
            value,
            bytes,
            files,
        })
    }

    /// Returns a value that a task needs.
    fn input(&self, input: SentInput, resources: &Resources) -> Result<Value> {
        let key = input.value.key();
        if let Some(value) = key.as_ref().and_then(|key| self.cache.get(key)) {
            return Ok(value);
        }
        let value_type = self.layer(input.layer)?.value_type();
        let bytes = input.value.into_bytes(&resources.scratch)?;
        let value = value_type.decode(&bytes)?;
        if let Some(key) = key {
            let copy = Value::clone(&value);
            self.cache.put(key, copy, bytes.len(), resources);
        }
        Ok(value)
    }

    /// Appends the blocks of a value and of the files to which it refers.
    fn put(
        &self,
        resources: &Resources,
        index: usize,
        computed: Computed,
        blocks: &mut Vec<MapBlock>,
    ) -> Result<()> {
        let Computed {
            value,
            bytes,
            files,
        } = computed;
        let (created, others): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|file| file.is_owned());
        let (sent, part) = if bytes.len() <= INLINE_BYTES {
            (SentValue::Inline(bytes), None)
        } else {
            let (sent, part) = write_value(&resources.scratch, &bytes)?;
            if let Some(key) = sent.key() {
                self.cache.put(key, value, bytes.len(), resources);
            }
            (sent, Some(part))
        };
        let refers_to = others.iter().map(|file| RefersTo(file.path().to_owned()));
        let report = TaskReport::Value {
            value: sent,
            refers_to: refers_to.collect(),
        };
        for file in &created {
            file.keep();
            let part = part_of(file, file.used_bytes());
            blocks.push(block(index, Some(part), &TaskReport::Created)?);
        }
        // The last block of a task is its value.
        blocks.push(block(index, part, &report)?);
        Ok(())
    }
}

/// Writes a value to a file that outlives this worker.
fn write_value(scratch: &Scratch, bytes: &[u8]) -> Result<(SentValue, FilePart)> {
    let mut writer = BlockWriter::create(scratch, "value")?;
    writer.append(bytes)?;
    let file = writer.finish()?;
    file.file().keep();
    let value = SentValue::File {
        path: file.path().to_owned(),
        file_bytes: file.bytes(),
        offset: 0,
        bytes: file.bytes(),
    };
    Ok((value, part_of(file.file(), file.bytes())))
}

fn part_of(file: &ScratchFile, bytes: u64) -> FilePart {
    FilePart {
        path: file.path().to_owned(),
        offset: 0,
        bytes,
        records: 1,
    }
}

fn block(index: usize, file: Option<FilePart>, report: &TaskReport) -> Result<MapBlock> {
    let mut about = Vec::new();
    codec::encode_own(report, &mut about)?;
    Ok(MapBlock {
        shuffle: 0,
        partition: Some(index),
        file,
        about,
    })
}

/// Returns whether the error is that the directory of the job is missing.
fn is_of_directory(error: &Error, scratch: &Scratch) -> bool {
    match error.kind() {
        ErrorKind::CorruptRun { path, .. } => scratch.path().is_ok_and(|own| own == *path),
        _ => false,
    }
}
