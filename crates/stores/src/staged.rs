//! Outputs to file systems that can rename: tasks write to a hidden directory, and the commit moves the files.

use std::io;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt, stream};
use holdall::files::{OutputOptions, PendingOutput, Token};
use serde::{Deserialize, Serialize};

use crate::cloud::MANY_REQUESTS;
use crate::runtime::wait;

/// Name of the directory of unfinished files, in that of the output. Programs of Hadoop skip names that begin with `_`. A
/// run deletes what an earlier one has left there.
const UNFINISHED: &str = "_holdall-unfinished";

/// The operations of a file system with renames that an output needs.
pub(crate) trait Staging: Clone + Send + Sync + 'static {
    /// Moves a file, in place of another one.
    fn rename(&self, from: String, to: String) -> BoxFuture<'static, io::Result<()>>;

    /// Deletes a file, if it exists.
    fn delete_file(&self, path: String) -> BoxFuture<'static, io::Result<()>>;

    /// Deletes a directory with all that is in it, if it exists.
    fn delete_directory(&self, path: String) -> BoxFuture<'static, io::Result<()>>;

    /// Creates a directory and those above it, if they do not exist.
    fn create_directory(&self, path: String) -> BoxFuture<'static, io::Result<()>>;
}

/// Directory in which the files of an output are written. Tasks receive it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stage {
    directory: String,
    single_file: bool,
}

/// A file that is written completely, and where it will be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Staged {
    pub(crate) from: String,
    pub(crate) to: String,
}

fn join(directory: &str, name: &str) -> String {
    match directory {
        "" => name.to_owned(),
        _ => format!("{}/{name}", directory.trim_end_matches('/')),
    }
}

/// Returns whether a path leads to an unfinished file.
pub(crate) fn is_unfinished(path: &str) -> bool {
    path.split('/').any(|name| name.starts_with(UNFINISHED))
}

impl Stage {
    /// Returns the directory of the unfinished files. A single file has its own: others may be written beside it.
    fn unfinished(&self, name: &str) -> String {
        let unfinished = join(&self.directory, UNFINISHED);
        match self.single_file {
            true => format!("{unfinished}-{name}"),
            false => unfinished,
        }
    }

    /// Deletes what an earlier run has left, and creates an empty directory.
    fn clear(&self, staging: &impl Staging, name: &str) -> io::Result<()> {
        let (staging, path) = (staging.clone(), self.unfinished(name));
        wait(async move {
            staging.delete_directory(path.clone()).await?;
            staging.create_directory(path).await
        })
    }

    /// Returns where to write a file.
    pub(crate) fn file(
        &self,
        staging: &impl Staging,
        name: &str,
        attempt: &str,
    ) -> io::Result<Staged> {
        if self.single_file {
            self.clear(staging, name)?;
        }
        Ok(Staged {
            from: format!("{}/{name}.{attempt}", self.unfinished(name)),
            to: join(&self.directory, name),
        })
    }
}

/// An output that is not visible yet.
pub(crate) struct StagedOutput<S: Staging> {
    staging: S,
    stage: Stage,
}

impl<S: Staging> StagedOutput<S> {
    pub(crate) fn begin(staging: S, directory: &str, options: &OutputOptions) -> io::Result<Self> {
        let stage = Stage {
            directory: directory.to_owned(),
            single_file: options.single_file,
        };
        if !stage.single_file {
            stage.clear(&staging, "")?;
        }
        Ok(Self { staging, stage })
    }
}

impl<S: Staging> PendingOutput for StagedOutput<S> {
    fn token(&self) -> io::Result<Token> {
        Token::new(&self.stage)
    }

    fn commit(self: Box<Self>, files: Vec<Token>) -> io::Result<()> {
        let files: Vec<Staged> = files.iter().map(Token::get).collect::<io::Result<_>>()?;
        let directories = files.iter().filter_map(|file| file.from.rsplit_once('/'));
        let directory = directories
            .map(|(directory, _)| directory.to_owned())
            .next();
        let staging = self.staging.clone();
        wait(async move {
            rename_all(staging.clone(), files).await?;
            match directory {
                Some(directory) => staging.delete_directory(directory).await,
                None => Ok(()),
            }
        })
    }
}

impl<S: Staging> Drop for StagedOutput<S> {
    fn drop(&mut self) {
        if !self.stage.single_file {
            // What remains is never listed, and the next run deletes it.
            _ = wait(self.staging.delete_directory(self.stage.unfinished("")));
        }
    }
}

/// Moves all files to their places, or none. Moves the last one after all others: it may be a manifest of them.
async fn rename_all<S: Staging>(staging: S, files: Vec<Staged>) -> io::Result<()> {
    let Err(error) = rename(&staging, &files).await else {
        return Ok(());
    };
    let delete = |file: &Staged| staging.delete_file(file.to.clone());
    let deleted = stream::iter(files.iter().map(delete)).buffer_unordered(MANY_REQUESTS);
    deleted.try_collect::<()>().await.and(Err(error))
}

async fn rename<S: Staging>(staging: &S, files: &[Staged]) -> io::Result<()> {
    let Some((last, others)) = files.split_last() else {
        return Ok(());
    };
    let rename = |file: &Staged| staging.rename(file.from.clone(), file.to.clone());
    let renamed = stream::iter(others.iter().map(rename)).buffer_unordered(MANY_REQUESTS);
    renamed.try_collect::<()>().await?;
    rename(last).await
}
