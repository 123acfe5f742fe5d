//! `read_files`: whole files as records.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::Bag;
use crate::context::Context;
use crate::error::{BoxError, Result};
use crate::files::{InputFile, IntoInputs};
use crate::operators::from_source::{Reading, Source};
use crate::operators::read_text::describe;
use crate::pipeline::Pipeline;
use crate::task::Site;

/// Target size of the files of a partition, in bytes.
const PARTITION_BYTES: u64 = 1 << 20;

/// Maximum number of partitions, if all of them have the same size.
const MAX_PARTITIONS: u64 = 1 << 10;

/// Cost of opening a file, expressed as the number of bytes that could be read in that time.
const FILE_COST_BYTES: u64 = 16 << 10;

/// Returns whole files as records. Short for [`Context::read_files`] on the default context.
///
/// # Errors
///
/// Returns the same errors as [`Context::read_files`].
///
/// # Examples
///
/// ```no_run
/// let titles = holdall::read_files("pages/**/*.html")?.try_flat_map(|file| {
///     let page = file.read_text()?;
///     Ok::<_, holdall::Error>(page.lines().find(|line| line.contains("<title>")).map(str::to_owned))
/// });
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn read_files(
    inputs: impl IntoInputs,
) -> Result<Bag<InputFile, impl Pipeline<Out = InputFile>>> {
    Context::default().read_files(inputs)
}

impl Context {
    /// Returns the files that `inputs` name as records, for formats that are read as a whole.
    ///
    /// A record is an [`InputFile`] with the path and the size. A closure reads the content:
    /// [`read`](InputFile::read) returns the bytes, [`read_text`](InputFile::read_text) the text, and
    /// [`open_decoded`](InputFile::open_decoded) a reader. All of them decode compressed files.
    ///
    /// The order of the files is that of [`read_text`](Context::read_text). Small files share a partition, by sizes that
    /// depend only on the input.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`find_files`](Context::find_files).
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// std::fs::write("a.txt", "one\ntwo\n")?;
    /// std::fs::write("b.txt", "three")?;
    /// let files = holdall::Context::default().read_files("*.txt")?;
    /// let texts = files.try_map(|file| Ok::<_, holdall::Error>((file.path().to_owned(), file.read_text()?)));
    /// let expected = [("a.txt".into(), "one\ntwo\n".to_owned()), ("b.txt".into(), "three".to_owned())];
    /// assert_eq!(texts.collect()?, expected);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn read_files<I: IntoInputs>(
        &self,
        inputs: I,
    ) -> Result<Bag<InputFile, impl Pipeline<Out = InputFile> + use<I>>> {
        self.from_source(WholeFiles(
            self.find_files_at(Site::new("read_files"), inputs)?,
        ))
    }
}

/// Files as records.
#[derive(Serialize, Deserialize)]
struct WholeFiles(Vec<InputFile>);

impl Source for WholeFiles {
    type Split = Vec<InputFile>;
    type Item = InputFile;

    fn splits(&self) -> Result<Vec<Vec<InputFile>>, BoxError> {
        let cost = |file: &InputFile| file.bytes().saturating_add(FILE_COST_BYTES);
        let total: u64 = self.0.iter().map(cost).fold(0, u64::saturating_add);
        let target = PARTITION_BYTES.max(total / MAX_PARTITIONS);
        let mut splits: Vec<Vec<InputFile>> = Vec::new();
        let mut room = 0;
        for file in &self.0 {
            match splits.last_mut() {
                Some(split) if cost(file) <= room => split.push(file.clone()),
                _ => {
                    splits.push(vec![file.clone()]);
                    room = target;
                }
            }
            room = room.saturating_sub(cost(file));
        }
        Ok(splits)
    }

    fn read(
        &self,
        split: &Vec<InputFile>,
        reading: &Reading<'_>,
        mut emit: impl FnMut(InputFile) -> ControlFlow<()>,
    ) -> Result<(), BoxError> {
        let _ = split.iter().try_for_each(|file| {
            reading.set_file(file.path());
            reading.count_bytes(file.bytes());
            emit(file.clone())
        });
        Ok(())
    }

    fn name(&self) -> &'static str {
        "read_files"
    }

    fn detail(&self) -> String {
        describe(self.0.len(), self.0.iter().map(InputFile::bytes).sum())
    }

    fn bytes(&self, split: &Vec<InputFile>) -> Option<u64> {
        Some(split.iter().map(InputFile::bytes).sum())
    }
}
