//! A directory of files that are read from start to end, on any file system.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::any::AnyFileSystem;
use super::file::FileInfo;
use super::file_reader::FileReader;
use super::file_systems::FileSystems;
use super::path::{check_local, local_path};
use super::remote_reader::RemoteReader;
use super::retry::retry;
use crate::error::{Error, Result, plain};

/// A directory. Tasks read its files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct InputDirectory {
    /// Path as the user has specified it.
    #[serde(with = "plain")]
    path: PathBuf,
    /// File system, and path without the scheme, unless the path is local.
    remote: Option<(AnyFileSystem, String)>,
}

impl InputDirectory {
    pub(crate) fn new(file_systems: &FileSystems, path: &Path) -> Result<Self> {
        let remote = file_systems.find(path)?;
        if remote.is_none() {
            check_local(path)?;
        }
        let remote = remote.map(|(file_system, rest)| {
            let rest = rest.trim_end_matches('/').to_owned();
            (file_system.clone(), rest)
        });
        let path = path.to_owned();
        Ok(Self { path, remote })
    }

    /// Returns the path of a file.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the files of the directory by their names, without those of directories in it. The paths of the files
    /// are their names.
    ///
    /// # Errors
    ///
    /// Returns an error if the directory cannot be read. A directory that does not exist is empty.
    pub(crate) fn list(&self) -> Result<HashMap<String, FileInfo>> {
        let listed = match &self.remote {
            None => list_local(local_path(&self.path)),
            Some((file_system, directory)) => {
                let prefix = format!("{directory}/");
                let listed = retry(file_system, || file_system.get().list(&prefix));
                listed.map(|files| {
                    let named = files.into_iter().filter_map(|file| {
                        let path = file.path.strip_prefix(&prefix)?.to_owned();
                        Some(FileInfo { path, ..file })
                    });
                    named.filter(|file| !file.path.contains('/')).collect()
                })
            }
        };
        let listed: Vec<_> = listed.map_err(|error| Error::io("list", &self.path, error))?;
        Ok(listed
            .into_iter()
            .map(|file| (file.path.clone(), file))
            .collect())
    }

    /// Opens a file that [`list`](Self::list) has returned.
    ///
    /// # Errors
    ///
    /// Returns an error if a local file cannot be opened. Others are opened when they are read.
    pub(crate) fn open(&self, file: &FileInfo) -> Result<FileReader> {
        let path = self.path_of(&file.path);
        let Some((file_system, directory)) = &self.remote else {
            let opened = File::open(local_path(&path));
            let opened = opened.map_err(|error| Error::io("open", &path, error))?;
            return Ok(FileReader::Local(opened));
        };
        let path = format!("{directory}/{}", file.path);
        let version = file.version.as_deref();
        let mut reader = RemoteReader::new(file_system, &path, version, file.bytes, 0);
        reader.expect_end(file.bytes);
        Ok(FileReader::Remote(Box::new(reader)))
    }
}

fn list_local(directory: &Path) -> io::Result<Vec<FileInfo>> {
    let mut files = Vec::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        // No caller opens a file with another name.
        if let Ok(name) = entry.file_name().into_string()
            && entry.file_type()?.is_file()
        {
            files.push(FileInfo::new(name, entry.metadata()?.len()));
        }
    }
    Ok(files)
}
