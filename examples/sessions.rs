//! Divides the requests of each address into sessions.
//!
//! ```text
//! cargo run --release --example sessions -- --top 5
//! ```

mod options;

use std::io::{self, Write};
use std::process::ExitCode;

use holdall::StorageLevel;
use options::Options;

const USAGE: &str = "sessions [--top N] [--executor inline|threads|threads:N|processes:N] [--memory SIZE] [PATH...]

Reads requests TIME ADDRESS METHOD PATH STATUS BYTES (default: datasets/records/requests.txt). A session ends when an
address makes no request for 30 minutes. Prints the number of sessions and the N longest (default: 5), as SECONDS
REQUESTS ADDRESS.";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, sessions)
}

const MAX_PAUSE_SECONDS: u64 = 30 * 60;

fn sessions(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let top = options.number("--top")?.unwrap_or(5);
    let context = options.context()?;
    let paths = options.paths_or_dataset("records/requests.txt")?;

    let requests = context
        .read_text(paths)?
        .parse_fields::<(u64, String, (), (), (), ())>(' ');
    let times = requests
        .map(|(time, address, ..)| (address, time))
        .sort_values();
    let sessions = times.chunk_while(|(address, time), (next_address, next)| {
        address == next_address && next - time <= MAX_PAUSE_SECONDS
    });
    let sessions = sessions.map(|session| {
        let (address, start) = &session[0];
        let end = session.last().map_or(*start, |(_, time)| *time);
        (end - start, session.len(), address.clone())
    });
    let sessions = sessions.persist(StorageLevel::default());
    writeln!(io::stdout(), "{} sessions", sessions.count()?)?;
    for (seconds, requests, address) in sessions.top(top)? {
        writeln!(io::stdout(), "{seconds} {requests} {address}")?;
    }
    Ok(())
}
