//! Functions that tasks call: their types, and how they receive arguments.

use std::any::TypeId;
use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::operand::Arguments;
use crate::error::{BoxError, Result};
use crate::layers::{Value, ValueType};
use crate::pipeline::Data;
use crate::portable::{FunctionEntry, Loader, Saver};

/// Marks functions that take their arguments by value. The compiler finds the marker.
#[derive(Debug)]
pub struct ByValue<A>(PhantomData<fn(A)>);

/// Marks functions that borrow their arguments. The compiler finds the marker.
#[derive(Debug)]
pub struct ByRef<A>(PhantomData<fn(A)>);

/// Type of an argument.
#[derive(Clone, Copy)]
pub struct ArgumentType {
    /// Type of a single value.
    pub(super) one: &'static ValueType,
    /// Type of each value if there are many, as from [`all`](super::all).
    pub(super) each: Option<&'static ValueType>,
}

impl std::fmt::Debug for ArgumentType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str((self.one.name)())
    }
}

/// Types that a function of a task can borrow: any [`Data`], `str`, and slices.
///
/// | parameter | takes the value of a task that returns |
/// | --- | --- |
/// | `&T` | `T` |
/// | `&str` | `String` |
/// | `&[T]` | `Vec<T>`, or [`all`](super::all) values `T` of several tasks, which are cloned into a slice |
///
/// Only this library implements it.
#[diagnostic::on_unimplemented(
    message = "a task cannot pass `&{Self}` to its function",
    note = "parameters are `&str`, `&[T]` or `&T`, where `T` implements `Serialize`, `Deserialize`, `Send` and `Sync`"
)]
pub trait Argument: 'static {
    /// Type of the value that a task borrows as `Self`.
    type Value: Data + Sync;
    #[doc(hidden)]
    type Held<'a>: Deref<Target = Self>;
    #[doc(hidden)]
    const TYPE: ArgumentType;

    #[doc(hidden)]
    fn take<'a>(from: &mut Arguments<'a>) -> Self::Held<'a>;
}

impl<T: Data + Sync> Argument for T {
    type Value = T;
    type Held<'a> = &'a T;
    const TYPE: ArgumentType = ArgumentType {
        one: const { &ValueType::of::<T>() },
        each: None,
    };

    fn take<'a>(from: &mut Arguments<'a>) -> &'a T {
        from.take()
    }
}

impl Argument for str {
    type Value = String;
    type Held<'a> = &'a str;
    const TYPE: ArgumentType = String::TYPE;

    fn take<'a>(from: &mut Arguments<'a>) -> &'a str {
        from.take::<String>()
    }
}

impl<T: Data + Sync + Clone> Argument for [T] {
    type Value = Vec<T>;
    type Held<'a> = Cow<'a, [T]>;
    const TYPE: ArgumentType = ArgumentType {
        one: const { &ValueType::of::<Vec<T>>() },
        each: Some(const { &ValueType::of::<T>() }),
    };

    fn take<'a>(from: &mut Arguments<'a>) -> Cow<'a, [T]> {
        match from.take_all() {
            Some(count) => (0..count).map(|_| from.take::<T>().clone()).collect(),
            None => Cow::Borrowed(from.take::<Vec<T>>()),
        }
    }
}

/// Types that a function of a task can take by value: any [`Data`] that borrows nothing and can be cloned.
///
/// Only this library implements it.
pub trait OwnedArgument: Data + Sync + Clone {}

impl<T: Serialize + DeserializeOwned + Send + Sync + Clone + 'static> OwnedArgument for T {}

/// A function that a task can call: a `fn` or a closure with up to eight parameters.
///
/// It takes either all of them by value, or all by reference. Parameters by value must be `Clone`, because other tasks
/// may need the same values; so borrow what is large. [`Argument`] lists what can be borrowed. The parameters of a
/// closure need types, as in `|x: &i64|`. Functions whose parameters are all `&str` or `&[u8]` must be wrapped by
/// [`by_ref`].
///
/// On worker processes, it must capture nothing.
///
/// Only this library implements it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the function of a task",
    note = "it must take all of its parameters by value, or all by reference, and they and its result must be data",
    note = "the parameters of a closure need types: `|x: &i64| ..`"
)]
pub trait TaskFunction<M>: Send + Sync + 'static {
    /// Type that it returns.
    type Output;
    #[doc(hidden)]
    const ARGUMENTS: &'static [ArgumentType];

    #[doc(hidden)]
    fn call(&self, arguments: Arguments<'_>) -> Self::Output;
}

macro_rules! function {
    ($($type:ident $argument:ident),*) => {
        impl<F, R, $($type),*> TaskFunction<ByValue<($($type,)*)>> for F
        where
            F: Fn($($type),*) -> R + Send + Sync + 'static,
            $($type: OwnedArgument,)*
        {
            type Output = R;
            const ARGUMENTS: &'static [ArgumentType] = &[$($type::TYPE),*];

            fn call(&self, mut arguments: Arguments<'_>) -> R {
                $(let $argument = $type::take(&mut arguments).clone();)*
                self($($argument),*)
            }
        }
    };
}

macro_rules! function_by_ref {
    ($($type:ident $argument:ident),*) => {
        impl<F, R, $($type: ?Sized),*> TaskFunction<ByRef<($(PhantomData<$type>,)*)>> for F
        where
            F: for<'a> Fn($(&'a $type),*) -> R + Send + Sync + 'static,
            $($type: Argument,)*
        {
            type Output = R;
            const ARGUMENTS: &'static [ArgumentType] = &[$($type::TYPE),*];

            fn call(&self, mut arguments: Arguments<'_>) -> R {
                $(let $argument = $type::take(&mut arguments);)*
                self($(&*$argument),*)
            }
        }
    };
}

macro_rules! functions {
    () => {};
    ($type:ident $argument:ident $(, $types:ident $arguments:ident)*) => {
        function!($type $argument $(, $types $arguments)*);
        function_by_ref!($type $argument $(, $types $arguments)*);
        functions!($($types $arguments),*);
    };
}

functions!(A a, B b, C c, D d, E e, G g, H h, I i);

impl<F, R> TaskFunction<ByValue<()>> for F
where
    F: Fn() -> R + Send + Sync + 'static,
{
    type Output = R;
    const ARGUMENTS: &'static [ArgumentType] = &[];

    fn call(&self, _: Arguments<'_>) -> R {
        self()
    }
}

/// A function that borrows its arguments. Created by [`by_ref`].
#[derive(Clone, Copy, Debug)]
pub struct Borrowing<F>(F);

/// Says that a function borrows its arguments, if the compiler cannot tell: if each parameter is `&str` or `&[u8]`, it
/// could also be a reference of type `&'static str` or `&'static [u8]`, by value.
///
/// # Examples
///
/// ```
/// use holdall::Context;
/// use holdall::graph::{Graph, by_ref, data, task};
///
/// fn shout(word: &str) -> String { word.to_uppercase() }
///
/// let graph = Graph::from([("word", data("bag".to_owned())), ("loud", task(by_ref(shout), ["word"]))]);
/// assert_eq!(Context::default().get::<_, String>(&graph, "loud")?, "BAG");
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn by_ref<F, A>(function: F) -> Borrowing<F>
where
    F: TaskFunction<ByRef<A>>,
{
    Borrowing(function)
}

impl<F, A> TaskFunction<ByRef<A>> for Borrowing<F>
where
    F: TaskFunction<ByRef<A>>,
{
    type Output = F::Output;
    const ARGUMENTS: &'static [ArgumentType] = F::ARGUMENTS;

    fn call(&self, arguments: Arguments<'_>) -> F::Output {
        self.0.call(arguments)
    }
}

/// Types of the arguments and of the result of a function.
pub(crate) struct Signature {
    pub(crate) name: fn() -> &'static str,
    pub(crate) arguments: &'static [ArgumentType],
    pub(crate) result: &'static ValueType,
}

/// A function of any type.
pub(crate) trait AnyFunction: Send + Sync {
    fn signature(&self) -> &'static Signature;

    fn call(&self, arguments: Arguments<'_>) -> Result<Value, BoxError>;

    /// Returns the type of the code. If it captures nothing, functions of the same type are the same.
    fn code(&self) -> TypeId;

    /// Writes the function for [`load_function`].
    fn save(&self, to: &mut Saver) -> Result<()>;
}

/// Reads a function that [`AnyFunction::save`] has written.
pub(super) fn load_function(from: &mut Loader<'_>) -> Result<Arc<dyn AnyFunction>> {
    from.entry()
}

/// Conversion of the result of a function into the value of its task.
pub trait TaskOutput<O>: 'static {
    /// The value.
    type Value: Data + Sync;

    #[doc(hidden)]
    fn of(output: O) -> Result<Self::Value, BoxError>;
}

/// The function returns the value.
#[derive(Debug)]
pub struct Infallible;

/// The function returns a `Result`.
#[derive(Debug)]
pub struct Fallible;

impl<T: Data + Sync> TaskOutput<T> for Infallible {
    type Value = T;

    fn of(output: T) -> Result<T, BoxError> {
        Ok(output)
    }
}

impl<T: Data + Sync, E: Into<BoxError>> TaskOutput<Result<T, E>> for Fallible {
    type Value = T;

    fn of(output: Result<T, E>) -> Result<T, BoxError> {
        output.map_err(E::into)
    }
}

/// A function of the type `F`. `M` marks how it takes arguments, `O` what it returns.
struct TypedFunction<F, M, O> {
    function: F,
    markers: PhantomData<fn(M, O)>,
}

/// Hides the type of a function. It can be sent to worker processes if it captures nothing.
pub(crate) fn any_function<F, M, O>(function: F) -> Arc<dyn AnyFunction>
where
    F: TaskFunction<M>,
    M: 'static,
    O: TaskOutput<F::Output>,
{
    Arc::new(TypedFunction::<F, M, O> {
        function,
        markers: PhantomData,
    })
}

impl<F, M, O> AnyFunction for TypedFunction<F, M, O>
where
    F: TaskFunction<M>,
    M: 'static,
    O: TaskOutput<F::Output>,
{
    fn signature(&self) -> &'static Signature {
        const {
            &Signature {
                name: std::any::type_name::<F>,
                arguments: F::ARGUMENTS,
                result: const { &ValueType::of::<O::Value>() },
            }
        }
    }

    fn call(&self, arguments: Arguments<'_>) -> Result<Value, BoxError> {
        let output = self.function.call(arguments);
        Ok(Arc::new(O::of(output)?))
    }

    fn code(&self) -> TypeId {
        TypeId::of::<Self>()
    }

    fn save(&self, to: &mut Saver) -> Result<()> {
        to.code(&self.function)?;
        to.entry(const { &FunctionEntry::of::<Self>(load::<F, M, O>) })
    }
}

fn load<F, M, O>(from: &mut Loader<'_>) -> Result<Arc<dyn AnyFunction>>
where
    F: TaskFunction<M>,
    M: 'static,
    O: TaskOutput<F::Output>,
{
    Ok(any_function::<F, M, O>(from.code()?))
}
