//! Reading of CSV: options, and the schema of the files.

use std::io::BufReader;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use holdall::files::InputFile;
use holdall::{Context, Error, IntoInputs, Result};
use regex::Regex;

use crate::csv_source::CsvOptions;
use crate::failure::in_file;
use crate::files::{Files, Format, TableFile};
use crate::frame::Frame;
use crate::schema::merged;

/// Number of rows from which the types of columns are inferred, in all files together.
const SAMPLE_ROWS: usize = 20_000;

/// Minimum and maximum number of rows of a file that are part of the sample.
const ROWS_OF_FILE: (usize, usize) = (20, 1_000);

/// Reads CSV files with other options than [`read_csv`](crate::read_csv).
///
/// # Examples
///
/// ```
/// use holdall_frame::CsvReader;
///
/// # let dir = tempfile::tempdir().unwrap();
/// # std::env::set_current_dir(&dir).unwrap();
/// std::fs::write("planes.csv", "tailnum;seats\nN10156;55\nN102UW;NA\n")?;
/// let planes = CsvReader::new().delimiter(b';').nulls(["NA"]).read("planes.csv")?;
/// let rows: Vec<(String, Option<i64>)> = planes.collect()?;
/// assert_eq!(rows[1], ("N102UW".to_owned(), None));
/// # Ok::<(), holdall::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a reader does nothing until it is given files"]
pub struct CsvReader {
    context: Option<Context>,
    options: CsvOptions,
    schema: Option<SchemaRef>,
}

impl Default for CsvReader {
    fn default() -> Self {
        Self {
            context: None,
            options: CsvOptions {
                delimiter: b',',
                quote: b'"',
                has_headers: true,
                nulls: None,
                line_ends_in_quotes: false,
                sorted_by: None,
            },
            schema: None,
        }
    }
}

impl CsvReader {
    /// Creates a reader with the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the context, whose jobs compute the frame, and whose file systems have the files. Default: the default
    /// context.
    pub fn context(mut self, context: &Context) -> Self {
        self.context = Some(context.clone());
        self
    }

    /// Sets the byte between fields. Default: a comma.
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.options.delimiter = delimiter;
        self
    }

    /// Sets the byte around fields with special characters. Default: `"`.
    pub fn quote(mut self, quote: u8) -> Self {
        self.options.quote = quote;
        self
    }

    /// Sets whether the first line of each file has the names of the columns. Without them, the names are `column_1`,
    /// `column_2`, and so on. Default: `true`.
    pub fn has_headers(mut self, has_headers: bool) -> Self {
        self.options.has_headers = has_headers;
        self
    }

    /// Sets texts that are nulls, such as `NA`. An empty field is always null.
    pub fn nulls<S: AsRef<str>>(mut self, texts: impl IntoIterator<Item = S>) -> Self {
        let texts = texts.into_iter().map(|text| regex::escape(text.as_ref()));
        let pattern = texts.fold("^(?:".to_owned(), |pattern, text| pattern + "|" + &text) + ")$";
        // The texts are escaped, so that the pattern is valid.
        self.options.nulls = Regex::new(&pattern).ok();
        self
    }

    /// Sets whether fields in quotes may have line ends. Each file is then read by one thread. Default: `false`.
    pub fn line_ends_in_quotes(mut self, allowed: bool) -> Self {
        self.options.line_ends_in_quotes = allowed;
        self
    }

    /// Sets the names and types of the columns. Default: they are inferred.
    pub fn schema(mut self, schema: SchemaRef) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Returns a frame with the rows of the files, which may be compressed. Reads the first rows of each file, and no more.
    ///
    /// The content of a file determines its compression, which is one of those of [`read_text`](holdall::read_text). A
    /// compressed file is read by one thread.
    ///
    /// The types of the columns are those that fit the first rows of all files: 1,000 rows of each, or fewer if there are
    /// more than 20 files. A value that does not fit, in a later row, is an error of the job that reads it; the error names
    /// the file and the line. Set a [`schema`](Self::schema) to avoid it.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Context::find_files`], and an error with the name of the file if its columns are not those
    /// of the first file, or if it is no CSV.
    pub fn read(&self, inputs: impl IntoInputs) -> Result<Frame> {
        let context = self.context.clone().unwrap_or_default();
        let files = context.find_files(inputs)?;
        let (least, most) = ROWS_OF_FILE;
        let rows = (SAMPLE_ROWS / files.len().max(1)).clamp(least, most);
        let mut schema = None;
        for file in &files {
            let found = self
                .infer(file, rows)
                .map_err(|error| in_file(file.path(), error))?;
            let first: &SchemaRef = schema.get_or_insert_with(|| Arc::clone(&found));
            let merged = merged(first, &found, common_type);
            schema = Some(merged.map_err(|error| in_file(file.path(), error))?);
        }
        let schema = schema.map_or_else(|| Arc::new(Schema::empty()), |schema| typed(&schema));
        let schema = match &self.schema {
            Some(given) if given.fields().len() == schema.fields().len() => Arc::clone(given),
            Some(given) => {
                let (given, found) = (given.fields().len(), schema.fields().len());
                let message = format!("the schema has {given} columns, but the files have {found}");
                return Err(Error::other(message));
            }
            None => schema,
        };
        let files = files.into_iter().map(|file| {
            Ok(TableFile {
                is_compressed: file.is_compressed()?,
                statistics: None,
                file,
            })
        });
        let files = Files {
            schema,
            format: Format::Csv(Arc::new(self.options.clone())),
            files: files.collect::<Result<_>>()?,
        };
        Frame::of_table(&context, Arc::new(files))
    }

    fn infer(&self, file: &InputFile, rows: usize) -> Result<SchemaRef, holdall::BoxError> {
        let format = self.options.format(self.options.has_headers);
        let reader = BufReader::new(file.open_decoded()?);
        let (schema, _) = format.infer_schema(reader, Some(rows))?;
        Ok(Arc::new(schema))
    }
}

/// Returns the type for the values of both types of a column.
fn common_type(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{Date32, Float64, Int64, Null, Timestamp, Utf8};
    Some(match (a, b) {
        _ if a == b => a.clone(),
        (Null, other) | (other, Null) => other.clone(),
        (Int64, Float64) | (Float64, Int64) => Float64,
        (Date32, Timestamp(unit, _)) | (Timestamp(unit, _), Date32) => Timestamp(*unit, None),
        (Timestamp(a, _), Timestamp(b, _)) => Timestamp(finer(*a, *b), None),
        _ => Utf8,
    })
}

fn finer(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    a.max(b)
}

/// Gives a type to the columns without values, which may all be null.
fn typed(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| match field.data_type() {
        DataType::Null => Field::new(field.name(), DataType::Utf8, true),
        other => Field::new(field.name(), other.clone(), true),
    };
    Arc::new(Schema::new(
        schema.fields().iter().map(field).collect::<Vec<_>>(),
    ))
}
