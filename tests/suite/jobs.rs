//! Jobs in the background: results, status, cancellation, waiting, and many at once.

use std::future::{Future, IntoFuture};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context as Polled, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use holdall::events::{Event, JobOutcome};
use holdall::{
    CancelHandle, Context, Error, ErrorKind, Executor, JobHandle, JobStatus, Result, as_completed,
};

use crate::common::{
    ON_PURPOSE, on_every_executor, on_every_executor_and_processes, quiet_panics, within_the_limit,
};

/// Far longer than any job of these tests takes.
const LONG: Duration = Duration::from_secs(60);

/// Starts a job that runs until it is cancelled. It must not be needed on worker processes.
fn endless(context: &Context) -> JobHandle<u64> {
    let handle = context.from_iter(0_u64..).start(|numbers| numbers.count());
    handle.expect("a thread can be started")
}

/// Waits until the first task of the job is done.
fn wait_for_a_task<R>(handle: &JobHandle<R>) {
    let is_done = || {
        let running = handle.progress().running;
        running.iter().any(|stage| stage.tasks_done > 0)
    };
    while !is_done() {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_job_in_the_background_has_the_result_of_its_action() {
    on_every_executor_and_processes(|context| {
        let numbers = context.range(0..10_000_u64);
        let count = numbers
            .clone()
            .map(|n| n % 7)
            .start(|numbers| numbers.distinct().count())
            .unwrap();
        let sum = numbers.start(|numbers| numbers.sum::<u64>()).unwrap();
        let both = context.start(|context| {
            let numbers = context.range(0..10_u64);
            Ok((numbers.clone().count()?, numbers.max()?))
        });
        assert_eq!(count.result().unwrap(), 7);
        assert_eq!(sum.result().unwrap(), 49_995_000);
        assert_eq!(both.unwrap().result().unwrap(), (10, Some(9)));
        let cube = context.submit(|n: u64| n * n * n, 11).unwrap();
        assert!(cube.wait_timeout(LONG) && cube.is_finished());
        assert_eq!(cube.status(), JobStatus::Completed);
        assert_eq!(cube.result().unwrap(), 1331);
    });
}

#[test]
fn a_failure_comes_back_through_the_handle() {
    quiet_panics();
    on_every_executor_and_processes(|context| {
        let panicked = |error: Error, operator| {
            let place = error.context().expect("a panic has a place");
            assert_eq!(place.operator, Some(operator), "{error}");
            assert_eq!(place.location.unwrap().file(), file!());
            assert!(matches!(error.kind(), ErrorKind::TaskPanicked { .. }));
        };
        let numbers = context.range(0..100_u64);
        let in_task = numbers
            .clone()
            .map(|n| assert!(n < 50, "{ON_PURPOSE}"))
            .start(|numbers| numbers.count())
            .unwrap();
        assert!(in_task.wait_timeout(LONG));
        assert_eq!(in_task.status(), JobStatus::Failed);
        panicked(in_task.result().unwrap_err(), "map");
        let call = context.submit(|()| panic!("{ON_PURPOSE}"), ());
        let call: JobHandle<()> = call.unwrap();
        panicked(call.result().unwrap_err(), "submit");
        let beside = numbers.start(|_| -> Result<u64> { panic!("{ON_PURPOSE}") });
        panicked(beside.unwrap().result().unwrap_err(), "start");
        // The context can still be used.
        assert_eq!(numbers.start(|n| n.count()).unwrap().result().unwrap(), 100);
    });
}

#[test]
fn a_job_can_be_cancelled_at_any_time() {
    on_every_executor(|context| {
        let handle = endless(context);
        handle.cancel();
        handle.cancel();
        assert!(handle.result().unwrap_err().is_cancelled());

        let handle = endless(context);
        wait_for_a_task(&handle);
        assert_eq!(handle.status(), JobStatus::Running);
        handle.cancel_handle().cancel();
        assert!(handle.wait_timeout(LONG));
        assert_eq!(handle.status(), JobStatus::Cancelled);
        handle.cancel();
        assert!(handle.result().unwrap_err().is_cancelled());

        let handle = context.range(0..10_u64).start(|numbers| numbers.count());
        let handle = handle.unwrap();
        assert!(handle.wait_timeout(LONG));
        handle.cancel();
        assert_eq!(handle.status(), JobStatus::Completed);
        assert_eq!(handle.result().unwrap(), 10);
    });
}

#[test]
fn a_job_on_processes_can_be_cancelled() {
    let context = Context::builder().executor(Executor::Processes(2));
    let context = context.build().unwrap();
    within_the_limit("processes:2", move || {
        let slow = context
            .range_partitioned(0..1_000_000_u64, 100_000)
            .map(|n| {
                thread::sleep(Duration::from_millis(1));
                n
            });
        let handle = slow.start(|slow| slow.sort().count()).unwrap();
        wait_for_a_task(&handle);
        let start = Instant::now();
        handle.cancel();
        assert!(handle.result().unwrap_err().is_cancelled());
        // The job itself would take minutes.
        assert!(start.elapsed() < Duration::from_secs(10));
        // A closure that does not end is killed with its worker.
        let stuck = context.submit(|()| thread::sleep(Duration::from_secs(3600)), ());
        let stuck = stuck.unwrap();
        assert!(!stuck.wait_timeout(Duration::from_millis(100)));
        stuck.cancel();
        assert!(stuck.result().unwrap_err().is_cancelled());
        assert_eq!(context.range(0..10_u64).count().unwrap(), 10);
    });
}

#[test]
fn a_pending_job_never_begins_once_it_is_cancelled() {
    let builder = Context::builder().executor(Executor::Threads(2));
    let context = builder.concurrent_jobs(1).build().unwrap();
    within_the_limit("one at a time", move || {
        let first = endless(&context);
        wait_for_a_task(&first);
        let calls = Arc::new(AtomicUsize::new(0));
        let start = |value: usize| {
            let calls = Arc::clone(&calls);
            let handle = context.start(move |_| Ok(calls.fetch_add(value, Ordering::SeqCst)));
            handle.unwrap()
        };
        let (cancelled, by_handle, dropped) = (start(1), start(10), start(100));
        let last = start(1000);
        assert_eq!(cancelled.status(), JobStatus::Pending);
        assert_eq!(cancelled.progress().job, None);
        cancelled.cancel();
        assert_eq!(cancelled.status(), JobStatus::Cancelled);
        assert!(cancelled.result().unwrap_err().is_cancelled());
        by_handle.cancel_handle().cancel();
        drop(dropped);
        // The closures of two jobs are left.
        assert_eq!(Arc::strong_count(&calls), 3);
        first.cancel();
        assert!(by_handle.result().unwrap_err().is_cancelled());
        assert_eq!(last.result().unwrap(), 0);
        assert_eq!(calls.load(Ordering::SeqCst), 1000);
    });
}

#[test]
fn dropping_a_handle_cancels_its_job() {
    let (send, outcomes) = mpsc::channel();
    let send = Mutex::new(send);
    let observer = move |event: &Event| {
        if let Event::JobDone { outcome, .. } = event {
            send.lock().unwrap().send(outcome.clone()).unwrap();
        }
    };
    let builder = Context::builder().executor(Executor::Threads(2));
    let context = builder.observer(observer).build().unwrap();
    within_the_limit("a drop", move || {
        let handle = endless(&context);
        wait_for_a_task(&handle);
        drop(handle);
        assert_eq!(outcomes.recv().unwrap(), JobOutcome::Cancelled);
        let numbers = context.range(0..10_u64);
        numbers.start(|numbers| numbers.count()).unwrap().detach();
        assert_eq!(outcomes.recv().unwrap(), JobOutcome::Completed);
    });
}

#[test]
fn jobs_outlive_their_context() {
    for executor in [
        Executor::Inline,
        Executor::Threads(2),
        Executor::Processes(1),
    ] {
        let context = Context::builder().executor(executor).build().unwrap();
        let numbers = context.range(0..100_000_u64).map(|n| n % 1000);
        let handle = numbers.start(|numbers| numbers.distinct().count()).unwrap();
        drop((context, numbers));
        within_the_limit("without the context", move || {
            assert_eq!(handle.result().unwrap(), 1000);
        });
    }
}

#[test]
fn a_task_neither_starts_jobs_nor_waits_for_them() {
    on_every_executor(|context| {
        let inner = context.clone();
        let handle = context.range(0..10_u64).start(|numbers| numbers.count());
        let handle = Mutex::new(Some(handle.unwrap()));
        let (_end, end) = mpsc::channel::<()>();
        let waits = context.start(move |_| Ok(u64::from(end.recv().is_ok())));
        let waits = Mutex::new(waits.ok());
        let errors = context.range_partitioned(0..1_u64, 1).map(move |_| {
            let started = inner.start(|_| Ok(1)).unwrap_err();
            let submitted = inner.submit(|n: u64| n, 1).unwrap_err();
            let waited = handle.lock().unwrap().take().unwrap().result().unwrap_err();
            let mut results = as_completed(waits.lock().unwrap().take());
            let next = results.next().unwrap().1.unwrap_err();
            assert!(results.next().is_none());
            [started, submitted, waited, next].map(|error| error.to_string())
        });
        let message = errors.collect().unwrap().pop().unwrap();
        for message in message {
            assert!(
                message.contains("inside a closure of a running job"),
                "{message}"
            );
        }
    });
}

#[test]
fn a_job_may_wait_for_jobs_that_begin_later() {
    let builder = Context::builder().executor(Executor::Threads(2));
    let context = builder.concurrent_jobs(1).build().unwrap();
    within_the_limit("one at a time", move || {
        let outer = context.start(|context| {
            let first = context.start(|context| {
                let second = context.range(0..5_u64).start(|numbers| numbers.count())?;
                Ok(second.result()? + 10)
            })?;
            let third = context.submit(|n: u64| n, 100)?;
            let results = as_completed([first, third]).map(|(_, result)| result);
            results.sum::<Result<u64>>()
        });
        assert_eq!(outer.unwrap().result().unwrap(), 115);
        // All threads count again.
        let handle = context.range(0..3_u64).start(|numbers| numbers.count());
        assert_eq!(handle.unwrap().result().unwrap(), 3);
    });
}

#[test]
fn cancelling_a_job_cancels_those_that_its_closure_has_started() {
    on_every_executor(|context| {
        let (send, begun) = mpsc::channel();
        let outer = context.start(move |context| {
            let inner = endless(&context);
            send.send(()).unwrap();
            inner.result()
        });
        let outer = outer.unwrap();
        begun.recv().unwrap();
        outer.cancel();
        assert!(outer.result().unwrap_err().is_cancelled());
    });
}

#[test]
fn what_a_closure_has_returned_or_detached_goes_on_after_it() {
    on_every_executor(|context| {
        let outer = context.start(|context| {
            let numbers = context.range(0..100_000_u64).map(|n| n ^ 1);
            let (send, done) = mpsc::channel();
            let detached = numbers.start(move |numbers| {
                thread::sleep(Duration::from_millis(20));
                let _ = send.send(numbers.count()?);
                Ok(())
            });
            detached?.detach();
            let count = numbers.start(|numbers| numbers.count())?;
            Ok((numbers.iter()?, count, done))
        });
        let outer = outer.unwrap();
        let cancel = outer.cancel_handle();
        let (records, count, done) = outer.result().unwrap();
        cancel.cancel();
        assert_eq!(records.map(Result::unwrap).sum::<u64>(), 4_999_950_000);
        assert_eq!(count.result().unwrap(), 100_000);
        assert_eq!(done.recv_timeout(LONG).unwrap(), 100_000);
    });
}

#[test]
fn a_thousand_jobs_can_be_started_at_once() {
    on_every_executor_and_processes(|context| {
        let submit = |n: u64| context.submit(|n| n * n, n);
        let handles: Vec<_> = (0..1000).map(submit).collect::<Result<_>>().unwrap();
        let mut results = vec![0; 1000];
        for (position, result) in as_completed(handles) {
            results[position] = result.unwrap();
        }
        assert!((0..1000).map(|n| n * n).eq(results));
        let handles: Vec<_> = (0..1000).map(submit).collect::<Result<_>>().unwrap();
        drop(handles);
        assert_eq!(submit(9).unwrap().result().unwrap(), 81);
    });
}

#[test]
fn results_come_in_the_order_in_which_the_jobs_end() {
    let context = Context::builder().executor(Executor::Threads(2)).build();
    let context = context.unwrap();
    within_the_limit("threads:2", move || {
        let (go_on, wait) = mpsc::channel::<()>();
        let first = context.start(move |_| {
            let _ = wait.recv();
            Ok(1)
        });
        let second = context.submit(|n: i32| n, 2);
        let failed = context.start(|_| Err(Error::other("no result")));
        let endless = context.start(|context| context.from_iter(0_u64..).count().map(|_| 4));
        let handles = [first, second, failed, endless].map(|handle| handle.unwrap());
        let cancel = handles[3].cancel_handle();
        let mut ended = as_completed(handles);
        let mut early = [(); 2].map(|()| ended.next().unwrap());
        early.sort_by_key(|(position, _)| *position);
        assert_eq!(early.each_ref().map(|(position, _)| *position), [1, 2]);
        assert!(early[0].1.is_ok() && early[1].1.is_err());
        assert_eq!(ended.len(), 2);
        drop(go_on);
        assert!(matches!(ended.next(), Some((0, Ok(1)))));
        assert!(!cancel.is_cancelled());
        drop(ended);
        assert!(cancel.is_cancelled());
        assert!(as_completed(Vec::<JobHandle<u64>>::new()).next().is_none());
    });
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Polled::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn a_handle_is_a_future() {
    on_every_executor_and_processes(|context| {
        let numbers = context.range(0..100_000_u64);
        let total = block_on(async {
            let count = numbers.start(|numbers| numbers.count())?;
            let max = numbers.start(|numbers| numbers.max())?;
            Ok::<_, Error>(count.await? + max.await?.unwrap_or(0))
        });
        assert_eq!(total.unwrap(), 199_999);
        let failed = context.start(|_| -> Result<()> { Err(Error::other("no result")) });
        let error = block_on(failed.unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "no result");
    });
}

#[test]
fn a_context_can_be_cancelled() {
    on_every_executor(|context| {
        let cancel = CancelHandle::new();
        let limited = context.with_cancel(&cancel);
        let numbers = limited.range(0..10_u64);
        assert_eq!(numbers.count().unwrap(), 10);
        let stop = cancel.clone();
        let counted = limited.from_iter(0_u64..).map(move |n| {
            if n == 10_000 {
                stop.cancel();
            }
            n
        });
        // The action, the map side of a shuffle, and an iterator.
        assert!(counted.clone().count().unwrap_err().is_cancelled());
        assert!(numbers.count().unwrap_err().is_cancelled());
        assert!(numbers.clone().sort().count().unwrap_err().is_cancelled());
        let last = numbers.iter().unwrap().last().unwrap();
        assert!(last.unwrap_err().is_cancelled());
        // The limit belongs to the bag, not to its records.
        assert_eq!(numbers.in_context(context).count().unwrap(), 10);
    });
}

#[test]
fn an_iterator_whose_records_are_not_taken_is_cancelled() {
    on_every_executor(|context| {
        let cancel = CancelHandle::new();
        let numbers = context.with_cancel(&cancel).from_iter(0_u64..);
        let mut iter = numbers.iter().unwrap();
        assert_eq!(iter.next().unwrap().unwrap(), 0);
        // The threads of the job wait until records are taken.
        thread::sleep(Duration::from_millis(20));
        cancel.cancel();
        assert!(iter.last().unwrap().unwrap_err().is_cancelled());
    });
}

#[test]
fn a_job_ends_at_its_deadline() {
    on_every_executor(|context| {
        let brief = Duration::from_millis(100);
        let exceeded = |error: Error, operator, stage| {
            let ErrorKind::DeadlineExceeded {
                context, elapsed, ..
            } = error.kind()
            else {
                panic!("{error}");
            };
            assert_eq!(context.operator, Some(operator));
            assert_eq!(context.location.unwrap().file(), file!());
            assert_eq!(context.stage, stage);
            assert!(*elapsed <= brief);
            assert!(!error.is_cancelled());
        };
        let numbers = context.from_iter(0_u64..).timeout(brief);
        exceeded(numbers.count().unwrap_err(), "count", Some(1));
        exceeded(
            numbers.clone().sort().count().unwrap_err(),
            "count",
            Some(1),
        );
        let last = numbers.iter().unwrap().last().unwrap();
        exceeded(last.unwrap_err(), "iter", Some(1));
        let handle = numbers.start(|numbers| numbers.max()).unwrap();
        assert!(handle.wait_timeout(LONG));
        assert_eq!(handle.status(), JobStatus::Failed);
        exceeded(handle.result().unwrap_err(), "max", Some(1));
        // The earliest limit counts, and a job that is fast enough does not notice.
        let limited = context
            .with_deadline(Instant::now() + LONG)
            .with_timeout(LONG);
        assert_eq!(limited.range(0..10_u64).count().unwrap(), 10);
        let numbers = limited.from_iter(0_u64..).timeout(brief).timeout(LONG);
        exceeded(numbers.count().unwrap_err(), "count", Some(1));
        assert!(
            limited
                .with_timeout(Duration::MAX)
                .range(0..10_u64)
                .count()
                .is_ok()
        );
    });
}

#[test]
fn nothing_runs_after_the_deadline() {
    on_every_executor(|context| {
        let late = context.with_deadline(Instant::now());
        let has_run = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&has_run);
        let numbers = late.range(0..1000_u64).map(move |n| {
            seen.store(true, Ordering::SeqCst);
            n
        });
        for outcome in [numbers.count(), numbers.sort().count()] {
            let error = outcome.unwrap_err();
            let ErrorKind::DeadlineExceeded { elapsed, .. } = error.kind() else {
                panic!("{error}");
            };
            assert_eq!(*elapsed, Duration::ZERO);
        }
        assert!(!has_run.load(Ordering::SeqCst));
    });
}

#[test]
fn a_deadline_holds_on_processes() {
    let context = Context::builder().executor(Executor::Processes(2));
    let context = context.build().unwrap();
    within_the_limit("processes:2", move || {
        let slow = context
            .range_partitioned(0..1_000_000_u64, 100_000)
            .map(|n| {
                thread::sleep(Duration::from_millis(1));
                n
            });
        let error = slow.timeout(Duration::from_millis(200)).sort().count();
        let error = error.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("its deadline passed after 0.200 s"), "{text}");
        assert_eq!(error.context().unwrap().stage, Some(1));
        assert_eq!(context.range(0..10_u64).count().unwrap(), 10);
    });
}

/// Partitions of one record each that take a millisecond.
fn slow_numbers(context: &Context) -> holdall::Bag<u64> {
    let numbers = context.range_partitioned(0..2000_u64, 2000);
    let slow = numbers.map(|n| {
        thread::sleep(Duration::from_millis(1));
        n
    });
    slow.boxed()
}

#[test]
fn a_partial_result_covers_the_first_partitions() {
    on_every_executor_and_processes(|context| {
        let brief = Duration::from_millis(150);
        let slow = slow_numbers(context);
        let count = slow.partial(brief, |slow| slow.count()).unwrap();
        assert!(!count.is_complete && count.partitions == Some(2000));
        assert!(count.value < 2000, "{count:?}");
        assert_eq!(count.value, count.partitions_done as u64);
        let all = slow.partial(brief, |slow| slow.collect()).unwrap();
        assert!(!all.is_complete);
        assert!((0..all.partitions_done as u64).eq(all.value));
        let max = slow.partial(brief, |slow| slow.max()).unwrap();
        assert_eq!(max.value, (max.partitions_done as u64).checked_sub(1));
        let few = slow
            .partial(brief, |slow| slow.filter(|n| n % 2 == 1).take(1500))
            .unwrap();
        assert!(!few.is_complete);
        let odd = (0..few.partitions_done as u64).filter(|n| n % 2 == 1);
        assert!(odd.eq(few.value));
    });
}

#[test]
fn a_result_in_time_is_complete() {
    on_every_executor_and_processes(|context| {
        let numbers = context.range_partitioned(0..1000_u64, 10).map(|n| n % 7);
        let partial = numbers.partial(LONG, |numbers| numbers.collect()).unwrap();
        assert!(partial.is_complete && partial.partitions == Some(10));
        assert_eq!(partial.partitions_done, 10);
        assert!((0..1000).map(|n| n % 7).eq(partial.value));
        let pulled = context.from_iter(0..1000_u64).map(|n| n % 7);
        let partial = pulled
            .partial(LONG, |pulled| pulled.distinct().count())
            .unwrap();
        assert!(partial.is_complete && partial.value == 7);
        let pulled = pulled
            .partial(Duration::MAX, |pulled| pulled.count())
            .unwrap();
        assert!(pulled.is_complete && pulled.partitions.is_none());
        assert!(pulled.value == 1000 && pulled.partitions_done > 1);
        let first = numbers.partial(LONG, |numbers| numbers.take(3)).unwrap();
        assert!(first.is_complete && first.partitions_done >= 1);
        assert_eq!(first.value, [0, 1, 2]);
    });
}

#[test]
fn what_must_be_complete_is_never_partial() {
    on_every_executor(|context| {
        let files = crate::common::Files::new();
        let brief = Duration::from_millis(20);
        let exceeded = |error: Error| {
            assert!(
                matches!(error.kind(), ErrorKind::DeadlineExceeded { .. }),
                "{error}"
            );
        };
        let slow = slow_numbers(context);
        let output = files.path("output");
        exceeded(
            slow.partial(brief, |slow| slow.write_text(&output))
                .unwrap_err(),
        );
        assert_eq!(files.names(), [""; 0]);
        exceeded(slow.partial(brief, |slow| slow.sort().count()).unwrap_err());
        let listed = |slow: holdall::Bag<u64>| slow.iter()?.collect::<Result<Vec<_>>>();
        exceeded(slow.partial(brief, listed).unwrap_err());
        let max = slow.delayed().max();
        let few = context.range(0..3_u64).with_delayed(&max);
        let few = few.map(|max, n| max.unwrap() + n);
        exceeded(few.partial(brief, |few| few.count()).unwrap_err());
        let max = |slow: holdall::Bag<u64>| slow.delayed().max().compute();
        exceeded(slow.partial(brief, max).unwrap_err());
        // The second job begins after the deadline.
        let twice = slow.partial(brief, |slow| Ok((slow.count()?, slow.count()?)));
        exceeded(twice.unwrap_err());
        // Other errors are not partial results, and neither are deadlines elsewhere.
        let error = slow.partial(LONG, |slow| {
            slow.try_map(|n| (n < 5).then_some(n).ok_or("end")).count()
        });
        assert!(matches!(
            error.unwrap_err().kind(),
            ErrorKind::Closure { .. }
        ));
        exceeded(slow.timeout(brief).count().unwrap_err());
    });
}

#[test]
fn a_short_job_does_not_wait_for_a_long_one() {
    on_every_executor(|context| {
        let long = endless(context);
        wait_for_a_task(&long);
        let count = context.range(0..100_000_u64).map(|n| n % 7);
        let count = count.distinct();
        // An action, which also runs beside a job on the inline executor.
        assert_eq!(count.count().unwrap(), 7);
        assert_eq!(long.status(), JobStatus::Running);
        drop(long);
        assert_eq!(
            count
                .start(|count| count.count())
                .unwrap()
                .result()
                .unwrap(),
            7
        );
    });
    for executor in [Executor::Threads(1), Executor::Threads(2)] {
        let context = Context::builder().executor(executor).build().unwrap();
        within_the_limit("beside a long job", move || {
            let long = endless(&context);
            wait_for_a_task(&long);
            let short = context.range(0..100_000_u64).map(|n| n % 7).distinct();
            let short = short.start(|short| short.count()).unwrap();
            assert_eq!(short.result().unwrap(), 7);
            assert_eq!(long.status(), JobStatus::Running);
        });
    }
}

#[test]
fn a_preview_estimates_sizes_from_a_sample() {
    on_every_executor_and_processes(|context| {
        let numbers = context.range_partitioned(0..100_000_u64, 1000);
        let narrow = numbers.clone().filter(|n| n % 2 == 0).preview(10).unwrap();
        assert!(narrow.is_whole() && narrow.stages.len() == 1);
        let stage = &narrow.stages[0];
        assert_eq!((stage.sampled_tasks, stage.tasks), (10, Some(1000)));
        let estimate = stage.estimate.as_ref().unwrap();
        assert_eq!((estimate.records, estimate.shuffled_records), (50_000, 0));
        // From 251 on, bincode takes three bytes, and five from 65,536 on.
        assert!(
            (150_000..250_000).contains(&estimate.record_bytes),
            "{estimate:?}"
        );
        let pairs = || numbers.clone().map(|n| (n % 10, n));
        let wide = pairs().join(pairs().sum_by_key()).preview(5).unwrap();
        let stages = wide.stages.iter();
        let stages = stages.map(|stage| (stage.sampled_tasks, stage.estimate.is_some()));
        let stages: Vec<_> = stages.collect();
        assert_eq!(
            stages.iter().filter(|stage| **stage == (5, true)).count(),
            2,
            "{wide}"
        );
        assert_eq!(stages.last(), Some(&(0, false)));
        assert!(wide.to_string().contains("total: more than "), "{wide}");
        let pulled = context.from_iter(0..10_u64).preview(3).unwrap();
        assert!(pulled.stages[0].estimate.is_none() && pulled.elapsed().is_zero());
        let all = context.range_partitioned(0..10_u64, 3).preview(99).unwrap();
        assert_eq!(all.stages[0].estimate.as_ref().unwrap().records, 10);
    });
}

#[test]
fn a_preview_reads_only_its_sample() {
    on_every_executor(|context| {
        let calls = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&calls);
        let numbers = context.range_partitioned(0..1000_u64, 100).map(move |n| {
            seen.fetch_add(1, Ordering::SeqCst);
            n
        });
        numbers.clone().sort().preview(4).unwrap();
        assert_eq!(calls.swap(0, Ordering::SeqCst), 40);
        let failing = numbers.try_map(|n| (n < 500).then_some(n).ok_or("too large"));
        let error = failing.preview(2).unwrap_err();
        assert_eq!(error.context().unwrap().operator, Some("try_map"));
        let spilled = context.range(0..1000_u64).zip_with_index();
        let last = spilled.preview(2).unwrap().stages.pop().unwrap();
        assert!(last.estimate.is_none());
    });
}
