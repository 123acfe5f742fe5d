//! Gzip: one member after the other, and what may follow the last.
//!
//! As gzip(1) does: zero bytes after a member, with which tapes and archives are padded, are passed over; then bytes
//! that begin no member are ignored. Unlike there, a member after such padding is read, so that no text is lost. A
//! byte 0x1f counts as the beginning of a member: one that is damaged further on is an error, not the end.

use std::io::{self, BufRead, Read};
use std::mem;

use flate2::bufread::GzDecoder;

/// The text of a file of gzip members.
#[derive(Debug)]
pub(super) struct GzipReader<R> {
    state: State<R>,
    /// What has been decoded, for messages.
    text_bytes: u64,
}

#[derive(Debug)]
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
            text_bytes: 0,
        }
    }

    /// The input, from which more may have been taken than was decoded.
    pub(super) fn input(&self) -> Option<&R> {
        match &self.state {
            State::Member(member) => Some(member.get_ref()),
            State::End(input) => Some(input),
            State::Moving => None,
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

    /// Says how far the text was good: the offset in the file would not help to find the damage.
    fn place(&self, source: io::Error) -> io::Error {
        if source.kind() == io::ErrorKind::Interrupted {
            return source;
        }
        let reason = match source.kind() {
            io::ErrorKind::UnexpectedEof => "the gzip data is cut short".to_owned(),
            _ => format!("the gzip data is damaged: {source}"),
        };
        io::Error::new(
            source.kind(),
            format!("{reason}, after {} bytes of text", self.text_bytes),
        )
    }
}

impl<R: BufRead> Read for GzipReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        while let State::Member(member) = &mut self.state {
            let read = member.read(out).map_err(|source| self.place(source))?;
            if read > 0 {
                self.text_bytes += read as u64;
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

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn member(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// Decodes through every small buffer, which must not matter.
    fn decode(bytes: &[u8]) -> Result<String, String> {
        let mut results = [1, 2, 7, 8192].map(|capacity| {
            let mut text = String::new();
            GzipReader::new(BufReader::with_capacity(capacity, bytes))
                .read_to_string(&mut text)
                .map(|_| text)
                .map_err(|error| error.to_string())
        });
        assert!(
            results.iter().all(|result| *result == results[0]),
            "{results:?}"
        );
        mem::replace(&mut results[0], Ok(String::new()))
    }

    #[test]
    fn members_follow_each_other() {
        assert_eq!(decode(&member(b"one")).unwrap(), "one");
        assert_eq!(decode(&member(b"")).unwrap(), "");
        let many = [
            member(b"one "),
            member(b""),
            member(b"two "),
            member(b"three"),
        ]
        .concat();
        assert_eq!(decode(&many).unwrap(), "one two three");
    }

    #[test]
    fn padding_and_garbage_at_the_end_are_passed_over() {
        assert_eq!(
            decode(&[member(b"one"), vec![0; 10_000]].concat()).unwrap(),
            "one"
        );
        assert_eq!(
            decode(&[member(b"one"), b"garbage".to_vec()].concat()).unwrap(),
            "one"
        );
        assert_eq!(
            decode(&[member(b"one"), b"\0\0garbage".to_vec()].concat()).unwrap(),
            "one"
        );
        let padded = [member(b"one "), vec![0; 512], member(b"two")].concat();
        assert_eq!(decode(&padded).unwrap(), "one two");
    }

    #[test]
    fn a_cut_anywhere_is_noticed() {
        let bytes = member(b"some text that is long enough");
        for len in 2..bytes.len() {
            let message = decode(&bytes[..len]).unwrap_err();
            assert!(message.contains("cut short"), "{len}: {message}");
        }
        let two = [bytes.clone(), bytes.clone()].concat();
        for len in bytes.len() + 1..two.len() {
            let message = decode(&two[..len]).unwrap_err();
            assert!(message.contains("cut short"), "{len}: {message}");
        }
    }

    #[test]
    fn damage_is_noticed_and_placed() {
        let mut bytes = [
            member(b"0123456789"),
            member(b"some text that is long enough"),
        ]
        .concat();
        let checksum = bytes.len() - 8;
        bytes[checksum] ^= 1;
        let message = decode(&bytes).unwrap_err();
        assert!(
            message.contains("damaged") && message.contains("after 39 bytes of text"),
            "{message}"
        );
    }
}
