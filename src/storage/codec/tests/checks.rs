//! Tests that types whose copies differ are refused, and that all others are accepted.
#![expect(dead_code, reason = "serde alone reads some fields, or nobody does")]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::marker::PhantomData;
use std::ops::{Bound, Range, RangeInclusive};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::*;

fn reason<T>(result: Result<T>) -> String {
    match result.err().expect("it is refused").kind() {
        ErrorKind::Codec { reason, .. } => reason.clone(),
        other => panic!("expected a codec error, got {other}"),
    }
}

fn is_refused<T: Serialize + Deserialize<'static>>(record: &T) {
    let mut bytes = vec![7];
    reason(encode_into(record, &mut bytes));
    assert_eq!(bytes, [7]);
    // The failed check must not make the type known.
    reason(encode_into(record, &mut bytes));
    assert!(encode_short(record).is_none());
    let error = check(record).unwrap_err();
    assert!(
        error.to_string().contains(std::any::type_name::<T>()),
        "{error}"
    );
}

fn is_carried<T: Serialize + Deserialize<'static>>(record: T) {
    check(&record).expect("it comes back");
    let mut bytes = Vec::new();
    encode_into(&record, &mut bytes).expect("it is known");
    let back: T = decode(&bytes).expect("it comes back");
    let digest = |record| digest(record, &Layouts::default()).ok();
    assert_eq!(digest(&back), digest(&record));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
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

/// Enums with the same names, variants and numbers as the others, but without mistakes.
mod whole {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    pub(super) enum Event {
        Start,
        Internal,
        Click(u64),
        View(u64),
        Buy { price: u64 },
    }
}

#[derive(Serialize, Deserialize)]
enum Middle {
    A,
    #[serde(skip_deserializing)]
    B,
    C,
    D,
}

#[derive(Serialize, Deserialize)]
enum Last {
    A,
    B(u8),
    #[serde(skip)]
    C,
}

#[test]
fn variants_behind_a_skipped_one_are_refused_whatever_came_before() {
    let mut bytes = Vec::new();
    encode_into(&whole::Event::Internal, &mut bytes).unwrap();
    encode_into(&whole::Event::Click(1), &mut bytes).unwrap();
    encode_into(&whole::Event::View(1), &mut bytes).unwrap();
    encode_into(&whole::Event::Buy { price: 1 }, &mut bytes).unwrap();
    encode_into(&whole::Event::Start, &mut bytes).unwrap();
    // The first record may be of a variant that is correct.
    encode_into(&Event::Start, &mut bytes).unwrap();
    check(&vec![(1, Some(Event::Start))]).unwrap();
    is_refused(&Event::Click(1));
    is_refused(&Event::View(1));
    is_refused(&Event::Buy { price: 1 });
    is_refused(&vec![(1, Some(Event::Start)), (2, Some(Event::Click(2)))]);
    is_refused(&Box::new(Event::Click(1)));
    is_refused(&Event::Internal);
    encode_into(&Event::Start, &mut bytes).unwrap();

    encode_into(&Middle::A, &mut bytes).unwrap();
    is_refused(&Middle::B);
    is_refused(&Middle::C);
    is_refused(&Middle::D);

    encode_into(&Last::A, &mut bytes).unwrap();
    encode_into(&Last::B(1), &mut bytes).unwrap();
    assert!(reason(check(&Last::C)).contains("Last::C"));
}

#[derive(Clone, Serialize, Deserialize)]
struct Ranked {
    id: u8,
    #[serde(skip_deserializing)]
    rank: u8,
}

#[derive(Serialize, Deserialize)]
struct Unranked {
    id: u8,
    #[serde(skip_serializing, default)]
    rank: u8,
}

/// A type whose bytes are always read to the end: `[1, id, rank, 0]` is decoded as an `id` and `rank` further bytes.
#[derive(Serialize, Deserialize)]
struct Holder {
    ranked: Option<Ranked>,
    tail: Vec<u8>,
}

#[test]
fn structs_that_the_first_record_does_not_have_are_refused() {
    let holder = |ranked, tail| Holder { ranked, tail };
    let mut bytes = Vec::new();
    encode_into(&holder(None, vec![1]), &mut bytes).unwrap();
    is_refused(&holder(Some(Ranked { id: 5, rank: 1 }), vec![]));
    encode_into(&Vec::<Ranked>::new(), &mut bytes).unwrap();
    is_refused(&vec![Ranked { id: 1, rank: 2 }; 4]);
    is_refused(&Unranked { id: 1, rank: 2 });
}

/// A type whose decoded value differs but has the same length.
struct Asymmetric(u64);

impl Serialize for Asymmetric {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.0 / 1000)
    }
}

impl<'de> Deserialize<'de> for Asymmetric {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        u64::deserialize(from).map(Self)
    }
}

#[derive(Serialize, Deserialize)]
struct Swapped {
    #[serde(serialize_with = "double")]
    n: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn double<S: Serializer>(n: &u32, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u32(n * 2)
}

#[test]
fn values_that_differ_are_refused_though_they_are_as_long() {
    let mut bytes = Vec::new();
    encode_into(&Asymmetric(5000), &mut bytes).expect("only the check sees it");
    assert!(reason(check(&Asymmetric(5000))).contains("disagree"));
    assert!(reason(check(&vec![(1, Asymmetric(5000))])).contains("disagree"));
    encode_into(&Vec::<Asymmetric>::new(), &mut bytes).expect("there is none in it");
    is_refused(&vec![Asymmetric(5000)]);
    encode_into(&None::<Asymmetric>, &mut bytes).expect("there is none in it");
    is_refused(&Some(Asymmetric(5000)));
    encode_into(&HashMap::<u8, Asymmetric>::new(), &mut bytes).expect("there is none in it");
    is_refused(&HashMap::from([(1, Asymmetric(5000))]));
    assert!(reason(check(&Swapped { n: 3 })).contains("disagree"));
    assert!(reason(check_key::<Asymmetric>(&[5])).contains("the same bytes"));
}

#[derive(Serialize, Deserialize)]
struct Row {
    id: u64,
    #[serde(skip)]
    cached: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Pair(u32, #[serde(skip)] String);

#[derive(Serialize, Deserialize)]
struct Nothing {
    #[serde(skip)]
    text: String,
}

#[derive(Serialize, Deserialize)]
#[repr(C)]
struct Padded {
    a: u8,
    b: u64,
    c: u8,
    d: u16,
    e: [u8; 3],
    f: u128,
}

#[derive(Serialize, Deserialize)]
#[repr(align(64))]
struct Aligned(u8);

#[derive(Serialize, Deserialize)]
struct Typed<T> {
    id: u64,
    #[serde(skip)]
    kind: PhantomData<T>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
struct Declared {
    id: u64,
    cached: Option<u64>,
}

impl From<u64> for Declared {
    fn from(id: u64) -> Self {
        Self { id, cached: None }
    }
}

impl From<Declared> for u64 {
    fn from(declared: Declared) -> Self {
        declared.id
    }
}

/// A type with a field that is computed: decoding computes it again.
struct Computed {
    n: u64,
    squares: Vec<u64>,
}

impl Serialize for Computed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut to = to.serialize_struct("Computed", 2)?;
        to.serialize_field("n", &self.n)?;
        to.serialize_field("squares", &self.squares.len())?;
        to.end()
    }
}

impl<'de> Deserialize<'de> for Computed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Parts {
            n: u64,
            squares: u64,
        }
        let Parts { n, squares } = Parts::deserialize(from)?;
        let squares = (0..squares).map(|n| n * n).collect();
        Ok(Self { n, squares })
    }
}

#[derive(Serialize, Deserialize)]
struct By {
    #[serde(with = "as_text")]
    number: u64,
    small: u8,
}

mod as_text {
    use super::*;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(number: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn row(cached: Option<u64>) -> Row {
    Row { id: 1, cached }
}

#[test]
fn fields_that_are_not_written_are_refused() {
    let told = reason(check(&row(Some(7))));
    assert!(
        told.contains("`Row`") && told.contains("16 bytes"),
        "{told}"
    );
    is_refused(&row(Some(7)));
    is_refused(&vec![(1, row(Some(7)))]);
    is_refused(&HashMap::from([(1, row(Some(7)))]));
    is_refused(&Pair(1, "lost".to_owned()));
    is_refused(&Box::new(row(Some(7))));
    is_refused(&Mutex::new(row(Some(7))));
    let mut bytes = Vec::new();
    encode_into(&Vec::<Row>::new(), &mut bytes).unwrap();
    is_refused(&vec![row(Some(7))]);
}

#[test]
fn bytes_of_alignment_are_no_fields() {
    is_carried(Padded {
        a: 1,
        b: 2,
        c: 3,
        d: 4,
        e: [5; 3],
        f: 6,
    });
    is_carried(Aligned(1));
    is_carried(Nothing {
        text: String::new(),
    });
    is_carried(Typed::<String> {
        id: 1,
        kind: PhantomData,
    });
    is_carried(Declared {
        id: 1,
        cached: Some(2),
    });
    is_carried(By {
        number: 12,
        small: 3,
    });
    is_carried((1_u8, 2_u64, 3_u8));
    is_carried(Computed {
        n: 1,
        squares: vec![0, 1, 4],
    });
    is_carried(Typed::<Row> {
        id: 1,
        kind: PhantomData,
    });
}

#[derive(Serialize, Deserialize, PartialEq, Eq, Hash, PartialOrd, Ord, Clone)]
struct Point {
    x: i8,
    y: i64,
}

#[test]
fn what_std_has_is_carried() {
    let point = |x| Point { x, y: 2 };
    let points = || (0..50).map(point);
    is_carried(points().collect::<HashSet<_>>());
    is_carried(points().collect::<BTreeSet<_>>());
    is_carried(points().collect::<BinaryHeap<_>>());
    is_carried(points().collect::<VecDeque<_>>());
    is_carried(points().collect::<LinkedList<_>>());
    is_carried(points().map(|p| (p, 1)).collect::<HashMap<_, _>>());
    is_carried(BTreeMap::from([(1, points().collect::<HashSet<_>>())]));
    is_carried((
        Box::new(point(1)),
        Box::new(point(2)),
        RefCell::new(point(3)),
    ));
    is_carried((Mutex::new(point(1)), Cell::new(1_u8), Some(point(4))));
    is_carried((1..5, 1..=5_u64, Bound::Included(point(1))));
    is_carried::<(Range<u8>, RangeInclusive<i128>)>((1..5, 1..=5));
    is_carried(Ok::<Point, String>(point(1)));
    is_carried(Err::<Point, String>("e".to_owned()));
    is_carried((Duration::from_millis(1500), SystemTime::UNIX_EPOCH));
    is_carried([f64::NAN, -f64::NAN, -0.0, f64::INFINITY]);
    is_carried((
        std::net::Ipv6Addr::LOCALHOST,
        std::path::PathBuf::from("a//b"),
    ));
    is_carried(((), [0_u8; 0], Vec::<()>::from([(); 3])));
}

#[test]
fn a_key_has_the_same_bytes_again() {
    let mut bytes = Vec::new();
    encode_into(&point_set(1), &mut bytes).unwrap();
    check_key::<HashSet<u32>>(&bytes).expect("there is but one order");
    bytes.clear();
    encode_into(&point_set(1000), &mut bytes).unwrap();
    let told = reason(check_key::<HashSet<u32>>(&bytes));
    assert!(told.contains("HashSet"), "{told}");
}

fn point_set(count: u32) -> HashSet<u32> {
    (0..count).collect()
}

#[test]
fn frames_end_where_they_began() {
    for length in [0, 1, 249, 250, 251, 300, 70_000] {
        let mut bytes = vec![9];
        encode_framed(&vec![1_u8; length], &mut bytes).unwrap();
        encode_framed(&(), &mut bytes).unwrap();
        encode_framed(&"end".to_owned(), &mut bytes).unwrap();
        let mut rest = &bytes[1..];
        assert_eq!(decode_framed::<Vec<u8>>(&mut rest).unwrap().len(), length);
        let cut = rest;
        decode_framed::<()>(&mut rest).unwrap();
        assert_eq!(decode_framed::<String>(&mut rest).unwrap(), "end");
        assert!(rest.is_empty());
        assert!(reason(decode_framed::<u8>(&mut rest)).contains("cut short"));
        let mut cut = &cut[1..3];
        assert!(reason(decode_framed::<String>(&mut cut)).contains("cut short"));
        assert_eq!(cut.len(), 2);
    }
    let mut bytes = vec![9];
    reason(encode_framed(&row(None), &mut bytes));
    assert_eq!(bytes, [9]);
    bytes.clear();
    encode_framed(&(1_u8, 2_u8), &mut bytes).unwrap();
    reason(decode_framed::<u8>(&mut bytes.as_slice()));
}

#[derive(Serialize, Deserialize)]
struct Node(u64, Option<Box<Node>>);

#[derive(Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "values that are large take much stack"
)]
enum Tree {
    Leaf([u64; 32]),
    Branches(Vec<Tree>),
}

#[derive(Serialize, Deserialize)]
struct Unit(Vec<()>);

#[test]
fn what_is_nested_too_deeply_is_refused() {
    let list = |length| (1..length).fold(Node(0, None), |node, n| Node(n, Some(Box::new(node))));
    let tree = |depth| (1..depth).fold(Tree::Leaf([7; 32]), |tree, _| Tree::Branches(vec![tree]));
    is_carried(list(257));
    is_carried(tree(128));
    let told = reason(check(&list(258)));
    assert!(told.contains("nested"), "{told}");
    is_refused(&tree(1000));
    is_refused(&list(10_000));
    // Bytes that were not written by the codec.
    assert!(reason(decode::<Node>(&[1; 100_000])).contains("nested"));
    assert!(reason(decode::<Tree>(&[1; 100_000])).contains("nested"));
}

#[test]
fn elements_without_bytes_are_not_without_number() {
    is_carried(Unit(vec![(); 1 << 12]));
    for length in [1_u64 << 34, 1 << 60, u64::MAX] {
        let mut bytes = Vec::new();
        encode_own(&length, &mut bytes).unwrap();
        assert!(reason(decode::<Unit>(&bytes)).contains("too long"));
        // The limit also applies to the lists of a record together.
        let many = [&[200][..], &bytes.repeat(200)].concat();
        reason(decode::<Vec<Unit>>(&many));
        reason(decode::<HashMap<(), ()>>(&bytes));
    }
    let millions = [&[200][..], &[252, 0, 0, 8, 0].repeat(200)].concat();
    assert!(reason(decode::<Vec<Unit>>(&millions)).contains("too long"));
}

#[test]
fn code_that_panics_leaves_nothing_trusted() {
    struct Panics;

    impl Serialize for Panics {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("on purpose")
        }
    }

    impl<'de> Deserialize<'de> for Panics {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Ok(Self)
        }
    }

    assert!(std::panic::catch_unwind(|| check(&Panics)).is_err());
    is_refused(&Event::View(1));
}

/// An enum of one variant, whose name has another address each time. Code that the compiler has copied into several
/// codegen units has several addresses of a name, too.
#[derive(Debug, PartialEq)]
struct Moving;

impl Serialize for Moving {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = Box::leak("Moving".to_owned().into_boxed_str());
        serializer.serialize_unit_variant("Moving", 0, name)
    }
}

impl<'de> Deserialize<'de> for Moving {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        enum Still {
            Moving,
        }
        Still::deserialize(deserializer).map(|Still::Moving| Self)
    }
}

#[test]
fn names_may_have_several_addresses() {
    let mut bytes = Vec::new();
    for _ in 0..3 {
        encode_into(&Moving, &mut bytes).expect("it has been checked");
    }
    assert_eq!(bytes, [0, 0, 0]);
    assert_eq!(decode::<Moving>(&bytes[..1]).unwrap(), Moving);
}
