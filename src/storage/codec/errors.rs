//! Errors from another process are decoded unchanged.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use super::*;
use crate::error::intern;

fn context() -> ErrorContext {
    ErrorContext {
        stage: Some(2),
        operator: Some("try_map"),
        location: Some(std::panic::Location::caller().into()),
        partition: Some(7),
        task: Some(8),
        key: Some("a key".to_owned()),
        path: Some("/data/päth".into()),
        offset: Some(1 << 40),
        line: Some(9),
        record: Some(1 << 41),
    }
}

/// An error with a cause that has a cause.
fn nested() -> Box<dyn std::error::Error + Send + Sync> {
    let full = io::Error::from_raw_os_error(28);
    Box::new(Error::io("write", Path::new("out"), full))
}

/// Returns one error of each kind. The `match` fails to compile if a kind is missing.
#[expect(clippy::too_many_lines, reason = "one for each kind")]
fn all_kinds() -> Vec<ErrorKind> {
    use ErrorKind as K;
    let path = || PathBuf::from("dir/file");
    let text = || "what was given".to_owned();
    let kinds = vec![
        K::Io {
            operation: "open",
            path: path(),
            offset: Some(9),
            source: io::Error::from_raw_os_error(2),
            context: context(),
        },
        K::UnknownScheme {
            path: path(),
            scheme: text(),
            known: vec![text()],
            context: context(),
        },
        K::NoInput {
            pattern: text(),
            context: ErrorContext::default(),
        },
        K::InvalidPattern {
            pattern: text(),
            reason: "why".to_owned(),
        },
        K::InvalidUtf8 {
            path: path(),
            offset: 9,
            context: context(),
        },
        K::LineTooLong {
            path: path(),
            offset: 9,
            limit_bytes: 10,
            context: context(),
        },
        K::InputChanged {
            path: path(),
            context: context(),
        },
        K::InputDiffers {
            path: path(),
            planned_bytes: 5,
            found_bytes: Some(6),
            context: context(),
        },
        K::StreamReadTwice {
            path: path(),
            context: context(),
        },
        K::UnsupportedFormat {
            path: path(),
            format: "zip",
            context: context(),
        },
        K::OutputExists {
            path: path(),
            is_appended: true,
            context: context(),
        },
        K::NotAnOutput {
            path: path(),
            found: path(),
            context: context(),
        },
        K::InvalidBag {
            path: path(),
            offset: Some(9),
            reason: text(),
            context: context(),
        },
        K::WrongRecordType {
            path: path(),
            saved: "u64".to_owned(),
            requested: text(),
            context: context(),
        },
        K::UnsupportedVersion {
            path: path(),
            version: 3,
            supported: 2,
            context: context(),
        },
        K::InvalidSetting {
            setting: "HOLDALL_THREADS",
            value: text(),
            expected: "a number",
        },
        K::TaskPanicked {
            context: context(),
            message: text(),
        },
        K::Closure {
            context: context(),
            source: nested(),
        },
        K::Read {
            context: context(),
            source: io::Error::new(io::ErrorKind::InvalidData, nested()).into(),
        },
        K::Write {
            context: context(),
            source: io::Error::from_raw_os_error(28).into(),
        },
        K::Engine {
            context: context(),
            source: text().into(),
        },
        K::MissingPartition {
            context: context(),
            reason: text(),
        },
        K::Threads(io::Error::new(io::ErrorKind::WouldBlock, "no more threads")),
        K::NestedJob,
        K::Codec {
            context: ErrorContext::default(),
            type_name: "alloc::string::String",
            reason: text(),
        },
        K::CorruptRun {
            path: path(),
            offset: 11,
            reason: "it is missing",
        },
        K::MapOutputLost,
        K::HomeLost {
            home: text(),
            reason: text(),
        },
        K::RecordTooLong {
            bytes: usize::MAX,
            limit_bytes: 12,
            context: context(),
        },
        K::DiskFull {
            context: context(),
            path: path(),
            needed_bytes: 13,
            source: io::ErrorKind::StorageFull.into(),
        },
        K::QuotaExceeded {
            context: context(),
            path: path(),
            needed_bytes: 14,
            quota_bytes: 15,
        },
        K::BudgetTooSmall {
            needed_bytes: 16,
            budget_bytes: 17,
        },
        K::BroadcastTooLarge {
            context: context(),
            budget_bytes: 18,
        },
        K::Cancelled,
        K::DeadlineExceeded {
            context: context(),
            elapsed: std::time::Duration::from_millis(18),
        },
        K::CapturingClosure { context: context() },
        K::NotPortable {
            context: context(),
            reason: text(),
        },
        K::WorkerLost {
            worker: 3,
            cause: "killed by signal 9".to_owned(),
        },
        K::WorkerStart { reason: text() },
        K::Cluster {
            address: text(),
            reason: text(),
        },
        K::StatusPage {
            address: text(),
            source: io::Error::from_raw_os_error(98),
        },
        K::NoInit,
        K::TooManyAttempts {
            context: context(),
            attempts: 4,
            last: Box::new(Error::new(K::NestedJob)),
        },
        K::NotRepeatable { context: context() },
        K::InvalidGraph {
            context: context(),
            reason: text(),
        },
        K::ProgramFailed {
            context: context(),
            program: text(),
            code: Some(2),
            status: text(),
            stderr: text(),
        },
        K::LengthMismatch {
            context: context(),
            left: 3,
            right: 5,
        },
        K::TooManyBadRecords {
            name: text(),
            limit: 3,
            example: text(),
        },
        K::Other { source: nested() },
        K::Internal { reason: text() },
    ];
    for kind in &kinds {
        match kind {
            K::Io { .. }
            | K::UnknownScheme { .. }
            | K::NoInput { .. }
            | K::InvalidPattern { .. }
            | K::InvalidUtf8 { .. }
            | K::LineTooLong { .. }
            | K::InputChanged { .. }
            | K::InputDiffers { .. }
            | K::StreamReadTwice { .. }
            | K::UnsupportedFormat { .. }
            | K::OutputExists { .. }
            | K::NotAnOutput { .. }
            | K::InvalidBag { .. }
            | K::WrongRecordType { .. }
            | K::UnsupportedVersion { .. }
            | K::InvalidSetting { .. }
            | K::TaskPanicked { .. }
            | K::Closure { .. }
            | K::TooManyBadRecords { .. }
            | K::Read { .. }
            | K::Write { .. }
            | K::Engine { .. }
            | K::MissingPartition { .. }
            | K::StatusPage { .. }
            | K::Threads(_)
            | K::NestedJob
            | K::Codec { .. }
            | K::CorruptRun { .. }
            | K::MapOutputLost
            | K::HomeLost { .. }
            | K::RecordTooLong { .. }
            | K::DiskFull { .. }
            | K::QuotaExceeded { .. }
            | K::BudgetTooSmall { .. }
            | K::BroadcastTooLarge { .. }
            | K::Cancelled
            | K::DeadlineExceeded { .. }
            | K::CapturingClosure { .. }
            | K::NotPortable { .. }
            | K::WorkerLost { .. }
            | K::WorkerStart { .. }
            | K::Cluster { .. }
            | K::NoInit
            | K::TooManyAttempts { .. }
            | K::NotRepeatable { .. }
            | K::InvalidGraph { .. }
            | K::LengthMismatch { .. }
            | K::ProgramFailed { .. }
            | K::Other { .. }
            | K::Internal { .. } => {}
        }
    }
    kinds
}

fn sent(error: &Error) -> Error {
    let mut bytes = Vec::new();
    encode_own(error, &mut bytes).unwrap();
    decode(&bytes).unwrap()
}

/// Returns the messages of an error and of its causes.
fn sentences(error: &Error) -> Vec<String> {
    let mut sentences = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        sentences.push(error.to_string());
        cause = error.source();
    }
    sentences
}

#[test]
fn every_kind_comes_back_with_its_sentence_its_causes_and_its_place() {
    for kind in all_kinds() {
        let error = Error::new(kind);
        let back = sent(&error);
        assert_eq!(
            std::mem::discriminant(back.kind()),
            std::mem::discriminant(error.kind())
        );
        assert_eq!(sentences(&back), sentences(&error));
        assert_eq!(back.context(), error.context());
        // Causes whose type is lost must at least format the same after a second round.
        assert_eq!(format!("{:?}", sent(&back)), format!("{back:?}"));
    }
}

#[test]
fn what_the_system_said_comes_back_as_a_number() {
    let error = Error::io("read", Path::new("f"), io::Error::from_raw_os_error(13));
    let ErrorKind::Io { source, .. } = sent(&error).into_kind() else {
        panic!("the kind is kept");
    };
    assert_eq!(source.raw_os_error(), Some(13));
    let timeout = io::Error::new(io::ErrorKind::TimedOut, "too slow");
    let ErrorKind::Threads(source) = sent(&Error::new(ErrorKind::Threads(timeout))).into_kind()
    else {
        panic!("the kind is kept");
    };
    assert_eq!(source.kind(), io::ErrorKind::TimedOut);
}

#[cfg(unix)]
#[test]
fn a_path_need_not_be_unicode() {
    use std::os::unix::ffi::OsStringExt;
    let path = PathBuf::from(std::ffi::OsString::from_vec(b"a\xff/b".to_vec()));
    let error = Error::new(ErrorKind::OutputExists {
        path: path.clone(),
        is_appended: false,
        context: context(),
    });
    let ErrorKind::OutputExists { path: back, .. } = sent(&error).into_kind() else {
        panic!("the kind is kept");
    };
    assert_eq!(back, path);
}

#[test]
fn the_same_text_is_interned_once() {
    let text = "a text that no other test interns".to_owned();
    let first = intern(&text);
    assert_eq!(first, text);
    assert!(std::ptr::eq(first, intern(&text)));
}
