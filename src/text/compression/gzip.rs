//! Gzip: one member after the other, and what may follow the last.
//!
//! As gzip(1) does: zero bytes after a member, with which tapes and archives are padded, are passed over; then bytes
//! that begin no member are ignored. Unlike there, a member after such padding is read, so that no text is lost. A
//! byte 0x1f counts as the beginning of a member: one that is damaged further on is an error, not the end.

use std::io::{self, BufRead, Read};
use std::mem;

use flate2::bufread::GzDecoder;

/// The text of a file of gzip members.
pub(super) struct GzipReader<R> {
    state: State<R>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "there is one per open file, and it lives in a box"
)]
enum State<R> {
    Member(GzDecoder<R>),
    End(R),
    /// Only while it passes from one to the other.
    Moving,
}

impl<R: BufRead> GzipReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            state: State::Member(GzDecoder::new(input)),
        }
    }

    fn next_member(&mut self) -> io::Result<()> {
        let state = mem::replace(&mut self.state, State::Moving);
        let State::Member(member) = state else {
            self.state = state;
            return Ok(());
        };
        let mut input = member.into_inner();
        self.state = if skip_padding(&mut input)? == Some(0x1f) {
            State::Member(GzDecoder::new(input))
        } else {
            State::End(input)
        };
        Ok(())
    }
}

impl<R: BufRead> Read for GzipReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        while let State::Member(member) = &mut self.state {
            let read = member.read(out)?;
            if read > 0 {
                return Ok(read);
            }
            self.next_member()?;
        }
        Ok(0)
    }
}

/// Passes over zero bytes, and returns the byte that follows, which is not taken.
fn skip_padding(input: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let bytes = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            bytes => bytes?,
        };
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let next = bytes.get(zeros).copied();
        input.consume(zeros);
        if next.is_some() || zeros == 0 {
            return Ok(next);
        }
    }
}
