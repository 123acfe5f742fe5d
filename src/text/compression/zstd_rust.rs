//! Frames of zstd, decoded in Rust.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, Dictionary, FrameDecoder};

use super::codec::DecoderOptions;
use super::input::{damaged, skip, too_far_back, unsupported};
use super::zstd_units::ZstdStart;

/// Decodes frames, one after another.
pub(super) struct RustFrame {
    decoder: FrameDecoder,
    /// Number of bytes of text in the current frame so far.
    text_bytes: u64,
    /// The error that follows the text that has been decoded.
    failed: Option<io::Error>,
}

/// A block without text that ends a frame, and a checksum, in case the frame has one.
const LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

impl RustFrame {
    pub(super) fn new(options: &DecoderOptions) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(options.max_window_bytes);
        for dictionary in &options.zstd_dictionaries {
            // If it is invalid, the frames that need it report that it is missing.
            if let Ok(dictionary) = Dictionary::decode_dict(dictionary) {
                let _ = decoder.add_dict(dictionary);
            }
        }
        Self {
            decoder,
            text_bytes: 0,
            failed: None,
        }
    }

    pub(super) fn begin(&mut self, input: &mut impl Read) -> io::Result<ZstdStart> {
        use FrameDecoderError::ReadFrameHeaderError as Header;
        use ReadFrameHeaderError::{BadMagicNumber, SkipFrame};

        self.text_bytes = 0;
        match self.decoder.reset(&mut *input) {
            Ok(()) => Ok(ZstdStart::Frame),
            Err(Header(SkipFrame { length, .. })) => {
                skip(input, length.into())?;
                Ok(ZstdStart::Skipped)
            }
            Err(FrameDecoderError::WindowSizeTooBig { requested, .. }) => {
                Err(too_far_back(requested, self.decoder.max_window_size()))
            }
            Err(FrameDecoderError::DictNotProvided { .. }) => Err(unsupported(
                "it needs a dictionary that is not set; set it with `zstd_dictionary`",
            )),
            Err(Header(BadMagicNumber(_))) => {
                Err(damaged("a frame is followed by bytes that begin no other"))
            }
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Returns the number of bytes of text that were read, and whether the frame has ended. The number may be 0 even if
    /// more text follows.
    pub(super) fn read(
        &mut self,
        input: &mut impl BufRead,
        out: &mut [u8],
    ) -> io::Result<(usize, bool)> {
        let read = self.decoder.read(out)?;
        self.text_bytes += read as u64;
        if read > 0 {
            return Ok((read, false));
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.decoder.is_finished() {
            self.end()?;
            return Ok((0, true));
        }
        let one = BlockDecodingStrategy::UptoBlocks(1);
        if let Err(error) = self.decoder.decode_blocks(input, one) {
            self.failed = Some(io::Error::other(error));
            // The decoder keeps the text that later blocks may refer to. At the end of the frame it returns that, too.
            let ended = self
                .decoder
                .decode_blocks(&LAST_BLOCK[..], BlockDecodingStrategy::All);
            ended.map_err(io::Error::other)?;
        }
        Ok((0, false))
    }

    fn end(&self) -> io::Result<()> {
        let expected = self.decoder.get_checksum_from_data();
        if expected.is_some() && expected != self.decoder.get_calculated_checksum() {
            return Err(damaged("the checksum does not match"));
        }
        // 0 if the size is unknown.
        let text_bytes = self.decoder.content_size();
        if text_bytes > 0 && text_bytes != self.text_bytes {
            return Err(damaged("the length does not match"));
        }
        Ok(())
    }
}
