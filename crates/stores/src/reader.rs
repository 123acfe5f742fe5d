//! Reads an object by several requests at a time.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::ops::Range;
use std::vec;

use bytes::{Buf, Bytes};
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta};
use tokio::task::JoinHandle;

use crate::bucket::Bucket;
use crate::failure::failure;
use crate::runtime::{join, spawn, wait};

/// Size of the first request of a reader, in bytes. Larger requests delay the first records.
const FIRST_BYTES: u64 = 512 << 10;

/// Size of the other requests, in bytes. Smaller requests cost more, larger ones need more memory.
const REQUEST_BYTES: u64 = 2 << 20;

/// Maximum number of requests of a reader at a time. One connection to a store across a network is slower than a core
/// that counts words; more requests than these need more memory.
const MAX_REQUESTS: usize = 4;

type Fetched = io::Result<(ObjectMeta, Vec<Bytes>)>;

/// Reads a range of an object ahead of its user. Each request asks for the same version.
pub(crate) struct ObjectReader {
    bucket: Bucket,
    path: Path,
    e_tag: Option<String>,
    /// The part of the range that no request has asked for.
    rest: Range<u64>,
    requests: VecDeque<JoinHandle<Fetched>>,
    /// Number of requests that may run. It grows with what is read: many readers end after the first bytes.
    width: usize,
    chunks: vec::IntoIter<Bytes>,
    chunk: Bytes,
}

impl ObjectReader {
    /// Returns a reader, and the version of the object, if it is known.
    pub(crate) fn open(
        bucket: Bucket,
        path: Path,
        range: Range<u64>,
    ) -> io::Result<(Self, Option<String>)> {
        let end = range.end.min(range.start + FIRST_BYTES);
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.start..end)),
            ..GetOptions::default()
        };
        let (meta, chunks) = wait(fetch(bucket.clone(), path.clone(), options))?;
        let reader = Self {
            bucket,
            path,
            rest: end..range.end,
            requests: VecDeque::new(),
            width: 1,
            chunks: chunks.into_iter(),
            chunk: Bytes::new(),
            e_tag: meta.e_tag.clone(),
        };
        Ok((reader, version_of(&meta)))
    }

    fn request(&mut self) {
        while self.requests.len() < self.width && !self.rest.is_empty() {
            let end = self.rest.end.min(self.rest.start + REQUEST_BYTES);
            let options = GetOptions {
                range: Some(GetRange::Bounded(self.rest.start..end)),
                if_match: self.e_tag.clone(),
                ..GetOptions::default()
            };
            let fetch = fetch(self.bucket.clone(), self.path.clone(), options);
            self.requests.push_back(spawn(fetch));
            self.rest.start = end;
        }
    }
}

async fn fetch(bucket: Bucket, path: Path, options: GetOptions) -> Fetched {
    let object = bucket.get_opts(&path, options).await.map_err(failure)?;
    let meta = object.meta.clone();
    let chunks = object.into_stream().try_collect().await;
    Ok((meta, chunks.map_err(failure)?))
}

/// Returns what changes with the content of an object, if it is known: some servers list no entity tags. Azure quotes them,
/// except in lists.
pub(crate) fn version_of(meta: &ObjectMeta) -> Option<String> {
    Some(meta.e_tag.as_ref()?.trim_matches('"').to_owned())
}

impl Read for ObjectReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            self.request();
            if let Some(chunk) = self.chunks.next() {
                self.chunk = chunk;
            } else if let Some(mut request) = self.requests.pop_front() {
                self.width = MAX_REQUESTS.min(self.width + 1);
                self.chunks = join(&mut request)?.1.into_iter();
            } else {
                break;
            }
        }
        let read = self.chunk.len().min(out.len());
        self.chunk.copy_to_slice(&mut out[..read]);
        Ok(read)
    }
}

impl Drop for ObjectReader {
    fn drop(&mut self) {
        self.requests.iter().for_each(JoinHandle::abort);
    }
}
