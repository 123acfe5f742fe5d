//! Records as bytes, in memory and on disk. Knows nothing of keys, partitions or tasks.
//!
//! ```text
//!  record --codec--> bytes --RunWriter--> frames --> file      RunFile: several runs, one after another
//!                                                     |
//!  record <--codec-- bytes <--- Merge <--- RunReader <- Run    a range of bytes in that file
//! ```
//!
//! | file | what it is for |
//! | --- | --- |
//! | `codec` | one record to bytes and back; the only file that knows bincode |
//! | `frame` | a piece of a run, bounded by lengths and a checksum, compressed when that pays |
//! | `run` | a sequence of records in a file: `RunWriter` → `Run` → `RunReader` |
//! | `merge` | k sorted sources into one sequence, stable |
//! | `memory` | how many bytes may be held: `MemoryBudget`, `Reservation` |
//! | `limits` | how much memory this process can have |
//! | `size` | `"512MiB"` to bytes and back |
//! | `environment` | the environment variables of this process |
//! | `directory` | an open directory: its names, its lock |
//! | `owned` | directories that are ours: what makes them so, and how they go |
//! | `live` | those that this process has now |
//! | `faults` | where tests have the file system fail |
//! | `scratch` | directories and files that clean up after themselves, with a quota |
//! | `rename` | renames that lose nothing |
//! | `output` | outputs that appear whole or not at all |
//! | `interrupt` | the clean-up when the process ends |
//! | `file` | access to files with the path in every error |
//! | `system` | calls into libc; the only `unsafe` of this folder |
//!
//! What is written here is read back by the same program, soon and on the same machine or one like it: the formats
//! carry no version, but every damage to them is found.

pub(crate) mod codec;
mod directory;
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
mod rename;
pub(crate) mod run;
pub(crate) mod scratch;
pub(crate) mod size;
mod system;

pub(crate) use system::process_number;
