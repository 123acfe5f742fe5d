//! Messages of panics.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Returns the message of a panic, and drops its payload.
pub(super) fn message(payload: Box<dyn Any + Send>) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&'static str>().copied());
    let message = text.unwrap_or("a panic without a message").to_owned();
    discard(payload);
    message
}

/// Drops the payload of a panic, whose own `drop` may panic.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // That `drop` may panic again. The standard library leaks such a payload, too.
        mem::forget(another);
    }
}
