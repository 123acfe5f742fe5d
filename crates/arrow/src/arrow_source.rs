//! The record batches of Arrow IPC files, as a source.

use std::io::BufReader;
use std::marker::PhantomData;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use arrow_buffer::Buffer;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{FileDecoder, StreamReader, read_footer_length};
use arrow_ipc::{Block, Footer, root_as_footer};
use holdall::files::InputFile;
use holdall::{BadRecords, BoxError, Reading, Source};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::inputs::{MetadataCache, decode, in_file, read_each, read_range};
use crate::rows::{RowFlow, emit_rows, end_part};
use crate::shape::Shape;

/// Ends a file that has a footer. A stream has none.
const MAGIC: &[u8] = b"ARROW1";

/// Length of the end of a file: the length of the footer, and the magic.
const TRAILER_BYTES: u64 = 10;

/// Marks compression in the metadata of blocks that Arrow 0.17 has written.
const OLD_COMPRESSION: &[u8] = b"ARROW:experimental_compression";

/// The record batches of Arrow IPC files.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ReadArrow<T> {
    pub(crate) files: Vec<InputFile>,
    pub(crate) bad: Option<BadRecords>,
    pub(crate) cache: MetadataCache<ArrowFile>,
    pub(crate) records: PhantomData<fn() -> T>,
}

/// A part of a file.
#[derive(Debug, Serialize, Deserialize)]
pub struct ArrowPart {
    file: usize,
    /// Number of the record batch, or `None` for a stream, which is read as a whole.
    batch: Option<usize>,
    bytes: u64,
}

/// The parts of a file that all its record batches need.
#[derive(Debug)]
pub(crate) struct ArrowFile {
    decoder: FileDecoder,
    batches: Vec<Block>,
}

impl<T: DeserializeOwned + 'static> ReadArrow<T> {
    fn parts(&self, number: usize) -> Result<Vec<ArrowPart>, BoxError> {
        let file = &self.files[number];
        let part = |batch, bytes| ArrowPart {
            file: number,
            batch,
            bytes,
        };
        let Some(footer) = read_footer(file, None)? else {
            return Ok(vec![part(None, file.bytes())]);
        };
        let footer = parse_footer(&footer)?;
        let blocks = footer.recordBatches().into_iter().flatten().enumerate();
        let parts = blocks.map(|(batch, block)| {
            let range = block_range(block)?;
            Ok(part(Some(batch), range.end - range.start))
        });
        parts.collect()
    }

    /// Reads the footer and the dictionaries of a file.
    fn open(&self, file: &InputFile, reading: &Reading<'_>) -> Result<ArrowFile, BoxError> {
        let footer = read_footer(file, Some(reading))?.ok_or("it has no footer any more")?;
        let footer = parse_footer(&footer)?;
        let schema = footer.schema().ok_or("its footer has no schema")?;
        if !schema.endianness().equals_to_target_endianness() {
            return Err("its byte order is not that of this machine".into());
        }
        let schema = fb_to_schema(schema);
        let names = schema.fields().iter().map(|field| field.name().as_str());
        let columns = Shape::of::<T>().columns(names);
        let mut decoder = FileDecoder::new(Arc::new(schema), footer.version());
        for block in footer.dictionaries().into_iter().flatten() {
            let bytes = read_block(file, block, reading)?;
            decode(|| decoder.read_dictionary(block, &bytes))?;
        }
        Ok(ArrowFile {
            decoder: decoder.with_projection(columns),
            batches: footer
                .recordBatches()
                .into_iter()
                .flatten()
                .copied()
                .collect(),
        })
    }

    fn read_part(
        &self,
        part: &ArrowPart,
        reading: &Reading<'_>,
        emit: &mut impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<RowFlow, BoxError> {
        let file = &self.files[part.file];
        let Some(number) = part.batch else {
            return self.read_stream(file, reading, emit);
        };
        let opened = self
            .cache
            .get_or_read(part.file, || self.open(file, reading))?;
        let block = opened
            .batches
            .get(number)
            .ok_or("it has fewer record batches than before")?;
        reading.set_offset(block_range(block)?.start);
        let bytes = read_block(file, block, reading)?;
        let batch = decode(|| opened.decoder.read_record_batch(block, &bytes));
        let batch = batch.map_err(|error| format!("record batch {number}: {error}"))?;
        match batch {
            Some(batch) => emit_rows(&batch, None, self.bad.as_ref(), reading, emit),
            None => Ok(ControlFlow::Continue(())),
        }
    }

    fn read_stream(
        &self,
        file: &InputFile,
        reading: &Reading<'_>,
        emit: &mut impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<RowFlow, BoxError> {
        let stream = BufReader::new(file.open(0..file.bytes())?);
        reading.count_bytes(file.bytes());
        let mut first = 1;
        let batches = decode(|| StreamReader::try_new(stream, None));
        let mut batches = batches.map_err(|error| format!("it is no Arrow IPC file: {error}"))?;
        for number in 0.. {
            let batch = decode(|| batches.next().transpose());
            let Some(batch) = batch.map_err(|error| format!("record batch {number}: {error}"))?
            else {
                break;
            };
            let flow = emit_rows(&batch, Some(first), self.bad.as_ref(), reading, emit)?;
            if flow.is_break() || reading.is_stopped() {
                return Ok(flow);
            }
            first += batch.num_rows() as u64;
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl<T: DeserializeOwned + 'static> Source for ReadArrow<T> {
    type Split = ArrowPart;
    type Item = T;

    fn splits(&self) -> Result<Vec<ArrowPart>, BoxError> {
        let parts = read_each(&self.files, |number| self.parts(number));
        let mut splits = Vec::new();
        for (file, parts) in parts.into_iter().enumerate() {
            match parts {
                Ok(parts) => splits.extend(parts),
                Err(error) if self.bad.is_none() => return Err(in_file(&self.files[file], error)),
                // The task meets the same error.
                Err(_) => splits.push(ArrowPart {
                    file,
                    batch: Some(0),
                    bytes: 0,
                }),
            }
        }
        Ok(splits)
    }

    fn read(
        &self,
        part: &ArrowPart,
        reading: &Reading<'_>,
        mut emit: impl FnMut(T) -> ControlFlow<()>,
    ) -> Result<(), BoxError> {
        let path = self.files[part.file].path();
        reading.set_file(path);
        let read = self.read_part(part, reading, &mut emit);
        end_part(read, path, self.bad.as_ref(), reading)
    }

    fn name(&self) -> &'static str {
        "read_arrow"
    }

    fn detail(&self) -> String {
        format!("{} files", self.files.len())
    }

    fn bytes(&self, part: &ArrowPart) -> Option<u64> {
        Some(part.bytes)
    }
}

/// Returns the footer of a file, or `None` if it is a stream.
fn read_footer(
    file: &InputFile,
    reading: Option<&Reading<'_>>,
) -> Result<Option<Vec<u8>>, BoxError> {
    let Some(end) = file.bytes().checked_sub(TRAILER_BYTES) else {
        return Ok(None);
    };
    let trailer = read_range(file, end..file.bytes(), reading)?;
    if !trailer.ends_with(MAGIC) {
        return Ok(None);
    }
    let len = read_footer_length(trailer.as_slice().try_into()?)? as u64;
    let start = end
        .checked_sub(len)
        .ok_or("its footer is longer than the file")?;
    read_range(file, start..end, reading).map(Some)
}

fn parse_footer(bytes: &[u8]) -> Result<Footer<'_>, BoxError> {
    root_as_footer(bytes).map_err(|error| format!("its footer is damaged: {error}").into())
}

/// Reads a block, and refuses one that its decoder would take for one that is not compressed.
fn read_block(file: &InputFile, block: &Block, reading: &Reading<'_>) -> Result<Buffer, BoxError> {
    let bytes = read_range(file, block_range(block)?, Some(reading))?;
    let metadata = bytes.get(..usize::try_from(block.metaDataLength())?);
    let mut keys = metadata.unwrap_or(&bytes).windows(OLD_COMPRESSION.len());
    if keys.any(|key| key == OLD_COMPRESSION) {
        return Err("it is compressed as in Arrow 0.17, before the format was stable".into());
    }
    Ok(Buffer::from_vec(bytes))
}

/// Returns the offsets of a block.
fn block_range(block: &Block) -> Result<Range<u64>, BoxError> {
    let start = u64::try_from(block.offset())?;
    let len =
        u64::try_from(block.metaDataLength())?.checked_add(u64::try_from(block.bodyLength())?);
    let end = len.and_then(|len| start.checked_add(len));
    Ok(start..end.ok_or("a block of it is too long")?)
}
