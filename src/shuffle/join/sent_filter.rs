//! Sends join filters to other processes, and merges those of all map tasks.
//!
//! A filter is sent as its words that are not 0, because one task has few of the keys. Short ones are in the metadata of
//! their block, longer ones in a file.

use serde::{Deserialize, Serialize};

use super::key_filter::{KeyFilter, MIN_WORDS, SharedKeys};
use crate::error::{Error, Result};
use crate::id::ShuffleId;
use crate::storage::bytes;
use crate::storage::codec;
use crate::storage::run::RunFile;
use crate::task::{FilePart, Files, MapBlock, MapBlocks, Resources};

/// Maximum length of a filter in the metadata of a block, in bytes. The driver holds it, and sends it to each worker.
const INLINE_BYTES: usize = 1 << 10;

/// Length of the records of a filter in a file, in bytes.
const RECORD_BYTES: usize = 32 << 10;

/// Metadata of a block with a filter.
#[derive(Serialize, Deserialize)]
enum About {
    /// There is no filter, because there are too many keys.
    TooMany,
    Inline(#[serde(with = "bytes")] Vec<u8>),
    InFile,
}

/// A filter.
#[derive(Serialize, Deserialize)]
struct SentFilter {
    /// Number of words of the filter, a power of two.
    words: usize,
    keys: usize,
    /// Words that are not 0: the number of words since the previous one, and the word.
    set: Vec<(usize, u64)>,
}

/// Returns the block for the keys of a map task.
pub(super) fn export(
    keys: &SharedKeys,
    shuffle: ShuffleId,
    resources: &Resources,
) -> Result<MapBlock> {
    let mut file = None;
    let about = match keys.filter() {
        None => About::TooMany,
        Some(filter) => {
            let sent = encode(filter)?;
            if sent.len() <= INLINE_BYTES {
                About::Inline(sent)
            } else {
                let mut run_file = RunFile::create(&resources.scratch, "keys")?;
                let mut run = run_file.run();
                sent.chunks(RECORD_BYTES)
                    .try_for_each(|record| run.append(record))?;
                file = Some(FilePart::export(&run.finish()?));
                About::InFile
            }
        }
    };
    let mut bytes = Vec::new();
    codec::encode_own(&about, &mut bytes)?;
    Ok(MapBlock {
        shuffle: shuffle.number(),
        partition: None,
        file,
        about: bytes,
    })
}

fn encode(filter: &KeyFilter) -> Result<Vec<u8>> {
    let mut next = 0;
    let set = filter.set_words().map(|(index, word)| {
        let gap = index - next;
        next = index + 1;
        (gap, word)
    });
    let sent = SentFilter {
        words: filter.words(),
        keys: filter.keys(),
        set: set.collect(),
    };
    let mut bytes = Vec::new();
    codec::encode_own(&sent, &mut bytes)?;
    Ok(bytes)
}

/// Merges the filters of all map tasks. Returns keys without a filter if there are too many, or if there is no memory
/// for them, or if one cannot be read: a filter only saves work.
pub(crate) fn import(blocks: MapBlocks<'_>, resources: &Resources) -> SharedKeys {
    let merged = merge(blocks, resources).ok().flatten();
    SharedKeys::with(merged)
}

fn merge(blocks: MapBlocks<'_>, resources: &Resources) -> Result<Option<KeyFilter>> {
    let mut files = Files::new(&resources.scratch);
    let mut merged: Option<KeyFilter> = None;
    let mut has_blocks = false;
    for block in blocks.iter() {
        let block = block?;
        has_blocks = true;
        let sent = match (codec::decode(&block.about)?, &block.file) {
            (About::Inline(sent), _) => sent,
            (About::InFile, Some(part)) => {
                let mut reader = files.run(part).reader();
                let mut sent = Vec::new();
                while let Some(record) = reader.next()? {
                    sent.extend_from_slice(record);
                }
                sent
            }
            _ => return Ok(None),
        };
        let sent: SentFilter = codec::decode(&sent)?;
        if sent.set.is_empty() {
            continue; // Its length depends on no keys.
        }
        if !sent.words.is_power_of_two() || sent.words < MIN_WORDS {
            return Err(Error::internal(
                "a join filter has a wrong length".to_owned(),
            ));
        }
        // Workers with different memory have filters of different lengths.
        let words = merged
            .as_ref()
            .map_or(sent.words, |merged| merged.words().min(sent.words));
        let mut filter = match merged.take() {
            Some(filter) if filter.words() == words => filter,
            longer => {
                let Some(mut filter) = KeyFilter::empty(words, &resources.budget) else {
                    return Ok(None);
                };
                if let Some(longer) = longer {
                    filter.add_words(longer.words(), longer.keys(), longer.set_words());
                }
                filter
            }
        };
        let mut next = 0;
        let set = sent.set.iter().map_while(|(gap, word)| {
            let index = gap.checked_add(next).filter(|index| *index < sent.words)?;
            next = index + 1;
            Some((index, *word))
        });
        filter.add_words(sent.words, sent.keys, set);
        merged = Some(filter);
    }
    let is_useful = merged.as_ref().is_none_or(KeyFilter::is_useful);
    match merged {
        // No map task has left any keys.
        None if has_blocks => Ok(KeyFilter::empty(MIN_WORDS, &resources.budget)),
        Some(_) if !is_useful => Ok(None),
        merged => Ok(merged),
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::shuffle::{FilterKeys, HashPartitioner, KeyPosition};
    use crate::storage::memory::MemoryBudget;
    use crate::task::MapOutput;

    fn resources(memory: usize) -> Resources {
        Resources {
            budget: MemoryBudget::new(memory),
            ..Resources::unlimited()
        }
    }

    fn positions(of: Range<u32>) -> impl Iterator<Item = KeyPosition> {
        let partitioner = HashPartitioner::new(64);
        of.map(move |n| partitioner.position(&n.to_le_bytes()))
    }

    /// Returns what a map task with these keys leaves.
    fn exported(keys: Range<u32>, resources: &Resources) -> MapBlock {
        let mut seen = FilterKeys::default();
        for position in positions(keys) {
            seen.note(position, resources);
        }
        let mut shared = SharedKeys::default();
        shared.add(seen);
        shared.finish(resources);
        export(&shared, ShuffleId::next(), resources).unwrap()
    }

    fn imported(blocks: Vec<MapBlock>) -> (SharedKeys, Resources) {
        let resources = resources(16 << 20);
        let outputs = MapOutput::group(blocks).unwrap();
        (import((&outputs[..]).into(), &resources), resources)
    }

    #[test]
    fn the_keys_of_all_tasks_pass_and_hardly_any_others() {
        // Workers with little memory have shorter filters.
        let (little, much) = (resources(1 << 20), resources(16 << 20));
        let blocks = vec![
            exported(0..50, &little),
            exported(50..15_000, &much),
            exported(0..0, &little),
            exported(15_000..20_000, &little),
        ];
        assert!(blocks[0].file.is_none() && blocks[1].file.is_some());
        let (shared, there) = imported(blocks);
        let filter = shared.filter().unwrap();
        assert!(positions(0..20_000).all(|position| filter.may_have(position)));
        let others = positions(1_000_000..1_100_000);
        let passed = others.filter(|position| filter.may_have(*position)).count();
        assert!(passed < 6_000, "{passed}");
        drop(shared);
        assert_eq!(there.budget.used_bytes(), 0);
    }

    #[test]
    fn there_is_a_filter_only_if_all_tasks_have_few_keys() {
        let much = resources(16 << 20);
        let few = || exported(0..10, &much);
        let (shared, _there) = imported(vec![few(), exported(0..1_000_000, &much)]);
        assert!(shared.filter().is_none());
        let halves = [0..500_000, 500_000..1_000_000].map(|keys| exported(keys, &much));
        assert!(imported(halves.into()).0.filter().is_none());
        assert!(
            imported(Vec::new()).0.filter().is_none(),
            "nothing is known"
        );
        let (shared, _there) = imported(vec![exported(0..0, &much)]);
        let filter = shared.filter().unwrap();
        assert!(!positions(0..1_000).any(|position| filter.may_have(position)));
        // A file that is missing.
        let large = exported(0..10_000, &much);
        std::fs::remove_file(&large.file.as_ref().unwrap().path).unwrap();
        assert!(imported(vec![few(), large]).0.filter().is_none());
    }
}
