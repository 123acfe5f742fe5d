//! The formats that holdall writes, behind one interface, and records for the tests of all of them.

mod json;

use std::path::Path;

use apache_avro::AvroSchema;
use holdall::{
    Bag, Boxed, Compression, Context, CsvWriter, JsonWriter, Pipeline, Result, TextWriter, Written,
};
use holdall_arrow::{ArrowContext, ArrowWriter, ParquetWriter};
use holdall_avro::{AvroContext, AvroWriter};
use serde::{Deserialize, Serialize};

pub use json::read_sample;

/// A record that every format can hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, AvroSchema)]
pub struct Row {
    /// The number of the row minus 500.
    pub id: i64,
    /// A text that formats of text must quote or escape.
    pub name: String,
    /// A quarter of the number, unless that is divisible by three.
    pub amount: Option<f64>,
    /// Whether the number is even.
    pub flag: bool,
}

const NAMES: [&str; 5] = [
    "plain",
    "a \"quoted\", name",
    "two\nlines",
    "naïve ☃",
    "\ttab\\",
];

/// Returns the row with this number. `peers.py` has the same rows.
#[must_use]
pub fn row(number: u32) -> Row {
    Row {
        id: i64::from(number) - 500,
        name: format!("{} {number}", NAMES[number as usize % NAMES.len()]),
        amount: (!number.is_multiple_of(3)).then_some(f64::from(number) / 4.0),
        flag: number.is_multiple_of(2),
    }
}

/// A format, or plain or compressed lines of text, which are JSON here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Plain text.
    Text,
    /// Text that is compressed with gzip.
    Gzip,
    /// Text that is compressed with zstd.
    Zstd,
    /// CSV with a header.
    Csv,
    /// JSON lines.
    Json,
    /// Parquet.
    Parquet,
    /// Arrow IPC files.
    Arrow,
    /// Avro.
    Avro,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 8] = [
        Self::Text,
        Self::Gzip,
        Self::Zstd,
        Self::Csv,
        Self::Json,
        Self::Parquet,
        Self::Arrow,
        Self::Avro,
    ];

    /// Returns the name, which `peers.py` also uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Avro => "avro",
        }
    }

    /// Writes rows, and replaces an old output.
    ///
    /// # Errors
    ///
    /// Returns the same errors as the writer of the format.
    pub fn write<P>(self, rows: &Bag<Row, P>, path: &Path) -> Result<Written>
    where
        P: Pipeline<Out = Row>,
    {
        let text = TextWriter::new().overwrite(true);
        let lines = rows.clone().map(json::line);
        match self {
            Self::Text => text.write(&lines, path),
            Self::Gzip => text.compression(Compression::Gzip).write(&lines, path),
            Self::Zstd => text.compression(Compression::Zstd).write(&lines, path),
            Self::Csv => CsvWriter::new().overwrite(true).write(rows, path),
            Self::Json => JsonWriter::new().overwrite(true).write(rows, path),
            Self::Parquet => ParquetWriter::new().overwrite(true).write(rows, path),
            Self::Arrow => ArrowWriter::new().overwrite(true).write(rows, path),
            Self::Avro => AvroWriter::new().overwrite(true).write(rows, path),
        }
    }

    /// Returns the rows of a file, or of the files in a directory.
    ///
    /// # Errors
    ///
    /// Returns the same errors as the reader of the format.
    pub fn read(self, context: &Context, path: &Path) -> Result<Bag<Row, Boxed<Row>>> {
        Ok(match self {
            Self::Text | Self::Gzip | Self::Zstd | Self::Json => context.read_json(path)?.boxed(),
            Self::Csv => context.read_csv(path)?.boxed(),
            Self::Parquet => context.read_parquet(path)?.boxed(),
            Self::Arrow => context.read_arrow(path)?.boxed(),
            Self::Avro => context.read_avro(path)?.boxed(),
        })
    }
}
