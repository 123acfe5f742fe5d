//! Sends runs and samples to other processes, and receives them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::outputs::SortOutputs;
use super::run::{RunPiece, SortedRun, write};
use super::sample::KeySample;
use crate::error::Result;
use crate::id::ShuffleId;
use crate::storage::codec;
use crate::storage::run::{Run, RunFile};
use crate::task::{FilePart, Files, MapBlock, MapBlocks, Outputs, Resources};

/// Description of a block without records.
type Samples = Vec<KeySample>;

/// Description of a block with the records of a run: its pieces, which are back to back.
type Pieces = Vec<PieceAbout>;

#[derive(Debug, Serialize, Deserialize)]
struct PieceAbout {
    first: Option<Box<[u8]>>,
    bytes: u64,
    records: u64,
}

impl Outputs for SortOutputs {
    fn export(&self, shuffle: ShuffleId, resources: &Resources) -> Result<Vec<MapBlock>> {
        let (runs, samples) = self.parts();
        let mut export = Export {
            shuffle,
            resources,
            file: None,
            blocks: Vec::new(),
        };
        for run in runs {
            export.run(run.run())?;
        }
        if !samples.is_empty() {
            export.push(None, &*samples)?;
        }
        Ok(export.blocks)
    }
}

struct Export<'r> {
    shuffle: ShuffleId,
    resources: &'r Resources,
    /// File for the pieces in memory.
    file: Option<RunFile>,
    blocks: Vec<MapBlock>,
}

impl Export<'_> {
    fn run(&mut self, run: &SortedRun) -> Result<()> {
        let mut part: Option<FilePart> = None;
        let mut pieces = Pieces::new();
        for piece in &run.pieces {
            let written;
            let piece = match piece {
                RunPiece::File { .. } => piece,
                RunPiece::Memory(frames) => {
                    let file = match &mut self.file {
                        Some(file) => file,
                        none => none.insert(RunFile::create(&self.resources.scratch, "sort")?),
                    };
                    written = write(file, frames)?;
                    &written
                }
            };
            let RunPiece::File { first, run } = piece else {
                continue;
            };
            pieces.push(PieceAbout {
                first: first.clone(),
                bytes: run.bytes(),
                records: run.records(),
            });
            // The pieces of a run are either all in memory, or all back to back in one file.
            match &mut part {
                Some(part) => {
                    part.bytes += run.bytes();
                    part.records += run.records();
                }
                none => *none = Some(FilePart::export(run)),
            }
        }
        self.push(part, &pieces)
    }

    fn push(&mut self, file: Option<FilePart>, about: &impl Serialize) -> Result<()> {
        let mut bytes = Vec::new();
        codec::encode_own(about, &mut bytes)?;
        self.blocks.push(MapBlock {
            shuffle: self.shuffle.number(),
            partition: None,
            file,
            about: bytes,
        });
        Ok(())
    }
}

impl SortOutputs {
    /// Imports what other processes have exported. The result can be read any number of times.
    pub(crate) fn import(
        partitions: usize,
        blocks: MapBlocks<'_>,
        resources: &Resources,
    ) -> Result<Self> {
        // No more samples will be taken, so the number of tasks does not matter.
        let outputs = Self::new(partitions, None);
        let mut files = Files::new(&resources.scratch);
        for block in blocks.iter() {
            let block = block?;
            match &block.file {
                None => {
                    for sample in codec::decode::<Samples>(&block.about)? {
                        outputs.put_sample(sample);
                    }
                }
                Some(part) => {
                    let run = files.run(part);
                    let pieces = pieces_of(&run, codec::decode(&block.about)?);
                    let run = SortedRun::of_files(pieces, &resources.budget);
                    outputs.put_run(Arc::new(run));
                }
            }
        }
        Ok(outputs)
    }
}

/// Returns the pieces of a run. Each is a run of its own.
fn pieces_of(run: &Run, pieces: Pieces) -> Vec<RunPiece> {
    let mut offset = run.offset();
    let piece = |about: PieceAbout| {
        let file = Arc::clone(run.file());
        let run = Run::at(file, offset, about.bytes, about.records);
        offset = offset.saturating_add(about.bytes);
        RunPiece::File {
            first: about.first,
            run,
        }
    };
    pieces.into_iter().map(piece).collect()
}
