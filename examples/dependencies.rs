//! Finds all that packages need, directly or not, with a graph of one task for each package.
//!
//! ```text
//! cargo run --release --example dependencies -- packages.txt libreoffice
//! ```

#![expect(clippy::print_stdout, reason = "a program")]

mod options;

use std::process::ExitCode;

use holdall::graph::{Graph, all, data, task};
use options::Options;
use serde::{Deserialize, Serialize};

const USAGE: &str = "dependencies [--executor E] [--memory SIZE] FILE PACKAGE...

Each line of FILE is NAME SIZE NEEDED.... For each PACKAGE, prints its name, the length of the longest chain of packages
that need each other, the number of all packages that it needs, with itself, and their total size.";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, dependencies)
}

/// The packages that a package needs, with itself.
#[derive(Clone, Serialize, Deserialize)]
struct Closure {
    chain: u64,
    /// Number and size of each package, in order.
    packages: Vec<(u32, u64)>,
}

fn close(own: &(u32, u64), needs: &[Closure]) -> Closure {
    let longest = needs.iter().map(|need| need.chain).max();
    let of_needs = needs.iter().flat_map(|need| need.packages.iter().copied());
    let mut packages: Vec<_> = of_needs.chain([*own]).collect();
    packages.sort_unstable();
    packages.dedup();
    let chain = 1 + longest.unwrap_or(0);
    Closure { chain, packages }
}

fn dependencies(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let context = options.context()?;
    let words = options.rest()?;
    let (file, wanted) = words.split_first().ok_or("FILE is missing")?;
    let mut graph = Graph::new();
    for (number, line) in (0_u32..).zip(context.read_text(file)?.collect()?) {
        let mut words = line.split_whitespace();
        let name = words.next().ok_or("a line is empty")?;
        let size: u64 = words.next().ok_or("a size is missing")?.parse()?;
        graph.insert(name, task(close, (data((number, size)), all(words))));
    }
    let closures: Vec<Closure> = context.get(&graph, wanted)?;
    for (name, Closure { chain, packages }) in wanted.iter().zip(closures) {
        let size: u64 = packages.iter().map(|(_, size)| size).sum();
        println!("{name} {chain} {} {size}", packages.len());
    }
    Ok(())
}
