//! Files of web servers.

use std::io::{self, Read};
use std::ops::Range;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use holdall::files::{
    FileInfo, FileSystem, OpenedFile, OutputOptions, PathPattern, PendingFile, PendingOutput, Token,
};
use reqwest::header::RANGE;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::cloud::MANY_REQUESTS;
use crate::frames::Frames;
use crate::http_file::HttpFile;
use crate::index::{canonical, links};
use crate::requests::{
    BUSY, body_of, client, failure, is_missing, method, patiently, refusal, send, size,
    upload_client, version,
};
use crate::runtime::wait;
use crate::staged::{Stage, StagedOutput, Staging, is_unfinished};

/// Number of bytes that are read ahead of each task.
const AHEAD_BYTES: usize = 4 << 20;

/// The files of web servers.
///
/// A path is a URL: special characters of names are encoded as in `a%20b`, or not at all if that is not ambiguous. Files
/// are read by ranges, if the server knows them. A directory or a pattern is resolved by the links of the server's pages,
/// such as nginx, Apache and Python's `http.server` return for directories. Patterns match encoded names.
///
/// Files are written by WebDAV: the server must know `PUT`, `MOVE` and `DELETE`.
///
/// # Examples
///
/// ```
/// use holdall::Context;
/// use holdall_stores::HttpFiles;
///
/// let private = HttpFiles::https().header("authorization", "Bearer 1234");
/// let context = Context::builder().file_system("https", private).build()?;
/// # let _ = context; // for example: context.read_text("https://example.org/logs/")?
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpFiles {
    scheme: String,
    headers: Vec<(String, String)>,
}

impl HttpFiles {
    fn new(scheme: &str) -> Self {
        Self {
            scheme: scheme.to_owned(),
            headers: Vec::new(),
        }
    }

    /// Returns the servers that are reached by HTTP.
    #[must_use]
    pub fn http() -> Self {
        Self::new("http")
    }

    /// Returns the servers that are reached by HTTPS.
    #[must_use]
    pub fn https() -> Self {
        Self::new("https")
    }

    /// Adds a header to all requests, for example for authorisation. It is sent to worker processes, and to each server
    /// that the program reads from.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn url(&self, path: &str) -> String {
        format!("{}://{path}", self.scheme)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let client = match method {
            Method::PUT => upload_client(),
            _ => client(),
        };
        let headers = self.headers.iter();
        headers.fold(
            client.request(method, self.url(path)),
            |request, (name, value)| request.header(name, value),
        )
    }

    /// Returns the file at exactly this path. Requests the first byte, because some servers answer `HEAD` differently.
    async fn probe(self, path: String) -> io::Result<Option<FileInfo>> {
        let response =
            patiently(self.request(Method::GET, &path).header(RANGE, "bytes=0-0")).await?;
        let is_page = response.url().path().ends_with('/');
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(Some(FileInfo::new(path, 0))),
            _ if is_page => Ok(None),
            status if !status.is_success() => Err(refusal(status)),
            _ => {
                let bytes = size(&response).ok_or_else(|| {
                    io::Error::other("the server does not tell the size of the file")
                })?;
                let file = FileInfo::new(path, bytes);
                Ok(Some(match version(response.headers()) {
                    Some(version) => file.version(version),
                    None => file,
                }))
            }
        }
    }

    /// Returns the paths of all files below a directory whose paths begin with `prefix`, by the links of its pages.
    /// Returns `None` if the server has no page for it.
    async fn crawl(self, directory: String, prefix: String) -> io::Result<Option<Vec<String>>> {
        let (mut directories, mut found, mut is_first) = (vec![directory], Vec::new(), true);
        while let Some(directory) = directories.pop() {
            let page = match body_of(self.request(Method::GET, &directory)).await {
                Err(error) if is_first && is_missing(&error) => return Ok(None),
                page => page?,
            };
            is_first = false;
            for path in links(&self.url(&directory), &page) {
                let is_wanted = path.starts_with(&prefix) && !is_unfinished(&path);
                match path.strip_suffix('/') {
                    Some(name) if is_wanted || prefix.starts_with(name) => directories.push(path),
                    None if is_wanted => found.push(path),
                    _ => {}
                }
            }
        }
        Ok(Some(found))
    }

    async fn probe_all(self, paths: Vec<String>) -> io::Result<Vec<FileInfo>> {
        let probe = |path| self.clone().probe(path);
        let found = stream::iter(paths.into_iter().map(probe)).buffered(MANY_REQUESTS);
        found
            .try_filter_map(|file| async { Ok(file) })
            .try_collect()
            .await
    }

    async fn list_all(self, prefix: String) -> io::Result<Vec<FileInfo>> {
        let end = prefix.rfind('/').map_or(prefix.len(), |end| end + 1);
        let parent = self.clone().crawl(prefix[..end].to_owned(), prefix.clone());
        if let Some(paths) = parent.await? {
            return self.probe_all(paths).await;
        }
        // The directory above may have no page.
        let below = format!("{}/", prefix.trim_end_matches('/'));
        let paths = self.clone().crawl(below.clone(), below).await?;
        let mut found = self.clone().probe_all(paths.unwrap_or_default()).await?;
        found.extend(self.probe(prefix).await?);
        Ok(found)
    }

    async fn find_all(self, path: String) -> io::Result<Vec<FileInfo>> {
        let is_pattern = path.contains(['*', '?', '[']);
        match self.clone().probe(path.clone()).await {
            Ok(Some(file)) => return Ok(vec![file]),
            Err(error) if !is_pattern => return Err(error),
            _ => {}
        }
        let path = canonical(&path);
        let pattern = PathPattern::new(&*path);
        if is_pattern {
            return pattern.select(self.list_all(pattern.prefix().to_owned()).await?);
        }
        let below = format!("{}/", path.trim_end_matches('/'));
        let paths = self.clone().crawl(below.clone(), below).await?;
        pattern.select(self.probe_all(paths.unwrap_or_default()).await?)
    }

    async fn get(self, path: String, range: Range<u64>) -> io::Result<(Response, u64)> {
        let bytes = format!("bytes={}-{}", range.start, range.end - 1);
        let response = self
            .request(Method::GET, &path)
            .header(RANGE, bytes)
            .send()
            .await;
        let response = response.map_err(failure)?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => Ok((response, 0)),
            // The server sends the whole file.
            StatusCode::OK => Ok((response, range.start)),
            status => Err(refusal(status)),
        }
    }
}

impl FileSystem for HttpFiles {
    fn list(&self, prefix: &str) -> io::Result<Vec<FileInfo>> {
        wait(self.clone().list_all(canonical(prefix))).map_err(given_up)
    }

    fn find(&self, path: &str) -> io::Result<Vec<FileInfo>> {
        wait(self.clone().find_all(path.to_owned())).map_err(given_up)
    }

    fn open(&self, path: &str, range: Range<u64>) -> io::Result<OpenedFile> {
        let (response, skipped) = wait(self.clone().get(path.to_owned(), range))?;
        let version = version(response.headers());
        let mut frames = Frames::new(response.bytes_stream().map(|frame| frame.map_err(failure)));
        io::copy(&mut frames.by_ref().take(skipped), &mut io::sink())?;
        let file = OpenedFile::new(frames);
        Ok(match version {
            Some(version) => file.version(version),
            None => file,
        })
    }

    fn begin(&self, path: &str, options: &OutputOptions) -> io::Result<Box<dyn PendingOutput>> {
        Ok(Box::new(StagedOutput::begin(
            self.clone(),
            &canonical(path),
            options,
        )?))
    }

    fn create(
        &self,
        output: &Token,
        name: &str,
        attempt: &str,
    ) -> io::Result<Box<dyn PendingFile>> {
        let stage = output.get::<Stage>()?;
        let file = stage.file(self, &canonical(name), attempt)?;
        let write = self.request(Method::PUT, &file.from);
        let delete = self.request(Method::DELETE, &file.from);
        Ok(Box::new(HttpFile::create(write, delete, file)))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        wait(send(self.request(Method::DELETE, path)))
    }

    fn is_transient(&self, error: &io::Error) -> bool {
        use io::ErrorKind as Kind;
        matches!(
            error.kind(),
            BUSY | Kind::ConnectionRefused
                | Kind::ConnectionReset
                | Kind::TimedOut
                | Kind::UnexpectedEof
        )
    }

    fn read_ahead_bytes(&self) -> usize {
        AHEAD_BYTES
    }
}

impl Staging for HttpFiles {
    fn rename(&self, from: String, to: String) -> BoxFuture<'static, io::Result<()>> {
        let request = self.request(method(b"MOVE"), &from);
        let request = request
            .header("destination", self.url(&to))
            .header("overwrite", "T");
        // It is not repeated: if the first one has succeeded, the second one finds no file.
        let rename = async move {
            match request.send().await.map_err(failure)?.status() {
                status if status.is_success() => Ok(()),
                status => Err(refusal(status)),
            }
        };
        rename.boxed()
    }

    fn delete_file(&self, path: String) -> BoxFuture<'static, io::Result<()>> {
        let this = self.clone();
        let delete = async move {
            match send(this.request(Method::DELETE, &path)).await {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                outcome => outcome,
            }
        };
        delete.boxed()
    }

    fn delete_directory(&self, path: String) -> BoxFuture<'static, io::Result<()>> {
        self.delete_file(format!("{path}/"))
    }

    fn create_directory(&self, path: String) -> BoxFuture<'static, io::Result<()>> {
        let this = self.clone();
        let create = async move {
            let create = || patiently(this.request(method(b"MKCOL"), &format!("{path}/")));
            let mut status = create().await?.status();
            if status == StatusCode::CONFLICT
                && let Some((parent, _)) = path.rsplit_once('/')
            {
                this.create_directory(parent.to_owned()).await?;
                status = create().await?.status();
            }
            match status {
                // It exists, or the server creates directories automatically.
                StatusCode::METHOD_NOT_ALLOWED => Ok(()),
                status if status.is_success() => Ok(()),
                status => Err(refusal(status)),
            }
        };
        create.boxed()
    }
}

/// Returns an error that is not transient: each request was repeated already.
fn given_up(error: io::Error) -> io::Error {
    match error.kind() {
        BUSY => io::Error::other(error),
        _ => error,
    }
}
