//! Tuples of summaries: several results in one pass.

use super::definition::Summary;
use crate::pipeline::Record;

macro_rules! tuple {
    ($($name:ident: $at:tt),*) => {
        impl<T: Record + ?Sized, $($name: Summary<T>),*> Summary<T> for ($($name,)*) {
            const COMMUTES: bool = $($name::COMMUTES)&&*;

            type Part = ($($name::Part,)*);
            type Output = ($($name::Output,)*);

            #[inline]
            fn start(&self) -> Self::Part {
                ($(self.$at.start(),)*)
            }

            #[inline]
            fn add(&self, part: &mut Self::Part, record: T::Peek<'_>) {
                $(self.$at.add(&mut part.$at, record);)*
            }

            #[inline]
            fn merge(&self, part: &mut Self::Part, later: Self::Part) {
                $(self.$at.merge(&mut part.$at, later.$at);)*
            }

            #[inline]
            fn finish(&self, part: Self::Part) -> Self::Output {
                ($(self.$at.finish(part.$at),)*)
            }
        }
    };
}

tuple!(A: 0);
tuple!(A: 0, B: 1);
tuple!(A: 0, B: 1, C: 2);
tuple!(A: 0, B: 1, C: 2, D: 3);
tuple!(A: 0, B: 1, C: 2, D: 3, E: 4);
tuple!(A: 0, B: 1, C: 2, D: 3, E: 4, F: 5);
tuple!(A: 0, B: 1, C: 2, D: 3, E: 4, F: 5, G: 6);
tuple!(A: 0, B: 1, C: 2, D: 3, E: 4, F: 5, G: 6, H: 7);
tuple!(A: 0, B: 1, C: 2, D: 3, E: 4, F: 5, G: 6, H: 7, I: 8);
tuple!(A: 0, B: 1, C: 2, D: 3, E: 4, F: 5, G: 6, H: 7, I: 8, J: 9);
tuple!(A: 0, B: 1, C: 2, D: 3, E: 4, F: 5, G: 6, H: 7, I: 8, J: 9, K: 10);
tuple!(A: 0, B: 1, C: 2, D: 3, E: 4, F: 5, G: 6, H: 7, I: 8, J: 9, K: 10, L: 11);
