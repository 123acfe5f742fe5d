//! Object stores, web servers and HDFS as [file systems](holdall::files) of holdall.
//!
//! Call [`init`] at the top of `main`. From then on, each path can be a URL:
//!
//! ```no_run
//! fn main() -> holdall::Result<()> {
//!     holdall::init();
//!     holdall_stores::init();
//!     let errors = holdall::read_text("s3://bucket/logs/2024-*.gz")?.filter(|line| line.contains("ERROR"));
//!     errors.write_text("gs://bucket/errors")?;
//!     Ok(())
//! }
//! ```
//!
//! | scheme | store | file system |
//! | --- | --- | --- |
//! | `s3`, `s3a` | Amazon S3, and servers with its protocol | [`CloudStore::s3`] |
//! | `gs` | Google Cloud Storage | [`CloudStore::gcs`] |
//! | `az`, `abfs`, `abfss` | Azure Blob Storage and Data Lake Storage | [`CloudStore::azure`] |
//! | `http`, `https` | web servers; writing by WebDAV | [`HttpFiles`] |
//! | `hdfs` | Hadoop; feature `hdfs`, which is on by default | [`HdfsFiles`] |
//!
//! To set other options than those of the environment, or to use two servers with the same protocol, pass a file system
//! to [`ContextBuilder::file_system`](holdall::ContextBuilder::file_system). The guide `docs/stores.md` has examples.
//!
//! # Credentials
//!
//! Each process that reads or writes takes credentials from where the store's own tools take them. So worker processes
//! on other machines need their own, unless the program [sets](CloudStore::option) them.
//!
//! - **S3**: the variables `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`; the profile
//!   `AWS_PROFILE` in `~/.aws/credentials` and `~/.aws/config`; single sign-on; web identity tokens; a credential process;
//!   the metadata of a container or machine. `AWS_REGION`, `AWS_ENDPOINT_URL` and the profile specify the region and the
//!   endpoint. `AWS_SKIP_SIGNATURE=true` reads public buckets without credentials.
//! - **Google Cloud Storage**: the file that `GOOGLE_APPLICATION_CREDENTIALS` names, `GOOGLE_SERVICE_ACCOUNT_KEY`, the
//!   credentials of `gcloud auth application-default login`, the metadata of a machine. `STORAGE_EMULATOR_HOST` directs
//!   all requests to an emulator, without credentials.
//! - **Azure**: `AZURE_STORAGE_CONNECTION_STRING`; `AZURE_STORAGE_ACCOUNT` with `AZURE_STORAGE_KEY` or
//!   `AZURE_STORAGE_SAS_TOKEN`; a service principal or a federated token in `AZURE_CLIENT_ID`, `AZURE_TENANT_ID`,
//!   `AZURE_CLIENT_SECRET` or `AZURE_FEDERATED_TOKEN_FILE`; a managed identity; with `AZURE_USE_AZURE_CLI=true`, those of
//!   `az login`.
//! - **HTTP**: the user and password in the URL, or [headers](HttpFiles::header).
//! - **HDFS**: `HADOOP_USER_NAME`, or Kerberos, if the Hadoop configuration asks for it.
//!
//! # Reading
//!
//! Objects are read by ranges, ahead of each task. Requests that fail with a server error, a lost connection or a timeout
//! are repeated: up to 6 times for stores with buckets, and as
//! [`is_transient`](holdall::files::FileSystem::is_transient) describes for the others. Each request for a part of an
//! object asks for the version that was listed. If the object has changed, the job fails with
//! [`InputChanged`](holdall::ErrorKind::InputChanged).
//!
//! # Writing
//!
//! No reader ever sees a part of a file. Tasks upload parts, which are not visible, and the action completes the uploads
//! after the last task has finished. On HTTP and HDFS, tasks write to a directory `_holdall-unfinished` in that of the
//! output, and the action moves the files.
//!
//! No store can show several files at the same moment. So while an action commits, which takes a request for each file
//! and 16 of them at a time, a reader may see some of the new files. A job that fails, or whose process is killed before
//! the commit, leaves nothing visible, and what was there before remains. If the process is killed during the commit, some
//! files are visible; run it again with `overwrite`. [`save`](holdall::Bag::save) writes its manifest last, so a saved
//! bag is loaded as a whole or not at all.
//!
//! Files of a killed process are not visible, but occupy space:
//!
//! - The next run that writes to the same path deletes it. For S3 and Google Cloud Storage, that needs the permission to
//!   list unfinished uploads. If there may be no next run, set a lifecycle rule for the bucket that aborts incomplete
//!   multipart uploads.
//! - Azure deletes uncommitted blocks after a week.
//!
//! Two runs must not write to the same path at the same time.
//!
//! # Why `object_store`, and not OpenDAL
//!
//! An upload must be completed by another process than the one that has uploaded the parts: the process that runs the
//! action decides which attempts count. `object_store` has this, as `MultipartStore`. OpenDAL completes an upload in the
//! writer that has started it, so tasks would have to upload to other keys, and the commit would have to copy all data.
//! OpenDAL's better search for credentials of S3 is a crate of its own, which this one uses.

mod aws;
mod azure;
mod bucket;
mod cloud;
mod failure;
mod frames;
#[cfg(feature = "hdfs")]
mod hdfs;
mod http;
mod http_file;
mod index;
mod output;
mod reader;
mod requests;
mod runtime;
mod staged;
mod unfinished;
mod upload;
mod xml;

pub use cloud::CloudStore;
#[cfg(feature = "hdfs")]
pub use hdfs::HdfsFiles;
pub use http::HttpFiles;

use holdall::files::{FileSystem, register};

/// Adds all stores to all contexts of the process. Call it at the top of `main`.
///
/// Worker processes need not call it. A store that is set for a context overrides it.
///
/// # Examples
///
/// ```
/// holdall_stores::init();
/// let error = holdall::read_text("http://127.0.0.1:9/a.txt").unwrap_err();
/// assert!(error.is_io());
/// ```
pub fn init() {
    for scheme in ["s3", "s3a"] {
        add(scheme, CloudStore::s3());
    }
    add("gs", CloudStore::gcs());
    for scheme in ["az", "abfs", "abfss"] {
        add(scheme, CloudStore::azure());
    }
    add("http", HttpFiles::http());
    add("https", HttpFiles::https());
    #[cfg(feature = "hdfs")]
    add("hdfs", HdfsFiles::new());
}

fn add(scheme: &str, file_system: impl FileSystem) {
    register(scheme, file_system).expect("the scheme is valid");
}
