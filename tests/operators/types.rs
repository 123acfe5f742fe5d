//! Types whose `Serialize` and `Deserialize` disagree. On every executor, a bag returns the records that were put into
//! it, or an error that names the type, the method and the line. Also tests which processes are workers, and the case
//! of too few threads.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Debug;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::on_every_executor_and_processes;
use holdall::{Context, ErrorKind, Executor, Result, StorageLevel};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Asserts that `result` is `expected`, or an error that names the type, a method and a line of this file. Returns
/// whether it is `expected`.
#[track_caller]
fn assert_right<R: PartialEq + Debug>(result: Result<R>, expected: &R, type_name: &str) -> bool {
    match result {
        Ok(result) => {
            assert_eq!(&result, expected);
            true
        }
        Err(error) => {
            let ErrorKind::Codec {
                type_name: told, ..
            } = error.kind()
            else {
                panic!("expected a codec error, got {error}");
            };
            assert!(told.contains(type_name), "{told}");
            let place = error.context().expect("it has a place");
            assert!(place.operator.is_some(), "{error}");
            let location = place.location.expect("it has a line");
            assert!(location.file().ends_with("types.rs"), "{error}");
            false
        }
    }
}

/// Asserts that `result` is an error that names the type, a method and a line of this file.
#[track_caller]
fn assert_refused<R: Debug>(result: Result<R>, type_name: &str) {
    if let Ok(result) = result {
        panic!("{result:?} is not refused");
    }
    let nothing = result.map(|_| ());
    assert!(!assert_right(nothing, &(), type_name));
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Event {
    Start,
    #[serde(skip)]
    #[expect(dead_code, reason = "what it does to the others is tested")]
    Internal,
    Click(u64),
    View(u64),
    Buy {
        price: u64,
    },
}

/// Returns records, of which the first are decoded correctly.
fn events() -> Vec<Event> {
    let mut events = vec![Event::Start; 100];
    events.extend([Event::Click(1), Event::View(2), Event::Buy { price: 3 }]);
    events
}

#[test]
fn variants_behind_a_skipped_one_are_refused_wherever_they_are_written() {
    on_every_executor_and_processes(|context| {
        let events = || context.from_vec(events());
        assert_refused(events().count_by_value().collect(), "Event");
        assert_refused(events().distinct().collect(), "Event");
        assert_refused(
            events().map(|event| (0, event)).group_by_key().collect(),
            "Event",
        );
        assert_refused(
            events().map(|event| (event, 0)).group_by_key().collect(),
            "Event",
        );
        assert_refused(events().repartition(3).collect(), "Event");
        // Records that stay in memory need not be encoded.
        let reduced = events().map(|event| (0, event)).reduce_by_key(Ord::max);
        assert_right(
            reduced.collect(),
            &vec![(0, Event::Buy { price: 3 })],
            "Event",
        );
        assert_right(events().sort().collect(), &self::events(), "Event");
        let persisted = events().persist(StorageLevel::default());
        for _ in 0..2 {
            assert_refused(persisted.collect(), "Event");
        }
        let pairs = || events().map(|event| (event, 1));
        assert_refused(pairs().join(pairs()).collect(), "Event");
        assert_refused(pairs().join_broadcast(pairs()).collect(), "Event");
        assert_refused(pairs().keys().subtract(events()).collect(), "Event");
    });
}

#[test]
fn narrow_chains_and_actions_give_the_right_records_or_none() {
    on_every_executor_and_processes(|context| {
        let bag = context.from_vec(events());
        assert_right(bag.collect(), &events(), "Event");
        assert_right(bag.count(), &103, "Event");
        let is_click = |event: &Event| matches!(event, Event::Click(_));
        assert_right(bag.clone().filter(is_click).count(), &1, "Event");
        assert_right(bag.max(), &events().pop(), "Event");
        // A worker sends the records that it has created.
        let made = context.range(0..200).map(|n| match n {
            0..100 => Event::Start,
            _ => Event::View(n),
        });
        let expected: Vec<_> = (0..100).map(|_| Event::Start).collect();
        let expected = [expected, (100..200).map(Event::View).collect()].concat();
        assert_right(made.collect(), &expected, "Event");
        assert_right(made.top(1), &vec![Event::View(199)], "Event");
        assert_right(made.take(101), &expected[..101].to_vec(), "Event");
        assert_right(made.reduce(Ord::max), &Some(Event::View(199)), "Event");
        let iterated: Result<Vec<_>> = made.iter().and_then(Iterator::collect);
        assert_right(iterated, &expected, "Event");
        let pulled = context.from_iter(events());
        assert_right(pulled.collect(), &events(), "Event");
    });
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Row {
    id: u64,
    #[serde(skip)]
    cached: Option<u64>,
}

fn rows() -> Vec<Row> {
    let row = |id| Row {
        id,
        cached: Some(id * 7),
    };
    (0..10).map(row).collect()
}

#[test]
fn fields_that_are_not_serialised_are_not_lost_in_silence() {
    on_every_executor_and_processes(|context| {
        let bag = context.from_vec(rows());
        assert_right(bag.collect(), &rows(), "Row");
        assert_right(context.from_iter(rows()).collect(), &rows(), "Row");
        assert_right(
            bag.clone().map(|row| row.cached).collect(),
            &rows().iter().map(|row| row.cached).collect(),
            "Row",
        );
        assert_right(bag.clone().sort().collect(), &rows(), "Row");
        assert_right(bag.max(), &rows().pop(), "Row");
        let made = context.range(0..10).map(|id| Row {
            id,
            cached: Some(id * 7),
        });
        assert_right(made.collect(), &rows(), "Row");
        let gathered = made.aggregate(
            Vec::new(),
            |rows, row| [rows, vec![row]].concat(),
            |rows, later| [rows, later].concat(),
        );
        assert_right(gathered, &rows(), "Row");
        assert_refused(made.clone().repartition(2).collect(), "Row");
        assert_refused(
            made.clone().persist(StorageLevel::default()).collect(),
            "Row",
        );
        assert_refused(made.clone().distinct().count(), "Row");
        assert_refused(
            made.clone().map(|row| (row.id, row)).group_by_key().count(),
            "Row",
        );
        assert_refused(made.clone().map(|row| (row, 1)).sum_by_key().count(), "Row");
    });
}

/// Used as a state, an initial value and a result. Its wrong copy is never visible.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shifted {
    #[serde(skip_deserializing)]
    rank: u8,
    id: u8,
}

const SHIFTED: Shifted = Shifted { rank: 200, id: 3 };

/// Uses `state` in all ways. It is sent with each stage whose closures or operators need it.
fn assert_states<S>(context: &Context, state: &S, type_name: &str)
where
    S: Clone + Debug + PartialEq + Serialize + Deserialize<'static> + Send + Sync + 'static,
{
    let numbers = context.range(0..10);
    let all: Vec<u64> = (0..10).collect();
    let with = || numbers.clone().with(state.clone());
    let filtered = with().filter(|_, _| true).map(|n| n + 1).collect();
    assert_right(filtered, &(1..11).collect(), type_name);
    let states = with().map(|state, _| state.clone()).take(1);
    assert_right(states, &vec![state.clone()], type_name);
    assert_right(with().fold(0, |_, sum, n| sum + n), &45, type_name);
    let aggregated = numbers.aggregate(state.clone(), |state, _| state, |state, _| state);
    assert_right(aggregated, state, type_name);
    assert_right(with().top_by(1, |_, a, b| a.cmp(b)), &vec![9], type_name);
    let pairs = || numbers.clone().map(|n| (n % 2, n));
    let reduced = pairs().with(state.clone()).reduce_by_key(|_, a, b| a + b);
    assert_right(reduced.values().sum(), &45, type_name);
    let folded = pairs().aggregate_by_key(state.clone(), |_, _| (), |_, _| ());
    assert_right(folded.count(), &2, type_name);
    assert_right(
        with().sort_by(|_, a, b| a.cmp(b)).collect(),
        &all,
        type_name,
    );
    // Two of them, and the values after both.
    let twice = with()
        .filter(|_, _| true)
        .with(state.clone())
        .filter(|_, _| true);
    assert_right(twice.map(|n| n / 2).sum(), &20, type_name);
}

#[test]
fn states_initial_values_and_results_are_right_or_refused() {
    on_every_executor_and_processes(|context| {
        assert_states(context, &HashMap::from([(1, Event::View(3))]), "Event");
        assert_states(context, &("state".to_owned(), rows()), "Row");
        assert_states(context, &Longer(vec![1, 2]), "Longer");
        // This type is correct.
        assert_states(context, &(1..=5_u64, [Some('x'); 3]), "");
        if cfg!(sampled) {
            return;
        }
        assert_states(context, &SHIFTED, "Shifted");
        assert_states(context, &vec![SHIFTED; 3], "Shifted");
        assert_states(context, &Some(Box::new(SHIFTED)), "Shifted");
        assert_states(context, &BTreeMap::from([(1, rows().pop())]), "Row");
        assert_states(context, &Seconds(77), "Seconds");
        // This one, too.
        assert_states(
            context,
            &(0..99)
                .map(|n| (n, n.to_string()))
                .collect::<HashMap<_, _>>(),
            "",
        );
    });
}

#[test]
fn records_in_memory_are_right_or_refused() {
    fn assert_records<R>(context: &Context, records: Vec<R>, type_name: &str)
    where
        R: Clone + Debug + PartialEq + Serialize + Deserialize<'static> + Send + Sync + 'static,
    {
        let bag = context.from_vec(records.clone());
        assert_right(bag.collect(), &records, type_name);
        let length = records.len() as u64;
        assert_right(bag.clone().map(|_| 1).sum(), &length, type_name);
        let union = bag
            .clone()
            .union(context.from_vec(records.clone()))
            .map(|_| 1);
        assert_right(union.sum(), &(2 * length), type_name);
        let pulled = context.from_iter(records.clone());
        assert_right(pulled.collect(), &records, type_name);
        assert_right(pulled.clone().map(|_| 1).sum(), &length, type_name);
        let first = bag.first();
        assert_right(first, &records.first().cloned(), type_name);
    }
    on_every_executor_and_processes(|context| {
        assert_records(context, vec![SHIFTED; 20], "Shifted");
        assert_records(
            context,
            vec![vec![], vec![SHIFTED], vec![SHIFTED; 9]],
            "Shifted",
        );
        assert_records(context, vec![None, None, Some(SHIFTED)], "Shifted");
        assert_records(context, rows(), "Row");
        assert_records(context, vec![Seconds(5), Seconds(9)], "Seconds");
        assert_records(context, vec![Seconds(0), Seconds(0), Seconds(9)], "Seconds");
        assert_records(context, vec![Longer(vec![]), Longer(vec![1])], "Longer");
        assert_records(context, vec![(), ()], "");
        if cfg!(sampled) {
            return;
        }
        assert_records(context, vec![Vec::new(), rows()], "Row");
        let mut options = vec![None; 99];
        options.extend([Some(Seconds(1)), Some(Seconds(1))]);
        assert_records(context, options, "Seconds");
        let lists = (0..99).map(|n| vec![Seconds(n); n as usize / 98]);
        assert_records(context, lists.collect(), "Seconds");
        assert_records(context, vec![((), [0_u8; 0]); 70], "");
        assert_records(
            context,
            (0..200_u32).map(|n| vec![n; n as usize]).collect(),
            "",
        );
    });
}

/// A type whose decoded value differs from the encoded one.
#[derive(Clone, Debug, PartialEq)]
struct Seconds(u64);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.0 * 1000)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        u64::deserialize(from).map(Self)
    }
}

/// A type that encodes more than it decodes.
#[derive(Clone, Debug, PartialEq)]
struct Longer(Vec<u8>);

impl Serialize for Longer {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (&self.0, 300_u32).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Longer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::deserialize(from).map(Self)
    }
}

#[test]
fn keys_are_what_they_were_or_refused() {
    on_every_executor_and_processes(|context| {
        let keys = context.range(0..60).map(|n| Key(n % 3));
        assert_refused(keys.clone().count_by_value().collect(), "Key");
        assert_refused(
            keys.clone().map(|key| (key, 1_u64)).sum_by_key().collect(),
            "Key",
        );
        assert_refused(
            keys.clone().map(|key| (key, 1)).group_by_key().count(),
            "Key",
        );
        assert_refused(
            keys.clone()
                .map(|key| (1, key))
                .map(|(n, key)| (key, n))
                .join(keys.clone().map(|key| (key, 1)))
                .count(),
            "Key",
        );
    });
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key(u64);

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.0 + 1)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        u64::deserialize(from).map(Self)
    }
}

/// Equal paths can have different bytes: `a/b` and `a//b`.
#[test]
fn normalised_keys_are_one_key() {
    on_every_executor_and_processes(|context| {
        let paths = ["a/b", "a//b", "a/./b", "c", "a/b/"].map(PathBuf::from);
        let paths = context.from_vec(paths.to_vec());
        assert_eq!(paths.clone().distinct().count().unwrap(), 5);
        let normal = || {
            paths
                .clone()
                .map(|path| path.components().collect::<PathBuf>())
        };
        let mut counts = normal().count_by_value().collect().unwrap();
        counts.sort();
        assert_eq!(counts, [(PathBuf::from("a/b"), 4), (PathBuf::from("c"), 1)]);
        let pairs = || normal().map(|path| (path, 1));
        let rows = pairs().join(pairs().distinct()).count();
        assert_eq!(rows.unwrap(), 5);
        let sets = context
            .range(0..3)
            .map(|n| (0..20 * n).collect::<BTreeSet<_>>());
        assert_eq!(
            sets.union(context.range(0..3).map(|n| (0..20 * n).collect()))
                .distinct()
                .count()
                .unwrap(),
            3
        );
        // Their order differs each time, so they cannot be keys.
        let sets = context.range(0..3).map(|n| Set((0..2000 * n).collect()));
        assert_refused(sets.distinct().count(), "Set");
    });
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Set(HashSet<u64>);

/// A value that contains a nested value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Nested(u64, Option<Box<Nested>>);

fn nested(depth: u64) -> Nested {
    (1..depth).fold(Nested(0, None), |inner, n| Nested(n, Some(Box::new(inner))))
}

#[test]
fn records_that_are_nested_deeply_are_right_or_refused() {
    on_every_executor_and_processes(|context| {
        for depth in [1, 10, 200] {
            let bag = context
                .range(0..3)
                .with(depth)
                .map(|depth, n| (n, nested(*depth)));
            let expected: Vec<_> = (0..3).map(|n| (n, nested(depth))).collect();
            assert_eq!(bag.collect().unwrap(), expected);
            assert_eq!(bag.clone().repartition(1).collect().unwrap(), expected);
        }
        let bag = context.range(0..3).map(|n| (n, nested(2000)));
        let expected: Vec<_> = (0..3).map(|n| (n, nested(2000))).collect();
        assert_right(bag.collect(), &expected, "Nested");
        assert_refused(bag.clone().repartition(1).collect(), "Nested");
        assert_refused(bag.clone().group_by_key().count(), "Nested");
    });
}

/// A table that counts how often this process has decoded one.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Table(Vec<u32>);

static READ: AtomicU64 = AtomicU64::new(0);

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        READ.fetch_add(1, Ordering::Relaxed);
        Vec::deserialize(from).map(Self)
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_large_state_of_several_stages_is_read_once() {
    let builder = Context::builder().executor(Executor::Processes(1));
    let context = builder.build().expect("a context");
    let table = |first| Table((first..first + 100_000).collect());
    let bag = context.range(0..10).map(|n| (n, 0));
    let bag = bag
        .with(table(0))
        .map(|table, (n, sum)| (n, sum + u64::from(table.0[n as usize])));
    let bag = bag.repartition(3);
    let bag = bag
        .with(table(0))
        .map(|table, (n, sum)| (n, sum + u64::from(table.0[n as usize])));
    let bag = bag
        .with(7_u64)
        .map(|more, (n, sum)| (n, sum + more))
        .repartition(2);
    let bag = bag
        .with(table(5))
        .map(|table, (n, sum)| (n, sum + u64::from(table.0[n as usize])));
    let bag = bag.map(|(n, sum)| (n, sum, READ.load(Ordering::Relaxed)));
    for job in 1..3 {
        let mut found = bag.collect().expect("the records");
        found.sort();
        // The worker dropped the state of one stage to load that of the other.
        let expected: Vec<_> = (0..10).map(|n| (n, 3 * n + 12, 2 * job)).collect();
        assert_eq!(found, expected);
    }
    // In this process, each of the three was decoded once, for its check.
    assert_eq!(READ.load(Ordering::Relaxed), 3);
}

/// Runs a helper test of this program.
fn program(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([
        test,
        "--exact",
        "--ignored",
        "--nocapture",
        "--test-threads=1",
    ]);
    command
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes))
        .concat()
}

#[test]
#[ignore = "part of other tests"]
#[expect(clippy::print_stdout, reason = "what is printed is looked at")]
fn program_that_counts() {
    holdall::init();
    println!(
        "counted {}",
        holdall::range(0..10).count().expect("a count")
    );
    if cfg!(target_os = "linux") {
        let context = Context::builder().executor(Executor::Processes(1));
        let numbers = context.build().expect("a context").range(0..20);
        println!("counted {}", numbers.count().expect("a count"));
    }
}

#[cfg(target_os = "linux")]
mod workers {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    use super::*;

    const VARIABLE: &str = "HOLDALL_WORKER";

    /// Returns both ends of a socket, and the number of the second.
    fn socket() -> (UnixStream, UnixStream, u64) {
        let (here, there) = UnixStream::pair().expect("a pair");
        let file = File::from(OwnedFd::from(there.try_clone().expect("a copy")));
        let number = file.metadata().expect("its number").ino();
        (here, there, number)
    }

    fn start(variable: &str, stdin: UnixStream) -> std::process::Child {
        let mut command = program("types::program_that_counts");
        command
            .env(VARIABLE, variable)
            .stdin(Stdio::from(OwnedFd::from(stdin)));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("a process")
    }

    #[test]
    fn a_socket_and_a_variable_make_no_worker() {
        let token = "0".repeat(32);
        for other in [0, 1] {
            let (_here, there, number) = socket();
            let socket = number + other;
            let variables = [
                "1:x".to_owned(),
                format!("1:{socket}"),
                format!("x:{socket}:{token}"),
                format!("1:{}:{token}", socket + 1),
            ];
            for variable in variables {
                let child = start(&variable, there.try_clone().expect("a copy"));
                let output = child.wait_with_output().expect("it ends");
                let said = said(&output);
                assert!(output.status.success(), "{said}");
                assert!(
                    said.contains("counted 10") && said.contains("counted 20"),
                    "{said}"
                );
            }
        }
    }

    #[test]
    fn a_worker_whose_driver_says_something_else_ends() {
        for says in [
            &b""[..],
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
            &[0; 64],
            &[255; 4096],
        ] {
            // This process is the parent, and runs the same program as the same user. But it does not know the token.
            let (mut here, there, number) = socket();
            let child = start(&format!("1:{number}:{}", "0".repeat(32)), there);
            here.write_all(says).expect("it listens");
            // If the driver sends nothing, the worker waits until the driver closes the socket.
            let _open = (!says.is_empty()).then_some(here);
            let output = child.wait_with_output().expect("it ends");
            let said = said(&output);
            assert!(!output.status.success(), "{said}");
            assert!(
                said.contains("started as a worker") && !said.contains("counted"),
                "{said}"
            );
        }
    }

    #[test]
    fn what_a_worker_starts_does_not_know_of_it() {
        let context = Context::builder().executor(Executor::Processes(1));
        let numbers = context.build().expect("a context").range(0..1);
        let found = numbers.map(|_| {
            let variable = std::env::var(VARIABLE).ok();
            let open = Command::new("ls").args(["-l", "/proc/self/fd/"]).output();
            let open = open.map(|output| said(&output)).unwrap_or_default();
            let counts = program("types::program_that_counts").output();
            (
                variable,
                open,
                counts.map(|output| said(&output)).unwrap_or_default(),
            )
        });
        let found = found.collect().expect("what it has seen");
        let (variable, open, counts) = &found[0];
        assert_eq!(*variable, None);
        assert!(
            open.contains("/dev/null") && !open.contains("socket:"),
            "{open}"
        );
        assert!(counts.contains("counted 20"), "{counts}");
    }
}

/// A stack size that no thread can have.
const STACK: (&str, &str) = ("RUST_MIN_STACK", "70368744177664");

#[test]
#[ignore = "part of the test below"]
#[expect(clippy::print_stdout, reason = "what is printed is looked at")]
fn program_with_too_few_threads() {
    holdall::init();
    let kind = |result: Result<u64>| match result {
        Ok(count) => assert_eq!(count, 10),
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Threads(_)), "{error}");
            println!("too few threads");
        }
    };
    for _ in 0..2 {
        kind(holdall::range(0..10).count());
        let iterated = holdall::range(0..10).iter();
        kind(iterated.map(|records| records.count() as u64));
        let on = |executor| {
            Context::builder()
                .executor(executor)
                .build()
                .expect("a context")
        };
        kind(on(Executor::Threads(2)).range(0..10).count());
        if cfg!(target_os = "linux") {
            kind(on(Executor::Processes(1)).range(0..10).count());
        }
        let context = on(Executor::Inline);
        kind(context.range(0..10).count());
        kind(
            context
                .range(0..10)
                .map(|n| n % 3)
                .count_by_value()
                .count()
                .map(|_| 10),
        );
    }
    println!("that is all");
}

#[test]
fn too_few_threads_are_an_error() {
    let output = program("types::program_with_too_few_threads")
        .env(STACK.0, STACK.1)
        .output();
    let output = output.expect("it runs");
    let said = said(&output);
    assert!(said.contains("that is all"), "{said}");
    assert!(said.matches("too few threads").count() >= 6, "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
