//! Stores the bytes of keys back to back, in chunks that never move.

const FIRST_CHUNK_BYTES: usize = 1 << 10;
const LAST_CHUNK_BYTES: usize = 1 << 20;

#[derive(Default)]
pub(crate) struct Arena {
    /// Chunks before `current` are full, those after it are empty.
    chunks: Vec<Vec<u8>>,
    current: usize,
    memory_bytes: usize,
}

impl Arena {
    /// Stores a copy of `bytes` and returns its address, or `None` if the [capacity](Self::make_room) is exhausted. The
    /// address is valid only for [`get`](Self::get).
    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Option<u64> {
        let chunk = self.chunks.get_mut(self.current)?;
        if chunk.capacity() - chunk.len() < bytes.len() {
            return None;
        }
        let address = (self.current as u64) << 32 | chunk.len() as u64;
        chunk.extend_from_slice(bytes);
        Some(address)
    }

    #[inline]
    pub(crate) fn get(&self, address: u64, len: usize) -> &[u8] {
        let start = (address & u64::from(u32::MAX)) as usize;
        &self.chunks[(address >> 32) as usize][start..start + len]
    }

    /// Prefetches bytes that [`put`](Self::put) has stored.
    #[inline(always)]
    pub(crate) fn prefetch(&self, address: u64) {
        let chunk = self.chunks.get((address >> 32) as usize);
        let start = (address & u64::from(u32::MAX)) as usize;
        if let Some(byte) = chunk.and_then(|chunk| chunk.get(start)) {
            super::hints::prefetch(byte);
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Returns the number of bytes that [`make_room`](Self::make_room) would allocate.
    pub(crate) fn room_bytes(&self, bytes: usize) -> usize {
        let fits = |chunk: &Vec<u8>| chunk.capacity() - chunk.len() >= bytes;
        if bytes == 0 || self.chunks.iter().skip(self.current).take(2).any(fits) {
            return 0;
        }
        // A table of a hundred keys does not need the chunk size of a table of millions.
        let usual = self.memory_bytes.clamp(FIRST_CHUNK_BYTES, LAST_CHUNK_BYTES);
        usual.max(bytes)
    }

    /// Ensures capacity for `bytes` contiguous bytes.
    pub(crate) fn make_room(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let new = self.room_bytes(bytes);
        if new > 0 {
            // The chunk after the current one was too small for these bytes, but may be large enough for later ones.
            let at = (self.current + 1).min(self.chunks.len());
            self.chunks.insert(at, Vec::with_capacity(new));
            self.memory_bytes += new;
        }
        let chunk = self.chunks.get(self.current);
        if chunk.is_none_or(|chunk| chunk.capacity() - chunk.len() < bytes) {
            self.current = (self.current + 1).min(self.chunks.len() - 1);
        }
    }

    /// Removes all bytes and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.chunks.iter_mut().for_each(Vec::clear);
        self.current = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_where_they_are() {
        let mut arena = Arena::default();
        for round in 0..3 {
            let keys: Vec<Vec<u8>> = (0..5000)
                .map(|n| vec![(n % 251) as u8; 16 + n % 700])
                .collect();
            let mut addresses = Vec::new();
            let before = arena.memory_bytes();
            for key in &keys {
                let address = arena.put(key).unwrap_or_else(|| {
                    arena.make_room(key.len());
                    arena.put(key).unwrap()
                });
                addresses.push(address);
            }
            assert!(
                addresses
                    .iter()
                    .zip(&keys)
                    .all(|(address, key)| arena.get(*address, key.len()) == key)
            );
            // Later rounds reuse the memory of the first.
            assert!(round == 0 || arena.memory_bytes() == before);
            arena.clear();
        }
    }

    #[test]
    fn a_long_key_has_a_chunk_of_its_own() {
        let mut arena = Arena::default();
        arena.make_room(20);
        let short = arena.put(&[1; 20]).unwrap();
        arena.make_room(5_000_000);
        let long = arena.put(&[2; 5_000_000]).unwrap();
        assert_eq!(arena.get(short, 20), [1; 20]);
        assert_eq!(arena.get(long, 5_000_000), vec![2; 5_000_000]);
        assert!(arena.memory_bytes() >= 5_001_024);
    }
}
