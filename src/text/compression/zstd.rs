//! Zstd: any number of consecutive frames. Skips skippable frames between them.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, Dictionary, FrameDecoder};

use super::DecoderOptions;
use super::input::{UnitInput, damaged, skip, too_far_back, unsupported};

/// Reads the text of a file of zstd frames.
pub(super) struct ZstdReader<R> {
    input: UnitInput<R>,
    frame: FrameDecoder,
    is_in_frame: bool,
    /// Number of bytes of text in the current frame so far.
    text_bytes: u64,
}

impl<R: BufRead> ZstdReader<R> {
    pub(super) fn new(input: UnitInput<R>, options: &DecoderOptions) -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(options.max_window_bytes);
        for dictionary in &options.zstd_dictionaries {
            // If it is invalid, the frames that need it report that it is missing.
            if let Ok(dictionary) = Dictionary::decode_dict(dictionary) {
                let _ = frame.add_dict(dictionary);
            }
        }
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
            self.input.begin_unit(0)?;
            match self.frame.reset(&mut self.input) {
                Ok(()) => {
                    self.text_bytes = 0;
                    return Ok(true);
                }
                Err(Header(SkipFrame { length, .. })) => skip(&mut self.input, length.into())?,
                Err(FrameDecoderError::WindowSizeTooBig { requested, .. }) => {
                    let limit = self.frame.max_window_size();
                    return Err(too_far_back(requested, limit));
                }
                Err(FrameDecoderError::DictNotProvided { .. }) => {
                    return Err(unsupported(
                        "it needs another dictionary; set `zstd_dictionary`",
                    ));
                }
                Err(Header(BadMagicNumber(_))) => {
                    return Err(damaged("a frame is followed by bytes that begin no other"));
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        self.input.end()?;
        Ok(false)
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
                self.input.text_bytes += read as u64;
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
