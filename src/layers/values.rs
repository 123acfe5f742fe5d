//! Values that are held for their readers, in memory or in files, and how much memory they take.

use std::cmp::Reverse;
use std::sync::Arc;

use super::value::Value;
use crate::storage::blocks::BlockFile;
use crate::storage::memory::Reservation;
use crate::storage::scratch::ScratchFile;
use crate::storage::transfer::Home;

/// Memory of a value besides its bytes, in bytes: its counters and its place here.
const OVERHEAD_BYTES: usize = 128;

/// Part of the held values that is spilled at once. Larger parts write values that may be read soon; smaller ones look
/// for values more often.
const SPILLED_PART: usize = 4;

/// A value in memory.
#[derive(Clone)]
pub(super) enum InMemory {
    /// As tasks read it.
    Typed(Value),
    /// As it is sent to workers.
    Encoded(Arc<[u8]>),
}

/// The bytes of a value in a file.
#[derive(Clone, Debug)]
pub(super) struct InFile {
    pub(super) file: BlockFile,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// A value, and what keeps it.
pub(super) struct Stored {
    rank: u32,
    pub(super) memory: Option<InMemory>,
    /// Memory that it takes, in bytes.
    bytes: usize,
    pub(super) file: Option<InFile>,
    /// Files that it refers to while it is not in memory as a value.
    pub(super) files: Vec<Arc<ScratchFile>>,
    is_spilling: bool,
}

impl Stored {
    pub(super) fn new(rank: u32, memory: Option<InMemory>, bytes: usize) -> Self {
        Self {
            rank,
            memory,
            bytes: bytes + OVERHEAD_BYTES,
            file: None,
            files: Vec::new(),
            is_spilling: false,
        }
    }

    fn memory_bytes(&self) -> usize {
        if self.memory.is_some() { self.bytes } else { 0 }
    }
}

/// A value to be written to a file.
pub(super) struct Victim {
    pub(super) rank: u32,
    pub(super) memory: InMemory,
}

/// All values that still have readers.
pub(super) struct ValueStore {
    /// For each task: the place of its value in `stored` and 1, or 0 if there is none.
    places: Vec<u32>,
    stored: Vec<Option<Stored>>,
    free: Vec<u32>,
    held_bytes: usize,
    reservation: Reservation,
}

impl ValueStore {
    pub(super) fn new(tasks: usize, reservation: Reservation) -> Self {
        Self {
            places: vec![0; tasks],
            stored: Vec::new(),
            free: Vec::new(),
            held_bytes: 0,
            reservation,
        }
    }

    pub(super) fn has(&self, rank: u32) -> bool {
        self.places[rank as usize] != 0
    }

    pub(super) fn get(&self, rank: u32) -> Option<&Stored> {
        let place = self.places[rank as usize].checked_sub(1)?;
        self.stored[place as usize].as_ref()
    }

    /// Returns the ranks of the values in files at a home, and of those that refer to such files.
    pub(super) fn at(&self, home: &Home) -> Vec<u32> {
        let is_there = |file: &Arc<ScratchFile>| file.home().is_some_and(|its| its == *home);
        let is_lost = |stored: &&Stored| {
            let in_file = stored.file.iter().map(|file| file.file.file());
            in_file.chain(&stored.files).any(is_there)
        };
        let lost = self.stored.iter().flatten().filter(is_lost);
        lost.map(|stored| stored.rank).collect()
    }

    fn get_mut(&mut self, rank: u32) -> Option<&mut Stored> {
        let place = self.places[rank as usize].checked_sub(1)?;
        self.stored[place as usize].as_mut()
    }

    /// Adds a value. There must be none of this task.
    pub(super) fn put(&mut self, stored: Stored) {
        let rank = stored.rank as usize;
        self.held_bytes += stored.memory_bytes();
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.stored.push(None);
                self.stored.len() as u32 - 1
            }
        };
        self.stored[place as usize] = Some(stored);
        self.places[rank] = place + 1;
    }

    /// Takes a value out.
    pub(super) fn remove(&mut self, rank: u32) -> Option<Stored> {
        let place = std::mem::take(&mut self.places[rank as usize]).checked_sub(1)?;
        let stored = self.stored[place as usize].take()?;
        self.free.push(place);
        self.held_bytes -= stored.memory_bytes();
        Some(stored)
    }

    /// Keeps a value in memory that was read from its file, if the budget allows. Returns what must be dropped.
    pub(super) fn keep_loaded(&mut self, rank: u32, value: Value) -> Option<Value> {
        let Some(stored) = self.get_mut(rank).filter(|stored| stored.memory.is_none()) else {
            return Some(value);
        };
        let bytes = stored.bytes;
        if !self.reservation.try_resize(self.held_bytes + bytes) {
            return Some(value);
        }
        self.held_bytes += bytes;
        if let Some(stored) = self.get_mut(rank) {
            stored.memory = Some(InMemory::Typed(value));
        }
        None
    }

    /// Counts memory of values that are not held here.
    pub(super) fn add_bytes(&mut self, bytes: usize) {
        self.held_bytes += bytes;
    }

    pub(super) fn subtract_bytes(&mut self, bytes: usize) {
        self.held_bytes -= bytes;
    }

    /// Reserves the memory of all values. Returns `false` if the budget refuses.
    pub(super) fn reserve(&mut self) -> bool {
        self.reservation.try_resize(self.held_bytes)
    }

    /// Selects values to be written to a file so that the budget suffices: those whose next reader, as `next_reader`
    /// returns it, is farthest. Values without a next reader are about to be dropped. Those that are in a file already
    /// only leave the memory, into `dropped`.
    pub(super) fn select(
        &mut self,
        next_reader: impl Fn(u32) -> Option<u32>,
        dropped: &mut Vec<InMemory>,
    ) -> Vec<Victim> {
        let lacking = self.held_bytes.saturating_sub(self.reservation.bytes());
        let mut left = lacking.max(self.held_bytes / SPILLED_PART);
        let in_memory = self.stored.iter().flatten();
        let in_memory = in_memory.filter(|stored| stored.memory.is_some() && !stored.is_spilling);
        let candidates =
            in_memory.filter_map(|stored| Some((next_reader(stored.rank)?, stored.rank)));
        let mut candidates: Vec<_> = candidates.collect();
        candidates.sort_unstable_by_key(|candidate| Reverse(*candidate));
        let mut victims = Vec::new();
        for (_, rank) in candidates {
            if left == 0 {
                break;
            }
            let Some(stored) = self.get_mut(rank) else {
                continue;
            };
            let bytes = stored.bytes;
            left = left.saturating_sub(bytes);
            if stored.file.is_some() {
                dropped.extend(stored.memory.take());
                self.held_bytes -= bytes;
            } else if let Some(memory) = stored.memory.clone() {
                stored.is_spilling = true;
                victims.push(Victim { rank, memory });
            }
        }
        victims
    }

    /// Records that a selected value could not be written.
    pub(super) fn not_spilled(&mut self, rank: u32) {
        if let Some(stored) = self.get_mut(rank) {
            stored.is_spilling = false;
        }
    }

    /// Records that a selected value is in a file, and returns its copy in memory. Does nothing if the value has been
    /// dropped in the meantime.
    pub(super) fn spilled(
        &mut self,
        rank: u32,
        file: InFile,
        files: Vec<Arc<ScratchFile>>,
    ) -> Option<InMemory> {
        let stored = self.get_mut(rank).filter(|stored| stored.is_spilling)?;
        stored.is_spilling = false;
        stored.file = Some(file);
        // An encoded value has the files to which it refers from the beginning.
        stored.files.extend(files);
        let (memory, bytes) = (stored.memory.take(), stored.bytes);
        self.held_bytes -= bytes;
        memory
    }
}
