//! `load`: the records of a saved bag. A source.

use std::fmt;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::from_source::{FromSource, Reading, Source};
use crate::error::{BoxError, Error, ErrorContext, ErrorKind, Result, intern};
use crate::files::{FileInfo, FileReader, FileSystems, InputDirectory, part_name, read_error};
use crate::lineage::Keyed;
use crate::pipeline::{Pipeline, Ref, Storable};
use crate::portable::portable;
use crate::storage::saved::{MANIFEST, Manifest, PartReader, SavedPart, invalid};
use crate::task::{Flow, Partition, Site, Task};

/// The operator of [`load`](crate::load) and [`checkpoint`](crate::Bag::checkpoint), which passes on the records of
/// files.
///
/// # Examples
///
/// ```
/// use holdall::{Bag, Saved};
///
/// fn squares(path: &str) -> holdall::Result<Bag<u64, Saved<u64>>> {
///     match holdall::load(path) {
///         Ok(squares) => Ok(squares),
///         Err(_) => holdall::range(0..10_u64).map(|n| n * n).checkpoint(path),
///     }
/// }
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("squares");
/// # let path = path.to_str().unwrap();
/// assert_eq!(squares(path)?.sum::<u64>()?, 285);
/// assert_eq!(squares(path)?.sum::<u64>()?, 285); // this time, from the files
/// # Ok::<(), holdall::Error>(())
/// ```
pub struct Saved<T: Storable + ?Sized>(FromSource<SavedBag<T>>);

portable! {
    [T: Storable + ?Sized] Saved<T> { 0: part }
}

impl<T: Storable + ?Sized> fmt::Debug for Saved<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Saved")
            .field("partitions", &self.0.splits.len())
            .finish_non_exhaustive()
    }
}

impl<T: Storable + ?Sized> Saved<T> {
    /// Returns the size of the files, in bytes.
    pub(crate) fn bytes(&self) -> Option<u64> {
        self.0.bytes()
    }
}

impl<T: Storable + ?Sized> Pipeline for Saved<T> {
    type Out = T;

    fn partitions(&self) -> Option<usize> {
        self.0.partitions()
    }

    fn run<S>(&self, partition: Partition, task: &Task<'_>, sink: &mut S) -> Result<Flow>
    where
        S: for<'a> FnMut(Ref<'a, T>) -> Flow,
    {
        self.0.run(partition, task, sink)
    }
}

/// A saved bag.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct SavedBag<T: ?Sized> {
    directory: InputDirectory,
    form: PhantomData<fn(&T)>,
}

/// A file of a saved bag.
#[derive(Serialize, Deserialize)]
pub(crate) struct SavedSplit {
    file: FileInfo,
    part: SavedPart,
}

/// Finds the saved bag at `path`, and returns how it is partitioned.
///
/// # Errors
///
/// Returns an error if the manifest is damaged, if the sizes of the files differ from those in it, or if the records are
/// not of type `T`.
pub(crate) fn open_saved<T: Storable + ?Sized>(
    path: &Path,
    file_systems: &FileSystems,
    site: Site,
) -> Result<(Saved<T>, Option<Keyed>)> {
    let directory = InputDirectory::new(file_systems, path)?;
    let mut files = directory.list()?;
    let Some(manifest) = files.get(MANIFEST) else {
        if files.is_empty() {
            let pattern = path.display().to_string();
            return Err(Error::new(ErrorKind::NoInput {
                pattern,
                context: site.into(),
            }));
        }
        let reason = format!("it has no file `{MANIFEST}`, which `save` writes last");
        return Err(invalid(path, None, reason));
    };
    let input = directory.open(manifest)?;
    let manifest = Manifest::read(input, &directory.path_of(MANIFEST)).map_err(read_failed)?;
    let requested = T::schema();
    if manifest.schema != requested {
        return Err(Error::new(ErrorKind::WrongRecordType {
            path: path.to_owned(),
            saved: manifest.schema,
            requested,
            context: ErrorContext::default(),
        }));
    }
    let mut splits = Vec::with_capacity(manifest.partitions.len());
    for (partition, part) in manifest.partitions.iter().enumerate() {
        let name = part_name(partition as u64, manifest.digits);
        let Some(file) = files.remove(&name) else {
            return Err(invalid(
                &directory.path_of(&name),
                None,
                "the file is missing",
            ));
        };
        if file.bytes != part.bytes {
            let reason = format!("the file has {} bytes, not {}", file.bytes, part.bytes);
            return Err(invalid(&directory.path_of(&name), None, reason));
        }
        splits.push(SavedSplit { file, part: *part });
    }
    let keyed = manifest.key.map(|key| Keyed {
        key: intern(&key),
        partitions: splits.len(),
    });
    let source = Arc::new(SavedBag {
        directory,
        form: PhantomData,
    });
    let from_source = FromSource {
        source,
        splits,
        site,
    };
    Ok((Saved(from_source), keyed))
}

/// Adds what a file system has reported to the error of a read.
fn read_failed(error: Error) -> Error {
    match error.into_kind() {
        ErrorKind::Io {
            path,
            offset,
            source,
            ..
        } => read_error(&path, offset, source),
        kind => Error::new(kind),
    }
}

impl<T: Storable + ?Sized> Source for SavedBag<T> {
    type Split = SavedSplit;
    type Item = T;

    /// [`open_saved`] creates the splits.
    fn splits(&self) -> Result<Vec<SavedSplit>, BoxError> {
        Ok(Vec::new())
    }

    fn read(
        &self,
        split: &SavedSplit,
        reading: &Reading<'_>,
        mut emit: impl for<'a> FnMut(T::Ref<'a>) -> ControlFlow<()>,
    ) -> Result<(), BoxError> {
        let path = self.directory.path_of(&split.file.path);
        reading.set_file(&path);
        reading.set_record(1);
        let input = self.directory.open(&split.file)?;
        let mut part = PartReader::<FileReader>::new(input, &path, split.part);
        while let Some(frame) = part.next().map_err(read_failed)? {
            reading.set_offset(frame.offset());
            reading.count_bytes(frame.stored_bytes());
            for record in frame.records() {
                let passed = T::restore(record?, &mut emit).map_err(|error| {
                    let reason = format!("a record cannot be decoded: {error}");
                    invalid(&path, Some(frame.offset()), reason)
                })?;
                if passed.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn bytes(&self, split: &SavedSplit) -> Option<u64> {
        Some(split.file.bytes)
    }
}
