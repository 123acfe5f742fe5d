//! Lost connections, errors of servers, and slow servers.

use holdall::{Executor, TextReader, TextWriter};

use crate::contract::{lines, read};
use crate::proxy::{Fault, Proxy};
use crate::server::Server;

const LINES: usize = 60_000;

/// Faults of which each is followed by one that lets a request pass.
const FAULTS: &[Fault] = &[
    Fault::Status("503 Slow Down"),
    Fault::CutAfter(1_500_000),
    Fault::Status("500 Internal Server Error"),
    Fault::CutAfter(60_000),
    Fault::Slow(2_000_000),
    Fault::CutRequestAfter(200),
    Fault::CutAfter(5_000_000),
];

/// Returns the address of a proxy in front of a server, in the form of the server's own address.
fn proxy_of(server: Server, faults: &'static [Fault]) -> (Proxy, String) {
    let address = server.address();
    let host = address.strip_prefix("http://").unwrap_or(&address);
    let host = host.split('/').next().unwrap();
    let proxy = Proxy::start(host, faults);
    let at_proxy = address.replace(host, &proxy.address.to_string());
    (proxy, at_proxy)
}

fn nothing_is_lost_in_reading(server: Server) {
    let directory = server.directory("read-through-faults");
    let direct = server.context(Executor::Threads(2));
    let text = direct.from_vec(lines(LINES).collect::<Vec<_>>());
    text.write_text(&directory).unwrap();
    let (proxy, address) = proxy_of(server, FAULTS);
    let directory = server.directory_at(&address, "read-through-faults");
    for executor in [Executor::Threads(2), Executor::Processes(2)] {
        let context = server.context_at(&address, executor);
        for split in [500_000, 100_000_000] {
            let reader = TextReader::new().context(&context).partition_bytes(split);
            let found = reader.read(&directory).unwrap().collect().unwrap();
            assert!(found.into_iter().eq(lines(LINES)));
        }
    }
    assert!(
        proxy.connections() > FAULTS.len(),
        "{} connections",
        proxy.connections()
    );
}

fn nothing_is_lost_in_writing(server: Server) {
    let direct = server.context(Executor::Threads(2));
    let (proxy, address) = proxy_of(server, FAULTS);
    let directory = server.directory_at(&address, "write-through-faults");
    for executor in [Executor::Threads(2), Executor::Processes(2)] {
        let context = server.context_at(&address, executor);
        let text = context
            .from_vec(lines(LINES).collect::<Vec<_>>())
            .coalesce(3);
        TextWriter::new()
            .overwrite(true)
            .write(&text, &directory)
            .unwrap();
        let found = read(&direct, &server.directory("write-through-faults")).unwrap();
        assert!(found.into_iter().eq(lines(LINES)));
    }
    assert!(
        proxy.connections() > FAULTS.len() / 2,
        "{} connections",
        proxy.connections()
    );
}

fn a_server_that_always_fails_is_an_error(server: Server) {
    let (_proxy, address) = proxy_of(server, &[Fault::Status("503 Service Unavailable")]);
    let context = server.context_at(&address, Executor::Threads(2));
    let path = server.directory_at(&address, "none") + "/file";
    let error = context.read_text(&path).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with(&format!("cannot list {path}: ")),
        "{message}"
    );
    assert!(
        message.contains("the server answered 503 Service Unavailable"),
        "{message}"
    );
}

macro_rules! for_each_http_server {
    ($($test:ident),* $(,)?) => {
        mod s3 { $(#[test] fn $test() { super::$test(super::Server::S3); })* }
        mod gcs { $(#[test] fn $test() { super::$test(super::Server::Gcs); })* }
        mod azure { $(#[test] fn $test() { super::$test(super::Server::Azure); })* }
        mod http { $(#[test] fn $test() { super::$test(super::Server::Http); })* }
    };
}

for_each_http_server![
    nothing_is_lost_in_reading,
    a_server_that_always_fails_is_an_error,
];

mod writing {
    use super::Server;

    #[test]
    fn s3() {
        super::nothing_is_lost_in_writing(Server::S3);
    }

    #[test]
    fn gcs() {
        super::nothing_is_lost_in_writing(Server::Gcs);
    }

    #[test]
    fn azure() {
        super::nothing_is_lost_in_writing(Server::Azure);
    }
}
