//! Counters that closures increment while they process records, and bad records that they skip.

mod bad_records;
mod tally;

use std::collections::HashMap;
use std::fmt;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use bad_records::RejectUpdate;
pub use bad_records::{BadRecord, BadRecords};
pub(crate) use tally::{Counts, Tallying, put_failure, take_failure};

/// A counter that closures add to, for example to count the lines that cannot be parsed.
///
/// The count is exact on every [executor](crate::Executor): the additions of a task take effect once, when the task
/// completes, even if the task was retried. In contrast, an atomic that a closure captures counts every attempt, and
/// misses what happens in another process. A `Counter` is cheap to clone. Closures receive it like any other state: by
/// [`with`](crate::Bag::with), or by capture if the closure does not leave this process.
///
/// The counter counts what the job has computed:
///
/// - Each action runs its closures again, and so adds again. To count only once, [`persist`](crate::Bag::persist) the
///   bag.
/// - An action that needs only some of the records, such as [`take`](crate::Bag::take), may compute more partitions
///   than it uses, and skips others.
/// - If a job fails, the tasks that completed before are counted.
/// - A closure must call [`add`](Self::add) on the thread that called the closure. Additions on other threads, such as
///   within rayon's `par_iter`, take effect immediately in this process, and are lost in a worker process.
///
/// # Examples
///
/// ```
/// use holdall::Counter;
///
/// let bad = Counter::new("bad lines");
/// let lines = holdall::from_vec(vec!["1", "two", "3"]);
/// let numbers = lines.with(bad.clone()).flat_map(|bad, line| {
///     let number = line.parse::<u64>();
///     if number.is_err() {
///         bad.add(1);
///     }
///     number
/// });
/// assert_eq!(numbers.sum::<u64>()?, 4);
/// assert_eq!(bad.value(), 1);
/// assert_eq!(bad.to_string(), "bad lines: 1");
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone)]
pub struct Counter(Arc<Shared>);

struct Shared {
    id: u64,
    name: String,
    value: AtomicU64,
}

/// All counters of this process that have an owner.
static COUNTERS: Mutex<Option<HashMap<u64, Weak<Shared>>>> = Mutex::new(None);

fn counters() -> MutexGuard<'static, Option<HashMap<u64, Weak<Shared>>>> {
    COUNTERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counter {
    /// Creates a counter at 0. The name appears in its [`Display`](fmt::Display) output; it need not be unique.
    ///
    /// # Examples
    ///
    /// ```
    /// let skipped = holdall::Counter::new("skipped");
    /// assert_eq!((skipped.name(), skipped.value()), ("skipped", 0));
    /// ```
    pub fn new(name: impl Into<String>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // The process id distinguishes the counters of a worker process from those of the driver.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::with_id(u64::from(process::id()) << 32 | number, name.into())
    }

    fn with_id(id: u64, name: String) -> Self {
        let mut counters = counters();
        let counters = counters.get_or_insert_default();
        if let Some(counter) = counters.get(&id).and_then(Weak::upgrade) {
            return Self(counter);
        }
        let value = AtomicU64::new(0);
        let counter = Arc::new(Shared { id, name, value });
        counters.insert(id, Arc::downgrade(&counter));
        Self(counter)
    }

    /// Adds `n` to the counter. The addition takes effect immediately, or, if a closure of a bag makes it, when the
    /// task that runs the closure completes.
    ///
    /// # Examples
    ///
    /// ```
    /// let seen = holdall::Counter::new("seen");
    /// seen.add(2);
    /// let count = seen.clone();
    /// holdall::range(0..10).for_each(move |_| count.add(1))?;
    /// assert_eq!(seen.value(), 12);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    pub fn add(&self, n: u64) {
        if !tally::count(self.0.id, n) {
            self.0.value.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// Returns the current count. Inside a closure the value is meaningless; read it after the action has returned.
    ///
    /// # Examples
    ///
    /// ```
    /// let seen = holdall::Counter::new("seen");
    /// let count = seen.clone();
    /// let numbers = holdall::range(0..10).inspect(move |_| count.add(1));
    /// assert_eq!(seen.value(), 0);
    /// numbers.count()?;
    /// numbers.count()?;
    /// assert_eq!(seen.value(), 20);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.value.load(Ordering::Relaxed)
    }

    /// Returns the name that was passed to [`new`](Self::new).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(holdall::Counter::new("bad lines").name(), "bad lines");
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

/// Creates a counter with an empty name.
impl Default for Counter {
    fn default() -> Self {
        Self::new("")
    }
}

/// Prints the name, if it is not empty, and the count: `bad lines: 3`.
impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.name().is_empty() {
            write!(f, "{}: ", self.name())?;
        }
        self.value().fmt(f)
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter")
            .field("name", &self.name())
            .field("value", &self.value())
            .finish()
    }
}

impl Serialize for Counter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.0.id, &self.0.name).serialize(serializer)
    }
}

/// Returns the serialised counter itself in the process that created it, and a substitute with the same id in any other
/// process.
impl<'de> Deserialize<'de> for Counter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (id, name) = Deserialize::deserialize(deserializer)?;
        Ok(Self::with_id(id, name))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut counters = counters();
        let Some(counters) = &mut *counters else {
            return;
        };
        // A new counter with this id may have replaced this one in the meantime.
        if counters
            .get(&self.id)
            .is_some_and(|counter| counter.strong_count() == 0)
        {
            counters.remove(&self.id);
        }
    }
}

/// Applies the additions of a task to the counters of this process. Skips counters that no longer have an owner.
pub(crate) fn commit(counts: &Counts) {
    for (id, n) in counts {
        let counter = counters().as_ref().and_then(|all| all.get(id)?.upgrade());
        if let Some(counter) = counter {
            counter.value.fetch_add(*n, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::codec;

    #[test]
    fn what_is_tallied_counts_when_it_is_committed() {
        let (a, b) = (Counter::new("a"), Counter::new("b"));
        a.add(1);
        let outer = Tallying::begin(1, Some(0));
        a.add(10);
        let inner = Tallying::begin(1, Some(0));
        a.add(100);
        b.add(1);
        let (inner, _) = inner.end().unwrap();
        b.add(1000);
        let (outer, _) = outer.end().unwrap();
        assert_eq!((a.value(), b.value()), (1, 0));
        commit(&inner);
        assert_eq!((a.value(), b.value()), (101, 1));
        commit(&outer);
        assert_eq!((a.value(), b.value()), (111, 1001));
        a.add(1);
        assert_eq!(a.value(), 112);
    }

    #[test]
    fn a_counter_is_printed_with_its_name() {
        let (bad, unnamed) = (Counter::new("bad"), Counter::default());
        bad.add(2);
        assert_eq!(
            (bad.to_string(), unnamed.to_string()),
            ("bad: 2".into(), "0".into())
        );
        assert_eq!(format!("{bad:?}"), r#"Counter { name: "bad", value: 2 }"#);
    }

    #[test]
    fn a_tally_that_is_dropped_never_counts() {
        let counter = Counter::new("a");
        drop(Tallying::begin(1, Some(0)));
        let tallying = Tallying::begin(1, Some(0));
        counter.add(1);
        drop(tallying);
        assert_eq!(counter.value(), 0);
    }

    #[test]
    fn a_counter_comes_back_as_itself() {
        let counter = Counter::new("a");
        let mut bytes = Vec::new();
        codec::encode_into(&counter, &mut bytes).unwrap();
        let back: Counter = codec::decode(&bytes).unwrap();
        back.add(2);
        assert_eq!((counter.value(), back.name()), (2, "a"));
        drop((counter, back));
        // In another process, or once the original has no owner, the result is a substitute.
        let other: Counter = codec::decode(&bytes).unwrap();
        assert_eq!(other.value(), 0);
        commit(&vec![(other.0.id, 3), (1, 1)]);
        assert_eq!(other.value(), 3);
    }
}
