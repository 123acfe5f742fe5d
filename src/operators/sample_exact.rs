//! `sample_exact_by_key`: an exact fraction of the pairs of each key. A scan: each partition counts its keys.
//!
//! The sizes of the samples of a key in its partitions have a multivariate hypergeometric distribution. Within each
//! partition, Algorithm S of Knuth (The art of computer programming, volume 2, 3.4.2) chooses the pairs in one pass.

use std::collections::HashMap;
use std::hash::Hash;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::random::Chance;
use super::scan::{Scan, Summarized};
use crate::error::Result;
use crate::pipeline::{Data, Key, Pipeline};
use crate::portable::portable;
use crate::task::{Flow, Partition, Site, Task, fingerprint};

/// Largest part of a record by which a fraction of a number of records may exceed a whole number and still be rounded
/// down to it. A decimal fraction such as 0.1 is not exact, and ten percent of 30 records are 3 records.
const ROUNDING: f64 = 1e-9;

pub(crate) struct SampleExact<K, V> {
    pub(crate) fractions: Arc<HashMap<K, f64>>,
    pub(crate) seed: u64,
    pub(crate) pairs: PhantomData<fn(V)>,
}

portable! {
    [K: Data + Sync + Eq + Hash, V] SampleExact<K, V> {
        fractions: state, seed: data, pairs: part,
    }
}

/// The pairs of a key in a partition that have not been read yet.
#[derive(Clone, Copy)]
pub(crate) struct Left {
    pairs: u64,
    /// Number of them that belong to the sample.
    wanted: u64,
}

#[derive(Clone)]
pub(crate) struct Selection<K> {
    left: HashMap<K, Left>,
    chance: Chance,
}

impl<K: Data + Sync + Eq + Hash + Clone, V: 'static> Scan<(K, V)> for SampleExact<K, V> {
    type Out = (K, V);
    /// The number of pairs of each key that has a fraction.
    type Summary = Vec<(K, u64)>;
    type State = Selection<K>;

    fn empty(&self) -> Self::Summary {
        Vec::new()
    }

    fn add(&self, _: &mut Self::Summary, _: (K, V)) -> Flow {
        unreachable!("`summarize` counts in a map")
    }

    fn summarize<P>(
        &self,
        parent: &P,
        partition: Partition,
        task: &Task<'_>,
        site: Site,
    ) -> Result<Summarized<Self::Summary>>
    where
        P: Pipeline<Out = (K, V)>,
    {
        let mut counts = HashMap::new();
        let mut records = 0;
        let flow = parent.run(partition, task, &mut |(key, _)| {
            records += 1;
            task.call(&site, || match counts.get_mut(&key) {
                Some(count) => *count += 1,
                None if self.fractions.contains_key(&key) => drop(counts.insert(key, 1)),
                None => {}
            });
            ControlFlow::Continue(())
        })?;
        Ok(Summarized {
            summary: counts.into_iter().collect(),
            records,
            is_whole: flow.is_continue(),
        })
    }

    fn states(&self, partitions: Vec<Summarized<Self::Summary>>) -> Vec<Self::State> {
        let mut states: Vec<Self::State> = (0..partitions.len())
            .map(|partition| Selection {
                left: HashMap::new(),
                chance: Chance::new(self.seed, partition),
            })
            .collect();
        let mut by_key: HashMap<K, Vec<(usize, u64)>> = HashMap::new();
        for (partition, summarized) in partitions.into_iter().enumerate() {
            for (key, pairs) in summarized.summary {
                by_key.entry(key).or_default().push((partition, pairs));
            }
        }
        for (key, pairs) in by_key {
            let wanted = self.wanted(&key, &pairs);
            for ((partition, pairs), wanted) in pairs.into_iter().zip(wanted) {
                let left = Left { pairs, wanted };
                states[partition].left.insert(key.clone(), left);
            }
        }
        states
    }

    fn push<S>(&self, selection: &mut Selection<K>, pair: (K, V), sink: &mut S) -> Flow
    where
        S: FnMut((K, V)) -> Flow,
    {
        let Some(left) = selection.left.get_mut(&pair.0) else {
            return ControlFlow::Continue(());
        };
        let is_chosen = selection.chance.next_below(left.pairs) < left.wanted;
        left.pairs = left.pairs.saturating_sub(1);
        left.wanted -= u64::from(is_chosen);
        if is_chosen {
            sink(pair)
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl<K: Data + Eq + Hash, V> SampleExact<K, V> {
    /// Divides the sample of a key among the partitions with these numbers of its pairs.
    fn wanted(&self, key: &K, pairs: &[(usize, u64)]) -> Vec<u64> {
        let all: u64 = pairs.iter().map(|(_, pairs)| *pairs).sum();
        let fraction = self.fractions.get(key).copied().unwrap_or(0.0);
        let wanted = ((fraction * all as f64 - ROUNDING).ceil() as u64).min(all);
        // Each draw takes time, so the pairs outside of the sample are drawn if they are fewer.
        let is_outside = wanted > all / 2;
        let draws = if is_outside { all - wanted } else { wanted };
        let mut left: Vec<_> = pairs.iter().map(|(_, pairs)| *pairs).collect();
        let mut urn = Urn::new(left.clone());
        let mut chance = Chance::new(self.seed ^ hash(key), usize::MAX);
        for drawn in 0..draws {
            left[urn.take(chance.next_below(all - drawn))] -= 1;
        }
        let counted = pairs.iter().zip(left);
        let wanted = counted.map(|((_, pairs), left)| if is_outside { left } else { pairs - left });
        wanted.collect()
    }
}

/// Numbers of things of several kinds, which are taken one by one. A binary indexed tree (Fenwick, A new data structure
/// for cumulative frequency tables, 1994), so that taking one among thousands of kinds is fast.
struct Urn(Vec<u64>);

impl Urn {
    fn new(mut counts: Vec<u64>) -> Self {
        for at in 1..=counts.len() {
            let parent = at + (1 << at.trailing_zeros());
            if parent <= counts.len() {
                counts[parent - 1] += counts[at - 1];
            }
        }
        Self(counts)
    }

    /// Takes the thing at `position`, where things of one kind are neighbours. Returns the kind.
    fn take(&mut self, mut position: u64) -> usize {
        let mut kind = 0;
        let mut step = self.0.len().next_power_of_two();
        while step > 0 {
            if let Some(sum) = self.0.get_mut(kind + step - 1) {
                match position.checked_sub(*sum) {
                    Some(rest) => {
                        position = rest;
                        kind += step;
                    }
                    None => *sum -= 1,
                }
            }
            step /= 2;
        }
        kind
    }
}

/// Returns a number that depends only on the key. A key that cannot be serialised has made the job fail before.
fn hash<K: Data + Eq>(key: &K) -> u64 {
    K::with_bytes(key, &mut Vec::new(), fingerprint).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_urn_takes_what_a_list_has_at_the_position() {
        let mut chance = Chance::new(7, 0);
        for kinds in [1, 2, 3, 8, 13, 100] {
            let counts: Vec<_> = (0..kinds).map(|_| chance.next_below(4)).collect();
            let things = (0..kinds).zip(&counts);
            let things = things.flat_map(|(kind, count)| (0..*count).map(move |_| kind));
            let mut things: Vec<usize> = things.collect();
            let mut urn = Urn::new(counts);
            while !things.is_empty() {
                let position = chance.next_below(things.len() as u64);
                assert_eq!(urn.take(position), things.remove(position as usize));
            }
        }
    }
}
