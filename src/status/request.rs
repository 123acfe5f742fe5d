//! Reads requests, within limits on their size and time.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, TcpStream};
use std::time::{Duration, Instant};

/// Maximum size of the head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 8 << 10;
const MAX_HEADERS: usize = 64;

/// Maximum time until the head of a request is complete.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// A request for a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Path, without the query.
    pub(super) path: String,
    /// Whether only the head of the response is requested.
    pub(super) is_head: bool,
}

/// Reason why a request is refused: the status of the response, and a sentence for the reader.
pub(super) type Refusal = (u16, &'static str);

/// Reads the head of a request. Returns `None` if the connection ends before it is complete.
pub(super) fn read_request(stream: &mut TcpStream) -> Option<Result<Request, Refusal>> {
    let deadline = Instant::now() + HEAD_TIME;
    let mut head = Vec::new();
    let mut buffer = [0; 1 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Some(Err((408, "The request took too long.")));
        }
        stream.set_read_timeout(Some(left)).ok()?;
        match stream.read(&mut buffer) {
            Ok(0) => return None,
            Ok(bytes) => head.extend_from_slice(&buffer[..bytes]),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => continue,
                _ => return None,
            },
        }
        match parse(&head) {
            Ok(None) if head.len() >= MAX_HEAD_BYTES => {
                return Some(Err((431, "The request is too long.")));
            }
            Ok(None) => {}
            Ok(Some(request)) => return Some(Ok(request)),
            Err(refusal) => return Some(Err(refusal)),
        }
    }
}

/// Parses the head of a request, or returns `None` if it is not complete yet.
fn parse(head: &[u8]) -> Result<Option<Request>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let status = request.parse(head);
    let status = status.map_err(|_| (400, "This is not a valid HTTP request."))?;
    if status.is_partial() {
        return Ok(None);
    }
    let is_head = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err((405, "Only GET and HEAD are possible.")),
    };
    let hosts = request.headers.iter();
    let mut hosts = hosts.filter(|header| header.name.eq_ignore_ascii_case("host"));
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_address(host.value) => {}
        _ => return Err((403, "Use the address in numbers, or localhost.")),
    }
    let path = request.path.unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Ok(Some(Request {
        path: path.to_owned(),
        is_head,
    }))
}

/// Returns whether `host` is an IP address or `localhost`, with or without a port. Any other name may be that of a
/// foreign page that has made its name resolve to this machine, to read the answers (DNS rebinding).
fn is_address(host: &[u8]) -> bool {
    let Ok(host) = str::from_utf8(host) else {
        return false;
    };
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = match without_port.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').unwrap_or_default(),
        None => without_port,
    };
    address.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_are_addresses() {
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:8787",
            "[::1]:8787",
            "[::1]",
            "10.1.2.3",
        ] {
            assert!(is_address(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example:80",
            "127.0.0.1.evil",
            ":80",
            "[x]:1",
        ] {
            assert!(!is_address(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn requests_are_parsed_or_refused() {
        let host = "Host: localhost:1\r\n";
        let parsed =
            |line: &str, headers: &str| parse(format!("{line}\r\n{headers}\r\n").as_bytes());
        let request = parsed("GET /api/jobs?a=1 HTTP/1.1", host).unwrap().unwrap();
        assert_eq!((&*request.path, request.is_head), ("/api/jobs", false));
        assert!(parsed("HEAD / HTTP/1.1", host).unwrap().unwrap().is_head);
        assert_eq!(parsed("POST / HTTP/1.1", host).unwrap_err().0, 405);
        assert_eq!(parsed("GET / HTTP/1.1", "").unwrap_err().0, 403);
        assert_eq!(
            parsed("GET / HTTP/1.1", "Host: evil.example\r\n")
                .unwrap_err()
                .0,
            403
        );
        assert_eq!(
            parsed("GET / HTTP/1.1", &host.repeat(2)).unwrap_err().0,
            403
        );
        assert_eq!(parsed("GET / HTTP/9", host).unwrap_err().0, 400);
        assert_eq!(parse(b"GET / HTTP/1.1\r\nHost:").unwrap(), None);
        let headers = "X: y\r\n".repeat(MAX_HEADERS + 1);
        assert_eq!(parsed("GET / HTTP/1.1", &headers).unwrap_err().0, 400);
    }

    proptest! {
        #[test]
        fn no_request_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
            let _ = parse(&[b"GET / HTTP/1.1\r\nHost: ", &bytes[..]].concat());
        }
    }
}
