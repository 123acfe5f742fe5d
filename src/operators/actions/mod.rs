//! The actions: each computes the result of one partition.

/// Implements `send` and `receive` of an [action](crate::pipeline::Action) on records `$in` with a `site`, whose result
/// for a partition is sent as one chunk.
macro_rules! sent_whole {
    ($in:ident) => {
        fn send<P>(
            &self,
            pipeline: &P,
            partition: $crate::task::Partition,
            task: &$crate::task::Task<'_>,
            emit: &mut dyn FnMut(Vec<u8>) -> $crate::error::Result<$crate::task::Flow>,
        ) -> $crate::error::Result<()>
        where
            P: $crate::pipeline::Pipeline<Out = $in>,
        {
            let part = $crate::pipeline::Action::<$in>::compute(self, pipeline, partition, task)?;
            $crate::operators::actions::send_whole(&part, self.site, task, emit)
        }

        fn receive(&self, bytes: &[u8]) -> $crate::error::Result<Self::Part> {
            $crate::operators::actions::receive_whole(bytes, self.site)
        }
    };
}

mod collect;
mod count;
mod fold;
mod for_each;
mod last;
mod save;
mod save_parts;
mod summarize;
mod take_sample;
mod top;
mod try_fold;
mod write;
mod write_by_key;
mod write_format;
mod write_text;

pub(crate) use collect::{Collect, HasAny};
pub(crate) use count::Count;
pub(crate) use fold::Fold;
pub(crate) use for_each::TryForEach;
pub(crate) use last::{Last, Position};
pub(crate) use save::SaveRecords;
pub(crate) use save_parts::SaveParts;
pub(crate) use summarize::SummaryAction;
pub(crate) use take_sample::{TakeSample, keep_least};
pub(crate) use top::Top;
pub(crate) use try_fold::TryFold;
pub use write::{Attempt, PartitionWriter, Sink};
pub(crate) use write::{WriteAction, write_failed};
pub(crate) use write_by_key::{FilesOfKeys, WriteByKey};
pub use write_format::RecordFormat;
pub(crate) use write_format::WriteFormat;
pub use write_text::WriteLine;
pub(crate) use write_text::WriteText;

use serde::{Deserialize, Serialize};

use crate::error::{PlaceError as _, Result, caught};
use crate::storage::codec;
use crate::task::{Flow, Site, Task};

/// Sends a result as one chunk.
fn send_whole<T: Serialize + Deserialize<'static>>(
    part: &T,
    site: Site,
    task: &Task<'_>,
    emit: &mut dyn FnMut(Vec<u8>) -> Result<Flow>,
) -> Result<()> {
    let mut bytes = Vec::new();
    // The codec calls `Serialize`, which may be user code.
    let encoded = task.call(&site, || {
        codec::check(part)?;
        codec::encode_into(part, &mut bytes)
    });
    encoded.at(site)?;
    let _ = emit(bytes)?;
    Ok(())
}

/// Decodes a result that was sent as one chunk.
fn receive_whole<T: Deserialize<'static>>(bytes: &[u8], site: Site) -> Result<T> {
    // Decoding may run user code.
    caught(Some(site), || codec::decode(bytes)).at(site)
}
