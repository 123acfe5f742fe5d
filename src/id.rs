//! Identities of the things a job is made of.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $next:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub(crate) struct $name(u64);

        impl $name {
            /// An identity that no other value of this type has in this process.
            pub(crate) fn next() -> Self {
                static NEXT: AtomicU64 = AtomicU64::new($next);
                Self(NEXT.fetch_add(1, Ordering::Relaxed))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A node of the lineage.
    NodeId,
    1
);
id!(
    /// A shuffle: one wide dependency of the lineage.
    ShuffleId,
    1
);
id!(
    /// What is kept of a persisted bag.
    StoreId,
    1
);

impl ShuffleId {
    /// As plain data has it.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

impl StoreId {
    /// As plain data has it.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}
