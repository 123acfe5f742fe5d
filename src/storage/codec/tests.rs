//! Types that the codec supports, and types that it refuses.

mod checks;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use bincode::config::{Configuration, Limit, LittleEndian, Varint};

use super::format::CONFIGURATION;
use super::*;

/// The codec's configuration with a limit, for bincode's own decoder, which otherwise allocates whatever a damaged
/// length requests.
const LIMITED: Configuration<LittleEndian, Varint, Limit<1_000_000>> =
    CONFIGURATION.with_limit::<1_000_000>();

fn encoded<T: Serialize + ?Sized>(record: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_own(record, &mut bytes).expect("encode");
    bytes
}

fn carries<T: Serialize + Deserialize<'static> + PartialEq + Debug>(record: T) {
    let bytes = encoded(&record);
    assert_eq!(decode::<T>(&bytes).expect("decode"), record);
    let mut fixed = Vec::new();
    encode_fixed(&record, &mut fixed).expect("encode");
    assert_eq!(decode_fixed::<T>(&fixed).expect("decode"), record);
    let mut flat = Vec::new();
    match encode_flat(&record, &mut flat) {
        true => assert_eq!(flat, fixed),
        false => assert!(flat.is_empty()),
    }
    check(&record).expect("round trip");
}

fn refuses<T: Serialize + Deserialize<'static>>(record: &T) -> String {
    let error = check(record).expect_err("this type cannot be carried");
    match error.kind() {
        ErrorKind::Codec {
            type_name, reason, ..
        } => {
            assert_eq!(*type_name, std::any::type_name::<T>());
            reason.clone()
        }
        other => panic!("expected a codec error, got {other}"),
    }
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
enum Shape {
    Unit,
    Newtype(Vec<u8>),
    Tuple(i8, char),
    Struct {
        name: String,
        next: Option<Box<Shape>>,
    },
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct UnitStruct;

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Wrapped(f64);

#[test]
fn carries_what_serde_derives() {
    carries(0_u64);
    carries((u64::MAX, 1_u64));
    carries((String::from("word"), 7_u64));
    carries((i128::MIN, u128::MAX, -1_i8, 'ß', 1.5_f32, true, ()));
    carries((UnitStruct, Wrapped(f64::INFINITY), [1_u16, 2, 3]));
    carries(vec![Some(String::new()), None]);
    carries(BTreeMap::from([(1, "a".to_owned()), (2, String::new())]));
    carries(Shape::Unit);
    carries(Shape::Newtype(vec![0, 255]));
    carries(Shape::Tuple(-128, '\0'));
    carries(Shape::Struct {
        name: "outer".to_owned(),
        next: Some(Box::new(Shape::Unit)),
    });
    carries(std::path::PathBuf::from("/tmp"));
    carries(std::net::Ipv4Addr::LOCALHOST);
}

#[test]
fn carries_maps_whose_order_changes() {
    let map: HashMap<u32, String> = (0..1000).map(|n| (n, n.to_string())).collect();
    carries(map);
}

#[test]
fn owned_and_borrowed_text_have_the_same_bytes() {
    assert_eq!(encoded("word"), encoded(&"word".to_owned()));
    assert_eq!(encoded("word"), b"\x04word");
    let bytes = encoded("word");
    assert_eq!(decode::<&str>(&bytes).expect("borrowed"), "word");
    assert_eq!(encoded(&(3_u64, 250_u64)), [3, 250]);
}

#[test]
fn records_follow_one_another() {
    let mut bytes = encoded(&(String::from("a"), 1_u64));
    encode_into(&(String::from("b"), u64::MAX), &mut bytes).expect("encode");
    let mut rest = bytes.as_slice();
    let first: (String, u64) = decode_prefix(&mut rest).expect("first");
    let second: (String, u64) = decode_prefix(&mut rest).expect("second");
    assert_eq!((first.1, second.1), (1, u64::MAX));
    assert!(rest.is_empty());
}

#[test]
fn left_over_and_missing_bytes_are_errors() {
    let bytes = encoded(&(String::from("word"), 300_u64));
    for length in 0..bytes.len() {
        decode::<(String, u64)>(&bytes[..length]).expect_err("cut short");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    let error = decode::<(String, u64)>(&longer).expect_err("one byte more");
    assert!(
        error.to_string().contains("1 bytes are left over"),
        "{error}"
    );
    let mut rest = &bytes[..2];
    decode_prefix::<(String, u64)>(&mut rest).expect_err("cut short");
    assert_eq!(rest.len(), 2, "a failed decode consumes nothing");
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u64),
    Text(String),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Point { x: u32 },
}

#[derive(Serialize, Deserialize)]
struct Nested {
    x: u32,
}

#[derive(Serialize, Deserialize)]
struct Flat {
    id: u32,
    #[serde(flatten)]
    nested: Nested,
}

#[derive(Serialize, Deserialize)]
struct Sparse {
    #[serde(skip_serializing_if = "is_zero", default)]
    first: u8,
    rest: Vec<u8>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(number: &u8) -> bool {
    *number == 0
}

#[test]
fn refuses_types_that_need_names_in_the_bytes() {
    refuses(&Untagged::Number(1));
    refuses(&vec![(1_u32, Untagged::Text("nested".to_owned()))]);
    refuses(&Tagged::Point { x: 1 });
    refuses(&Flat {
        id: 1,
        nested: Nested { x: 2 },
    });
}

/// Without the check, the codec would silently decode `first: 1, rest: []` here.
#[test]
fn refuses_a_field_that_is_left_out() {
    let reason = refuses(&Sparse {
        first: 0,
        rest: vec![0],
    });
    assert!(reason.contains("`first`"), "{reason}");
    carries_sparse_with_all_fields();
}

fn carries_sparse_with_all_fields() {
    check(&Sparse {
        first: 1,
        rest: vec![],
    })
    .expect("no field is left out");
}

#[derive(Deserialize)]
struct Lossy(Vec<u8>);

impl Serialize for Lossy {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        vec![0_u8; self.0.len() + 1].serialize(serializer)
    }
}

#[test]
fn refuses_a_record_that_comes_back_longer() {
    let reason = refuses(&Lossy(vec![1]));
    assert!(reason.contains("does not return the value"), "{reason}");
}

#[test]
fn a_failed_encode_leaves_the_buffer_as_it_was() {
    let mut bytes = vec![1, 2, 3];
    let record = (
        7_u64,
        Sparse {
            first: 0,
            rest: vec![],
        },
    );
    encode_into(&record, &mut bytes).expect_err("a field is left out");
    assert_eq!(bytes, [1, 2, 3]);
}

#[test]
fn a_length_that_is_none_allocates_nothing() {
    for length in [u64::from(u32::MAX), 1 << 40, u64::MAX] {
        let bytes = encoded(&length);
        decode::<String>(&bytes).expect_err("no such text");
        decode::<Vec<u64>>(&bytes).expect_err("no such list");
    }
}

/// A value of each kind that serde supports.
#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
struct Everything {
    unsigned: (u8, u16, u32, u64, u128, usize),
    signed: (i8, i16, i32, i64, i128, isize),
    floats: (f32, f64),
    others: (bool, char, (), [u16; 2]),
    text: String,
    list: Vec<Option<i32>>,
    map: BTreeMap<u16, String>,
    variants: Vec<Variant>,
}

#[derive(Clone, Serialize, Deserialize, PartialEq, Debug)]
enum Variant {
    Unit,
    Newtype(u64),
    Tuple(i16, String),
    Struct { number: i64, nothing: () },
}

/// Returns a value made of `bits`, which are shifted so that numbers of all lengths occur.
fn everything(bits: u128, shift: u32, text: String) -> Everything {
    let bits = bits >> shift;
    let (number, signed) = (bits as u64, !bits as i64);
    Everything {
        unsigned: (
            number as u8,
            number as u16,
            number as u32,
            number,
            bits,
            number as usize,
        ),
        signed: (
            signed as i8,
            signed as i16,
            signed as i32,
            signed,
            !bits as i128,
            signed as isize,
        ),
        floats: (signed as f32, signed as f64),
        others: (
            number % 2 == 0,
            char::from(number as u8),
            (),
            [number as u16, !number as u16],
        ),
        list: vec![Some(signed as i32), None, Some(number as i32)],
        map: BTreeMap::from([(number as u16, text.clone()), (shift as u16, String::new())]),
        variants: vec![
            Variant::Unit,
            Variant::Newtype(number),
            Variant::Tuple(number as i16, text.clone()),
            Variant::Struct {
                number: signed,
                nothing: (),
            },
        ],
        text,
    }
}

fn has_bincodes_bytes<T: Serialize + ?Sized>(record: &T) {
    let expected = bincode::serde::encode_to_vec(record, CONFIGURATION).expect("bincode encodes");
    assert_eq!(encoded(record), expected);
    assert_eq!(encode_short(record), Short::new(&expected));
}

/// Asserts that bytes, which may be damaged, are decoded as by bincode.
fn reads_as_bincode_does<T: for<'a> Deserialize<'a> + PartialEq + Debug>(bytes: &[u8]) {
    let mut rest = bytes;
    let decoded = decode_prefix::<T>(&mut rest);
    match bincode::serde::decode_from_slice::<T, _>(bytes, LIMITED) {
        Ok((expected, length)) => {
            assert_eq!(decoded.expect("as bincode does"), expected);
            assert_eq!(rest.len(), bytes.len() - length);
        }
        Err(expected) => match decoded.expect_err("as bincode does").kind() {
            ErrorKind::Codec { reason, .. } => assert_eq!(*reason, expected.to_string()),
            other => panic!("expected a codec error, got {other}"),
        },
    }
}

fn numbers_are_read_as_bincode_does(bytes: &[u8]) {
    reads_as_bincode_does::<u16>(bytes);
    reads_as_bincode_does::<u32>(bytes);
    reads_as_bincode_does::<u64>(bytes);
    reads_as_bincode_does::<usize>(bytes);
    reads_as_bincode_does::<i16>(bytes);
    reads_as_bincode_does::<i32>(bytes);
    reads_as_bincode_does::<i64>(bytes);
    reads_as_bincode_does::<(u8, i128, bool, f64)>(bytes);
    reads_as_bincode_does::<(u64, char, f32)>(bytes);
}

#[test]
fn numbers_have_the_bytes_that_bincode_gives_them() {
    let edges = (0..64).flat_map(|bits| [1_u64 << bits, (1 << bits) - 1, (1 << bits) + 1]);
    for number in edges.chain([249, 250, 251, 252, 253, 254, u64::MAX]) {
        has_bincodes_bytes(&(
            number as u8,
            number as u16,
            number as u32,
            number,
            number as usize,
        ));
        let signed = number as i64;
        has_bincodes_bytes(&(
            signed as i8,
            signed as i16,
            signed as i32,
            signed,
            signed as isize,
        ));
        for record in [encoded(&number), encoded(&signed)] {
            (0..=record.len())
                .for_each(|length| numbers_are_read_as_bincode_does(&record[..length]));
        }
    }
    for marker in 0..=255 {
        for length in 1..18 {
            numbers_are_read_as_bincode_does(
                &[[marker; 1].as_slice(), &[7; 17]].concat()[..length],
            );
        }
    }
}

proptest::proptest! {
    #[test]
    fn all_has_the_bytes_that_bincode_gives_it(bits: u128, shift in 0_u32..128, text: String) {
        let record = everything(bits, shift, text);
        has_bincodes_bytes(&record);
        carries(record);
    }

    #[test]
    fn damaged_bytes_are_read_as_bincode_reads_them(
        bits: u128, shift in 0_u32..128, text: String, at: proptest::sample::Index, damaged: u8, cut: bool,
    ) {
        let mut bytes = encoded(&everything(bits, shift, text));
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] = damaged;
        }
        let decoded = decode_prefix::<Everything>(&mut bytes.as_slice());
        let expected = bincode::serde::decode_from_slice::<Everything, _>(&bytes, LIMITED);
        assert_eq!(decoded.is_ok(), expected.is_ok());
        if let Ok((expected, _)) = expected {
            // Compare bytes and not values, because a value may be NaN.
            assert_eq!(decoded.map(|record| encoded(&record)).ok(), Some(encoded(&expected)));
        }
        numbers_are_read_as_bincode_does(&bytes);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes: Vec<u8>) {
        let _ = decode::<Vec<(u64, Option<char>)>>(&bytes);
        let _ = decode::<Shape>(&bytes);
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Named {
    name: &'static str,
    alias: Option<Cow<'static, str>>,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Plain,
    Text(&'static str),
    Both { bytes: &'static [u8], count: u32 },
}

#[test]
fn types_that_must_borrow_leak_each_text_once() {
    carries("a text");
    carries(("a", 1, String::from("b")));
    carries(vec!["", "a", "a"]);
    for kind in [
        Kind::Plain,
        Kind::Text("t"),
        Kind::Both {
            bytes: b"b",
            count: 3,
        },
    ] {
        carries(Named {
            name: "n",
            alias: Some(Cow::Borrowed("m")),
            kind,
        });
    }
    let mut bytes = Vec::new();
    encode_own("once", &mut bytes).unwrap();
    let first: &'static str = decode(&bytes).unwrap();
    let second: &'static str = decode(&bytes.clone()).unwrap();
    assert_eq!(first, "once");
    assert!(std::ptr::eq(first, second));
    let mut bytes = Vec::new();
    encode_into(
        &Kind::Both {
            bytes: b"once",
            count: 1,
        },
        &mut bytes,
    )
    .unwrap();
    let [first, second] = [(); 2].map(|()| match decode(&bytes).unwrap() {
        Kind::Both { bytes, .. } => bytes,
        _ => b"",
    });
    assert_eq!(first, b"once");
    assert!(std::ptr::eq(first, second));
}

#[test]
fn what_cannot_be_read_says_why_the_first_time() {
    let error = decode::<&'static str>(&[5, b'a']).unwrap_err();
    assert!(error.to_string().contains("&str"), "{error}");
    assert!(decode::<&'static str>(&[2, 0xff, 0xfe]).is_err());
    assert!(decode::<Vec<&'static str>>(&[1, 1, b'a', 7]).is_err());
}
