//! Errors of records of CSV.

use std::fmt;

use csv::{ByteRecord, DeserializeErrorKind, ErrorKind as CsvErrorKind};

/// The error of a record that cannot be mapped to the type.
///
/// It is the source of the [`ErrorKind::Read`](crate::ErrorKind::Read) that an action on the bag of a
/// [`CsvReader`](crate::CsvReader) returns.
#[derive(Debug)]
pub struct CsvError {
    field: Option<u64>,
    column: Option<String>,
    reason: String,
}

impl CsvError {
    /// Returns the number of the field in the record, counted from 1, if it is known.
    #[must_use]
    pub fn field(&self) -> Option<u64> {
        self.field
    }

    /// Returns the name of the column, if the file has a header.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        self.column.as_deref()
    }

    pub(super) fn of_record(reason: String) -> Self {
        Self {
            field: None,
            column: None,
            reason,
        }
    }

    pub(super) fn new(error: csv::Error, headers: Option<&ByteRecord>) -> Self {
        let CsvErrorKind::Deserialize { err, .. } = error.kind() else {
            return Self::of_record(error.to_string());
        };
        let name = |field: u64| headers?.get(usize::try_from(field).ok()?);
        let column = err.field().and_then(name);
        Self {
            field: err.field().map(|field| field + 1),
            column: column.map(|name| String::from_utf8_lossy(name).into_owned()),
            reason: err.kind().to_string() + &columns_beside(err.kind(), headers),
        }
    }
}

/// Returns the columns of a file that lacks a column, since a name in it may be misspelt, or the delimiter another one.
fn columns_beside(error: &DeserializeErrorKind, headers: Option<&ByteRecord>) -> String {
    const MAX_COLUMNS: usize = 20;
    match (error, headers) {
        (DeserializeErrorKind::Message(reason), Some(headers))
            if reason.starts_with("missing field") =>
        {
            let name = |name: &[u8]| format!("{:?}", String::from_utf8_lossy(name));
            let names: Vec<_> = headers.iter().take(MAX_COLUMNS).map(name).collect();
            let more = match headers.len() > MAX_COLUMNS {
                true => ", …",
                false => "",
            };
            format!("; the columns are {}{more}", names.join(", "))
        }
        _ => String::new(),
    }
}

impl fmt::Display for CsvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(field) = self.field {
            write!(f, "field {field}")?;
            if let Some(column) = &self.column {
                write!(f, " ({column})")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for CsvError {}
