//! A process that is killed while it writes.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use holdall::files::OutputOptions;
use holdall::{ErrorKind, Executor, TextWriter};

use crate::contract::{for_each_server, put, read};
use crate::server::Server;

for_each_server![
    nothing_of_a_killed_job_is_visible,
    a_lost_worker_costs_nothing,
];

/// Environment variable with the operation of the process below, and its output.
const CALLED: &str = "HOLDALL_TEST_WRITER";

/// The process that is killed: writes without end, and says once that it writes.
#[test]
fn writer() {
    holdall::init();
    let Ok(call) = env::var(CALLED) else { return };
    let (server, directory) = call.split_once(' ').unwrap();
    let server = Server::ALL
        .into_iter()
        .find(|known| known.name() == server)
        .unwrap();
    let context = server.context(Executor::Threads(2));
    let single = context.create_file(directory.to_owned() + "-file", &OutputOptions::default());
    let mut single = single.unwrap();
    single.write_all(&vec![b'x'; 12 << 20]).unwrap();
    let lines = context.range_partitioned(0..u64::MAX, 4).inspect(|n| {
        // 100 MB later, some parts are complete.
        if n % (u64::MAX / 4 + 1) == 5_000_000 {
            let mut out = std::io::stdout();
            writeln!(out, "writing").unwrap();
        }
    });
    TextWriter::new()
        .overwrite(true)
        .write(&lines, directory)
        .unwrap();
}

fn kill_a_writer(server: Server, directory: &str) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "kills::writer", "--nocapture"])
        .env(CALLED, format!("{} {directory}", server.name()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map(Result::unwrap);
    assert!(
        lines.any(|line| line.ends_with("writing")),
        "the writer has ended"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

fn nothing_of_a_killed_job_is_visible(server: Server) {
    let context = server.context(Executor::Threads(2));
    let directory = server.directory("killed");
    kill_a_writer(server, &directory);
    if server == Server::S3 {
        assert!(unfinished_uploads(&directory) > 1);
    }
    for path in [
        &directory,
        &(directory.clone() + "*"),
        &(directory.clone() + "-file"),
    ] {
        let error = read(&context, path).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoInput { .. }), "{error}");
    }
    // The remaining files do not disturb the next run, and an old output survives.
    let write = |records: u64| {
        let writer = TextWriter::new().overwrite(records > 1_000);
        writer.write(&context.range_partitioned(0..records, 3), &directory)
    };
    write(1_000).unwrap();
    kill_a_writer(server, &directory);
    assert_eq!(read(&context, &directory).unwrap().len(), 1_000);
    write(2_000).unwrap();
    assert_eq!(read(&context, &directory).unwrap().len(), 2_000);
    put(&context, &(directory.clone() + "-file"), "text");
    if server == Server::S3 {
        assert_eq!(unfinished_uploads(&directory), 0);
    }
}

/// Returns the number of uploads of S3 whose keys begin like a path.
fn unfinished_uploads(path: &str) -> usize {
    let (_, key) = path.strip_prefix("s3://").unwrap().split_once('/').unwrap();
    let url = format!("{}/holdall/?uploads&prefix={key}", Server::S3.address());
    let output = Command::new("curl").args(["-sf", &url]).output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.contains("ListMultipartUploadsResult"), "{page}");
    page.matches("<UploadId>").count()
}

fn a_lost_worker_costs_nothing(server: Server) {
    let context = server.context(Executor::Processes(2));
    let directory = server.directory("lost");
    let marker = env::temp_dir().join(format!(
        "holdall-lost-{}-{}",
        server.name(),
        std::process::id()
    ));
    std::fs::write(&marker, "").unwrap();
    let numbers = context.range_partitioned(0..300_000_u64, 3);
    let dying = numbers.with(marker.clone()).inspect(|marker, n| {
        if *n == 150_000 && std::fs::remove_file(marker).is_ok() {
            std::process::abort();
        }
    });
    dying.write_text(&directory).unwrap();
    assert!(!marker.exists(), "a worker died");
    assert_eq!(read(&context, &directory).unwrap().len(), 300_000);
}
