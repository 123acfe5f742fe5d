//! Transformations of text are those of std for every type of text, and those of the tools of the system.

use std::io::Write;
use std::process::{Command, Stdio};

use holdall::{Bag, Context, Pipeline, Result, Text};

use crate::common::{Files, on_every_executor_and_processes};

const LINES: [&str; 9] = [
    "To be, or not to be:",
    "",
    "  that is  the question.\t",
    "::",
    "ÉTÉ maß",
    "a::b:c",
    "to",
    ":",
    "error: To be",
];

/// Returns the results of all methods for text, as text.
fn all_tools<T: Text + ?Sized, P: Pipeline<Out = T>>(text: &Bag<T, P>) -> Result<Vec<Vec<String>>> {
    fn texts<T: Text + ?Sized, P: Pipeline<Out = T>>(bag: Bag<T, P>) -> Result<Vec<String>> {
        let owned =
            bag.map(|record| String::from_utf8_lossy(T::peek(&record).as_ref()).into_owned());
        owned.collect()
    }
    let text = || text.clone();
    Ok(vec![
        texts(text().split(":"))?,
        texts(text().split("::"))?,
        texts(text().field(1, ":"))?,
        texts(text().field(0, "::"))?,
        texts(text().trim())?,
        texts(text().containing_any(["to", "question"]))?,
        texts(text().containing_any([""; 0]))?,
        texts(text().not_containing(":"))?,
        texts(text().map_str(|line| line))?,
        texts(text().filter_map_str(|_| None))?,
        texts(text().with(1).map_str(|_, line| line))?,
        texts(text().with(1).filter_map_str(|_, line| Some(line)))?,
        texts(text().as_text())?,
    ])
}

fn expected() -> Vec<Vec<String>> {
    let lines = || LINES.iter().copied();
    let all = |lines: &mut dyn Iterator<Item = &'static str>| lines.map(str::to_owned).collect();
    vec![
        all(&mut lines().flat_map(|line| line.split(':'))),
        all(&mut lines().flat_map(|line| line.split("::"))),
        all(&mut lines().filter_map(|line| line.split(':').nth(1))),
        all(&mut lines().filter_map(|line| line.split("::").next())),
        all(&mut lines().map(str::trim)),
        all(&mut lines().filter(|line| line.contains("to") || line.contains("question"))),
        Vec::new(),
        all(&mut lines().filter(|line| !line.contains(':'))),
        all(&mut lines()),
        Vec::new(),
        all(&mut lines()),
        all(&mut lines()),
        all(&mut lines()),
    ]
}

#[test]
fn every_type_of_text_has_the_same_tools() {
    on_every_executor_and_processes(|context| {
        let owned = context.from_vec_partitioned(LINES.map(str::to_owned).to_vec(), 4);
        let bytes = || owned.clone().map(String::into_bytes);
        let slices = owned.clone().as_text();
        assert_eq!(all_tools(&owned).unwrap(), expected());
        assert_eq!(all_tools(&slices).unwrap(), expected());
        assert_eq!(all_tools(&bytes()).unwrap(), expected());
        assert_eq!(all_tools(&bytes().as_text()).unwrap(), expected());
        let empty = context.empty::<String>();
        assert!(all_tools(&empty).unwrap().concat().is_empty());

        let lower = LINES.map(str::to_lowercase);
        assert_eq!(owned.clone().to_lowercase().collect().unwrap(), lower);
        let upper = LINES.map(str::to_uppercase);
        assert_eq!(slices.clone().to_uppercase().collect().unwrap(), upper);
        let ascii = LINES.map(|line| line.to_ascii_lowercase().into_bytes());
        assert_eq!(bytes().to_lowercase().collect().unwrap(), ascii);
        let ascii = LINES.map(|line| line.to_ascii_uppercase().into_bytes());
        assert_eq!(bytes().as_text().to_uppercase().collect().unwrap(), ascii);
        assert_eq!(slices.into_owned().collect().unwrap(), LINES);
    });
}

#[test]
fn closures_return_parts_of_their_record() {
    on_every_executor_and_processes(|context| {
        let lines = || context.from_vec(LINES.map(str::to_owned).to_vec());
        let firsts = lines().map_str(|line| line.split(' ').next().unwrap_or(line));
        let expected = LINES.map(|line| line.split(' ').next().unwrap_or(line));
        assert_eq!(firsts.collect().unwrap(), expected);
        let rests = lines()
            .with(' ')
            .filter_map_str(|at, line| Some(line.split_once(*at)?.1));
        let expected: Vec<_> = LINES
            .iter()
            .filter_map(|line| Some(line.split_once(' ')?.1))
            .collect();
        assert_eq!(rests.collect().unwrap(), expected);
    });
}

#[test]
#[should_panic(expected = "a delimiter of at least 1 character")]
fn an_empty_delimiter_panics() {
    drop(holdall::from_vec(vec![String::new()]).split(""));
}

/// Returns the output of a program of the system, which must be installed.
fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("`{program}` must be installed: {error}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    let _ = writer.join();
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Compares with `wc`, `tr`, `cut`, `grep`, `sort` and `uniq` on a text with words that repeat.
#[test]
fn the_tools_of_the_system_agree() -> Result<()> {
    let words = ["alpha", "Beta", "gamma", "DELTA", "", "epsilon"];
    let line = |n: usize| {
        let words = (0..n % 7).map(|k| words[(n * n + k * 5) % words.len()]);
        words.collect::<Vec<_>>().join(":")
    };
    let text: String = (0..3000).map(|n| line(n) + "\n").collect();
    let files = Files::new();
    let context = Context::builder().threads(2).build()?;
    let read = || context.read_text(files.write("text", &text));
    let output = |bag: Bag<str>| -> Result<String> {
        let mut output = Vec::new();
        bag.write_to(&mut output)?;
        Ok(String::from_utf8(output).expect("UTF-8"))
    };

    let counts = run("wc", &["-lw"], &text);
    let counts: Vec<u64> = counts
        .split_whitespace()
        .map(|n| n.parse().expect("a number"))
        .collect();
    assert_eq!(counts, [read()?.count()?, read()?.words().count()?]);
    assert_eq!(
        output(read()?.to_uppercase().boxed())?,
        run("tr", &["a-z", "A-Z"], &text)
    );
    let second = run("cut", &["-d:", "-f2", "-s"], &text);
    assert_eq!(output(read()?.field(1, ":").boxed())?, second);
    let parts = run("tr", &[":", "\n"], &text);
    assert_eq!(output(read()?.split(":").boxed())?, parts);
    let matches = run("grep", &["-c", "gamma"], &text);
    assert_eq!(
        format!("{}\n", read()?.containing("gamma").count()?),
        matches
    );
    let any = run("grep", &["-e", "Beta", "-e", "DELTA"], &text);
    assert_eq!(
        output(read()?.containing_any(["Beta", "DELTA"]).boxed())?,
        any
    );
    let others = run("grep", &["-v", "alpha"], &text);
    assert_eq!(output(read()?.not_containing("alpha").boxed())?, others);
    let sorted = run("sort", &["-u"], &text);
    assert_eq!(output(read()?.sort().dedup().boxed())?, sorted);
    let counted = run("uniq", &["-c"], &run("sort", &[], &text));
    let ours = read()?
        .sort()
        .dedup_with_count()
        .map(|(line, count)| format!("{count:7} {line}"));
    assert_eq!(output(ours.as_text().boxed())?, counted);
    let last = run("tail", &["-n", "1"], &text);
    assert_eq!(read()?.last()?.map(|line| line + "\n"), Some(last));
    Ok(())
}
