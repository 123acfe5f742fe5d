//! An input file of holdall as an object store of DataFusion.

use std::fmt;
use std::io::Read;
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use datafusion_datasource::PartitionedFile;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use holdall::files::{InputFile, InputReader};
use tokio::task::spawn_blocking;

/// Number of bytes that are read together. More would stay in memory longer, and fewer would cost more calls.
const READ_BYTES: usize = 256 << 10;

/// A store with one file, which has any name.
#[derive(Debug)]
pub(crate) struct FileStore(pub(crate) InputFile);

impl fmt::Display for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.path().display().fmt(f)
    }
}

fn failed(error: impl Into<holdall::BoxError>) -> Error {
    let source = error.into();
    Error::Generic {
        store: "holdall",
        source,
    }
}

impl FileStore {
    /// Returns the error of a method that a scan does not call.
    fn read_only(&self, operation: &str) -> Error {
        Error::NotImplemented {
            operation: operation.to_owned(),
            implementer: self.to_string(),
        }
    }
}

/// Returns the bytes of a range, piece by piece.
fn read(file: InputFile, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
    type State = (InputFile, Option<InputReader>, Range<u64>);
    let next = async |(file, reader, range): State| {
        if range.is_empty() {
            return Ok(None);
        }
        let read = spawn_blocking(move || {
            let mut reader = match reader {
                Some(reader) => reader,
                None => file.open(range.clone())?,
            };
            let left = range.end - range.start;
            let len = usize::try_from(left).map_or(READ_BYTES, |left| left.min(READ_BYTES));
            let mut bytes = vec![0; len];
            reader.read_exact(&mut bytes)?;
            let rest = range.start + len as u64..range.end;
            Ok::<_, holdall::Error>((Bytes::from(bytes), (file, Some(reader), rest)))
        });
        Ok(Some(read.await.map_err(failed)?.map_err(failed)?))
    };
    stream::try_unfold((file, None, range), next).boxed()
}

/// Returns the content of a compressed file, piece by piece.
pub(crate) fn decoded(file: InputFile) -> BoxStream<'static, Result<Bytes>> {
    type State = (InputFile, Option<Box<dyn Read + Send>>);
    let next = async |(file, reader): State| {
        let read = spawn_blocking(move || {
            let mut reader: Box<dyn Read + Send> = match reader {
                Some(reader) => reader,
                None => Box::new(file.open_decoded()?),
            };
            let mut bytes = Vec::new();
            let mut piece = reader.by_ref().take(READ_BYTES as u64);
            piece.read_to_end(&mut bytes)?;
            Ok::<_, holdall::Error>((Bytes::from(bytes), (file, Some(reader))))
        });
        let (bytes, state) = read.await.map_err(failed)?.map_err(failed)?;
        Ok((!bytes.is_empty()).then_some((bytes, state)))
    };
    stream::try_unfold((file, None), next).boxed()
}

#[async_trait]
impl ObjectStore for FileStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let bytes = self.0.bytes();
        let range = match options.range {
            None => 0..bytes,
            Some(GetRange::Bounded(range)) => range.start.min(bytes)..range.end.min(bytes),
            Some(GetRange::Offset(start)) => start.min(bytes)..bytes,
            Some(GetRange::Suffix(length)) => bytes.saturating_sub(length)..bytes,
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(read(self.0.clone(), range.clone())),
            meta: ObjectMeta {
                location: location.clone(),
                ..PartitionedFile::new("", bytes).object_meta
            },
            range,
            attributes: Attributes::default(),
        })
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(self.read_only("writing"))
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(self.read_only("writing"))
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        stream::iter([Err(self.read_only("deleting"))]).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::iter([Err(self.read_only("listing"))]).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(self.read_only("listing"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(self.read_only("copying"))
    }
}
