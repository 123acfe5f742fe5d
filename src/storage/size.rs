//! Sizes in bytes in human-readable form: `512MiB`, `1.5GB`, `2G`.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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
/// let total: ByteSize = [size, ByteSize::from(1024_u32)].into_iter().sum();
/// assert_eq!(total.0, 1_573_888);
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// Returns the number of bytes, or the maximum of `usize` if it is larger.
    pub(crate) fn saturating_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl From<u64> for ByteSize {
    fn from(bytes: u64) -> Self {
        Self(bytes)
    }
}

impl From<u32> for ByteSize {
    fn from(bytes: u32) -> Self {
        Self(bytes.into())
    }
}

impl From<usize> for ByteSize {
    fn from(bytes: usize) -> Self {
        Self(bytes as u64)
    }
}

impl Add for ByteSize {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sum for ByteSize {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::default(), Self::add)
    }
}

/// A size for a setting: a [`ByteSize`], a number of bytes, or a text such as `"64MiB"`.
///
/// Implemented for [`ByteSize`], `u64` and strings. It is not implemented for other integers, because the type of a
/// literal such as `64 << 20` would be ambiguous; convert them by [`ByteSize::from`]. A text that is not a size is
/// reported by the method that uses the setting, such as [`build`](crate::ContextBuilder::build).
///
/// # Examples
///
/// ```
/// use holdall::{ByteSize, Context};
///
/// let threads = 2_usize;
/// Context::builder().memory("64MiB").disk_quota(1 << 30).build()?;
/// Context::builder().threads(threads).memory(ByteSize::from(threads << 20)).build()?;
/// let error = Context::builder().memory("much").build().unwrap_err();
/// assert!(error.to_string().starts_with("memory: cannot use \"much\", expected a number of bytes"));
/// # Ok::<(), holdall::Error>(())
/// ```
///
/// ```compile_fail
/// let context = holdall::Context::builder().memory(1_usize << 20).build();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a size",
    note = "pass a `u64`, a text such as `\"64MiB\"`, or `ByteSize::from(..)` for other integers"
)]
pub trait IntoByteSize: sealed::Sealed {
    /// Returns the size, or the text that is not one.
    #[doc(hidden)]
    fn into_byte_size(self) -> Result<ByteSize, String>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! sizes {
    ($($type:ty: $size:ident => $result:expr),* $(,)?) => {$(
        impl sealed::Sealed for $type {}
        impl IntoByteSize for $type {
            fn into_byte_size(self) -> Result<ByteSize, String> {
                let $size = self;
                $result
            }
        }
    )*};
}

sizes! {
    ByteSize: size => Ok(size),
    u64: bytes => Ok(ByteSize(bytes)),
    &str: text => parse(text).map(ByteSize).ok_or_else(|| text.to_owned()),
    &String: text => text.as_str().into_byte_size(),
    String: text => parse(&text).map(ByteSize).ok_or(text),
}

/// Returns a size that was given for `setting`, or the error that names it.
pub(crate) fn setting_bytes(
    setting: &'static str,
    size: Result<ByteSize, String>,
) -> Result<ByteSize> {
    size.map_err(|value| {
        Error::new(ErrorKind::InvalidSetting {
            setting,
            value,
            expected: EXPECTED,
        })
    })
}

impl FromStr for ByteSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse_bytes("size", text)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_bytes(self.0))
    }
}

/// Parses a size: a number and an optional unit.
///
/// `KiB`, `MiB`, `GiB`, `TiB` are powers of 1024, and `kB`, `MB`, `GB`, `TB` are powers of 1000. Plain `K`, `M`, `G`,
/// `T` are powers of 1024, as in GNU sort. Case does not matter. The error names `setting` as the purpose of the text.
pub(crate) fn parse_bytes(setting: &'static str, text: &str) -> Result<ByteSize> {
    setting_bytes(setting, text.into_byte_size())
}

fn parse(text: &str) -> Option<u64> {
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
    u64::try_from(bytes).ok()
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
            assert_eq!(parse_bytes("memory", text).unwrap().0, bytes, "{text}");
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

    #[test]
    fn every_form_of_a_size_is_taken_or_returned() {
        let size = Ok(ByteSize(2048));
        assert_eq!(ByteSize::from(2048_usize).into_byte_size(), size);
        assert_eq!((2 << 10).into_byte_size(), size);
        assert_eq!("2K".into_byte_size(), size);
        assert_eq!("2K".to_owned().into_byte_size(), size);
        assert_eq!((&"2K".to_owned()).into_byte_size(), size);
        assert_eq!("2X".into_byte_size(), Err("2X".to_owned()));
        assert_eq!("2X".to_owned().into_byte_size(), Err("2X".to_owned()));
        let sum = ByteSize(1) + ByteSize::from(2_u32) + ByteSize::from(1_u64 << 40);
        assert_eq!(sum, ByteSize((1 << 40) + 3));
    }
}
