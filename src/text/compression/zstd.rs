//! Zstd: any number of consecutive frames. Skips skippable frames between them.

use std::io::{self, BufRead, Read};

use super::codec::DecoderOptions;
use super::input::UnitInput;
#[cfg(feature = "zstd-c")]
use super::zstd_c::CFrame as Frame;
#[cfg(not(feature = "zstd-c"))]
use super::zstd_rust::RustFrame as Frame;
use super::zstd_units::ZstdStart;

/// Reads the text of a file of zstd frames.
pub(super) struct ZstdReader<R> {
    input: UnitInput<R>,
    frame: Frame,
    is_in_frame: bool,
}

impl<R: BufRead> ZstdReader<R> {
    pub(super) fn new(input: UnitInput<R>, options: &DecoderOptions) -> Self {
        Self {
            input,
            frame: Frame::new(options),
            is_in_frame: false,
        }
    }

    /// Begins the next frame. Returns `false` if there is none.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.input.fill_buf()?.is_empty() {
            self.input.begin_unit(0)?;
            match self.frame.begin(&mut self.input)? {
                ZstdStart::Frame => return Ok(true),
                ZstdStart::Skipped => {}
            }
        }
        self.input.end()?;
        Ok(false)
    }
}

impl<R: BufRead> Read for ZstdReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        while self.is_in_frame || self.next_frame()? {
            self.is_in_frame = true;
            let (read, is_last) = self.frame.read(&mut self.input, out)?;
            self.is_in_frame = !is_last;
            self.input.text_bytes += read as u64;
            if read > 0 {
                return Ok(read);
            }
        }
        Ok(0)
    }
}
