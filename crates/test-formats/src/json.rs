//! Records of any form, as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use holdall::{Context, CsvReader, Error, Result};
use holdall_arrow::ArrowContext;
use holdall_avro::AvroContext;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, value};

use crate::Format;

/// A value of any form, as JSON. Bytes are a list of numbers, and a number that JSON lacks is null.
#[derive(Serialize)]
struct Json(Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_transcode::transcode(deserializer, value::Serializer);
        value.map(Self).map_err(D::Error::custom)
    }
}

/// The columns of a row, by their names.
type Columns = BTreeMap<String, Json>;

/// Returns a record as a line of text, which tasks can send.
pub(crate) fn line<T: Serialize>(record: T) -> String {
    serde_json::to_string(&record).expect("a record is JSON")
}

/// Returns the records of a file, whatever their form.
///
/// # Errors
///
/// Returns the same errors as the reader of the format.
pub fn read_sample(format: Format, context: &Context, path: &Path) -> Result<Vec<Value>> {
    let lines = match format {
        Format::Csv => {
            let reader = CsvReader::new().context(context).has_headers(false);
            reader.read::<Vec<String>>(path)?.map(line).collect()?
        }
        Format::Parquet => context.read_parquet::<Columns>(path)?.map(line).collect()?,
        Format::Arrow => context.read_arrow::<Columns>(path)?.map(line).collect()?,
        Format::Avro => context.read_avro::<Json>(path)?.map(line).collect()?,
        Format::Text | Format::Gzip | Format::Zstd | Format::Json => {
            context.read_json::<Json>(path)?.map(line).collect()?
        }
    };
    let values = lines.iter().map(|line| serde_json::from_str(line));
    values.collect::<Result<_, _>>().map_err(Error::other)
}
