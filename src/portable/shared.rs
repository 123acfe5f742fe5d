//! States that several stages of a job share: the driver checks each once, and a worker decodes each once.
//!
//! A worker keeps the states of the stage that it loaded last. If the next stage uses some of them, the worker reuses
//! them and does not decode them again. Small states are not kept, because the lookup would save little.

use std::any::Any;
use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rapidhash::v3::{DEFAULT_RAPID_SECRETS, rapidhash_v3_inline};

use crate::error::Result;

type Shared = dyn Any + Send + Sync;

/// Minimum length of a state that is kept, in bytes.
const MIN_BYTES: usize = 64 << 10;

/// Large states that have been checked in this process.
static CHECKED: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

fn checked() -> MutexGuard<'static, Vec<Weak<Shared>>> {
    CHECKED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn weak<S: Send + Sync + 'static>(state: &Arc<S>) -> Weak<Shared> {
    let shared: Arc<Shared> = Arc::<S>::clone(state);
    Arc::downgrade(&shared)
}

/// Returns `true` if exactly this state (not an equal one) is large and has been checked.
pub(super) fn is_checked<S: Send + Sync + 'static>(state: &Arc<S>) -> bool {
    let state = weak(state);
    checked().iter().any(|checked| checked.ptr_eq(&state))
}

/// Records that a state of `length` bytes has been checked.
pub(super) fn note_checked<S: Send + Sync + 'static>(state: &Arc<S>, length: usize) {
    if length < MIN_BYTES || is_checked(state) {
        return;
    }
    let mut checked = checked();
    checked.retain(|checked| checked.strong_count() > 0);
    checked.push(weak(state));
}

/// A decoded state.
struct Kept {
    hash: u64,
    length: usize,
    state: Arc<Shared>,
    /// `true` if the stage that is being loaded uses this state.
    is_used: bool,
}

thread_local! {
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

/// Calls `load`, which loads a stage, and then drops the states that the stage does not use.
pub(crate) fn loading_stage<R>(load: impl FnOnce() -> R) -> R {
    KEPT.with_borrow_mut(|kept| kept.iter_mut().for_each(|kept| kept.is_used = false));
    let loaded = load();
    // Drop the states only after the borrow has ended, because dropping may run the user's code.
    let unused: Vec<_> =
        KEPT.with_borrow_mut(|kept| kept.extract_if(.., |kept| !kept.is_used).collect());
    drop(unused);
    loaded
}

/// Returns the state with these bytes: a kept one or, if there is none, a new one decoded by `read`.
pub(super) fn state<S: Send + Sync + 'static>(
    bytes: &[u8],
    read: impl FnOnce(&[u8]) -> Result<S>,
) -> Result<Arc<S>> {
    if bytes.len() < MIN_BYTES {
        return read(bytes).map(Arc::new);
    }
    let hash = rapidhash_v3_inline::<true, false, false>(bytes, &DEFAULT_RAPID_SECRETS);
    let found = KEPT.with_borrow_mut(|kept| {
        kept.iter_mut().find_map(|kept| {
            let is_it = (kept.hash, kept.length) == (hash, bytes.len());
            let state = is_it.then(|| Arc::clone(&kept.state).downcast().ok())??;
            kept.is_used = true;
            Some(state)
        })
    });
    if let Some(state) = found {
        return Ok(state);
    }
    let state = Arc::new(read(bytes)?);
    let kept = Kept {
        hash,
        length: bytes.len(),
        state: Arc::<S>::clone(&state),
        is_used: true,
    };
    KEPT.with_borrow_mut(|all| all.push(kept));
    Ok(state)
}
