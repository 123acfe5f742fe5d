//! An object that is uploaded in parts. It appears when the output is committed.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use holdall::files::{PendingFile, Token};
use object_store::MultipartId;
use object_store::multipart::PartId;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::bucket::Bucket;
use crate::failure::failure;
use crate::runtime::{join, spawn, wait};

/// Size of the first parts, in bytes: the smallest that all services accept. Each task has two parts in memory.
const PART_BYTES: usize = 5 << 20;

/// Number of parts after which their size doubles. An object has at most 10,000 parts, which is more than 5 TiB.
const PARTS_OF_SIZE: usize = 1_000;

/// A finished upload, which is not visible yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Finished {
    pub(crate) key: String,
    pub(crate) id: MultipartId,
    parts: Vec<String>,
}

impl Finished {
    /// Makes the object visible.
    pub(crate) async fn complete(&self, bucket: &Bucket) -> object_store::Result<()> {
        let path = Path::parse(&self.key)?;
        let parts = self.parts.iter().map(|id| PartId {
            content_id: id.clone(),
        });
        let parts = parts.collect();
        bucket.complete_multipart(&path, &self.id, parts).await?;
        Ok(())
    }

    /// Discards the parts.
    pub(crate) async fn abort(&self, bucket: &Bucket) -> object_store::Result<()> {
        let path = Path::parse(&self.key)?;
        bucket.abort_multipart(&path, &self.id).await
    }
}

/// An object that a task writes. Dropping it discards what was uploaded.
pub(crate) struct Upload {
    bucket: Bucket,
    path: Path,
    buffer: Vec<u8>,
    /// `None` until the first part is full. So tasks that are killed early leave nothing.
    id: Option<MultipartId>,
    parts: Vec<String>,
    /// The upload of the part before `buffer`.
    uploading: Option<JoinHandle<object_store::Result<PartId>>>,
}

impl Upload {
    pub(crate) fn new(bucket: Bucket, path: Path) -> Self {
        Self {
            bucket,
            path,
            buffer: Vec::new(),
            id: None,
            parts: Vec::new(),
            uploading: None,
        }
    }

    fn part_bytes(&self) -> usize {
        PART_BYTES << (self.parts.len() / PARTS_OF_SIZE)
    }

    /// Returns the identifier of the upload, which begins if it has not begun yet.
    fn id(&mut self) -> io::Result<MultipartId> {
        if let Some(id) = &self.id {
            return Ok(id.clone());
        }
        let (bucket, path) = (Arc::clone(&self.bucket), self.path.clone());
        let id = wait(async move { bucket.create_multipart(&path).await }).map_err(failure)?;
        Ok(self.id.insert(id).clone())
    }

    /// Waits for the part before the buffer.
    fn join_part(&mut self) -> io::Result<()> {
        if let Some(mut part) = self.uploading.take() {
            self.parts
                .push(join(&mut part).map_err(failure)?.content_id);
        }
        Ok(())
    }

    /// Starts to upload the buffer, once the part before it is complete.
    fn start_part(&mut self) -> io::Result<()> {
        self.join_part()?;
        let (bucket, path, id) = (Arc::clone(&self.bucket), self.path.clone(), self.id()?);
        let (part, number) = (mem::take(&mut self.buffer), self.parts.len());
        let upload = async move { bucket.put_part(&path, &id, number, part.into()).await };
        self.uploading = Some(spawn(upload));
        Ok(())
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part_bytes = self.part_bytes();
        if self.buffer.len() == part_bytes {
            self.start_part()?;
        }
        let bytes = &bytes[..bytes.len().min(part_bytes - self.buffer.len())];
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PendingFile for Upload {
    fn finish(mut self: Box<Self>) -> io::Result<Token> {
        if !self.buffer.is_empty() {
            self.start_part()?;
        }
        self.join_part()?;
        let finished = Finished {
            key: self.path.to_string(),
            id: self.id()?,
            parts: mem::take(&mut self.parts),
        };
        let token = Token::new(&finished)?;
        self.id = None;
        Ok(token)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(mut part) = self.uploading.take() {
            // A part that arrives after the end of the upload would remain.
            _ = join(&mut part);
        }
        let Some(id) = self.id.take() else { return };
        let (bucket, path) = (Arc::clone(&self.bucket), self.path.clone());
        // What remains is not visible.
        _ = wait(async move { bucket.abort_multipart(&path, &id).await });
    }
}
