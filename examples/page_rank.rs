//! Ranks pages by the links between them, by PageRank.
//!
//! ```text
//! cargo run --release --example page_rank -- --rounds 30
//! ```

mod options;

use std::io::{self, Write};
use std::process::ExitCode;

use holdall::{Bag, StorageLevel};
use options::Options;

const USAGE: &str = "page_rank [--rounds N] [--top N] [--executor inline|threads|threads:N|processes:N] [--memory SIZE] [PATH...]

Reads links FROM TO (default: datasets/records/links.txt), and prints the N pages (default: 10) with the highest rank
after some rounds (default: 20), as PAGE<TAB>RANK. The ranks of all pages add up to 1.";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, page_rank)
}

fn page_rank(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let rounds = options.number("--rounds")?.unwrap_or(20);
    let top = options.number("--top")?.unwrap_or(10);
    let context = options.context()?;
    let paths = options.paths_or_dataset("records/links.txt")?;

    let links = context
        .read_text(paths)?
        .parse_fields::<(u32, u32)>(' ')
        .distinct();
    let pages = links.clone().flat_map(|(from, to)| [from, to]).distinct();
    let zeros = pages
        .map(|page| (page, 0.0))
        .persist(StorageLevel::default());
    let links = links
        .group_by_key()
        .map_values(|to| to.collect::<Vec<u32>>());
    let links = links.persist(StorageLevel::default());
    let count = zeros.count()? as f64;
    let mut ranks: Bag<(u32, f64)> = zeros.clone().with(count).map_values(|n, _| 1.0 / n).boxed();
    for _ in 0..rounds {
        let given = links.clone().join(ranks).flat_map(|(_, (to, rank))| {
            let share = rank / to.len() as f64;
            to.into_iter().map(move |page| (page, share))
        });
        let received = zeros.clone().union(given).per_key().sum();
        let received = received.persist(StorageLevel::default());
        // What pages without links do not give, and 15 % of the rest, is for all pages.
        let base = (1.0 - 0.85 * received.clone().values().sum::<f64>()?) / count;
        ranks = received
            .with(base)
            .map_values(|base, sum| base + 0.85 * sum)
            .boxed();
    }
    for (page, rank) in ranks.top_by(top, |(page, rank), (other, than)| {
        rank.total_cmp(than).then_with(|| other.cmp(page))
    })? {
        writeln!(io::stdout(), "{page}\t{rank:.9}")?;
    }
    Ok(())
}
