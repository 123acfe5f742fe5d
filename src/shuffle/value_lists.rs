//! The values that small tasks have of each key, one behind the other, until they become one entry.
//!
//! Small tasks often have the same keys, and an entry for each of them in each task would cost more than all else that
//! the task does. Between tasks that follow each other on one thread nothing comes, so their values of a key may stand
//! in one entry. Whether they do shows nowhere: they are merged one by one in either case.

use super::grouper::Grouper;
use super::table::{Probe, Table};
use crate::error::Result;
use crate::pipeline::Data;
use crate::storage::codec;
use crate::storage::memory::Reservation;
use crate::task::Resources;

/// Tasks of more keys make entries at once: the more records a task has, the less there is to save.
const MOST_KEYS_OF_TASK: usize = 1 << 10;

/// All lists stay in the processor's cache: there are no more of them, and what is in them and their keys are no longer.
const MOST_LISTS: usize = 2 * MOST_KEYS_OF_TASK;
const MOST_BYTES: usize = 256 << 10;

/// The room that a list begins with, and what all may have to keep it for the next values: other keys have long ones.
const LIST_BYTES: usize = 48;
const MOST_ROOM_BYTES: usize = 2 * MOST_BYTES;

/// What the lists take, and the part of what a thread has that this may be.
const MEMORY_BYTES: usize = 1 << 20;
const PART_OF_SHARE: usize = 16;

/// After lists that had hardly two values each so many times as many values go by without. Then they are tried again,
/// and each time that they save as little it takes twice as long to the next one.
const PASSED_FOR_LISTED: usize = 16;

pub(super) struct ValueLists<'c> {
    resources: &'c Resources,
    reservation: Option<Reservation>,

    /// For each key the number of its list; the lists, of which those that no key has are empty; how many values there
    /// are, and how long they and the keys are.
    numbers: Table<usize>,
    lists: Vec<Vec<u8>>,
    values: usize,
    bytes: usize,

    /// How many values are still to go by, and how many for each that is here if these save little.
    pass_left: usize,
    pass_for_listed: usize,
}

impl<'c> ValueLists<'c> {
    pub(super) fn new(resources: &'c Resources) -> Self {
        Self {
            resources,
            reservation: None,
            numbers: Table::default(),
            lists: Vec::new(),
            values: 0,
            bytes: 0,
            pass_left: 0,
            pass_for_listed: PASSED_FOR_LISTED,
        }
    }

    /// Whether the values of so many keys should come here.
    pub(super) fn want(&mut self, keys: usize) -> bool {
        if keys > MOST_KEYS_OF_TASK {
            return false;
        }
        if self.pass_left > 0 {
            self.pass_left = self.pass_left.saturating_sub(keys);
            return false;
        }
        let resources = self.resources;
        if self.reservation.is_none() && resources.share_bytes() >= PART_OF_SHARE * MEMORY_BYTES {
            self.reservation = resources.budget.try_reserve(MEMORY_BYTES);
        }
        self.reservation.is_some()
    }

    /// Takes in the value of a key; if that is as much as may be here, all of it goes to `grouper`.
    pub(super) fn push<V: Data>(
        &mut self,
        probe: &Probe,
        key: &[u8],
        value: &V,
        grouper: &mut Grouper<'_>,
    ) -> Result<()> {
        let list = self.list_of(probe, key);
        let before = list.len();
        codec::encode_into(value, list)?;
        self.bytes += key.len() + list.len() - before;
        self.values += 1;
        if self.numbers.len() == MOST_LISTS || self.bytes >= MOST_BYTES {
            self.pour(grouper)?;
        }
        Ok(())
    }

    /// The list of a key, which may be new.
    fn list_of(&mut self, probe: &Probe, key: &[u8]) -> &mut Vec<u8> {
        let long = &key[..probe.long_len()];
        let next = self.numbers.len();
        let mut number = next;
        let mut note = |known, ()| {
            number = known;
            known
        };
        while let Err(()) = self.numbers.upsert(probe, long, (), |()| next, &mut note) {
            self.numbers.make_room(long);
        }
        if number == self.lists.len() {
            self.lists.push(Vec::with_capacity(LIST_BYTES));
        }
        &mut self.lists[number]
    }

    /// Makes an entry of each list.
    pub(super) fn pour(&mut self, grouper: &mut Grouper<'_>) -> Result<()> {
        let keys = self.numbers.len();
        if keys == 0 {
            return Ok(());
        }
        // The entries are counted where they go.
        let listed = self.values - keys;
        self.resources.progress.add_shuffled(listed as u64, 0);
        if listed < keys {
            self.pass_left = self.values.saturating_mul(self.pass_for_listed);
            self.pass_for_listed = self.pass_for_listed.saturating_mul(2);
        } else {
            self.pass_for_listed = PASSED_FOR_LISTED;
        }
        (self.values, self.bytes) = (0, 0);
        let Self { numbers, lists, .. } = self;
        numbers.drain(|_, key, number| grouper.push_bytes(key, &lists[number]))?;
        lists.iter_mut().for_each(Vec::clear);
        if lists.iter().map(Vec::capacity).sum::<usize>() > MOST_ROOM_BYTES {
            lists.clear();
        }
        grouper.end_task(|_| true)
    }
}
