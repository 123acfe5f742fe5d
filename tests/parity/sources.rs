//! Sources, readers, and settings.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use holdall::events::Event;
use holdall::{Bag, BoxError, Context, Executor, InvalidUtf8, Reading, Result, Source, TextReader};
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
    "ContextBuilder::observer" => |_| {
        let events = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&events);
        works(Context::builder().observer(move |_: &Event| {
            seen.fetch_add(1, Ordering::Relaxed);
        }))?;
        is(Ok(events.load(Ordering::Relaxed) > 2), true)
    };
}
