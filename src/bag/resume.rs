//! Saves a bag so that a run that was killed can be continued: see [`BagWriter::resume`](super::BagWriter::resume).

use std::fs::File;
use std::io::{self, Read};
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::Bag;
use super::output::Written;
use crate::error::{Error, ErrorKind, Result};
use crate::files::{check_local, part_name};
use crate::lineage::shuffles_before;
use crate::operators::actions::{SaveParts, WriteAction};
use crate::pipeline::{Pipeline, Storable};
use crate::portable::{Portable, Saver};
use crate::storage::file::{open, uninterrupted, write_error};
use crate::storage::output::{Existing, Output};
use crate::storage::saved::{MANIFEST, Manifest, SavedPart};
use crate::storage::unfinished::UnfinishedOutput;
use crate::task::Site;

/// Options of an output that can be continued.
pub(super) struct Resumable<'o> {
    /// Identity of the run, besides the program and the bag.
    pub(super) version: &'o str,
    pub(super) overwrite: bool,
    pub(super) is_durable: bool,
}

impl Resumable<'_> {
    /// Saves a bag at `path`, except for the partitions that an earlier run has finished. `manifest` has no partitions.
    pub(super) fn save<T, P>(
        &self,
        site: Site,
        bag: &Bag<T, P>,
        path: &Path,
        mut manifest: Manifest,
    ) -> Result<Written>
    where
        T: Storable + ?Sized,
        P: Pipeline<Out = T>,
    {
        if bag.context.file_systems().find(path)?.is_some() {
            let value = path.display().to_string();
            return Err(refused(value, "a local path"));
        }
        let Some(partitions) = bag.partitions() else {
            let value = bag.node.site.operator.to_owned();
            return Err(refused(value, "a bag with a known number of partitions"));
        };
        let local = check_local(path)?;
        bag.context.resolve(&bag.node, site)?;
        let key = key_of(bag, self.version, &manifest)?;
        manifest.run = Some(key.clone());
        let names: Vec<_> = (0..partitions)
            .map(|partition| part_name(partition as u64, manifest.digits))
            .collect();
        if let Some(finished) = finished(local, &key) {
            UnfinishedOutput::remove_for(local);
            return Ok(written(path, &names, &finished.partitions));
        }
        let output = Output::create(
            path,
            local,
            Existing::replaced_if(self.overwrite),
            self.is_durable,
        )?;
        let unfinished = UnfinishedOutput::open(local, &key);
        let unfinished = unfinished.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => {
                let reason = "another process is writing the same output";
                Error::io("create", path, io::Error::new(error.kind(), reason))
            }
            _ => write_error("create", path, 0, error),
        })?;
        let is_missing = |partition: &usize| !unfinished.finished().contains_key(partition);
        let missing: Vec<_> = (0..partitions).filter(is_missing).collect();
        let mut parts = unfinished.finished().clone();
        if !missing.is_empty() {
            let selected = bag.clone().select_partitions(missing.clone());
            let mut partitions = missing.clone().into_iter();
            let writer = SaveParts::<T> {
                directory: unfinished.path().to_owned(),
                missing,
                is_durable: self.is_durable,
                form: PhantomData,
            };
            selected.run(&WriteAction { site, writer }, |_, part| {
                parts.extend(partitions.next().map(|partition| (partition, part)));
                ControlFlow::Continue(())
            })?;
        }
        let in_order = (0..partitions).filter_map(|partition| parts.remove(&partition));
        manifest.partitions = in_order.collect();
        let bytes = manifest.encode()?;
        unfinished.commit(output, &names, &manifest.partitions, &bytes)?;
        Ok(written(path, &names, &manifest.partitions))
    }
}

fn refused(value: String, expected: &'static str) -> Error {
    Error::new(ErrorKind::InvalidSetting {
        setting: "BagWriter::resume",
        value,
        expected,
    })
}

fn written(path: &Path, names: &[String], parts: &[SavedPart]) -> Written {
    Written {
        records: parts.iter().map(|part| part.records).sum(),
        bytes: parts.iter().map(|part| part.bytes).sum(),
        files: names.iter().map(|name| path.join(name)).collect(),
    }
}

/// Returns the manifest of the output at `path`, if a run with this key has written it.
fn finished(path: &Path, key: &str) -> Option<Manifest> {
    let path = path.join(MANIFEST);
    let manifest = Manifest::read(File::open(&path).ok()?, &path).ok()?;
    (manifest.run.as_deref() == Some(key)).then_some(manifest)
}

/// Returns a hash of everything that the library knows to determine the records of a bag.
fn key_of<T, P>(bag: &Bag<T, P>, version: &str, manifest: &Manifest) -> Result<String>
where
    T: Storable + ?Sized,
    P: Pipeline<Out = T>,
{
    let code = Saver::key(|to| {
        to.data(&(env!("CARGO_PKG_VERSION"), version))?;
        to.data(manifest)?;
        to.data(&std::env::current_dir().ok())?;
        for shuffle in shuffles_before(&bag.node) {
            shuffle.save(to)?;
        }
        std::sync::Arc::clone(&bag.pipeline).erase().save(to)
    })?;
    let mut hasher = Sha256::new();
    hasher.update(program()?);
    hasher.update(code);
    Ok(hex(&hasher.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns a hash of the executable, whose code the addresses of functions identify.
fn program() -> Result<[u8; 32]> {
    static PROGRAM: OnceLock<[u8; 32]> = OnceLock::new();
    if let Some(hash) = PROGRAM.get() {
        return Ok(*hash);
    }
    // Leads to the executable that runs, even if another one has taken its place.
    let path = Path::new("/proc/self/exe");
    let mut file = open(path)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; 256 << 10];
    loop {
        let read = uninterrupted(|| file.read(&mut block));
        match read.map_err(|error| Error::io("read", path, error))? {
            0 => break,
            read => hasher.update(&block[..read]),
        }
    }
    Ok(*PROGRAM.get_or_init(|| hasher.finalize().into()))
}
