//! Recognises the format of a file by its first bytes, because names can be wrong.
//!
//! The magic bytes of some formats can also begin a text: `BZh91AY&SY`, `PAR1`. For these, control characters must
//! follow, which texts do not contain.

use std::path::Path;

use crate::error::{Error, ErrorContext, ErrorKind, Result, UTF_16, UTF_32};

use super::compression::Codec;
use super::options::TextOptions;

/// Conversion from the bytes of a file to text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Plain,
    Compressed(Codec),
}

/// Number of bytes at the start of a file that determine its format: the length of the header of a tar archive.
pub(super) const HEAD_BYTES: usize = 512;

/// Minimum number of bytes in which a binary format is expected to have control characters.
const MIN_TEXT_BYTES: usize = 16;

/// Magic bytes of the supported compressed formats. `?` matches a digit from 1 to 9.
const COMPRESSED: [(&[u8], Codec); 7] = [
    (b"\x1f\x8b", Codec::Gzip),
    // The level is followed by the marker of a block, or of the end.
    (b"BZh?\x17\x72\x45\x38\x50\x90", Codec::Bzip2),
    (b"\xfd7zXZ\0", Codec::Xz),
    (b"\x28\xb5\x2f\xfd", Codec::Zstd),
    (b"\x04\x22\x4d\x18", Codec::Lz4),
    (b"\x02\x21\x4c\x18", Codec::Lz4),
    (b"\xff\x06\0\0sNaPpY", Codec::Snappy),
];

/// Magic bytes of formats that are recognised only to name them in the error.
const UNSUPPORTED: [(&[u8], &str); 17] = [
    // Archives.
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PK\x07\x08", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    // Other compression.
    (b"LZIP\0", "lzip"),
    (b"LZIP\x01", "lzip"),
    (b"LRZI", "lrzip"),
    (b"\x89LZO\0\r\n\x1a\n", "lzop"),
    // Records.
    (b"PAR1", "Parquet"),
    (b"PARE", "Parquet"),
    (b"ORC", "ORC"),
    (b"Obj\x01", "Avro"),
    (b"ARROW1\0\0", "Arrow"),
    (b"SEQ\x04", "Hadoop sequence"),
    (b"SEQ\x06", "Hadoop sequence"),
    (b"SQLite format 3\0", "SQLite"),
];

/// Returns `true` if a file that begins with these bytes has a format.
type Test = fn(&[u8]) -> bool;

/// Unsupported formats that need more than a comparison.
const UNSUPPORTED_BY: [(Test, &str); 6] = [
    (is_tar, "tar"),
    (is_cpio, "cpio"),
    (is_lzma, "lzma"),
    (is_old_zstd, "old zstd"),
    (is_compress, "compress (.Z)"),
    (is_pack, "pack (.z)"),
];

impl Format {
    /// Returns the format of a file that begins with `head`: [`HEAD_BYTES`] bytes, or the whole file if it is shorter.
    ///
    /// # Errors
    ///
    /// Returns an error if the format is unsupported.
    pub(super) fn of(head: &[u8], options: &TextOptions, path: &Path) -> Result<Self> {
        if let Some(compression) = compression_of(head) {
            return Ok(Self::Compressed(compression));
        }
        match unsupported_format_of(head) {
            Some(format) if !options.may_be_archive => Err(unsupported(path, format)),
            _ => Ok(Self::Plain),
        }
    }
}

/// Checks that text that begins with `head` has a supported encoding and, if it comes from a decoder, no unsupported
/// format.
///
/// # Errors
///
/// Returns an error if the encoding or the format is unsupported.
pub(super) fn check_text(
    head: &[u8],
    is_decoded: bool,
    options: &TextOptions,
    path: &Path,
) -> Result<()> {
    let compressed = || compression_of(head).map(|_| "doubly compressed");
    let format = match is_decoded {
        true if !options.may_be_archive => unsupported_format_of(head).or_else(compressed),
        _ => None,
    };
    let encoding = || match &options.encoding {
        _ if !options.is_text => None,
        None => encoding_of(head, &options.delimiter),
        // No decoder knows UTF-32. Its byte order mark begins with that of UTF-16.
        Some(_) => has_utf32_mark(head).then_some(UTF_32),
    };
    format
        .or_else(encoding)
        .map_or(Ok(()), |format| Err(unsupported(path, format)))
}

fn compression_of(head: &[u8]) -> Option<Codec> {
    let is = |(magic, _): &&(&[u8], _)| begins_with(head, magic);
    let by_magic = COMPRESSED
        .iter()
        .find(is)
        .map(|(_, compression)| *compression);
    by_magic.or_else(|| match head {
        _ if is_bzip2_block(head) => Some(Codec::Bzip2),
        _ if is_skippable_frame(head) => Some(after_skippable_frames(head)),
        _ => None,
    })
}

fn unsupported_format_of(head: &[u8]) -> Option<&'static str> {
    let by_magic = UNSUPPORTED
        .iter()
        .find(|(magic, _)| begins_with(head, magic));
    let by_more = || {
        UNSUPPORTED_BY
            .iter()
            .find(|(is, _)| is(head))
            .map(|(_, format)| *format)
    };
    by_magic.map(|(_, format)| *format).or_else(by_more)
}

/// Returns `true` if a file that begins with `head` has the format with these magic bytes.
fn begins_with(head: &[u8], magic: &[u8]) -> bool {
    has_magic(head, magic) && {
        let rest = &head[magic.len()..];
        if str::from_utf8(magic).is_err() {
            true
        } else if magic.iter().any(is_control) {
            rest.len() < MIN_TEXT_BYTES || rest.iter().any(is_control)
        } else {
            // Zeros do not count here: in a text with zero-terminated words, one may follow.
            rest.iter().any(|byte| *byte != 0 && is_control(byte))
        }
    }
}

fn has_magic(head: &[u8], magic: &[u8]) -> bool {
    let matches = |(byte, expected): (&u8, &u8)| match expected {
        b'?' => matches!(byte, b'1'..=b'9'),
        expected => byte == expected,
    };
    head.len() >= magic.len() && head.iter().zip(magic).all(matches)
}

/// Returns `true` for characters that texts do not contain.
fn is_control(byte: &u8) -> bool {
    matches!(byte, 0..=7 | 0x0e..=0x1a | 0x1c..=0x1f)
}

/// All of the magic bytes can occur in a text. The byte after the checksum cannot: it is the highest byte of a number
/// below 900,000.
fn is_bzip2_block(head: &[u8]) -> bool {
    has_magic(head, b"BZh?1AY&SY") && head.get(14).is_none_or(|top| top & 0x7f <= 6)
}

/// Recognises a skippable frame, which contains no text, and with which zstd and lz4 files may begin.
fn is_skippable_frame(head: &[u8]) -> bool {
    (0x50..=0x5f).any(|first| begins_with(head, &[first, 0x2a, 0x4d, 0x18]))
}

/// Returns the format of the first frame after skippable ones. It is zstd if that frame is not in `head`, because
/// `pzstd` begins its files with a skippable frame. Its reader continues as that of lz4, if necessary.
fn after_skippable_frames(mut head: &[u8]) -> Codec {
    while is_skippable_frame(head) {
        let frame = head.get(4..).and_then(<[u8]>::split_first_chunk);
        let rest = frame.and_then(|(bytes, rest)| rest.get(u32::from_le_bytes(*bytes) as usize..));
        head = rest.unwrap_or_default();
    }
    let is_lz4 = |(magic, codec): &(&[u8], Codec)| *codec == Codec::Lz4 && has_magic(head, magic);
    if COMPRESSED.iter().any(is_lz4) {
        Codec::Lz4
    } else {
        Codec::Zstd
    }
}

/// The header of the first file contains a checksum: the sum of its bytes, with the checksum itself counted as spaces.
fn is_tar(head: &[u8]) -> bool {
    const CHECKSUM: std::ops::Range<usize> = 148..156;
    let Some(checksum) = head.get(CHECKSUM).filter(|_| head.len() == HEAD_BYTES) else {
        return false;
    };
    let is_end = |byte: &u8| matches!(byte, 0 | b' ');
    let digits = checksum.trim_ascii_start();
    let digits = &digits[..digits.iter().position(is_end).unwrap_or(digits.len())];
    let expected = str::from_utf8(digits)
        .ok()
        .and_then(|digits| u32::from_str_radix(digits, 8).ok());
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    expected == Some(sum(head) - sum(checksum) + 8 * u32::from(b' '))
}

/// The header of the first file consists of digits, at least 76 including the magic bytes. The name after it ends with
/// a zero.
fn is_cpio(head: &[u8]) -> bool {
    let has_digits = head
        .get(..76)
        .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    matches!(head, [b'0', b'7', b'0', b'7', b'0', b'1' | b'2' | b'7', ..])
        && has_digits
        && head.contains(&0)
}

/// Follows the rules of xz(1), for the properties that all encoders use: a dictionary of 2^n or 3·2^n bytes, and a size
/// that is unknown or below 256 GiB.
fn is_lzma(head: &[u8]) -> bool {
    let Some((header, _)) = head.split_first_chunk::<13>() else {
        return false;
    };
    let [properties, dictionary @ .., s0, s1, s2, s3, s4, s5, s6, s7] = *header;
    let dictionary = u32::from_le_bytes(dictionary);
    let size = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
    let is_usual = dictionary == u32::MAX
        || dictionary.is_power_of_two()
        || dictionary % 3 == 0 && (dictionary / 3).is_power_of_two();
    properties == 0x5d && is_usual && (size == u64::MAX || size < 1 << 38)
}

fn is_old_zstd(head: &[u8]) -> bool {
    matches!(head, [0x1e | 0x22..=0x27, 0xb5, 0x2f, 0xfd, ..])
}

/// The third byte contains the maximum length of codes, and two bits that are zero.
fn is_compress(head: &[u8]) -> bool {
    matches!(head, [0x1f, 0x9d, flags, ..] if matches!(flags & 0x7f, 9..=16))
}

/// The magic bytes are followed by the size, which is below 16 MiB.
fn is_pack(head: &[u8]) -> bool {
    matches!(head, [0x1f, 0x1e, 0, ..])
}

/// Returns the encoding of a text that is not UTF-8. It is recognised by its byte order mark, or by zeros at the
/// positions where only this encoding has them.
fn encoding_of(text: &[u8], delimiter: &[u8]) -> Option<&'static str> {
    match text {
        _ if has_utf32_mark(text) => return Some(UTF_32),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Some(UTF_16),
        _ if delimiter.contains(&0) || memchr::memchr(0, text).is_none() => return None,
        _ => {}
    }
    let (units, _) = text.as_chunks::<4>();
    // No character is on planes 4 to 13, where line ends and tabs of other encodings would be.
    let is_on_a_plane = |c: char| c != '\0' && !matches!(u32::from(c) >> 16, 4..=13);
    let is_char = |unit: u32| char::from_u32(unit).is_some_and(is_on_a_plane);
    let are_chars = |unit_of: fn([u8; 4]) -> u32| units.iter().all(|unit| is_char(unit_of(*unit)));
    if units.len() > 1 && (are_chars(u32::from_le_bytes) || are_chars(u32::from_be_bytes)) {
        return Some(UTF_32);
    }
    // Mostly letters of alphabets below U+0800, and punctuation. At least spaces and line ends have a high byte of
    // zero.
    let (units, _) = text.as_chunks::<2>();
    let is_high = |high: usize| {
        let count =
            |is: fn(u8) -> bool, at: usize| units.iter().filter(|unit| is(unit[at])).count();
        let letters = count(|byte| byte < 8, high);
        let punctuation = count(|byte| byte == 0x20, high);
        let few = units.len() / 8;
        letters >= units.len() - 2 * few
            && letters + punctuation >= units.len() - few
            && count(|byte| byte == 0, high) > 0
            && count(|byte| byte == 0, 1 - high) <= few
    };
    (units.len() > 2 && (is_high(0) || is_high(1))).then_some(UTF_16)
}

fn has_utf32_mark(text: &[u8]) -> bool {
    matches!(text, [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..])
}

fn unsupported(path: &Path, format: &'static str) -> Error {
    Error::new(ErrorKind::UnsupportedFormat {
        path: path.to_owned(),
        format,
        context: ErrorContext::default(),
    })
}

#[cfg(test)]
mod tests;
