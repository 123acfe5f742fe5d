//! Writes values to files.

use std::sync::Arc;

use super::plan::{LayerPlan, STAGE};
use super::values::{InFile, InMemory, Victim};
use crate::error::{Result, caught};
use crate::storage::blocks::BlockWriter;
use crate::storage::scratch::{Scratch, ScratchFile};
use crate::task::{in_task, referencing};

/// A value in a file, and the files that it refers to.
pub(super) type WrittenValue = (InFile, Vec<Arc<ScratchFile>>);

/// Writes values to one new file, in their order.
pub(super) fn write_values(
    plan: &LayerPlan,
    scratch: &Scratch,
    victims: &[Victim],
) -> Result<Vec<WrittenValue>> {
    let mut writer = BlockWriter::create(scratch, "values")?;
    let mut ranges = Vec::with_capacity(victims.len());
    let mut bytes = Vec::new();
    for Victim { rank, memory } in victims {
        let start = writer.bytes();
        let files = match memory {
            InMemory::Encoded(bytes) => writer.append(bytes).map(|()| Vec::new()),
            InMemory::Typed(value) => {
                let (layer, _) = plan.layer_and_task(*rank);
                bytes.clear();
                let encode = || layer.value_type().encode(value, &mut bytes);
                let encoded = in_task(|| caught(Some(layer.site()), || referencing(encode)));
                encoded.and_then(|((), files)| writer.append(&bytes).map(|()| files))
            }
        };
        let files = files.map_err(|error| plan.placed(*rank, STAGE, error))?;
        ranges.push((start, writer.bytes() - start, files));
    }
    let file = writer.finish()?;
    let written = ranges.into_iter().map(|(offset, bytes, files)| {
        let file = file.clone();
        let in_file = InFile {
            file,
            offset,
            bytes,
        };
        (in_file, files)
    });
    Ok(written.collect())
}
