//! Actions that return records, and outputs.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use holdall::{
    CancelHandle, Context, Counter, StagePreview, TextWriter, as_completed, gather, value,
};

use crate::common::{Files, concatenation, names_in};
use crate::{checks, has, is, lines, numbers, pairs};

const BRIEF: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(60);

checks! {
    "collect" => |c| is(numbers(c).collect(), [0, 1, 2, 3, 4, 5]);
    "iter" => |c| is(numbers(c).iter()?.collect::<holdall::Result<Vec<_>>>(), [0, 1, 2, 3, 4, 5]);
    "iter_unordered" => |c| {
        let mut all = numbers(c).iter_unordered()?.collect::<holdall::Result<Vec<_>>>()?;
        all.sort();
        is(Ok(all), [0, 1, 2, 3, 4, 5])
    };
    "take" => |c| is(numbers(c).take(4), [0, 1, 2, 3]);
    "first" => |c| is(numbers(c).first(), Some(0));
    "last" => |c| is(numbers(c).last(), Some(5));
    "count" => |c| is(numbers(c).count(), 6);
    "is_empty" => |c| is(numbers(c).is_empty(), false);
    "reduce" => |c| is(numbers(c).reduce(|a, b| a + b), Some(15));
    "fold" => |c| is(numbers(c).fold(0, |a, b| a + b), 15);
    "aggregate" => |c| is(numbers(c).aggregate(0, |count, _| count + 1, |a, b| a + b), 6);
    "try_reduce" => |c| is(numbers(c).try_reduce(|a, b| a.checked_add(b).ok_or("overflow")), Some(15));
    "try_fold" => |c| is(numbers(c).try_fold(0, |a, b| a.checked_add(b).ok_or("overflow")), 15);
    "try_aggregate" => |c| is(numbers(c).try_aggregate(
        String::new(),
        |text, n| Ok::<_, String>(text + &n.to_string()),
        |a, b| Ok(a + &b),
    ), "012345");
    "for_each" => |c| {
        let counter = Counter::new("seen");
        numbers(c).with(counter.clone()).for_each(|counter, _| counter.add(1))?;
        numbers(c).for_each(drop)?;
        is(Ok(counter.value()), 6)
    };
    "for_each_partition" => |c| {
        let counter = Counter::new("partitions");
        let with = numbers(c).with(counter.clone());
        with.for_each_partition(|counter, numbers| counter.add(numbers.count()))?;
        numbers(c).for_each_partition(|numbers| numbers.for_each(drop))?;
        is(Ok(counter.value()), 6)
    };
    "try_for_each_partition" => |c| {
        let sizes = numbers(c).try_for_each_partition(|numbers| {
            (numbers.count() == 2).then_some(()).ok_or("another number of records")
        });
        is(sizes, ())?;
        let outcome = numbers(c).try_for_each_partition(|_| Err::<(), _>("no"));
        let error = outcome.expect_err("it fails").to_string();
        is(Ok(error.ends_with("no") && error.contains("try_for_each_partition")), true)
    };
    "try_for_each" => |c| is(numbers(c).try_for_each(|n| u8::try_from(n).map(drop)), ());
    "any" => |c| is(numbers(c).any(|n| n == 4), true);
    "all" => |c| is(numbers(c).all(|n| n < 4), false);
    "find" => |c| is(numbers(c).find(|n| *n > 2), Some(3));
    "find_last" => |c| is(numbers(c).find_last(|n| *n < 2), Some(1));
    "find_map" => |c| is(numbers(c).find_map(|n| (n > 3).then_some(n * 10)), Some(40));
    "position" => |c| is(numbers(c).position(|n| n == 4), Some(4));
    "eq" => |c| is(numbers(c).eq(&numbers(c).coalesce(1)), true);
    "context" => |c| is(Ok(pairs(c).context().range(0..3).partitions()), Some(3));
    "explain" => |c| is(Ok(pairs(c).sum_by_key().explain().stages().len()), 2);
    "delayed" => |c| is(numbers(c).delayed().sum().compute(), 15);
    "from_delayed" => |c| has(c.from_delayed([value(vec![3, 1]), value(vec![2])]), [3, 1, 2]);
    "to_delayed" => |c| {
        let parts = numbers(c).to_delayed().expect("the number is known");
        is(gather(parts).compute(), [[0, 1], [2, 3], [4, 5]].map(Vec::from))
    };
    "with_delayed" => |c| {
        let max = numbers(c).delayed().max();
        has(numbers(c).with_delayed(&max).filter(|max, n| Some(*n) == *max), [5])
    };
    "Plan::stages_dot" => |c| is(Ok(numbers(c).explain().stages_dot().starts_with("digraph")), true);
    "Plan::stages_svg" => |c| is(Ok(numbers(c).explain().stages_svg().starts_with("<svg")), true);
    "Plan::lineage_dot" => |c| is(Ok(numbers(c).explain().lineage_dot().starts_with("digraph")), true);
    "Context::last_job" => |c| {
        numbers(c).count()?;
        is(Ok(c.last_job().is_some()), true)
    };
    "Counter::add" => |_| {
        let counter = Counter::new("n");
        counter.add(2);
        is(Ok(counter.value()), 2)
    };

    "start" => |c| is(numbers(c).start(|numbers| numbers.count())?.result(), 6);
    "submit" => |c| is(c.submit(|n: i64| n * n, 5)?.result(), 25);
    "as_completed" => |c| {
        let handles = [c.submit(|n: i64| n, 1)?, c.submit(|n: i64| n, 2)?];
        let ended = as_completed(handles).map(|(_, result)| result);
        is(ended.sum::<holdall::Result<i64>>(), 3)
    };
    "ContextBuilder::concurrent_jobs" => |_| {
        let context = Context::builder().threads(1).concurrent_jobs(1).build()?;
        is(context.start(|context| context.range(0..5_u64).count())?.result(), 5)
    };
    "JobHandle::cancel" => |c| {
        let endless = c.from_iter(0_u64..).start(|numbers| numbers.count())?;
        endless.cancel();
        is(Ok(endless.result().expect_err("cancelled").is_cancelled()), true)
    };
    "Context::with_cancel" => |c| {
        let cancel = CancelHandle::new();
        let limited = c.with_cancel(&cancel);
        cancel.cancel();
        is(Ok(limited.range(0..5_u64).count().expect_err("cancelled").is_cancelled()), true)
    };
    "in_context" => |c| is(holdall::range(0..5_u64).in_context(c).count(), 5);
    "timeout" => |c| is(Ok(c.from_iter(0_u64..).timeout(BRIEF).count().is_err()), true);
    "Context::with_timeout" => |c| is(Ok(c.with_timeout(BRIEF).from_iter(0_u64..).count().is_err()), true);
    "Context::with_deadline" => |c| {
        let late = c.with_deadline(Instant::now());
        is(Ok(late.range(0..5_u64).count().is_err()), true)
    };
    "partial" => |c| {
        let all = numbers(c).partial(LONG, |numbers| numbers.count())?;
        is(Ok((all.value, all.is_complete, all.partitions_done)), (6, true, 3))?;
        let none = numbers(c).partial(Duration::ZERO, |numbers| numbers.count())?;
        is(Ok((none.value, none.is_complete, none.partitions_done)), (0, false, 0))
    };
    "preview" => |c| {
        let preview = numbers(c).preview(1)?;
        let records = |stage: &StagePreview| Some(stage.estimate.as_ref()?.records);
        is(Ok((preview.is_whole(), records(&preview.stages[0]))), (true, Some(6)))
    };

    "write_text" => |c| {
        let files = Files::new();
        let written = lines(c).write_text(files.path("out"))?;
        is(Ok((written.records, written.files.len())), (2, 2))?;
        is(Ok(concatenation(&files.path("out"))), "to be or\nnot to be\n")
    };
    "write_text_by_key" => |c| {
        let files = Files::new();
        let pairs = numbers(c).map(|n| (n % 2, n));
        let written = pairs.write_text_by_key(files.path("out"))?;
        is(Ok((written.records, written.files.len())), (6, 2))?;
        is(Ok(names_in(&files.path("out"))), vec!["0".to_owned(), "1".to_owned()])
    };
    "TextWriter::overwrite" => |c| {
        let files = Files::new();
        let writer = TextWriter::new().overwrite(true).durable(false);
        writer.write(&lines(c), files.path("out"))?;
        writer.write(&lines(c).limit(1), files.path("out"))?;
        is(Ok(concatenation(&files.path("out"))), "to be or\n")
    };
    "save" => |c| {
        let files = Files::new();
        is(numbers(c).save(files.path("saved")).map(|written| written.records), 6)
    };
    "load" => |c| {
        let files = Files::new();
        numbers(c).save(files.path("saved"))?;
        has(c.load::<i64>(files.path("saved"))?, [0, 1, 2, 3, 4, 5])?;
        is(holdall::load::<i64>(files.path("saved"))?.count(), 6)
    };
    "checkpoint" => |c| {
        let files = Files::new();
        has(numbers(c).checkpoint(files.path("saved"))?, [0, 1, 2, 3, 4, 5])
    };
    "write_to" => |c| {
        let output = Mutex::new(Vec::new());
        lines(c).write_to(&mut *output.lock().expect("one thread"))?;
        is(Ok(output.into_inner().expect("one thread")), b"to be or\nnot to be\n")
    };
}
