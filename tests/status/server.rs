//! The server refuses what it must, and goes on.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use holdall::{Context, ErrorKind};
use proptest::prelude::*;

use crate::client::{address, get, send};
use crate::common::within_the_limit;

fn served() -> Context {
    let context = Context::builder().threads(2).status("127.0.0.1:0").build();
    context.expect("a page")
}

#[test]
fn the_page_needs_only_this_server() {
    let context = served();
    let types = [
        ("/", "text/html"),
        ("/?a=b", "text/html"),
        ("/style.css", "text/css"),
        ("/script.js", "text/javascript"),
        ("/metrics", "text/plain; version=0.0.4"),
    ];
    for (path, content_type) in types {
        let (head, body) = get(&context, path);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
        assert!(
            head.contains(&format!("\r\nContent-Type: {content_type}")),
            "{path}: {head}"
        );
        assert!(
            head.contains("default-src 'none'; script-src 'self'"),
            "{head}"
        );
        assert!(
            head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())),
            "{head}"
        );
        assert!(
            !body.contains("http://") && !body.contains("https://"),
            "{path}"
        );
    }
    let address = address(&context);
    let head = send(
        &address,
        format!("HEAD / HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes(),
    );
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
}

#[test]
fn other_requests_are_refused() {
    let context = served();
    let address = address(&context);
    let answer = |request: &str| {
        let answer = send(&address, request.as_bytes());
        answer.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(
        answer("GET /api/jobs/1x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
        "HTTP/1.1 404 Not Found"
    );
    assert_eq!(
        answer("GET /etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        "HTTP/1.1 404 Not Found"
    );
    // A page of another server whose name leads to this address.
    assert_eq!(
        answer("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        "HTTP/1.1 403 Forbidden"
    );
    assert_eq!(answer("GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 403 Forbidden");
    assert_eq!(
        answer("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        "HTTP/1.1 405 Method Not Allowed"
    );
    assert_eq!(answer("nonsense\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    let long = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    assert_eq!(
        answer(&long),
        "HTTP/1.1 431 Request Header Fields Too Large"
    );
    let (head, _) = get(&context, "/");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
}

#[test]
fn any_bytes_are_answered_or_ignored() {
    let context = served();
    let address = address(&context);
    proptest!(ProptestConfig::with_cases(64), |(bytes in prop::collection::vec(any::<u8>(), 1..300))| {
        let mut stream = TcpStream::connect(&address).expect("a connection");
        let _ = stream.write_all(&bytes);
    });
    wait_for_the_page(address);
}

/// Requests the page until the server has ended other connections. It accepts only some at a time.
fn wait_for_the_page(address: String) {
    within_the_limit("the page", move || {
        let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n");
        while !send(&address, request.as_bytes()).starts_with("HTTP/1.1 200 OK\r\n") {
            thread::sleep(Duration::from_millis(50));
        }
    });
}

#[test]
fn slow_clients_do_not_occupy_the_server() {
    let context = served();
    let address = address(&context);
    let slow: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).expect("a connection");
            // The server may have ended it already: it has too many.
            let _ = stream.write_all(b"GET / HTTP/1.1\r\n");
            stream
        })
        .collect();
    wait_for_the_page(address);
    drop(slow);
    assert_eq!(context.range(0..10).count().expect("a count"), 10);
}

#[test]
fn an_address_that_cannot_be_used_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let kept = Context::builder().status(&*taken).build();
    for address in [&*taken, "127.0.0.1", "nowhere", ""] {
        let error = Context::builder()
            .status(address)
            .build()
            .expect_err("it cannot be used");
        let message = error.to_string();
        assert!(
            matches!(error.kind(), ErrorKind::StatusPage { .. }),
            "{message}"
        );
        assert!(
            message.starts_with(&format!("cannot serve the status page at {address}: ")),
            "{message}"
        );
    }
    drop(kept);
}

#[test]
fn the_page_ends_with_the_context() {
    let context = served();
    let address = address(&context);
    let clone = context.clone();
    drop(context);
    assert_eq!(clone.range(0..10).count().expect("a count"), 10);
    assert!(TcpStream::connect(&address).is_ok());
    drop(clone);
    within_the_limit("the page", move || {
        while TcpStream::connect(&address).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    });
}
