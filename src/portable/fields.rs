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
    (@save part, $field:expr, $to:ident) => { $crate::portable::Portable::save(&$field, $to)? };
    (@load part, $from:ident) => { $crate::portable::Portable::load($from)? };
    (@save data, $field:expr, $to:ident) => { $to.data(&$field)? };
    (@load data, $from:ident) => { $from.data()? };
    (@save value, $field:expr, $to:ident) => { $to.value(&$field)? };
    (@load value, $from:ident) => { $from.value()? };
    (@save values, $field:expr, $to:ident) => { $to.values(&$field)? };
    (@load values, $from:ident) => { $from.values()? };
    (@save state, $field:expr, $to:ident) => { $to.state(&$field)? };
    (@load state, $from:ident) => { $from.state()? };
    (@save code, $field:expr, $to:ident) => { $to.code(&$field)? };
    (@load code, $from:ident) => { $from.code()? };
}

pub(crate) use portable;
