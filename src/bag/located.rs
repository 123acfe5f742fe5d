//! Transformations that add the place in the input to each record.

use std::sync::Arc;

use super::Bag;
use super::joins::SideFilter;
use crate::lineage::Node;
use crate::operators::located::{CountLines, FileLines, LineNumbers, Located, WithOrigin};
use crate::operators::read_text::{ReadText, RecordPieces};
use crate::operators::records_by_key::Pairs;
use crate::operators::scan::Numbered;
use crate::pipeline::{Pipeline, TextSlice};
use crate::shuffle::HashPartitioner;
use crate::task::Site;

/// The places of the records of text files. Called directly after [`read_text`](crate::read_text).
impl<T: TextSlice + ?Sized> Bag<T, ReadText<T>>
where
    ReadText<T>: Pipeline<Out = T> + RecordPieces<T>,
{
    /// Adds the file and the byte to each record: the records of the result are pairs of an
    /// [`Origin`](crate::Origin) and a text. Narrow: keeps partitions and order.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// std::fs::write("a.log", "started\nfailed\n")?;
    /// std::fs::write("b.log", "failed\n")?;
    /// let failures = holdall::read_text("*.log")?.with_origin().filter(|(_, line)| line == "failed");
    /// let places = failures.map(|(origin, _)| (origin.path.to_owned(), origin.offset)).collect()?;
    /// assert_eq!(places, [("a.log".into(), 8), ("b.log".into(), 0)]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn with_origin(self) -> Bag<Located<T>, impl Pipeline<Out = Located<T>> + use<T>> {
        let site = Site::new("with_origin");
        let lines = LineNumbers::Unknown;
        self.then(site, |text| WithOrigin { text, lines, site })
    }

    /// Adds the file, the byte and the number of the line to each record, as [`with_origin`](Bag::with_origin) does. Keeps
    /// partitions and order.
    ///
    /// The numbers count the records of a file, from 1. They include a header that is skipped, and
    /// [bad](crate::TextReader::bad_records) lines, except those that are too long.
    ///
    /// If a file is read in several partitions, a separate stage first counts the lines of each partition. A job then
    /// reads the input twice, so it must not be a pipe. Otherwise, it is read once.
    ///
    /// # Errors
    ///
    /// An action fails with [`StreamReadTwice`](crate::ErrorKind::StreamReadTwice) if the bag reads a pipe.
    ///
    /// # Examples
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # std::env::set_current_dir(&dir).unwrap();
    /// std::fs::write("a.rs", "fn main() {\n    todo!()\n}\n")?;
    /// let found = holdall::read_text("*.rs")?.with_line_numbers().filter(|(_, line)| line.contains("todo!"));
    /// assert_eq!(found.map(|(origin, _)| origin.to_string()).collect()?, ["a.rs:2"]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn with_line_numbers(self) -> Bag<Located<T>, impl Pipeline<Out = Located<T>> + use<T>> {
        let site = Site::new("with_line_numbers");
        let text = Arc::clone(&self.pipeline);
        if text.starts_files() {
            let lines = LineNumbers::FromStart;
            return self.then(site, |text| WithOrigin { text, lines, site });
        }
        let counted = self.clone().then(site, |text| CountLines { text });
        let (counts, dependency) = counted.records_by_key::<Pairs<(), Numbered<FileLines>>>(
            site,
            HashPartitioner::new(1),
            true,
            SideFilter::None,
        );
        let node = Node::broadcast(site, self.partitions(), &self.node, dependency);
        let lines = LineNumbers::Counted(counts);
        Bag::new(WithOrigin { text, lines, site }, node, self.context)
    }
}
