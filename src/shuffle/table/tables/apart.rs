//! Values that are kept apart from the tables, because their keys need less than a hash of bytes.

use super::{FillsTables, Tables};
use crate::error::Result;
use crate::pipeline::{Key, Owned, Peek};
use crate::shuffle::sort::word::Word;
use crate::shuffle::table::accumulator::InPlace;
use crate::shuffle::table::by_byte::ByByte;
use crate::shuffle::table::by_word::ByWord;
use crate::shuffle::table::hash_table::HashedKey;
use crate::shuffle::write::combine::Combine;
use crate::storage::codec::{self, Short};

/// Fraction of the memory of a thread that words may take, as a divisor. With more keys than this, the tables, which take
/// more memory for a key, would have to be flushed.
const WORDS_OF_MOST: usize = 2;

/// Maximum size of keys of which some may be one byte long, in bytes. For larger ones, the branch is often mispredicted,
/// and numbers are words, too.
const MAX_KEY_BYTES: usize = 4;

impl<C: Combine> Tables<'_, C> {
    /// Whether values of keys of one byte are kept apart.
    pub(super) const KEEPS_BYTES_APART: bool = C::COMMUTES
        && ByByte::<C::Combined>::IS_SMALL
        && size_of::<Owned<C::Key>>() <= MAX_KEY_BYTES;

    /// Whether values of keys that are words are kept apart.
    pub(super) fn keeps_words_apart() -> bool {
        !C::replaces() && ByWord::<C::Combined>::IS_SMALL && u64::is_for::<Owned<C::Key>>()
    }

    /// Combines a record whose key is one byte long. If it is not, or if such keys are not kept apart, returns the value
    /// as the error.
    ///
    /// This is inlined into the loop of the user's closure, so it must be short.
    #[inline(always)]
    pub(crate) fn push_by_byte(
        &mut self,
        key: Peek<'_, C::Key>,
        value: C::Value,
    ) -> Result<(), C::Value> {
        if const { Self::KEEPS_BYTES_APART }
            && let Some(key) = C::Key::short(key).and_then(Short::byte)
            && let Some(combined) = self.by_byte.value(key)
        {
            match combined {
                Some(_) => self.combine.add(combined, value),
                None => *combined = Some(self.combine.create(value)),
            }
            return Ok(());
        }
        Err(value)
    }

    /// Returns whether keys that are words are kept apart.
    #[inline(always)]
    fn has_words(&self) -> bool {
        self.by_word.is_some()
    }

    /// Combines a record whose key is a word. If it is time to [make room](Self::make_room_for_words), returns the value as
    /// the error.
    #[inline(always)]
    fn push_by_word(&mut self, key: Peek<'_, C::Key>, value: C::Value) -> Result<(), C::Value> {
        let combine = self.combine;
        match (&mut self.by_word, C::Key::with_sized(key, u64::of)) {
            (Some(by_word), _)
                if combine.owns_memory() && by_word.records() >= self.next_measure =>
            {
                Err(value)
            }
            (Some(by_word), Some(Some(word))) => by_word.upsert(
                word,
                value,
                |value| combine.create(value),
                |combined, value| combine.add(&mut InPlace(combined), value),
            ),
            _ => Err(value),
        }
    }

    /// Keeps words apart from now on. The tables must be empty.
    pub(crate) fn restart_words(&mut self) {
        if self.by_word.is_none() && Self::keeps_words_apart() {
            self.by_word = Some(ByWord::default());
        }
    }

    /// If words are kept apart, removes all of them, and calls `each` with the key and the value of every one. Returns the
    /// number of records.
    pub(crate) fn drain_words(
        &mut self,
        mut each: impl FnMut(Short, C::Combined) -> Result<()>,
    ) -> Result<usize> {
        let Some(by_word) = &mut self.by_word else {
            return Ok(0);
        };
        let (records, words) = (by_word.records(), by_word.len());
        for (word, value) in by_word.drain() {
            each(short_of::<C>(word), value)?;
        }
        if by_word.is_sparse_for(words) {
            self.word_reservation.clear();
            *by_word = ByWord::default();
        }
        self.begin_anew();
        Ok(records)
    }

    /// Ensures capacity for one more word, and memory for what values own. Returns `false` if the values must move to the
    /// tables.
    pub(crate) fn make_room_for_words(
        &mut self,
        reclaim: impl FnOnce() -> Result<()>,
    ) -> Result<bool> {
        let most_bytes = self.most_bytes / WORDS_OF_MOST;
        let Some(by_word) = &mut self.by_word else {
            return Ok(false);
        };
        if self.combine.owns_memory() && by_word.records() >= self.next_measure {
            let is_granted = self.measure_values(2, reclaim)?;
            if !is_granted {
                // The tables must spill them.
                self.next_measure = 0;
            }
            return Ok(is_granted);
        }
        let owns_memory = self.combine.owns_memory();
        let Some(bytes) = by_word.next_bytes(most_bytes, owns_memory, !C::COMMUTES) else {
            return Ok(false);
        };
        let reservation = &mut self.word_reservation;
        let both_bytes = by_word.memory_bytes() + bytes;
        if !self.resources.reserve(reservation, both_bytes, reclaim)? {
            return Ok(false);
        }
        let has_grown = by_word.grow();
        reservation.shrink(both_bytes - by_word.memory_bytes());
        Ok(has_grown)
    }

    /// Merges the combined value of a short key into its partition. If there is no [capacity](Self::make_room),
    /// returns the value as the error.
    fn merge_in(
        &mut self,
        (partition, hashed): (usize, HashedKey),
        value: C::Combined,
    ) -> Result<(), C::Combined> {
        self.tables[partition].upsert(
            &hashed,
            &[],
            value,
            |value| value,
            |slot, later| self.combine.merge(slot, later),
        )
    }
}

/// Combines a record whose key is a word. If such keys are not kept apart, returns the value.
#[inline(always)]
pub(crate) fn push_by_word<'c, F: FillsTables<'c>>(
    combiner: &mut F,
    key: Peek<'_, <F::Combine as Combine>::Key>,
    mut value: <F::Combine as Combine>::Value,
) -> Result<Option<<F::Combine as Combine>::Value>> {
    while combiner.tables().has_words() {
        match combiner.tables().push_by_word(key, value) {
            Ok(()) => return Ok(None),
            Err(again) => value = again,
        }
        make_room_for_words(combiner)?;
    }
    Ok(Some(value))
}

/// Ensures capacity for one more word, or moves the values to the tables.
#[cold]
#[inline(never)]
fn make_room_for_words<'c>(combiner: &mut impl FillsTables<'c>) -> Result<()> {
    match combiner.make_room_for_words()? {
        true => Ok(()),
        false => flush_by_word(combiner),
    }
}

/// Moves the values of keys of one byte to the tables.
pub(crate) fn flush_by_byte<'c>(combiner: &mut impl FillsTables<'c>) -> Result<()> {
    let (records, values) = combiner.tables().by_byte.take();
    combiner.tables().records += records - values.len();
    for (key, value) in values {
        move_value(combiner, Short::new(&[key]), value)?;
    }
    Ok(())
}

/// Moves the values of keys that are words to the tables.
pub(crate) fn flush_by_word<'c, F: FillsTables<'c>>(combiner: &mut F) -> Result<()> {
    let Some(mut by_word) = combiner.tables().by_word.take() else {
        return Ok(());
    };
    combiner.tables().records += by_word.records() - by_word.len();
    for (word, value) in by_word.drain() {
        move_value(combiner, Some(short_of::<F::Combine>(word)), value)?;
    }
    combiner.tables().word_reservation.clear();
    Ok(())
}

/// Moves the value of a short key to the tables. It counts as one record, because the tables may be flushed before the
/// next one.
fn move_value<'c, F: FillsTables<'c>>(
    combiner: &mut F,
    key: Option<Short>,
    value: <F::Combine as Combine>::Combined,
) -> Result<()> {
    let place = HashedKey::of(combiner.tables().partitioner, key, &[]);
    let mut value = value;
    while let Err(again) = combiner.tables().merge_in(place, value) {
        value = again;
        combiner.make_room(place.0, &[])?;
    }
    combiner.tables().records += 1;
    Ok(())
}

/// Returns the short form of the key that has this word.
fn short_of<C: Combine>(word: u64) -> Short {
    let key = word.record::<Owned<C::Key>>();
    match key.as_ref().and_then(codec::encode_short) {
        Some(short) => short,
        None => unreachable!("a number has a short form"),
    }
}
