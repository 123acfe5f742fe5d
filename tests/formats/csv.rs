//! CSV: quotes, headers, cuts of every size, errors, and output, on every executor.

use std::collections::BTreeMap;
use std::fs;

use holdall::{BadRecords, Context, CsvError, CsvReader, CsvWriter, ErrorKind};
use serde::{Deserialize, Serialize};

use crate::common::{Files, on_every_executor, on_every_executor_and_processes};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sale {
    shop: String,
    amount: Option<f64>,
    count: u32,
}

fn sale(n: u32) -> Sale {
    let shop = match n % 5 {
        0 => format!("shop {n}"),
        1 => format!("a \"{n}\", b"),
        2 => format!("two\nlines, \"{n}\"\n"),
        3 => format!("\r\n{n}\""),
        _ => String::new(),
    };
    Sale {
        shop,
        amount: (!n.is_multiple_of(3)).then_some(f64::from(n) / 4.0),
        count: n,
    }
}

/// Writes records by hand.
fn text_of(sales: impl Iterator<Item = Sale>, ending: &str) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let amount = |amount: Option<f64>| amount.map_or(String::new(), |amount| amount.to_string());
    sales
        .map(|sale| {
            let shop = match sale.shop.contains(['"', '\n', ',', '\r']) {
                true => quoted(&sale.shop),
                false => sale.shop,
            };
            format!("{shop},{},{}{ending}", amount(sale.amount), sale.count)
        })
        .collect()
}

fn reader(context: &Context, partition_bytes: u64) -> CsvReader {
    CsvReader::new()
        .context(context)
        .partition_bytes(partition_bytes)
}

#[test]
fn records_are_cut_between_records_only() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let expected: Vec<_> = (0..2_000).map(sale).collect();
        for ending in ["\n", "\r\n"] {
            let text = text_of((0..2_000).map(sale), ending);
            let path = files.write("a.csv", format!("shop,amount,count{ending}{ending}{text}"));
            for partition_bytes in [200, 3_000, 1 << 20] {
                let sales = reader(context, partition_bytes)
                    .read::<Sale>(&path)
                    .unwrap();
                if partition_bytes == 200 {
                    assert!(sales.partitions().unwrap() > 100);
                }
                assert_eq!(sales.collect().unwrap(), expected, "{partition_bytes}");
            }
            let path = files.write("no header", &text);
            let tuples = reader(context, 1_000).has_headers(false);
            let tuples = tuples.read::<(String, Option<f64>, u32)>(&path).unwrap();
            let counts = tuples.map(|(_, _, count)| count).collect().unwrap();
            assert!(counts.into_iter().eq(0..2_000));
            let packed = files.write_gzip("a.gz", &[b"shop,amount,count\n", text.as_bytes()]);
            let sales = reader(context, 1_000).read::<Sale>(&packed).unwrap();
            assert_eq!(sales.collect().unwrap(), expected);
        }
    });
}

/// Cuts at each byte, also within quotes and line ends.
#[test]
fn a_cut_at_any_byte_loses_no_record() {
    on_every_executor(|context| {
        let files = Files::new();
        let text = text_of((0..12).map(sale), "\n");
        let path = files.write("a", text);
        let expected: Vec<_> = (0..12).map(sale).collect();
        for partition_bytes in 1..120 {
            let sales = reader(context, partition_bytes).has_headers(false);
            let sales = sales.read::<Sale>(&path).unwrap().collect().unwrap();
            assert_eq!(sales, expected, "{partition_bytes}");
        }
    });
}

#[test]
fn columns_are_found_by_name() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        files.write(
            "a",
            "\u{feff}count,extra,shop,amount\n1,x,a,2.5\n\n2,\"y\nz\",\"b\"\"\",\n",
        );
        files.write("b", "shop,amount,count\nc,,3\nd,1e3,0x10\n");
        files.write("c", "shop,amount,count\n");
        files.write("d", "");
        files.write("e", "count,shop,amount\n7,g,1");
        let sales = reader(context, 1 << 20).read::<Sale>(files.root()).unwrap();
        assert_eq!(sales.partitions(), Some(1));
        let found = sales
            .map(|sale| (sale.shop, sale.amount, sale.count))
            .collect()
            .unwrap();
        let expected = [
            ("a", Some(2.5), 1),
            ("b\"", None, 2),
            ("c", None, 3),
            ("d", Some(1000.0), 16),
            ("g", Some(1.0), 7),
        ];
        assert_eq!(
            found,
            expected.map(|(shop, amount, count)| (shop.to_owned(), amount, count))
        );
        let path = files.write("f", "a|'b|\n'|1\n");
        let other = reader(context, 1 << 20)
            .has_headers(false)
            .delimiter(b'|')
            .quote(b'\'');
        let rows = other.read::<Vec<String>>(&path).unwrap().collect().unwrap();
        assert_eq!(rows, [["a", "b|\n", "1"]]);
        let plain = reader(context, 1 << 20).has_headers(false).quote(None);
        let path = files.write("g", "\"a,b\"\n");
        assert_eq!(
            plain.read::<Vec<String>>(&path).unwrap().collect().unwrap(),
            [["\"a", "b\""]]
        );
    });
}

#[derive(Debug, Serialize, Deserialize)]
struct SomeColumns {
    code: Option<u32>,
    shop: String,
    #[serde(rename = "Share of all")]
    share: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct AnyValues {
    shop: Value,
    code: Value,
    flag: Value,
}

#[derive(Debug, Serialize, Deserialize)]
struct AllColumns {
    shop: Value,
    code: Value,
    flag: Value,
    #[serde(rename = "Share of all")]
    share: Value,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Value {
    Flag(bool),
    Number(f64),
    Text(String),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOtherColumns {
    code: Option<u32>,
    shop: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Aliased {
    #[serde(alias = "shop")]
    flag: String,
    code: Option<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WithDefault {
    shop: String,
    #[serde(default)]
    price: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Wrapped<T>(T);

/// A row whose columns are shop, code, flag, and share.
fn row(n: u32) -> String {
    let code = match n % 3 {
        0 => String::new(),
        _ => n.to_string(),
    };
    format!("s{n},{code},{},{}.5\n", n.is_multiple_of(2), n % 10)
}

/// The CSV crate alone reads text with quotes. Text without quotes is read in another way, with the same result.
#[test]
fn text_without_quotes_has_the_same_records_as_text_with_quotes() {
    fn read<T>(context: &Context, files: &Files, text: &str) -> String
    where
        T: Serialize + for<'de> Deserialize<'de> + std::fmt::Debug + Send + Sync + 'static,
    {
        let path = files.write("a.csv", text);
        let records = reader(context, 1 << 20).read::<T>(path).unwrap();
        match records.map(|record| format!("{record:?}")).collect() {
            Ok(records) => records.join("\n"),
            Err(error) => error.to_string(),
        }
    }
    on_every_executor(|context| {
        let files = Files::new();
        for odd in [
            "",
            "x,0x10,true,0\n",
            "x,1,true\n",
            "x,,true,a\n",
            "7,8,9,10,11\n",
            "1e3,+5,false,-0\n",
        ] {
            let rows: String = (0..50).map(row).collect();
            let more: String = (50..60).map(row).collect();
            let plain = format!("shop,code,flag,Share of all\n{rows}{odd}{more}q,1,true,0\n");
            let quoted = plain.replace("\nq,", "\n\"q\",");
            for read in [
                read::<SomeColumns>,
                read::<AnyValues>,
                read::<AllColumns>,
                read::<NoOtherColumns>,
                read::<Aliased>,
                read::<WithDefault>,
                read::<(String, Option<u32>, bool, f64)>,
                read::<Vec<String>>,
                read::<(String, Option<u32>)>,
                read::<Wrapped<SomeColumns>>,
                read::<Wrapped<(String, Option<f64>)>>,
                read::<BTreeMap<String, String>>,
            ] {
                let expected = read(context, &files, &quoted);
                assert_eq!(read(context, &files, &plain), expected, "{odd:?}");
            }
        }
    });
}

#[test]
fn errors_name_the_line_and_the_field() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        for (text, line, offset, reason) in [
            (
                "a,1,2\nb,x,3\n",
                3,
                24,
                "field 2 (amount): invalid float literal",
            ),
            (
                "\"a\n\",1,2\r\n\"b\",1,-3\n",
                4,
                28,
                "field 3 (count): invalid digit found in string",
            ),
            ("a,1\n", 2, 18, "the record has 2 fields, and the header 3"),
            (
                "a,1,2\nb,1,\"3\nc,2,4\n",
                3,
                24,
                "a quote that is not closed before the end of the file",
            ),
            (
                "\"a\",1,2,3\n",
                2,
                18,
                "the record has 4 fields, and the header 3",
            ),
        ] {
            let path = files.write("a", format!("shop,amount,count\n{text}"));
            let sales = reader(context, 1 << 20).read::<Sale>(&path).unwrap();
            let error = sales.collect().unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Read { .. }), "{error}");
            let place = error.context().unwrap();
            assert_eq!(
                (place.line, place.offset),
                (Some(line), Some(offset)),
                "{error}"
            );
            assert!(error.to_string().ends_with(reason), "{error}");
        }
    });
}

#[test]
fn bad_records_are_skipped() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = files.write("a", "shop,amount,count\na,1,2\n\"b\nb\",x,3\nc\nd,,4\n");
        for partition_bytes in [10, 1 << 20] {
            let bad = BadRecords::new("bad sales");
            let sales = reader(context, partition_bytes)
                .bad_records(&bad)
                .read::<Sale>(&path)
                .unwrap();
            assert_eq!(sales.map(|sale| sale.count).collect().unwrap(), [2, 4]);
            let samples = bad.samples();
            let found: Vec<_> = samples
                .iter()
                .map(|bad| (bad.line.unwrap(), bad.text.as_deref().unwrap()))
                .collect();
            assert_eq!(found, [(3, "\"b\nb\",x,3"), (5, "c")]);
        }
        let sales = reader(context, 10).read::<Sale>(&path).unwrap();
        files.write("a", "changed");
        let error = sales.count().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InputChanged { .. }),
            "{error}"
        );
    });
}

#[test]
fn records_that_are_too_long_or_not_closed_are_bad() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let long = "x".repeat(600_000);
        let lines = [
            "shop,amount,count",
            "a,1,1",
            "bbbbbbbbbbbbb,1,2",
            "\"c\",1,3",
            "\"dddddd\nddddd\",1,4",
            &format!("{long},1,5"),
            "e,1,6",
            "f,1,\"7",
            "g,1,8",
        ];
        let path = files.write("a", lines.join("\n"));
        let bad = BadRecords::new("bad sales");
        let sales = reader(context, 1 << 20).max_record_bytes(17_u64);
        let error = sales.read::<Sale>(&path).unwrap().count().unwrap_err();
        assert!(error.to_string().contains("line 5 byte"), "{error}");
        assert!(
            error.to_string().ends_with("the limit of 17 bytes"),
            "{error}"
        );
        let sales = sales.bad_records(&bad).read::<Sale>(&path).unwrap();
        assert_eq!(
            sales.map(|sale| sale.count).collect().unwrap(),
            [1, 2, 3, 6]
        );
        let samples = bad.samples();
        let found: Vec<_> = samples.iter().map(|bad| bad.line.unwrap()).collect();
        assert_eq!(found, [5, 7, 9]);
        assert_eq!(samples[2].text.as_deref(), Some("f,1,\"7\ng,1,8"));
    });
}

#[test]
fn a_header_that_cannot_be_read_is_an_error() {
    let files = Files::new();
    let context = Context::default();
    let utf_16: Vec<u8> = "shop,amount,count\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (text, reason) in [
        (
            "shop,amount, count\na,1,2\n".as_bytes(),
            "missing field `count`; the columns are \"shop\", \"amount\", \" count\"",
        ),
        (
            b"shop,\"amount,count\na,1,2\n",
            "a quote that is not closed before the end of the file",
        ),
        (&utf_16, "cannot read UTF-16 files as text"),
    ] {
        let path = files.write("a", text);
        let sales = context.read_csv::<Sale>(&path).unwrap();
        let error = sales.count().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        let bad = BadRecords::new("bad sales");
        let sales = CsvReader::new()
            .bad_records(&bad)
            .read::<Sale>(&path)
            .unwrap();
        assert_eq!((sales.count().unwrap(), bad.count()), (0, 1), "{reason}");
    }
}

#[test]
fn a_byte_order_mark_before_a_quote_is_no_part_of_it() {
    let files = Files::new();
    let path = files.write("a", "\u{feff}\"shop\",amount,count\n\"a\n,1,\",1,2\n");
    for partition_bytes in [1, 7, 20] {
        let sales = reader(&Context::default(), partition_bytes).read::<Sale>(&path);
        assert_eq!(
            sales.unwrap().map(|sale| sale.count).collect().unwrap(),
            [2]
        );
    }
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let files = Files::new();
    let rows = Context::default().from_vec_partitioned(vec![vec![1, 2], vec![3]], 1);
    for (delimiter, reason) in [
        (b'"', "a byte other than the quote and the ends of lines"),
        (b'\n', "a byte other than the quote and the ends of lines"),
        (
            b';',
            "the record has 1 fields, and the first one of its file has 2",
        ),
    ] {
        let writer = CsvWriter::new().delimiter(delimiter);
        let error = writer.write(&rows, files.path("out")).unwrap_err();
        assert!(error.to_string().ends_with(reason), "{error}");
    }
}

#[test]
fn an_error_has_the_field_and_the_column() {
    let files = Files::new();
    let path = files.write("a", "count\nx\n");
    let error = Context::default()
        .read_csv::<(u32,)>(&path)
        .unwrap()
        .count()
        .unwrap_err();
    let ErrorKind::Read { source, .. } = error.into_kind() else {
        panic!("the record is bad");
    };
    let source = source.downcast_ref::<CsvError>();
    let named = source.map(|error| (error.field(), error.column()));
    assert_eq!(named, Some((Some(1), Some("count"))));
}

#[test]
fn a_cut_that_cannot_be_known_is_an_error() {
    on_every_executor(|context| {
        let files = Files::new();
        // A field of many lines without quotes: from its middle, it looks like records.
        let long = "x,1,2\n".repeat(50_000);
        let text = format!("a,1,2\n\"{long}\",1,2\nb,1,2\n");
        let path = files.write("a", &text);
        let read = |partition_bytes| {
            reader(context, partition_bytes)
                .has_headers(false)
                .read::<Sale>(&path)
                .unwrap()
        };
        let error = read(100_000).count().unwrap_err().to_string();
        assert!(error.contains("cut within quotes"), "{error}");
        assert_eq!(read(1 << 20).count().unwrap(), 3);
        let short = reader(context, 1 << 20)
            .has_headers(false)
            .max_record_bytes(1_000);
        let error = short
            .read::<Sale>(&path)
            .unwrap()
            .count()
            .unwrap_err()
            .to_string();
        assert!(error.contains("longer than the limit"), "{error}");
    });
}

#[test]
fn what_is_written_is_what_is_read() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let output = files.path("out");
        let sales = context.range_partitioned(0..500_u32, 3).map(sale);
        let written = CsvWriter::new().write(&sales, &output).unwrap();
        assert_eq!((written.records, written.files.len()), (500, 3));
        assert_eq!(written.files[2], output.join("part-00002.csv"));
        let text = fs::read_to_string(&written.files[0]).unwrap();
        assert!(
            text.starts_with("shop,amount,count\nshop 0,,0\n\"a \"\"1\"\", b\",0.25,1\n"),
            "{text}"
        );
        let back = reader(context, 100)
            .read::<Sale>(&output)
            .unwrap()
            .collect()
            .unwrap();
        assert!(back.into_iter().eq((0..500).map(sale)));
        let tabs = CsvWriter::new().delimiter(b'\t').has_headers(false);
        let tabs = tabs
            .write(
                &sales.map(|sale| (sale.count, sale.shop)),
                files.path("tabs"),
            )
            .unwrap();
        let text = fs::read_to_string(&tabs.files[0]).unwrap();
        assert!(
            text.starts_with("0\tshop 0\n1\t\"a \"\"1\"\", b\"\n"),
            "{text}"
        );
    });
}
