//! Each kind of error as a sentence for the user.

use std::fmt;

use super::{ErrorKind, UTF_16, UTF_32};

impl fmt::Display for ErrorKind {
    #[expect(clippy::too_many_lines, reason = "one arm for each kind")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io {
                operation,
                path,
                source,
            } => write!(f, "cannot {operation} {}: {source}", path.display()),
            Self::NoInput { pattern } => {
                write!(f, "no input file at {pattern}{}", hint_at(pattern))
            }
            Self::InvalidPattern { pattern, reason } => {
                write!(f, "invalid file name pattern {pattern}: {reason}")
            }
            Self::InvalidUtf8 { path, offset } => {
                write!(f, "{}: invalid UTF-8 at byte {offset}", path.display())
            }
            Self::LineTooLong {
                path,
                offset,
                limit_bytes,
            } => write!(
                f,
                "{}: the line at byte {offset} is longer than the limit of {limit_bytes} bytes",
                path.display()
            ),
            Self::InputChanged { path } => write!(
                f,
                "cannot read {}: it has changed since the bag was created; \
                 create the bag again, or read a copy of the file",
                path.display()
            ),
            Self::StreamReadTwice { path } => write!(
                f,
                "cannot read {} a second time: a pipe or device gives its content once; \
                 call `persist` on the bag before the first action, and use what that returns",
                path.display()
            ),
            Self::UnsupportedFormat { path, format } => write!(
                f,
                "{}: cannot read {format} files{}",
                path.display(),
                advice_on(format)
            ),
            Self::OutputExists { path } => write!(f, "{} exists already", path.display()),
            Self::NotAnOutput { path, found } => write!(
                f,
                "{} is not replaced: {} is in it, which is no part of an output",
                path.display(),
                found.display()
            ),
            Self::InvalidSetting {
                setting,
                value,
                expected,
            } => write!(f, "{setting}: cannot use {value:?}, expected {expected}"),
            Self::TaskPanicked { context, message } => {
                write!(f, "a closure panicked{context}: {message}")
            }
            Self::Closure { context, source } => write!(f, "a closure failed{context}: {source}"),
            Self::Threads(source) => write!(f, "cannot start threads: {source}"),
            Self::NestedJob => f.write_str(
                "an action was called inside a closure of a running job; \
                 run it before, and hand its result to the closure",
            ),
            Self::Codec {
                context,
                type_name,
                reason,
            } => write!(
                f,
                "cannot store records of type {type_name}{context}: {reason}"
            ),
            Self::CorruptRun {
                path,
                offset,
                reason,
            } => write!(
                f,
                "{}: damaged frame at byte {offset}: {reason}",
                path.display()
            ),
            Self::RecordTooLong { bytes, limit_bytes } => write!(
                f,
                "a record of {bytes} bytes is longer than the limit of {limit_bytes} bytes"
            ),
            Self::DiskFull {
                context,
                path,
                needed_bytes: 0,
                source,
            } => write!(
                f,
                "no room on the disk for {}{context}: {source}",
                path.display()
            ),
            Self::DiskFull {
                context,
                path,
                needed_bytes,
                source,
            } => write!(
                f,
                "no room on the disk for {needed_bytes} more bytes of {}{context}: {source}",
                path.display()
            ),
            Self::QuotaExceeded {
                context,
                path,
                needed_bytes,
                quota_bytes,
            } => write!(
                f,
                "{needed_bytes} more bytes of {} would exceed the limit of {quota_bytes} bytes for scratch files{context}",
                path.display()
            ),
            Self::BudgetTooSmall {
                needed_bytes,
                budget_bytes,
            } => write!(
                f,
                "the memory budget of {budget_bytes} bytes is too small: this job needs {needed_bytes}"
            ),
            Self::BroadcastTooLarge { budget_bytes } => write!(
                f,
                "the bag to be broadcast does not fit into half of the memory budget of {budget_bytes} bytes; \
                 join without broadcasting it"
            ),
            Self::Cancelled => f.write_str("the job was cancelled"),
            Self::CapturingClosure { context } => {
                let operator = context.operator.unwrap_or("a method");
                write!(f, "the closure of {operator}")?;
                if let Some(location) = context.location {
                    write!(f, " at {location}")?;
                }
                f.write_str(
                    " captures variables or is a function pointer, which cannot be sent to a worker process; \
                     hand it what it needs by `with` before the method, or run on threads",
                )
            }
            Self::NotPortable { context, reason } => {
                write!(f, "cannot be sent to a worker process{context}: {reason}")
            }
            Self::WorkerLost { worker, cause } => write!(f, "worker {worker} is lost: {cause}"),
            Self::WorkerStart { reason } => write!(f, "cannot start a worker process: {reason}"),
            Self::NoInit => f.write_str(
                "worker processes are asked for, but `main` does not begin with `holdall::init()`; \
                 call it there, or run on threads; its docs say how it is done in tests",
            ),
            Self::MapOutputLost => f.write_str("what an earlier stage had left is gone"),
            Self::TooManyAttempts {
                context,
                attempts,
                last,
            } => write!(
                f,
                "a task failed {attempts} times{context}, at last: {last}"
            ),
            Self::NotRepeatable { context } => write!(
                f,
                "the bag gave other records than before when it was computed again{context}: its input has changed, or a \
                 closure does not return the same records each time; call `persist` on the bag first"
            ),
            Self::Other { source } => source.fmt(f),
            Self::Internal { reason } => {
                write!(
                    f,
                    "internal error: {reason}; please report this to the authors of holdall"
                )
            }
        }
    }
}

/// What to do with a file in a format that cannot be read.
fn advice_on(format: &str) -> &'static str {
    match format {
        UTF_16 | UTF_32 => " as text; convert it to UTF-8, or read its bytes by `read_bytes`",
        "tar" | "zip" | "7z" | "rar" | "cpio" => "; extract their content first",
        "Parquet" | "ORC" | "Avro" | "Arrow" | "SQLite" | "Hadoop sequence" => {
            "; convert them to lines of text first"
        }
        "doubly compressed" => "; decompress them once first",
        _ => "",
    }
}

/// What to do about a path that names no file, if it has something of a shell or of another system.
fn hint_at(path: &str) -> &'static str {
    if path == "-" {
        "; standard input is `/dev/stdin`"
    } else if path.starts_with('~') {
        "; `~` is not replaced, give the path of the home directory"
    } else if path.contains("://") {
        "; a path is needed, not a URL"
    } else if path.contains('{') && path.contains('}') {
        "; alternatives in braces are not replaced, give a list of paths"
    } else if path.contains(',') {
        "; several paths are given as a list, not with commas between them"
    } else if path.contains('$') {
        "; variables are not replaced"
    } else if path.contains("\\*") || path.contains("\\?") || path.contains("\\[") {
        "; a backslash takes no meaning away, write `[*]`, `[?]` or `[[]`"
    } else {
        ""
    }
}
