//! `write_text_by_key`: writes the values of each key to a directory of their own.

use std::collections::HashMap;
use std::fmt::Display;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::super::group_by_key::Group;
use super::write::{Attempt, PartitionWriter};
use super::write_text::WriteLine;
use crate::error::{BoxError, Result};
use crate::files::{FinishedFile, OutputWriter, attempt_name};
use crate::pipeline::{Data, Ref};

/// Writes the values of each group to a file in the directory of its key.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct WriteByKey<K, V, Form> {
    pub(crate) output: OutputWriter,
    /// First line of each file.
    pub(crate) header: Option<String>,
    /// Number of partitions of the groups.
    pub(crate) partitions: usize,
    pub(crate) types: PhantomData<fn(K, V) -> Form>,
}

/// The files of a partition, each with the number of its records.
pub(crate) type FilesOfKeys = Vec<(FinishedFile, u64)>;

/// State of one attempt at a partition.
pub(crate) struct OpenKeys {
    partition: usize,
    files: FilesOfKeys,
    /// Number of files in each directory. There are several if keys that differ are displayed in the same way.
    directories: HashMap<String, usize>,
}

impl<K, V, Form> PartitionWriter<Group<K, V>> for WriteByKey<K, V, Form>
where
    K: Data + Display,
    V: Data + WriteLine<Form, Owned = V>,
    Form: 'static,
{
    type Open = OpenKeys;
    type Part = FilesOfKeys;

    fn open(&self, attempt: &Attempt) -> Result<OpenKeys, BoxError> {
        Ok(OpenKeys {
            partition: attempt.partition(),
            files: Vec::new(),
            directories: HashMap::new(),
        })
    }

    fn write(
        &self,
        open: &mut OpenKeys,
        (key, values): Ref<'_, Group<K, V>>,
    ) -> Result<(), BoxError> {
        let directory = directory_name(&key.to_string());
        let earlier = open.directories.entry(directory.clone()).or_default();
        let number = open.partition + *earlier * self.partitions;
        *earlier += 1;
        let mut file = self.output.create_in(&directory, number, &attempt_name())?;
        if let Some(header) = &self.header {
            str::write_line(header, &mut file)?;
        }
        let mut records = 0;
        for value in values {
            V::write_line(V::peek_owned(&value), &mut file)?;
            records += 1;
        }
        open.files.push((file.finish()?, records));
        Ok(())
    }

    fn finish(&self, open: OpenKeys) -> Result<FilesOfKeys, BoxError> {
        Ok(open.files)
    }
}

/// Returns the name of the directory of a key. Characters that a name may not have, or that hide a file, are replaced by
/// `%` and their bytes, as in URLs.
fn directory_name(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    for (at, char) in key.char_indices() {
        let is_hiding = at == 0 && matches!(char, '.' | '_');
        if is_hiding || char.is_control() || matches!(char, '/' | '\\' | '%') {
            let mut bytes = [0; 4];
            for byte in char.encode_utf8(&mut bytes).bytes() {
                name.push_str(&format!("%{byte:02X}"));
            }
        } else {
            name.push(char);
        }
    }
    if name.is_empty() {
        name.push('%');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::directory_name;

    #[test]
    fn each_key_has_a_name_of_its_own_that_is_not_hidden() {
        for (key, name) in [
            ("plain name", "plain name"),
            ("\u{e9}/.x", "\u{e9}%2F.x"),
            ("..", "%2E."),
            (".holdall-1", "%2Eholdall-1"),
            ("_SUCCESS", "%5FSUCCESS"),
            ("100%", "100%25"),
            ("a\nb\u{85}", "a%0Ab%C2%85"),
            ("", "%"),
        ] {
            assert_eq!(directory_name(key), name);
        }
    }
}
