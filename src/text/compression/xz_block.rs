//! The blocks of xz: their headers, and the filters applied to their text.

use std::io::{self, BufRead, Read};

use lzma_rust2::Lzma2Reader;
use lzma_rust2::filter::bcj::BcjReader;
use lzma_rust2::filter::delta::DeltaReader;

use super::input::{damaged, take, too_far_back, unsupported};

const LZMA2: u64 = 0x21;

/// Minimum size of a dictionary, in bytes.
const MIN_DICTIONARY_BYTES: u32 = 4 << 10;

/// Header of a block.
pub(super) struct BlockHeader {
    /// Length of the header, in bytes.
    pub(super) bytes: u32,
    data_bytes: Option<u64>,
    text_bytes: Option<u64>,
    /// Filters in the order of their application to the text, without the last, which is LZMA2.
    filters: Vec<FilterId>,
    dictionary_bytes: u32,
}

/// A filter before LZMA2.
enum FilterId {
    Delta {
        distance: usize,
    },
    /// Filter for the machine code of a CPU.
    Branch {
        id: u64,
        start: u32,
    },
}

impl BlockHeader {
    /// Reads a header after its first byte, which is `size`.
    pub(super) fn read(size: u8, input: &mut impl Read) -> io::Result<Self> {
        let bytes = 4 * (usize::from(size) + 1);
        let mut header = [0; 4 * 256];
        header[0] = size;
        input.read_exact(&mut header[1..bytes])?;
        let (header, checksum) = header[..bytes].split_at(bytes - 4);
        if checksum != crc32fast::hash(header).to_le_bytes() {
            return Err(damaged("the checksum of a block's header does not match"));
        }
        let mut rest = &header[1..];
        let [flags] = take(&mut rest).map_err(|_| too_short())?;
        if flags & 0x3c != 0 {
            return Err(unsupported("an unknown flag of an xz block"));
        }
        let mut number_if = |flag: u8| match flags & flag {
            0 => Ok(None),
            _ => number(&mut rest).map(Some),
        };
        let (data_bytes, text_bytes) = (number_if(0x40)?, number_if(0x80)?);
        if data_bytes == Some(0) {
            return Err(damaged("a block is said to have no data"));
        }
        let mut filters = Vec::new();
        for _ in 0..flags & 3 {
            filters.push(FilterId::read(&mut rest)?);
        }
        let dictionary_bytes = read_dictionary_bytes(&mut rest)?;
        if rest.iter().any(|byte| *byte != 0) {
            return Err(unsupported("an unknown field of an xz block"));
        }
        Ok(Self {
            bytes: bytes as u32,
            data_bytes,
            text_bytes,
            filters,
            dictionary_bytes,
        })
    }

    /// Returns a reader that decodes the data of the block, and ends at its end.
    pub(super) fn decoder<R: BufRead + Send + 'static>(
        &self,
        input: R,
        max_window_bytes: u64,
    ) -> io::Result<Box<dyn ByteFilter<R>>> {
        // No reference can be longer than the whole text.
        let text_bytes = self.text_bytes.unwrap_or(u64::MAX);
        let text_bytes = u32::try_from(text_bytes).unwrap_or(u32::MAX);
        let bytes = self
            .dictionary_bytes
            .min(text_bytes.max(MIN_DICTIONARY_BYTES));
        if u64::from(bytes) > max_window_bytes {
            return Err(too_far_back(bytes.into(), max_window_bytes));
        }
        let mut decoder: Box<dyn ByteFilter<_>> = Box::new(Lzma2Reader::new(input, bytes, None));
        for filter in self.filters.iter().rev() {
            decoder = match *filter {
                FilterId::Delta { distance } => Box::new(DeltaReader::new(decoder, distance)),
                FilterId::Branch { id, start } => {
                    let (new, _) = branch_filter(id).ok_or_else(unknown_filter)?;
                    Box::new(new(decoder, start as usize))
                }
            };
        }
        Ok(decoder)
    }

    /// Compares the sizes in the header with the actual sizes.
    pub(super) fn check_sizes(&self, data_bytes: u64, text_bytes: u64) -> io::Result<()> {
        let is = |expected: Option<u64>, bytes| expected.is_none_or(|expected| expected == bytes);
        match is(self.data_bytes, data_bytes) && is(self.text_bytes, text_bytes) {
            true => Ok(()),
            false => Err(damaged("the size of a block does not match its header")),
        }
    }
}

impl FilterId {
    fn read(from: &mut &[u8]) -> io::Result<Self> {
        const DELTA: u64 = 3;
        let id = number(from)?;
        let properties = read_properties(from)?;
        match (id, properties, branch_filter::<()>(id)) {
            (DELTA, [distance], _) => Ok(Self::Delta {
                distance: usize::from(*distance) + 1,
            }),
            (_, [], Some(_)) => Ok(Self::Branch { id, start: 0 }),
            (_, [s0, s1, s2, s3], Some((_, alignment))) => {
                let start = u32::from_le_bytes([*s0, *s1, *s2, *s3]);
                match start % alignment {
                    0 => Ok(Self::Branch { id, start }),
                    _ => Err(unknown_filter()),
                }
            }
            _ => Err(unknown_filter()),
        }
    }
}

/// Reads the last filter, which must be LZMA2, and returns the size of its dictionary.
fn read_dictionary_bytes(from: &mut &[u8]) -> io::Result<u32> {
    let id = number(from)?;
    match (id, read_properties(from)?) {
        (LZMA2, [40]) => Ok(u32::MAX),
        (LZMA2, [bits @ 0..40]) => Ok((2 | u32::from(bits & 1)) << (bits / 2 + 11)),
        _ => Err(unknown_filter()),
    }
}

fn read_properties<'a>(from: &mut &'a [u8]) -> io::Result<&'a [u8]> {
    let len = usize::try_from(number(from)?).unwrap_or(usize::MAX);
    from.split_off(..len).ok_or_else(too_short)
}

fn number(from: &mut &[u8]) -> io::Result<u64> {
    read_number(|| from.split_off_first().copied().ok_or_else(too_short))
}

/// Reads a variable-length number: seven bits in each byte, the lowest first.
pub(super) fn read_number(mut byte: impl FnMut() -> io::Result<u8>) -> io::Result<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let bits = byte()?;
        number |= u64::from(bits & 0x7f) << shift;
        if bits & 0x80 == 0 {
            // The encoding must be as short as possible.
            if bits == 0 && shift > 0 {
                break;
            }
            return Ok(number);
        }
    }
    Err(damaged("a number is none"))
}

type BoxedFilter<R> = Box<dyn ByteFilter<R>>;
type NewBranchFilter<R> = fn(BoxedFilter<R>, usize) -> BcjReader<BoxedFilter<R>>;

/// Returns the filter for the machine code of a CPU, and the alignment of its start offset.
fn branch_filter<R>(id: u64) -> Option<(NewBranchFilter<R>, u32)> {
    Some(match id {
        4 => (BcjReader::new_x86, 1),
        5 => (BcjReader::new_ppc, 4),
        6 => (BcjReader::new_ia64, 16),
        7 => (BcjReader::new_arm, 4),
        8 => (BcjReader::new_arm_thumb, 2),
        9 => (BcjReader::new_sparc, 4),
        10 => (BcjReader::new_arm64, 4),
        11 => (BcjReader::new_riscv, 2),
        _ => return None,
    })
}

fn unknown_filter() -> io::Error {
    unsupported("an unknown filter of xz")
}

fn too_short() -> io::Error {
    damaged("a block's header is too short")
}

/// A decoder that returns its input at the end.
pub(super) trait ByteFilter<R>: Read + Send {
    fn into_input(self: Box<Self>) -> R;
}

impl<R: Read + Send> ByteFilter<R> for Lzma2Reader<R> {
    fn into_input(self: Box<Self>) -> R {
        self.into_inner()
    }
}

impl<R> ByteFilter<R> for DeltaReader<BoxedFilter<R>> {
    fn into_input(self: Box<Self>) -> R {
        self.into_inner().into_input()
    }
}

impl<R> ByteFilter<R> for BcjReader<BoxedFilter<R>> {
    fn into_input(self: Box<Self>) -> R {
        self.into_inner().into_input()
    }
}
