//! States of closures: given with the operator, or computed before the first job that needs it.

use std::fmt;
use std::sync::{Arc, LazyLock};

use super::Data;
use crate::error::Result;
use crate::portable::{Loader, Portable, Saver};

/// Returns a state once it is known.
type Later<S> = LazyLock<Arc<S>, Box<dyn FnOnce() -> Arc<S> + Send>>;

/// The state that a closure receives.
pub(crate) enum ClosureState<S> {
    Given(Arc<S>),
    /// Known once the values that the lineage [needs](crate::lineage::PendingValue) are.
    Later(Arc<Later<S>>),
}

impl<S> ClosureState<S> {
    pub(crate) fn given(state: S) -> Self {
        Self::Given(Arc::new(state))
    }

    /// Creates a state that `state` returns, which is called after the values are known.
    pub(crate) fn later(state: impl FnOnce() -> Arc<S> + Send + 'static) -> Self {
        Self::Later(Arc::new(LazyLock::new(Box::new(state))))
    }

    /// Returns the pair of this state and another.
    pub(crate) fn and<R>(self, other: R) -> ClosureState<(S, R)>
    where
        S: Data + Sync + Clone,
        R: Data + Sync,
    {
        match self {
            Self::Given(first) => ClosureState::given((Arc::unwrap_or_clone(first), other)),
            Self::Later(_) => ClosureState::later(move || Arc::new((self.get().clone(), other))),
        }
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> &S {
        self.shared()
    }

    #[inline(always)]
    fn shared(&self) -> &Arc<S> {
        match self {
            Self::Given(state) => state,
            Self::Later(state) => state,
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for ClosureState<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(state) => state.fmt(f),
            Self::Later(_) => f.write_str("not known yet"),
        }
    }
}

impl<S> Clone for ClosureState<S> {
    fn clone(&self) -> Self {
        match self {
            Self::Given(state) => Self::Given(Arc::clone(state)),
            Self::Later(state) => Self::Later(Arc::clone(state)),
        }
    }
}

/// A worker receives the value itself.
impl<S: Data + Sync> Portable for ClosureState<S> {
    fn save(&self, to: &mut Saver) -> Result<()> {
        to.state(self.shared())
    }

    fn load(from: &mut Loader<'_>) -> Result<Self> {
        from.state().map(Self::Given)
    }
}
