//! Several delayed values that are computed together.

use super::compute::Computation;
use super::node::{AnyDelayed, Delayed};
use crate::context::Context;
use crate::error::{Error, ErrorKind, PlaceError as _, Result, Site, caught};
use crate::extend::owned;
use crate::layers::Value;
use crate::pipeline::Data;
use crate::task::{in_task, is_in_task};

/// Computes several delayed values together: a tuple of up to twelve, an array or a `Vec`, of values or of references.
/// Runs jobs, on the [default context](Context::default).
///
/// A value that several of them need is computed once. All calls of [delayed functions](crate::delayed) run in one job. Several
/// results of the same [bag](crate::Bag::delayed) are computed in one pass over it, and results of several bags in one
/// job, which runs each shuffle once. If calls need results of bags, or bags need delayed values, one job runs after the
/// other, each with everything that can run by then.
///
/// The jobs run in the context of the first bag or, if there are no bags, in the default context.
/// [`Context::compute`] chooses another context for calls.
///
/// # Errors
///
/// Returns the first error of a function, with the line that called [`delayed`](crate::delayed), or an error of a job of
/// a bag.
///
/// # Examples
///
/// ```
/// use holdall::compute;
///
/// let numbers = holdall::range(1..101);
/// let lazy = numbers.delayed();
/// let (sum, max) = (lazy.sum(), lazy.max());
/// let share = holdall::call(|max: Option<u64>, sum: u64| max.unwrap_or(0) as f64 / sum as f64, (&max, &sum));
/// let (sum, share) = compute((&sum, share))?; // reads the numbers once
/// assert_eq!((sum, share), (5_050, 100.0 / 5_050.0));
/// # Ok::<(), holdall::Error>(())
/// ```
#[track_caller]
pub fn compute<D: DelayedValues>(values: D) -> Result<D::Output> {
    compute_at(None, &values, Site::new("compute"))
}

impl Context {
    /// Like [`compute`], with the calls of delayed functions in this context.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`compute`].
    ///
    /// # Examples
    ///
    /// ```
    /// use holdall::{Context, delayed, value};
    ///
    /// let one = delayed(|x: i32| x + 1)(value(0));
    /// let context = Context::builder().threads(1).build()?;
    /// assert_eq!(context.compute([one.clone(), one])?, [1, 1]);
    /// # Ok::<(), holdall::Error>(())
    /// ```
    #[track_caller]
    pub fn compute<D: DelayedValues>(&self, values: D) -> Result<D::Output> {
        compute_at(Some(self), &values, Site::new("compute"))
    }
}

impl<T: Data + Sync> Delayed<T> {
    /// Computes the value. Runs a job, or several if it needs results of bags; see [`compute`].
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`compute`].
    #[track_caller]
    pub fn compute(&self) -> Result<T> {
        compute_at(None, self, Site::new("compute"))
    }
}

fn compute_at<D: DelayedValues + ?Sized>(
    context: Option<&Context>,
    values: &D,
    site: Site,
) -> Result<D::Output> {
    if is_in_task() {
        return Err(Error::new(ErrorKind::NestedJob));
    }
    let mut nodes = Vec::new();
    values.nodes(&mut nodes);
    let nodes: Vec<_> = nodes.into_iter().map(|AnyDelayed(node)| node).collect();
    let computed = Computation::new(context, site).values(&nodes)?;
    let read = || values.read(&mut computed.into_iter());
    in_task(|| caught(Some(site), read)).at(site)
}

/// Delayed values that [`compute`] computes together.
///
/// Only this library implements it.
pub trait DelayedValues {
    /// Their values.
    type Output;

    #[doc(hidden)]
    fn nodes(&self, nodes: &mut Vec<AnyDelayed>);

    #[doc(hidden)]
    fn read(&self, values: &mut dyn Iterator<Item = Value>) -> Result<Self::Output>;
}

impl<T: Data + Sync> DelayedValues for Delayed<T> {
    type Output = T;

    fn nodes(&self, nodes: &mut Vec<AnyDelayed>) {
        nodes.push(AnyDelayed(self.node.clone()));
    }

    fn read(&self, values: &mut dyn Iterator<Item = Value>) -> Result<T> {
        owned(values)
    }
}

impl<D: DelayedValues + ?Sized> DelayedValues for &D {
    type Output = D::Output;

    fn nodes(&self, nodes: &mut Vec<AnyDelayed>) {
        D::nodes(self, nodes);
    }

    fn read(&self, values: &mut dyn Iterator<Item = Value>) -> Result<D::Output> {
        D::read(self, values)
    }
}

impl<D: DelayedValues> DelayedValues for Vec<D> {
    type Output = Vec<D::Output>;

    fn nodes(&self, nodes: &mut Vec<AnyDelayed>) {
        self.iter().for_each(|value| value.nodes(nodes));
    }

    fn read(&self, values: &mut dyn Iterator<Item = Value>) -> Result<Self::Output> {
        self.iter().map(|value| value.read(values)).collect()
    }
}

impl<D: DelayedValues, const LENGTH: usize> DelayedValues for [D; LENGTH] {
    type Output = [D::Output; LENGTH];

    fn nodes(&self, nodes: &mut Vec<AnyDelayed>) {
        self.iter().for_each(|value| value.nodes(nodes));
    }

    fn read(&self, values: &mut dyn Iterator<Item = Value>) -> Result<Self::Output> {
        let read: Result<Vec<_>> = self.iter().map(|value| value.read(values)).collect();
        let read = read?.try_into();
        read.map_err(|_| Error::internal("values are missing".to_owned()))
    }
}

macro_rules! tuple {
    ($($type:ident $at:tt),*) => {
        impl<$($type: DelayedValues),*> DelayedValues for ($($type,)*) {
            type Output = ($($type::Output,)*);

            fn nodes(&self, nodes: &mut Vec<AnyDelayed>) {
                $(self.$at.nodes(nodes);)*
            }

            fn read(&self, values: &mut dyn Iterator<Item = Value>) -> Result<Self::Output> {
                Ok(($(self.$at.read(values)?,)*))
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
