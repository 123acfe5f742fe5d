//! Files of NumPy, `.npy`: a header, then the elements of an array.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use holdall::BoxError;
use serde::{Deserialize, Serialize};

use crate::chunk::from_bytes;
use crate::element::Element;
use crate::grid::{Region, lengths};
use crate::places::Runs;

/// First bytes of a file.
const MAGIC: &[u8] = b"\x93NUMPY";

/// Maximum length of a header, in bytes. Headers of arrays have about a hundred.
const MAX_HEADER: usize = 1 << 20;

/// A file, and the place of its elements.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NpyFile {
    path: PathBuf,
    /// Offset of the first element.
    start: u64,
    /// Lengths of the axes as the elements are stored: in the opposite order if `is_reversed`.
    pub(crate) shape: Vec<usize>,
    pub(crate) is_reversed: bool,
}

impl NpyFile {
    /// Opens a file whose elements have type `A`.
    pub(crate) fn open<A: Element>(path: &Path) -> Result<Self, BoxError> {
        let mut file = File::open(path)?;
        let mut start = [0; 8];
        file.read_exact(&mut start)
            .ok()
            .filter(|()| start.starts_with(MAGIC))
            .ok_or("it is no file of NumPy")?;
        let mut length = [0; 4];
        let bytes = if start[6] == 1 { 2 } else { 4 };
        file.read_exact(&mut length[..bytes])?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_HEADER {
            return Err(format!("its header has {length} bytes").into());
        }
        let mut header = vec![0; length];
        file.read_exact(&mut header)?;
        let header = String::from_utf8_lossy(&header);
        let kind = text(&header, "descr")?;
        let kind = kind.trim_matches(['\'', '"']);
        let order = if size_of::<A>() == 1 { '|' } else { '<' };
        let expected = format!("{order}{}", A::KIND);
        if kind != expected {
            return Err(format!("its elements are `{kind}`, not `{expected}`").into());
        }
        let is_reversed = text(&header, "fortran_order")? == "True";
        let shape = text(&header, "shape")?;
        let lengths = shape.trim_matches(['(', ')']).split(',').map(str::trim);
        let lengths = lengths.filter(|length| !length.is_empty());
        let mut shape = lengths.map(str::parse).collect::<Result<Vec<usize>, _>>()?;
        if is_reversed {
            shape.reverse();
        }
        let start = (8 + bytes + length) as u64;
        let elements = shape
            .iter()
            .try_fold(1_usize, |all, length| all.checked_mul(*length));
        let elements = elements.and_then(|elements| elements.checked_mul(size_of::<A>()));
        let end = elements.map(|elements| start + elements as u64);
        let found = file.metadata()?.len();
        if end != Some(found) {
            return Err(format!("its length is {found} bytes, but its header says {end:?}").into());
        }
        Ok(Self {
            path: path.to_owned(),
            start,
            shape,
            is_reversed,
        })
    }

    /// Reads the elements of a region.
    pub(crate) fn read<A: Element>(&self, region: &Region) -> Result<Vec<A>, BoxError> {
        let in_file = |error: std::io::Error| format!("cannot read {:?}: {error}", self.path);
        let file = File::open(&self.path).map_err(in_file)?;
        let whole: Region = self.shape.iter().map(|length| 0..*length).collect();
        let length: usize = lengths(region).iter().product();
        let mut bytes = vec![0; length * size_of::<A>()];
        let mut rest = &mut bytes[..];
        for run in merged(Runs::new(region, &whole)) {
            let (part, after) = rest.split_at_mut(run.len() * size_of::<A>());
            let offset = self.start + (run.start * size_of::<A>()) as u64;
            file.read_exact_at(part, offset).map_err(in_file)?;
            rest = after;
        }
        Ok(from_bytes(&bytes)?)
    }
}

/// Joins ranges that touch each other.
pub(crate) fn merged(
    runs: impl Iterator<Item = std::ops::Range<usize>>,
) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut runs = runs.peekable();
    std::iter::from_fn(move || {
        let mut run = runs.next()?;
        while let Some(next) = runs.next_if(|next| next.start == run.end) {
            run.end = next.end;
        }
        Some(run)
    })
}

/// Returns the text of a value of the header, which is a dictionary of Python.
fn text<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let missing = || format!("its header has no `{key}`");
    let (_, value) = header
        .split_once(&format!("'{key}':"))
        .ok_or_else(missing)?;
    let value = value.trim_start();
    let end = if value.starts_with('(') {
        value.find(')').map(|end| end + 1)
    } else {
        value.find([',', '}'])
    };
    let end = end.ok_or_else(missing)?;
    Ok(value[..end].trim())
}

/// Returns the header of a file.
pub(crate) fn header<A: Element>(shape: &[usize]) -> Vec<u8> {
    let order = if size_of::<A>() == 1 { '|' } else { '<' };
    let axes: String = shape.iter().map(|length| format!("{length}, ")).collect();
    let text = format!(
        "{{'descr': '{order}{}', 'fortran_order': False, 'shape': ({}), }}",
        A::KIND,
        axes.trim_end()
    );
    // Elements begin at a multiple of 64 bytes, after a line end.
    let length = (text.len() + 1 + 10).next_multiple_of(64) - 10;
    let mut header = [
        MAGIC,
        &[1, 0],
        &(length as u16).to_le_bytes(),
        text.as_bytes(),
    ]
    .concat();
    header.resize(length + 9, b' ');
    header.push(b'\n');
    header
}
