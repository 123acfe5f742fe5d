//! Zstd: any number of consecutive frames. Skips skippable frames between them.

use std::io::{self, BufRead, ErrorKind, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::input::{MAX_WINDOW_BYTES, damaged, too_far_back, unsupported};

/// Reads the text of a file of zstd frames.
pub(super) struct ZstdReader<R> {
    input: R,
    frame: FrameDecoder,
    is_in_frame: bool,
    /// Number of bytes of text in the current frame so far.
    text_bytes: u64,
}

impl<R: BufRead> ZstdReader<R> {
    pub(super) fn new(input: R) -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(MAX_WINDOW_BYTES.into());
        Self {
            input,
            frame,
            is_in_frame: false,
            text_bytes: 0,
        }
    }

    /// Begins the next frame. Returns `false` if there is none.
    fn next_frame(&mut self) -> io::Result<bool> {
        use FrameDecoderError::ReadFrameHeaderError as Header;
        use ReadFrameHeaderError::{BadMagicNumber, SkipFrame};

        while !self.input.fill_buf()?.is_empty() {
            match self.frame.reset(&mut self.input) {
                Ok(()) => {
                    self.text_bytes = 0;
                    return Ok(true);
                }
                Err(Header(SkipFrame { length, .. })) => self.skip(length.into())?,
                Err(FrameDecoderError::WindowSizeTooBig { requested, .. }) => {
                    return Err(too_far_back(requested));
                }
                Err(FrameDecoderError::DictNotProvided { .. }) => {
                    return Err(unsupported(
                        "it needs a dictionary; decompress it by `zstd -d -D`",
                    ));
                }
                Err(Header(BadMagicNumber(_))) => {
                    return Err(damaged("a frame is followed by bytes that begin no other"));
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.input.by_ref().take(bytes), &mut io::sink())?;
        match skipped == bytes {
            true => Ok(()),
            false => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Ends the current frame, which has been read completely.
    fn end_frame(&mut self) -> io::Result<()> {
        self.is_in_frame = false;
        let expected = self.frame.get_checksum_from_data();
        if expected.is_some() && expected != self.frame.get_calculated_checksum() {
            return Err(damaged("the checksum does not match"));
        }
        // 0 if the size is unknown.
        let text_bytes = self.frame.content_size();
        if text_bytes > 0 && text_bytes != self.text_bytes {
            return Err(damaged("the length does not match"));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for ZstdReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        while self.is_in_frame || self.next_frame()? {
            self.is_in_frame = true;
            let read = self.frame.read(out)?;
            if read > 0 {
                self.text_bytes += read as u64;
                return Ok(read);
            }
            if self.frame.is_finished() {
                self.end_frame()?;
            } else {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                let decoded = self.frame.decode_blocks(&mut self.input, one);
                decoded.map_err(io::Error::other)?;
            }
        }
        Ok(0)
    }
}
