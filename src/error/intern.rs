//! Makes texts from other processes `'static`, like those of this program.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Returns an equal text that is never freed. Each text is stored once. Use it for names of types, files and methods,
/// of which there are few.
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
