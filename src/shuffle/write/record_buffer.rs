//! Record buffers (spools): encoded records in the order of arrival, for shuffles that neither combine nor sort.

use std::borrow::Borrow;
use std::vec;

use super::packed::{PackedPosition, PackedRecords, STRETCH_BYTES, Stretch};
use crate::error::Result;
use crate::pipeline::{Owned, Peek, Ref, Storable};
use crate::shuffle::outputs::keep_limit::KeepLimit;
use crate::shuffle::outputs::part::{Content, MapPart, PartFile, PartSeq};
use crate::storage::run::{FRAME_BYTES, Run, RunFile, RunReader, RunWriter, check_length};
use crate::task::{Flow, Resources, STOP_CHECK_RECORDS, StopCheck, StopFlag};

/// Encoded records, back to back.
#[derive(Clone)]
pub(crate) struct RecordBuffer {
    bytes: Vec<u8>,
    /// The lengths of the records. From the codec alone, a record of no bytes could not be detected.
    stretches: Vec<[u8; STRETCH_BYTES]>,
    /// Length of the last records, in bytes, and their number. They are not in `stretches` yet. If there are none, no
    /// record has this length.
    last_length: usize,
    last_records: usize,
    /// Whether all records so far were flat.
    is_flat: bool,
}

impl Default for RecordBuffer {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            stretches: Vec::new(),
            last_length: usize::MAX,
            last_records: 0,
            is_flat: true,
        }
    }
}

/// Unused capacity that a complete buffer may keep: this fraction of its length, or this many bytes.
const UNUSED_OF_LENGTH: usize = 8;
const UNUSED_BYTES: usize = 4 << 10;

impl RecordBuffer {
    /// Number of bytes of new records after which their memory must be reserved. Larger values exceed the budget by more.
    pub(crate) const ACCOUNT_BYTES: usize = 64 << 10;

    /// Appends a record, and returns the memory that it takes, in bytes.
    ///
    /// The short way, that of numbers, is inlined: a call would take longer than the rest.
    #[inline(always)]
    pub(crate) fn push<T: Storable + ?Sized>(&mut self, record: Peek<'_, T>) -> Result<usize> {
        let start = self.bytes.len();
        if self.is_flat && T::store_flat(record, &mut self.bytes) {
            return self.pushed(start);
        }
        self.push_varints::<T>(record)
    }

    #[inline(never)]
    fn push_varints<T: Storable + ?Sized>(&mut self, record: Peek<'_, T>) -> Result<usize> {
        if self.is_flat {
            self.complete();
            self.is_flat = false;
        }
        let start = self.bytes.len();
        T::store(record, &mut self.bytes)?;
        self.pushed(start)
    }

    /// Counts a record whose bytes begin at `start`. Returns the memory that it takes, in bytes.
    #[inline(always)]
    fn pushed(&mut self, start: usize) -> Result<usize> {
        let length = self.bytes.len() - start;
        if length == self.last_length {
            self.last_records += 1;
            return Ok(length);
        }
        self.begin_stretch(length)?;
        Ok(length + STRETCH_BYTES)
    }

    fn begin_stretch(&mut self, length: usize) -> Result<()> {
        check_length(length)?;
        self.complete();
        (self.last_length, self.last_records) = (length, 1);
        Ok(())
    }

    /// Adds the last records to the stretches. Call this after the last record, before the records are read or written.
    pub(crate) fn complete(&mut self) {
        while self.last_records > 0 {
            let records = self.last_records.min(Stretch::MAX_RECORDS as usize);
            let stretch = Stretch {
                bytes: self.last_length as u32,
                records: records as u32,
                is_flat: self.is_flat,
            };
            self.stretches.push(stretch.to_bytes());
            self.last_records -= records;
        }
        self.last_length = usize::MAX;
    }

    /// Returns an empty buffer with memory for as many records as this one has.
    pub(crate) fn empty_like(&self) -> Self {
        Self {
            bytes: Vec::with_capacity(self.bytes.len()),
            stretches: Vec::with_capacity(self.stretches.len()),
            ..Self::default()
        }
    }

    /// Completes the buffer, and frees the memory that is not used, unless it is little.
    pub(crate) fn trim(&mut self) {
        self.complete();
        trim(&mut self.bytes);
        trim(&mut self.stretches);
    }

    /// Removes all records. Keeps their memory for the next ones, unless it is much.
    pub(crate) fn clear(&mut self) {
        self.complete();
        self.bytes.clear();
        self.stretches.clear();
        if self.memory_bytes() > 8 * FRAME_BYTES {
            *self = Self::default();
        }
    }

    /// Returns the length of all records, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let stretches = self.stretches.len() + usize::from(self.last_records > 0);
        self.bytes.len() + stretches * STRETCH_BYTES
    }

    /// Returns the memory of the buffer, in bytes.
    pub(crate) fn capacity_bytes(&self) -> usize {
        self.bytes.capacity() + self.stretches.capacity() * STRETCH_BYTES
    }

    /// Writes the records as the next run of `file`.
    pub(crate) fn write_run(&self, file: &mut RunFile, stop: &StopFlag) -> Result<Run> {
        let mut writer = file.run();
        self.write_frames(&mut writer, stop)?;
        writer.finish()
    }

    /// Appends the records to a run, in frames of their own.
    pub(crate) fn write_frames(&self, run: &mut RunWriter<'_>, stop: &StopFlag) -> Result<()> {
        let mut frame = NextFrame::default();
        let mut rest = &*self.bytes;
        for mut stretch in self.packed().stretches() {
            while stretch.records > 0 {
                stretch.records -= frame.take(stretch);
                if frame.is_full() {
                    rest = frame.write(rest, run)?;
                    stop.check()?;
                }
            }
        }
        frame.write(rest, run).map(|_| ())
    }

    fn packed(&self) -> PackedRecords<'_> {
        assert!(self.last_records == 0, "a record buffer is not complete");
        PackedRecords {
            stretches: &self.stretches,
            bytes: &self.bytes,
        }
    }
}

fn trim<T>(items: &mut Vec<T>) {
    let unused = items.capacity() - items.len();
    let is_little = unused * size_of::<T>() <= UNUSED_BYTES;
    if !is_little && unused > items.len() / UNUSED_OF_LENGTH {
        items.shrink_to_fit();
    }
}

/// The stretches of the next frame of a run.
#[derive(Default)]
struct NextFrame {
    stretches: Vec<[u8; STRETCH_BYTES]>,
    records: u32,
    /// Length of the records, in bytes.
    bytes: usize,
    /// Memory for the frame.
    content: Vec<u8>,
}

impl NextFrame {
    /// Takes the first records of a stretch, and returns their number, which is at least 1.
    fn take(&mut self, stretch: Stretch) -> u32 {
        let bytes = stretch.bytes as usize;
        let fitting = FRAME_BYTES.saturating_sub(self.bytes) / bytes.max(1) + 1;
        let records = stretch.records.min(fitting as u32);
        self.stretches
            .push(Stretch { records, ..stretch }.to_bytes());
        self.records += records;
        self.bytes += records as usize * bytes;
        records
    }

    fn is_full(&self) -> bool {
        self.bytes + self.stretches.len() * STRETCH_BYTES >= FRAME_BYTES
            || self.records as usize >= FRAME_BYTES
    }

    /// Writes the frame with the first of `bytes`, unless it has no records. Returns the other bytes.
    fn write<'b>(&mut self, bytes: &'b [u8], run: &mut RunWriter<'_>) -> Result<&'b [u8]> {
        let (bytes, rest) = bytes.split_at(self.bytes);
        if self.records > 0 {
            let stretches = &self.stretches;
            self.content.clear();
            PackedRecords { stretches, bytes }.write(&mut self.content);
            run.append_frame(&self.content, self.records)?;
            self.stretches.clear();
            (self.records, self.bytes) = (0, 0);
        }
        Ok(rest)
    }
}

impl MapPart for RecordBuffer {
    type Layout = ();
    type File = PartFile;

    const LIMIT: KeepLimit = KeepLimit::Granted;

    fn is_empty(&self) -> bool {
        self.stretches.is_empty() && self.last_records == 0
    }

    fn memory_bytes(&self) -> usize {
        self.capacity_bytes()
    }

    fn create_file((): (), resources: &Resources) -> Result<PartFile> {
        PartFile::create(resources)
    }

    fn write<'p>(
        parts: impl Iterator<Item = (PartSeq, &'p mut Self)>,
        file: &mut PartFile,
    ) -> Result<Vec<(PartSeq, Run)>> {
        file.write_each(parts, |part, file, stop| {
            let mut part = std::mem::take(part);
            part.complete();
            part.write_run(file, stop)
        })
    }
}

/// Calls `each` with the records of `parts`, in order.
pub(crate) fn replay<T, M, R>(
    parts: impl IntoIterator<Item = Content<M, R>>,
    stop: &StopFlag,
    mut each: impl for<'a> FnMut(Ref<'a, T>) -> Flow,
) -> Result<Flow>
where
    T: Storable + ?Sized,
    M: Borrow<RecordBuffer>,
{
    let mut checks = stop.checks();
    let mut pass = |records: PackedRecords<'_>| pass_packed::<T>(records, &mut checks, &mut each);
    for part in parts {
        match part {
            Content::Memory(buffer, _memory) => {
                if pass(buffer.borrow().packed())?.is_break() {
                    return Ok(Flow::Break(()));
                }
            }
            Content::File(run) => {
                let mut reader = run.reader();
                while let Some(records) = next_frame(&mut reader)? {
                    if pass(records)?.is_break() {
                        return Ok(Flow::Break(()));
                    }
                }
            }
        }
    }
    Ok(Flow::Continue(()))
}

/// Calls `each` with the records of a complete buffer, in order.
#[inline]
pub(crate) fn replay_buffer<T: Storable + ?Sized>(
    buffer: &RecordBuffer,
    checks: &mut StopCheck,
    each: &mut impl for<'a> FnMut(Ref<'a, T>) -> Flow,
) -> Result<Flow> {
    pass_packed::<T>(buffer.packed(), checks, each)
}

/// The only loop over records, so that the compiler inlines `each` into it.
#[inline]
fn pass_packed<T: Storable + ?Sized>(
    records: PackedRecords<'_>,
    checks: &mut StopCheck,
    each: &mut impl for<'a> FnMut(Ref<'a, T>) -> Flow,
) -> Result<Flow> {
    let mut rest = records.bytes;
    for mut stretch in records.stretches() {
        while stretch.records > 0 {
            let few = stretch.records.min(STOP_CHECK_RECORDS as u32);
            checks.count_all(few as usize)?;
            stretch.records -= few;
            for _ in 0..few {
                let (record, after) = rest.split_at(stretch.bytes as usize);
                rest = after;
                if T::restore_from(record, stretch.is_flat, &mut *each)?.is_break() {
                    return Ok(Flow::Break(()));
                }
            }
        }
    }
    Ok(Flow::Continue(()))
}

/// Reads the next frame of a run.
fn next_frame(reader: &mut RunReader) -> Result<Option<PackedRecords<'_>>> {
    let Some(frame) = reader.next_whole_frame()? else {
        return Ok(None);
    };
    match PackedRecords::of_frame(frame.bytes, frame.records) {
        Some(records) => Ok(Some(records)),
        None => Err(frame.at.corrupt("its records do not fill it")),
    }
}

/// Reads the records of parts a few at a time, in order. [`replay`] calls a closure with all of them.
pub(crate) struct RecordReader<M, R> {
    parts: vec::IntoIter<Content<M, R>>,
    part: Option<OpenPart<M, R>>,
    at: PackedPosition,
}

enum OpenPart<M, R> {
    /// A part in memory, and the memory.
    Memory(M, R),
    File(Box<RunReader>),
}

/// Returns the records of an open part that are in memory.
fn records_of<M: Borrow<RecordBuffer>, R>(part: &Option<OpenPart<M, R>>) -> PackedRecords<'_> {
    match part {
        Some(OpenPart::Memory(buffer, _)) => buffer.borrow().packed(),
        Some(OpenPart::File(reader)) => PackedRecords::of_checked(reader.frame()),
        None => PackedRecords::default(),
    }
}

impl<M: Borrow<RecordBuffer>, R> RecordReader<M, R> {
    pub(crate) fn new(parts: Vec<Content<M, R>>) -> Self {
        Self {
            parts: parts.into_iter(),
            part: None,
            at: PackedPosition::default(),
        }
    }

    /// Appends the next records, `most` at most. Appends none only at the end.
    pub(crate) fn read<T: Storable + ?Sized>(
        &mut self,
        most: usize,
        records: &mut Vec<Owned<T>>,
    ) -> Result<()> {
        loop {
            // The only loop over records, so that the compiler inlines the code that decodes one.
            if let Some((mut rest, stretch)) = self.at.advance(records_of(&self.part), most) {
                for _ in 0..stretch.records {
                    let (record, after) = rest.split_at(stretch.bytes as usize);
                    rest = after;
                    records.push(T::restore_from(record, stretch.is_flat, T::into_owned)?);
                }
                return Ok(());
            }
            if !self.next_records()? {
                return Ok(());
            }
            self.at = PackedPosition::default();
        }
    }

    /// Reads the next frame, or opens the next part. Returns `false` at the end.
    fn next_records(&mut self) -> Result<bool> {
        if let Some(OpenPart::File(reader)) = &mut self.part
            && next_frame(reader)?.is_some()
        {
            return Ok(true);
        }
        self.part = match self.parts.next() {
            Some(Content::Memory(buffer, memory)) => Some(OpenPart::Memory(buffer, memory)),
            Some(Content::File(run)) => Some(OpenPart::File(Box::new(run.reader()))),
            None => return Ok(false),
        };
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Data;
    use crate::storage::scratch::Scratch;

    fn buffer_of<T: Data>(records: &[T]) -> RecordBuffer {
        let mut buffer = RecordBuffer::default();
        assert!(buffer.is_empty());
        for record in records {
            let before = buffer.bytes();
            let bytes = buffer.push::<T>(record).unwrap();
            assert_eq!(bytes, buffer.bytes() - before);
        }
        buffer.trim();
        buffer
    }

    /// Reads the records twice from memory, then twice from a run.
    fn come_back<T: Data + PartialEq + Clone>(records: &[T]) -> RecordBuffer {
        let buffer = buffer_of(records);
        let scratch = Scratch::new(None, None);
        let mut file = RunFile::create(&scratch, "records").unwrap();
        let run = buffer.write_run(&mut file, &StopFlag::default()).unwrap();
        assert_eq!(run.records(), records.len() as u64);
        let parts = || {
            let memory = Content::Memory(&buffer, ());
            let file = Content::File(run.clone());
            [memory.clone(), memory, file.clone(), file]
        };
        let all = [records; 4].concat();
        let mut found = Vec::new();
        let flow = replay::<T, _, _>(parts(), &StopFlag::default(), |record| {
            found.push(record);
            Flow::Continue(())
        });
        assert!(flow.unwrap().is_continue());
        assert!(found == all);
        let mut reader = RecordReader::new(parts().into());
        let mut found = Vec::new();
        for most in (1..4).cycle() {
            let before = found.len();
            reader.read::<T>(most, &mut found).unwrap();
            match found.len() - before {
                0 => break,
                more => assert!(more <= most),
            }
        }
        assert!(found == all);
        buffer
    }

    #[test]
    fn records_of_any_lengths_come_back() {
        let text = |length| "x".repeat(length);
        come_back(&[0, 0, 3, 3, 3, 1, 0, 200, 200, 0].map(text));
        come_back(&[FRAME_BYTES, 1, 3 * FRAME_BYTES, 0].map(text));
        come_back(&[(); 3 * FRAME_BYTES]);
        come_back::<u8>(&[]);
    }

    #[test]
    fn numbers_take_the_memory_that_they_have_in_a_vector() {
        let numbers: Vec<(u64, i32, f32)> =
            (0..40_000).map(|n| (n * n, -(n as i32), 0.5)).collect();
        assert_eq!(
            come_back(&numbers).bytes(),
            16 * numbers.len() + STRETCH_BYTES
        );
        let some: Vec<Option<u16>> = (0..40_000).map(|n| (n % 3 > 0).then_some(n)).collect();
        come_back(&some);
        // The length of a list is one byte.
        assert_eq!(
            come_back(&[vec![1_u64], vec![2]]).bytes(),
            2 * 2 + STRETCH_BYTES
        );
    }

    #[test]
    fn a_frame_that_its_records_do_not_fill_is_damaged() {
        let scratch = Scratch::new(None, None);
        let mut file = RunFile::create(&scratch, "records").unwrap();
        let mut frame = Vec::new();
        buffer_of(&[1_u32, 2, 3]).packed().write(&mut frame);
        let longer = [&*frame, &[0]].concat();
        for (frame, records) in [(&*frame, 2), (&frame[..3], 3), (&longer, 3)] {
            let mut writer = file.run();
            writer.append_frame(frame, records).unwrap();
            let run = writer.finish().unwrap();
            let error = next_frame(&mut run.reader()).map(|_| ()).unwrap_err();
            assert!(error.is_recoverable(), "{error}");
        }
    }
}
