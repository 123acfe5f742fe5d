//! Frames of zstd, decoded by the C library.

use std::io::{self, BufRead, ErrorKind, Read};

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};

use super::codec::DecoderOptions;
use super::input::{damaged, skip, take, unsupported};
use super::zstd_units::{MAGIC, SKIPPABLE, ZstdStart};

/// Range of the binary logarithm of the longest distance that a frame may refer back.
const WINDOW_LOG: std::ops::RangeInclusive<u32> = 10..=31;

/// Decodes frames, one after another.
pub(super) struct CFrame {
    context: DCtx<'static>,
    dictionaries: Vec<Vec<u8>>,
    /// Number of the dictionary in the context.
    loaded: Option<u32>,
    /// Start of the current frame, of which `taken` bytes have been decoded.
    start: Vec<u8>,
    taken: usize,
    /// Number of bytes up to the end of the next block. The library is given no more at a time: if it finds damage, it
    /// does not tell how much text it has written in the same call.
    next_bytes: usize,
}

impl CFrame {
    pub(super) fn new(options: &DecoderOptions) -> Self {
        let mut context = DCtx::create();
        let log = options.max_window_bytes.max(1).ilog2();
        let log = log.clamp(*WINDOW_LOG.start(), *WINDOW_LOG.end());
        // The value is in the range that the library accepts.
        let _ = context.set_parameter(DParameter::WindowLogMax(log));
        Self {
            context,
            dictionaries: options.zstd_dictionaries.clone(),
            loaded: None,
            start: Vec::new(),
            taken: 0,
            next_bytes: 0,
        }
    }

    pub(super) fn begin(&mut self, input: &mut impl Read) -> io::Result<ZstdStart> {
        let magic = take::<4>(input)?;
        match u32::from_le_bytes(magic) {
            MAGIC => {}
            magic if magic & !0xf == SKIPPABLE => {
                let bytes = u32::from_le_bytes(take(input)?);
                skip(input, bytes.into())?;
                return Ok(ZstdStart::Skipped);
            }
            _ => return Err(damaged("a frame is followed by bytes that begin no other")),
        }
        let [flags] = take(input)?;
        let window_bytes = usize::from(flags & 0x20 == 0);
        let id_bytes = [0, 1, 2, 4][usize::from(flags & 3)];
        let mut fields = [0; 5];
        let fields = &mut fields[..window_bytes + id_bytes];
        input.read_exact(fields)?;
        let mut id = [0; 4];
        id[..id_bytes].copy_from_slice(&fields[window_bytes..]);
        self.start = [&magic[..], &[flags], fields].concat();
        self.taken = 0;
        self.next_bytes = self.start.len();
        let reset = self.context.reset(ResetDirective::SessionOnly);
        reset.map_err(|code| damaged(get_error_name(code)))?;
        self.load(u32::from_le_bytes(id))?;
        Ok(ZstdStart::Frame)
    }

    /// Loads the dictionary with this number, unless it is 0.
    fn load(&mut self, id: u32) -> io::Result<()> {
        if id == 0 || self.loaded == Some(id) {
            return Ok(());
        }
        // The number follows the magic bytes.
        let is_it = |bytes: &&Vec<u8>| bytes.get(4..8) == Some(&id.to_le_bytes()[..]);
        let dictionary = self.dictionaries.iter().find(is_it);
        let loaded = dictionary.map(|bytes| self.context.load_dictionary(bytes));
        match loaded {
            Some(Ok(_)) => {
                self.loaded = Some(id);
                Ok(())
            }
            _ => Err(unsupported(
                "it needs a dictionary that is not set; set it with `zstd_dictionary`",
            )),
        }
    }

    /// Returns the number of bytes of text that were read, and whether the frame has ended. The number may be 0 even if
    /// more text follows.
    pub(super) fn read(
        &mut self,
        input: &mut impl BufRead,
        out: &mut [u8],
    ) -> io::Result<(usize, bool)> {
        let is_at_start = self.taken < self.start.len();
        let bytes = match is_at_start {
            true => &self.start[self.taken..],
            false => input.fill_buf()?,
        };
        let is_at_end = bytes.is_empty();
        let bytes = &bytes[..bytes.len().min(self.next_bytes.max(1))];
        let (mut from, mut to) = (InBuffer::around(bytes), OutBuffer::around(out));
        let decoded = self.context.decompress_stream(&mut to, &mut from);
        let (taken, read) = (from.pos(), to.pos());
        match is_at_start {
            true => self.taken += taken,
            false => input.consume(taken),
        }
        let missing = decoded.map_err(|code| match get_error_name(code) {
            name if name.contains("too much memory") => {
                unsupported("it takes a larger window; raise `max_window_bytes`")
            }
            name => damaged(name),
        })?;
        self.next_bytes = missing;
        match is_at_end && taken + read == 0 && missing > 0 {
            true => Err(ErrorKind::UnexpectedEof.into()),
            false => Ok((read, missing == 0)),
        }
    }
}
