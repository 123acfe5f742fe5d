//! Human-readable sizes.

/// Formats a size in the largest unit of 1024 that fits, with one digit after the point: `1.5 GiB`.
pub(crate) fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "one digit after the point is shown"
    )]
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    // Not 1024: a size that would print as 1024.0 is 1.0 of the next unit.
    while size >= 1023.95 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// Formats two sizes that a message compares: in bytes if they would look the same otherwise.
pub(super) fn format_pair(a: u64, b: u64) -> (String, String) {
    let (short_a, short_b) = (format_bytes(a), format_bytes(b));
    if short_a == short_b && a != b {
        return (format!("{a} bytes"), format!("{b} bytes"));
    }
    (short_a, short_b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_largest_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(format_bytes(bytes), text);
        }
    }

    #[test]
    fn different_sizes_look_different() {
        let pair = |a, b| format_pair(a, b);
        assert_eq!(pair(2 << 20, 8 << 20), ("2.0 MiB".into(), "8.0 MiB".into()));
        assert_eq!(pair(2048, 2049), ("2048 bytes".into(), "2049 bytes".into()));
        assert_eq!(pair(2048, 2048), ("2.0 KiB".into(), "2.0 KiB".into()));
    }
}
