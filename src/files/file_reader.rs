//! An open file, local or of another file system.

use std::fs::File;
use std::io::{self, Read};

use super::remote_reader::RemoteReader;
use crate::storage::file::uninterrupted;

/// Reads a file.
#[derive(Debug)]
pub(crate) enum FileReader {
    Local(File),
    Remote(Box<RemoteReader>),
}

impl Read for FileReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            // Decoders cannot continue after an interruption, so hide interruptions from them.
            Self::Local(file) => uninterrupted(|| file.read(out)),
            Self::Remote(reader) => reader.read(out),
        }
    }
}
