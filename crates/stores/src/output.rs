//! Outputs to a bucket: uploads that are completed when all of them are finished.

use std::io;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use holdall::files::{PendingOutput, Token};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::bucket::Bucket;
use crate::cloud::MANY_REQUESTS;
use crate::failure::failure;
use crate::runtime::wait;
use crate::unfinished::{self, Which};
use crate::upload::Finished;

/// An output that is not visible yet.
pub(crate) struct CloudOutput {
    bucket: Bucket,
    token: Token,
    /// The uploads that nothing needs before and after this output. `None` if the service discards them itself, or for a
    /// single file, beside which others may be written.
    unneeded: Option<Which>,
}

impl CloudOutput {
    /// Begins an output. `token` is what tasks receive.
    pub(crate) fn begin(bucket: Bucket, token: Token, unneeded: Option<Which>) -> Self {
        let output = Self {
            bucket,
            token,
            unneeded,
        };
        output.clear();
        output
    }

    /// Aborts what earlier runs, lost workers and failed tasks have left. Nothing of it is visible, so an error is none
    /// of this output.
    fn clear(&self) {
        if let Some(which) = self.unneeded.clone() {
            let bucket = Arc::clone(&self.bucket);
            _ = wait(async move { unfinished::abort(&bucket, &which).await });
        }
    }
}

impl Drop for CloudOutput {
    fn drop(&mut self) {
        self.clear();
    }
}

impl PendingOutput for CloudOutput {
    fn token(&self) -> io::Result<Token> {
        Ok(self.token.clone())
    }

    fn commit(self: Box<Self>, files: Vec<Token>) -> io::Result<()> {
        let files: Vec<Finished> = files.iter().map(Token::get).collect::<io::Result<_>>()?;
        let bucket = Arc::clone(&self.bucket);
        wait(complete_all(bucket, files)).map_err(failure)
    }
}

/// Completes all uploads, or discards all. Completes the last one after all others: it may be a manifest of them.
async fn complete_all(bucket: Bucket, files: Vec<Finished>) -> object_store::Result<()> {
    let Err(error) = complete(&bucket, &files).await else {
        return Ok(());
    };
    let discard = |file: &Finished| {
        let (bucket, file) = (Arc::clone(&bucket), file.clone());
        async move {
            // One of the two fails, depending on whether the upload was completed.
            _ = file.abort(&bucket).await;
            _ = bucket.delete(&Path::parse(&file.key)?).await;
            Ok(())
        }
    };
    let discarded = stream::iter(files.iter().map(discard)).buffer_unordered(MANY_REQUESTS);
    discarded.try_collect::<()>().await.and(Err(error))
}

async fn complete(bucket: &Bucket, files: &[Finished]) -> object_store::Result<()> {
    let Some((last, others)) = files.split_last() else {
        return Ok(());
    };
    let complete = |file: &Finished| {
        let (bucket, file) = (Arc::clone(bucket), file.clone());
        async move { file.complete(&bucket).await }
    };
    let completed = stream::iter(others.iter().map(complete)).buffer_unordered(MANY_REQUESTS);
    completed.try_collect::<()>().await?;
    last.complete(bucket).await
}
