//! Why a line of fields is not what was asked for.

use std::fmt;

use serde::de::{Error, Expected};

use super::Fields;

/// How much of a field is shown.
const SHOWN_CHARS: usize = 80;

/// Why a line of fields is not the value that was asked for.
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
    /// Whether a length is wrong, as the type says: that of a text, or the number of fields that were left for it.
    is_of_length: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Problem {
    Missing,
    Surplus,
    Unread { text: String, reason: String },
}

impl FieldsError {
    /// The number of the field, from 1: of the one that cannot be read, is missing, or is the first one too many.
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

    /// With its field: the last one of the current record that was taken, or the one after it.
    #[cold]
    pub(super) fn in_record(mut self, fields: &Fields<'_>) -> Self {
        let taken = fields.taken();
        if self.0.is_of_length && fields.ran_out {
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

/// What types say that are not content with what they get.
impl Error for FieldsError {
    #[cold]
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self::unread(reason)
    }

    /// Types of several fields say so when fields run out.
    #[cold]
    fn invalid_length(len: usize, expected: &dyn Expected) -> Self {
        let mut error = Self::custom(format_args!("invalid length {len}, expected {expected}"));
        error.0.is_of_length = true;
        error
    }
}
