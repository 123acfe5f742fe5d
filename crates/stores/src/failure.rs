//! Errors of stores in the words of the user.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};

use object_store::Error;

use crate::xml::element;

/// The kind of error that tells holdall to open an object again: the object has changed since it was opened.
pub(crate) const CHANGED: ErrorKind = ErrorKind::ConnectionAborted;

/// Returns what went wrong. holdall adds the path.
pub(crate) fn failure(error: Error) -> io::Error {
    let kind = match &error {
        Error::NotFound { .. } => ErrorKind::NotFound,
        Error::AlreadyExists { .. } => ErrorKind::AlreadyExists,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            ErrorKind::PermissionDenied
        }
        Error::Precondition { .. } => CHANGED,
        Error::InvalidPath { .. } => ErrorKind::InvalidInput,
        _ => ErrorKind::Other,
    };
    let mut cause: &(dyn StdError + 'static) = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    io::Error::new(kind, summary(&cause.to_string()))
}

/// Shortens the response of a server to its status and the message in its XML.
fn summary(text: &str) -> String {
    let Some(answer) = text.strip_prefix("Server returned non-2xx status code: ") else {
        return text.to_owned();
    };
    let (status, body) = answer.split_once(": ").unwrap_or((answer, ""));
    match (element(body, "Code"), element(body, "Message")) {
        (Some(code), Some(message)) => {
            // Azure adds a line with an identifier of the request and one with the time.
            let message = message.lines().next().unwrap_or_default();
            format!("the server answered {status}: {code}: {message}")
        }
        (Some(code), None) => format!("the server answered {status}: {code}"),
        _ => format!("the server answered {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_the_server_remains() {
        for (text, expected) in [
            ("connection refused", "connection refused"),
            (
                "Server returned non-2xx status code: 403 Forbidden: \
                 <Error><Code>AccessDenied</Code><Message>Not yours.\nTime: 1</Message></Error>",
                "the server answered 403 Forbidden: AccessDenied: Not yours.",
            ),
            (
                "Server returned non-2xx status code: 404 Not Found: <Error><Code>NoSuchKey</Code></Error>",
                "the server answered 404 Not Found: NoSuchKey",
            ),
            (
                "Server returned non-2xx status code: 503 Service Unavailable: ",
                "the server answered 503 Service Unavailable",
            ),
        ] {
            assert_eq!(summary(text), expected);
        }
    }
}
