//! The blocks of bzip2, which can be decoded separately. They begin at any bit.
//!
//! A block is decoded as a stream of its own: it gets a header, and the end of a stream. The decoder confirms that the
//! block ends where its bits do, and compares its checksum.

use std::io::{self, BufRead, ErrorKind, Read};

use bzip2::{Decompress, Status};

use super::ahead::{SliceEnd, UnitFormat, UnitSlice};
use super::input::damaged;
use super::slice_text::SliceText;

/// Length of the marks at which a block begins or a stream ends, and of a checksum, in bits.
const MARK_BITS: usize = 48;
const CHECKSUM_BITS: usize = 32;
const HEADER_BITS: usize = 32;

const BLOCK: u64 = 0x3141_5926_5359;
const END: u64 = 0x1772_4538_5090;

/// Number of bytes of text after which a slice is full. One block may have 45 MB.
const FULL_BYTES: usize = 8 << 20;

/// Number of bytes for which room is made at a time. Most blocks have 900,000 bytes.
const STEP_BYTES: usize = 1 << 20;

/// Maximum number of bits of a block, which has up to 900,000 bytes that do not become shorter.
const MAX_BLOCK_BITS: usize = 8 * (2 << 20);

/// Maximum length of a block for which the decoder gets a small memory first, in bits. It would take longer to clear
/// that for the largest block than to decode a line.
const SMALL_BLOCK_BITS: usize = 8 * (4 << 10);

/// The checksum of the blocks of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Bzip2Units {
    checksum: u32,
}

/// A block or the end of a stream, with the checksum in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Block(u32),
    End(u32),
}

impl UnitFormat for Bzip2Units {
    type Summary = Vec<Mark>;

    fn find(&self, bytes: &[u8], from: usize) -> Option<usize> {
        find_mark(bytes, from)
    }

    fn decode(&self, slice: &UnitSlice, text: &mut SliceText) -> (SliceEnd, Vec<Mark>) {
        let mut marks = Vec::new();
        let end = decode_units(slice, text, &mut marks);
        (end, marks)
    }

    fn check(&mut self, marks: Vec<Mark>) -> io::Result<()> {
        for mark in marks {
            match mark {
                Mark::Block(checksum) => self.checksum = self.checksum.rotate_left(1) ^ checksum,
                Mark::End(checksum) if checksum == self.checksum => self.checksum = 0,
                Mark::End(_) => return Err(damaged("the checksum of a stream does not match")),
            }
        }
        Ok(())
    }

    fn decode_rest(&self, _: Box<dyn BufRead + Send>) -> Option<Box<dyn Read + Send>> {
        None
    }
}

/// Decodes blocks one after another.
fn decode_units(slice: &UnitSlice, text: &mut SliceText, marks: &mut Vec<Mark>) -> SliceEnd {
    let bytes = &slice.bytes[..];
    let mut at = slice.start;
    if slice.is_first {
        match stream_start(bytes, at) {
            Some(start) => at = start,
            None if bytes.len() < 10 => return cut_short(at),
            None => return invalid(at),
        }
    }
    while at < slice.end {
        if text.bytes.len() >= FULL_BYTES {
            return SliceEnd::Full { at };
        }
        let mark = bits(bytes, at, MARK_BITS);
        let checksum = bits(bytes, at + MARK_BITS, CHECKSUM_BITS);
        let (Some(mark), Some(checksum)) = (mark, checksum) else {
            return cut_short(at);
        };
        match mark {
            BLOCK => match decode_block(bytes, at, slice.end, text) {
                Ok(Some(end)) => {
                    marks.push(Mark::Block(checksum as u32));
                    at = end;
                }
                Err(NoRoom) => return SliceEnd::Full { at },
                Ok(None) if slice.is_last && find_mark(bytes, at + MARK_BITS).is_none() => {
                    return cut_short(at);
                }
                Ok(None) => return invalid(at),
            },
            END => {
                let end = (at + MARK_BITS + CHECKSUM_BITS).next_multiple_of(8);
                let next = stream_start(bytes, end);
                let is_known = next.is_some() || slice.is_last || bytes.len() >= end / 8 + 10;
                if !is_known {
                    // The header of the next stream may follow.
                    return cut_short(at);
                }
                marks.push(Mark::End(checksum as u32));
                match next {
                    Some(next) => at = next,
                    None if is_cut_header(&bytes[end / 8..]) => return cut_short(end),
                    None => return SliceEnd::EndOfText,
                }
            }
            _ => return invalid(at),
        }
    }
    SliceEnd::Whole
}

fn cut_short(at: usize) -> SliceEnd {
    let error = ErrorKind::UnexpectedEof.into();
    SliceEnd::Partial { at, error }
}

fn invalid(at: usize) -> SliceEnd {
    let error = damaged("invalid bzip2 data");
    SliceEnd::Partial { at, error }
}

/// Returns the offset of the first mark of the stream that begins at `at`, if one does.
fn stream_start(bytes: &[u8], at: usize) -> Option<usize> {
    let is_header = matches!(bytes.get(at / 8..)?, [b'B', b'Z', b'h', b'1'..=b'9', ..]);
    let first = at + HEADER_BITS;
    let mark = bits(bytes, first, MARK_BITS)?;
    (is_header && matches!(mark, BLOCK | END)).then_some(first)
}

/// Whether the rest of a file is a part of a stream's header. Any other bytes are ignored, as by bzip2(1).
fn is_cut_header(rest: &[u8]) -> bool {
    let header = rest
        .iter()
        .zip(b"BZh")
        .all(|(byte, expected)| byte == expected);
    match rest {
        [] => false,
        [_, _, _, level, ..] => header && matches!(level, b'1'..=b'9'),
        _ => header,
    }
}

/// The text is decoded in advance, and the budget refuses more.
struct NoRoom;

/// Decodes the block that begins at `start`. Returns its end, which is the next mark. If that occurs within the block, by
/// chance, it is the mark after it. Returns `None` if the block is invalid.
fn decode_block(
    bytes: &[u8],
    start: usize,
    last: usize,
    text: &mut SliceText,
) -> Result<Option<usize>, NoRoom> {
    let text_bytes = text.bytes.len();
    let mut from = start + MARK_BITS;
    loop {
        let end = find_mark(bytes, from).unwrap_or(last).min(last);
        if end <= start + MARK_BITS + CHECKSUM_BITS || end - start > MAX_BLOCK_BITS {
            return Ok(None);
        }
        let is_small = end - start <= SMALL_BLOCK_BITS;
        for level in if is_small { &b"19"[..] } else { b"9" } {
            let Some(stream) = stream_of(bytes, start, end, *level) else {
                return Ok(None);
            };
            let decoded = decode_stream(&stream, text);
            if matches!(decoded, Ok(true)) {
                return Ok(Some(end));
            }
            text.bytes.truncate(text_bytes);
            decoded?;
        }
        if end == last {
            return Ok(None);
        }
        from = end + 1;
    }
}

/// Returns a stream of one block.
fn stream_of(bytes: &[u8], start: usize, end: usize, level: u8) -> Option<Vec<u8>> {
    let checksum = bits(bytes, start + MARK_BITS, CHECKSUM_BITS)?;
    let mut stream = BitWriter::new(&[b'B', b'Z', b'h', level], (end - start) / 8 + 16);
    let mut at = start;
    while at < end {
        let count = (end - at).min(56);
        stream.put(bits(bytes, at, count)?, count);
        at += count;
    }
    stream.put(END, MARK_BITS);
    stream.put(checksum, CHECKSUM_BITS);
    stream.put(0, 7);
    Some(stream.bytes)
}

/// Appends the text of a stream of one block. Returns `false` if it is invalid.
fn decode_stream(stream: &[u8], text: &mut SliceText) -> Result<bool, NoRoom> {
    let mut decompress = Decompress::new(false);
    loop {
        let taken = decompress.total_in() as usize;
        if !text.make_room(STEP_BYTES) {
            return Err(NoRoom);
        }
        let before = text.bytes.len();
        match decompress.decompress_vec(&stream[taken..], &mut text.bytes) {
            Ok(Status::StreamEnd) => return Ok(true),
            Ok(_) if text.bytes.len() > before || decompress.total_in() as usize > taken => {}
            _ => return Ok(false),
        }
    }
}

struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that are not in `bytes` yet, fewer than 8.
    rest: u64,
    count: usize,
}

impl BitWriter {
    fn new(start: &[u8], capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(start.len() + capacity);
        bytes.extend_from_slice(start);
        Self {
            bytes,
            rest: 0,
            count: 0,
        }
    }

    /// Appends the lowest `count` bits of `bits`, up to 56.
    fn put(&mut self, bits: u64, count: usize) {
        let all = self.rest << count | bits;
        let count = self.count + count;
        let aligned = all << (64 - count);
        self.bytes
            .extend_from_slice(&aligned.to_be_bytes()[..count / 8]);
        self.count = count % 8;
        self.rest = all & ((1 << self.count) - 1);
    }
}

/// Returns `count` bits from `at` on, at most 56.
fn bits(bytes: &[u8], at: usize, count: usize) -> Option<u64> {
    if at + count > 8 * bytes.len() {
        return None;
    }
    let rest = &bytes[at / 8..];
    let mut word = [0; 8];
    let len = rest.len().min(8);
    word[..len].copy_from_slice(&rest[..len]);
    let word = u64::from_be_bytes(word) << (at % 8);
    Some(word >> (64 - count))
}

/// Returns the offset of the first mark from `from` on, in bits.
fn find_mark(bytes: &[u8], from: usize) -> Option<usize> {
    let first = from / 8;
    for at in first..bytes.len().saturating_sub(5) {
        let shifts = THIRD[usize::from(bytes[at + 2])] & FOURTH[usize::from(bytes[at + 3])];
        if shifts == 0 {
            continue;
        }
        for shift in (0..8).filter(|shift| shifts >> shift & 1 == 1) {
            let place = 8 * at + shift;
            let mark = bits(bytes, place, MARK_BITS);
            if place >= from && mark.is_some_and(|mark| matches!(mark, BLOCK | END)) {
                return Some(place);
            }
        }
    }
    None
}

/// The shifts with which a mark can have a byte as its third or fourth, as bits.
static THIRD: [u8; 256] = shifts(2);
static FOURTH: [u8; 256] = shifts(3);

const fn shifts(index: usize) -> [u8; 256] {
    let mut shifts = [0; 256];
    let marks = [BLOCK, END];
    let mut n = 0;
    while n < 2 * 8 {
        let shift = n % 8;
        let byte = (marks[n / 8] << (8 - shift)) >> (48 - 8 * index) & 0xff;
        shifts[byte as usize] |= 1 << shift;
        n += 1;
    }
    shifts
}
