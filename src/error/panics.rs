//! Turns panics of the user's code into errors.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::payload::message;
use super::{Error, ErrorContext, ErrorKind, Result, Site};

/// Runs code of the user. Turns a panic into an error that names the method at `site`.
pub(crate) fn caught<R>(site: Option<Site>, work: impl FnOnce() -> Result<R>) -> Result<R> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(panicked(site, payload)))
}

/// Returns the error for a panic in the closure at `site`.
pub(crate) fn panicked(site: Option<Site>, payload: Box<dyn Any + Send>) -> Error {
    let message = message(payload);
    let context = site.map(ErrorContext::from).unwrap_or_default();
    Error::new(ErrorKind::TaskPanicked { context, message })
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic_any(Bomb);
        }
    }

    fn caught_message(payload: impl Any + Send) -> String {
        caught::<()>(None, || panic_any(payload))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        assert_eq!(caught(None, || Ok(1)).unwrap(), 1);
        assert_eq!(caught_message("a"), "a closure panicked: a");
        assert_eq!(caught_message("b".to_owned()), "a closure panicked: b");
        assert_eq!(
            caught_message(7),
            "a closure panicked: a panic without a message"
        );
    }

    #[test]
    fn a_payload_may_panic_when_it_is_dropped() {
        assert_eq!(
            caught_message(Bomb),
            "a closure panicked: a panic without a message"
        );
    }
}
