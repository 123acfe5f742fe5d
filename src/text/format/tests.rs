//! Tests of recognising formats by the first bytes of files.

use super::*;

fn of(head: &[u8]) -> Result<Format, String> {
    Format::of(head, &TextOptions::default(), Path::new("f")).map_err(|error| error.to_string())
}

/// Returns the format that the error of `check_text` names, if there is an error.
fn refused(text: &[u8], is_decoded: bool, options: &TextOptions) -> Option<&'static str> {
    let error = check_text(text, is_decoded, options, Path::new("f")).err()?;
    match error.into_kind() {
        ErrorKind::UnsupportedFormat { format, .. } => Some(format),
        other => panic!("{other}"),
    }
}

#[test]
fn tells_by_content() {
    for (head, compression) in [
        (&b"\x1f\x8b\x08"[..], Codec::Gzip),
        (b"\x1f\x8b", Codec::Gzip),
        (b"\x28\xb5\x2f\xfd\0", Codec::Zstd),
        (b"\x50\x2a\x4d\x18\x04\0\0\0text", Codec::Zstd),
        (b"\x5f\x2a\x4d\x18", Codec::Zstd),
        (b"\x50\x2a\x4d\x18\xff\xff\xff\xfftext", Codec::Zstd),
        (
            b"\x50\x2a\x4d\x18\x01\0\0\0a\x5f\x2a\x4d\x18\0\0\0\0\x28\xb5\x2f\xfd",
            Codec::Zstd,
        ),
        (
            b"\x50\x2a\x4d\x18\x01\0\0\0a\x5f\x2a\x4d\x18\0\0\0\0\x04\x22\x4d\x18",
            Codec::Lz4,
        ),
        (b"\x04\x22\x4d\x18\x64\x40\xa7\x05\0\0\x80", Codec::Lz4),
        (b"\x02\x21\x4c\x18\x0f\0\0\0", Codec::Lz4),
        (b"\xff\x06\0\0sNaPpY\0", Codec::Snappy),
        (b"\xfd7zXZ\0\0", Codec::Xz),
        (b"BZh91AY&SY", Codec::Bzip2),
        (b"BZh11AY&SYabcd\x01more", Codec::Bzip2),
        (b"BZh9\x17\x72\x45\x38\x50\x90", Codec::Bzip2),
    ] {
        assert_eq!(of(head), Ok(Format::Compressed(compression)));
    }
    for (head, name) in [
        (&b"PK\x03\x04\x14\0\0\0"[..], "zip"),
        (b"PK\x05\x06\0\0\0\0", "zip"),
        (b"PK\x07\x08PK\x03\x04\x14", "zip"),
        (b"PK\x03\x04", "zip"),
        (b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0", "lzma"),
        (b"\x1f\x9d\x90abc", "compress (.Z)"),
        (b"\x27\xb5\x2f\xfd", "old zstd"),
        (b"PAR1\x15\x04", "Parquet"),
        (&[&b"070707"[..], &[b'1'; 70], b"name\0"].concat(), "cpio"),
        (b"LZIP\x01\x0c\0", "lzip"),
    ] {
        let error = of(head).unwrap_err();
        assert!(
            error.starts_with(&format!("f: cannot read {name} files")),
            "{error}"
        );
    }
}

#[test]
fn a_text_may_begin_like_a_format() {
    for head in [
        &b""[..],
        b"\x1f",
        b"BZh is no bzip2",
        b"BZh91AY&SY is how bzip2 files begin",
        b"PK\x03",
        b"PK\x03\x04 is how zip files begin\n",
        b"P*M\x18 is the start of a frame to skip",
        b"\x04\x22\x4d\x18 is how lz4 files begin",
        b"PAR1",
        b"PAR1 is Parquet",
        b"ORC\nelf\n",
        b"070701 is a number",
        b"070701\0ends a word",
        b"ORC\0elf\0",
        // Text in another encoding, or bytes that are not a known binary format.
        b"ORC caf\xe9",
        b"\x1f\x9d\x00",
        b"\x5d\x01\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0",
    ] {
        assert_eq!(of(head), Ok(Format::Plain), "{}", head.escape_ascii());
    }
}

/// The header of a file in a tar archive.
fn tar(name: &[u8], magic: &[u8]) -> [u8; HEAD_BYTES] {
    let mut header = [0; HEAD_BYTES];
    header[..name.len()].copy_from_slice(name);
    header[257..257 + magic.len()].copy_from_slice(magic);
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[test]
fn tar_is_told_by_its_checksum() {
    for magic in [&b"ustar\x0000"[..], b"ustar  \0", b""] {
        let mut header = tar(b"dir/file.txt", magic);
        assert!(
            of(&header)
                .unwrap_err()
                .contains("tar files; read the files in them")
        );
        assert_eq!(refused(&header, true, &TextOptions::default()), Some("tar"));
        header[0] ^= 1;
        assert_eq!(of(&header), Ok(Format::Plain));
    }
    assert_eq!(of(&[b' '; HEAD_BYTES]), Ok(Format::Plain));
    assert_eq!(of(&[0; HEAD_BYTES]), Ok(Format::Plain));
}

#[test]
fn encodings_are_told_by_marks_and_zeros() {
    let text = TextOptions::default();
    let bytes = TextOptions {
        is_text: false,
        ..TextOptions::default()
    };
    let utf16 = |text: &str, to_bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    };
    let utf32 = |text: &str, to_bytes: fn(u32) -> [u8; 4]| -> Vec<u8> {
        text.chars().flat_map(|c| to_bytes(c.into())).collect()
    };
    for content in [
        "one\ntwo\n",
        "\u{feff}a",
        "Привет, мир\n",
        "caf\u{e9} \u{201c}no\u{201d}\r\n",
        "a\nb",
    ] {
        for encoded in [
            utf16(content, u16::to_le_bytes),
            utf16(content, u16::to_be_bytes),
        ] {
            assert_eq!(refused(&encoded, false, &text), Some("UTF-16"), "{content}");
            assert_eq!(refused(&encoded, true, &text), Some("UTF-16"), "{content}");
            assert_eq!(refused(&encoded, false, &bytes), None);
        }
        for encoded in [
            utf32(content, u32::to_le_bytes),
            utf32(content, u32::to_be_bytes),
        ] {
            assert_eq!(refused(&encoded, false, &text), Some("UTF-32"), "{content}");
        }
    }
    for content in [
        &b""[..],
        b"\0",
        b"a\0",
        b"a\0b\0",
        b"key\0value\nkey\0value\n",
        b"\0\0\0\0\0\0\0\0",
        b"a\0\0b\0\0c\0\0",
        b"\n\r\r\0a\r\n\0",
        b"\xef\xbb\xbfa\n",
    ] {
        assert_eq!(
            refused(content, false, &text),
            None,
            "{}",
            content.escape_ascii()
        );
    }
    let zeros = TextOptions {
        delimiter: b"\0".to_vec(),
        ..TextOptions::default()
    };
    assert_eq!(refused(b"a\0b\0c\0d\0", false, &zeros), None);
    assert_eq!(refused(b"a\0b\0c\0d\0", false, &text), Some("UTF-16"));
}

/// No decoder knows UTF-32, whose mark begins with that of UTF-16.
#[test]
fn text_in_utf_32_is_refused_with_any_encoding() {
    let decoded = TextOptions {
        encoding: Some("utf-16".to_owned()),
        ..TextOptions::default()
    };
    for marked in [&b"\xff\xfe\0\0a\0\0\0"[..], b"\0\0\xfe\xff\0\0\0a"] {
        assert_eq!(refused(marked, false, &decoded), Some("UTF-32"));
    }
    for marked in [&b"\xff\xfea\0"[..], b"\xfe\xff\0a"] {
        assert_eq!(refused(marked, false, &decoded), None);
    }
}

#[test]
fn what_is_compressed_twice_is_refused() {
    let options = TextOptions::default();
    assert_eq!(
        refused(b"\x1f\x8b\x08\0", true, &options),
        Some("doubly compressed")
    );
    assert_eq!(
        refused(b"\x28\xb5\x2f\xfd", true, &options),
        Some("doubly compressed")
    );
    assert_eq!(refused(b"BZh91AY&SY is text", true, &options), None);
}
