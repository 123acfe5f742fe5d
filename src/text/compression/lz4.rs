//! Lz4: any number of consecutive frames, also of the old format. Skips skippable frames.
//!
//! The blocks are decoded by `lz4_flex`, whose own reader of frames takes a truncated file for a whole one.

use std::hash::Hasher;
use std::io::{self, BufRead, ErrorKind, Read};

use lz4_flex::block::{decompress_into, decompress_into_with_dict};
use twox_hash::XxHash32;

use super::input::{UnitInput, damaged, skip, take, unsupported};

const MAGIC: u32 = 0x184d_2204;
const OLD_MAGIC: u32 = 0x184c_2102;

/// Maximum length of the text of a block of the old format, in bytes.
const OLD_BLOCK_BYTES: usize = 8 << 20;

/// Maximum distance that a block may refer back, in bytes.
const WINDOW_BYTES: usize = 64 << 10;

/// Whether a frame with text begins with these bytes.
pub(super) fn is_magic(bytes: [u8; 4]) -> bool {
    matches!(u32::from_le_bytes(bytes), MAGIC | OLD_MAGIC)
}

/// Reads the text of a file of lz4 frames.
pub(super) struct Lz4Reader<R> {
    input: UnitInput<R>,
    frame: Option<Lz4Frame>,
    /// Data of a block.
    data: Vec<u8>,
    /// The text of the last block, after what blocks may refer back to.
    text: Vec<u8>,
    /// Number of bytes of `text` that have been returned.
    taken: usize,
}

/// Settings and state of a frame.
struct Lz4Frame {
    is_old: bool,
    max_block_bytes: usize,
    has_linked_blocks: bool,
    has_block_checksums: bool,
    text_bytes: Option<u64>,
    /// Checksum of the text, if the frame has one.
    checksum: Option<XxHash32>,
    read_bytes: u64,
}

impl<R: BufRead> Lz4Reader<R> {
    pub(super) fn new(input: UnitInput<R>) -> Self {
        Self {
            input,
            frame: None,
            data: Vec::new(),
            text: Vec::new(),
            taken: 0,
        }
    }

    /// Returns a reader of an input of which the magic bytes of a frame have been read.
    pub(super) fn after_magic(input: UnitInput<R>, magic: [u8; 4]) -> io::Result<Self> {
        let mut reader = Self::new(input);
        reader.begin_frame(u32::from_le_bytes(magic))?;
        Ok(reader)
    }

    /// Begins the next frame. Returns `false` if there is none.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.input.fill_buf()?.is_empty() {
            self.input.begin_unit(0)?;
            let magic = u32::from_le_bytes(take(&mut self.input)?);
            if self.begin_frame(magic)? {
                return Ok(true);
            }
        }
        self.input.end()?;
        Ok(false)
    }

    /// Begins a frame after its magic number. Returns `false` if it has no text.
    fn begin_frame(&mut self, magic: u32) -> io::Result<bool> {
        self.text.clear();
        self.taken = 0;
        match magic {
            MAGIC => self.frame = Some(Lz4Frame::read(&mut self.input)?),
            OLD_MAGIC => self.frame = Some(Lz4Frame::old()),
            _ if magic & !0xf == 0x184d_2a50 => {
                let bytes = u32::from_le_bytes(take(&mut self.input)?);
                skip(&mut self.input, bytes.into())?;
                return Ok(false);
            }
            _ => return Err(damaged("a frame is followed by bytes that begin no other")),
        }
        Ok(true)
    }

    /// Decodes the next block of a frame. Returns `false` at its end.
    fn next_block(&mut self) -> io::Result<bool> {
        let Some(frame) = &mut self.frame else {
            return Ok(false);
        };
        if frame.is_old && self.input.fill_buf()?.is_empty() {
            self.frame = None;
            return Ok(false);
        }
        let size = u32::from_le_bytes(take(&mut self.input)?);
        if frame.is_old && (matches!(size, MAGIC | OLD_MAGIC) || size & !0xf == 0x184d_2a50) {
            self.frame = None;
            return self.begin_frame(size);
        }
        if size == 0 && !frame.is_old {
            frame.end(&mut self.input)?;
            self.frame = None;
            return Ok(false);
        }
        let is_stored = size >> 31 == 1 && !frame.is_old;
        let bytes = (size & !(u32::from(!frame.is_old) << 31)) as usize;
        if bytes > lz4_flex::block::get_maximum_output_size(frame.max_block_bytes) {
            return Err(damaged("a block is too long"));
        }
        self.data.resize(bytes, 0);
        self.input.read_exact(&mut self.data)?;
        if frame.has_block_checksums
            && u32::from_le_bytes(take(&mut self.input)?) != hash(&self.data)
        {
            return Err(damaged("the checksum of a block does not match"));
        }
        let kept = if frame.has_linked_blocks {
            WINDOW_BYTES.min(self.text.len())
        } else {
            0
        };
        self.text.drain(..self.text.len() - kept);
        self.taken = kept;
        frame.decode(is_stored, &self.data, &mut self.text)?;
        self.input.text_bytes += (self.text.len() - kept) as u64;
        Ok(true)
    }
}

impl Lz4Frame {
    fn old() -> Self {
        Self {
            is_old: true,
            max_block_bytes: OLD_BLOCK_BYTES,
            has_linked_blocks: false,
            has_block_checksums: false,
            text_bytes: None,
            checksum: None,
            read_bytes: 0,
        }
    }

    /// Reads a header after its magic number.
    fn read(input: &mut impl Read) -> io::Result<Self> {
        let mut header = take::<2>(input)?.to_vec();
        let [flags, sizes] = header[..] else {
            return Err(ErrorKind::UnexpectedEof.into());
        };
        if flags >> 6 != 1 || flags & 2 != 0 || sizes & 0x8f != 0 || sizes >> 4 < 4 {
            return Err(unsupported("an unknown flag of lz4"));
        }
        if flags & 1 != 0 {
            return Err(unsupported("it needs a dictionary; decompress it first"));
        }
        let mut text_bytes = None;
        if flags & 8 != 0 {
            let bytes = take::<8>(input)?;
            header.extend(bytes);
            text_bytes = Some(u64::from_le_bytes(bytes));
        }
        if take(input)? != [(hash(&header) >> 8) as u8] {
            return Err(damaged("the checksum of a frame's header does not match"));
        }
        Ok(Self {
            is_old: false,
            max_block_bytes: 1 << (8 + 2 * (sizes >> 4)),
            has_linked_blocks: flags & 0x20 == 0,
            has_block_checksums: flags & 0x10 != 0,
            text_bytes,
            checksum: (flags & 4 != 0).then(|| XxHash32::with_seed(0)),
            read_bytes: 0,
        })
    }

    /// Appends the text of a block to `text`, which has what it may refer back to.
    fn decode(&mut self, is_stored: bool, data: &[u8], text: &mut Vec<u8>) -> io::Result<()> {
        let start = text.len();
        if is_stored {
            text.extend_from_slice(data);
        } else {
            text.resize(start + self.max_block_bytes, 0);
            let (window, out) = text.split_at_mut(start);
            let decoded = match window {
                [] => decompress_into(data, out),
                window => decompress_into_with_dict(data, out, window),
            };
            text.truncate(start + decoded.map_err(|_| damaged("invalid lz4 data"))?);
        }
        let block = &text[start..];
        if block.len() > self.max_block_bytes {
            return Err(damaged("a block is too long"));
        }
        self.read_bytes += block.len() as u64;
        if let Some(checksum) = &mut self.checksum {
            checksum.write(block);
        }
        Ok(())
    }

    /// Checks what follows the last block.
    fn end(&self, input: &mut impl Read) -> io::Result<()> {
        if self
            .text_bytes
            .is_some_and(|bytes| bytes != self.read_bytes)
        {
            return Err(damaged("the length does not match"));
        }
        if let Some(checksum) = &self.checksum
            && u64::from(u32::from_le_bytes(take(input)?)) != checksum.finish()
        {
            return Err(damaged("the checksum does not match"));
        }
        Ok(())
    }
}

fn hash(bytes: &[u8]) -> u32 {
    XxHash32::oneshot(0, bytes)
}

impl<R: BufRead> Read for Lz4Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let read = (&self.text[self.taken..]).read(out)?;
            if read > 0 {
                self.taken += read;
                return Ok(read);
            }
            if !self.next_block()? && self.frame.is_none() && !self.next_frame()? {
                return Ok(0);
            }
        }
    }
}
