//! Pseudorandom numbers and words, the same on every machine.

/// Appends the word with the given rank to `line`; the most frequent word has rank 1. The word is its rank in a numeral
/// system whose digits 1 to 80 are syllables of two letters, so different ranks have different words.
pub(crate) fn spell(mut rank: u64, line: &mut String) {
    const CONSONANTS: &[u8; 16] = b"tnshrdlcmwfgpbvk";
    const VOWELS: &[u8; 5] = b"eaoiu";
    while rank > 0 {
        rank -= 1;
        let syllable = (rank % 80) as usize;
        line.push(char::from(CONSONANTS[syllable % 16]));
        line.push(char::from(VOWELS[syllable / 16]));
        rank /= 80;
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): small, fast, and good enough for text.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number from 0 to `n` - 1.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// Returns a number from 1 to `n`, each with a probability proportional to its reciprocal (Zipf's law).
    ///
    /// All numbers with `bits + 1` binary digits have about the same probability, in total, as all numbers with one
    /// digit more. So choose the number of digits, then a number with that many digits, and reject it with the
    /// probability that corrects the distribution: nearly a third of the time. Use only integers, because logarithms
    /// differ between machines.
    pub(crate) fn rank(&mut self, n: u64) -> u64 {
        loop {
            let bits = self.below(u64::from(n.ilog2()) + 1);
            let first = 1 << bits;
            let rank = first + self.below(first);
            if rank <= n && self.below(rank) < first {
                return rank;
            }
        }
    }
}
