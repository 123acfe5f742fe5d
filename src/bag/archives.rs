//! `read_archives`: the files in archives as records.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Bag;
use crate::context::Context;
use crate::error::{BoxError, Error, Result};
use crate::files::archive::{TarReader, ZipMember, find_members, is_zip};
use crate::files::{InputFile, IntoInputs};
use crate::operators::from_source::{Reading, Source};
use crate::operators::read_text::describe;
use crate::pipeline::Pipeline;
use crate::task::Site;

/// Target size of the members of a partition, in bytes of the archive.
const PARTITION_BYTES: u64 = 1 << 20;

/// A file in an archive. [`read_archives`] returns such records.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ArchiveMember {
    /// Path of the archive.
    #[serde(with = "crate::error::plain")]
    pub archive: PathBuf,
    /// Name in the archive. Bytes that are not UTF-8 are replaced by U+FFFD.
    pub name: String,
    /// The whole content.
    pub content: Vec<u8>,
}

/// Returns the files in archives as records. Short for [`Context::read_archives`] on the default context.
///
/// # Errors
///
/// Returns the same errors as [`Context::read_archives`].
///
/// # Examples
///
/// ```no_run
/// let lines = holdall::read_archives("books/*.zip")?
///     .flat_map(|member| String::from_utf8_lossy(&member.content).lines().map(str::to_owned).collect::<Vec<_>>());
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn read_archives(
    inputs: impl IntoInputs,
) -> Result<Bag<ArchiveMember, impl Pipeline<Out = ArchiveMember>>> {
    Context::default().read_archives(inputs)
}

impl Context {
    /// Returns the regular files in zip and tar archives as records, with their names and their whole contents.
    ///
    /// A tar archive may be compressed in any format that [`read_text`](Context::read_text) reads, as `.tar.gz` files are.
    /// The content of an archive, and not its name, determines its format. Contents are not decompressed further.
    ///
    /// The records are in the order of the archives and of the files in them. The files of a zip archive are read in several
    /// partitions; those of a tar archive in one, because it has no directory. Each thread has one content in memory.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`find_files`](Context::find_files), and [`Read`](crate::ErrorKind::Read) if the
    /// directory of a zip archive is damaged. An action returns that error if a member is damaged, encrypted, sparse, or
    /// compressed in a way that is not supported. In a zip archive, only stored and deflated files are.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// let context = holdall::Context::default();
    /// let sizes = context.read_archives("backup.tar.gz")?.map(|member| (member.name, member.content.len()));
    /// for (name, bytes) in sizes.collect()? {
    ///     println!("{bytes}\t{name}");
    /// }
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn read_archives<I: IntoInputs>(
        &self,
        inputs: I,
    ) -> Result<Bag<ArchiveMember, impl Pipeline<Out = ArchiveMember> + use<I>>> {
        self.from_source(Archives(
            self.find_files_at(Site::new("read_archives"), inputs)?,
        ))
    }
}

#[derive(Serialize, Deserialize)]
struct Archives(Vec<InputFile>);

#[derive(Serialize, Deserialize)]
struct ArchiveSplit {
    archive: InputFile,
    /// Some members of a zip archive, or `None` for a tar archive.
    members: Option<Vec<ZipMember>>,
}

impl Source for Archives {
    type Split = ArchiveSplit;
    type Item = ArchiveMember;

    fn splits(&self) -> Result<Vec<ArchiveSplit>, BoxError> {
        let mut splits = Vec::new();
        for archive in &self.0 {
            if is_zip(&archive.head()?) {
                let members = find_members(archive);
                let members = members.map_err(|error| of_archive(archive, None, error))?;
                splits.extend(packs(members).into_iter().map(|members| ArchiveSplit {
                    archive: archive.clone(),
                    members: Some(members),
                }));
            } else {
                splits.push(ArchiveSplit {
                    archive: archive.clone(),
                    members: None,
                });
            }
        }
        Ok(splits)
    }

    fn read(
        &self,
        split: &ArchiveSplit,
        reading: &Reading<'_>,
        mut emit: impl FnMut(ArchiveMember) -> ControlFlow<()>,
    ) -> Result<(), BoxError> {
        let archive = &split.archive;
        reading.set_file(archive.path());
        let mut emit = |name: String, content| {
            emit(ArchiveMember {
                archive: archive.path().to_owned(),
                name,
                content,
            })
        };
        let Some(members) = &split.members else {
            reading.count_bytes(archive.bytes());
            let mut tar = TarReader::new(archive.open_any()?);
            while let Some((name, content)) = tar
                .next_file()
                .map_err(|error| of_archive(archive, None, error))?
            {
                if emit(name, content).is_break() {
                    break;
                }
            }
            return Ok(());
        };
        for member in members {
            reading.count_bytes(member.data_bytes);
            let name = Some(member.name.as_str());
            let content = member.content(archive);
            let content = content.map_err(|error| of_archive(archive, name, error))?;
            if emit(member.name.clone(), content).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn name(&self) -> &'static str {
        "read_archives"
    }

    fn detail(&self) -> String {
        describe(self.0.len(), self.0.iter().map(InputFile::bytes).sum())
    }

    fn bytes(&self, split: &ArchiveSplit) -> Option<u64> {
        Some(match &split.members {
            None => split.archive.bytes(),
            Some(members) => members.iter().map(|member| member.data_bytes).sum(),
        })
    }
}

/// Divides members into packs of at least [`PARTITION_BYTES`].
fn packs(members: Vec<ZipMember>) -> Vec<Vec<ZipMember>> {
    let mut packs: Vec<Vec<ZipMember>> = Vec::new();
    let mut bytes = 0;
    for member in members {
        let member_bytes = member.data_bytes;
        match packs.last_mut() {
            Some(pack) if bytes < PARTITION_BYTES => pack.push(member),
            _ => {
                packs.push(vec![member]);
                bytes = 0;
            }
        }
        bytes += member_bytes;
    }
    packs
}

/// Adds the archive and the member to an error, unless it has a path already.
fn of_archive(archive: &InputFile, member: Option<&str>, error: io::Error) -> BoxError {
    let error = match error.downcast::<Error>() {
        Ok(error) => return error.into(),
        Err(error) => error,
    };
    let path = archive.path().display();
    let place = member.map_or_else(|| path.to_string(), |member| format!("{path}: {member}"));
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the archive is cut short".to_owned(),
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("{place}: {reason}")).into()
}
