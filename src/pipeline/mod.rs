//! A narrow chain of operators as one generic type, which the compiler fuses into one loop.
//!
//! Records are pushed: a source calls its sink for each record, and an operator is a sink that calls the next one.

mod action;
mod boxed;
mod call;
mod key;
mod link;
pub(crate) mod numbers;
pub(crate) mod owned_bytes;
mod record;
#[expect(
    unsafe_code,
    reason = "a filter of a batch takes half the time without branches"
)]
mod retain;
mod stack;
mod state;
mod storable;
mod text;
pub(crate) mod text_bytes;
mod union;

pub(crate) use action::Action;
pub(crate) use boxed::{BatchSink, ErasedSink, count_erased, push_erased, run_batches, run_into};
pub use boxed::{Boxed, Pipeline};
pub(crate) use call::{Call, Given, Initial, Plain, Reversed, Stated, comparison};
pub use key::{Data, Key};
pub(crate) use link::{Link, Linked};
pub use record::Record;
pub(crate) use record::{Owned, Peek, Ref};
pub(crate) use retain::retain;
pub(crate) use state::ClosureState;
pub use storable::Storable;
pub use text::Text;
pub(crate) use text::TextSlice;
pub(crate) use union::{FlatUnion, partitions_of};
