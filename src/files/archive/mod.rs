//! Archives: the files in them.

mod tar;
mod zip;

pub(crate) use tar::TarReader;
pub(crate) use zip::{ZipMember, find_members, is_zip};

use std::io::{self, ErrorKind, Read};

fn damaged(reason: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

fn take<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Reads exactly `bytes` bytes. Memory grows with what is read, because the number may be damaged.
fn read_bytes(input: &mut impl Read, bytes: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    input.take(bytes).read_to_end(&mut content)?;
    match content.len() as u64 == bytes {
        true => Ok(content),
        false => Err(ErrorKind::UnexpectedEof.into()),
    }
}
