//! Bzip2: one stream after the other.
//!
//! As bzip2(1) does, bytes after a stream that begin no other are ignored.

use std::io::{self, BufRead, ErrorKind, Read};

use bzip2::{Decompress, Status};

use super::damaged;

/// The length of the shortest stream: its header, the mark of its end, and a checksum.
const MIN_STREAM_BYTES: usize = 14;

/// What follows the header of a stream without text.
const END_OF_NO_TEXT: &[u8] = b"\x17\x72\x45\x38\x50\x90\0\0\0\0";

/// The text of a file of bzip2 streams.
pub(super) struct Bzip2Reader<R> {
    input: R,
    state: State,
    /// Before the header of the first stream.
    is_at_start: bool,
}

/// What comes next.
enum State {
    Header,
    Text(Stream),
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
            if rest != END_OF_NO_TEXT {
                return Ok(State::Text(Stream {
                    decompress: Decompress::new(false),
                    start,
                    decoded: 0,
                }));
            }
        }
        match self.is_at_start {
            true => Err(damaged("no bzip2 header")),
            false => Ok(State::End),
        }
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
                State::End => return Ok(0),
            }
        }
    }
}
