//! Scratch files of holdall for the operators of DataFusion that spill.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::spill_file::{SpillFile, SpillWriter, TempFileFactory};
use futures::{Stream, stream};
use holdall::extend::{self, ContextResources};
use tokio::task::spawn_blocking;

use crate::failure::external;

/// Number of bytes that are read together. A sort reads many files at a time, and these bytes do not count towards the memory
/// budget. Fewer than a block of a file would be decoded twice.
const READ_BYTES: usize = 64 << 10;

/// Creates scratch files, which count towards the disk quota of the context.
pub(crate) struct ScratchFiles(pub(crate) ContextResources);

impl TempFileFactory for ScratchFiles {
    fn create_temp_file(&self, _: &str) -> Result<Arc<dyn SpillFile>> {
        Ok(Arc::new(ScratchFile {
            resources: self.0.clone(),
            written: Arc::default(),
        }))
    }
}

/// A file that is written once, and then read.
struct ScratchFile {
    resources: ContextResources,
    written: Arc<Mutex<Option<extend::SpillFile>>>,
}

struct ScratchWriter {
    writer: Option<extend::SpillWriter>,
    written: Arc<Mutex<Option<extend::SpillFile>>>,
}

/// A panic while the lock is held leaves the value consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SpillFile for ScratchFile {
    fn size(&self) -> Option<u64> {
        let written = lock(&self.written);
        written.as_ref().map(extend::SpillFile::bytes)
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
        let written = lock(&self.written).clone();
        let missing = || DataFusionError::Internal("a spill file is not complete".to_owned());
        let file = written.ok_or_else(missing)?;
        let read = async |(file, offset): (extend::SpillFile, u64)| {
            let read = spawn_blocking(move || {
                let left = usize::try_from(file.bytes() - offset).unwrap_or(usize::MAX);
                let mut bytes = vec![0; left.min(READ_BYTES)];
                let count = file.read_at(offset, &mut bytes)?;
                bytes.truncate(count);
                Ok::<_, holdall::Error>((bytes, file))
            });
            let (bytes, file) = read.await.map_err(external)?.map_err(external)?;
            let next = offset + bytes.len() as u64;
            Ok((!bytes.is_empty()).then(|| (Bytes::from(bytes), (file, next))))
        };
        Ok(Box::pin(stream::try_unfold((file, 0), read)))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        Ok(Box::new(ScratchWriter {
            writer: Some(self.resources.create_file().map_err(external)?),
            written: Arc::clone(&self.written),
        }))
    }
}

impl Write for ScratchWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.writer {
            Some(writer) => writer.write(bytes),
            None => Err(io::Error::other("the spill file is complete")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SpillWriter for ScratchWriter {
    fn finish(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            *lock(&self.written) = Some(writer.finish().map_err(external)?);
        }
        Ok(())
    }
}
