//! Xz: streams of blocks, each with an index that is compared with the blocks.
//!
//! Like xz(1), verifies everything that the format states twice, and skips zero bytes between and after streams if
//! their number is a multiple of four. Any other bytes after a stream are an error. The decoders of LZMA2 and of
//! filters are those of `lzma_rust2`, whose own reader of streams does not compare sizes.

use std::io::{self, BufRead, Read};

use super::input::{UnitInput, damaged, skip_zeros, take, unsupported};
use super::xz_block::{BlockHeader, ByteFilter, read_number};
use super::xz_check::{CHECK_BYTES, Check, Crc64};

const MAGIC: [u8; 6] = *b"\xfd7zXZ\0";
const FOOTER_MAGIC: [u8; 2] = *b"YZ";

/// Maximum of the format's variable-length numbers.
const MAX_NUMBER: u64 = u64::MAX >> 1;

/// Reads the text of a file of xz streams.
pub(super) struct XzReader<R> {
    state: State<R>,
    max_window_bytes: u64,
    /// Number of the check type of this stream.
    check: u8,
    /// The blocks of this stream so far, or `None` if its first blocks are read by another decoder.
    blocks: Option<Blocks>,
}

/// The next part of the input.
enum State<R> {
    Stream(UnitInput<R>),
    BlockOrIndex(UnitInput<R>),
    Text(XzBlock<R>),
    End,
    /// Only while one state passes its input to the next, and after an error.
    Moving,
}

/// A block that is being decoded.
struct XzBlock<R> {
    decoder: Box<dyn ByteFilter<UnitInput<R>>>,
    header: BlockHeader,
    check: Check,
    /// Offset of its data in the input.
    start: u64,
    text_bytes: u64,
}

impl<R: BufRead + Send + 'static> XzReader<R> {
    pub(super) fn new(input: UnitInput<R>, max_window_bytes: u64) -> Self {
        Self {
            state: State::Stream(input),
            max_window_bytes,
            check: 0,
            blocks: None,
        }
    }

    /// Returns a reader that begins at a block, of a stream with this type of check.
    pub(super) fn at_block(input: UnitInput<R>, max_window_bytes: u64, check: u8) -> Self {
        Self {
            state: State::BlockOrIndex(input),
            max_window_bytes,
            check,
            blocks: None,
        }
    }

    fn begin_stream(&mut self, mut input: UnitInput<R>) -> io::Result<State<R>> {
        if take(&mut input)? != MAGIC {
            return Err(damaged("a stream is followed by bytes that begin no other"));
        }
        let flags: [u8; 2] = take(&mut input)?;
        if take(&mut input)? != crc32fast::hash(&flags).to_le_bytes() {
            return Err(damaged("the checksum of a stream's header does not match"));
        }
        let [0, check @ 0..16] = flags else {
            return Err(unsupported("an unknown flag of xz"));
        };
        self.check = check;
        self.blocks = Some(Blocks::default());
        Ok(State::BlockOrIndex(input))
    }

    fn begin_block_or_end_stream(&mut self, mut input: UnitInput<R>) -> io::Result<State<R>> {
        let [size] = take(&mut input)?;
        if size == 0 {
            return self.end_stream(input);
        }
        input.begin_unit(1)?;
        let header = BlockHeader::read(size, &mut input)?;
        Ok(State::Text(XzBlock {
            start: input.bytes,
            decoder: header.decoder(input, self.max_window_bytes)?,
            header,
            check: Check::new(self.check),
            text_bytes: 0,
        }))
    }

    fn end_block(&mut self, block: XzBlock<R>) -> io::Result<State<R>> {
        let mut input = block.decoder.into_input();
        let bytes = input.bytes - block.start;
        block.header.check_sizes(bytes, block.text_bytes)?;
        for _ in 0..bytes.next_multiple_of(4) - bytes {
            if take(&mut input)? != [0] {
                return Err(damaged("the padding of a block is not zero"));
            }
        }
        let check_bytes = CHECK_BYTES[usize::from(self.check)];
        let mut check = [0; 64];
        let check = &mut check[..check_bytes.into()];
        input.read_exact(check)?;
        if !block.check.is(check) {
            return Err(damaged("the checksum of a block does not match"));
        }
        let unpadded_bytes = u64::from(block.header.bytes) + bytes + u64::from(check_bytes);
        input.text_bytes += block.text_bytes;
        if let Some(blocks) = &mut self.blocks {
            blocks.add(unpadded_bytes, block.text_bytes)?;
        }
        Ok(State::BlockOrIndex(input))
    }

    /// Reads the index after its first byte, and the footer. Continues with the next stream.
    fn end_stream(&mut self, mut input: UnitInput<R>) -> io::Result<State<R>> {
        let index_bytes = read_index(&mut input, self.blocks.as_ref())?;
        let checksum: [u8; 4] = take(&mut input)?;
        let size_and_flags: [u8; 6] = take(&mut input)?;
        let [s0, s1, s2, s3, flags @ ..] = size_and_flags;
        if checksum != crc32fast::hash(&size_and_flags).to_le_bytes() {
            return Err(damaged("the checksum of a stream's footer does not match"));
        }
        let backward_bytes = 4 * (u64::from(u32::from_le_bytes([s0, s1, s2, s3])) + 1);
        if backward_bytes != index_bytes || flags != [0, self.check] {
            return Err(damaged("the footer of a stream does not match it"));
        }
        if take(&mut input)? != FOOTER_MAGIC {
            return Err(damaged("the footer of a stream is none"));
        }
        if !skip_zeros(&mut input)?.is_multiple_of(4) {
            return Err(damaged(
                "the length of a stream's padding is not a multiple of 4 bytes",
            ));
        }
        match input.fill_buf()? {
            [] => {
                input.end()?;
                Ok(State::End)
            }
            _ => Ok(State::Stream(input)),
        }
    }
}

impl<R: BufRead + Send + 'static> Read for XzReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if let State::Text(block) = &mut self.state {
                let read = block.decoder.read(out)?;
                if read > 0 {
                    block.check.update(&out[..read]);
                    block.text_bytes += read as u64;
                    return Ok(read);
                }
            }
            self.state = match std::mem::replace(&mut self.state, State::Moving) {
                State::Stream(input) => self.begin_stream(input)?,
                State::BlockOrIndex(input) => self.begin_block_or_end_stream(input)?,
                State::Text(block) => self.end_block(block)?,
                State::End => {
                    self.state = State::End;
                    return Ok(0);
                }
                State::Moving => return Err(damaged("an error before")),
            };
        }
    }
}

/// The sizes of the blocks of a stream, in order. Only a checksum of the sizes is kept, because their number is
/// unlimited.
#[derive(Debug, PartialEq)]
struct Blocks {
    count: u64,
    unpadded_bytes: u64,
    text_bytes: u64,
    sizes: Crc64,
}

impl Default for Blocks {
    fn default() -> Self {
        Self {
            count: 0,
            unpadded_bytes: 0,
            text_bytes: 0,
            sizes: Crc64::new(),
        }
    }
}

impl Blocks {
    fn add(&mut self, unpadded_bytes: u64, text_bytes: u64) -> io::Result<()> {
        let sum = |a: u64, b: u64| a.checked_add(b).filter(|sum| *sum <= MAX_NUMBER);
        let too_large = || damaged("the blocks are too large");
        self.count += 1;
        self.unpadded_bytes = sum(self.unpadded_bytes, unpadded_bytes).ok_or_else(too_large)?;
        self.text_bytes = sum(self.text_bytes, text_bytes).ok_or_else(too_large)?;
        self.sizes.update(&unpadded_bytes.to_le_bytes());
        self.sizes.update(&text_bytes.to_le_bytes());
        Ok(())
    }
}

/// Reads an index after its first byte, and compares it with `blocks`, if they are known. Returns its length, in bytes.
fn read_index<R: BufRead>(input: &mut UnitInput<R>, blocks: Option<&Blocks>) -> io::Result<u64> {
    let start = input.bytes - 1;
    let mut index = Index {
        input,
        checksum: crc32fast::Hasher::new(),
    };
    index.checksum.update(&[0]);
    let mismatch = || damaged("the index does not match the blocks");
    // Check the number before reading records: a damaged index may claim any number of them.
    let count = index.number()?;
    if blocks.is_some_and(|blocks| blocks.count != count) {
        return Err(mismatch());
    }
    let mut indexed = Blocks::default();
    for _ in 0..count {
        let (unpadded_bytes, text_bytes) = (index.number()?, index.number()?);
        indexed.add(unpadded_bytes, text_bytes)?;
    }
    if blocks.is_some_and(|blocks| *blocks != indexed) {
        return Err(mismatch());
    }
    while !(index.input.bytes - start).is_multiple_of(4) {
        if index.byte()? != 0 {
            return Err(damaged("the padding of the index is not zero"));
        }
    }
    let checksum = index.checksum.finalize();
    if take(input)? != checksum.to_le_bytes() {
        return Err(damaged("the checksum of the index does not match"));
    }
    Ok(input.bytes - start)
}

struct Index<'a, R> {
    input: &'a mut UnitInput<R>,
    checksum: crc32fast::Hasher,
}

impl<R: BufRead> Index<'_, R> {
    fn byte(&mut self) -> io::Result<u8> {
        let byte = take::<1>(self.input)?;
        self.checksum.update(&byte);
        Ok(byte[0])
    }

    fn number(&mut self) -> io::Result<u64> {
        read_number(|| self.byte())
    }
}
