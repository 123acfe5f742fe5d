//! Zstd: any number of consecutive frames. Skips skippable frames between them.
//!
//! Files of lz4 may begin with skippable frames, too, of any length. So a file that begins with one is one of zstd until a
//! frame of lz4 follows.

use std::io::{self, BufRead, Read};
use std::mem;

use super::codec::DecoderOptions;
use super::input::{UnitInput, take};
use super::lz4::{self, Lz4Reader};
#[cfg(feature = "zstd-c")]
use super::zstd_c::CFrame as Frame;
#[cfg(not(feature = "zstd-c"))]
use super::zstd_rust::RustFrame as Frame;
use super::zstd_units::ZstdStart;

/// Reads the text of a file of zstd frames.
pub(super) struct ZstdReader<R> {
    input: ZstdInput<R>,
    frame: Frame,
    is_in_frame: bool,
    /// Whether all frames so far were skipped.
    may_be_lz4: bool,
}

enum ZstdInput<R> {
    Zstd(UnitInput<R>),
    Lz4(Lz4Reader<R>),
    /// While one of the others becomes the other.
    None,
}

impl<R: BufRead> ZstdReader<R> {
    pub(super) fn new(input: UnitInput<R>, options: &DecoderOptions) -> Self {
        Self {
            input: ZstdInput::Zstd(input),
            frame: Frame::new(options),
            is_in_frame: false,
            may_be_lz4: true,
        }
    }

    /// Begins the next frame. Returns `false` if there is none.
    fn next_frame(&mut self) -> io::Result<bool> {
        while let ZstdInput::Zstd(input) = &mut self.input {
            if input.fill_buf()?.is_empty() {
                input.end()?;
                break;
            }
            input.begin_unit(0)?;
            let magic = take(input)?;
            if self.may_be_lz4 && lz4::is_magic(magic) {
                self.begin_lz4(magic)?;
                break;
            }
            match self.frame.begin(&mut (&magic[..]).chain(input))? {
                ZstdStart::Frame => {
                    self.may_be_lz4 = false;
                    return Ok(true);
                }
                ZstdStart::Skipped => {}
            }
        }
        Ok(false)
    }

    fn begin_lz4(&mut self, magic: [u8; 4]) -> io::Result<()> {
        if let ZstdInput::Zstd(input) = mem::replace(&mut self.input, ZstdInput::None) {
            self.input = ZstdInput::Lz4(Lz4Reader::after_magic(input, magic)?);
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
            let ZstdInput::Zstd(input) = &mut self.input else {
                break;
            };
            self.is_in_frame = true;
            let (read, is_last) = self.frame.read(input, out)?;
            self.is_in_frame = !is_last;
            input.text_bytes += read as u64;
            if read > 0 {
                return Ok(read);
            }
        }
        match &mut self.input {
            ZstdInput::Lz4(frames) => frames.read(out),
            _ => Ok(0),
        }
    }
}
