//! Generates records for the other examples.
//!
//! ```text
//! cargo run --release --example generate_records -- --count 10000000 links links.txt
//! ```

mod options;
mod random;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::ExitCode;

use options::Options;
use random::{Random, spell};

const USAGE: &str = "generate_records --count N [--seed N] requests|links|points|notes OUT

Writes N lines to the file OUT. The same options produce the same bytes on every machine; a different --seed (default: 0)
produces different records.
  requests  TIME ADDRESS METHOD PATH STATUS BYTES: the requests to a web server, by time in seconds
  links     FROM TO: the links between N/5 pages, by number
  points    X,Y: points around five centres
  notes     short texts; every fifth is an earlier one with one other word";

fn main() -> ExitCode {
    options::run(USAGE, generate_records)
}

fn generate_records(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let count = options.number("--count")?.ok_or("--count is missing")? as u64;
    let mut random = Random(options.number("--seed")?.unwrap_or(0) as u64);
    let [kind, path] = <[String; 2]>::try_from(options.rest()?).map_err(|_| USAGE)?;
    let mut time = 1_767_225_600; // 2026-01-01
    let mut notes = Vec::new();
    let mut file = BufWriter::new(File::create(&path).map_err(|error| format!("{path}: {error}"))?);
    for number in 0..count {
        let line = match &*kind {
            "requests" => request(&mut random, &mut time),
            "links" => {
                let pages = (count / 5).max(1);
                format!("{} {}", random.below(pages), random.rank(pages) - 1)
            }
            "points" => point(&mut random),
            "notes" => note(&mut random, &mut notes, number),
            kind => return Err(format!("unknown kind {kind}; see --help").into()),
        };
        writeln!(file, "{line}")?;
    }
    Ok(file.flush()?)
}

fn request(random: &mut Random, time: &mut u64) -> String {
    *time += random.below(30);
    let address = format!("192.0.2.{}", random.rank(200));
    let mut path = String::new();
    spell(random.rank(500), &mut path);
    let (method, status) = match random.below(100) {
        0..3 => ("GET", 500),
        3..10 => ("GET", 404),
        10..25 => ("POST", 201),
        _ => ("GET", 200),
    };
    let bytes = 200 + random.below(100) * random.below(1000);
    format!("{time} {address} {method} /{path} {status} {bytes}")
}

fn point(random: &mut Random) -> String {
    let center = random.below(5);
    // The sum of three uniform numbers is about normal.
    let mut near = |center: u64| {
        let noise = random.below(1000) + random.below(1000) + random.below(1000);
        (center * 4000 + noise) as f64 / 1000.0
    };
    format!("{:.3},{:.3}", near(center), near(center * 2 % 5))
}

fn note(random: &mut Random, notes: &mut Vec<Vec<u64>>, number: u64) -> String {
    let mut ranks: Vec<_> = (0..20).map(|_| random.rank(5000)).collect();
    if number % 5 == 4 {
        let word = random.below(20) as usize;
        let earlier = random.below(notes.len() as u64) as usize;
        let rank = std::mem::replace(&mut ranks, notes[earlier].clone())[word];
        ranks[word] = rank;
    }
    let mut text = String::new();
    for rank in &ranks {
        spell(*rank, &mut text);
        text.push(' ');
    }
    notes.push(ranks);
    text.trim_end().to_owned()
}
