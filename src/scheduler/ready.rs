//! The map stages that a thread may take, found without looking at all others.

use std::collections::BTreeSet;

/// Positions of the stages that can be taken, in the order of the plan. A stage is added once all stages that it reads
/// are done.
///
/// Each change takes time that depends on the neighbours of a stage, not on the length of the plan.
#[derive(Default)]
pub(super) struct ReadyStages {
    /// The stages that read each stage. One that reads a stage twice occurs twice.
    read_by: Vec<Vec<usize>>,
    /// Number of stages that each stage reads and that are not done.
    missing: Vec<usize>,
    ready: BTreeSet<usize>,
}

impl ReadyStages {
    /// Finds the stages that can be taken at first. `reads` are the positions of the stages that each stage reads, and
    /// `is_done` tells which stages are done.
    pub(super) fn new<'r>(
        reads: impl ExactSizeIterator<Item = &'r [usize]>,
        is_done: impl Fn(usize) -> bool,
    ) -> Self {
        let mut stages = Self {
            read_by: vec![Vec::new(); reads.len()],
            missing: Vec::with_capacity(reads.len()),
            ready: BTreeSet::new(),
        };
        for (position, reads) in reads.enumerate() {
            let missing = reads.iter().filter(|read| !is_done(**read));
            stages.missing.push(missing.count());
            for read in reads {
                stages.read_by[*read].push(position);
            }
            if stages.missing[position] == 0 && !is_done(position) {
                stages.ready.insert(position);
            }
        }
        stages
    }

    /// Returns the stages, from position `from` on and then from the beginning.
    pub(super) fn from(&self, from: usize) -> impl Iterator<Item = usize> {
        let later = self.ready.range(from..);
        later.chain(self.ready.range(..from)).copied()
    }

    /// Takes the first stage.
    pub(super) fn take_first(&mut self) -> Option<usize> {
        self.ready.pop_first()
    }

    pub(super) fn insert(&mut self, position: usize) {
        self.ready.insert(position);
    }

    pub(super) fn remove(&mut self, position: usize) {
        self.ready.remove(&position);
    }

    /// Records that the stage at `position`, which has been taken, is done.
    pub(super) fn set_done(&mut self, position: usize) {
        for reader in &self.read_by[position] {
            self.missing[*reader] -= 1;
            if self.missing[*reader] == 0 {
                self.ready.insert(*reader);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_ready_after_all_that_it_reads() {
        // Stage 2 reads stage 0 twice, and stage 3 the others.
        let reads = [vec![], vec![], vec![0, 0], vec![1, 2]];
        let reads = || reads.iter().map(Vec::as_slice);
        let mut stages = ReadyStages::new(reads(), |_| false);
        let ready = |stages: &ReadyStages, from| stages.from(from).collect::<Vec<_>>();
        assert_eq!(ready(&stages, 0), [0, 1]);
        assert_eq!(ready(&stages, 1), [1, 0]);
        assert_eq!(stages.take_first(), Some(0));
        stages.set_done(0);
        assert_eq!(ready(&stages, 0), [1, 2]);
        stages.remove(2);
        stages.set_done(2);
        assert_eq!(ready(&stages, 9), [1]);
        stages.remove(1);
        stages.set_done(1);
        assert_eq!(ready(&stages, 0), [3]);

        let later = ReadyStages::new(reads(), |position| position < 2);
        assert_eq!(ready(&later, 0), [2]);
    }
}
