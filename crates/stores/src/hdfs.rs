//! Files of the Hadoop Distributed File System.

use std::collections::HashMap;
use std::io::{self, Write};
use std::mem;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use hdfs_native::client::FileStatus;
use hdfs_native::file::FileWriter;
use hdfs_native::{Client, ClientBuilder, HdfsError, WriteOptions};
use holdall::files::{
    FileInfo, FileSystem, OpenedFile, OutputOptions, PendingFile, PendingOutput, Token,
};
use serde::{Deserialize, Serialize};

use crate::frames::Frames;
use crate::runtime::{wait, within};
use crate::staged::{Stage, Staged, StagedOutput, Staging, is_unfinished};

/// Number of bytes that are read ahead of each task.
const AHEAD_BYTES: usize = 4 << 20;

/// Size of the pieces in which a file is written, in bytes.
const PIECE_BYTES: usize = 256 << 10;

/// The kind of error of a lost connection.
const LOST: io::ErrorKind = io::ErrorKind::ConnectionReset;

/// The Hadoop Distributed File System.
///
/// A path is the host and port of the name node, or the name of a name service, followed by the path of the file. In
/// `hdfs:///data`, where both are missing, `fs.defaultFS` of the configuration counts. `HADOOP_CONF_DIR` or `HADOOP_HOME`
/// lead to the configuration, and `HADOOP_USER_NAME` is the name of the user. Kerberos is used if the configuration asks
/// for it.
///
/// # Examples
///
/// ```
/// use holdall::Context;
/// use holdall_stores::HdfsFiles;
///
/// let hdfs = HdfsFiles::new().option("dfs.client.use.datanode.hostname", "true");
/// let context = Context::builder().file_system("hdfs", hdfs).build()?;
/// # let _ = context; // for example: context.read_text("hdfs://namenode:8020/logs/*.gz")?
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HdfsFiles {
    options: Vec<(String, String)>,
}

impl HdfsFiles {
    /// Returns the file systems of the Hadoop configuration.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets an option of the Hadoop configuration. It is sent to worker processes.
    #[must_use]
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Returns the client of a name node, and the path there.
    fn locate<'p>(&self, path: &'p str) -> io::Result<(Client, &'p str, &'p str)> {
        type Known = HashMap<(HdfsFiles, String), Client>;
        static CLIENTS: Mutex<Option<Known>> = Mutex::new(None);
        let (host, path) = path.split_at(path.find('/').unwrap_or(path.len()));
        let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
        let clients = clients.get_or_insert_default();
        let key = (self.clone(), host.to_owned());
        if let Some(client) = clients.get(&key) {
            return Ok((client.clone(), host, path));
        }
        let builder = ClientBuilder::new().with_config(self.options.iter().cloned());
        let builder = match host {
            "" => builder,
            host => builder.with_url(format!("hdfs://{host}")),
        };
        // The client starts tasks.
        let client = within(|| builder.build()).map_err(failure)?;
        clients.insert(key, client.clone());
        Ok((client, host, path))
    }

    fn call<F>(
        &self,
        path: String,
        call: impl FnOnce(Client, String) -> F + Send + 'static,
    ) -> BoxFuture<'static, io::Result<()>>
    where
        F: Future<Output = hdfs_native::Result<()>> + Send + 'static,
    {
        let located = self
            .locate(&path)
            .map(|(client, _, path)| (client, path.to_owned()));
        let call = async move {
            let (client, path) = located?;
            call(client, path).await.map_err(failure)
        };
        call.boxed()
    }
}

/// Returns the files below the directory of `prefix` whose paths begin with it.
async fn list(client: Client, prefix: String) -> hdfs_native::Result<Vec<FileStatus>> {
    let parent = prefix.rfind('/').map_or("/", |end| &prefix[..end.max(1)]);
    let (mut found, mut directories) = (Vec::new(), vec![(parent.to_owned(), false)]);
    while let Some((directory, is_recursive)) = directories.pop() {
        let entries = match client.list_status(&directory, is_recursive).await {
            Err(HdfsError::FileNotFound(_)) => continue,
            entries => entries?,
        };
        for entry in entries {
            match entry {
                entry if !entry.path.starts_with(&prefix) || is_unfinished(&entry.path) => {}
                entry if !entry.isdir => found.push(entry),
                entry if !is_recursive => directories.push((entry.path, true)),
                _ => {}
            }
        }
    }
    Ok(found)
}

fn version_of(file: &FileStatus) -> String {
    format!("{} {}", file.modification_time, file.length)
}

fn failure(error: HdfsError) -> io::Error {
    let kind = match &error {
        HdfsError::IOError(error) if error.kind() == io::ErrorKind::Other => LOST,
        HdfsError::IOError(error) => error.kind(),
        HdfsError::DataTransferError(_) | HdfsError::ChecksumError => LOST,
        HdfsError::FileNotFound(_) | HdfsError::BlocksNotFound(_) => io::ErrorKind::NotFound,
        HdfsError::AlreadyExists(_) => io::ErrorKind::AlreadyExists,
        HdfsError::RPCError(class, _) if class.ends_with("AccessControlException") => {
            io::ErrorKind::PermissionDenied
        }
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error.to_string())
}

impl FileSystem for HdfsFiles {
    fn list(&self, prefix: &str) -> io::Result<Vec<FileInfo>> {
        let (client, host, path) = self.locate(prefix)?;
        let found = wait(list(client, path.to_owned())).map_err(failure)?;
        let info = |file: FileStatus| {
            let path = format!("{host}{}", file.path);
            FileInfo::new(path, file.length as u64).version(version_of(&file))
        };
        Ok(found.into_iter().map(info).collect())
    }

    fn open(&self, path: &str, range: Range<u64>) -> io::Result<OpenedFile> {
        let (client, _, path) = self.locate(path)?;
        let path = path.to_owned();
        let open = async move {
            let file = client.get_file_info(&path).await?;
            Ok((file, client.read(&path).await?))
        };
        let (file, reader) = wait(open).map_err(failure)?;
        let start = usize::try_from(range.start).map_err(io::Error::other)?;
        let end = usize::try_from(range.end).map_err(io::Error::other)?;
        let end = end.min(reader.file_length());
        let stream = reader.read_range_stream(start.min(end), end.saturating_sub(start));
        let frames = Frames::new(stream.map(|frame| frame.map_err(failure)));
        Ok(OpenedFile::new(frames).version(version_of(&file)))
    }

    fn begin(&self, path: &str, options: &OutputOptions) -> io::Result<Box<dyn PendingOutput>> {
        Ok(Box::new(StagedOutput::begin(self.clone(), path, options)?))
    }

    fn create(
        &self,
        output: &Token,
        name: &str,
        attempt: &str,
    ) -> io::Result<Box<dyn PendingFile>> {
        let staged = output.get::<Stage>()?.file(self, name, attempt)?;
        let (client, _, path) = self.locate(&staged.from)?;
        let path = path.to_owned();
        let create = async move { client.create(&path, WriteOptions::default()).await };
        let writer = wait(create).map_err(failure)?;
        Ok(Box::new(HdfsFile {
            files: self.clone(),
            staged,
            piece: Vec::with_capacity(PIECE_BYTES),
            writer: Some(writer),
        }))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        wait(self.delete_file(path.to_owned()))
    }

    fn read_ahead_bytes(&self) -> usize {
        AHEAD_BYTES
    }
}

impl Staging for HdfsFiles {
    fn rename(&self, from: String, to: String) -> BoxFuture<'static, io::Result<()>> {
        self.call(from, |client, from| async move {
            let to = &to[to.find('/').unwrap_or(to.len())..];
            client.rename(&from, to, true).await
        })
    }

    fn delete_file(&self, path: String) -> BoxFuture<'static, io::Result<()>> {
        self.delete_directory(path)
    }

    fn delete_directory(&self, path: String) -> BoxFuture<'static, io::Result<()>> {
        self.call(path, |client, path| async move {
            match client.delete(&path, true).await {
                Ok(_) | Err(HdfsError::FileNotFound(_)) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    fn create_directory(&self, path: String) -> BoxFuture<'static, io::Result<()>> {
        self.call(path, |client, path| async move {
            client.mkdirs(&path, 0o755, true).await
        })
    }
}

/// A file that a task writes.
struct HdfsFile {
    files: HdfsFiles,
    staged: Staged,
    piece: Vec<u8>,
    /// `None` once the file is complete or has failed.
    writer: Option<FileWriter>,
}

impl HdfsFile {
    fn write_piece(&mut self) -> io::Result<()> {
        let Some(mut writer) = self.writer.take() else {
            return Err(io::Error::other("an earlier write has failed"));
        };
        let piece = mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let write = async move {
            writer.write_bytes(Bytes::from(piece)).await?;
            Ok(writer)
        };
        self.writer = Some(wait(write).map_err(failure)?);
        Ok(())
    }
}

impl Write for HdfsFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() == PIECE_BYTES {
            self.write_piece()?;
        }
        let bytes = &bytes[..bytes.len().min(PIECE_BYTES - self.piece.len())];
        self.piece.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PendingFile for HdfsFile {
    fn finish(mut self: Box<Self>) -> io::Result<Token> {
        self.write_piece()?;
        if let Some(mut writer) = self.writer.take() {
            wait(async move { writer.close().await }).map_err(failure)?;
        }
        Token::new(&self.staged)
    }
}

impl Drop for HdfsFile {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            // What remains is never listed.
            _ = wait(self.files.delete_file(self.staged.from.clone()));
        }
    }
}
