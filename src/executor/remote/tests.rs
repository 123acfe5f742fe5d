//! Tests of the tasks of a stage that computes nothing.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use super::results::framed;
use super::spec::PartitionSpec;
use super::state::Round;
use super::tasks::Tasks;
use super::{Driver, Locality, Report, SharedSlots, StageSite, TaskSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::events::JobEvents;
use crate::storage::transfer::Home;
use crate::task::{FilePart, Flow, MapBlock, MapOutput, Site};

/// A driver that records its calls.
#[derive(Default)]
struct Fake {
    /// Number of partitions that its source still has.
    left: AtomicUsize,
    pulled: AtomicUsize,
    accepted: Mutex<Vec<(usize, Vec<u8>)>>,
    /// Number of chunks after which it needs no more.
    enough: Option<usize>,
    is_stopped: AtomicBool,
    partitions_done: AtomicUsize,
    events: JobEvents,
    slots: OnceLock<SharedSlots>,
    /// Number of calls that said that slots are idle.
    idle: AtomicUsize,
}

impl Fake {
    /// Creates a driver whose source has this many partitions.
    fn streaming(partitions: usize) -> Self {
        Self {
            left: AtomicUsize::new(partitions),
            ..Self::default()
        }
    }
}

impl Fake {
    fn accepted(&self) -> Vec<(usize, Vec<u8>)> {
        self.accepted.lock().unwrap().clone()
    }
}

impl Driver for Fake {
    fn pull(&self) -> Result<Option<(usize, Vec<u8>)>> {
        if self.left.load(Ordering::SeqCst) == 0 {
            return Ok(None);
        }
        self.left.fetch_sub(1, Ordering::SeqCst);
        let index = self.pulled.fetch_add(1, Ordering::SeqCst);
        Ok(Some((index, vec![u8::try_from(index).unwrap()])))
    }

    fn take(&self, partitions: Range<usize>, _: &mut Report) -> Result<()> {
        self.partitions_done
            .fetch_add(partitions.len(), Ordering::SeqCst);
        Ok(())
    }

    fn take_written(&self) -> u64 {
        0
    }

    fn idle(&self) {
        self.idle.fetch_add(1, Ordering::SeqCst);
    }

    fn forget(&self, _: &Error, _: usize) -> bool {
        true
    }

    fn lose_home(&self, _: &Home) {}

    fn discard(&self, file: &Path) {
        let _ = std::fs::remove_file(file);
    }

    fn accept(&self, partition: usize, chunk: &[u8]) -> Result<Flow> {
        let mut accepted = self.accepted.lock().unwrap();
        accepted.push((partition, chunk.to_vec()));
        Ok(match self.enough {
            Some(enough) if accepted.len() >= enough => Flow::Break(()),
            _ => Flow::Continue(()),
        })
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }
}

fn tasks(source: &Fake, partitions: Option<usize>, slots: usize) -> Tasks<'_> {
    tasks_in_groups(source, partitions, 1, slots)
}

fn tasks_in_groups(
    source: &Fake,
    partitions: Option<usize>,
    partitions_per_task: usize,
    slots: usize,
) -> Tasks<'_> {
    let site = StageSite {
        number: 2,
        site: Site::new("map"),
        events: &source.events,
    };
    let slots = source.slots.get_or_init(|| SharedSlots::new(slots));
    Tasks::new(source, site, partitions, partitions_per_task, slots)
}

/// Creates the tasks of one of several stages.
fn tasks_of<'a>(
    source: &'a Fake,
    stage: usize,
    partitions: usize,
    slots: &'a SharedSlots,
) -> Tasks<'a> {
    let site = StageSite {
        number: stage,
        site: Site::new("map"),
        events: &source.events,
    };
    Tasks::new(source, site, Some(partitions), 1, slots)
}

#[test]
fn a_stage_with_too_few_tasks_says_so() {
    let (source, slots) = (Fake::default(), SharedSlots::new(2));
    let is_told = || source.idle.swap(0, Ordering::SeqCst) > 0;
    let tasks = tasks_of(&source, 1, 3, &slots);
    let taken: Vec<_> = (0..2).filter_map(|_| tasks.next()).collect();
    assert!(!is_told(), "all slots have tasks");
    tasks.done(&taken[0], Report::default());
    assert!(!is_told(), "the third task is left");
    let last = tasks.next().unwrap();
    assert!(!is_told());
    tasks.done(&taken[1], Report::default());
    assert!(is_told());
    tasks.done(&last, Report::default());
    assert!(!is_told(), "the stage is over");
    let one = SharedSlots::new(1);
    let _task = tasks_of(&source, 1, 1, &one).next().unwrap();
    assert!(!is_told());
}

#[test]
fn stages_share_the_slots_and_the_first_goes_first() {
    let (source, slots) = (Fake::default(), SharedSlots::new(2));
    let first = tasks_of(&source, 1, 2, &slots);
    let second = tasks_of(&source, 2, 100, &slots);
    let taken: Vec<_> = (0..2).filter_map(|_| first.next()).collect();
    assert!(second.try_next().is_none());
    first.done(&taken[0], Report::default());
    let of_second = second.next().unwrap();
    assert!(second.try_next().is_none());
    // The first stage waits for a slot, so the second one gets none.
    first.requeue(&taken[1]);
    let of_second = [of_second, second.next().unwrap()];
    thread::scope(|scope| {
        let waiting = scope.spawn(|| first.next().unwrap());
        while !waiting.is_finished() {
            second.requeue(&of_second[0]);
            thread::yield_now();
        }
        let again = waiting.join().unwrap();
        first.done(&again, Report::default());
    });
    assert!(matches!(first.round().unwrap(), Round::Done));
    second.done(&of_second[1], Report::default());
    assert!(second.next().is_some() && second.try_next().is_some());
}

fn indices(task: &TaskSpec) -> Vec<usize> {
    task.partitions
        .iter()
        .map(|partition| partition.index)
        .collect()
}

fn lose(tasks: &Tasks<'_>, task: &TaskSpec) {
    tasks.lost(task, 3, "killed by signal 9");
}

fn damage() -> Error {
    let reason = "wrong checksum";
    let (path, offset) = ("gone".into(), 0);
    Error::new(ErrorKind::CorruptRun {
        path,
        offset,
        reason,
    })
}

fn report(path: &std::path::Path) -> Report {
    let mut report = Report::default();
    let part = FilePart {
        path: path.to_owned(),
        offset: 0,
        bytes: 0,
        records: 0,
    };
    let block = |part| MapBlock {
        shuffle: 1,
        partition: None,
        file: Some(part),
        about: Vec::new(),
    };
    report.outputs = MapOutput::group([block(part.clone()), block(part)]).unwrap();
    report
}

/// Forwards a chunk that is not the last one.
fn send(tasks: &Tasks<'_>, task: &TaskSpec, partition: usize, number: usize, bytes: Vec<u8>) {
    tasks.chunk(task, partition, number, framed(bytes, false));
}

/// Report of a task whose partitions have sent these numbers of chunks.
fn sent(chunks: &[usize]) -> Report {
    Report {
        chunks: chunks.to_vec(),
        ..Report::default()
    }
}

#[test]
fn each_partition_is_handed_out_once_and_large_tasks_come_first() {
    let source = Fake::default();
    let tasks = tasks(&source, Some(100), 2);
    let mut all = Vec::new();
    let mut sizes = Vec::new();
    while let Some(task) = tasks.next() {
        all.extend(indices(&task));
        sizes.push(task.partitions.len());
        tasks.done(&task, Report::default());
    }
    assert_eq!(all, (0..100).collect::<Vec<_>>());
    assert!(
        sizes.is_sorted_by(|a, b| a >= b) && sizes[0] == 12,
        "{sizes:?}"
    );
    assert_eq!(source.partitions_done.load(Ordering::SeqCst), 100);
    assert!(matches!(tasks.round().unwrap(), Round::Done));
}

#[test]
fn tasks_run_where_their_input_is_if_they_are_asked_for_there() {
    let source = Fake::default();
    let tasks = tasks(&source, Some(100), 2);
    let [a, b, c] = ["a", "b", "c"].map(Home::new);
    let input = (0..100).map(|n| (n, if n % 50 < 20 { a.clone() } else { b.clone() }, 1));
    tasks.set_locality(Locality::new(100, input));
    let of_b = tasks.next_near(&b).unwrap();
    assert_eq!((indices(&of_b)[0], of_b.partitions.len()), (20, 12));
    let of_a = tasks.next_near(&a).unwrap();
    assert_eq!(indices(&of_a)[0], 0);
    // A task that was lost comes before the others, and is also taken where its input is.
    lose(&tasks, &of_a);
    tasks.requeue(&tasks.next_near(&b).unwrap());
    lose(&tasks, &of_b);
    let again = tasks.next_near(&b).unwrap();
    assert_eq!((again.attempt, indices(&again)), (2, vec![20]));
    // A home without input takes what comes next.
    let of_c = tasks.next_near(&c).unwrap();
    assert_eq!((of_c.attempt, indices(&of_c)), (2, vec![0]));
    let mut count = 0;
    while let Some(task) = tasks.try_next() {
        count += task.partitions.len();
    }
    assert_eq!(count + 2, 100, "each is assigned once");
}

#[test]
fn only_the_missing_partitions_of_a_stage_run() {
    let source = Fake::default();
    let tasks = tasks(&source, Some(1_000), 2);
    tasks.run_only(&[3..5, 700..701]);
    let mut all = Vec::new();
    while let Some(task) = tasks.next() {
        all.extend(indices(&task));
        tasks.done(&task, sent(&vec![0; task.partitions.len()]));
    }
    assert_eq!(all, [3, 4, 700]);
    assert!(matches!(tasks.round().unwrap(), Round::Done));
}

#[test]
fn a_stage_without_partitions_is_done_at_once() {
    let source = Fake::default();
    let tasks = tasks(&source, Some(0), 2);
    assert!(tasks.next().is_none());
    assert!(matches!(tasks.round().unwrap(), Round::Done));
}

#[test]
fn partitions_of_a_stream_come_with_what_is_in_them() {
    let source = Fake::streaming(3);
    let tasks = tasks(&source, None, 2);
    assert!(tasks.try_next().is_none(), "it is not there at once");
    let first = tasks.next().unwrap();
    let second = tasks.next().unwrap();
    assert_eq!(
        second.partitions,
        [PartitionSpec {
            index: 1,
            payload: vec![1]
        }]
    );
    lose(&tasks, &first);
    let again = tasks.next().unwrap();
    assert_eq!((again.attempt, &again.partitions), (2, &first.partitions));
    assert_eq!(indices(&tasks.next().unwrap()), [2]);
}

#[test]
fn tasks_of_a_stream_grow_with_it() {
    let source = Fake::streaming(250);
    let tasks = tasks(&source, None, 2);
    let mut all = Vec::new();
    while let Some(task) = tasks.next() {
        let most = (all.len() / 32).max(1);
        assert!(
            task.partitions.len() <= most,
            "{} of {most}",
            task.partitions.len()
        );
        all.extend(indices(&task));
        tasks.done(&task, Report::default());
    }
    assert_eq!(all, (0..250).collect::<Vec<_>>());
    assert!(matches!(tasks.round().unwrap(), Round::Done));
}

#[test]
fn a_lost_task_comes_back_in_its_parts() {
    let source = Fake::default();
    let tasks = tasks(&source, Some(16), 2);
    let task = tasks.next().unwrap();
    assert_eq!((task.attempt, indices(&task)), (1, vec![0, 1]));
    lose(&tasks, &task);
    for index in [0, 1] {
        let again = tasks.next().unwrap();
        assert_eq!((again.attempt, indices(&again)), (2, vec![index]));
        assert_ne!(again.id, task.id);
    }
    let requeued = tasks.next().unwrap();
    assert_eq!(indices(&requeued), [2]);
    tasks.requeue(&requeued);
    let again = tasks.next().unwrap();
    assert_eq!((again.attempt, indices(&again)), (1, vec![2]));
}

#[test]
fn partitions_of_a_turn_stay_together() {
    let source = Fake::default();
    let tasks = tasks_in_groups(&source, Some(50), 3, 2);
    let first = tasks.next().unwrap();
    assert_eq!(indices(&first), [0, 1, 2, 3, 4, 5]);
    lose(&tasks, &first);
    let mut all = Vec::new();
    for _ in 0..2 {
        let group = tasks.next().unwrap();
        assert_eq!((group.attempt, group.partitions.len()), (2, 3));
        all.push(group);
    }
    all.extend(std::iter::from_fn(|| tasks.try_next()));
    for task in &all {
        let is_last = indices(task).contains(&49);
        assert!(indices(task)[0].is_multiple_of(3));
        assert!(
            task.partitions.len().is_multiple_of(3) || is_last,
            "{task:?}"
        );
    }
    let all: Vec<_> = all.iter().flat_map(indices).collect();
    assert_eq!(all, (0..50).collect::<Vec<_>>());
}

#[test]
fn a_turn_that_is_lost_is_named() {
    let source = Fake::default();
    let tasks = tasks_in_groups(&source, Some(3), 3, 1);
    for _ in 0..4 {
        let task = tasks.next().unwrap();
        lose(&tasks, &task);
    }
    let error = tasks.round().err().expect("an error").to_string();
    assert!(
        error.ends_with("worker 3 is lost: killed by signal 9, at partitions 0 to 2"),
        "{error}"
    );
}

#[test]
fn four_attempts_are_enough() {
    let source = Fake::default();
    let tasks = tasks(&source, Some(1), 2);
    for attempt in 1..=4 {
        let task = tasks.next().unwrap();
        assert_eq!(task.attempt, attempt);
        lose(&tasks, &task);
    }
    assert!(tasks.next().is_none() && tasks.is_cancelled());
    let error = tasks.round().err().expect("an error");
    let ErrorKind::TooManyAttempts {
        context,
        attempts,
        last,
    } = error.kind()
    else {
        panic!("{error}");
    };
    assert_eq!(
        (context.stage, context.operator, context.partition),
        (Some(2), Some("map"), Some(0))
    );
    assert_eq!(*attempts, 4);
    assert!(matches!(
        last.kind(),
        ErrorKind::WorkerLost { worker: 3, .. }
    ));
}

#[test]
fn what_is_not_answered_is_lost() {
    let source = Fake::default();
    let tasks = tasks(&source, Some(1), 2);
    let _dropped = tasks.next().unwrap();
    assert!(matches!(tasks.round().unwrap(), Round::Again));
    assert_eq!(tasks.next().unwrap().attempt, 2);
    assert!(matches!(tasks.round().unwrap(), Round::Again));
    assert!(
        tasks.round().is_err(),
        "an executor that takes nothing would be called for ever"
    );
}

#[test]
fn a_task_is_done_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name| directory.path().join(name);
    let [first, second] = ["first", "second"].map(path);
    std::fs::write(&first, "").unwrap();
    std::fs::write(&second, "").unwrap();
    let source = Fake::default();
    let tasks = tasks(&source, Some(1), 2);
    let lost = tasks.next().unwrap();
    lose(&tasks, &lost);
    let task = tasks.next().unwrap();
    tasks.done(&task, report(&first));
    tasks.done(&task, report(&first));
    tasks.done(&lost, report(&second));
    tasks.failed(&lost, damage());
    lose(&tasks, &task);
    assert!(first.exists() && !second.exists());
    assert_eq!(source.partitions_done.load(Ordering::SeqCst), 1);
    assert!(matches!(tasks.round().unwrap(), Round::Done));
}

#[test]
fn chunks_are_accepted_in_order_and_once() {
    let source = Fake::default();
    let tasks = tasks(&source, Some(3), 1);
    let [a, b, c] = [(); 3].map(|()| tasks.next().unwrap());
    send(&tasks, &c, 2, 0, vec![20]);
    send(&tasks, &b, 1, 0, vec![10]);
    send(&tasks, &b, 1, 1, vec![11]);
    assert_eq!(source.accepted(), []);
    send(&tasks, &a, 0, 0, vec![0]);
    assert_eq!(source.accepted(), [(0, vec![0])]);
    lose(&tasks, &a);
    lose(&tasks, &b);
    let [a, b] = [(); 2].map(|()| tasks.next().unwrap());
    for (number, chunk) in [(0, 0), (1, 1)] {
        send(&tasks, &a, 0, number, vec![chunk]);
    }
    tasks.done(&a, sent(&[2]));
    for (number, chunk) in [(0, 10), (1, 11), (2, 12)] {
        send(&tasks, &b, 1, number, vec![chunk]);
    }
    tasks.done(&c, sent(&[1]));
    tasks.done(&b, sent(&[3]));
    let expected = [(0, 0), (0, 1), (1, 10), (1, 11), (1, 12), (2, 20)];
    assert_eq!(
        source.accepted(),
        expected.map(|(partition, chunk)| (partition, vec![chunk]))
    );
}

#[test]
fn a_task_of_several_partitions_hands_on_each_when_the_next_begins() {
    let source = Fake::default();
    let tasks = tasks(&source, Some(16), 2);
    let task = tasks.next().unwrap();
    send(&tasks, &task, 0, 0, vec![0]);
    send(&tasks, &task, 1, 0, vec![1]);
    assert_eq!(source.accepted(), [(0, vec![0]), (1, vec![1])]);
}

#[test]
fn nothing_is_handed_out_once_there_is_enough() {
    let source = Fake {
        enough: Some(2),
        ..Fake::default()
    };
    let tasks = tasks(&source, Some(10), 1);
    let task = tasks.next().unwrap();
    send(&tasks, &task, 0, 0, vec![0]);
    assert!(!tasks.is_cancelled());
    for number in 1..10 {
        send(&tasks, &task, 0, number, vec![0]);
    }
    assert_eq!(source.accepted().len(), 2);
    assert!(tasks.is_cancelled() && tasks.next().is_none() && tasks.try_next().is_none());
    assert!(matches!(tasks.round().unwrap(), Round::Stopped));
}

#[test]
fn who_waits_for_a_task_hears_that_the_job_has_been_stopped() {
    let source = Fake::default();
    let tasks = tasks(&source, Some(1), 1);
    let _task = tasks.next().unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| tasks.next());
        thread::sleep(Duration::from_millis(20));
        source.is_stopped.store(true, Ordering::SeqCst);
        assert!(waiting.join().unwrap().is_none());
    });
}

#[test]
fn the_error_of_a_task_ends_the_stage() {
    let source = Fake::default();
    let tasks = tasks(&source, Some(2), 1);
    let [a, b] = [(); 2].map(|()| tasks.next().unwrap());
    tasks.failed(&b, Error::new(ErrorKind::NestedJob));
    tasks.failed(&a, Error::new(ErrorKind::NoInit));
    assert!(matches!(
        tasks.round().err().unwrap().kind(),
        ErrorKind::NestedJob
    ));
}

#[test]
fn damage_has_earlier_stages_run_again_up_to_four_times() {
    let source = Fake::default();
    let tasks = tasks(&source, Some(2), 1);
    for attempt in 1..4 {
        let task = tasks.next().unwrap();
        assert_eq!((task.attempt, indices(&task)), (attempt, vec![0]));
        let other = tasks.try_next();
        tasks.failed(&task, damage());
        assert!(tasks.next().is_none(), "nothing is handed out");
        assert!(!tasks.is_cancelled(), "what is out is wanted");
        if let Some(other) = other {
            send(&tasks, &other, 1, 0, vec![1]);
            tasks.done(&other, sent(&[1]));
        }
        assert!(matches!(tasks.round().unwrap(), Round::Damaged));
    }
    let task = tasks.next().unwrap();
    send(&tasks, &task, 0, 0, vec![0]);
    assert_eq!(source.accepted(), [(0, vec![0])]);
    tasks.failed(&task, damage());
    let error = tasks.round().err().expect("an error");
    assert!(
        matches!(error.kind(), ErrorKind::TooManyAttempts { last, .. } if last.is_recoverable())
    );
}

/// A chunk so large that two of them fill the buffer.
fn large(number: u8) -> Vec<u8> {
    vec![number; 5 << 20]
}

#[test]
fn a_chunk_waits_for_room() {
    let source = Fake::default();
    let tasks = tasks(&source, Some(3), 1);
    let [a, b, c] = [(); 3].map(|()| tasks.next().unwrap());
    thread::scope(|scope| {
        let later = scope.spawn(|| {
            for number in 0..4 {
                send(&tasks, &b, 1, number, large(1));
            }
            send(&tasks, &c, 2, 0, large(2));
        });
        thread::sleep(Duration::from_millis(30));
        assert!(!later.is_finished(), "all of it is kept");
        send(&tasks, &a, 0, 0, large(0));
        tasks.done(&a, sent(&[1]));
        thread::sleep(Duration::from_millis(1));
        // The chunk that is taken next never waits.
        later.join().unwrap();
        tasks.done(&b, sent(&[4]));
    });
    assert_eq!(source.accepted().len(), 6);
}

#[test]
fn nobody_waits_for_a_task_that_nobody_runs() {
    let source = Fake::default();
    let tasks = tasks(&source, Some(2), 1);
    let [a, b] = [(); 2].map(|()| tasks.next().unwrap());
    thread::scope(|scope| {
        let later = scope.spawn(|| {
            for number in 0..4 {
                send(&tasks, &b, 1, number, large(1));
            }
        });
        thread::sleep(Duration::from_millis(30));
        assert!(!later.is_finished());
        // The thread that waits may be the only one that can run the task.
        lose(&tasks, &a);
        later.join().unwrap();
    });
    let a = tasks.next().unwrap();
    tasks.done(&a, Report::default());
    assert_eq!(source.accepted().len(), 4);
}

#[test]
fn what_is_out_while_earlier_stages_are_to_run_again_is_not_lost() {
    let source = Fake::default();
    let tasks = tasks(&source, Some(2), 1);
    let [a, b] = [(); 2].map(|()| tasks.next().unwrap());
    tasks.failed(&a, damage());
    send(&tasks, &b, 1, 0, vec![1]);
    tasks.done(&b, sent(&[1]));
    assert!(matches!(tasks.round().unwrap(), Round::Damaged));
    let a = tasks.next().unwrap();
    send(&tasks, &a, 0, 0, vec![0]);
    tasks.done(&a, sent(&[1]));
    assert_eq!(source.accepted(), [(0, vec![0]), (1, vec![1])]);
    assert!(matches!(tasks.round().unwrap(), Round::Done));
}

/// Two tasks, of which the first was lost after its first chunk had been forwarded.
fn lose_midway<'t>(source: &'t Fake) -> (Tasks<'t>, TaskSpec) {
    let tasks = tasks(source, Some(2), 1);
    let [a, b] = [(); 2].map(|()| tasks.next().unwrap());
    send(&tasks, &a, 0, 0, vec![0]);
    send(&tasks, &b, 1, 0, vec![1]);
    tasks.done(&b, sent(&[1]));
    lose(&tasks, &a);
    let a = tasks.next().unwrap();
    (tasks, a)
}

#[test]
fn an_attempt_that_gives_something_else_ends_the_job() {
    let source = Fake::default();
    let (tasks, a) = lose_midway(&source);
    send(&tasks, &a, 0, 0, vec![7]);
    assert_eq!(source.accepted(), [(0, vec![0])]);
    let error = tasks.round().err().expect("an error");
    assert!(matches!(error.kind(), ErrorKind::NotRepeatable { .. }));
    let context = error.context().unwrap();
    assert_eq!(
        (context.operator, context.partition),
        (Some("map"), Some(0))
    );

    let source = Fake::default();
    let (tasks, a) = lose_midway(&source);
    tasks.done(&a, Report::default());
    let error = tasks.round().err().expect("an error");
    assert!(matches!(error.kind(), ErrorKind::NotRepeatable { .. }));
}

#[test]
fn what_an_attempt_has_finished_is_not_asked_for_again() {
    let source = Fake::default();
    let tasks = tasks(&source, Some(16), 2);
    let task = tasks.next().unwrap();
    assert_eq!(indices(&task), [0, 1]);
    send(&tasks, &task, 0, 0, vec![0]);
    send(&tasks, &task, 1, 0, vec![1]);
    lose(&tasks, &task);
    let first = tasks.next().unwrap();
    send(&tasks, &first, 0, 0, vec![7]);
    tasks.done(&first, sent(&[1]));
    assert_eq!(source.accepted(), [(0, vec![0]), (1, vec![1])]);
    assert!(!tasks.is_cancelled());
}

#[test]
fn what_an_executor_leaves_out_or_makes_up_ends_the_job() {
    let misdeeds: [fn(&Tasks<'_>, &TaskSpec); 4] = [
        |tasks, a| send(tasks, a, 0, 1, vec![1]),
        |tasks, a| send(tasks, a, 1, 0, vec![1]),
        |tasks, a| tasks.done(a, sent(&[1])),
        |tasks, a| {
            send(tasks, a, 0, 0, vec![0]);
            tasks.done(a, sent(&[2]));
        },
    ];
    for misdeed in misdeeds {
        let source = Fake::default();
        let tasks = tasks(&source, Some(2), 1);
        let a = tasks.next().unwrap();
        misdeed(&tasks, &a);
        let error = tasks.round().err().expect("an error");
        assert!(
            matches!(error.kind(), ErrorKind::Internal { .. }),
            "{error}"
        );
    }
}

#[test]
fn a_task_that_is_done_once_there_is_enough_counts() {
    let source = Fake {
        enough: Some(1),
        ..Fake::default()
    };
    let tasks = tasks(&source, Some(2), 1);
    let [a, b] = [(); 2].map(|()| tasks.next().unwrap());
    send(&tasks, &a, 0, 0, vec![0]);
    send(&tasks, &b, 1, 0, vec![1]);
    tasks.done(&a, sent(&[1]));
    tasks.done(&b, sent(&[1]));
    assert_eq!(source.accepted(), [(0, vec![0])]);
    assert_eq!(source.partitions_done.load(Ordering::SeqCst), 2);
    assert!(matches!(tasks.round().unwrap(), Round::Stopped));
}

/// A chain: each partition can be pulled once the one before it is done.
struct Chain {
    state: Mutex<(usize, usize)>,
    length: usize,
}

impl Driver for Chain {
    fn pull(&self) -> Result<Option<(usize, Vec<u8>)>> {
        let (pulled, done) = &mut *self.state.lock().unwrap();
        if *pulled == self.length || pulled != done {
            return Ok(None);
        }
        *pulled += 1;
        Ok(Some((*pulled - 1, Vec::new())))
    }

    fn is_growing(&self) -> bool {
        self.state.lock().unwrap().1 < self.length
    }

    fn limit(&self, _: usize) -> usize {
        1
    }

    fn take(&self, partitions: Range<usize>, report: &mut Report) -> Result<()> {
        report.outputs.clear();
        self.state.lock().unwrap().1 += partitions.len();
        Ok(())
    }

    fn take_written(&self) -> u64 {
        0
    }

    fn forget(&self, _: &Error, _: usize) -> bool {
        true
    }

    fn lose_home(&self, _: &Home) {}

    fn discard(&self, _: &Path) {}

    fn accept(&self, _: usize, _: &[u8]) -> Result<Flow> {
        unreachable!("it sends no chunks")
    }

    fn is_stopped(&self) -> bool {
        false
    }

    fn idle(&self) {}
}

#[test]
fn a_source_can_grow_with_the_tasks_that_are_done() {
    let source = Chain {
        state: Mutex::default(),
        length: 300,
    };
    let events = JobEvents::default();
    let site = StageSite {
        number: 1,
        site: Site::new("chain"),
        events: &events,
    };
    let slots = SharedSlots::new(2);
    let tasks = Tasks::new(&source, site, None, 1, &slots);
    let run = || {
        let mut taken = 0;
        while let Some(task) = tasks.next() {
            taken += 1;
            // The first attempt at some of them is lost.
            if task.attempt == 1 && task.first().is_multiple_of(7) {
                lose(&tasks, &task);
            } else {
                tasks.done(&task, sent(&[0]));
            }
        }
        taken
    };
    let taken = thread::scope(|scope| {
        let other = scope.spawn(run);
        run() + other.join().unwrap()
    });
    assert_eq!(taken, 300 + 300_usize.div_ceil(7));
    assert!(matches!(tasks.round().unwrap(), Round::Done));
}
