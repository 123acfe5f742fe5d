//! Reads a compressed file whose parts are decoded on several threads.
//!
//! ```text
//!  input ─> buffer ─ cut at possible starts of units ─> slices ─ decoded by helper threads ─> text, in order
//! ```
//!
//! Some formats do not tell where their units begin. Magic bytes show it, but they may also occur within a unit. So a
//! slice is decoded in the hope that it begins and ends at units. The first one begins at a unit. If it consists of whole
//! units, which checksums confirm, the next one also begins at a unit, and so on. Otherwise the slice was cut within a
//! unit: it is joined with the next one, and decoded again.

use std::io::{self, BufRead, Cursor, Read};

use super::input::{TextDecoder, damaged};
use super::ordered_jobs::OrderedJobs;
use super::slice_text::{Helpers, SliceText};

/// Minimum size of a slice, in bytes. Smaller ones take longer to pass than to decode; larger ones need more memory, as
/// several are decoded at the same time.
const SLICE_BYTES: usize = 256 << 10;

/// Maximum size of a slice, and of slices that are joined, in bytes. If a file has longer units, one thread decodes its
/// rest.
const MAX_SLICE_BYTES: usize = 16 << 20;

/// Size of all slices that are decoded in advance, in bytes, if there is one for each thread.
const AHEAD_BYTES: usize = 4 << 20;

/// Maximum number of slices that are joined. Each is decoded again together with those before it.
const MAX_JOINED: usize = 8;

/// Number of bytes that are read in one call.
const READ_BYTES: usize = 128 << 10;

/// Maximum length of the magic bytes of a unit, in bits.
const MAX_MAGIC_BITS: usize = 128;

/// Units of a format that can be decoded separately.
pub(super) trait UnitFormat: Clone + Send + 'static {
    /// Data about the units of a slice.
    type Summary: Send + 'static;

    /// Returns the first offset from `from` on at which a unit may begin. Offsets are in bits.
    fn find(&self, bytes: &[u8], from: usize) -> Option<usize>;

    /// Decodes the units of a slice, and appends their text, for which it makes room.
    fn decode(&self, slice: &UnitSlice, text: &mut SliceText) -> (SliceEnd, Self::Summary);

    /// Checks the units of the next slice. They are known to follow those that were checked before.
    fn check(&mut self, summary: Self::Summary) -> io::Result<()>;

    /// Returns a reader that decodes all units of an input one after another, or `None` if it could not begin within
    /// the file.
    fn decode_rest(&self, input: Box<dyn BufRead + Send>) -> Option<Box<dyn Read + Send>>;
}

/// A part of a file. Its units may begin and end within a byte.
#[derive(Debug)]
pub(super) struct UnitSlice {
    pub(super) bytes: Vec<u8>,
    /// Its range of `bytes`, in bits.
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) is_first: bool,
    pub(super) is_last: bool,
}

/// Extent to which a slice could be decoded. Offsets are those of the first unit that is left, in bits.
#[derive(Debug)]
pub(super) enum SliceEnd {
    /// To its end, at which a unit ends.
    Whole,
    /// The unit is not whole, or damaged.
    Partial { at: usize, error: io::Error },
    /// There is too much text already, or the budget refuses more that is decoded in advance.
    Full { at: usize },
    /// The unit has too much text.
    TooLong { at: usize },
    /// The rest of the file has no text.
    EndOfText,
}

struct Decoded<S> {
    slice: UnitSlice,
    text: SliceText,
    end: SliceEnd,
    summary: S,
}

/// Reads the text of a file of units.
pub(super) struct AheadReader<R, F: UnitFormat> {
    format: F,
    /// `None` once another reader has it.
    input: Option<R>,
    /// Bytes that are in no slice yet.
    buffer: Vec<u8>,
    /// Offset in `buffer` at which the next slice begins, in bits.
    start: usize,
    is_first: bool,
    is_at_end: bool,
    /// Whether the file has no further slice, or none that is short enough.
    is_cut: bool,
    jobs: OrderedJobs<Decoded<F::Summary>>,
    helpers: Helpers,
    /// Size of the slices of the jobs, in bytes.
    ahead_bytes: usize,
    /// Size of the last text that was not empty, in bytes.
    text_bytes: usize,
    /// Rest of the last slice, and the error if that needs more bytes.
    left: Option<(UnitSlice, Option<io::Error>)>,
    /// Number of slices that have been joined without success.
    joined: usize,
    /// Text of a slice, of which the first `taken` bytes have been returned.
    text: SliceText,
    taken: usize,
    /// Decodes the rest of the file on one thread.
    rest: Option<Box<dyn Read + Send>>,
    has_ended: bool,
}

impl<R: BufRead + Send + 'static, F: UnitFormat> AheadReader<R, F> {
    pub(super) fn new(input: R, format: F, helpers: Helpers) -> Self {
        Self {
            format,
            input: Some(input),
            buffer: Vec::new(),
            start: 0,
            is_first: true,
            is_at_end: false,
            is_cut: false,
            jobs: OrderedJobs::new(helpers.threads),
            helpers,
            ahead_bytes: 0,
            text_bytes: 0,
            left: None,
            joined: 0,
            text: SliceText::default(),
            taken: 0,
            rest: None,
            has_ended: false,
        }
    }

    /// Cuts the next slice. Returns `None` after the last one, and if it would be too long.
    fn next_slice(&mut self) -> io::Result<Option<UnitSlice>> {
        let mut searched = self.start + 8 * SLICE_BYTES;
        while let Some(input) = self.input.as_mut().filter(|_| !self.is_cut) {
            if let Some(end) = self.format.find(&self.buffer, searched) {
                return Ok(Some(self.cut(end)));
            }
            if self.is_at_end {
                self.is_cut = true;
                let end = 8 * self.buffer.len();
                return Ok((end > self.start || self.is_first).then(|| self.cut(end)));
            }
            if self.buffer.len() > MAX_SLICE_BYTES {
                self.is_cut = true;
                return Ok(None);
            }
            // The buffer may end within magic bytes.
            searched = searched.max((8 * self.buffer.len()).saturating_sub(MAX_MAGIC_BITS));
            let mut more = input.take(READ_BYTES as u64);
            self.is_at_end = more.read_to_end(&mut self.buffer)? == 0;
        }
        Ok(None)
    }

    fn cut(&mut self, end: usize) -> UnitSlice {
        let next = self.buffer.split_off(end / 8);
        let mut bytes = std::mem::replace(&mut self.buffer, next);
        if !end.is_multiple_of(8) {
            bytes.push(self.buffer[0]);
        }
        UnitSlice {
            bytes,
            start: std::mem::replace(&mut self.start, end % 8),
            end,
            is_first: std::mem::take(&mut self.is_first),
            is_last: self.is_cut,
        }
    }

    /// Begins to decode as many slices as may be decoded in advance.
    fn decode_ahead(&mut self) -> io::Result<()> {
        let is_short = |reader: &Self| {
            let (jobs, helpers) = (reader.jobs.len(), reader.helpers.threads);
            jobs <= helpers || jobs <= 2 * helpers && reader.ahead_bytes < AHEAD_BYTES
        };
        while is_short(self) {
            // The next slice that is needed is decoded in any case.
            let is_next = self.jobs.len() == 0 && !matches!(self.left, Some((_, None)));
            let likely_bytes = self.buffer.len().max(SLICE_BYTES) + self.text_bytes;
            let reservation = self.helpers.reserve(likely_bytes);
            if reservation.is_none() && !is_next {
                break;
            }
            let Some(slice) = self.next_slice()? else {
                break;
            };
            self.ahead_bytes += slice.bytes.len();
            let format = self.format.clone();
            let text = SliceText::new(slice.bytes.len(), reservation.filter(|_| !is_next));
            self.jobs.add(move || decode(&format, slice, text));
        }
        Ok(())
    }

    fn next_job(&mut self) -> Option<Decoded<F::Summary>> {
        let decoded = self.jobs.next()?;
        self.ahead_bytes -= decoded.slice.bytes.len();
        Some(decoded)
    }

    /// Returns the next slice after it has been decoded, or `None` if one thread decodes the rest.
    fn next_decoded(&mut self) -> io::Result<Option<Decoded<F::Summary>>> {
        self.decode_ahead()?;
        match self.left.take() {
            Some((left, None)) => Ok(Some(decode(&self.format, left, SliceText::default()))),
            Some((left, Some(error))) => match self.next_job() {
                Some(Decoded { slice, .. })
                    if self.joined < MAX_JOINED
                        && left.bytes.len() + slice.bytes.len() <= MAX_SLICE_BYTES =>
                {
                    self.joined += 1;
                    let joined = left.join(slice);
                    Ok(Some(decode(&self.format, joined, SliceText::default())))
                }
                next => {
                    let next = next.map(|decoded| decoded.slice.bytes).unwrap_or_default();
                    self.begin_rest([left.bytes, next].concat(), error)?;
                    Ok(None)
                }
            },
            None => match self.next_job() {
                Some(decoded) => Ok(Some(decoded)),
                None if self.is_at_end && self.buffer.is_empty() => {
                    self.has_ended = true;
                    Ok(None)
                }
                None => {
                    self.begin_rest(Vec::new(), damaged("a part of it is too long"))?;
                    Ok(None)
                }
            },
        }
    }

    /// Lets one thread decode `bytes` and everything after them. If that is impossible, returns `error`.
    fn begin_rest(&mut self, mut bytes: Vec<u8>, error: io::Error) -> io::Result<()> {
        while let Some(Decoded { slice, .. }) = self.next_job() {
            bytes.extend(slice.bytes);
        }
        bytes.append(&mut self.buffer);
        let Some(input) = self.input.take() else {
            return Err(error);
        };
        let rest = self
            .format
            .decode_rest(Box::new(Cursor::new(bytes).chain(input)));
        self.rest = Some(rest.ok_or(error)?);
        Ok(())
    }

    /// Makes the text of the next slice the current one.
    fn next_text(&mut self) -> io::Result<()> {
        self.text = SliceText::default();
        self.taken = 0;
        let Some(decoded) = self.next_decoded()? else {
            return Ok(());
        };
        self.format.check(decoded.summary)?;
        if !decoded.text.bytes.is_empty() {
            self.joined = 0;
            self.text_bytes = decoded.text.bytes.len();
        }
        self.text = decoded.text;
        let slice = decoded.slice;
        match decoded.end {
            SliceEnd::Whole => {}
            SliceEnd::EndOfText => self.has_ended = true,
            SliceEnd::Partial { at, error } => self.left = Some((slice.from(at), Some(error))),
            SliceEnd::Full { at } => self.left = Some((slice.from(at), None)),
            SliceEnd::TooLong { at } => {
                let error = damaged("a part of it is too long");
                self.begin_rest(slice.from(at).bytes, error)?;
            }
        }
        Ok(())
    }
}

impl UnitSlice {
    /// Returns the rest from a unit on.
    fn from(mut self, at: usize) -> Self {
        let bytes = at / 8;
        self.bytes.drain(..bytes);
        Self {
            start: at - 8 * bytes,
            end: self.end - 8 * bytes,
            is_first: self.is_first && at == self.start,
            ..self
        }
    }

    /// Returns this slice and the next one as one.
    fn join(mut self, next: Self) -> Self {
        let shared = self.end.div_ceil(8) - self.end / 8;
        let end = self.end / 8 * 8 + next.end;
        self.bytes.extend_from_slice(&next.bytes[shared..]);
        Self {
            end,
            is_last: next.is_last,
            ..self
        }
    }
}

fn decode<F: UnitFormat>(format: &F, slice: UnitSlice, mut text: SliceText) -> Decoded<F::Summary> {
    let (end, summary) = format.decode(&slice, &mut text);
    Decoded {
        slice,
        text,
        end,
        summary,
    }
}

impl<R: BufRead + Send + 'static, F: UnitFormat> Read for AheadReader<R, F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let read = (&self.text.bytes[self.taken..]).read(out)?;
            if read > 0 {
                self.taken += read;
                return Ok(read);
            }
            match &mut self.rest {
                _ if self.has_ended => return Ok(0),
                Some(rest) => return rest.read(out),
                None => self.next_text()?,
            }
        }
    }
}

impl<R: BufRead + Send + 'static, F: UnitFormat> TextDecoder for AheadReader<R, F> {
    fn is_on_one_thread(&self) -> bool {
        self.rest.is_some()
    }
}
