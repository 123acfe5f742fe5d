//! Records as bytes, in memory and on disk. This folder does not depend on keys, partitions or tasks.
//!
//! ```text
//!  record --codec--> bytes --RunWriter--> frames --> file      RunFile: several runs, one after another
//!                                                     |
//!  record <--codec-- bytes <--- Merge <--- RunReader <- Run    a range of bytes in that file
//! ```
//!
//! | file | purpose |
//! | --- | --- |
//! | `codec` | encodes and decodes one record; the only file that depends on bincode |
//! | `frame` | part of a run with its lengths and a checksum, compressed if that saves enough |
//! | `run` | sequence of records in a file: `RunWriter` → `Run` → `RunReader` |
//! | `bytes` | bytes as one serde value |
//! | `blocks` | bytes in a file, read at any offset: `BlockWriter` → `BlockFile` |
//! | `merge` | stable merge of k sorted sources |
//! | `memory` | limit on the memory that is held: `MemoryBudget`, `Reservation` |
//! | `limits` | maximum memory of this process |
//! | `size` | `"512MiB"` to bytes and back |
//! | `environment` | environment variables of this process |
//! | `directory` | an open directory: its entries, its lock |
//! | `owned` | directories that holdall owns: how they are recognised and removed |
//! | `live` | the owned directories of this process |
//! | `owned_directory` | creation and removal of these |
//! | `faults` | points at which tests make the file system fail |
//! | `scratch` | directories and files that clean up after themselves, with a quota |
//! | `transfer` | files of processes that share no disk with this one |
//! | `rename` | renames that overwrite nothing |
//! | `output` | outputs that appear whole or not at all |
//! | `saved` | files of saved bags |
//! | `unfinished` | finished partitions of an output, which the next run can use |
//! | `schema` | describes the serialised form of a type |
//! | `interrupt` | clean-up when the process ends |
//! | `file` | file access with the path in every error |
//! | `system` | calls into libc; the only `unsafe` of this folder |
//!
//! Except for saved bags, the same program reads this data soon after it has written it, on the same machine or a
//! similar one. The formats therefore have no version, but all damage is detected. Saved bags use the same codec and the
//! same frames, so a change of these needs a new version of their format.

pub(crate) mod blocks;
pub(crate) mod bytes;
pub(crate) mod codec;
pub(crate) mod directory;
pub(crate) mod environment;
mod faults;
pub(crate) mod file;
pub(crate) mod frame;
mod interrupt;
pub(crate) mod limits;
mod live;
#[cfg(test)]
mod measure;
pub(crate) mod memory;
pub(crate) mod merge;
pub(crate) mod output;
mod owned;
mod owned_directory;
mod rename;
pub(crate) mod run;
pub(crate) mod saved;
pub(crate) mod schema;
pub(crate) mod scratch;
pub(crate) mod size;
mod system;
pub(crate) mod transfer;
pub(crate) mod unfinished;

#[cfg(feature = "status")]
pub(crate) use interrupt::at_exit;
pub(crate) use system::process_number;
