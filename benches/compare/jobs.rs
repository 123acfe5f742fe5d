//! Small jobs, of a thousand records, and loops of jobs.

use hashbrown::HashMap;
use holdall::{Bag, StorageLevel};
use holdall_benches::mixed;
use rayon::prelude::*;

use crate::timing::{Answer, Comparison};

const JOBS: u64 = 100;
const RECORDS: u64 = 1_000;

fn numbers(job: u64) -> Vec<u64> {
    (0..RECORDS).map(|n| mixed(n * job) % 100_000).collect()
}

fn pairs(job: u64) -> Vec<(u64, u64)> {
    (0..RECORDS).map(|n| (mixed(n) % 100, n * job)).collect()
}

/// Adds a comparison of many small jobs, each of which returns a number.
fn small(
    all: &mut Vec<Comparison<'_>>,
    name: &str,
    ours: fn(u64) -> holdall::Result<u64>,
    plain: fn(u64) -> u64,
) {
    let ours = move || {
        let sum = (0..JOBS).try_fold(0, |sum, job| Ok::<_, holdall::Error>(sum + ours(job)?));
        Ok(sum? as f64)
    };
    let plain = move || Ok((0..JOBS).map(plain).sum::<u64>() as f64);
    all.push(Comparison::new(
        format!("100 small jobs: {name}"),
        ours,
        ("rayon", plain),
    ));
}

fn small_jobs(all: &mut Vec<Comparison<'_>>) {
    small(
        all,
        "sum",
        |job| holdall::from_vec(numbers(job)).sum(),
        |job| numbers(job).into_par_iter().sum(),
    );
    small(
        all,
        "take(10)",
        |job| Ok(holdall::from_vec(numbers(job)).take(10)?.iter().sum()),
        |job| numbers(job).iter().take(10).sum(),
    );
    small(
        all,
        "iter",
        |job| holdall::from_vec(numbers(job)).iter()?.sum(),
        |job| numbers(job).iter().sum(),
    );
}

fn small_shuffles(all: &mut Vec<Comparison<'_>>) {
    small(
        all,
        "sort",
        |job| Ok(holdall::from_vec(numbers(job)).sort().collect()?[500]),
        |job| {
            let mut numbers = numbers(job);
            numbers.par_sort_unstable();
            numbers[500]
        },
    );
    small(
        all,
        "reduce_by_key",
        |job| {
            let most = holdall::from_vec(pairs(job)).reduce_by_key(u64::max);
            Ok(most.collect()?.iter().map(|(_, most)| most).sum())
        },
        |job| {
            let mut most = HashMap::new();
            for (key, value) in pairs(job) {
                most.entry(key)
                    .and_modify(|most| *most = value.max(*most))
                    .or_insert(value);
            }
            most.into_values().sum()
        },
    );
    small(
        all,
        "join",
        |job| {
            let other = holdall::range(0..50).map(|n| (n * 2, n));
            holdall::from_vec(pairs(job)).join(other).count()
        },
        |job| {
            let other: HashMap<u64, u64> = (0..50).map(|n| (n * 2, n)).collect();
            pairs(job)
                .par_iter()
                .filter(|(key, _)| other.contains_key(key))
                .count() as u64
        },
    );
}

/// Page rank on a million edges, with sums of whole numbers, so that both programs have the same answer.
fn page_rank(rounds: usize) -> Answer {
    const DAMPED: u64 = 150_000;
    let links = holdall::range(0..EDGES).map(edge).group_by_key();
    let links = links.map(|(page, to)| (page, to.collect::<Vec<u64>>()));
    let links = links.partition_by(64).persist(StorageLevel::Memory);
    let mut ranks: Bag<(u64, u64)> = links.clone().map_values(|_| 1_000_000).boxed();
    for _ in 0..rounds {
        let given = links.clone().join(ranks).flat_map(|(_, (to, rank))| {
            let share = rank / to.len() as u64;
            to.into_iter().map(move |page| (page, share))
        });
        ranks = given
            .sum_by_key()
            .map_values(|sum| DAMPED + sum * 85 / 100)
            .boxed();
    }
    Ok(ranks.values().sum::<u64>()? as f64)
}

const EDGES: u64 = 1_000_000;

fn edge(n: u64) -> (u64, u64) {
    (mixed(n) % 100_000, mixed(!n) % 100_000)
}

/// The same with a table of links, and one of ranks for each thread.
fn plain_page_rank(rounds: usize) -> Answer {
    let mut links = HashMap::<u64, Vec<u64>>::new();
    for (page, to) in (0..EDGES).map(edge) {
        links.entry(page).or_default().push(to);
    }
    let links: Vec<(u64, Vec<u64>)> = links.into_iter().collect();
    let mut ranks: HashMap<u64, u64> = links.iter().map(|(page, _)| (*page, 1_000_000)).collect();
    for _ in 0..rounds {
        let give = |mut given: HashMap<u64, u64>, (page, to): &(u64, Vec<u64>)| {
            if let Some(rank) = ranks.get(page) {
                let share = rank / to.len() as u64;
                to.iter()
                    .for_each(|page| *given.entry(*page).or_default() += share);
            }
            given
        };
        let merged = |mut all: HashMap<u64, u64>, some: HashMap<u64, u64>| {
            some.into_iter()
                .for_each(|(page, sum)| *all.entry(page).or_default() += sum);
            all
        };
        let given = links
            .par_iter()
            .with_min_len(links.len() / 8)
            .fold(HashMap::new, give);
        ranks = given.reduce(HashMap::new, merged);
        ranks
            .values_mut()
            .for_each(|sum| *sum = 150_000 + *sum * 85 / 100);
    }
    Ok(ranks.into_values().sum::<u64>() as f64)
}

pub(crate) fn add_to(all: &mut Vec<Comparison<'_>>) {
    small_jobs(all);
    small_shuffles(all);
    for rounds in [5, 20] {
        all.push(Comparison::new(
            format!("page rank, {rounds} rounds"),
            move || page_rank(rounds),
            ("rayon", move || plain_page_rank(rounds)),
        ));
    }
}
