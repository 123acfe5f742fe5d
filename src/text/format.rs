//! What a file is, by its first bytes: names lie.

use std::path::Path;

use crate::error::{Error, ErrorKind, Result, UTF_16};

use super::compression::Compression;
use super::source::{Input, read_full};

/// How the bytes of a file become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Plain,
    Compressed(Compression),
}

/// The first bytes of the formats that can be read.
const COMPRESSED: [(&[u8], Compression); 6] = [
    (b"\x1f\x8b", Compression::Gzip),
    // "BZh" alone could begin a text. After it and the level comes the number of a block, or of the end.
    (b"BZh?1AY&SY", Compression::Bzip2),
    (b"BZh?\x17\x72\x45\x38\x50\x90", Compression::Bzip2),
    (b"\xfd7zXZ\0", Compression::Xz),
    (b"\x28\xb5\x2f\xfd", Compression::Zstd),
    // A frame to be skipped, with which pzstd begins.
    (b"\x50\x2a\x4d\x18", Compression::Zstd),
];

/// The first bytes of the formats that are recognised so that they can be refused by name.
const UNSUPPORTED: [(&[u8], &str); 2] = [(b"PK\x03\x04", "zip"), (b"\x04\x22\x4d\x18", "lz4")];

/// The number of bytes at the start of a file that tell its format.
pub(super) const HEAD_BYTES: usize = 10;

impl Format {
    /// The format of a file that begins with `head`: [`HEAD_BYTES`], or all there are.
    pub(super) fn of(head: &[u8], path: &Path) -> Result<Self> {
        for (magic, compression) in COMPRESSED {
            if begins_with(head, magic) {
                return Ok(Self::Compressed(compression));
            }
        }
        for (magic, format) in UNSUPPORTED {
            if begins_with(head, magic) {
                return Err(unsupported(path, format));
            }
        }
        Ok(Self::Plain)
    }

    /// The format of the file at `path`, which must not be a stream: this reads from it.
    pub(super) fn sniff(path: &Path) -> Result<Self> {
        let mut head = [0; HEAD_BYTES];
        let mut input = Input::open(path)?;
        let len =
            read_full(&mut input, &mut head).map_err(|source| Error::io("read", path, source))?;
        Self::of(&head[..len], path)
    }
}

/// Whether a text begins with the byte order mark of UTF-16, which is no UTF-8.
pub(super) fn check_utf16(text: &[u8], path: &Path) -> Result<()> {
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        return Err(unsupported(path, UTF_16));
    }
    Ok(())
}

/// `?` in `magic` stands for a digit.
fn begins_with(head: &[u8], magic: &[u8]) -> bool {
    let matches = |(byte, expected): (&u8, &u8)| match expected {
        b'?' => byte.is_ascii_digit(),
        expected => byte == expected,
    };
    head.len() >= magic.len() && head.iter().zip(magic).all(matches)
}

fn unsupported(path: &Path, format: &'static str) -> Error {
    Error::new(ErrorKind::UnsupportedFormat {
        path: path.to_owned(),
        format,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_by_content() {
        let of = |head: &[u8]| Format::of(head, Path::new("f"));
        assert_eq!(of(b"").unwrap(), Format::Plain);
        assert_eq!(of(b"\x1f").unwrap(), Format::Plain);
        assert_eq!(of(b"BZh is no bzip2").unwrap(), Format::Plain);
        assert_eq!(of(b"PK\x03").unwrap(), Format::Plain);
        for (head, compression) in [
            (&b"\x1f\x8b\x08"[..], Compression::Gzip),
            (b"\x28\xb5\x2f\xfd\0", Compression::Zstd),
            (b"\x50\x2a\x4d\x18\0", Compression::Zstd),
            (b"\xfd7zXZ\0\0", Compression::Xz),
            (b"BZh91AY&SY", Compression::Bzip2),
            (b"BZh9\x17\x72\x45\x38\x50\x90", Compression::Bzip2),
        ] {
            assert_eq!(of(head).unwrap(), Format::Compressed(compression));
        }
        for (head, name) in [
            (&b"PK\x03\x04.."[..], "zip"),
            (b"\x04\x22\x4d\x18..", "lz4"),
        ] {
            assert_eq!(
                of(head).unwrap_err().to_string(),
                format!("f: cannot read {name} files")
            );
        }
    }

    #[test]
    fn utf16_is_refused_by_name() {
        assert!(check_utf16(b"\xff\xfea\0", Path::new("f")).is_err());
        assert!(check_utf16(b"\xfe\xff\0a", Path::new("f")).is_err());
        assert!(check_utf16(b"\xef\xbb\xbfa", Path::new("f")).is_ok());
    }

    #[test]
    fn sniffs_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f.txt");
        std::fs::write(&path, b"\x1f\x8b\x08rest of it").unwrap();
        assert_eq!(
            Format::sniff(&path).unwrap(),
            Format::Compressed(Compression::Gzip)
        );
        assert!(
            Format::sniff(&directory.path().join("none"))
                .unwrap_err()
                .is_io()
        );
    }
}
