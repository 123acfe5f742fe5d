//! Parses decimal numbers, eight digits at a time.

/// The byte 1, eight times.
const ONES: u64 = 0x0101_0101_0101_0101;

/// The digit `0`, eight times.
const ZEROS: u64 = ONES * b'0' as u64;

/// The byte `.`, sixteen times.
const POINTS: u128 = EACH_BYTE * b'.' as u128;

/// The byte 1, sixteen times.
const EACH_BYTE: u128 = u128::from_le_bytes([1; DIGITS]);

/// Powers of ten.
const POWERS: [f64; DIGITS] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
];

/// Maximum number of digits.
const DIGITS: usize = 16;

/// Returns the number in the last `len` bytes of `text`. Returns `None` unless they are one to sixteen digits and the
/// text has at least sixteen bytes.
///
/// Loads the digits together with the bytes before them, which are then masked. A loop would end after a varying number
/// of digits, so its last branch would be mispredicted.
#[inline(always)]
pub(super) fn number_at_end(text: &[u8], len: usize) -> Option<u64> {
    number(u128::from_le_bytes(*text.last_chunk()?), len)
}

/// Returns the decimal number in the last `len` bytes of `text`: up to fifteen digits, of which some may follow a point, and
/// a sign. Returns `None` for other numbers, and if the text has fewer than sixteen bytes.
///
/// The result is the nearest `f64`: the digits without the point are an integer below 2^53, so that it and the power of
/// ten are exact, and a division is rounded once (Clinger, How to read floating point numbers accurately, 1990).
#[inline(always)]
pub(super) fn float_at_end(text: &[u8], len: usize) -> Option<f64> {
    let is_negative = text.get(text.len().wrapping_sub(len)) == Some(&b'-');
    let len = len - usize::from(is_negative);
    let bytes = u128::from_le_bytes(*text.last_chunk::<DIGITS>()?);
    if !(1..=DIGITS).contains(&len) {
        return None;
    }
    let before = !(u128::MAX << (8 * (DIGITS - len)));
    // The lowest bit marks the first point. A bit above it may be false, because the subtraction borrows.
    let others = (bytes ^ POINTS) | before;
    let points = others.wrapping_sub(EACH_BYTE) & !others & EACH_BYTE << 7;
    let (digits, len, decimals) = match points.trailing_zeros() as usize / 8 {
        DIGITS => (bytes, len, 0),
        point => {
            let after = u128::MAX << (8 * point) << 8;
            let digits = bytes & after | bytes << 8 & !after;
            (digits, len - 1, DIGITS - 1 - point)
        }
    };
    let number = number(digits, len).filter(|_| len < DIGITS)? as f64 / POWERS[decimals];
    Some(if is_negative { -number } else { number })
}

/// Returns the number in the last `len` bytes of `digits`.
#[inline(always)]
fn number(digits: u128, len: usize) -> Option<u64> {
    let (first, last) = (digits as u64 ^ ZEROS, (digits >> 64) as u64 ^ ZEROS);
    match len {
        1..=8 => {
            let last = last & last_bytes(len);
            are_digits(0, last).then(|| eight(last))
        }
        9..=DIGITS => {
            let first = first & last_bytes(len - 8);
            are_digits(first, last).then(|| eight(first) * 100_000_000 + eight(last))
        }
        _ => None,
    }
}

/// Returns a mask of the last one to eight bytes of a word, which are the highest.
#[inline(always)]
fn last_bytes(len: usize) -> u64 {
    u64::MAX << (64 - 8 * len)
}

/// Returns `true` if no byte is greater than nine.
#[inline(always)]
fn are_digits(first: u64, last: u64) -> bool {
    const HIGHEST_BITS: u64 = ONES << 7;
    const ABOVE_NINE: u64 = ONES * (0x80 - 10);
    // If the addition carries out of a byte, that byte has its highest bit set itself.
    let above = first | (first.wrapping_add(ABOVE_NINE)) | last | (last.wrapping_add(ABOVE_NINE));
    above & HIGHEST_BITS == 0
}

/// Returns the number with these eight digits. The first digit is in the lowest byte.
///
/// Combines neighbours into numbers of two digits, and these in one step into a number of eight: each of the four is
/// multiplied by its weight, and the sums appear where the products of a word overlap (Lemire, Quickly parsing eight
/// digits, 2018).
#[inline(always)]
fn eight(digits: u64) -> u64 {
    const EVEN: u64 = 0x0000_00ff_0000_00ff;
    let twos = digits * 10 + (digits >> 8);
    let first = (twos & EVEN).wrapping_mul(100 + (1_000_000 << 32));
    let second = (twos >> 16 & EVEN).wrapping_mul(1 + (10_000 << 32));
    first.wrapping_add(second) >> 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plainly(digits: &[u8]) -> Option<u64> {
        let are_digits = digits.iter().all(u8::is_ascii_digit);
        let are_some = (1..=DIGITS).contains(&digits.len());
        (are_digits && are_some).then(|| str::from_utf8(digits).unwrap().parse().unwrap())
    }

    #[track_caller]
    fn assert_agrees(digits: &[u8]) {
        for before in ["", "1234567890123456", ",,,,,,,,,,,,,,,,"] {
            let text = [before.as_bytes(), digits].concat();
            let expected = plainly(digits).filter(|_| text.len() >= DIGITS);
            assert_eq!(number_at_end(&text, digits.len()), expected, "{text:?}");
        }
    }

    #[test]
    fn numbers_of_every_length() {
        for len in 0..=40 {
            for digit in [b'0', b'1', b'9'] {
                assert_agrees(&vec![digit; len]);
            }
            let digits: String = "1234567890".chars().cycle().take(len).collect();
            assert_agrees(digits.as_bytes());
        }
    }

    #[test]
    fn a_byte_that_is_no_digit_is_seen_wherever_it_is() {
        for len in 1..=17 {
            for at in 0..len {
                for byte in 0..=u8::MAX {
                    let mut bytes = vec![b'7'; len];
                    bytes[at] = byte;
                    assert_agrees(&bytes);
                }
            }
        }
    }

    #[track_caller]
    fn assert_is_float(number: &str) {
        let parsed = number.parse::<f64>().ok();
        for before in ["1234567890123456", "................", ",,,,,,,,,,,,,,,-"] {
            let text = [before, number].concat();
            if let Some(float) = float_at_end(text.as_bytes(), number.len()) {
                assert_eq!(Some(float.to_bits()), parsed.map(f64::to_bits), "{text:?}");
            }
        }
    }

    #[test]
    fn floats_with_a_point_at_every_place() {
        for digits in [
            "0",
            "7",
            "000",
            "999999999999999",
            "123456789012345",
            "1234567890123456",
        ] {
            for point in 0..=digits.len() {
                for sign in ["", "-", "+", "--"] {
                    let (before, after) = digits.split_at(point);
                    for number in [format!("{sign}{digits}"), format!("{sign}{before}.{after}")] {
                        assert_is_float(&number);
                        let is_usual = digits.len() < DIGITS && matches!(sign, "" | "-");
                        let text = format!("                {number}");
                        let float = float_at_end(text.as_bytes(), number.len());
                        assert_eq!(float.is_some(), is_usual, "{number:?}");
                    }
                }
            }
        }
        for other in [
            "", "-", ".", "-.", "1e5", "inf", "NaN", "1..2", "1.2.3", "/.1", ":1",
        ] {
            assert_is_float(other);
            let text = format!("                {other}");
            assert_eq!(
                float_at_end(text.as_bytes(), other.len()),
                None,
                "{other:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_float(number in "-?[0-9]{0,9}[.0-9/-][0-9]{0,9}") {
            assert_is_float(&number);
        }

        #[test]
        fn any_number(number in any::<u64>(), shift in 0..64_u32) {
            assert_agrees(u64::to_string(&(number >> shift)).as_bytes());
        }
    }
}
