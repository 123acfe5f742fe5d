//! Input of decoders, and errors that all decoders share.

use std::io::{self, BufRead, ErrorKind, Read};

use super::unit::UnitStart;

/// Decodes the text of a file.
pub(super) trait TextDecoder: Read + Send {
    /// Whether the file cannot be decoded by several threads, according to the part that has been read.
    fn is_on_one_thread(&self) -> bool {
        true
    }
}

pub(super) fn damaged(reason: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}

pub(super) fn unsupported(reason: &'static str) -> io::Error {
    io::Error::new(ErrorKind::Unsupported, reason)
}

pub(super) fn too_far_back(bytes: u64, limit_bytes: u64) -> io::Error {
    let (mib, limit) = (bytes.div_ceil(1 << 20), limit_bytes >> 20);
    let reason = format!(
        "it takes a window of {mib} MiB, and the limit is {limit} MiB; raise `max_window_bytes`, or decompress it first"
    );
    io::Error::new(ErrorKind::Unsupported, reason)
}

pub(super) fn take<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn skip(input: &mut impl Read, bytes: u64) -> io::Result<()> {
    let skipped = io::copy(&mut input.take(bytes), &mut io::sink())?;
    match skipped == bytes {
        true => Ok(()),
        false => Err(ErrorKind::UnexpectedEof.into()),
    }
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

/// The input of a decoder, with its offset in the file.
///
/// A file that is divided is read by several decoders. Each checks that the unit at which another one begins is where it
/// was expected, in the file and in the text. If all of them find this, their texts fit together.
pub(super) struct UnitInput<R> {
    input: R,
    /// Offset in the file.
    pub(super) bytes: u64,
    /// Number of bytes of text before the current unit, counted from the start of the file.
    pub(super) text_bytes: u64,
    /// The unit at which another decoder begins, until it is found.
    next: Option<UnitStart>,
}

impl<R> UnitInput<R> {
    /// `start` is the place of the first unit.
    pub(super) fn new(input: R, start: UnitStart, next: Option<UnitStart>) -> Self {
        Self {
            input,
            bytes: start.data,
            text_bytes: start.text,
            next,
        }
    }

    /// Must be called where a unit begins. `taken` is the number of bytes of it that have already been read.
    pub(super) fn begin_unit(&mut self, taken: u64) -> io::Result<()> {
        let Some(next) = self.next else {
            return Ok(());
        };
        let data = self.bytes - taken;
        if data < next.data {
            return Ok(());
        }
        self.next = None;
        match (data, self.text_bytes) == (next.data, next.text) {
            true => Ok(()),
            false => Err(misplaced()),
        }
    }

    /// Must be called at the end of the last unit.
    pub(super) fn end(&self) -> io::Result<()> {
        self.next.map_or(Ok(()), |_| Err(misplaced()))
    }
}

fn misplaced() -> io::Error {
    damaged("its parts are not where its headers or its index say")
}

impl<R: BufRead> Read for UnitInput<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(out)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for UnitInput<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.input.consume(bytes);
        self.bytes += bytes as u64;
    }
}
