//! Avro container files: a header, and blocks of records with a marker after each of them.

use std::io::{self, BufRead, BufReader, Read};
use std::str::FromStr;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::{Codec, Schema};
use holdall::BoxError;
use holdall::files::{InputFile, InputReader};
use memchr::memmem;

pub(crate) const MAGIC: &[u8] = b"Obj\x01";

/// Length of the marker after the header and after each block.
pub(crate) const MARKER_BYTES: usize = 16;

/// Number of bytes in which the header of most files ends.
const HEADER_BYTES: u64 = 16 << 10;

/// Maximum length of a header.
const MAX_HEADER_BYTES: u64 = 64 << 20;

/// The header of a file.
pub(crate) struct Header {
    pub(crate) schema: Schema,
    pub(crate) codec: Codec,
    marker: [u8; MARKER_BYTES],
    bytes: u64,
}

impl Header {
    pub(crate) fn read(file: &InputFile) -> Result<Self, BoxError> {
        let mut len = HEADER_BYTES;
        loop {
            let mut bytes = Vec::new();
            file.open(0..len)?.read_to_end(&mut bytes)?;
            if !bytes.starts_with(MAGIC) {
                return Err("it is no Avro file".into());
            }
            match Self::parse(&bytes) {
                Err(_) if len < file.bytes().min(MAX_HEADER_BYTES) => len *= 16,
                parsed => return parsed.map_err(|error| format!("the header: {error}").into()),
            }
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self, BoxError> {
        let mut rest = &bytes[MAGIC.len()..];
        let map = Schema::map(Schema::Bytes).build();
        let metadata = GenericDatumReader::builder(&map)
            .build()?
            .read_value(&mut rest)?;
        let Value::Map(mut metadata) = metadata else {
            return Err("it has no metadata".into());
        };
        let mut text = |name| match metadata.remove(name) {
            Some(Value::Bytes(bytes)) => String::from_utf8(bytes).map(Some),
            _ => Ok(None),
        };
        let schema = text("avro.schema")?.ok_or("it has no schema")?;
        let codec = text("avro.codec")?.unwrap_or_else(|| "null".to_owned());
        let mut marker = [0; MARKER_BYTES];
        rest.read_exact(&mut marker)?;
        Ok(Self {
            schema: Schema::parse_str(&schema)?,
            codec: Codec::from_str(&codec)
                .map_err(|_| format!("the codec `{codec}` is unknown"))?,
            marker,
            bytes: (bytes.len() - rest.len()) as u64,
        })
    }
}

/// A block of records.
pub(crate) struct Block {
    pub(crate) records: u64,
    /// The records, compressed.
    pub(crate) data: Vec<u8>,
}

/// Reads the blocks that begin in a range of a file.
pub(crate) struct Blocks<'f> {
    file: &'f InputFile,
    marker: [u8; MARKER_BYTES],
    input: BufReader<InputReader>,
    /// The next byte.
    offset: u64,
    end: u64,
}

impl<'f> Blocks<'f> {
    pub(crate) fn open(
        file: &'f InputFile,
        header: &Header,
        (start, end): (u64, u64),
    ) -> Result<Self, BoxError> {
        let mut blocks = Self {
            file,
            marker: header.marker,
            input: BufReader::new(file.open(0..0)?),
            offset: header.bytes,
            end,
        };
        match start <= header.bytes {
            true => blocks.seek(header.bytes)?,
            false => blocks.seek_block(start)?,
        }
        Ok(blocks)
    }

    fn seek(&mut self, offset: u64) -> Result<(), BoxError> {
        self.input = BufReader::new(self.file.open(offset..self.file.bytes())?);
        self.offset = offset;
        Ok(())
    }

    /// Moves to the first block that begins at `start` or later.
    pub(crate) fn seek_block(&mut self, start: u64) -> Result<(), BoxError> {
        self.seek(start.saturating_sub(MARKER_BYTES as u64))?;
        let mut window = Vec::new();
        loop {
            let buffer = self.input.fill_buf()?;
            let read = buffer.len();
            window.extend_from_slice(buffer);
            self.input.consume(read);
            if let Some(found) = memmem::find(&window, &self.marker) {
                return self.seek(self.offset + (found + MARKER_BYTES) as u64);
            }
            if read == 0 {
                return self.seek(self.file.bytes());
            }
            let kept = window.len().min(MARKER_BYTES - 1);
            let dropped = window.len() - kept;
            window.drain(..dropped);
            self.offset += dropped as u64;
        }
    }

    /// Returns the offset of the next block, or `None` at the end of the range.
    pub(crate) fn next_start(&self) -> Option<u64> {
        (self.offset < self.end.min(self.file.bytes())).then_some(self.offset)
    }

    /// Reads the next block.
    pub(crate) fn read(&mut self) -> Result<Block, BoxError> {
        let records = self.read_long()?;
        let len = self.read_long()?;
        if len > self.file.bytes().saturating_sub(self.offset) {
            return Err("the block is longer than the file".into());
        }
        let mut data = vec![0; usize::try_from(len)?];
        self.input.read_exact(&mut data)?;
        let mut marker = [0; MARKER_BYTES];
        self.input.read_exact(&mut marker)?;
        self.offset += len + MARKER_BYTES as u64;
        match marker == self.marker {
            true => Ok(Block { records, data }),
            false => Err("the block does not end with the marker of the file".into()),
        }
    }

    /// Reads a number that is not negative: 7 bits in each byte, the lowest ones first, and the sign in the lowest bit.
    fn read_long(&mut self) -> Result<u64, BoxError> {
        let mut bits = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let mut byte = [0];
            self.input.read_exact(&mut byte)?;
            self.offset += 1;
            bits |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return match bits & 1 {
                    0 => Ok(bits >> 1),
                    _ => Err("the block has a negative length".into()),
                };
            }
        }
        Err(io::Error::from(io::ErrorKind::InvalidData).into())
    }
}

/// Appends a number that is not negative.
pub(crate) fn write_long(number: u64, to: &mut Vec<u8>) {
    let mut bits = number << 1;
    while bits >= 0x80 {
        to.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    to.push(bits as u8);
}

/// Appends bytes and, before them, their length.
pub(crate) fn write_bytes(bytes: &[u8], to: &mut Vec<u8>) {
    write_long(bytes.len() as u64, to);
    to.extend_from_slice(bytes);
}
