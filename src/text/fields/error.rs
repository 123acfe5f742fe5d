//! The error for a line of fields that does not match the requested type.

use std::fmt;

use serde::de::{Error, Expected};

/// Maximum number of characters of a field that the error message shows.
const SHOWN_CHARS: usize = 80;

/// Reason that a line of fields cannot be parsed as the requested type.
///
/// # Examples
///
/// ```
/// let error = holdall::parse_fields::<(String, u32)>("ada,three", ',').unwrap_err();
/// assert_eq!(error.field(), 2);
/// assert_eq!(error.to_string(), r#"field 2, "three": invalid digit found in string"#);
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct FieldsError(Box<Misfit>);

#[derive(Debug, PartialEq, Eq)]
struct Misfit {
    field: usize,
    problem: Problem,
    /// `true` if the type has reported a wrong length, either of a text or of the sequence of the remaining fields.
    is_of_length: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Problem {
    Missing,
    Surplus,
    Unread { text: String, reason: String },
}

impl FieldsError {
    /// Returns the number of the field, counted from 1, that cannot be read, is missing, or is the first surplus one.
    #[must_use]
    pub fn field(&self) -> usize {
        self.0.field
    }

    #[cold]
    pub(super) fn missing() -> Self {
        Self::new(Problem::Missing)
    }

    #[cold]
    pub(super) fn surplus() -> Self {
        Self::new(Problem::Surplus)
    }

    #[cold]
    pub(super) fn unread(reason: impl fmt::Display) -> Self {
        let (text, reason) = (String::new(), reason.to_string());
        Self::new(Problem::Unread { text, reason })
    }

    fn new(problem: Problem) -> Self {
        Self(Box::new(Misfit {
            field: 0,
            problem,
            is_of_length: false,
        }))
    }

    /// Adds the number and the text of the field: the last of the fields of the record that were `taken`, or the one
    /// after it. `ran_out` states whether the type has requested more fields than the record has.
    pub(super) fn in_record(mut self, taken: &[&str], ran_out: bool) -> Self {
        if self.0.is_of_length && ran_out {
            self.0.problem = Problem::Missing;
        }
        self.0.field = match &mut self.0.problem {
            Problem::Missing | Problem::Surplus => taken.len() + 1,
            Problem::Unread { text, .. } => {
                *text = shown(taken.last().unwrap_or(&""));
                taken.len()
            }
        };
        self
    }
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl fmt::Display for FieldsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = self.0.field;
        match &self.0.problem {
            Problem::Missing => write!(f, "field {field} is missing"),
            Problem::Surplus => write!(f, "field {field} is one too many"),
            Problem::Unread { text, reason } => write!(f, "field {field}, {text:?}: {reason}"),
        }
    }
}

impl std::error::Error for FieldsError {}

/// Errors that types report while they are deserialised.
impl Error for FieldsError {
    #[cold]
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self::unread(reason)
    }

    /// Types with several fields call this if there are too few fields.
    #[cold]
    fn invalid_length(len: usize, expected: &dyn Expected) -> Self {
        let mut error = Self::custom(format_args!("invalid length {len}, expected {expected}"));
        error.0.is_of_length = true;
        error
    }
}
