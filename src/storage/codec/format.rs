//! The configuration and the limits that the encoder and the decoder share.

use bincode::config::Configuration;

pub(super) const CONFIGURATION: Configuration = bincode::config::standard();

/// Maximum nesting depth of options, lists and variants. Decoding uses stack for each level.
pub(super) const DEPTH: u32 = 256;

/// Reason for refusing a value that is nested more deeply.
pub(super) const TOO_DEEP: &str =
    "more than 256 options, lists and variants are nested; keep them in a flat list";
