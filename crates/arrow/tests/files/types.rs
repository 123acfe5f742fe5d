//! Types of fields, and what serde attributes do.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int8Array, Int32Array, RecordBatch, StructArray,
    TimestampMillisecondArray,
};
use holdall::Context;
use holdall_arrow::arrow_schema::{DataType, Field, Schema, TimeUnit};
use holdall_arrow::{ArrowContext, ParquetWriter};
use holdall_arrow::{ArrowWriter, from_batch, schema_of};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Small,
    Large,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i8,
    y: Option<i16>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Id(u64);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    flag: bool,
    integers: (i8, i16, i32, i64),
    unsigned: (u8, u16, u32, u64),
    floats: (f32, f64),
    character: char,
    text: String,
    id: Id,
    kind: Kind,
    maybe_kind: Option<Kind>,
    point: Point,
    points: Vec<Point>,
    maybe: Option<Vec<Option<String>>>,
    map: BTreeMap<String, i32>,
}

fn everything(n: u32) -> Everything {
    let signed = i64::from(n) - 50;
    let point = |n: u32| Point {
        x: i8::try_from(n % 100).unwrap(),
        y: n.is_multiple_of(2).then_some(-3),
    };
    Everything {
        flag: n.is_multiple_of(2),
        integers: (i8::MIN, i16::MIN, i32::MIN, i64::MIN + signed.abs()),
        unsigned: (u8::MAX, u16::MAX, u32::MAX, u64::MAX - u64::from(n)),
        floats: (0.5, f64::from(n) / 3.0),
        character: 'é',
        text: "x".repeat(n as usize % 5),
        id: Id(n.into()),
        kind: if n.is_multiple_of(3) {
            Kind::Small
        } else {
            Kind::Large
        },
        maybe_kind: n.is_multiple_of(4).then_some(Kind::Large),
        point: point(n),
        points: (0..n % 4).map(point).collect(),
        maybe: n.is_multiple_of(5).then(|| vec![None, Some(n.to_string())]),
        map: (0..i32::try_from(n % 3).unwrap())
            .map(|n| (n.to_string(), n))
            .collect(),
    }
}

fn round_trip<T, U>(records: Vec<T>) -> [Vec<U>; 2]
where
    T: Clone + Serialize + DeserializeOwned + Send + Sync + 'static,
    U: Serialize + DeserializeOwned + Send + Debug + 'static,
{
    let files = tempfile::tempdir().unwrap();
    let [parquet, arrow] = ["parquet", "arrow"].map(|name| files.path().join(name));
    let records = holdall::from_vec_partitioned(records, 2);
    ParquetWriter::new().write(&records, &parquet).unwrap();
    ArrowWriter::new().write(&records, &arrow).unwrap();
    let context = Context::default();
    let parquet = context.read_parquet::<U>(&parquet).unwrap().collect();
    [
        parquet.unwrap(),
        context.read_arrow::<U>(&arrow).unwrap().collect().unwrap(),
    ]
}

#[test]
fn every_type_comes_back() {
    let records: Vec<_> = (0..100).map(everything).collect();
    for read in round_trip::<_, Everything>(records.clone()) {
        assert_eq!(read, records);
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Aliased {
    #[serde(alias = "map", alias = "text")]
    name: String,
    flag: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flattened {
    id: u64,
    #[serde(flatten)]
    rest: BTreeMap<String, f64>,
}

#[test]
fn fields_are_found_by_name() {
    #[derive(Clone, Serialize, Deserialize)]
    struct Written {
        map: String,
        flag: bool,
        name: String,
    }
    let written = vec![Written {
        map: "a map".to_owned(),
        flag: true,
        name: "a name".to_owned(),
    }];
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Renamed {
        #[serde(rename = "name")]
        map: String,
        flag: bool,
        #[serde(default)]
        count: u32,
    }
    let expected = Renamed {
        map: "a name".to_owned(),
        flag: true,
        count: 0,
    };
    for read in round_trip::<_, Renamed>(written) {
        assert_eq!(read, std::slice::from_ref(&expected));
    }
    let written = vec![(BTreeMap::from([("map".to_owned(), 1.0)]), true)];
    drop(written);
    #[derive(Clone, Serialize, Deserialize)]
    struct Old {
        flag: bool,
        text: String,
    }
    let old = vec![Old {
        flag: true,
        text: "t".to_owned(),
    }];
    for read in round_trip::<_, Aliased>(old) {
        assert_eq!((read[0].name.as_str(), read[0].flag), ("t", true));
    }
    #[derive(Clone, Serialize, Deserialize)]
    struct Numbers {
        id: u64,
        a: f64,
        b: f64,
    }
    let numbers = vec![Numbers {
        id: 7,
        a: 1.0,
        b: 2.0,
    }];
    for read in round_trip::<_, Flattened>(numbers) {
        let rest = BTreeMap::from([("a".to_owned(), 1.0), ("b".to_owned(), 2.0)]);
        assert_eq!(read, [Flattened { id: 7, rest }]);
    }
}

#[test]
fn time_zones_and_dictionaries_of_numbers_are_read() {
    let times = TimestampMillisecondArray::from(vec![Some(1_709_208_000_500), None]);
    let times: ArrayRef = Arc::new(times.with_timezone("Europe/Paris"));
    let field = Field::new("time", times.data_type().clone(), true);
    let nested = StructArray::from(vec![(Arc::new(field), Arc::clone(&times))]);
    let keys = Int8Array::from(vec![1, 0]);
    let numbers = DictionaryArray::new(keys, Arc::new(Int32Array::from(vec![7, 8])));
    let batch = RecordBatch::try_from_iter([
        ("times", times),
        ("nested", Arc::new(nested)),
        ("numbers", Arc::new(numbers)),
    ]);
    #[derive(Debug, PartialEq, Deserialize)]
    struct Nested {
        time: Option<i64>,
    }
    let rows = from_batch::<(Option<String>, Nested, i32)>(&batch.unwrap()).unwrap();
    let time = |text: &str| Some(text.to_owned());
    let nested = |time| Nested { time };
    assert_eq!(
        rows[0],
        (
            time("2024-02-29T12:00:00.500Z"),
            nested(Some(1_709_208_000_500)),
            8
        )
    );
    assert_eq!(rows[1], (None, nested(None), 7));
}

#[test]
fn a_given_schema_is_written() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("times");
    let time = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let schema = Schema::new(vec![
        Field::new("0", time, false),
        Field::new("1", DataType::Date32, true),
        Field::new("2", DataType::Decimal128(10, 2), false),
    ]);
    let row = ("2024-02-29T12:00:00.5Z", Some("2024-02-29"), "12.5");
    let row = (row.0.to_owned(), row.1.map(str::to_owned), row.2.to_owned());
    let rows = holdall::from_vec(vec![
        row,
        ("1969-12-31T00:00:00Z".to_owned(), None, "-1".to_owned()),
    ]);
    ParquetWriter::new()
        .schema(Arc::new(schema))
        .write(&rows, &path)
        .unwrap();
    let read = Context::default()
        .read_parquet::<(i64, Option<i32>, String)>(&path)
        .unwrap();
    let expected = [
        (1_709_208_000_500, Some(19_782), "12.50".to_owned()),
        (-86_400_000, None, "-1.00".to_owned()),
    ];
    assert_eq!(read.collect().unwrap(), expected);
}

#[test]
fn a_type_without_a_schema_is_an_error() {
    let error = schema_of::<u32>().unwrap_err().to_string();
    assert!(error.starts_with("u32 has no Arrow schema: "), "{error}");
}
