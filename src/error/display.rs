//! Formats each kind of error as a message for the user.

use std::fmt;

use super::bytes::{format_bytes, format_pair};
use super::{ErrorKind, UTF_16, UTF_32};

impl fmt::Display for ErrorKind {
    #[expect(clippy::too_many_lines, reason = "one arm for each kind")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io {
                operation,
                path,
                offset,
                source,
                context,
            } => {
                write!(f, "cannot {operation} {}", path.display())?;
                if let Some(offset) = offset {
                    write!(f, " at byte {offset}")?;
                }
                write!(f, "{context}: {source}")
            }
            Self::UnknownScheme {
                path,
                scheme,
                known,
                context,
            } => {
                write!(
                    f,
                    "cannot use {}{context}: the context has no file system for {scheme}://, only for file://",
                    path.display()
                )?;
                known.iter().try_for_each(|known| write!(f, ", {known}://"))?;
                write!(
                    f,
                    "; add it by `ContextBuilder::file_system(\"{scheme}\", …)`, \
                     or write `./` before the path of a local file"
                )
            }
            Self::NoInput { pattern, context } => {
                write!(f, "no input file at {pattern}{context}{}", hint_at(pattern))
            }
            Self::InvalidPattern { pattern, reason } => {
                write!(f, "invalid file name pattern {pattern}: {reason}")
            }
            Self::InvalidUtf8 {
                path,
                offset,
                context,
            } => write!(
                f,
                "{}: invalid UTF-8 at byte {offset}{context}",
                path.display()
            ),
            Self::LineTooLong {
                path,
                offset,
                limit_bytes,
                context,
            } => write!(
                f,
                "{}: the line at byte {offset} is longer than the limit of {limit_bytes} bytes{context}",
                path.display()
            ),
            Self::InputChanged { path, context } => write!(
                f,
                "cannot read {}{context}: it has changed since the bag was created; \
                 create the bag again, or read a copy of the file",
                path.display()
            ),
            Self::InputDiffers {
                path,
                planned_bytes,
                found_bytes,
                context,
            } => {
                write!(f, "cannot read {}{context}: ", path.display())?;
                match found_bytes {
                    None => f.write_str("it does not exist on the machine of a worker")?,
                    Some(found) => write!(
                        f,
                        "on the machine of a worker, it is another file, of {} instead of {}",
                        format_bytes(*found),
                        format_bytes(*planned_bytes)
                    )?,
                }
                f.write_str(
                    "; use a path that all machines share, or copies with the same time of modification",
                )
            }
            Self::StreamReadTwice { path, context } => write!(
                f,
                "cannot read {} a second time{context}: a pipe or device can be read only once; \
                 call `persist` on the bag before the first action, and use the bag that it returns",
                path.display()
            ),
            Self::UnsupportedFormat {
                path,
                format,
                context,
            } => write!(
                f,
                "{}: cannot read {format} files{}{context}{}",
                path.display(),
                if is_text(format) { " as text" } else { "" },
                advice_on(format)
            ),
            Self::OutputExists {
                path,
                is_appended: true,
                context,
            } => write!(
                f,
                "cannot add to {}{context}: another job has added files to it in the meantime; run the job again",
                path.display()
            ),
            Self::OutputExists { path, context, .. } => write!(
                f,
                "cannot write to {}{context}: it already exists; \
                 choose another path, or replace it with `overwrite(true)` of the writer",
                path.display()
            ),
            Self::NotAnOutput {
                path,
                found,
                context,
            } => write!(
                f,
                "cannot replace {} or add to it{context}: it contains {}, which is not an output file of the same format; \
                 move that file, or choose another directory",
                path.display(),
                found.display()
            ),
            Self::InvalidBag {
                path,
                offset,
                reason,
                context,
            } => {
                write!(f, "cannot load the saved bag {}", path.display())?;
                if let Some(offset) = offset {
                    write!(f, " at byte {offset}")?;
                }
                write!(f, "{context}: {reason}")
            }
            Self::WrongRecordType {
                path,
                saved,
                requested,
                context,
            } => write!(
                f,
                "cannot load the saved bag {}{context}: its records are of type {saved}, not {requested}",
                path.display()
            ),
            Self::UnsupportedVersion {
                path,
                version,
                supported,
                context,
            } => write!(
                f,
                "cannot load the saved bag {}{context}: its format has version {version}, and this version of holdall can read \
                 version {supported}; use the version of holdall that has saved it, or a newer one",
                path.display()
            ),
            Self::InvalidSetting {
                setting,
                value,
                expected,
            } => write!(f, "{setting}: cannot use {value:?}, expected {expected}"),
            Self::TaskPanicked { context, message } => {
                write!(f, "a closure panicked{context}: {message}")
            }
            Self::Closure { context, source } => {
                let failed = match context.operator {
                    Some("parse_fields" | "parse_json" | "read_json") => "cannot parse a record",
                    _ => "a closure failed",
                };
                write!(f, "{failed}{context}: {source}")
            }
            Self::TooManyBadRecords {
                name,
                limit,
                example,
            } => write!(f, "the job has more than {limit} bad records ({name}), such as {example}"),
            Self::Read { context, source } => write!(f, "cannot read records{context}: {source}"),
            Self::Write { context, source } => write!(f, "cannot write records{context}: {source}"),
            Self::Engine { context, source } => write!(f, "the job failed{context}: {source}"),
            Self::MissingPartition { context, reason } => {
                write!(f, "cannot use the partitions of a bag{context}: {reason}")
            }
            Self::StatusPage { address, source } => {
                write!(f, "cannot serve the status page at {address}: {source}")
            }
            Self::Threads(source) => write!(f, "cannot start threads: {source}"),
            Self::NestedJob => f.write_str(
                "cannot run an action inside a closure of a running job; \
                 run it before the job, and pass its result to the closure",
            ),
            Self::Codec {
                context,
                type_name,
                reason,
            } => write!(
                f,
                "cannot serialise records of type {type_name}{context}: {reason}"
            ),
            Self::CorruptRun {
                path,
                offset,
                reason,
            } => write!(
                f,
                "spill file {} is damaged at byte {offset}: {reason}",
                path.display()
            ),
            Self::RecordTooLong {
                bytes,
                limit_bytes,
                context,
            } => {
                let (bytes, limit) = format_pair(*bytes as u64, *limit_bytes as u64);
                write!(
                    f,
                    "a record of {bytes} is longer than the limit of {limit}{context}"
                )
            }
            Self::DiskFull {
                context,
                path,
                needed_bytes,
                source,
            } => {
                let path = path.display();
                match needed_bytes {
                    0 => write!(f, "disk full: cannot create {path}")?,
                    bytes => write!(f, "disk full: cannot write {} to {path}", format_bytes(*bytes))?,
                }
                write!(f, "{context}; free some space: {source}")
            }
            Self::QuotaExceeded {
                context,
                path,
                needed_bytes,
                quota_bytes,
            } => write!(
                f,
                "disk quota exceeded: cannot write {} to spill file {}{context}: the quota is {}; \
                 raise `ContextBuilder::disk_quota`, or raise the memory budget",
                format_bytes(*needed_bytes),
                path.display(),
                format_bytes(*quota_bytes)
            ),
            Self::BudgetTooSmall {
                needed_bytes,
                budget_bytes,
            } => {
                let (needed, budget) = format_pair(*needed_bytes as u64, *budget_bytes as u64);
                write!(
                    f,
                    "the memory budget of {budget} is too small: this job needs {needed}, 1 MiB for each thread; \
                     raise it with `ContextBuilder::memory` or HOLDALL_MEMORY, or use fewer threads"
                )
            }
            Self::BroadcastTooLarge {
                context,
                budget_bytes,
            } => {
                let is_join = |operator: &str| operator.ends_with("_broadcast");
                let (what, advice) = match context.operator.is_none_or(is_join) {
                    true => ("the small bag", "join without broadcasting"),
                    false => ("a summary of each partition", "use fewer partitions"),
                };
                write!(
                    f,
                    "cannot send {what} to all tasks{context}: it takes more than half of the memory budget of {}; \
                     {advice}, or raise the budget",
                    format_bytes(*budget_bytes as u64)
                )
            }
            Self::Cancelled => f.write_str("the job was cancelled"),
            Self::DeadlineExceeded { context, elapsed } => write!(
                f,
                "cannot complete the job{context}: its deadline passed after {:.3} s",
                elapsed.as_secs_f64()
            ),
            Self::CapturingClosure { context } => {
                let operator = context.operator.unwrap_or("a method");
                write!(f, "the closure of {operator}")?;
                if let Some(location) = context.location {
                    write!(f, " at {location}")?;
                }
                f.write_str(
                    " captures variables or is a function pointer, so it cannot be sent to a worker process; \
                     pass the variables by `with` before the method, or run on threads",
                )
            }
            Self::NotPortable { context, reason } => {
                write!(f, "cannot be sent to a worker process{context}: {reason}")
            }
            Self::WorkerLost { worker, cause } => write!(f, "worker {worker} is lost: {cause}"),
            Self::WorkerStart { reason } => write!(f, "cannot start a worker process: {reason}"),
            Self::Cluster { address, reason } => write!(f, "{address}: {reason}"),
            Self::NoInit => f.write_str(
                "cannot start worker processes: `main` does not call `holdall::init()`; \
                 call it first in `main` (for tests, see the docs of `init`), or run on threads",
            ),
            Self::MapOutputLost => f.write_str(
                "cannot read the shuffle output of an earlier stage: it is missing and could not be recomputed",
            ),
            Self::HomeLost { home, reason } => {
                write!(f, "the files of {home} are out of reach: {reason}")
            }
            Self::TooManyAttempts {
                context,
                attempts,
                last,
            } => write!(
                f,
                "a task failed {attempts} times{context}; last error: {last}"
            ),
            Self::NotRepeatable { context } => write!(
                f,
                "the bag returned different records when it was recomputed{context}: its input has changed, or a closure \
                 does not return the same records each time; call `persist` on the bag first"
            ),
            Self::InvalidGraph { context, reason } => {
                write!(f, "cannot run the tasks{context}: {reason}")
            }
            Self::ProgramFailed {
                context,
                program,
                code: _,
                status,
                stderr,
            } => {
                write!(
                    f,
                    "cannot pipe records through `{program}`{context}: the program has failed ({status})"
                )?;
                if stderr.is_empty() {
                    return f.write_str(" and printed no message");
                }
                write!(f, " and printed: {stderr}")
            }
            Self::LengthMismatch {
                context,
                left,
                right,
            } => write!(
                f,
                "cannot zip two bags{context}: one has {left} records, the other has {right}; use `limit` on the longer one"
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

fn is_text(format: &str) -> bool {
    matches!(format, UTF_16 | UTF_32)
}

/// Returns advice on a file in an unsupported format.
fn advice_on(format: &str) -> &'static str {
    match format {
        UTF_16 | UTF_32 => "; convert it to UTF-8, or read its bytes with `read_bytes`",
        "tar" | "zip" => "; read the files in them with `read_archives`",
        "7z" | "rar" | "cpio" => "; extract their content first",
        "Parquet" | "ORC" | "Avro" | "Arrow" | "SQLite" | "Hadoop sequence" => {
            "; convert them to lines of text first"
        }
        "doubly compressed" => "; decompress them once first",
        _ => "",
    }
}

/// Returns a hint about a path that names no file, if the path looks like a shell expression or the like.
fn hint_at(path: &str) -> &'static str {
    if path == "-" {
        "; standard input is `/dev/stdin`"
    } else if path.starts_with('~') {
        "; `~` is not expanded, so write the path of the home directory"
    } else if path.contains('{') && path.contains('}') {
        "; alternatives in braces are not expanded, so pass a list of paths"
    } else if path.contains(',') {
        "; pass several paths as a list, not separated by commas"
    } else if path.contains('$') {
        "; variables are not expanded"
    } else if path.contains("\\*") || path.contains("\\?") || path.contains("\\[") {
        "; a backslash does not escape, so write `[*]`, `[?]` or `[[]`"
    } else {
        ""
    }
}
