//! Stores with buckets: Amazon S3, Google Cloud Storage and Azure, and servers that speak their protocols.

use std::io;
use std::ops::Range;

use futures_util::{StreamExt, TryStreamExt, stream};
use holdall::files::{
    FileInfo, FileSystem, OpenedFile, OutputOptions, PendingFile, PendingOutput, Token,
};
use object_store::list::PaginatedListOptions;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use serde::{Deserialize, Serialize};

use crate::bucket::{Bucket, Options, Service, bucket};
use crate::failure::{CHANGED, failure};
use crate::output::CloudOutput;
use crate::reader::{ObjectReader, version_of};
use crate::runtime::wait;
use crate::unfinished::{self, Which};
use crate::upload::Upload;

/// Number of small requests at a time.
pub(crate) const MANY_REQUESTS: usize = 16;

/// A store with buckets: Amazon S3, Google Cloud Storage, Azure Blob Storage, or a server with the same protocol.
///
/// The part of a path after the scheme is the name of the bucket, `/`, and the key, which is used as it is: nothing in
/// it is decoded. Keys with empty parts, with the parts `.` and `..`, and with control characters are refused.
///
/// Settings come from the environment and from the files of the service's own tools, in each process that reads or
/// writes; see the [crate docs](crate#credentials). [`option`](Self::option) overrides them.
///
/// # Examples
///
/// ```
/// use holdall::Context;
/// use holdall_stores::CloudStore;
///
/// let minio = CloudStore::s3()
///     .option("endpoint", "http://127.0.0.1:9000")
///     .option("access_key_id", "me")
///     .option("secret_access_key", "secret");
/// let context = Context::builder().file_system("minio", minio).build()?;
/// # let _ = context; // for example: context.read_text("minio://bucket/logs/*.gz")?
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudStore {
    service: Service,
    options: Options,
}

impl CloudStore {
    fn new(service: Service) -> Self {
        Self {
            service,
            options: Options::new(),
        }
    }

    /// Returns Amazon S3, or a server that speaks its protocol.
    #[must_use]
    pub fn s3() -> Self {
        Self::new(Service::S3)
    }

    /// Returns Google Cloud Storage.
    #[must_use]
    pub fn gcs() -> Self {
        Self::new(Service::Gcs)
    }

    /// Returns Azure Blob Storage, also with a hierarchical namespace.
    ///
    /// A container may be followed by `@` and the host of its account, as in
    /// `abfs://container@account.dfs.core.windows.net/key`.
    #[must_use]
    pub fn azure() -> Self {
        Self::new(Service::Azure)
    }

    /// Sets an option. It is sent to worker processes, so that they need not have it in their environment.
    ///
    /// The names are those of `object_store`: see the enums
    /// [`AmazonS3ConfigKey`](object_store::aws::AmazonS3ConfigKey),
    /// [`GoogleConfigKey`](object_store::gcp::GoogleConfigKey) and
    /// [`AzureConfigKey`](object_store::azure::AzureConfigKey). The first call that needs the bucket returns an error if
    /// the name is unknown.
    #[must_use]
    pub fn option(mut self, name: &str, value: impl Into<String>) -> Self {
        self.options.insert(name.to_lowercase(), value.into());
        self
    }

    /// Returns whether uploads that are never completed remain.
    fn keeps_uploads(&self) -> bool {
        self.service != Service::Azure
    }

    /// Returns the bucket that a path names, and the key after it.
    fn locate<'p>(&self, path: &'p str) -> io::Result<(Bucket, &'p str, &'p str)> {
        let (name, key) = path.split_once('/').unwrap_or((path, ""));
        Ok((bucket(self.service, &self.options, name)?, name, key))
    }
}

/// Returns the path of a key, as it is.
pub(crate) fn path_of(key: &str) -> io::Result<Path> {
    let path = Path::parse(key).map_err(|error| failure(error.into()))?;
    // `Path` drops a `/` at the start and at the end, and so is the path of another object.
    if path.as_ref() == key {
        return Ok(path);
    }
    let reason = "a key cannot begin or end with `/`";
    Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
}

/// Returns all objects whose keys begin with `prefix`.
async fn list(bucket: Bucket, prefix: String) -> object_store::Result<Vec<ObjectMeta>> {
    let mut objects = Vec::new();
    let mut page_token = None;
    loop {
        let options = PaginatedListOptions {
            page_token,
            ..PaginatedListOptions::default()
        };
        let prefix = Some(&*prefix).filter(|prefix| !prefix.is_empty());
        let page = bucket.list_paginated(prefix, options).await?;
        objects.extend(page.result.objects);
        page_token = page.page_token;
        if page_token.is_none() {
            break;
        }
    }
    // `object_store` drops the object whose key is the prefix from lists of Azure.
    if let Ok(path) = path_of(&prefix)
        && !prefix.is_empty()
        && objects.iter().all(|object| object.location != path)
    {
        match bucket.head(&path).await {
            Err(object_store::Error::NotFound { .. }) => {}
            object => objects.push(object?),
        }
    }
    without_markers(&bucket, objects).await
}

/// Drops the empty objects that stand for directories. Their keys end with a `/`, which `object_store` has dropped. So
/// what is empty, and not found by the key without the `/`, was a marker.
async fn without_markers(
    bucket: &Bucket,
    objects: Vec<ObjectMeta>,
) -> object_store::Result<Vec<ObjectMeta>> {
    let check = |object: ObjectMeta| async move {
        if object.size > 0 {
            return Ok(Some(object));
        }
        match bucket.head(&object.location).await {
            Ok(_) => Ok(Some(object)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let checked = stream::iter(objects.into_iter().map(check)).buffered(MANY_REQUESTS);
    checked
        .try_filter_map(|object| async { Ok(object) })
        .try_collect()
        .await
}

impl FileSystem for CloudStore {
    fn list(&self, prefix: &str) -> io::Result<Vec<FileInfo>> {
        let (bucket, name, key) = self.locate(prefix)?;
        let objects = wait(list(bucket, key.to_owned())).map_err(failure)?;
        let info = |object: ObjectMeta| {
            let path = format!("{name}/{}", object.location);
            let file = FileInfo::new(path, object.size);
            match version_of(&object) {
                Some(version) => file.version(version),
                None => file,
            }
        };
        Ok(objects.into_iter().map(info).collect())
    }

    fn open(&self, path: &str, range: Range<u64>) -> io::Result<OpenedFile> {
        let (bucket, _, key) = self.locate(path)?;
        let (reader, version) = ObjectReader::open(bucket, path_of(key)?, range)?;
        let file = OpenedFile::new(reader);
        Ok(match version {
            Some(version) => file.version(version),
            None => file,
        })
    }

    fn begin(&self, path: &str, options: &OutputOptions) -> io::Result<Box<dyn PendingOutput>> {
        let (bucket, _, key) = self.locate(path)?;
        if !key.is_empty() {
            path_of(key)?;
        }
        let prefix = match key {
            "" => String::new(),
            key => format!("{key}/"),
        };
        let is_kept = self.keeps_uploads() && !options.single_file;
        let unneeded = is_kept.then_some(Which::PartsIn(prefix));
        let token = Token::new(&(path, options.single_file))?;
        Ok(Box::new(CloudOutput::begin(bucket, token, unneeded)))
    }

    fn create(
        &self,
        output: &Token,
        name: &str,
        _attempt: &str,
    ) -> io::Result<Box<dyn PendingFile>> {
        let (directory, single_file): (String, bool) = output.get()?;
        let (bucket, _, key) = self.locate(&directory)?;
        let key = match key {
            "" => name.to_owned(),
            directory => format!("{directory}/{name}"),
        };
        let path = path_of(&key)?;
        if single_file && self.keeps_uploads() {
            let (bucket, which) = (bucket.clone(), Which::Of(key));
            // As for an output: an error is none of this file.
            _ = wait(async move { unfinished::abort(&bucket, &which).await });
        }
        Ok(Box::new(Upload::new(bucket, path)))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let (bucket, _, key) = self.locate(path)?;
        let path = path_of(key)?;
        wait(async move { bucket.delete(&path).await }).map_err(failure)
    }

    /// Only a changed object is: `object_store` repeats requests itself.
    fn is_transient(&self, error: &io::Error) -> bool {
        error.kind() == CHANGED
    }
}
