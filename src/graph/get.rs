//! Runs a job that computes the values of keys.

use super::function::{Argument, ArgumentType};
use super::layer::layers;
use super::map::Graph;
use super::task_list::{TaskList, invalid};
use crate::context::Context;
use crate::error::{Error, ErrorContext, PlaceError as _, Result, Site, caught};
use crate::extend::{CancelHandle, owned, run_layers};
use crate::layers::{LayerSet, Value};
use crate::pipeline::Data;
use crate::task::in_task;

impl Context {
    /// Computes the values of some keys of a graph: of one key, or of a tuple of up to eight, an array, a `Vec` or a
    /// slice of keys. Runs a job.
    ///
    /// - **Tasks:** those that the keys need run, each once. Chains of tasks are fused: if a task is the only one that needs
    ///   another, and needs nothing else, both run as one.
    /// - **Order:** a fixed one, depth first from the keys, so that what is begun is ended before more is begun. A value
    ///   is dropped once its last reader has run, unless it is wanted.
    /// - **Memory:** values count towards the [budget](crate::ContextBuilder::memory). If it is exhausted, those whose next
    ///   reader is farthest in the order are written to files. The value of a fused task, and the values that this method
    ///   returns, do not count.
    /// - **Worker processes:** functions must capture nothing. A worker that is lost, and a value file that is lost or
    ///   damaged, cost time: the tasks whose values are missing run again.
    /// - **Threads:** no task waits for another, so a function may use rayon. It must not run a job.
    ///
    /// # Errors
    ///
    /// Before anything runs, returns [`InvalidGraph`](crate::ErrorKind::InvalidGraph) if a key is missing, tasks need each
    /// other in a cycle, an argument has another type than the parameter of its function, or the value of a key has
    /// another type than the result. On worker processes, also returns
    /// [`CapturingClosure`](crate::ErrorKind::CapturingClosure) for a function that captures. Otherwise, returns the first
    /// error of a task: [`Closure`](crate::ErrorKind::Closure) for what [`try_task`](crate::graph::try_task) has returned,
    /// and [`TaskPanicked`](crate::ErrorKind::TaskPanicked) for a panic. Its [context](crate::ErrorContext) has the key of
    /// the task, and the line that created it.
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::Context;
    /// use holdall::graph::{Graph, data, task};
    ///
    /// fn halve(n: u64) -> u64 { n / 2 }
    ///
    /// let mut graph = Graph::from([("0".to_owned(), data(1_000_u64))]);
    /// graph.extend((1..10).map(|n| (n.to_string(), task(halve, [(n - 1).to_string()]))));
    /// let context = Context::builder().build()?;
    /// assert_eq!(context.get::<_, u64>(&graph, "3")?, 125);
    /// let [a, b]: [u64; 2] = context.get(&graph, ["1", "9"])?;
    /// assert_eq!((a, b), (500, 1));
    /// assert!(context.get::<_, u64>(&graph, "10").is_err());
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn get<K: GraphKeys<T>, T>(&self, graph: &Graph, keys: K) -> Result<T> {
        let site = Site::new("get");
        let named = keys.keys();
        let checked = graph.check(&named).at(site)?;
        for ((key, task), expected) in named.iter().zip(&checked.wanted).zip(keys.types()) {
            let (given, expected) = (checked.list.value_type(*task), expected.one);
            if given.id != expected.id {
                let (given, expected) = ((given.name)(), (expected.name)());
                let reason = format!("{key:?} is a value of {given}, not of {expected}");
                return Err(invalid(ErrorContext::from(site), reason));
            }
        }
        let values = run(self, checked.list, &checked.wanted, site)?;
        let read = || keys.read(&mut values.into_iter());
        in_task(|| caught(Some(site), read)).at(site)
    }
}

/// Runs a job that computes the values of the `wanted` tasks.
pub(crate) fn run(
    context: &Context,
    list: TaskList,
    wanted: &[u32],
    site: Site,
) -> Result<Vec<Value>> {
    let (layers, wanted) = in_task(|| layers(list, wanted, context.is_remote()))?;
    let set = LayerSet {
        number: 0,
        layers: layers.into_iter().map(|layer| layer as _).collect(),
    };
    run_layers(context, &set, &wanted, site, &CancelHandle::default())
}

/// Keys whose values are computed together, and the type of these values.
///
/// Only this library implements it.
#[diagnostic::on_unimplemented(
    message = "the values of the keys `{Self}` are no `{T}`",
    note = "keys in a tuple have a tuple of values, keys in an array an array, keys in a `Vec` or a slice a `Vec`"
)]
pub trait GraphKeys<T> {
    #[doc(hidden)]
    fn keys(&self) -> Vec<&str>;

    /// Returns the expected types of the values.
    #[doc(hidden)]
    fn types(&self) -> Vec<ArgumentType>;

    #[doc(hidden)]
    fn read(&self, values: &mut dyn Iterator<Item = Value>) -> Result<T>;
}

macro_rules! single {
    ($($key:ty),*) => {
        $(
            impl<T: Data + Sync> GraphKeys<T> for $key {
                fn keys(&self) -> Vec<&str> {
                    vec![self]
                }

                fn types(&self) -> Vec<ArgumentType> {
                    vec![T::TYPE]
                }

                fn read(&self, values: &mut dyn Iterator<Item = Value>) -> Result<T> {
                    owned(values)
                }
            }
        )*
    };
}

single!(&str, String, &String);

macro_rules! tuple {
    ($($type:ident $key:ident $at:tt),*) => {
        impl<$($type, $key: GraphKeys<$type>),*> GraphKeys<($($type,)*)> for ($($key,)*) {
            fn keys(&self) -> Vec<&str> {
                [$(self.$at.keys()),*].concat()
            }

            fn types(&self) -> Vec<ArgumentType> {
                [$(self.$at.types()),*].concat()
            }

            fn read(&self, values: &mut dyn Iterator<Item = Value>) -> Result<($($type,)*)> {
                Ok(($(self.$at.read(values)?,)*))
            }
        }
    };
}

tuple!(A K 0);
tuple!(A K 0, B L 1);
tuple!(A K 0, B L 1, C M 2);
tuple!(A K 0, B L 1, C M 2, D N 3);
tuple!(A K 0, B L 1, C M 2, D N 3, E O 4);
tuple!(A K 0, B L 1, C M 2, D N 3, E O 4, F P 5);
tuple!(A K 0, B L 1, C M 2, D N 3, E O 4, F P 5, G Q 6);
tuple!(A K 0, B L 1, C M 2, D N 3, E O 4, F P 5, G Q 6, H R 7);

macro_rules! several {
    ($($keys:ty),*) => {
        $(
            impl<T, K: GraphKeys<T>> GraphKeys<Vec<T>> for $keys {
                fn keys(&self) -> Vec<&str> {
                    self.iter().flat_map(K::keys).collect()
                }

                fn types(&self) -> Vec<ArgumentType> {
                    self.iter().flat_map(K::types).collect()
                }

                fn read(&self, values: &mut dyn Iterator<Item = Value>) -> Result<Vec<T>> {
                    self.iter().map(|key| key.read(values)).collect()
                }
            }
        )*
    };
}

several!(Vec<K>, &[K]);

impl<T, K: GraphKeys<T>, const LENGTH: usize> GraphKeys<[T; LENGTH]> for [K; LENGTH] {
    fn keys(&self) -> Vec<&str> {
        self.iter().flat_map(K::keys).collect()
    }

    fn types(&self) -> Vec<ArgumentType> {
        self.iter().flat_map(K::types).collect()
    }

    fn read(&self, values: &mut dyn Iterator<Item = Value>) -> Result<[T; LENGTH]> {
        let read: Result<Vec<T>> = self.iter().map(|key| key.read(values)).collect();
        let read = read?.try_into();
        read.map_err(|_| Error::internal("values are missing".to_owned()))
    }
}
