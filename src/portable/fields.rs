//! `portable!`: implements `Portable` for a type by its fields.

/// Implements [`Portable`](super::Portable) for a struct. Saves and loads the fields in the order in which they are
/// listed, according to their kinds: a `part` is itself `Portable`, `data` has a type of this library, `value` and
/// `values` have a type of the user, `state` is an `Arc` of a value, and `code` is a closure.
///
/// List the site of an operator first, so that the error names it if a later field cannot be sent.
macro_rules! portable {
    (
        [$($generics:tt)*] $type:ty $(where [$($bounds:tt)*])?
        { $($field:tt: $kind:ident),* $(,)? }
    ) => {
        impl<$($generics)*> $crate::portable::Portable for $type $(where $($bounds)*)? {
            fn save(&self, to: &mut $crate::portable::Saver) -> $crate::error::Result<()> {
                let _ = &to; // the type may have no fields
                $($crate::portable::portable!(@save $kind, self.$field, to);)*
                Ok(())
            }

            fn load(from: &mut $crate::portable::Loader<'_>) -> $crate::error::Result<Self> {
                let _ = &from;
                Ok(Self { $($field: $crate::portable::portable!(@load $kind, from)),* })
            }
        }
    };
    (@save part, $field:expr, $to:ident) => { $crate::portable::portable!(@try $crate::portable::Portable::save(&$field, $to)) };
    (@load part, $from:ident) => { $crate::portable::portable!(@try $crate::portable::Portable::load($from)) };
    (@save $kind:ident, $field:expr, $to:ident) => { $crate::portable::portable!(@try $to.$kind(&$field)) };
    (@load $kind:ident, $from:ident) => { $crate::portable::portable!(@try $from.$kind()) };
    // An operator `?` would be two more functions for each type of fields.
    (@try $result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}

pub(crate) use portable;
