//! Identifiers of the parts of a job.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize, Serializer};

thread_local! {
    /// Ids in the order of their first use, within [`renumbering`].
    static USED: RefCell<Option<Vec<u64>>> = const { RefCell::new(None) };
}

/// Calls `work`, which serialises ids as numbers in the order of their first use. The same work then has the same bytes
/// in every run, whatever else has received an id.
pub(crate) fn renumbering<R>(work: impl FnOnce() -> R) -> R {
    let outer = USED.replace(Some(Vec::new()));
    let result = work();
    USED.set(outer);
    result
}

fn serialize<S: Serializer>(id: &u64, to: S) -> Result<S::Ok, S::Error> {
    let number = USED.with_borrow_mut(|used| {
        let Some(used) = used else {
            return *id;
        };
        let known = used.iter().position(|used| used == id);
        let number = known.unwrap_or_else(|| {
            used.push(*id);
            used.len() - 1
        });
        number as u64
    });
    number.serialize(to)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $next:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub(crate) struct $name(#[serde(serialize_with = "serialize")] u64);

        impl $name {
            /// Returns an id that no other value of this type has in this process.
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
    /// Number of a job.
    JobId,
    1
);
id!(
    /// Id of a node of the lineage.
    NodeId,
    1
);
id!(
    /// Id of a shuffle, that is, of one wide dependency of the lineage.
    ShuffleId,
    1
);
id!(
    /// Id of the stored records of a persisted bag.
    StoreId,
    1
);

impl JobId {
    /// Returns the id as a plain number.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

impl ShuffleId {
    /// Returns the id as a plain number.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

impl ShuffleId {
    /// Returns the id of the join filter that a shuffle leaves. No shuffle has it.
    pub(crate) fn of_filter(self) -> Self {
        Self(self.0 | 1 << 63)
    }
}

impl StoreId {
    /// Returns the id as a plain number.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}
