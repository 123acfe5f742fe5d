//! Tar archives: ustar, with the extensions of GNU tar and of POSIX (pax) for long names and large files.

use std::io::{self, ErrorKind, Read};

use super::{damaged, read_bytes};

const BLOCK_BYTES: usize = 512;

/// Maximum length of a name or of the fields of an extended header, in bytes.
const MAX_NAME_BYTES: u64 = 1 << 20;

/// Reads the regular files of an archive, one after another.
pub(crate) struct TarReader<R> {
    input: R,
    /// Whether a header has been read.
    is_tar: bool,
}

/// Name and size from the extended headers before a file.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    bytes: Option<u64>,
    is_sparse: bool,
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            is_tar: false,
        }
    }

    /// Returns the name and the content of the next file, or `None` after the last. Skips directories, links and devices.
    pub(crate) fn next_file(&mut self) -> io::Result<Option<(String, Vec<u8>)>> {
        let mut extended = Extended::default();
        while let Some(header) = self.next_header()? {
            let size = number(&header[124..136])?;
            match header[156] {
                // Its content begins with the places of its parts, and its name is another one.
                _ if extended.is_sparse => return Err(sparse()),
                b'0' | 0 | b'7' => {
                    let name = extended.name.unwrap_or_else(|| name_of(&header));
                    let content = self.content(extended.bytes.unwrap_or(size))?;
                    // Old archives have directories like this.
                    if !name.ends_with(b"/") {
                        let name = String::from_utf8_lossy(&name).into_owned();
                        return Ok(Some((name, content)));
                    }
                    extended = Extended::default();
                }
                b'L' if size <= MAX_NAME_BYTES => {
                    let mut name = self.content(size)?;
                    name.truncate(
                        name.iter()
                            .position(|byte| *byte == 0)
                            .unwrap_or(name.len()),
                    );
                    extended.name = Some(name);
                }
                b'x' if size <= MAX_NAME_BYTES => extended.read(&self.content(size)?)?,
                b'S' => return Err(sparse()),
                kind => {
                    let bytes = extended.bytes.unwrap_or(size).next_multiple_of(512);
                    let is_link = matches!(kind, b'1'..=b'6');
                    self.skip(if is_link { 0 } else { bytes })?;
                    if !matches!(kind, b'g' | b'K') {
                        extended = Extended::default();
                    }
                }
            }
        }
        Ok(None)
    }

    /// Returns the next header, or `None` at the end of the archive: a block of zeros, or the end of the input.
    fn next_header(&mut self) -> io::Result<Option<[u8; BLOCK_BYTES]>> {
        let mut header = Vec::new();
        self.input
            .by_ref()
            .take(BLOCK_BYTES as u64)
            .read_to_end(&mut header)?;
        if header.is_empty() {
            return Ok(None);
        }
        let header = <[u8; BLOCK_BYTES]>::try_from(header);
        if !self.is_tar && !header.as_ref().is_ok_and(is_tar_header) {
            return Err(damaged("it is neither a zip nor a tar archive"));
        }
        self.is_tar = true;
        let header = header.map_err(|_| ErrorKind::UnexpectedEof)?;
        if header == [0; BLOCK_BYTES] {
            // The checksum of a compressed archive follows its last block.
            io::copy(&mut self.input, &mut io::sink())?;
            return Ok(None);
        }
        if !has_checksum(&header)? {
            return Err(damaged("the checksum of a header does not match"));
        }
        Ok(Some(header))
    }

    fn content(&mut self, bytes: u64) -> io::Result<Vec<u8>> {
        let content = read_bytes(&mut self.input, bytes)?;
        self.skip(bytes.next_multiple_of(512) - bytes)?;
        Ok(content)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.input.by_ref().take(bytes), &mut io::sink())?;
        match skipped == bytes {
            true => Ok(()),
            false => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Extended {
    /// Reads records of the form `LENGTH KEY=VALUE\n`.
    fn read(&mut self, mut records: &[u8]) -> io::Result<()> {
        let invalid = || damaged("an extended header is invalid");
        while !records.is_empty() {
            let digits = records
                .iter()
                .position(|byte| *byte == b' ')
                .ok_or_else(invalid)?;
            let len = str::from_utf8(&records[..digits]).ok();
            let len: usize = len.and_then(|len| len.parse().ok()).ok_or_else(invalid)?;
            let record = records.get(digits + 1..len).ok_or_else(invalid)?;
            let record = record.strip_suffix(b"\n").ok_or_else(invalid)?;
            if let Some(path) = record.strip_prefix(b"path=") {
                self.name = Some(path.to_vec());
            } else if record.starts_with(b"GNU.sparse.") {
                self.is_sparse = true;
            } else if let Some(size) = record.strip_prefix(b"size=") {
                let size = str::from_utf8(size).ok().and_then(|size| size.parse().ok());
                self.bytes = Some(size.ok_or_else(invalid)?);
            }
            records = &records[len..];
        }
        Ok(())
    }
}

fn sparse() -> io::Error {
    io::Error::new(ErrorKind::Unsupported, "sparse files are not supported")
}

/// Returns whether a block is the first one of an archive.
fn is_tar_header(block: &[u8; BLOCK_BYTES]) -> bool {
    *block == [0; BLOCK_BYTES] || has_checksum(block).unwrap_or(false)
}

fn has_checksum(header: &[u8; BLOCK_BYTES]) -> io::Result<bool> {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    let checksum = &header[148..156];
    Ok(number(checksum)? == sum(header) - sum(checksum) + 8 * u64::from(b' '))
}

/// Returns the name in a header, with its prefix.
fn name_of(header: &[u8; BLOCK_BYTES]) -> Vec<u8> {
    let text = |field: &[u8]| {
        field
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default()
            .to_vec()
    };
    let name = text(&header[..100]);
    // GNU tar has other fields there.
    match (&header[257..263] == b"ustar\0", text(&header[345..500])) {
        (true, prefix) if !prefix.is_empty() => [&prefix[..], b"/", &name].concat(),
        _ => name,
    }
}

/// Reads a number: octal digits or, if the highest bit is set, bytes.
fn number(field: &[u8]) -> io::Result<u64> {
    let invalid = || damaged("a number in a header is invalid");
    if let [first @ 0x80..=0xff, rest @ ..] = field {
        let mut bytes = std::iter::once(first & 0x7f).chain(rest.iter().copied());
        let value = bytes.try_fold(0_u64, |n, byte| {
            n.checked_mul(256)?.checked_add(byte.into())
        });
        return value.ok_or_else(invalid);
    }
    let digits = str::from_utf8(field).map_err(|_| invalid())?;
    match digits.trim_matches([' ', '\0']) {
        "" => Ok(0),
        digits => u64::from_str_radix(digits, 8).map_err(|_| invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a header of a kind, and its content.
    fn member(kind: u8, content: &[u8]) -> Vec<u8> {
        let mut header = [0; BLOCK_BYTES];
        header[0] = b'a';
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = kind;
        let sum: u32 = header.iter().copied().map(u32::from).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let mut member = [&header[..], content].concat();
        member.resize(member.len().next_multiple_of(BLOCK_BYTES), 0);
        member
    }

    fn read(archive: &[u8]) -> Result<Option<(String, Vec<u8>)>, String> {
        let file = TarReader::new(archive).next_file();
        file.map_err(|error| error.to_string())
    }

    #[test]
    fn sparse_files_are_refused() {
        let file = member(b'0', b"content");
        let content = Ok(Some(("a".to_owned(), b"content".to_vec())));
        assert_eq!(read(&file), content);
        let map = member(b'x', b"22 GNU.sparse.major=1\n");
        for sparse in [[&map[..], &file].concat(), member(b'S', b"")] {
            assert_eq!(
                read(&sparse),
                Err("sparse files are not supported".to_owned())
            );
        }
    }

    #[test]
    fn other_files_are_no_archives() {
        assert_eq!(read(b""), Ok(None));
        assert_eq!(read(&[0; 1024]), Ok(None));
        for other in ["a text\n", &"a text\n".repeat(100)] {
            let reason = "it is neither a zip nor a tar archive";
            assert_eq!(read(other.as_bytes()), Err(reason.to_owned()));
        }
    }
}
