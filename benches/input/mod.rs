//! What is measured: numbers without a pattern, and a file of words.
#![allow(dead_code, reason = "each bench uses some of it")]

use std::fmt::Write;
use std::path::PathBuf;

/// The `n`-th of numbers that are as good as random.
pub(crate) fn mixed(n: u64) -> u64 {
    let mixed = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 16
}

/// A file of lines of ten words, which goes with this.
pub(crate) struct Text {
    directory: tempfile::TempDir,
    bytes: usize,
}

impl Text {
    pub(crate) fn of_words(words: u64, different: u64) -> Self {
        let mut text = String::new();
        for n in 0..words {
            let end = if n % 10 == 9 { '\n' } else { ' ' };
            let _ = write!(text, "w{}{end}", mixed(n) % different);
        }
        let directory = tempfile::tempdir().expect("a directory");
        let text_file = Self {
            directory,
            bytes: text.len(),
        };
        std::fs::write(text_file.path(), text).expect("a file");
        text_file
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("text")
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
