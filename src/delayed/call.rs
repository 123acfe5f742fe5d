//! Calls functions with delayed values.

use std::marker::PhantomData;
use std::sync::Arc;

use super::node::{AnyDelayed, Delayed, DelayedArgument, DelayedWork};
use crate::error::Site;
use crate::graph::{
    Argument, ByRef, ByValue, Fallible, Infallible, OwnedArgument, TaskFunction, TaskOutput,
    any_function,
};
use crate::pipeline::Data;

/// A function that can be called with delayed values. `M` marks how it takes its arguments, and `O` what it returns.
///
/// Only this library implements it.
pub trait DelayedFunction<M, O>: Sized {
    /// The function of delayed values.
    type Call;

    #[doc(hidden)]
    fn delayed_at(self, site: CallSite) -> Self::Call;
}

/// The line that has delayed a function.
#[derive(Clone, Copy, Debug)]
pub struct CallSite(Site);

/// Returns a function that takes delayed values, and returns a delayed value: that of `function` for their values.
///
/// Nothing runs until the result is [computed](Delayed::compute). Functions that do not need each other then run
/// in parallel, on the executor of the context. `function` is a `fn` or a closure with up to eight parameters, all by
/// value or all by reference; see [`TaskFunction`]. Their types are checked by the compiler. On worker processes, it
/// must capture nothing.
///
/// # Examples
///
/// ```
/// use holdall::{delayed, gather, value};
///
/// fn inc(x: i64) -> i64 { x + 1 }
/// fn add(x: i64, y: i64) -> i64 { x + y }
///
/// let b = delayed(inc)(value(1));
/// let y = delayed(inc)(value(10));
/// assert_eq!(delayed(add)(b, y).compute()?, 13);
///
/// let inc = delayed(inc); // several calls
/// let all = gather((0..100).map(|n| inc(value(n))));
/// let sum = delayed(|numbers: &[i64]| numbers.iter().sum::<i64>())(all);
/// assert_eq!(sum.compute()?, 5_050);
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn delayed<F, M>(function: F) -> F::Call
where
    F: DelayedFunction<M, Infallible>,
{
    function.delayed_at(CallSite(Site::new("delayed")))
}

/// Like [`delayed`], for a function that can fail. The value is that of `Ok`. An error ends the job.
///
/// # Examples
///
/// ```
/// use holdall::{try_delayed, value};
///
/// let parse = try_delayed(|text: &String| text.parse::<i32>());
/// assert_eq!(parse(value("7".to_owned())).compute()?, 7);
/// let error = parse(value("seven".to_owned())).compute().unwrap_err();
/// assert!(error.to_string().contains("try_delayed at"), "{error}");
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn try_delayed<F, M>(function: F) -> F::Call
where
    F: DelayedFunction<M, Fallible>,
{
    function.delayed_at(CallSite(Site::new("try_delayed")))
}

/// Returns a delayed value that is known already.
///
/// # Examples
///
/// ```
/// assert_eq!(holdall::value(7).compute()?, 7);
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn value<T: Data + Sync>(value: T) -> Delayed<T> {
    Delayed::new(DelayedWork::Value(Arc::new(value)), Site::new("value"))
}

/// Returns the values of several delayed values, in their order, as one delayed value. They are cloned.
///
/// [`delayed`] has an example.
#[track_caller]
pub fn gather<T: Data + Sync + Clone>(
    values: impl IntoIterator<Item = Delayed<T>>,
) -> Delayed<Vec<T>> {
    let nodes = values
        .into_iter()
        .map(|value| DelayedArgument::Node(value.node));
    let mut arguments = vec![DelayedArgument::All(0)];
    arguments.extend(nodes);
    let count = u32::try_from(arguments.len() - 1).unwrap_or(u32::MAX);
    arguments[0] = DelayedArgument::All(count);
    let function = any_function::<_, _, Infallible>(<[T]>::to_vec);
    Delayed::new(
        DelayedWork::Call {
            function,
            arguments,
        },
        Site::new("gather"),
    )
}

/// Calls a function with delayed values and plain ones, in a tuple. The plain ones are those of [`value`].
///
/// # Examples
///
/// ```
/// use holdall::call;
///
/// fn add(x: i64, y: i64) -> i64 { x + y }
///
/// let three = call(add, (1, 2));
/// assert_eq!(call(add, (three, 5)).compute()?, 8);
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn call<F, M, A>(function: F, arguments: A) -> Delayed<F::Output>
where
    F: TaskFunction<M, Output: Data + Sync>,
    M: 'static,
    A: DelayedArguments<M>,
{
    let function = any_function::<F, M, Infallible>(function);
    let nodes = arguments.nodes().into_iter();
    let arguments = nodes.map(|AnyDelayed(node)| DelayedArgument::Node(node));
    let arguments = arguments.collect();
    Delayed::new(
        DelayedWork::Call {
            function,
            arguments,
        },
        Site::new("call"),
    )
}

impl<T: Data + Sync> Delayed<T> {
    /// Returns what `function` returns for the value.
    ///
    /// # Examples
    ///
    /// ```
    /// let length = holdall::value("bag".to_owned()).map(|text: &String| text.len());
    /// assert_eq!(length.compute()?, 3);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn map<U, F>(&self, function: F) -> Delayed<U>
    where
        U: Data + Sync,
        F: Fn(&T) -> U + Send + Sync + 'static,
    {
        let function = any_function::<_, ByRef<(PhantomData<T>,)>, Infallible>(function);
        let arguments = vec![DelayedArgument::Node(self.node.clone())];
        Delayed::new(
            DelayedWork::Call {
                function,
                arguments,
            },
            Site::new("map"),
        )
    }
}

/// A delayed value, or a plain one.
///
/// Only this library implements it.
pub trait IntoDelayed<T> {
    /// Returns the delayed value.
    #[track_caller]
    fn into_delayed(self) -> Delayed<T>;
}

impl<T> IntoDelayed<T> for Delayed<T> {
    fn into_delayed(self) -> Self {
        self
    }
}

impl<T> IntoDelayed<T> for &Delayed<T> {
    fn into_delayed(self) -> Delayed<T> {
        self.clone()
    }
}

impl<T: Data + Sync> IntoDelayed<T> for T {
    #[track_caller]
    fn into_delayed(self) -> Delayed<T> {
        value(self)
    }
}

/// The arguments of [`call`]: a tuple of delayed and plain values, which fit to a function with the marker `M`.
///
/// Only this library implements it.
pub trait DelayedArguments<M> {
    #[doc(hidden)]
    fn nodes(self) -> Vec<AnyDelayed>;
}

macro_rules! delayed_function {
    ($marker:ty, $bound:ident, $($type:ident $given:ident $argument:ident),*) => {
        impl<F, O, $($type: ?Sized + $bound),*> DelayedFunction<$marker, O> for F
        where
            F: TaskFunction<$marker>,
            O: TaskOutput<F::Output>,
        {
            type Call =
                Box<dyn Fn($(Delayed<<$type as Argument>::Value>),*) -> Delayed<O::Value> + Send + Sync>;

            fn delayed_at(self, CallSite(site): CallSite) -> Self::Call {
                let function = any_function::<F, $marker, O>(self);
                Box::new(move |$($argument: Delayed<<$type as Argument>::Value>),*| {
                    let function = Arc::clone(&function);
                    let arguments = vec![$(DelayedArgument::Node($argument.node)),*];
                    Delayed::new(DelayedWork::Call { function, arguments }, site)
                })
            }
        }

        impl<$($type: ?Sized + $bound, $given),*> DelayedArguments<$marker> for ($($given,)*)
        where
            $($given: IntoDelayed<<$type as Argument>::Value>,)*
        {
            #[track_caller]
            fn nodes(self) -> Vec<AnyDelayed> {
                let ($($argument,)*) = self;
                vec![$(AnyDelayed($argument.into_delayed().node)),*]
            }
        }
    };
}

macro_rules! delayed_functions {
    () => {
        delayed_function!(ByValue<()>, OwnedArgument,);
    };
    ($type:ident $given:ident $argument:ident $(, $types:ident $givens:ident $arguments:ident)*) => {
        delayed_function!(
            ByValue<($type, $($types,)*)>,
            OwnedArgument,
            $type $given $argument $(, $types $givens $arguments)*
        );
        delayed_function!(
            ByRef<(PhantomData<$type>, $(PhantomData<$types>,)*)>,
            Argument,
            $type $given $argument $(, $types $givens $arguments)*
        );
        delayed_functions!($($types $givens $arguments),*);
    };
}

delayed_functions!(A S a, B T b, C U c, D V d, E W e, G X g, H Y h, I Z i);
