//! Finds the words that are characteristic of each document, by tf-idf.
//!
//! ```text
//! cargo run --release --example tf_idf -- --top 5
//! ```

mod options;

use std::io;
use std::process::ExitCode;

use options::Options;

const USAGE: &str = "tf_idf [--top N] [--executor inline|threads|threads:N|processes:N] [--memory SIZE] [PATH...]

Prints, for each line TITLE<TAB>TEXT of the files (default: datasets/fables.tsv), the title and the N words (default: 3)
with the highest tf-idf: number in this text times ln(texts / texts with the word).";

fn main() -> ExitCode {
    holdall::init();
    options::run(USAGE, tf_idf)
}

fn tf_idf(mut options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let top = options.number("--top")?.unwrap_or(3);
    let context = options.context()?;
    let paths = options.paths_or_dataset("fables.tsv")?;

    let texts = context
        .read_text(paths)?
        .parse_fields::<(String, String)>('\t');
    let count = texts.count()? as f64;
    let words = texts.flat_map_emit(|(title, text), emit| {
        let words = text.split(|c: char| !c.is_alphabetic());
        for word in words.filter(|word| !word.is_empty()) {
            emit((word.to_lowercase(), title.clone()));
        }
    });
    let terms = words
        .count_by_value()
        .map(|((word, title), n)| (word, (title, n)));
    let texts_with = terms.clone().count_by_key();
    let scores = terms.join(texts_with).with(count);
    let scores = scores.map(|count, (word, ((title, n), texts_with))| {
        (title, (n as f64 * (count / texts_with as f64).ln(), word))
    });
    let best = scores
        .per_key()
        .top_by(top, |(score, word), (other, than)| {
            score.total_cmp(other).then_with(|| than.cmp(word))
        });
    let lines = best
        .sort_by(|(a, _), (b, _)| a.cmp(b))
        .map(|(title, words)| {
            let words: Vec<_> = words.into_iter().map(|(_, word)| word).collect();
            format!("{title}: {}", words.join(" "))
        });
    lines.write_to(io::stdout().lock())?;
    Ok(())
}
