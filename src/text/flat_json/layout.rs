//! The keys of JSON objects.

use super::cursor::JsonCursor;

/// The keys of an object, as they are written.
#[derive(Default)]
pub(super) struct JsonLayout {
    /// The bytes before each value, from the one before on: `{"a":` or `,"b":`.
    pub(super) before: Vec<Box<[u8]>>,
    pub(super) names: Vec<Box<str>>,
    /// The bytes after the last value.
    pub(super) after: Box<[u8]>,
    /// Whether the keys are the fields of the struct, in the same order.
    pub(super) by_position: bool,
}

impl JsonLayout {
    /// Returns the layout of an object without nested values and without escapes in its keys.
    pub(super) fn of(text: &str, fields: &[&str]) -> Option<Self> {
        let mut layout = Self::default();
        let mut object = JsonCursor { text, at: 0 };
        let mut mark = b'{';
        loop {
            let start = object.at;
            object.skip_space();
            if mark == b',' && object.peek() == Some(b'}') {
                layout.after = text.as_bytes()[start..].into();
                let names = layout.names.iter().map(|name| &**name);
                layout.by_position = names.eq(fields.iter().copied());
                return Some(layout);
            }
            object.skip(mark)?;
            object.skip_space();
            layout.names.push(object.string().ok()?.into());
            object.skip_space();
            object.skip(b':')?;
            object.skip_space();
            let before = &text.as_bytes()[start..object.at];
            layout.before.push(before.into());
            object.skip_value().ok()?;
            mark = b',';
        }
    }
}
