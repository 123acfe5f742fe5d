//! Zip archives, which have a directory at their end.

use std::io::{self, ErrorKind, Read};

use flate2::read::DeflateDecoder;
use serde::{Deserialize, Serialize};

use super::super::input_file::InputFile;
use super::{damaged, read_bytes, take};

/// Signatures of a file, of an entry of the directory, and of the ends of the directory.
const FILE: [u8; 4] = *b"PK\x03\x04";
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const LARGE_END: [u8; 4] = *b"PK\x06\x06";
const LARGE_END_PLACE: [u8; 4] = *b"PK\x06\x07";

const END_BYTES: u64 = 22;
const LARGE_END_PLACE_BYTES: u64 = 20;

/// Maximum length of the comment at the end, in bytes.
const MAX_COMMENT_BYTES: u64 = 0xffff;

/// A file in an archive.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ZipMember {
    pub(crate) name: String,
    /// Number of bytes in the archive.
    pub(crate) data_bytes: u64,
    bytes: u64,
    checksum: u32,
    flags: u16,
    method: u16,
    /// Offset of its header in the archive.
    start: u64,
}

/// Whether a file that begins with `head` is a zip archive.
pub(crate) fn is_zip(head: &[u8]) -> bool {
    head.starts_with(&FILE) || head.starts_with(&END)
}

/// Returns the files in an archive, in the order of its directory.
///
/// # Errors
///
/// Returns an error if the archive cannot be read or has no valid directory.
pub(crate) fn find_members(archive: &InputFile) -> io::Result<Vec<ZipMember>> {
    let bytes = archive.bytes();
    let start = bytes.saturating_sub(END_BYTES + MAX_COMMENT_BYTES);
    let mut tail = Vec::new();
    archive.open(start..bytes)?.read_to_end(&mut tail)?;
    let end = memchr::memmem::rfind(&tail, &END)
        .ok_or_else(|| damaged("the end of its directory is missing"))?;
    let mut place = Place::read(&tail[end..])?;
    let large_place = (start + end as u64).checked_sub(LARGE_END_PLACE_BYTES);
    if let Some(at) = large_place.filter(|_| place.may_be_large()) {
        let mut bytes = archive.open(at..at + LARGE_END_PLACE_BYTES)?;
        let magic: [u8; 4] = take(&mut bytes)?;
        let _disk: [u8; 4] = take(&mut bytes)?;
        if magic == LARGE_END_PLACE {
            let at = u64::from_le_bytes(take(&mut bytes)?);
            place = Place::read_large(&mut archive.open(at..archive.bytes())?)?;
        }
    }
    let end = place.start.saturating_add(place.bytes);
    let mut directory = Vec::new();
    archive
        .open(place.start..end)?
        .read_to_end(&mut directory)?;
    read_directory(&directory, place.entries)
}

/// Place of the directory.
struct Place {
    start: u64,
    bytes: u64,
    entries: u64,
}

impl Place {
    fn read(mut end: &[u8]) -> io::Result<Self> {
        let _magic_and_disks: [u8; 10] = take(&mut end)?;
        let entries = u16::from_le_bytes(take(&mut end)?).into();
        let bytes = u32::from_le_bytes(take(&mut end)?).into();
        let start = u32::from_le_bytes(take(&mut end)?).into();
        Ok(Self {
            start,
            bytes,
            entries,
        })
    }

    fn may_be_large(&self) -> bool {
        let Self {
            start,
            bytes,
            entries,
        } = *self;
        entries == 0xffff || bytes == 0xffff_ffff || start == 0xffff_ffff
    }

    fn read_large(end: &mut impl Read) -> io::Result<Self> {
        if take(end)? != LARGE_END {
            return Err(damaged("the end of its directory is invalid"));
        }
        let _versions_and_disks: [u8; 28] = take(end)?;
        let entries = u64::from_le_bytes(take(end)?);
        let bytes = u64::from_le_bytes(take(end)?);
        let start = u64::from_le_bytes(take(end)?);
        Ok(Self {
            start,
            bytes,
            entries,
        })
    }
}

fn read_directory(mut directory: &[u8], entries: u64) -> io::Result<Vec<ZipMember>> {
    let mut members = Vec::new();
    for _ in 0..entries {
        let member = ZipMember::read(&mut directory)?;
        if !member.name.ends_with('/') {
            members.push(member);
        }
    }
    Ok(members)
}

impl ZipMember {
    /// Reads an entry of the directory.
    fn read(from: &mut &[u8]) -> io::Result<Self> {
        if take(from)? != ENTRY {
            return Err(damaged("its directory is invalid"));
        }
        let _versions: [u8; 4] = take(from)?;
        let flags = u16::from_le_bytes(take(from)?);
        let method = u16::from_le_bytes(take(from)?);
        let _time: [u8; 4] = take(from)?;
        let checksum = u32::from_le_bytes(take(from)?);
        let mut sizes = [0; 2];
        for size in &mut sizes {
            *size = u64::from(u32::from_le_bytes(take(from)?));
        }
        let [mut data_bytes, mut bytes] = sizes;
        let mut lengths = [0; 3];
        for length in &mut lengths {
            *length = u64::from(u16::from_le_bytes(take(from)?));
        }
        let [name, extra, comment] = lengths;
        let _attributes: [u8; 8] = take(from)?;
        let mut start = u64::from(u32::from_le_bytes(take(from)?));
        let name = read_bytes(from, name)?;
        let extra = read_bytes(from, extra)?;
        read_bytes(from, comment)?;
        if let Some(mut large) = field(&extra, 1) {
            for value in [&mut bytes, &mut data_bytes, &mut start] {
                if *value == 0xffff_ffff {
                    *value = u64::from_le_bytes(take(&mut large)?);
                }
            }
        }
        Ok(Self {
            name: String::from_utf8_lossy(&name).into_owned(),
            data_bytes,
            bytes,
            checksum,
            flags,
            method,
            start,
        })
    }

    /// Returns the content, after a comparison with its size and checksum.
    ///
    /// # Errors
    ///
    /// Returns an error if the archive cannot be read, or if the content is damaged, encrypted, or compressed by another
    /// method than deflate.
    pub(crate) fn content(&self, archive: &InputFile) -> io::Result<Vec<u8>> {
        self.decode(&mut archive.open(self.start..archive.bytes())?)
    }

    fn decode(&self, input: &mut impl Read) -> io::Result<Vec<u8>> {
        let unsupported = |reason| Err(io::Error::new(ErrorKind::Unsupported, reason));
        if self.flags & 1 != 0 {
            return unsupported("it is encrypted".to_owned());
        }
        let header: [u8; 30] = take(input)?;
        if !header.starts_with(&FILE) {
            return Err(damaged("its header is invalid"));
        }
        let length = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
        read_bytes(input, length(26) + length(28))?;
        let data = input.take(self.data_bytes);
        let content = match self.method {
            0 => read_bytes(&mut { data }, self.bytes)?,
            8 => {
                let mut decoder = DeflateDecoder::new(data);
                let content = read_bytes(&mut decoder, self.bytes)?;
                if decoder.read(&mut [0])? > 0 {
                    return Err(damaged("it is longer than its directory says"));
                }
                content
            }
            method => return unsupported(format!("its compression method {method} is unknown")),
        };
        match crc32fast::hash(&content) == self.checksum {
            true => Ok(content),
            false => Err(damaged("its checksum does not match")),
        }
    }
}

/// Returns the content of an extra field.
fn field(mut extra: &[u8], id: u16) -> Option<&[u8]> {
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let [i0, i1, l0, l1] = *head;
        let (content, rest) = rest.split_at_checked(u16::from_le_bytes([l0, l1]).into())?;
        if u16::from_le_bytes([i0, i1]) == id {
            return Some(content);
        }
        extra = rest;
    }
    None
}
