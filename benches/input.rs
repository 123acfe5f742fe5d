//! Input of the benchmarks: pseudo-random numbers, and a file of words.

use std::fmt::Write;
use std::path::PathBuf;

/// Returns the `n`-th pseudo-random number.
pub fn mixed(n: u64) -> u64 {
    let mixed = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 16
}

/// A text file, deleted when this value is dropped.
#[derive(Debug)]
pub struct Text {
    directory: tempfile::TempDir,
    bytes: usize,
}

impl Text {
    /// Creates a file of lines of ten words, with about `different` distinct words.
    ///
    /// # Panics
    ///
    /// Panics if the file cannot be written.
    #[must_use]
    pub fn of_words(words: u64, different: u64) -> Self {
        let mut text = String::new();
        for n in 0..words {
            let end = if n % 10 == 9 { '\n' } else { ' ' };
            let _ = write!(text, "w{}{end}", mixed(n) % different);
        }
        Self::new(&text)
    }

    /// Creates a file of lines of two numbers and a comma, of up to ten digits and up to six.
    ///
    /// # Panics
    ///
    /// Panics if the file cannot be written.
    #[must_use]
    pub fn of_pairs(pairs: u64) -> Self {
        let mut text = String::new();
        for n in 0..pairs {
            let _ = writeln!(text, "{},{}", mixed(n) % (1 << 32), mixed(!n) % 1_000_000);
        }
        Self::new(&text)
    }

    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let text_file = Self {
            directory,
            bytes: text.len(),
        };
        std::fs::write(text_file.path(), text).expect("a file");
        text_file
    }

    /// Path of the file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("text")
    }

    /// Length of the file in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
