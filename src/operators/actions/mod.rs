//! The actions: what each computes of a partition.

mod collect;
mod count;
mod fold;
mod for_each;
mod ranked;
mod top;
mod write_text;

pub(crate) use collect::{Collect, HasAny};
pub(crate) use count::Count;
pub(crate) use fold::Fold;
pub(crate) use for_each::TryForEach;
pub(crate) use top::Top;
pub use write_text::Line;
pub(crate) use write_text::{WriteText, create};

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::storage::codec;
use crate::task::{Flow, Site, Task};

/// Hands on a part in one piece.
fn send_whole<T: Serialize>(
    part: &T,
    site: Site,
    task: &Task<'_>,
    emit: &mut dyn FnMut(Vec<u8>) -> Result<Flow>,
) -> Result<()> {
    let mut bytes = Vec::new();
    // The codec calls `Serialize`, which may be the program's.
    let entered = task.enter(site);
    let encoded = codec::encode_into(part, &mut bytes);
    entered.leave();
    encoded.map_err(|error| error.at(site.operator, site.location))?;
    let _ = emit(bytes)?;
    Ok(())
}

/// What came in one piece.
fn receive_whole<T: Deserialize<'static>>(bytes: &[u8], site: Site) -> Result<T> {
    codec::decode(bytes).map_err(|error| error.at(site.operator, site.location))
}
