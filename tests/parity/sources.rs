//! Sources, readers, and settings.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use holdall::events::Event;
use holdall::{
    BadRecords, Bag, BoxError, Context, Executor, InvalidUtf8, Reading, Result, Source, TextReader,
};
use serde::{Deserialize, Serialize};

use crate::common::Files;
use crate::{checks, has, is, numbers};

/// The letters of words.
#[derive(Serialize, Deserialize)]
struct Letters(Vec<String>);

impl Source for Letters {
    type Split = usize;
    type Item = str;

    fn splits(&self) -> Result<Vec<usize>, BoxError> {
        Ok((0..self.0.len()).collect())
    }

    fn read(
        &self,
        word: &usize,
        _: &Reading<'_>,
        mut emit: impl FnMut(&str) -> ControlFlow<()>,
    ) -> Result<(), BoxError> {
        let _ = self.0[*word]
            .chars()
            .try_for_each(|c| emit(c.encode_utf8(&mut [0; 4])));
        Ok(())
    }
}

fn letters() -> Letters {
    Letters(["ab", "c"].map(str::to_owned).to_vec())
}

/// Reads a file with two lines.
fn read(context: &Context, reader: impl FnOnce(TextReader) -> TextReader) -> Result<Vec<String>> {
    let files = Files::new();
    let path = files.write("text", "one\ntwo;2\n");
    reader(TextReader::new().context(context))
        .read(path)?
        .collect()
}

/// Returns whether a job of a context with these settings returns what it should.
fn works(builder: holdall::ContextBuilder) -> Result<()> {
    let context = builder.build()?;
    has(numbers(&context).map(|n| n % 2).distinct().sort(), [0, 1])
}

checks! {
    "read_text" => |c| {
        let files = Files::new();
        files.write("b", "two");
        files.write_gzip("a", &[b"one\n"]);
        has(c.read_text(files.root())?, ["one", "two"])?;
        is(holdall::read_text(files.root())?.count(), 2)
    };
    "TextReader::bad_records" => |c| {
        let bad = BadRecords::new("too long");
        is(read(c, |reader| reader.max_line_bytes(4).bad_records(&bad)), ["one"])?;
        is(Ok(bad.count()), 1)
    };
    "read_files" => |c| {
        let files = Files::new();
        files.write("b", "two\n");
        files.write_gzip("a", &[b"one"]);
        let texts = c.read_files(files.root())?.try_map(|file| file.read_text());
        has(texts, ["one", "two\n"])?;
        is(holdall::read_files(files.root())?.count(), 2)
    };
    "read_fixed_length" => |c| {
        let files = Files::new();
        files.write("a", "abcdef");
        let records = c.read_fixed_length(files.root(), 3)?;
        has(records.map(<[u8]>::to_vec), [b"abc", b"def"])
    };
    "with_origin" => |c| {
        let files = Files::new();
        let path = files.write("a", "one\ntwo\n");
        let places = c.read_text(&path)?.with_origin().map(|(origin, _)| (origin.path.to_owned(), origin.offset));
        is(places.collect(), [(path.clone(), 0), (path, 4)])
    };
    "with_line_numbers" => |c| {
        let files = Files::new();
        let path = files.write("a", "one\ntwo\n");
        has(c.read_text(&path)?.with_line_numbers().map(|(origin, line)| (origin.line, line.len())), [(Some(1), 3), (Some(2), 3)])
    };
    "ok_or_fail" => |c| has(numbers(c).map(|n| u8::try_from(n + 1)).ok_or_fail(), [1, 2, 3, 4, 5, 6]);
    "ok_or_skip" => |c| {
        let bad = BadRecords::new("negative");
        has(numbers(c).map(|n| u8::try_from(n - 2)).ok_or_skip(&bad), [0, 1, 2, 3])?;
        is(Ok(bad.count()), 2)
    };
    "parse_or_skip" => |c| {
        let bad = BadRecords::new("no numbers");
        let texts = numbers(c).map(|n| if n < 5 { n.to_string() } else { "five".to_owned() });
        has(texts.parse_or_skip(&bad, |text| text.parse::<u8>()), [0, 1, 2, 3, 4])?;
        is(Ok(bad.samples()[0].text.clone()), Some("five".to_owned()))
    };
    "parse_fields_or_skip" => |c| {
        let bad = BadRecords::new("no pairs");
        let texts = numbers(c).map(|n| if n == 0 { "0".to_owned() } else { format!("{n};2") });
        is(texts.parse_fields_or_skip::<(i64, u8)>(';', &bad).count(), 5)?;
        is(Ok(bad.count()), 1)
    };
    "BagWith::parse_or_skip" => |c| {
        let bad = BadRecords::new("too great");
        let texts = numbers(c).map(|n| n.to_string()).with(3_u8);
        let small = texts.parse_or_skip(&bad, |most, text| text.parse().ok().filter(|n: &u8| n < most).ok_or("great"));
        has(small, [0, 1, 2])
    };
    "from_vec" => |c| has(c.from_vec(vec!["a", "b"]).union(holdall::from_vec(vec!["c"])), ["a", "b", "c"]);
    "from_vec_partitioned" => |c| {
        has(c.from_vec_partitioned(vec![1, 2, 3], 3).glom(), [[1], [2], [3]])?;
        has(holdall::from_vec_partitioned(vec![1, 2], 2).glom(), [[1], [2]])
    };
    "from_iter" => |c| has(c.from_iter(0..3).union(holdall::from_iter(3..4)), [0, 1, 2, 3]);
    "from_fn" => |c| has(c.from_fn(|| vec![1, 2]).union(holdall::from_fn(|| [3])), [1, 2, 3]);
    "from_source" => |c| {
        has(c.from_source(letters())?, ["a", "b", "c"])?;
        has(holdall::from_source(letters())?, ["a", "b", "c"])
    };
    "range" => |c| has(c.range(1..=3).union(holdall::range(4..5)), [1, 2, 3, 4]);
    "range_partitioned" => |c| {
        has(c.range_partitioned(0..4, 2).glom(), [[0, 1], [2, 3]])?;
        has(holdall::range_partitioned(0..2, 2).glom(), [[0], [1]])
    };
    "empty" => |c| has(c.empty::<u8>().union(holdall::empty()), [0; 0]);
    "Bag::from" => |_| has(Bag::from(vec![1, 2]), [1, 2]);
    "Bag::from_iter" => |_| has(Bag::from_iter([1, 2]), [1, 2]);
    "Bag::from_par_iter" => |_| has(
        <Bag<i32> as rayon::iter::FromParallelIterator<i32>>::from_par_iter([1, 2]), [1, 2]
    );

    "TextReader::read" => |c| is(read(c, |reader| reader), ["one", "two;2"]);
    "TextReader::context" => |c| is(read(c, |reader| reader.context(c)), ["one", "two;2"]);
    "TextReader::delimiter" => |c| is(read(c, |reader| reader.delimiter(";")), ["one\ntwo", "2\n"]);
    "TextReader::skip_header" => |c| is(read(c, |reader| reader.skip_header(true)), ["two;2"]);
    "TextReader::invalid_utf8" => |c| is(
        read(c, |reader| reader.invalid_utf8(InvalidUtf8::Skip)), ["one", "two;2"]
    );
    "TextReader::max_line_bytes" => |c| is(Ok(read(c, |reader| reader.max_line_bytes(3)).is_err()), true);
    "TextReader::partition_bytes" => |c| {
        let files = Files::new();
        let path = files.write("text", "one\ntwo\nsix\n");
        let lines = TextReader::new().context(c).partition_bytes(4).read(path)?;
        has(lines.glom(), [["one"], ["two"], ["six"]])
    };
    "TextReader::read_bytes" => |c| {
        let files = Files::new();
        let path = files.write("text", b"\xff\n");
        has(TextReader::new().context(c).read_bytes(path)?, [b"\xff"])
    };

    "Context::builder" => |_| works(Context::builder());
    "ContextBuilder::executor" => |_| works(Context::builder().executor(Executor::Inline));
    "ContextBuilder::threads" => |_| works(Context::builder().threads(2));
    "ContextBuilder::memory" => |_| works(Context::builder().threads(1).memory("2MiB"));
    "ContextBuilder::shuffle_partitions" => |_| works(Context::builder().shuffle_partitions(2));
    "ContextBuilder::progress" => |_| works(Context::builder().progress(false));
    "ContextBuilder::summary" => |_| works(Context::builder().summary(false));
    "ContextBuilder::disk_quota" => |_| works(Context::builder().disk_quota("1GiB"));
    "ContextBuilder::worker_timeout" => |_| works(Context::builder().worker_timeout(Duration::from_secs(60)));
    "ContextBuilder::spill_directory" => |_| {
        let files = Files::new();
        works(Context::builder().spill_directory(files.root()))
    };
    "ContextBuilder::shuffle_directory" => |_| {
        let files = Files::new();
        works(Context::builder().shuffle_directory(files.root()))
    };
    "ContextBuilder::observer" => |_| {
        let events = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&events);
        works(Context::builder().observer(move |_: &Event| {
            seen.fetch_add(1, Ordering::Relaxed);
        }))?;
        is(Ok(events.load(Ordering::Relaxed) > 2), true)
    };
}
