//! Text as bytes: byte ranges of files, blocks of whole records, and lines, words and fields.
//!
//! ```text
//! InputFile ─plan─> Portion ──SplitReader──> TextBlock ─for_each_text─> lines, words, fields
//!                      └────TextPieces────┘
//! ```
//!
//! `format` and `compression` recognise and decode the formats of files. `streams` and `version` ensure that parts of a
//! file, or repeated reads of it, are of the same content.
//!
//! A record is a part of a text that ends with the delimiter: a line, by default. This folder does not depend on how
//! records are used.

mod block;
mod compression;
#[cfg(feature = "csv")]
mod csv_syntax;
mod decimal;
mod decoded;
mod delimiter;
mod divide;
mod fields;
#[cfg(feature = "json")]
mod flat_json;
mod format;
mod line_number;
mod lines;
mod mask;
#[cfg(feature = "regex")]
mod matching;
mod options;
mod pieces;
mod planned;
mod search;
mod source;
mod split;
mod split_reader;
mod start;
mod streams;
#[cfg(feature = "encodings")]
mod transcoder;
mod utf8;
mod version;
mod words;

pub(crate) use compression::Helpers;
#[cfg(feature = "csv")]
pub(crate) use csv_syntax::{CsvState, CsvSyntax};
pub(crate) use delimiter::Delimiter;
pub(crate) use divide::plan;
pub(crate) use line_number::line_at;
pub(crate) use lines::{count_lines, for_each_byte_line, for_each_line};
#[cfg(feature = "regex")]
pub(crate) use matching::TextRegex;
pub(crate) use options::TextOptions;
pub(crate) use pieces::{TextPiece, TextPieces};
pub(crate) use search::{Needle, for_each_match};
pub(crate) use split::{Portion, Split};
pub(crate) use split_reader::SplitReader;
#[cfg(feature = "csv")]
pub(crate) use start::BYTE_ORDER_MARK;
pub(crate) use start::TextBlock;
pub(crate) use utf8::for_each_text;
pub(crate) use words::{for_each_byte_word, for_each_word};

#[cfg(feature = "csv")]
pub(crate) use fields::{Columns, FieldRecords};
pub(crate) use fields::{Fields, TextKind};
pub use fields::{FieldsError, parse_fields};
#[cfg(feature = "json")]
pub(crate) use flat_json::FlatJson;
pub use options::InvalidUtf8;
#[cfg(feature = "csv")]
pub(crate) use source::is_plain_file;
