//! Partitions that carry input.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Result, plain};
use crate::portable::{Loader, Portable, Saver};
use crate::text::TextPiece;

/// The input of a partition, if pulling the partition has already read some of it.
#[derive(Serialize, Deserialize)]
pub(super) enum PulledText {
    Portion(usize),
    Piece {
        #[serde(with = "plain")]
        path: Arc<Path>,
        piece: TextPiece,
        /// Whether no earlier piece of the file has text.
        is_first: bool,
        input_bytes: u64,
    },
}

impl Portable for PulledText {
    fn save(&self, to: &mut Saver) -> Result<()> {
        to.data(self)
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        from.data()
    }
}
