//! Records in the order of arrival, back to back: the content of a record buffer, and of a frame of its run.
//!
//! ```text
//!  frame   = number of stretches (u32), stretch*, records
//!  stretch = neighbouring records of the same length: length (u32), number of records (31 bits), form (1 bit)
//! ```
//!
//! Most numbers have the same length as the one before, so they take about the memory that they have in a `Vec`.

use std::ops::Range;

/// Length of a [`Stretch`] in bytes.
pub(super) const STRETCH_BYTES: usize = 8;

/// Neighbouring records of the same length and form.
#[derive(Clone, Copy, Default)]
pub(super) struct Stretch {
    /// Length of each record, in bytes.
    pub(super) bytes: u32,
    pub(super) records: u32,
    /// Whether the records are in the flat form: see [`Storable`](crate::pipeline::Storable).
    pub(super) is_flat: bool,
}

impl Stretch {
    /// Maximum number of records.
    pub(super) const MAX_RECORDS: u32 = u32::MAX >> 1;

    #[inline(always)]
    pub(super) fn of(bytes: [u8; STRETCH_BYTES]) -> Self {
        let word = u64::from_le_bytes(bytes);
        let count = (word >> u32::BITS) as u32;
        Self {
            bytes: word as u32,
            records: count >> 1,
            is_flat: count & 1 == 1,
        }
    }

    #[inline(always)]
    pub(super) fn to_bytes(self) -> [u8; STRETCH_BYTES] {
        let count = self.records << 1 | u32::from(self.is_flat);
        (u64::from(count) << u32::BITS | u64::from(self.bytes)).to_le_bytes()
    }

    /// Returns the length of all records, in bytes.
    fn total_bytes(self) -> u64 {
        u64::from(self.bytes) * u64::from(self.records)
    }
}

/// Records, and the stretches that they form.
#[derive(Clone, Copy, Default)]
pub(super) struct PackedRecords<'b> {
    pub(super) stretches: &'b [[u8; STRETCH_BYTES]],
    pub(super) bytes: &'b [u8],
}

impl<'b> PackedRecords<'b> {
    /// Returns the `records` records of a frame; `None` if it does not consist of these.
    pub(super) fn of_frame(frame: &'b [u8], records: u32) -> Option<Self> {
        let this = Self::split(frame)?;
        let (mut count, mut bytes) = (0_u64, 0_u64);
        for stretch in this.stretches().filter(|stretch| stretch.records > 0) {
            count += u64::from(stretch.records);
            bytes = bytes.checked_add(stretch.total_bytes())?;
        }
        (count == u64::from(records) && bytes == this.bytes.len() as u64).then_some(this)
    }

    /// Like [`of_frame`](Self::of_frame), for a frame that has been checked.
    pub(super) fn of_checked(frame: &'b [u8]) -> Self {
        Self::split(frame).unwrap_or_default()
    }

    fn split(frame: &'b [u8]) -> Option<Self> {
        let (stretches, rest) = frame.split_first_chunk()?;
        let stretches = (u32::from_le_bytes(*stretches) as usize).checked_mul(STRETCH_BYTES)?;
        let (stretches, bytes) = rest.split_at_checked(stretches)?;
        let (stretches, _) = stretches.as_chunks();
        Some(Self { stretches, bytes })
    }

    /// Appends these records to `frame`, which is empty.
    pub(super) fn write(self, frame: &mut Vec<u8>) {
        frame.extend_from_slice(&(self.stretches.len() as u32).to_le_bytes());
        frame.extend_from_slice(self.stretches.as_flattened());
        frame.extend_from_slice(self.bytes);
    }

    pub(super) fn stretches(self) -> impl Iterator<Item = Stretch> + 'b {
        self.stretches.iter().copied().map(Stretch::of)
    }
}

/// Position of a record: its bytes, the number of the next stretch, and the rest of its own.
#[derive(Default)]
pub(super) struct PackedPosition {
    record: Range<usize>,
    next_stretch: usize,
    rest: Stretch,
}

impl PackedPosition {
    /// Advances to the next record. Returns `false` if there is none.
    pub(super) fn advance(&mut self, records: PackedRecords<'_>) -> bool {
        while self.rest.records == 0 {
            let Some(stretch) = records.stretches.get(self.next_stretch) else {
                return false;
            };
            self.rest = Stretch::of(*stretch);
            self.next_stretch += 1;
        }
        self.rest.records -= 1;
        let start = self.record.end;
        self.record = start..start + self.rest.bytes as usize;
        true
    }

    /// Returns the bytes of the record, and whether they are flat.
    pub(super) fn record<'b>(&self, records: PackedRecords<'b>) -> (&'b [u8], bool) {
        (&records.bytes[self.record.clone()], self.rest.is_flat)
    }
}
