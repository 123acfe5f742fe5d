//! `portable!`: a type travels as its fields do.

/// Implements [`Portable`](super::Portable) for a struct, whose fields travel in the order in which they are named:
/// `part` is `Portable` itself, `data` is of a type of this library, `value` and `values` are of a type of the program,
/// `state` is an `Arc` of a value, `path` is a path, and `code` is a closure.
///
/// The site of an operator comes first, since it is named if anything after it cannot travel.
macro_rules! portable {
    (
        [$($generics:tt)*] $type:ty $(where [$($bounds:tt)*])?
        { $($field:tt: $kind:ident),* $(,)? }
    ) => {
        impl<$($generics)*> $crate::portable::Portable for $type $(where $($bounds)*)? {
            fn save(&self, to: &mut $crate::portable::Saver) -> $crate::error::Result<()> {
                $($crate::portable::portable!(@save $kind, self.$field, to);)*
                Ok(())
            }

            fn load(from: &mut $crate::portable::Loader<'_>) -> $crate::error::Result<Self> {
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
    (@save path, $field:expr, $to:ident) => { $to.path(&$field)? };
    (@load path, $from:ident) => { $from.path()? };
    (@save code, $field:expr, $to:ident) => { $to.code(&$field)? };
    (@load code, $from:ident) => { $from.code()? };
}

pub(crate) use portable;
