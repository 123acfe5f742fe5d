//! Input of decoders, and errors that all decoders share.

use std::io::{self, BufRead, ErrorKind, Read};

/// Maximum distance that compressed text may refer back, in bytes. Decoding takes as much memory. No preset of zstd(1)
/// and xz(1) makes files that refer farther back.
pub(super) const MAX_WINDOW_BYTES: u32 = 128 << 20;

pub(super) fn damaged(reason: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

pub(super) fn unsupported(reason: &'static str) -> io::Error {
    io::Error::new(ErrorKind::Unsupported, reason)
}

pub(super) fn too_far_back(bytes: u64) -> io::Error {
    let (mib, limit) = (bytes.div_ceil(1 << 20), MAX_WINDOW_BYTES >> 20);
    let reason = format!(
        "it takes a window of {mib} MiB, and the limit is {limit} MiB; decompress it first"
    );
    io::Error::new(ErrorKind::Unsupported, reason)
}

pub(super) fn take<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Skips zero bytes, and returns their number.
pub(super) fn skip_zeros(input: &mut impl BufRead) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let bytes = input.fill_buf()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let is_end = zeros < bytes.len() || zeros == 0;
        input.consume(zeros);
        skipped += zeros as u64;
        if is_end {
            return Ok(skipped);
        }
    }
}
