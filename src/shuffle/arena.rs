//! Bytes of keys, one behind the other, in chunks that never move.

const FIRST_CHUNK_BYTES: usize = 1 << 10;
const LAST_CHUNK_BYTES: usize = 1 << 20;

#[derive(Default)]
pub(crate) struct Arena {
    chunks: Vec<Vec<u8>>,
}

impl Arena {
    /// Keeps a copy of `bytes`. The address is good for [`get`](Self::get) only.
    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) -> u64 {
        if self
            .chunks
            .last()
            .is_none_or(|chunk| chunk.capacity() - chunk.len() < bytes.len())
        {
            self.add_chunk(bytes.len());
        }
        let index = self.chunks.len() - 1;
        let chunk = &mut self.chunks[index];
        let address = (index as u64) << 32 | chunk.len() as u64;
        chunk.extend_from_slice(bytes);
        address
    }

    #[cold]
    fn add_chunk(&mut self, least_bytes: usize) {
        let usual = self
            .chunks
            .last()
            .map_or(FIRST_CHUNK_BYTES, |last| last.capacity() * 2);
        // A chunk for one long key counts as no more than any other.
        let bytes = usual.min(LAST_CHUNK_BYTES).max(least_bytes);
        self.chunks.push(Vec::with_capacity(bytes));
    }

    #[inline]
    pub(crate) fn get(&self, address: u64, len: usize) -> &[u8] {
        let start = (address & u64::from(u32::MAX)) as usize;
        &self.chunks[(address >> 32) as usize][start..start + len]
    }
}
