//! Compression formats, and the options of their decoders.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Compression format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::text) enum Codec {
    Bzip2,
    Gzip,
    Lz4,
    Snappy,
    Xz,
    Zstd,
}

/// Options of decoders.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DecoderOptions {
    /// Maximum distance that compressed text may refer back, in bytes. Decoding takes as much memory.
    pub(crate) max_window_bytes: u64,
    pub(crate) zstd_dictionaries: Vec<Vec<u8>>,
}

impl Default for DecoderOptions {
    fn default() -> Self {
        Self {
            // No preset of zstd(1) and xz(1) makes files that refer farther back.
            max_window_bytes: 128 << 20,
            zstd_dictionaries: Vec::new(),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bzip2 => "bzip2",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Snappy => "snappy",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        })
    }
}
