//! Gzip: any number of consecutive members, and trailing bytes.
//!
//! Like gzip(1), skips zero bytes after a member, which pad tapes and archives, and ignores any other bytes that begin
//! no member. Unlike gzip(1), reads a member that follows such padding, so that no text is lost.

use std::io::{self, BufRead, ErrorKind, Read};

use crc32fast::Hasher;
use flate2::{Decompress, FlushDecompress, Status};

use super::input::{UnitInput, damaged, skip_zeros, take, unsupported};

const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Second magic bytes of the other formats that gzip(1) reads after a member.
const OTHER_PARTS: [u8; 4] = [0x1e, 0x9d, 0x9e, 0xa0];

const DEFLATE: u8 = 8;

/// Flags in a header.
const HAS_CHECKSUM: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = !0x1f;

/// Reads the text of a file of gzip members.
pub(super) struct GzipReader<R> {
    input: UnitInput<R>,
    state: State,
    inflate: Decompress,
    /// Checksum of the text of the current member.
    checksum: Hasher,
    /// The length of that text, modulo 2^32.
    text_bytes: u32,
}

/// The next part of the input.
enum State {
    /// The magic bytes of the first member.
    Magic,
    /// The header after the magic bytes.
    Header,
    Text,
    Trailer,
    End,
}

impl<R: BufRead> GzipReader<R> {
    pub(super) fn new(input: UnitInput<R>) -> Self {
        Self {
            input,
            state: State::Magic,
            inflate: Decompress::new(false),
            checksum: Hasher::new(),
            text_bytes: 0,
        }
    }

    fn begin_member(&mut self) -> io::Result<()> {
        self.input.begin_unit(MAGIC.len() as u64)?;
        skip_header(&mut self.input)?;
        self.inflate.reset(false);
        self.checksum.reset();
        self.text_bytes = 0;
        self.state = State::Text;
        Ok(())
    }

    /// Reads the next bytes of text. The result may be 0 even if more text follows.
    fn read_text(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let input = self.input.fill_buf()?;
        let (input_before, before) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(input, out, FlushDecompress::None);
        let taken = (self.inflate.total_in() - input_before) as usize;
        let read = (self.inflate.total_out() - before) as usize;
        let is_stuck = taken == 0 && read == 0;
        let is_at_end = input.is_empty();
        self.input.consume(taken);
        self.checksum.update(&out[..read]);
        self.text_bytes = self.text_bytes.wrapping_add(read as u32);
        self.input.text_bytes += read as u64;
        match status {
            // The next call returns the error again.
            Err(_) if read > 0 => {}
            Err(_) => return Err(damaged("invalid deflate data")),
            Ok(Status::StreamEnd) => self.state = State::Trailer,
            _ if is_stuck && is_at_end => return Err(ErrorKind::UnexpectedEof.into()),
            _ if is_stuck => return Err(damaged("invalid deflate data")),
            _ => {}
        }
        Ok(read)
    }

    fn end_member(&mut self) -> io::Result<()> {
        let checksum = u32::from_le_bytes(take(&mut self.input)?);
        let text_bytes = u32::from_le_bytes(take(&mut self.input)?);
        if checksum != self.checksum.clone().finalize() {
            return Err(damaged("the checksum does not match"));
        }
        if text_bytes != self.text_bytes {
            return Err(damaged("the length does not match"));
        }
        self.state = if self.finds_member()? {
            State::Header
        } else {
            self.input.end()?;
            State::End
        };
        Ok(())
    }

    /// Skips padding, and the magic bytes of the next member. Returns whether there is one.
    fn finds_member(&mut self) -> io::Result<bool> {
        let zeros = skip_zeros(&mut self.input)?;
        let mut magic = Vec::new();
        self.input.by_ref().take(2).read_to_end(&mut magic)?;
        match magic[..] {
            [0x1f] if zeros == 0 => Err(ErrorKind::UnexpectedEof.into()),
            [0x1f, other] if zeros == 0 && OTHER_PARTS.contains(&other) => {
                Err(unsupported("a part in another format follows"))
            }
            _ => Ok(magic == MAGIC),
        }
    }
}

impl<R: BufRead> Read for GzipReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Magic => {
                    if take(&mut self.input)? != MAGIC {
                        return Err(damaged("no gzip header"));
                    }
                    self.state = State::Header;
                }
                State::Header => self.begin_member()?,
                State::Text => {
                    let read = self.read_text(out)?;
                    if read > 0 {
                        return Ok(read);
                    }
                }
                State::Trailer => self.end_member()?,
                State::End => return Ok(0),
            }
        }
    }
}

/// Skips a header, after its magic bytes.
fn skip_header(input: &mut impl BufRead) -> io::Result<()> {
    let mut header = Header {
        input,
        checksum: Hasher::new(),
    };
    header.checksum.update(&MAGIC);
    let [method, flags] = header.take()?;
    if method != DEFLATE || flags & RESERVED != 0 {
        return Err(unsupported("an unknown method or flag of gzip"));
    }
    // The time, a hint, and the operating system.
    header.take::<6>()?;
    if flags & HAS_EXTRA != 0 {
        let bytes = u16::from_le_bytes(header.take()?);
        header.skip(bytes.into())?;
    }
    for field in [HAS_NAME, HAS_COMMENT] {
        if flags & field != 0 {
            while header.take()? != [0] {}
        }
    }
    if flags & HAS_CHECKSUM != 0 {
        let expected = header.checksum.clone().finalize() as u16;
        if u16::from_le_bytes(header.take()?) != expected {
            return Err(damaged("the checksum of the header does not match"));
        }
    }
    Ok(())
}

/// Reads the bytes of a header, and computes their checksum.
struct Header<'a, R> {
    input: &'a mut R,
    checksum: Hasher,
}

impl<R: BufRead> Header<'_, R> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let bytes = take(self.input)?;
        self.checksum.update(&bytes);
        Ok(bytes)
    }

    fn skip(&mut self, bytes: usize) -> io::Result<()> {
        for _ in 0..bytes {
            self.take::<1>()?;
        }
        Ok(())
    }
}
