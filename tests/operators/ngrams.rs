//! N-grams cross the ends of lines and partitions, but not of files.

use std::path::PathBuf;

use flate2::Compression;
use holdall::{Context, Result, TextReader};

use crate::common::{Files, gzip, on_every_executor_and_processes};

const TEXTS: [&str; 6] = [
    "to be or\nnot\n\n to be\tthat is\nthe question\n",
    "",
    "one",
    "\n\n",
    "\u{feff}two\nwords",
    "a b c d e f g h i j k l m n o p\nq r s t u v w x y z",
];

/// Returns the n-grams of each text, in the order of the files.
fn expected(n: usize, words_of: fn(&str) -> Vec<String>) -> Vec<String> {
    let of_text = |text: &&str| {
        let words = words_of(text.trim_start_matches('\u{feff}'));
        let grams = words.windows(n).map(|gram| gram.join(" "));
        grams.collect::<Vec<_>>()
    };
    TEXTS.iter().flat_map(of_text).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn long_words(text: &str) -> Vec<String> {
    let words = words(text).into_iter();
    words.filter(|word| word.len() > 2).collect()
}

fn assert_ngrams(context: &Context, paths: &[PathBuf]) -> Result<()> {
    for bytes in [1, 7, 40, 1 << 20] {
        let reader = TextReader::new().context(context).partition_bytes(bytes);
        for n in [1, 2, 3, 5, 100] {
            let grams = expected(n, words);
            assert_eq!(
                reader.read(paths)?.ngrams(n).collect()?,
                grams,
                "{n}, {bytes}"
            );
            let of_bytes = reader.read_bytes(paths)?.ngrams(n).collect()?;
            assert_eq!(
                of_bytes,
                grams.iter().map(|gram| gram.as_bytes()).collect::<Vec<_>>()
            );
        }
        let pairs = reader
            .read(paths)?
            .with(2)
            .ngrams_by(2, |least, line, emit| {
                line.split(' ')
                    .flat_map(|part| part.split('\t'))
                    .for_each(|word| {
                        // Empty words are left out.
                        emit(if word.len() > *least { word } else { "" });
                    });
            });
        assert_eq!(pairs.collect()?, expected(2, long_words));
        let upper = reader.read(paths)?.ngrams_by(3, |line: &str, emit| {
            line.split_whitespace()
                .for_each(|word| emit(&word.to_uppercase()));
        });
        assert_eq!(
            upper.collect()?,
            expected(3, |text| words(&text.to_uppercase()))
        );
    }
    Ok(())
}

#[test]
fn ngrams_are_the_windows_of_each_file() {
    let files = Files::new();
    let paths = TEXTS.iter().enumerate();
    let paths: Vec<_> = paths
        .map(|(n, text)| files.write(&n.to_string(), text))
        .collect();
    on_every_executor_and_processes(move |context| assert_ngrams(context, &paths).unwrap());
}

/// A large compressed file is read in pieces.
#[test]
fn ngrams_cross_the_pieces_of_a_stream() {
    // 4.4 MiB, and a piece has 4 MiB.
    const WORDS: u64 = 11_500;
    let files = Files::new();
    let text: String = (0..WORDS).map(|n| format!("{n:0400}\n")).collect();
    let text = gzip(text.as_bytes(), Compression::none());
    let paths = ["a", "b"].map(|name| files.write(name, &text));
    on_every_executor_and_processes(move |context| {
        let text = context.read_text(&paths[..]).unwrap();
        assert_eq!(text.partitions(), None);
        let pairs = text.ngrams(2).with(WORDS).map(|words, pair| {
            let (first, second) = pair.split_once(' ').unwrap_or_default();
            let [first, second] = [first, second].map(|word| word.parse::<u64>());
            first.is_ok_and(|n| n + 1 < *words && second == Ok(n + 1))
        });
        let counts = pairs.count_by_value().collect().unwrap();
        assert_eq!(counts, [(true, 2 * (WORDS - 1))]);
    });
}

#[test]
#[should_panic(expected = "an n-gram of at least 1 word")]
fn no_words_are_no_ngram() {
    let files = Files::new();
    let path = files.write("text", "");
    drop(holdall::read_text(path).unwrap().ngrams(0));
}
