//! Bzip2: any number of consecutive streams.
//!
//! Like bzip2(1), ignores bytes after a stream that do not begin another one.

use std::io::{self, BufRead, ErrorKind, Read};

use bzip2::{Decompress, Status};

use super::input::damaged;

/// Length of the shortest stream, in bytes: its header, its end marker, and a checksum.
const MIN_STREAM_BYTES: usize = 14;

/// Bytes after the header of a stream without text.
const END_OF_NO_TEXT: &[u8] = b"\x17\x72\x45\x38\x50\x90\0\0\0\0";

/// Bytes after the header of all other streams.
const BLOCK: &[u8] = b"1AY&SY";

/// Maximum length of a stream that is decoded in one call, and of its text, in bytes.
const MAX_SMALL_BYTES: usize = 4 << 10;
const MAX_SMALL_TEXT_BYTES: usize = 64 << 10;

/// Reads the text of a file of bzip2 streams.
pub(super) struct Bzip2Reader<R> {
    input: R,
    state: State,
    /// The text of a small stream, of which the first `taken` bytes have been returned.
    small_text: Vec<u8>,
    taken: usize,
    /// Whether the header of the first stream has not been read yet.
    is_at_start: bool,
}

/// The next part of the input.
enum State {
    Header,
    Text(Stream),
    SmallText,
    End,
}

/// A stream that is being decoded. Its first bytes, `start`, have already been taken from the input.
struct Stream {
    decompress: Decompress,
    start: [u8; MIN_STREAM_BYTES],
    /// Number of bytes of `start` that have been decoded.
    decoded: usize,
}

impl<R: BufRead> Bzip2Reader<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            state: State::Header,
            small_text: Vec::new(),
            taken: 0,
            is_at_start: true,
        }
    }

    /// Finds the next stream that has text. A stream without text needs no decoder, which allocates megabytes.
    fn next_stream(&mut self) -> io::Result<State> {
        while let Some(header) = self.header()? {
            self.is_at_start = false;
            let mut start = [0; MIN_STREAM_BYTES];
            let (of_header, rest) = start.split_at_mut(header.len());
            of_header.copy_from_slice(&header);
            self.input.read_exact(rest)?;
            if rest == END_OF_NO_TEXT {
                continue;
            }
            if self.decode_small(start)? {
                return Ok(State::SmallText);
            }
            return Ok(State::Text(Stream {
                decompress: Decompress::new(false),
                start,
                decoded: 0,
            }));
        }
        match self.is_at_start {
            true => Err(damaged("no bzip2 header")),
            false => Ok(State::End),
        }
    }

    /// Decodes a stream if another one follows within a few KiB, and if its text is short. Files to which lines are
    /// appended have many of these.
    ///
    /// A decoder clears the memory for the largest block that the header announces. That is usually several megabytes,
    /// and takes longer than decoding a line. So this method announces the smallest block size to the decoder. If a
    /// block is larger, decoding fails, and the method returns `false`.
    fn decode_small(&mut self, mut start: [u8; MIN_STREAM_BYTES]) -> io::Result<bool> {
        let input = self.input.fill_buf()?;
        let Some(len) = next_header(&input[..input.len().min(MAX_SMALL_BYTES)]) else {
            return Ok(false);
        };
        start[3] = b'1';
        let stream = [&start, &input[..len]].concat();
        self.small_text.resize(MAX_SMALL_TEXT_BYTES, 0);
        let mut decompress = Decompress::new(false);
        let status = decompress.decompress(&stream, &mut self.small_text);
        let is_all = decompress.total_in() == stream.len() as u64;
        let is_decoded = is_all && matches!(status, Ok(Status::StreamEnd));
        if is_decoded {
            self.input.consume(len);
            self.small_text.truncate(decompress.total_out() as usize);
            self.taken = 0;
        }
        Ok(is_decoded)
    }

    /// Reads the header of the next stream, if there is one.
    fn header(&mut self) -> io::Result<Option<[u8; 4]>> {
        let mut header = [0; 4];
        for at in 0..header.len() {
            match self.input.fill_buf()?.first() {
                None if at == 0 => return Ok(None),
                None => return Err(ErrorKind::UnexpectedEof.into()),
                Some(byte) => header[at] = *byte,
            }
            let is_next = match at {
                3 => matches!(header[at], b'1'..=b'9'),
                at => header[at] == b"BZh"[at],
            };
            if !is_next {
                return Ok(None);
            }
            self.input.consume(1);
        }
        Ok(Some(header))
    }
}

/// Returns the offset of the first apparent stream header in `bytes`.
fn next_header(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find_iter(bytes, b"BZh").find(|at| {
        let after = bytes.get(at + 4..).unwrap_or_default();
        after.starts_with(BLOCK) || after.starts_with(END_OF_NO_TEXT)
    })
}

impl Stream {
    /// Returns the number of bytes of text that were read, and whether they are the last. The number may be 0 even if
    /// more text follows.
    fn read(&mut self, input: &mut impl BufRead, out: &mut [u8]) -> io::Result<(usize, bool)> {
        let is_at_start = self.decoded < self.start.len();
        let bytes = match is_at_start {
            true => &self.start[self.decoded..],
            false => input.fill_buf()?,
        };
        let (taken_before, before) = (self.decompress.total_in(), self.decompress.total_out());
        let is_at_end = bytes.is_empty();
        let status = self.decompress.decompress(bytes, out);
        let taken = (self.decompress.total_in() - taken_before) as usize;
        let read = (self.decompress.total_out() - before) as usize;
        match is_at_start {
            true => self.decoded += taken,
            false => input.consume(taken),
        }
        let status = status.map_err(|_| damaged("invalid bzip2 data"))?;
        let is_last = status == Status::StreamEnd;
        if !is_last && taken == 0 && read == 0 {
            return Err(match is_at_end {
                true => ErrorKind::UnexpectedEof.into(),
                false => damaged("invalid bzip2 data"),
            });
        }
        Ok((read, is_last))
    }
}

impl<R: BufRead> Read for Bzip2Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match &mut self.state {
                State::Header => self.state = self.next_stream()?,
                State::Text(stream) => {
                    let (read, is_last) = stream.read(&mut self.input, out)?;
                    if is_last {
                        self.state = State::Header;
                    }
                    if read > 0 {
                        return Ok(read);
                    }
                }
                State::SmallText => {
                    let read = (&self.small_text[self.taken..]).read(out)?;
                    if read > 0 {
                        self.taken += read;
                        return Ok(read);
                    }
                    self.state = State::Header;
                }
                State::End => return Ok(0),
            }
        }
    }
}
