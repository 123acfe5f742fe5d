//! Texts from elsewhere that are to live as long as those of the program.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The same text, for ever. Each is kept once: for names of types, files and methods, of which there are few.
pub(crate) fn intern(text: &str) -> &'static str {
    static TEXTS: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    let texts = texts.get_or_insert_default();
    match texts.get(text) {
        Some(text) => text,
        None => {
            let text: &'static str = Box::leak(text.into());
            texts.insert(text);
            text
        }
    }
}
