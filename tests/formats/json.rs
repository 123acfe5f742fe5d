//! JSON lines: read, written, and their errors, on every executor.

use std::fs;

use holdall::{BadRecords, ErrorKind, JsonError, JsonWriter, TextReader};
use serde::{Deserialize, Serialize};

use crate::common::{Files, on_every_executor_and_processes};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Visit {
    user: String,
    #[serde(default)]
    pages: Option<u32>,
    tags: Vec<String>,
}

fn visit(n: u32) -> Visit {
    Visit {
        user: format!("user \"{n}\"\n\u{e9}"),
        pages: (!n.is_multiple_of(3)).then_some(n),
        tags: (0..n % 3).map(|n| n.to_string()).collect(),
    }
}

#[test]
fn what_is_written_is_what_is_read() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let output = files.path("out");
        let visits = context.range_partitioned(0..1_000_u32, 7).map(visit);
        let written = visits.write_json(&output).unwrap();
        assert_eq!((written.records, written.files.len()), (1_000, 7));
        assert_eq!(written.files[6], output.join("part-00006.jsonl"));
        let text = fs::read_to_string(&written.files[0]).unwrap();
        assert_eq!(
            text.lines().next(),
            Some(r#"{"user":"user \"0\"\né","pages":null,"tags":[]}"#)
        );
        let expected: Vec<_> = (0..1_000).map(visit).collect();
        assert_eq!(
            context
                .read_json::<Visit>(&output)
                .unwrap()
                .collect()
                .unwrap(),
            expected
        );

        let text: String = written
            .files
            .iter()
            .map(|file| fs::read_to_string(file).unwrap())
            .collect();
        let path = files.write_gzip("all.gz", &[text.replace('\n', "\r\n\r\n").as_bytes()]);
        assert_eq!(
            context
                .read_json::<Visit>(&path)
                .unwrap()
                .collect()
                .unwrap(),
            expected
        );
        let reader = TextReader::new().context(context).partition_bytes(100);
        let path = files.write("all", &text);
        let lines = reader.read(&path).unwrap();
        assert!(lines.partitions().unwrap() > 100);
        assert_eq!(lines.parse_json::<Visit>().collect().unwrap(), expected);
        assert_eq!(
            reader
                .read_bytes(&path)
                .unwrap()
                .parse_json::<Visit>()
                .count()
                .unwrap(),
            1_000
        );
    });
}

#[test]
fn an_output_is_replaced_on_request() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let output = files.path("out");
        let visits = context.range_partitioned(0..10_u32, 7).map(visit);
        visits.write_json(&output).unwrap();
        let error = visits.write_json(&output).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::OutputExists { .. }),
            "{error}"
        );
        let few = context.range_partitioned(0..3_u32, 2).map(visit);
        JsonWriter::new()
            .overwrite(true)
            .write(&few, &output)
            .unwrap();
        assert_eq!(
            context
                .read_json::<Visit>(&output)
                .unwrap()
                .count()
                .unwrap(),
            3
        );
    });
}

#[test]
fn errors_have_their_place() {
    on_every_executor_and_processes(|context| {
        let files = Files::new();
        let path = files.write(
            "a",
            "{\"user\":\"a\",\"tags\":[]}\n\n{\"user\":7,\"tags\":[]}\n{\"user\n",
        );
        let visits = context.read_json::<Visit>(&path).unwrap();
        let error = visits.count().unwrap_err();
        let place = error.context().unwrap();
        assert_eq!(
            (place.line, place.offset, place.operator),
            (Some(3), Some(24), Some("read_json"))
        );
        let message = error.to_string();
        assert!(
            message.starts_with("cannot parse a record in read_json at "),
            "{message}"
        );
        assert!(
            error
                .to_string()
                .ends_with("invalid type: integer `7`, expected a string at column 9"),
            "{error}"
        );
        let bad = BadRecords::new("bad lines");
        let lines = context.read_text(&path).unwrap();
        assert_eq!(lines.parse_json_or_skip::<Visit>(&bad).count().unwrap(), 1);
        let samples = bad.samples();
        let found: Vec<_> = samples
            .iter()
            .map(|bad| (bad.line.unwrap(), bad.text.as_deref().unwrap()))
            .collect();
        assert_eq!(found, [(3, "{\"user\":7,\"tags\":[]}"), (4, "{\"user")]);
    });
    let numbers = holdall::from_vec(vec!["x".to_owned()]).parse_json::<u32>();
    let ErrorKind::Closure { source, .. } = numbers.collect().unwrap_err().into_kind() else {
        panic!("the text is no JSON");
    };
    assert_eq!(source.downcast_ref::<JsonError>().unwrap().column(), 1);
}
