//! Panics of the program's code, as errors.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Error, ErrorContext, ErrorKind, Result, Site};

/// Runs code of the program. A panic is an error that names the method at `site`.
pub(crate) fn caught<R>(site: Option<Site>, work: impl FnOnce() -> Result<R>) -> Result<R> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(panicked(site, payload)))
}

/// The error for a panic in the closure at `site`.
pub(crate) fn panicked(site: Option<Site>, payload: Box<dyn Any + Send>) -> Error {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&'static str>().copied());
    let message = text.unwrap_or("a panic without a message").to_owned();
    discard(payload);
    let context = site.map(ErrorContext::from).unwrap_or_default();
    Error::new(ErrorKind::TaskPanicked { context, message })
}

/// Drops the payload of a panic, whose own `drop` may panic.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Its `drop` may panic in turn. The standard library leaks such a payload, too.
        mem::forget(another);
    }
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

    fn message(payload: impl Any + Send) -> String {
        caught::<()>(None, || panic_any(payload))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        assert_eq!(caught(None, || Ok(1)).unwrap(), 1);
        assert_eq!(message("a"), "a closure panicked: a");
        assert_eq!(message("b".to_owned()), "a closure panicked: b");
        assert_eq!(message(7), "a closure panicked: a panic without a message");
    }

    #[test]
    fn a_payload_may_panic_when_it_is_dropped() {
        assert_eq!(
            message(Bomb),
            "a closure panicked: a panic without a message"
        );
    }
}
