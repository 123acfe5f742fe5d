//! Bzip2: one stream after the other.
//!
//! As bzip2(1) does, bytes after a stream that begin no other are ignored.

use std::io::{self, BufRead, ErrorKind, Read};

use bzip2::{Decompress, Status};

use super::input::damaged;

/// The length of the shortest stream: its header, the mark of its end, and a checksum.
const MIN_STREAM_BYTES: usize = 14;

/// What follows the header of a stream without text.
const END_OF_NO_TEXT: &[u8] = b"\x17\x72\x45\x38\x50\x90\0\0\0\0";

/// What follows the header of other streams.
const BLOCK: &[u8] = b"1AY&SY";

/// Maximum length of a stream that is decoded at once, and of its text, in bytes.
const MAX_SMALL_BYTES: usize = 4 << 10;
const MAX_SMALL_TEXT_BYTES: usize = 64 << 10;

/// The text of a file of bzip2 streams.
pub(super) struct Bzip2Reader<R> {
    input: R,
    state: State,
    /// The text of a small stream, and how much of it has been handed out.
    small_text: Vec<u8>,
    taken: usize,
    /// Before the header of the first stream.
    is_at_start: bool,
}

/// What comes next.
enum State {
    Header,
    Text(Stream),
    SmallText,
    End,
}

/// A stream that is being decoded. Its first bytes have been taken from the input already.
struct Stream {
    decompress: Decompress,
    start: [u8; MIN_STREAM_BYTES],
    /// How many of them have been decoded.
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

    /// Decodes a stream that another follows within a few KiB, if its text is short. Files to which lines are appended
    /// have many of them.
    ///
    /// A decoder clears as much memory as the largest block takes that the header announces, mostly megabytes, which takes
    /// longer than to decode a line. So the smallest is announced to it; if a block is larger, it fails.
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

    /// The header of the next stream, if there is one.
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

/// Where the first header of a stream in `bytes` seems to be.
fn next_header(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find_iter(bytes, b"BZh").find(|at| {
        let after = bytes.get(at + 4..).unwrap_or_default();
        after.starts_with(BLOCK) || after.starts_with(END_OF_NO_TEXT)
    })
}

impl Stream {
    /// The next bytes of text, and whether they are the last. There may be none, even if some follow.
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
