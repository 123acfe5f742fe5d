//! The user's closures: one abstraction for closures with state and without.
//!
//! An operator holds a [`Call`] and does not know whether the closure receives a state. Each method of `Bag` and its
//! twin of `BagWith` build the same operator, one from a [`Plain`] closure, the other from a [`Stated`] one.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{ClosureState, Data, Peek, Record};
use crate::portable::{Portable, portable};

/// A closure together with everything that it needs besides its arguments. `A` is the tuple of these arguments.
pub(crate) trait Call<A>: Portable + Send + Sync + 'static {
    type Out;

    fn call(&self, arguments: A) -> Self::Out;
}

/// A closure without state.
pub(crate) struct Plain<F>(pub(crate) F);

/// A closure whose first argument is a state, which [`with`](crate::Bag::with) attached.
pub(crate) struct Stated<S, F>(pub(crate) ClosureState<S>, pub(crate) F);

/// A closure of this crate whose first argument is a part of the operator, usually the user's closure.
pub(crate) struct Given<C, F>(pub(crate) C, pub(crate) F);

/// The initial value of a fold.
pub(crate) struct Initial<I>(pub(crate) I);

/// A comparison in reverse order.
pub(crate) struct Reversed<C>(pub(crate) C);

portable! { [F] Plain<F> { 0: code } }
portable! { [S: Data + Sync, F] Stated<S, F> { 0: part, 1: code } }
portable! { [C: Portable, F] Given<C, F> { 0: part, 1: code } }
portable! { [I: Data] Initial<I> { 0: value } }
portable! { [C: Portable] Reversed<C> { 0: part } }

/// Returns a comparison of records of type `T`. The compiler infers the lifetimes of the closure from this signature.
pub(crate) fn comparison<T, F>(compare: F) -> Plain<F>
where
    T: Record + ?Sized,
    F: for<'a> Fn(Peek<'a, T>, Peek<'a, T>) -> Ordering,
{
    Plain(compare)
}

impl<A, C: Call<(A, A), Out = Ordering>> Call<(A, A)> for Reversed<C> {
    type Out = Ordering;

    #[inline(always)]
    fn call(&self, (a, b): (A, A)) -> Ordering {
        self.0.call((b, a))
    }
}

impl<I: Data + Clone + Sync> Call<()> for Initial<I> {
    type Out = I;

    fn call(&self, (): ()) -> I {
        self.0.clone()
    }
}

impl<A, C: Call<A>> Call<A> for Arc<C> {
    type Out = C::Out;

    #[inline(always)]
    fn call(&self, arguments: A) -> C::Out {
        C::call(self, arguments)
    }
}

macro_rules! call {
    ($($argument:ident: $type:ident),*) => {
        impl<F, $($type,)* U> Call<($($type,)*)> for Plain<F>
        where
            F: Fn($($type),*) -> U + Send + Sync + 'static,
        {
            type Out = U;

            #[inline(always)]
            fn call(&self, ($($argument,)*): ($($type,)*)) -> U {
                (self.0)($($argument),*)
            }
        }

        impl<S, F, $($type,)* U> Call<($($type,)*)> for Stated<S, F>
        where
            S: Data + Sync,
            F: Fn(&S, $($type),*) -> U + Send + Sync + 'static,
        {
            type Out = U;

            #[inline(always)]
            fn call(&self, ($($argument,)*): ($($type,)*)) -> U {
                (self.1)(self.0.get(), $($argument),*)
            }
        }

        impl<C, F, $($type,)* U> Call<($($type,)*)> for Given<C, F>
        where
            C: Portable + Send + Sync + 'static,
            F: Fn(&C, $($type),*) -> U + Send + Sync + 'static,
        {
            type Out = U;

            #[inline(always)]
            fn call(&self, ($($argument,)*): ($($type,)*)) -> U {
                (self.1)(&self.0, $($argument),*)
            }
        }
    };
}

call!();
call!(a: A);
call!(a: A, b: B);
call!(a: A, b: B, c: C2);
