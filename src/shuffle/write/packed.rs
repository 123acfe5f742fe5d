//! Records in the order of arrival, back to back: the content of a record buffer, and of a frame of its run.
//!
//! ```text
//!  frame   = number of stretches (u32), stretch*, records
//!  stretch = neighbouring records of the same length: length (u32), number of records (31 bits), form (1 bit)
//! ```
//!
//! Most numbers have the same length as the one before, so they take about the memory that they have in a `Vec`.

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

/// Position of a record: where its bytes begin, the number of the next stretch, and the rest of its own.
#[derive(Default)]
pub(super) struct PackedPosition {
    start: usize,
    next_stretch: usize,
    rest: Stretch,
}

impl PackedPosition {
    /// Advances over the next records of one stretch, `most` at most. Returns their bytes and their stretch; `None` if
    /// there are none.
    pub(super) fn advance<'b>(
        &mut self,
        records: PackedRecords<'b>,
        most: usize,
    ) -> Option<(&'b [u8], Stretch)> {
        while self.rest.records == 0 {
            self.rest = Stretch::of(*records.stretches.get(self.next_stretch)?);
            self.next_stretch += 1;
        }
        let few = self
            .rest
            .records
            .min(u32::try_from(most).unwrap_or(u32::MAX));
        let stretch = Stretch {
            records: few,
            ..self.rest
        };
        self.rest.records -= few;
        let bytes = &records.bytes[self.start..][..stretch.total_bytes() as usize];
        self.start += bytes.len();
        Some((bytes, stretch))
    }
}
