//! Checks whether recomputed records equal those that were computed before.

/// Returns a hash of the bytes that ignores their order, because a `HashMap` that is created again has a different
/// order.
///
/// If a closure iterates over a `HashMap`, the records of a partition may also change their order. The first few
/// records, and their bytes, are then different.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    let mut counts = [0_u64; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    counts.iter().fold(0, |hash, count| {
        (hash ^ count)
            .rotate_left(29)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_bytes_in_any_order() {
        assert_eq!(fingerprint(b"one two"), fingerprint(b"two one"));
        let all = [
            &b""[..],
            b"a",
            b"b",
            b"aa",
            b"ab",
            b"bb",
            b"one two",
            b"one twp",
        ];
        for (i, first) in all.iter().enumerate() {
            for second in &all[..i] {
                assert_ne!(fingerprint(first), fingerprint(second));
            }
        }
    }
}
