//! Whether records that are computed once more are those that were computed before.

/// A number that says which bytes these are, but not their order: the parts of a `HashMap` have another order each time
/// that it is made.
///
/// The records of a partition may come in another order, too, if a closure goes through a `HashMap`. Then the first few
/// are others, and so are their bytes.
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
