//! Sizes in bytes in human-readable form: `512MiB`, `1.5GB`, `2G`.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result, format_bytes};

pub(crate) const EXPECTED: &str = "a number of bytes such as 1000, 512MiB, 2G or 1.5GB";

/// A number of bytes.
///
/// Parses from a number and an optional unit. `KiB`, `MiB`, `GiB`, `TiB` are powers of 1024, and `kB`, `MB`, `GB`, `TB`
/// are powers of 1000. Plain `K`, `M`, `G`, `T` are powers of 1024, as in GNU sort. Case does not matter.
///
/// # Examples
///
/// ```
/// use holdall::ByteSize;
///
/// let size: ByteSize = "1.5MiB".parse()?;
/// assert_eq!(size, ByteSize(1_572_864));
/// assert_eq!(size.to_string(), "1.5 MiB");
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub usize);

impl From<usize> for ByteSize {
    fn from(bytes: usize) -> Self {
        Self(bytes)
    }
}

impl FromStr for ByteSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse_bytes("size", text).map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_bytes(self.0 as u64))
    }
}

/// Parses a size: a number and an optional unit.
///
/// `KiB`, `MiB`, `GiB`, `TiB` are powers of 1024, and `kB`, `MB`, `GB`, `TB` are powers of 1000. Plain `K`, `M`, `G`,
/// `T` are powers of 1024, as in GNU sort. Case does not matter. The error names `setting` as the purpose of the text.
pub(crate) fn parse_bytes(setting: &'static str, text: &str) -> Result<usize> {
    parse(text).ok_or_else(|| {
        Error::new(ErrorKind::InvalidSetting {
            setting,
            value: text.to_owned(),
            expected: EXPECTED,
        })
    })
}

fn parse(text: &str) -> Option<usize> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit_bytes = unit_bytes(unit.trim_start())?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || fraction.len() > 9 {
        return None;
    }
    // Exact, unlike floating-point numbers. It needs `u128`, because the scale adds up to nine digits.
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let bytes = digits.checked_mul(unit_bytes)? / scale;
    usize::try_from(bytes).ok()
}

fn unit_bytes(unit: &str) -> Option<u128> {
    let unit = unit.to_ascii_lowercase();
    let (letter, base) = match unit.as_bytes() {
        [] | [b'b'] => return Some(1),
        [letter] | [letter, b'i', b'b'] => (letter, 1024_u128),
        [letter, b'b'] => (letter, 1000),
        _ => return None,
    };
    let power = match letter {
        b'k' => 1,
        b'm' => 2,
        b'g' => 3,
        b't' => 4,
        _ => return None,
    };
    Some(base.pow(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("17b", 17),
            ("512MiB", 512 << 20),
            ("2G", 2 << 30),
            ("2g", 2 << 30),
            ("64 k", 64 << 10),
            (" 3kB ", 3000),
            ("3KB", 3000),
            ("1.5GB", 1_500_000_000),
            ("1.5GiB", 3 << 29),
            ("0.1K", 102),
            ("1.", 1),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(parse_bytes("memory", text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn names_the_setting_of_what_it_cannot_read() {
        for text in [
            "",
            "-1",
            "G",
            ".5G",
            "1..5G",
            "1.2.3",
            "1e9",
            "12 parrots",
            "1 KiBs",
            "20000000T",
            "99999999999999999999999999999999999999999",
            "1ki",
            "٣",
        ] {
            let error = parse_bytes("HOLDALL_MEMORY", text).unwrap_err();
            let message = error.to_string();
            assert!(
                message.starts_with("HOLDALL_MEMORY: cannot use"),
                "{text}: {message}"
            );
        }
    }
}
