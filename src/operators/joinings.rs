//! The kinds of joins, for `join`.

use std::marker::PhantomData;

use super::join::{Joining, Matched};
use super::records_by_key::{FirstSides, Keys, Pairs};
use crate::error::Result;
use crate::pipeline::{Data, Key, Ref};
use crate::storage::codec::{decode, decode_fixed, encode_fixed};

/// Decodes a value that is present in every row of this kind of join.
#[inline(always)]
fn always<V: Data, const FIXED: bool>(value: Option<&[u8]>) -> Result<V> {
    let value = value.unwrap_or_default();
    if FIXED {
        decode_fixed(value)
    } else {
        decode(value)
    }
}

#[inline(always)]
fn maybe<V: Data, const FIXED: bool>(value: Option<&[u8]>) -> Result<Option<V>> {
    value
        .map(|value| always::<V, FIXED>(Some(value)))
        .transpose()
}

/// Converts a value into the form that `decode_fixed` decodes.
fn fix<V: Data>(value: &[u8], bytes: &mut Vec<u8>) -> Result<()> {
    encode_fixed::<V>(&decode(value)?, bytes)
}

macro_rules! outer {
    ($(#[$doc:meta])* $name:ident, $left_alone:literal, $right_alone:literal, $left:ident -> $v:ty, $right:ident -> $w:ty) => {
        $(#[$doc])*
        pub(crate) struct $name<K, V, W>(PhantomData<fn(K, V, W)>);

        impl<K: Data + Eq, V: Data, W: Data> Joining for $name<K, V, W> {
            type Key = K;
            type Left = Pairs<K, V>;
            type Right = Pairs<K, W>;
            type Out = (K, ($v, $w));

            const MATCHED: Matched = Matched::Pairs;
            const LEFT_ALONE: bool = $left_alone;
            const RIGHT_ALONE: bool = $right_alone;

            #[inline(always)]
            fn row<'a, const FIXED: bool>(
                key: &'a [u8],
                left: Option<&'a [u8]>,
                right: Option<&'a [u8]>,
            ) -> Result<(K, ($v, $w))> {
                Ok((K::from_bytes(key)?, ($left::<V, FIXED>(left)?, $right::<W, FIXED>(right)?)))
            }

            fn fix_left(value: &[u8], bytes: &mut Vec<u8>) -> Result<()> {
                fix::<V>(value, bytes)
            }

            fn fix_right(value: &[u8], bytes: &mut Vec<u8>) -> Result<()> {
                fix::<W>(value, bytes)
            }
        }
    };
}

outer!(
    /// `join`: pairs only.
    Inner, false, false, always -> V, always -> W
);
outer!(
    /// `left_join`: pairs, and left values without a match.
    Left, true, false, always -> V, maybe -> Option<W>
);
outer!(
    /// `right_join`: pairs, and right values without a match.
    Right, false, true, maybe -> Option<V>, always -> W
);
outer!(
    /// `full_join`: pairs, and the values of both sides without a match.
    Full, true, true, maybe -> Option<V>, maybe -> Option<W>
);

/// `join_values`: pairs only, without the key.
pub(crate) struct InnerValues<K, V, W>(PhantomData<fn(K, V, W)>);

impl<K: Data + Eq, V: Data, W: Data> Joining for InnerValues<K, V, W> {
    type Key = K;
    type Left = Pairs<K, V>;
    type Right = Pairs<K, W>;
    type Out = (V, W);

    const MATCHED: Matched = Matched::Pairs;
    const LEFT_ALONE: bool = false;
    const RIGHT_ALONE: bool = false;

    #[inline(always)]
    fn row<'a, const FIXED: bool>(
        _: &'a [u8],
        left: Option<&'a [u8]>,
        right: Option<&'a [u8]>,
    ) -> Result<(V, W)> {
        Ok((always::<V, FIXED>(left)?, always::<W, FIXED>(right)?))
    }

    fn fix_left(value: &[u8], bytes: &mut Vec<u8>) -> Result<()> {
        fix::<V>(value, bytes)
    }

    fn fix_right(value: &[u8], bytes: &mut Vec<u8>) -> Result<()> {
        fix::<W>(value, bytes)
    }
}

macro_rules! of_left {
    ($(#[$doc:meta])* $name:ident, $matched:ident, $left_alone:literal) => {
        $(#[$doc])*
        pub(crate) struct $name<K, V, W>(PhantomData<fn(K, V, W)>);

        impl<K: Data + Eq, V: Data, W: 'static> Joining for $name<K, V, W> {
            type Key = K;
            type Left = Pairs<K, V>;
            type Right = FirstSides<K, W>;
            type Out = (K, V);

            const MATCHED: Matched = Matched::$matched;
            const LEFT_ALONE: bool = $left_alone;
            const RIGHT_ALONE: bool = false;

            #[inline(always)]
            fn row<'a, const FIXED: bool>(key: &'a [u8], left: Option<&'a [u8]>, _: Option<&'a [u8]>) -> Result<(K, V)> {
                Ok((K::from_bytes(key)?, always::<V, false>(left)?))
            }
        }
    };
}

of_left!(
    /// `semi_join`: the left pairs whose key the right side has.
    Semi, Left, false
);
of_left!(
    /// `anti_join`: the left pairs whose key the right side does not have.
    Anti, Nothing, true
);

macro_rules! of_records {
    ($(#[$doc:meta])* $name:ident, $matched:ident, $left_alone:literal) => {
        $(#[$doc])*
        pub(crate) struct $name<T: ?Sized>(PhantomData<fn(&T)>);

        impl<T: Key + ?Sized> Joining for $name<T> {
            type Key = T;
            type Left = Keys<T>;
            type Right = Keys<T>;
            type Out = T::Owned;

            const MATCHED: Matched = Matched::$matched;
            const LEFT_ALONE: bool = $left_alone;
            const RIGHT_ALONE: bool = false;

            #[inline(always)]
            fn row<'a, const FIXED: bool>(
                key: &'a [u8],
                _: Option<&'a [u8]>,
                _: Option<&'a [u8]>,
            ) -> Result<Ref<'a, T::Owned>> {
                T::from_bytes(key)
            }
        }
    };
}

of_records!(
    /// `intersection`: the records that both sides have, once each.
    Intersection, Once, false
);
of_records!(
    /// `subtract`: the records that only the left side has, as many times as it has them.
    Subtract, Nothing, true
);
