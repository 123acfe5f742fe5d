//! Reads parts of input files, and remembers the metadata that several tasks need.

use std::io::Read;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use holdall::files::InputFile;
use holdall::{BoxError, Reading};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Number of files that are opened at the same time when a bag is created. Stores take long to answer.
const OPEN_FILES: usize = 16;

/// Number of files whose metadata a process remembers. The tasks that run at the same time mostly read the same files.
const CACHED_FILES: usize = 16;

/// Reads a part of a file as a whole.
pub(crate) fn read_range(
    file: &InputFile,
    range: Range<u64>,
    reading: Option<&Reading<'_>>,
) -> Result<Vec<u8>, BoxError> {
    let len = range.end.saturating_sub(range.start);
    if range.start > range.end || range.end > file.bytes() {
        let (start, end) = (range.start, range.end);
        return Err(format!("it refers to the bytes {start} to {end}, which do not exist").into());
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(len)?)?;
    file.open(range)?.read_to_end(&mut bytes)?;
    if let Some(reading) = reading {
        reading.count_bytes(len);
    }
    Ok(bytes)
}

/// Runs a decoder. Those of Parquet and Arrow may panic if a file is damaged.
pub(crate) fn decode<R, E: Into<BoxError>>(
    decode: impl FnOnce() -> Result<R, E>,
) -> Result<R, BoxError> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(decoded) => decoded.map_err(Into::into),
        Err(panic) => {
            let message = panic.downcast_ref::<&str>().map(ToString::to_string);
            let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
            let message = message.unwrap_or_default();
            Err(format!("it is damaged, so that its decoder panicked: {message}").into())
        }
    }
}

/// Applies `read` to the number of each file, for several files at a time. The results are in the order of the files.
pub(crate) fn read_each<R: Send>(files: &[InputFile], read: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let read_some = || {
        let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        let numbers = numbers.take_while(|number| *number < files.len());
        numbers
            .map(|number| (number, read(number)))
            .collect::<Vec<_>>()
    };
    let mut results = thread::scope(|scope| {
        let others = (1..files.len().min(OPEN_FILES)).map(|_| scope.spawn(read_some));
        let others: Vec<_> = others.collect();
        let mut results = read_some();
        for other in others {
            results.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        results
    });
    results.sort_unstable_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Adds the path of a file to an error, unless it is one of holdall, which has the path.
pub(crate) fn in_file(file: &InputFile, error: BoxError) -> BoxError {
    match error.is::<holdall::Error>() || error.is::<std::io::Error>() {
        true => error,
        false => format!("{}: {error}", file.path().display()).into(),
    }
}

/// The metadata of the files that were read last, by the numbers of the files.
#[derive(Debug)]
pub(crate) struct MetadataCache<M>(Mutex<Vec<(usize, Arc<M>)>>);

impl<M> Default for MetadataCache<M> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// It is not sent to worker processes. Each of them has its own.
impl<M> Serialize for MetadataCache<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de, M> Deserialize<'de> for MetadataCache<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer).map(|()| Self::default())
    }
}

impl<M> MetadataCache<M> {
    pub(crate) fn get_or_read(
        &self,
        file: usize,
        read: impl FnOnce() -> Result<M, BoxError>,
    ) -> Result<Arc<M>, BoxError> {
        let cached = self
            .lock()
            .iter()
            .find(|(number, _)| *number == file)
            .cloned();
        if let Some((_, metadata)) = cached {
            return Ok(metadata);
        }
        Ok(self.insert(file, read()?))
    }

    pub(crate) fn insert(&self, file: usize, metadata: M) -> Arc<M> {
        let metadata = Arc::new(metadata);
        let mut cache = self.lock();
        cache.push((file, Arc::clone(&metadata)));
        if cache.len() > CACHED_FILES {
            cache.remove(0);
        }
        metadata
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(usize, Arc<M>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
