//! Finds delimiters and white space in text, as masks and positions, many bytes at a time.
//!
//! Bit `i` of a mask represents byte `i`. On x86-64, masks are computed by SSE2, which every such CPU has, so no
//! detection at run time is needed. On other targets, they are computed by arithmetic on words of eight bytes. AVX2 and
//! its companions, tried for the positions, saved 0.4 ns of the 5.3 ns per line, which does not justify another kernel.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "calls SSE2, which is part of the target")
)]

/// Number of bytes that one mask covers.
pub(super) const MASK_BYTES: usize = 64;

/// Maximum number of bytes that are searched for positions in one step.
pub(super) const WINDOW_BYTES: usize = 4096;

/// Number of positions that are written in one step, including unused ones. This saves a branch for most masks.
pub(super) const STEP: usize = 4;

/// Positions of a byte in a window.
#[derive(Debug)]
pub(super) struct Positions {
    places: [u16; WINDOW_BYTES + STEP],
    len: usize,
}

impl Positions {
    pub(super) fn new() -> Self {
        Self {
            places: [0; WINDOW_BYTES + STEP],
            len: 0,
        }
    }

    /// Returns the positions of `byte` in `window`, whose maximum length is [`WINDOW_BYTES`].
    pub(super) fn find(&mut self, byte: u8, window: &[u8]) -> &[u16] {
        self.len = 0;
        let window = &window[..window.len().min(WINDOW_BYTES)];
        self.find_by(window, |bytes| equal_mask(bytes, byte));
        &self.places[..self.len]
    }

    fn find_by(&mut self, window: &[u8], mask_of: impl Fn(&[u8; MASK_BYTES]) -> u64) {
        for_each_chunk(window, |base, chunk, within| {
            let mask = mask_of(chunk) & within;
            push_places(&mut self.places, &mut self.len, base, mask, |at| at as u16);
        });
    }
}

/// Passes each 64 bytes of a window to `f`, with their position and a mask of those that are not padding.
#[inline(always)]
pub(super) fn for_each_chunk(window: &[u8], mut f: impl FnMut(usize, &[u8; MASK_BYTES], u64)) {
    let (chunks, rest) = window.as_chunks();
    let mut base = 0;
    for chunk in chunks {
        f(base, chunk, u64::MAX);
        base += MASK_BYTES;
    }
    let mut padded = [0; MASK_BYTES];
    padded[..rest.len()].copy_from_slice(rest);
    f(base, &padded, (1 << rest.len()) - 1);
}

/// Appends the positions of the bits of a mask, from `base` on, to the first `len` places. There must be room for all of
/// them, and for [`STEP`] more.
#[inline(always)]
pub(super) fn push_places<P: Copy>(
    places: &mut [P],
    len: &mut usize,
    base: usize,
    mut mask: u64,
    place: impl Fn(usize) -> P,
) {
    let end = *len + mask.count_ones() as usize;
    while let Some(next) = places.get_mut(*len..*len + STEP) {
        for next in next {
            // If the mask is exhausted, this value is not used.
            *next = place(base + mask.trailing_zeros() as usize);
            mask &= mask.wrapping_sub(1);
        }
        *len += STEP;
        if *len >= end {
            break;
        }
    }
    *len = end;
}

/// Returns a mask of the bytes that equal `byte`.
#[inline]
pub(super) fn equal_mask(bytes: &[u8; MASK_BYTES], byte: u8) -> u64 {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    {
        // SAFETY: the `cfg` above ensures that the target has SSE2.
        unsafe { sse2::equal_mask(bytes, byte) }
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
    portable::equal_mask(bytes, byte)
}

/// Returns a mask of white space: SP, TAB, LF, VT, FF, CR.
#[inline]
pub(super) fn white_space_mask(bytes: &[u8; MASK_BYTES]) -> u64 {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    {
        // SAFETY: the `cfg` above ensures that the target has SSE2.
        unsafe { sse2::white_space_mask(bytes) }
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
    portable::white_space_mask(bytes)
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8, _mm_sub_epi8,
    };

    use super::MASK_BYTES;

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn equal_mask(bytes: &[u8; MASK_BYTES], byte: u8) -> u64 {
        let wanted = _mm_set1_epi8(byte.cast_signed());
        let mut mask = 0;
        for (i, lane) in bytes.as_chunks().0.iter().enumerate() {
            mask |= bits(_mm_cmpeq_epi8(load(lane), wanted)) << (16 * i);
        }
        mask
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(super) fn white_space_mask(bytes: &[u8; MASK_BYTES]) -> u64 {
        let (tab, span, space) = (_mm_set1_epi8(9), _mm_set1_epi8(4), _mm_set1_epi8(32));
        let mut mask = 0;
        for (i, lane) in bytes.as_chunks().0.iter().enumerate() {
            let lane = load(lane);
            // TAB to CR are 9 to 13. After subtracting 9, exactly these are at most 4 as unsigned bytes.
            let above_tab = _mm_sub_epi8(lane, tab);
            let control = _mm_cmpeq_epi8(_mm_min_epu8(above_tab, span), above_tab);
            mask |= bits(_mm_or_si128(control, _mm_cmpeq_epi8(lane, space))) << (16 * i);
        }
        mask
    }

    /// Compiles to one unaligned load, like `_mm_loadu_si128`, but needs no raw pointer.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(lane: &[u8; 16]) -> __m128i {
        let lane = u128::from_le_bytes(*lane);
        _mm_set_epi64x((lane >> 64) as i64, lane as i64)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn bits(compared: __m128i) -> u64 {
        u64::from(_mm_movemask_epi8(compared).cast_unsigned())
    }
}

/// Computes masks in words of eight bytes.
#[cfg(any(test, not(all(target_arch = "x86_64", target_feature = "sse2"))))]
mod portable {
    use super::MASK_BYTES;

    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH_BITS: u64 = 0x80 * ONES;

    pub(super) fn equal_mask(bytes: &[u8; MASK_BYTES], byte: u8) -> u64 {
        let wanted = ONES * u64::from(byte);
        combine(bytes, |word| zero_bytes(word ^ wanted))
    }

    pub(super) fn white_space_mask(bytes: &[u8; MASK_BYTES]) -> u64 {
        let space = ONES * 32;
        combine(bytes, |word| {
            let low = word & !HIGH_BITS;
            // Without the high bit, adding to a byte causes no carry into its neighbour: the sums reach 128 for bytes
            // from 9 on, and from 14 on.
            let control = (low + ONES * (128 - 9)) & !(low + ONES * (128 - 14)) & !word;
            (control & HIGH_BITS) | zero_bytes(word ^ space)
        })
    }

    /// Returns the high bit of each byte that is zero. Exact, because no carry leaves a byte.
    fn zero_bytes(word: u64) -> u64 {
        !(((word & !HIGH_BITS) + !HIGH_BITS) | word) & HIGH_BITS
    }

    fn combine(bytes: &[u8; MASK_BYTES], compare: impl Fn(u64) -> u64) -> u64 {
        let mut mask = 0;
        for (i, word) in bytes.as_chunks().0.iter().enumerate() {
            // The multiplication gathers the eight bits, one at bit 0 of each byte, in the top byte.
            let low_bits = compare(u64::from_le_bytes(*word)) >> 7;
            mask |= (low_bits.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * i);
        }
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_agree_with_a_plain_search() {
        let mut positions = Positions::new();
        for len in (0..200).chain([4095, WINDOW_BYTES]) {
            for period in [1, 2, 3, 7, 30, 64, 65, 5000] {
                let window: Vec<u8> = (0..len)
                    .map(|i| if i % period == 0 { b'\n' } else { b'x' })
                    .collect();
                let expected: Vec<u16> = (0..len)
                    .filter(|i| i % period == 0)
                    .map(|i| i as u16)
                    .collect();
                assert_eq!(positions.find(b'\n', &window), expected);
                positions.len = 0;
                positions.find_by(&window, |bytes| portable::equal_mask(bytes, b'\n'));
                assert_eq!(positions.places[..positions.len], expected);
            }
        }
        // Padding is not searched.
        assert_eq!(positions.find(0, b"a\0b"), [1]);
    }

    /// Tests every byte value at every position, among neighbours that provoke a carry.
    #[test]
    fn every_byte_at_every_place() {
        for filler in [0_u8, b'\n', b' ', 0x7f, 0x80, 0x89, 0xff] {
            for place in 0..MASK_BYTES {
                for byte in 0..=u8::MAX {
                    let mut bytes = [filler; MASK_BYTES];
                    bytes[place] = byte;
                    let expected = |test: &dyn Fn(u8) -> bool| {
                        (0..MASK_BYTES).fold(0_u64, |mask, i| mask | u64::from(test(bytes[i])) << i)
                    };
                    let equal = expected(&|b| b == b'\n');
                    let white_space = expected(&|b| matches!(b, b' ' | 9..=13));
                    assert_eq!(equal_mask(&bytes, b'\n'), equal);
                    assert_eq!(portable::equal_mask(&bytes, b'\n'), equal);
                    assert_eq!(white_space_mask(&bytes), white_space);
                    assert_eq!(portable::white_space_mask(&bytes), white_space);
                }
            }
        }
    }
}
