//! An entry: a key and a value as bytes. Entries are stored back to back.
//!
//! ```text
//!  in memory  key length, value length (varints), key, value
//!  in a run   key length (varint), key, task, chunk (varints), value
//! ```
//!
//! In memory, a chunk belongs to one task. In a run, entries of several tasks may be neighbours, so each records its
//! task and chunk. The hash of the key is in neither form: to recompute it takes 3 ns, whereas 8 more bytes would cost
//! as much to copy and far more to write.

use std::ops::Range;

use crate::shuffle::memory::hints::prefetch;

/// Maximum length of the header of an entry in memory, in bytes.
pub(crate) const MAX_HEADER_BYTES: usize = 2 * MAX_VARINT_BYTES;

const MAX_VARINT_BYTES: usize = 10;

/// Prefetch distance of [`fetch_ahead`], in bytes.
const PREFETCH_BYTES: usize = 512;

/// KeyPosition of an entry in the order of the bag. Entries are ordered by task, or by combine group if they are combined
/// in order. Those of one task and partition are ordered by the number of their chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EntrySeq {
    pub(crate) task: u64,
    pub(crate) chunk: u64,
}

/// Appends an entry in its in-memory form. `key_value` is the key followed by the value.
#[inline]
pub(crate) fn push(chunk: &mut Vec<u8>, key_len: usize, key_value: &[u8]) {
    let value_len = key_value.len() - key_len;
    if key_len < 0x80 && value_len < 0x80 {
        chunk.extend_from_slice(&[key_len as u8, value_len as u8]);
    } else {
        push_varint(chunk, key_len as u64);
        push_varint(chunk, value_len as u64);
    }
    chunk.extend_from_slice(key_value);
}

/// Returns the key and the value of the entry at the start of `bytes`, and the bytes after it.
#[inline(always)]
pub(crate) fn split_first(bytes: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (key_len, value_len, rest) = lengths(bytes);
    let (key, rest) = rest.split_at(key_len);
    let (value, rest) = rest.split_at(value_len);
    (key, value, rest)
}

/// Returns the value of the entry at the start of `bytes`, and the bytes after it, if there is one with this key.
#[inline(always)]
pub(crate) fn split_same<'b>(key: &[u8], bytes: &'b [u8]) -> Option<(&'b [u8], &'b [u8])> {
    if bytes.is_empty() {
        return None;
    }
    fetch_ahead(bytes);
    let (its_key, value, rest) = split_first(bytes);
    is_same(its_key, key).then_some((value, rest))
}

/// Prefetches the entries some way after the start of `bytes`. A loop over entries waits for the lengths of each before
/// it can read the next.
#[inline(always)]
pub(crate) fn fetch_ahead(bytes: &[u8]) {
    prefetch(bytes.as_ptr().wrapping_add(PREFETCH_BYTES));
}

/// Returns the lengths of the key and of the value of the entry at the start of `bytes`, and the bytes after these
/// lengths.
#[inline(always)]
pub(crate) fn lengths(bytes: &[u8]) -> (usize, usize, &[u8]) {
    match bytes {
        [key_len @ 0..0x80, value_len @ 0..0x80, rest @ ..] => {
            (usize::from(*key_len), usize::from(*value_len), rest)
        }
        _ => long_lengths(bytes),
    }
}

/// Returns whether two keys are equal. Short keys are compared without a call, which would take longer than the
/// comparison.
#[inline(always)]
pub(crate) fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match a.len() {
        1..4 => {
            let (middle, last) = (a.len() / 2, a.len() - 1);
            a[0] == b[0] && a[middle] == b[middle] && a[last] == b[last]
        }
        4..=8 => ends::<4>(a) == ends::<4>(b),
        9..=16 => ends::<8>(a) == ends::<8>(b),
        _ => a == b,
    }
}

/// Returns the first and the last `N` bytes, which may overlap.
#[inline(always)]
fn ends<const N: usize>(bytes: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
    bytes.first_chunk().zip(bytes.last_chunk())
}

#[cold]
fn long_lengths(bytes: &[u8]) -> (usize, usize, &[u8]) {
    let mut at = 0;
    let lengths = varint_at(bytes, &mut at).zip(varint_at(bytes, &mut at));
    let Some((key_len, value_len)) = lengths else {
        unreachable!("a chunk has whole entries");
    };
    (key_len as usize, value_len as usize, &bytes[at..])
}

/// Encodes an entry in its run form.
#[inline]
pub(crate) fn encode_run(key: &[u8], order: EntrySeq, value: &[u8], record: &mut Vec<u8>) {
    record.clear();
    push_varint(record, key.len() as u64);
    record.extend_from_slice(key);
    push_varint(record, order.task);
    push_varint(record, order.chunk);
    record.extend_from_slice(value);
}

/// Positions of the parts of a record of a run. The value extends to the end of the record.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunSpan {
    pub(crate) key: Range<usize>,
    pub(crate) order: EntrySeq,
    pub(crate) value: usize,
}

/// Returns the parts of a record of a run, or `None` if the record is not valid.
#[inline]
pub(crate) fn decode_run(record: &[u8]) -> Option<RunSpan> {
    let mut at = 0;
    let key_len = usize::try_from(varint_at(record, &mut at)?).ok()?;
    let key = at..at.checked_add(key_len)?;
    at = key.end;
    let task = varint_at(record, &mut at)?;
    let chunk = varint_at(record, &mut at)?;
    let order = EntrySeq { task, chunk };
    let value = at;
    Some(RunSpan { key, order, value })
}

/// Writes the length of a key into the byte at `start`, inserting more bytes for a long key. The key begins after that
/// byte and extends to the end. Returns the number of bytes of the length.
#[inline(always)]
pub(crate) fn put_length(bytes: &mut Vec<u8>, start: usize) -> usize {
    let len = bytes.len() - start - 1;
    if len < 0x80 {
        bytes[start] = len as u8;
        1
    } else {
        put_long_length(bytes, start, len)
    }
}

/// Writes the lengths of a key and a value into the two bytes at `start`, inserting more bytes for long ones. The key
/// begins after these bytes, and the value extends to the end. Returns the number of bytes of the lengths.
#[inline(always)]
pub(crate) fn put_lengths(bytes: &mut Vec<u8>, start: usize, key_len: usize) -> usize {
    let value_len = bytes.len() - start - 2 - key_len;
    if key_len < 0x80 && value_len < 0x80 {
        bytes[start] = key_len as u8;
        bytes[start + 1] = value_len as u8;
        2
    } else {
        put_long_lengths(bytes, start, key_len, value_len)
    }
}

#[cold]
fn put_long_lengths(bytes: &mut Vec<u8>, start: usize, key_len: usize, value_len: usize) -> usize {
    let mut lengths = Vec::with_capacity(MAX_HEADER_BYTES);
    push_varint(&mut lengths, key_len as u64);
    push_varint(&mut lengths, value_len as u64);
    let lengths_bytes = lengths.len();
    bytes.splice(start..start + 2, lengths);
    lengths_bytes
}

#[cold]
fn put_long_length(bytes: &mut Vec<u8>, start: usize, len: usize) -> usize {
    let mut length = Vec::with_capacity(MAX_VARINT_BYTES);
    push_varint(&mut length, len as u64);
    let length_bytes = length.len();
    bytes.splice(start..=start, length);
    length_bytes
}

#[inline]
pub(crate) fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[inline]
pub(crate) fn varint_at(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_same_if_all_of_their_bytes_are() {
        for len in 0..20 {
            let key = vec![7; len];
            assert!(is_same(&key, &key.clone()) && !is_same(&key, &vec![7; len + 1]));
            for at in 0..len {
                let mut other = key.clone();
                other[at] = 8;
                assert!(!is_same(&key, &other), "{len} bytes, {at}");
            }
        }
    }

    #[test]
    fn entries_come_back_from_memory_and_from_runs() {
        let mut chunk = Vec::new();
        let mut record = Vec::new();
        let lengths = [0, 1, 127, 128, 20_000];
        for key_len in lengths {
            for value_len in lengths {
                let (key, value) = (vec![7; key_len], vec![9; value_len]);
                let start = chunk.len();
                push(&mut chunk, key_len, &[key.clone(), value.clone()].concat());
                assert_eq!(split_first(&chunk[start..]), (&*key, &*value, &[][..]));
                let order = EntrySeq {
                    task: 300,
                    chunk: key_len as u64,
                };
                encode_run(&key, order, &value, &mut record);
                let span = decode_run(&record).unwrap();
                assert_eq!(span.order, order);
                assert_eq!(record[span.key], key);
                assert_eq!(record[span.value..], value);
            }
        }
        assert!(decode_run(&[5, 1]).is_none() && decode_run(&[0x80; 20]).is_none());
    }
}
