//! The programs of the cookbook print what plain loops over the same files compute.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::common::{Files, all_settings};
use crate::examples::stdout;

/// Maximum number of lines of code of a program in the cookbook.
const MAX_LINES: usize = 60;

fn dataset(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("datasets")
        .join(name);
    fs::read_to_string(path).expect("a text")
}

/// Executors, of which the first is used in all settings only.
const EXECUTORS: [&str; 3] = ["inline", "threads:3", "processes:2"];

/// Asserts that a program prints `expected` on each executor.
fn assert_prints(name: &str, arguments: &[&str], expected: &str) {
    for executor in &EXECUTORS[usize::from(!all_settings())..] {
        let arguments = [&["--executor", executor, "--memory", "16MiB"], arguments].concat();
        assert_eq!(stdout(name, arguments), expected, "{name} on {executor}");
    }
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let words = text.split(|c: char| !c.is_alphabetic());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[test]
fn inverted_index_lists_lines() {
    let mut index = BTreeMap::<_, BTreeSet<usize>>::new();
    for (number, line) in dataset("fables.tsv").lines().enumerate() {
        for word in words(line) {
            index.entry(word).or_default().insert(number + 1);
        }
    }
    let line = |(word, numbers): (String, BTreeSet<usize>)| {
        let numbers: Vec<_> = numbers.iter().map(usize::to_string).collect();
        format!("{word}\t{}\n", numbers.join(" "))
    };
    let expected: String = index.into_iter().map(line).collect();
    assert_prints("inverted_index", &[], &expected);
}

#[test]
fn tf_idf_finds_characteristic_words() {
    let text = dataset("fables.tsv");
    let texts: BTreeMap<_, _> = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .collect();
    let mut texts_with = BTreeMap::<_, usize>::new();
    for text in texts.values() {
        for word in words(text).collect::<BTreeSet<_>>() {
            *texts_with.entry(word).or_default() += 1;
        }
    }
    let top = 4;
    let mut expected = String::new();
    for (title, text) in &texts {
        let mut counts = BTreeMap::<_, usize>::new();
        words(text).for_each(|word| *counts.entry(word).or_default() += 1);
        let score = |(word, n): (String, usize)| {
            (
                n as f64 * (texts.len() as f64 / texts_with[&word] as f64).ln(),
                word,
            )
        };
        let mut scores: Vec<_> = counts.into_iter().map(score).collect();
        scores.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let best: Vec<_> = scores.into_iter().take(top).map(|(_, word)| word).collect();
        writeln!(expected, "{title}: {}", best.join(" ")).expect("memory");
    }
    assert_prints("tf_idf", &["--top", &top.to_string()], &expected);
}

/// Reads lines of two numbers, each line once.
fn links() -> BTreeSet<(u32, u32)> {
    let text = dataset("records/links.txt");
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    let number = |text: &str| text.parse().expect("a number");
    pairs.map(|(a, b)| (number(a), number(b))).collect()
}

#[test]
fn page_rank_ranks_pages() {
    let mut to = BTreeMap::<u32, Vec<u32>>::new();
    let mut ranks = BTreeMap::new();
    for (a, b) in links() {
        to.entry(a).or_default().push(b);
        ranks.extend([(a, 0.0), (b, 0.0)]);
    }
    let count = ranks.len() as f64;
    ranks.values_mut().for_each(|rank| *rank = 1.0 / count);
    for _ in 0..12 {
        let mut next: BTreeMap<u32, f64> = ranks.keys().map(|page| (*page, 0.0)).collect();
        for (from, pages) in &to {
            for page in pages {
                *next.entry(*page).or_default() += ranks[from] / pages.len() as f64;
            }
        }
        let base = (1.0 - 0.85 * next.values().sum::<f64>()) / count;
        next.values_mut()
            .for_each(|rank| *rank = base + 0.85 * *rank);
        ranks = next;
    }
    assert!((ranks.values().sum::<f64>() - 1.0).abs() < 1e-9);
    let mut expected: Vec<_> = ranks.into_iter().collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    for executor in &EXECUTORS[usize::from(!all_settings())..] {
        let options = ["--rounds", "12", "--top", "20", "--executor", executor];
        let printed = stdout("page_rank", options);
        let ranks = printed
            .lines()
            .map(|line| line.split_once('\t').expect("a tab"));
        assert_eq!(ranks.clone().count(), 20);
        for ((page, rank), expected) in ranks.zip(&expected) {
            let difference = rank.parse::<f64>().expect("a number") - expected.1;
            assert_eq!(page, expected.0.to_string(), "on {executor}");
            assert!(difference.abs() < 2e-9, "on {executor}: {page} {rank}");
        }
    }
}

#[test]
fn k_means_finds_centres() {
    let text = dataset("records/points.csv");
    let pairs = text.lines().filter_map(|line| line.split_once(','));
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let points: Vec<_> = pairs.map(|(x, y)| (number(x), number(y))).collect();
    let mut centers = points[..4].to_vec();
    let sums = loop {
        let mut sums = [(0.0, 0.0, 0); 4];
        for point in &points {
            let distance = |c: &(f64, f64)| (c.0 - point.0).powi(2) + (c.1 - point.1).powi(2);
            let order =
                |a: &usize, b: &usize| distance(&centers[*a]).total_cmp(&distance(&centers[*b]));
            let sum = &mut sums[(0..4).min_by(order).expect("four centres")];
            *sum = (sum.0 + point.0, sum.1 + point.1, sum.2 + 1);
        }
        let moved: Vec<_> = sums
            .iter()
            .map(|(x, y, n)| (x / f64::from(*n), y / f64::from(*n)))
            .collect();
        let is_near =
            |(a, b): (&(f64, f64), &(f64, f64))| (a.0 - b.0).abs() + (a.1 - b.1).abs() < 1e-9;
        if moved.iter().zip(&centers).all(is_near) {
            break sums;
        }
        centers = moved;
    };
    for executor in &EXECUTORS[usize::from(!all_settings())..] {
        let printed = stdout("k_means", ["--clusters", "4", "--executor", executor]);
        assert_eq!(printed.lines().count(), 4);
        for (line, sum) in printed.lines().zip(&sums) {
            let numbers: Vec<f64> = line.split('\t').map(number).collect();
            let [x, y, n] = numbers[..] else {
                panic!("{line}")
            };
            assert_eq!(n, f64::from(sum.2), "on {executor}");
            assert!(
                (x - sum.0 / n).abs() < 1e-5 && (y - sum.1 / n).abs() < 1e-5,
                "on {executor}"
            );
        }
    }
}

/// A request to a web server.
struct Request {
    time: u64,
    address: String,
    path: String,
    status: u16,
    bytes: u64,
}

fn requests() -> Vec<Request> {
    let request = |line: &str| {
        let fields: Vec<_> = line.split(' ').collect();
        let number = |index: usize| fields[index].parse::<u64>().expect("a number");
        Request {
            time: number(0),
            address: fields[1].to_owned(),
            path: fields[3].to_owned(),
            status: number(4) as u16,
            bytes: number(5),
        }
    };
    dataset("records/requests.txt")
        .lines()
        .map(request)
        .collect()
}

#[test]
fn sessions_end_after_a_pause() {
    let mut times = BTreeMap::<_, Vec<u64>>::new();
    for request in requests() {
        times.entry(request.address).or_default().push(request.time);
    }
    let mut sessions = Vec::new();
    for (address, times) in &times {
        assert!(times.is_sorted());
        for session in times.chunk_by(|a, b| b - a <= 1800) {
            let seconds = session[session.len() - 1] - session[0];
            sessions.push((seconds, session.len(), address));
        }
    }
    sessions.sort_by(|a, b| b.cmp(a));
    let mut expected = format!("{} sessions\n", sessions.len());
    for (seconds, requests, address) in &sessions[..7] {
        writeln!(expected, "{seconds} {requests} {address}").expect("memory");
    }
    assert_prints("sessions", &["--top", "7"], &expected);
}

#[test]
fn near_duplicates_are_found_without_comparing_all_lines() {
    let text = dataset("records/notes.txt");
    let lines: Vec<HashSet<_>> = text.lines().map(|line| line.split(' ').collect()).collect();
    let mut expected = String::new();
    for (i, a) in lines.iter().enumerate() {
        for (j, b) in lines.iter().enumerate().skip(i + 1) {
            let similarity = a.intersection(b).count() as f64 / a.union(b).count() as f64;
            if similarity >= 0.6 {
                writeln!(expected, "{}\t{}\t{similarity:.3}", i + 1, j + 1).expect("memory");
            }
        }
    }
    assert!(expected.lines().count() > 100);
    assert_prints("near_duplicates", &[], &expected);
}

#[test]
fn triangles_are_counted_once() {
    let mut neighbours = BTreeMap::<u32, BTreeSet<u32>>::new();
    for (a, b) in links() {
        if a != b {
            neighbours.entry(a).or_default().insert(b);
            neighbours.entry(b).or_default().insert(a);
        }
    }
    let mut count = 0;
    let mut nodes = BTreeMap::<u32, u64>::new();
    for (a, of_a) in &neighbours {
        for b in of_a.range(a + 1..) {
            for c in of_a.range(b + 1..).filter(|c| neighbours[b].contains(c)) {
                count += 1;
                for node in [a, b, c] {
                    *nodes.entry(*node).or_default() += 1;
                }
            }
        }
    }
    let mut nodes: Vec<_> = nodes.into_iter().collect();
    nodes.sort_by_key(|(node, count)| (Reverse(*count), *node));
    let mut expected = format!("{count} triangles\n");
    for (node, count) in &nodes[..9] {
        writeln!(expected, "{node}\t{count}").expect("memory");
    }
    assert_prints("triangles", &["--top", "9"], &expected);
}

#[test]
fn log_analysis_summarises() {
    let requests = requests();
    let failed = |request: &&Request| request.status >= 500;
    let bytes: u64 = requests.iter().map(|request| request.bytes).sum();
    let addresses: HashSet<_> = requests.iter().map(|request| &request.address).collect();
    let mut expected = format!(
        "{} requests, {} failed, {bytes} bytes, {} addresses\n",
        requests.len(),
        requests.iter().filter(failed).count(),
        addresses.len()
    );
    let mut hours = BTreeMap::<_, u64>::new();
    let mut paths = BTreeMap::<_, Vec<&Request>>::new();
    for request in &requests {
        *hours.entry(request.time / 3600 % 24).or_default() += 1;
        paths.entry(&request.path).or_default().push(request);
    }
    for (hour, count) in hours {
        writeln!(expected, "{hour:02}:00 {count}").expect("memory");
    }
    let mut paths: Vec<_> = paths.into_iter().collect();
    paths.sort_by_key(|(path, requests)| (Reverse(requests.len()), *path));
    for (path, requests) in &paths[..6] {
        let failed = requests.iter().copied().filter(failed).count();
        let bytes: u64 = requests.iter().map(|request| request.bytes).sum();
        let mean = bytes as f64 / requests.len() as f64;
        writeln!(expected, "{} {failed} {mean:.1} {path}", requests.len()).expect("memory");
    }
    assert_prints("log_analysis", &["--top", "6"], &expected);
}

#[test]
fn top_per_group_ranks_words_of_each_length() {
    let text = [dataset("about.txt"), dataset("zipf.txt")].join("\n");
    let mut counts = BTreeMap::<_, u64>::new();
    for word in text.split_ascii_whitespace() {
        *counts.entry(word).or_default() += 1;
    }
    let mut lengths = BTreeMap::<_, Vec<_>>::new();
    for (word, count) in counts {
        lengths
            .entry(word.chars().count())
            .or_default()
            .push((Reverse(count), word));
    }
    let mut expected = String::new();
    for (length, mut words) in lengths {
        words.sort();
        let words = words
            .iter()
            .take(3)
            .map(|(Reverse(count), word)| format!(" {word}:{count}"));
        writeln!(expected, "{length}{}", words.collect::<String>()).expect("memory");
    }
    assert_prints("top_per_group", &[], &expected);
}

/// The datasets are those that the commands in datasets/README.md generate.
#[test]
fn generated_records_are_those_of_the_datasets() {
    let files = Files::new();
    let readme = dataset("README.md");
    let commands = readme
        .lines()
        .filter_map(|line| line.split_once("--example generate_records -- "));
    let mut count = 0;
    for (_, arguments) in commands {
        let mut arguments: Vec<_> = arguments.split(' ').collect();
        let name = arguments
            .pop()
            .and_then(|path| path.strip_prefix("datasets/"));
        let Some(name) = name else { continue };
        let path = files.path("generated");
        arguments.push(path.to_str().expect("UTF-8"));
        assert_eq!(stdout("generate_records", arguments), "");
        assert!(
            fs::read_to_string(&path).expect("a text") == dataset(name),
            "{name}"
        );
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn the_programs_of_the_cookbook_are_short() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cookbook = fs::read_to_string(root.join("docs/cookbook.md")).expect("a text");
    let programs = cookbook
        .split("`examples/")
        .skip(1)
        .filter_map(|rest| rest.split_once('`'));
    let programs: BTreeSet<_> = programs.map(|(name, _)| name).collect();
    assert_eq!(programs.len(), 9);
    for name in programs {
        let text = fs::read_to_string(root.join("examples").join(name)).expect("a program");
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        let lines = text.lines().filter(is_code).count();
        assert!(lines < MAX_LINES, "{name}: {lines} lines");
    }
}
