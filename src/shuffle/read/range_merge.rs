//! Merges the map output of one partition, one range of hashes after another.
//!
//! The map output is in the order of the hash, or of its first bits. A range of hashes is chosen so small that its keys
//! fit into the cache. The range is read from each source, one source after another, and then sorted. If keys repeat
//! often, it is put into a small table instead. Its keys are emitted, and the next range follows. Each source is read
//! once, from start to end. The alternative, a heap of sources, compares each record with several others.
//!
//! Sorting the entries of 28 million mostly distinct words took 28 ns less per entry than a table.

use std::sync::Arc;

use super::chunk_set::{ChunkReader, ChunkSet};
use super::compact::{compact, fan_in};
use super::merger::{Merger, RANGE_BYTES};
use super::range_entries::RangeEntries;
use super::range_keys::{RangeKeys, drain};
use crate::error::Result;
use crate::pipeline::{Data, Key, Owned};
use crate::shuffle::key::blocks::{self, ALL_BITS, BlockReader};
use crate::shuffle::key::partitioner::HashRank;
use crate::shuffle::memory::slab::SlabSpan;
use crate::shuffle::outputs::part::Share;
use crate::shuffle::table::hash_table::{HashedKey, SortedKeys, Table};
use crate::shuffle::write::combine::MergeCombined;
use crate::storage::memory::Reservation;
use crate::storage::run::{Run, RunFile};
use crate::task::Flow;

/// Maximum length of the bit prefix that the hash ranks of a range share.
const MAX_BITS: u32 = 48;

/// Number of bits by which a range is divided further if it did not fit into memory.
const SPILLED_BITS: u32 = 4;

/// Keys with values, in ascending order of the hash rank or of its first bits.
pub(crate) enum RangeInput<V> {
    /// In order of (hash rank, key).
    Table {
        keys: SortedKeys<Table<V>, V>,
        len: usize,
        _share: Share,
    },
    Blocks(BlockReader),
    Chunks(ChunkReader),
}

impl<V: Data> RangeInput<V> {
    pub(crate) fn table(table: Table<V>, share: Share) -> Self {
        Self::Table {
            len: table.len(),
            keys: table.into_sorted(),
            _share: share,
        }
    }

    pub(crate) fn blocks(pieces: Vec<SlabSpan>) -> Self {
        Self::Blocks(BlockReader::memory(pieces))
    }

    pub(crate) fn run(run: &Run) -> Self {
        Self::Blocks(BlockReader::run(run))
    }

    pub(crate) fn chunks(entries: Arc<ChunkSet>) -> Self {
        Self::Chunks(ChunkReader::new(entries))
    }

    fn is_run(&self) -> bool {
        matches!(self, Self::Blocks(blocks) if blocks.is_run())
    }

    /// Adds the keys of a range to `to`.
    fn take_range<M: MergeCombined<Combined = V>>(
        &mut self,
        range: PlaceRange,
        merger: &Merger<'_, M>,
        to: &mut RangeKeys<'_, M>,
    ) -> Result<()> {
        let last = range.last();
        let stop = &merger.resources.stop;
        stop.check()?;
        match self {
            Self::Table { keys, .. } => {
                while let Some(rank) = keys.rank().filter(|rank| *rank <= last) {
                    let put = |key: &[u8], value| {
                        to.put_one(HashedKey::new(rank, key).behind(range.bits), key, value)
                    };
                    keys.take(put).transpose()?;
                }
                Ok(())
            }
            Self::Blocks(blocks) => {
                blocks.take_to(last, merger.partitioner, stop, |hashed, key, value| {
                    to.put(hashed.behind(range.bits), key, value)
                })
            }
            Self::Chunks(chunks) => chunks.take_to(last, stop, |hashed, key, value| {
                to.put_encoded(hashed.behind(range.bits), key, value)
            }),
        }
    }
}

/// Hash ranks that begin with the same bits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PlaceRange {
    prefix: u64,
    bits: u32,
}

impl PlaceRange {
    fn last(self) -> HashRank {
        let behind = u64::MAX.checked_shr(self.bits).unwrap_or(0);
        HashRank(self.prefix.checked_shl(u64::BITS - self.bits).unwrap_or(0) | behind)
    }

    /// Divides the range by `bits` more bits.
    fn parts(self, bits: u32) -> impl Iterator<Item = Self> {
        let first = self.prefix << bits;
        let bits_of_all = self.bits + bits;
        (first..first + (1 << bits)).map(move |prefix| Self {
            prefix,
            bits: bits_of_all,
        })
    }
}

/// Returns the maximum memory for a range of `entries` entries, except for long keys, in bytes: for the entries and for
/// a table.
pub(crate) fn most_bytes<V>(entries: usize) -> usize {
    Table::<V>::bytes_for(entries) + RangeEntries::<V>::bytes_for(entries)
}

impl<M: MergeCombined> Merger<'_, M> {
    /// Calls `each` with every key of a partition, in ascending order of (hash rank, key), and with its values merged.
    pub(crate) fn merge_all<K: Key + ?Sized>(
        &self,
        sources: Vec<RangeInput<M::Combined>>,
        mut each: impl FnMut(Owned<K>, M::Combined) -> Flow,
    ) -> Result<Flow> {
        let (sources, _for_readers) = self.compacted(sources, PlaceRange::default())?;
        let mut outcome = Ok(());
        let mut checks = self.resources.stop.checks();
        let mut each_key =
            |key: &[u8], value| match checks.count().and_then(|()| K::from_bytes(key)) {
                Ok(key) => each(key, value),
                Err(error) => {
                    outcome = Err(error);
                    Flow::Break(())
                }
            };
        let flow = self.merge(sources, PlaceRange::default(), &mut each_key)?;
        outcome.map(|()| flow)
    }

    /// Merges sources until the runs among them can be read concurrently, and returns the memory for their readers. All
    /// hash ranks must be in `within`.
    fn compacted(
        &self,
        sources: Vec<RangeInput<M::Combined>>,
        within: PlaceRange,
    ) -> Result<(Vec<RangeInput<M::Combined>>, Reservation)> {
        let runs = sources.iter().filter(|source| source.is_run()).count();
        let (fan_in, for_readers) = fan_in(runs, self.resources);
        let in_memory = sources.len() - runs;
        // One file for all merges. With a file for each, and half as many readers, W2 of `examples/bench.rs` took 1.08 of
        // the CPU time for 100 MB within 20 MiB, where a partition has about a hundred runs.
        let mut file = None;
        let sources = compact(sources, in_memory + fan_in, |some| {
            let file = match &mut file {
                Some(file) => file,
                none => none.insert(RunFile::create(&self.resources.scratch, "combine")?),
            };
            let merged = merge_to_run(some, self, within, file)?;
            Ok(Some(RangeInput::run(&merged)))
        })?;
        Ok((sources, for_readers))
    }

    /// Calls `each` with every key of the sources, in ascending order of (hash rank, key), and with its values merged.
    /// All hash ranks must be in `within`.
    pub(crate) fn merge<F>(
        &self,
        sources: Vec<RangeInput<M::Combined>>,
        within: PlaceRange,
        each: &mut F,
    ) -> Result<Flow>
    where
        F: FnMut(&[u8], M::Combined) -> Flow,
    {
        self.merge_in_parts(sources, within, 0, each)
    }

    /// Like [`merge`](Self::merge), but divides `within` by at least `least_bits` bits.
    fn merge_in_parts<F>(
        &self,
        mut sources: Vec<RangeInput<M::Combined>>,
        within: PlaceRange,
        least_bits: u32,
        each: &mut F,
    ) -> Result<Flow>
    where
        F: FnMut(&[u8], M::Combined) -> Flow,
    {
        if let [RangeInput::Table { keys, .. }] = &mut sources[..] {
            return Ok(drain(keys, each));
        }
        let bits = range_bits(&mut sources, within)?.max(least_bits);
        let may_spill = self.room.is_none() && within.bits + bits < MAX_BITS;
        let mut keys = RangeKeys::new(self, may_spill);
        for range in within.parts(bits) {
            for source in &mut sources {
                source.take_range(range, self, &mut keys)?;
            }
            let runs = keys.spilled()?;
            let flow = if runs.is_empty() {
                keys.drain(each)
            } else {
                let sources = runs.iter().map(RangeInput::run).collect();
                // The estimate was too low for this range, so divide it further in any case.
                let (sources, _for_readers) = self.compacted(sources, range)?;
                self.merge_in_parts(sources, range, SPILLED_BITS, each)?
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        keys.note_table();
        Ok(Flow::Continue(()))
    }
}

/// Returns the binary logarithm of the number of ranges.
fn range_bits<V: Data>(sources: &mut [RangeInput<V>], within: PlaceRange) -> Result<u32> {
    let (mut keys, mut block_bytes, mut most_bits) = (0, 0, u32::from(ALL_BITS));
    for source in sources {
        match source {
            RangeInput::Table { len, .. } => keys += *len,
            RangeInput::Blocks(blocks) => {
                let (bits, entries) = blocks.open()?;
                keys += entries;
                block_bytes += blocks.bytes();
                most_bits = most_bits.min(u32::from(bits));
            }
            RangeInput::Chunks(chunks) => {
                keys += chunks.entries();
                block_bytes += chunks.bytes();
                most_bits = most_bits.min(chunks.bits());
            }
        }
    }
    // Slots need more memory than short keys and values in a block; long keys need more than their slots.
    let bytes = Table::<V>::bytes_for(keys).max(block_bytes);
    let ranges = bytes.div_ceil(RANGE_BYTES);
    let bits = ranges.next_power_of_two().trailing_zeros();
    Ok(bits.min(most_bits.min(MAX_BITS).saturating_sub(within.bits)))
}

fn merge_to_run<M: MergeCombined>(
    sources: Vec<RangeInput<M::Combined>>,
    merger: &Merger<'_, M>,
    within: PlaceRange,
    file: &mut RunFile,
) -> Result<Run> {
    blocks::write_sorted(file, |writer| {
        let mut outcome = Ok(());
        let _ = merger.merge(sources, within, &mut |key, value| {
            blocks::go_on(writer.append(key, &value), &mut outcome)
        })?;
        outcome
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::marker::PhantomData;

    use super::*;
    use crate::shuffle::key::blocks;
    use crate::shuffle::key::partitioner::HashPartitioner;
    use crate::shuffle::read::merger::TableSize;
    use crate::shuffle::table::accumulator::Accumulator;
    use crate::shuffle::table::slot::Slot;
    use crate::shuffle::write::combine::{Combine, combined_entries};
    use crate::storage::memory::MemoryBudget;
    use crate::task::Resources;

    struct Lists(PhantomData<()>);

    crate::portable::portable! {
        [] Lists { 0: part }
    }

    impl Combine for Lists {
        type In = (String, u32);
        type Key = String;
        type Value = u32;
        type Combined = Vec<u32>;

        const COMMUTES: bool = false;

        combined_entries!();

        fn key_value<R>((key, value): (String, u32), f: impl FnOnce(&String, u32) -> R) -> R {
            f(&key, value)
        }

        fn create(&self, value: u32) -> Vec<u32> {
            vec![value]
        }

        fn add(&self, list: &mut impl Accumulator<Vec<u32>>, value: u32) {
            list.get_mut().push(value);
        }

        fn merge(&self, list: &mut impl Accumulator<Vec<u32>>, later: Vec<u32>) {
            list.get_mut().extend(later);
        }
    }

    const PARTITIONER: HashPartitioner = HashPartitioner::new(1);

    /// ChunkSet with `keys` different keys, some of them long, in the order of two bits of their hash ranks.
    fn entries(numbers: std::ops::Range<u32>, keys: u32) -> Vec<(String, u32)> {
        let entry = |number: u32| {
            let key = number.wrapping_mul(7919) % keys;
            (key.to_string().repeat(1 + key as usize % 7), number)
        };
        let mut entries: Vec<_> = numbers.map(entry).collect();
        entries.sort_by_key(|(key, _)| rank(key.as_bytes()).0 >> 62);
        entries
    }

    fn rank(key: &[u8]) -> HashRank {
        PARTITIONER.position(key).rank
    }

    fn blocks(entries: &[(String, u32)]) -> RangeInput<Vec<u32>> {
        let blocks = entries.chunks(500).map(|entries| {
            let mut block = vec![2];
            for (key, number) in entries {
                blocks::push_entry(&mut block, key.as_bytes(), &vec![*number]).unwrap();
            }
            SlabSpan::copy(&block, None)
        });
        RangeInput::blocks(blocks.collect())
    }

    fn table(entries: &[(String, u32)], resources: &Resources) -> RangeInput<Vec<u32>> {
        let mut table = Table::default();
        for (key, number) in entries {
            let key = key.as_bytes();
            let hashed = HashedKey::new(rank(key), key);
            let long = &key[..hashed.long_len()];
            let append = |list: &mut Slot<Vec<u32>>, number| list.get_mut().push(number);
            while let Err(_again) =
                table.upsert(&hashed, long, *number, |number| vec![number], append)
            {
                table.make_room(long);
            }
        }
        let reservation = Arc::new(resources.budget.reservation());
        RangeInput::table(table, Share::new(0, &Arc::default(), &reservation))
    }

    /// Merges blocks, a table and more blocks, with or without knowing that keys repeat. Also returns the number of
    /// files that were spilled.
    fn merged(keys: u32, budget_bytes: usize, repeats: bool) -> u64 {
        let resources = Resources {
            budget: MemoryBudget::new(budget_bytes),
            ..Resources::unlimited()
        };
        let [first, second, third] =
            [0..60_000, 60_000..120_000, 120_000..180_000].map(|numbers| entries(numbers, keys));
        let sources = vec![blocks(&first), table(&second, &resources), blocks(&third)];

        let mut expected = BTreeMap::<_, Vec<u32>>::new();
        for (key, number) in [first, second, third].concat() {
            let key = (rank(key.as_bytes()), key.into_bytes());
            expected.entry(key).or_default().push(number);
        }
        let mut expected = expected.into_iter();
        let table_size = TableSize::default();
        table_size.note(usize::from(repeats));
        let merger = Merger {
            combine: &Lists(PhantomData),
            partitioner: PARTITIONER,
            resources: &resources,
            table_size: &table_size,
            room: None,
        };
        let flow = merger.merge(sources, PlaceRange::default(), &mut |key, list| {
            let (expected_key, expected_list) = expected.next().unwrap();
            assert_eq!((key, &list), (&*expected_key.1, &expected_list));
            Flow::Continue(())
        });
        assert!(flow.unwrap().is_continue());
        assert!(expected.next().is_none());
        assert_eq!(resources.budget.used_bytes(), 0);
        resources.scratch.files()
    }

    #[test]
    fn values_are_merged_in_the_order_of_the_sources() {
        for (keys, budget_bytes, repeats, spills) in [
            (200_000, 1 << 30, false, false), // each range sorted
            (200_000, 1 << 30, true, false),  // each put into a table
            (50, 1 << 30, false, false),      // the later ones put into a table
            (50, 1 << 10, false, false), // the first one too, once there is no memory for more entries
            (200_000, 1 << 10, false, true), // no memory to sort them
            (200_000, 1 << 10, true, true), // nor for tables
        ] {
            let files = merged(keys, budget_bytes, repeats);
            assert_eq!(
                files > 0,
                spills,
                "{keys} keys, {budget_bytes} bytes, {repeats}"
            );
        }
    }

    #[test]
    fn what_is_spilled_is_as_long_as_memory_allows() {
        // From less than the minimum memory for entries to more than that of a range.
        for budget_bytes in (1 << 20..8 << 20).step_by(3 << 20) {
            let files = merged(200_000, budget_bytes, false);
            assert!(files < 30, "{files} files of {budget_bytes} bytes");
        }
    }
}
