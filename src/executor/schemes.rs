//! Executors of other crates, by the scheme of their address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::remote::RemoteExecutor;
use crate::error::{Error, ErrorKind, Result};

/// Function that returns the executor at an address.
type Connect = fn(&'static str) -> Result<Arc<dyn RemoteExecutor>>;

static SCHEMES: Mutex<Option<HashMap<&'static str, Connect>>> = Mutex::new(None);

/// Makes addresses with this scheme available as [`Executor::At`](crate::Executor::At), and so in the environment and on
/// command lines.
///
/// Each context that uses an address calls `connect` once, with the whole address. Jobs report its error.
///
/// # Examples
///
/// ```
/// use holdall::{Context, Error, Executor};
///
/// holdall::executor::register("moon", |address| Err(Error::cluster(address, "too far away")));
/// let executor: Executor = "moon://crater:1".parse()?;
/// let error = Context::builder().executor(executor).build().unwrap_err();
/// assert_eq!(error.to_string(), "moon://crater:1: too far away");
/// # Ok::<(), holdall::Error>(())
/// ```
pub fn register(scheme: &'static str, connect: Connect) {
    let mut schemes = SCHEMES.lock().unwrap_or_else(PoisonError::into_inner);
    schemes.get_or_insert_default().insert(scheme, connect);
}

/// Returns the executor at an address.
///
/// # Errors
///
/// Returns an error if no executor is registered for the scheme, and the error of the executor.
pub(crate) fn connect(address: &'static str) -> Result<Arc<dyn RemoteExecutor>> {
    let scheme = address
        .split_once(':')
        .map_or(address, |(scheme, _)| scheme);
    let schemes = SCHEMES.lock().unwrap_or_else(PoisonError::into_inner);
    let connect = schemes
        .as_ref()
        .and_then(|schemes| schemes.get(scheme).copied());
    drop(schemes);
    let connect = connect.ok_or_else(|| {
        Error::new(ErrorKind::InvalidSetting {
            setting: "executor",
            value: address.to_owned(),
            expected: "a scheme that the program has registered: for ballista://, call `holdall_ballista::init()` first",
        })
    })?;
    connect(address)
}
