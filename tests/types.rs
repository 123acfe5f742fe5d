//! Types whose `Serialize` and `Deserialize` disagree: what comes out of a bag is what went in, or an error that says
//! which type it is, in which method and on which line. It is the same on every executor.

mod common;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use common::on_every_executor_and_processes;
use holdall::{Bag, Context, ErrorKind, Persistence, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// That `result` is `expected`, or an error that names the type, a method and a line of this file. Says which.
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
            let place = error.place().expect("it has a place");
            assert!(place.operator.is_some(), "{error}");
            let location = place.location.expect("it has a line");
            assert!(location.file().ends_with("types.rs"), "{error}");
            false
        }
    }
}

/// The same, and that it is an error.
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
    Internal,
    Click(u64),
    View(u64),
    Buy {
        price: u64,
    },
}

/// The first records are those that come back as they were.
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
        // What stays in memory need not be written.
        let reduced = events().map(|event| (0, event)).reduce_by_key(Ord::max);
        assert_right(
            reduced.collect(),
            &vec![(0, Event::Buy { price: 3 })],
            "Event",
        );
        assert_right(events().sort().collect(), &self::events(), "Event");
        let persisted = events().persist(Persistence::default());
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
        // What is made in a worker comes from there.
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
            made.clone().persist(Persistence::default()).collect(),
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

/// As a state, an initial value and a result. What it comes back as is never seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shifted {
    #[serde(skip_deserializing)]
    rank: u8,
    id: u8,
}

const SHIFTED: Shifted = Shifted { rank: 200, id: 3 };

/// Its type is sent with each stage that has a closure or an operator that needs it.
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
    let folded = pairs().aggregate_by_key(state.clone(), |state, _| state, |state, _| state);
    assert_right(folded.count(), &2, type_name);
    assert_right(
        with().sort_by(|_, a, b| a.cmp(b)).collect(),
        &all,
        type_name,
    );
    // Two of them, and what comes behind both.
    let twice = with()
        .filter(|_, _| true)
        .with(state.clone())
        .filter(|_, _| true);
    assert_right(twice.map(|n| n / 2).sum(), &20, type_name);
}

#[test]
fn states_initial_values_and_results_are_right_or_refused() {
    on_every_executor_and_processes(|context| {
        assert_states(context, &SHIFTED, "Shifted");
        assert_states(context, &vec![SHIFTED; 3], "Shifted");
        assert_states(context, &Some(Box::new(SHIFTED)), "Shifted");
        assert_states(context, &HashMap::from([(1, Event::View(3))]), "Event");
        assert_states(context, &("state".to_owned(), rows()), "Row");
        assert_states(context, &BTreeMap::from([(1, rows().pop())]), "Row");
        assert_states(context, &Seconds(77), "Seconds");
        assert_states(context, &Longer(vec![1, 2]), "Longer");
        // These are right.
        assert_states(
            context,
            &(0..99)
                .map(|n| (n, n.to_string()))
                .collect::<HashMap<_, _>>(),
            "",
        );
        assert_states(context, &(1..=5_u64, [Some('x'); 3]), "");
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
        assert_records(context, vec![Vec::new(), rows()], "Row");
        assert_records(context, vec![Seconds(5), Seconds(9)], "Seconds");
        assert_records(context, vec![Longer(vec![]), Longer(vec![1])], "Longer");
        assert_records(context, vec![(), ()], "");
        assert_records(context, vec![((), [0_u8; 0]); 70], "");
        assert_records(
            context,
            (0..200_u32).map(|n| vec![n; n as usize]).collect(),
            "",
        );
    });
}

/// It is read as it was not written.
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

/// More is written than is read.
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

/// Each value lies in the next one.
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
