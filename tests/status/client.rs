//! A client of the status page that sends bytes as they are.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use holdall::Context;
use serde_json::Value;

/// Returns the address of the status page.
pub(crate) fn address(context: &Context) -> String {
    let url = context.status_url().expect("the page is served");
    let address = url.strip_prefix("http://").expect("a URL");
    address.trim_end_matches('/').to_owned()
}

/// Sends `request`, and returns what the server answers until it ends the connection.
pub(crate) fn send(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let timeout = Some(Duration::from_secs(30));
    stream.set_read_timeout(timeout).expect("a timeout");
    // The server may have ended the connection already.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).expect("a text")
}

/// Returns the head and the body of a page.
pub(crate) fn get(context: &Context, path: &str) -> (String, String) {
    let address = address(context);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let answer = send(&address, request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
    (head.to_owned(), body.to_owned())
}

/// Returns the content of a JSON endpoint.
pub(crate) fn json(context: &Context, path: &str) -> Value {
    let (head, body) = get(context, path);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
    assert!(head.contains("Content-Type: application/json"), "{head}");
    serde_json::from_str(&body).expect("it is JSON")
}
