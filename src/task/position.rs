//! Position of a source in its input. It is cheap to update, and becomes a place only for errors and bad records.

use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

/// Stands for an unknown offset. One number is stored faster than an option.
const NO_OFFSET: u64 = u64::MAX;

/// Position of a record in the input. Unknown parts are `None`.
#[derive(Debug, Default)]
pub(crate) struct RecordOrigin {
    pub(crate) path: Option<Arc<Path>>,
    /// Start of the record in the file, in bytes.
    pub(crate) offset: Option<u64>,
    /// Number of the record in the file, from 1.
    pub(crate) record: Option<u64>,
    /// Whether the record is a line of text.
    pub(crate) is_line: bool,
}

/// The position of the source that a task reads.
pub(crate) struct SourcePosition {
    path: RefCell<Option<Arc<Path>>>,
    /// Offset of the record, or of the block that contains it.
    offset: Cell<u64>,
    /// Address of a block of text that contains the record.
    block: Cell<Option<NonZeroUsize>>,
    /// The number of the current record minus `emitted`, if the source numbers records. Wraps around.
    first_record: Cell<Option<u64>>,
    emitted: Cell<u64>,
    has_lines: Cell<bool>,
}

impl Default for SourcePosition {
    fn default() -> Self {
        Self {
            path: RefCell::default(),
            offset: Cell::new(NO_OFFSET),
            block: Cell::default(),
            first_record: Cell::default(),
            emitted: Cell::default(),
            has_lines: Cell::default(),
        }
    }
}

impl SourcePosition {
    /// The position of a block of text, at `offset` in its file.
    pub(crate) fn of_block(path: &Arc<Path>, block: &[u8], offset: u64, has_lines: bool) -> Self {
        Self {
            path: RefCell::new(Some(Arc::clone(path))),
            offset: Cell::new(offset),
            block: Cell::new(NonZeroUsize::new(block.as_ptr().addr())),
            has_lines: Cell::new(has_lines),
            ..Self::default()
        }
    }

    /// Sets another position, and returns the previous one.
    pub(crate) fn replace(&self, other: Self) -> Self {
        Self {
            path: RefCell::new(self.path.replace(other.path.take())),
            offset: Cell::new(self.offset.replace(other.offset.get())),
            block: Cell::new(self.block.replace(other.block.get())),
            first_record: Cell::new(self.first_record.replace(other.first_record.get())),
            emitted: Cell::new(self.emitted.replace(other.emitted.get())),
            has_lines: Cell::new(self.has_lines.replace(other.has_lines.get())),
        }
    }

    /// Sets the file. The offset and the number of the record are then unknown.
    pub(crate) fn set_file(&self, path: Arc<Path>) {
        self.path.replace(Some(path));
        self.offset.set(NO_OFFSET);
        self.first_record.set(None);
    }

    #[inline(always)]
    pub(crate) fn set_offset(&self, offset: u64) {
        self.offset.set(offset);
    }

    #[inline(always)]
    pub(crate) fn set_record(&self, number: u64) {
        let first = number.wrapping_sub(self.emitted.get());
        self.first_record.set(Some(first));
    }

    /// Sets whether each record is a line of text.
    pub(crate) fn set_has_lines(&self, has_lines: bool) {
        self.has_lines.set(has_lines);
    }

    /// Counts an emitted record. Returns their number.
    #[inline(always)]
    pub(crate) fn end_record(&self) -> u64 {
        let emitted = self.emitted.get() + 1;
        self.emitted.set(emitted);
        emitted
    }

    /// Returns the place of the current record. `address` is that of a record of text.
    pub(crate) fn origin(&self, address: Option<usize>) -> RecordOrigin {
        let offset = Some(self.offset.get()).filter(|offset| *offset != NO_OFFSET);
        let offset = match self.block.get() {
            None => offset,
            Some(block) => {
                let in_block = address.and_then(|address| address.checked_sub(block.get()));
                offset
                    .zip(in_block)
                    .map(|(offset, in_block)| offset + in_block as u64)
            }
        };
        let record = self.first_record.get();
        RecordOrigin {
            path: self.path.borrow().clone(),
            offset,
            record: record.map(|first| first.wrapping_add(self.emitted.get())),
            is_line: self.has_lines.get(),
        }
    }
}
