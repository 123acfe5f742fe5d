//! Files to portions of about equal size: large files are cut into byte ranges, small ones packed together.

use std::path::Path;
use std::sync::Arc;

use crate::error::Result;

use super::delimiter::Delimiter;
use super::format::Format;
use super::inputs::InputFile;
use super::options::TextOptions;

/// A byte range of a file: the records of it whose first byte lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    pub(crate) path: Arc<Path>,
    pub(crate) start: u64,
    /// `u64::MAX` for the end of the file, wherever that is. Compressed files are read to their end in any case.
    pub(crate) end: u64,
}

impl Split {
    /// All of a file.
    pub(crate) fn whole(path: &Arc<Path>) -> Self {
        Self {
            path: Arc::clone(path),
            start: 0,
            end: u64::MAX,
        }
    }
}

/// What is read in one go; the portions of an input in order give its records in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Portion {
    /// One or more splits, one after the other.
    Splits(Vec<Split>),
    /// A gzip file, to be decoded by [`GzipPieces`](super::GzipPieces) while others work on what has been decoded.
    ///
    /// Only one thread can decode such a file. Where one is a large part of the input, the rest would wait for it; so
    /// its lines at least are shared. Where there are many, each thread decodes its own, which takes no handing over.
    Stream(Arc<Path>),
}

/// With more portions than this, each gets larger. A number of the input's, not of this machine's cores: results must
/// not depend on the machine, and a portion more costs little.
const PORTIONS: u64 = 256;
const MIN_SPLIT_BYTES: u64 = 1 << 20;
const MAX_SPLIT_BYTES: u64 = 64 << 20;

/// What opening a file costs, in bytes that could be read meanwhile; so that 100,000 empty files are packed too.
const FILE_COST_BYTES: u64 = 16 << 10;

/// A gzip file becomes a stream if it is larger than this and than an eighth of the input.
const MIN_STREAM_BYTES: u64 = 4 << 20;

/// Divides `files`. Only files that are large, for which the format decides, are opened.
///
/// # Errors
///
/// If such a file cannot be read or has a format that cannot, or an option has a value that cannot be used.
pub(crate) fn plan(files: &[InputFile], options: &TextOptions) -> Result<Vec<Portion>> {
    options.check()?;
    let total_bytes = files.iter().map(|file| file.bytes).sum();
    let total_cost: u64 = files.iter().map(cost).sum();
    let split_bytes = options
        .split_bytes
        .unwrap_or_else(|| (total_cost / PORTIONS).clamp(MIN_SPLIT_BYTES, MAX_SPLIT_BYTES));
    let mut plan = Plan {
        split_bytes,
        total_bytes,
        can_cut: !Delimiter::new(&options.delimiter).overlaps_itself(),
        portions: Vec::new(),
        pack: Vec::new(),
        pack_cost: 0,
    };
    for file in files {
        plan.add(file)?;
    }
    plan.close_pack();
    Ok(plan.portions)
}

fn cost(file: &InputFile) -> u64 {
    file.bytes.saturating_add(FILE_COST_BYTES)
}

struct Plan {
    // Settings.
    split_bytes: u64,
    total_bytes: u64,
    can_cut: bool,

    // What there is so far, and the small files that are not in it yet.
    portions: Vec<Portion>,
    pack: Vec<Split>,
    pack_cost: u64,
}

impl Plan {
    fn add(&mut self, file: &InputFile) -> Result<()> {
        let may_be_stream = file.bytes > MIN_STREAM_BYTES && file.bytes > self.total_bytes / 8;
        if file.is_stream {
            // It may have any size, so others must not wait behind it.
            self.push(Portion::Splits(vec![Split::whole(&file.path)]));
        } else if file.bytes <= self.split_bytes && !may_be_stream {
            self.pack(file);
        } else {
            match Format::sniff(&file.path)? {
                Format::Gzip if may_be_stream => self.push(Portion::Stream(Arc::clone(&file.path))),
                Format::Plain if file.bytes > self.split_bytes && self.can_cut => self.cut(file),
                Format::Gzip | Format::Plain => self.pack(file),
            }
        }
        Ok(())
    }

    /// Into ranges that differ by one byte at most, none of them larger than the split size.
    fn cut(&mut self, file: &InputFile) {
        let ranges = file.bytes.div_ceil(self.split_bytes);
        let boundary =
            |i: u64| (u128::from(file.bytes) * u128::from(i) / u128::from(ranges)) as u64;
        for i in 0..ranges {
            self.push(Portion::Splits(vec![Split {
                path: Arc::clone(&file.path),
                start: boundary(i),
                end: boundary(i + 1),
            }]));
        }
    }

    fn pack(&mut self, file: &InputFile) {
        let cost = cost(file);
        if self.pack_cost.saturating_add(cost) > self.split_bytes {
            self.close_pack();
        }
        let mut split = Split::whole(&file.path);
        if file.bytes > 0 {
            split.end = file.bytes;
        }
        self.pack.push(split);
        self.pack_cost += cost;
    }

    fn push(&mut self, portion: Portion) {
        self.close_pack();
        self.portions.push(portion);
    }

    fn close_pack(&mut self) {
        if !self.pack.is_empty() {
            self.portions
                .push(Portion::Splits(std::mem::take(&mut self.pack)));
            self.pack_cost = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// Files that need not exist, since nobody looks into them.
    fn small_files(count: u64, bytes: u64) -> Vec<InputFile> {
        (0..count)
            .map(|n| file(Path::new(&format!("small-{n:06}")), bytes))
            .collect()
    }

    fn file(path: &Path, bytes: u64) -> InputFile {
        InputFile {
            path: path.into(),
            bytes,
            is_stream: false,
        }
    }

    /// A file that is said to be large: only its first bytes are looked at.
    fn large_file(directory: &Path, name: &str, magic: &[u8], bytes: u64) -> InputFile {
        let path = directory.join(name);
        fs::write(&path, magic).unwrap();
        file(&path, bytes)
    }

    fn plan_of(files: &[InputFile]) -> Vec<Portion> {
        let portions = plan(files, &TextOptions::default()).unwrap();
        assert_eq!(
            covered(&portions),
            files
                .iter()
                .map(|file| file.path.clone())
                .collect::<Vec<_>>()
        );
        portions
    }

    /// The paths in order, after making sure that the ranges of each are without gaps.
    fn covered(portions: &[Portion]) -> Vec<Arc<Path>> {
        let mut paths: Vec<Arc<Path>> = Vec::new();
        let mut end = 0;
        for portion in portions {
            let splits = match portion {
                Portion::Splits(splits) => splits.clone(),
                Portion::Stream(path) => vec![Split::whole(path)],
            };
            for split in splits {
                if split.start == 0 {
                    paths.push(split.path);
                } else {
                    assert_eq!(split.start, end);
                    assert_eq!(paths.last(), Some(&split.path));
                }
                end = split.end;
            }
        }
        paths
    }

    #[test]
    fn small_files_are_packed() {
        let portions = plan_of(&small_files(20_000, 1_000));
        assert!((250..=350).contains(&portions.len()), "{}", portions.len());
        let portions = plan_of(&small_files(100_000, 0));
        assert!((250..=350).contains(&portions.len()), "{}", portions.len());
        assert_eq!(plan_of(&small_files(3, 10)).len(), 1);
        assert_eq!(plan_of(&[]).len(), 0);
    }

    #[test]
    fn a_large_file_is_cut_evenly() {
        let directory = tempfile::tempdir().unwrap();
        for (bytes, ranges) in [
            (MIB, 1),
            (MIB + 1, 2),
            (1_000 * MIB + 7, 257),
            (1 << 40, 16_384),
        ] {
            let portions = plan_of(&[large_file(directory.path(), "large", b"text", bytes)]);
            assert!(
                portions.len().abs_diff(ranges) <= 1,
                "{bytes}: {}",
                portions.len()
            );
            let sizes: Vec<u64> = portions
                .iter()
                .map(|portion| match portion {
                    Portion::Splits(splits) => splits[0].end - splits[0].start,
                    Portion::Stream(_) => panic!("not compressed"),
                })
                .collect();
            assert_eq!(sizes.iter().sum::<u64>(), bytes);
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn order_is_kept_between_large_and_small() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = small_files(3, 100);
        files.insert(1, large_file(directory.path(), "large", b"text", 3 * MIB));
        let portions = plan_of(&files);
        assert_eq!(portions.len(), 5);
        assert!(matches!(&portions[4], Portion::Splits(splits) if splits.len() == 2));
    }

    #[test]
    fn a_large_gzip_file_is_streamed_if_it_is_much_of_the_input() {
        let directory = tempfile::tempdir().unwrap();
        let gzip = |name: &str, bytes| large_file(directory.path(), name, b"\x1f\x8b\x08", bytes);
        let alone = [gzip("alone", 5 * MIB)];
        assert_eq!(plan_of(&alone), [Portion::Stream(alone[0].path.clone())]);
        let small = [gzip("small", 2 * MIB)];
        assert!(matches!(&plan_of(&small)[..], [Portion::Splits(splits)] if splits.len() == 1));
        let many: Vec<_> = (0..9)
            .map(|n| gzip(&format!("many-{n}"), 5 * MIB))
            .collect();
        let portions = plan_of(&many);
        assert_eq!(portions.len(), 9);
        assert!(
            portions
                .iter()
                .all(|portion| matches!(portion, Portion::Splits(_)))
        );
        // A wished size does not change what is streamed.
        let options = TextOptions {
            split_bytes: Some(100 * MIB),
            ..TextOptions::default()
        };
        assert!(matches!(
            plan(&alone, &options).unwrap()[..],
            [Portion::Stream(_)]
        ));
    }

    #[test]
    fn a_delimiter_that_overlaps_itself_prevents_cuts() {
        let directory = tempfile::tempdir().unwrap();
        let files = [large_file(directory.path(), "large", b"text", 3 * MIB)];
        let options = TextOptions {
            delimiter: b"\n\n".to_vec(),
            ..TextOptions::default()
        };
        assert_eq!(plan(&files, &options).unwrap().len(), 1);
    }

    #[test]
    fn a_wished_size_is_met() {
        let directory = tempfile::tempdir().unwrap();
        let files = [large_file(directory.path(), "large", b"text", 1_000)];
        let options = TextOptions {
            split_bytes: Some(300),
            ..TextOptions::default()
        };
        assert_eq!(plan(&files, &options).unwrap().len(), 4);
    }

    #[test]
    fn streams_stand_alone_and_are_not_opened() {
        let mut files = small_files(3, 0);
        files[1].is_stream = true;
        assert_eq!(plan_of(&files).len(), 3);
    }

    #[test]
    fn what_cannot_be_read_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let files = [large_file(
            directory.path(),
            "large",
            b"PK\x03\x04",
            3 * MIB,
        )];
        assert!(
            plan(&files, &TextOptions::default())
                .unwrap_err()
                .to_string()
                .contains("zip")
        );
    }
}
