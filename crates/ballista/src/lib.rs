//! Runs the stages of a program on the machines of a cluster.
//!
#![doc = include_str!("../README.md")]
#![cfg(target_os = "linux")]

mod agent;
mod driver;
mod engine;
mod fingerprint;
mod message;
mod net;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod transfer;

pub use holdall::*;

/// Turns this process into a worker process, or into the scheduler or a worker of a cluster, if it was started as one.
/// Makes addresses that begin with `ballista://` available as [`Executor`]s.
///
/// Call it first in `main`, in place of [`holdall::init`], which it includes. In a process that was started with
/// `HOLDALL_ROLE`, the call does not return. In a worker process, it does not return either: see [`holdall::init`],
/// which also describes test programs.
///
/// # Examples
///
/// ```no_run
/// use holdall_ballista::Context;
///
/// fn main() -> holdall_ballista::Result<()> {
///     holdall_ballista::init();
///     let executor = "ballista://host:50050".parse()?;
///     let context = Context::builder().executor(executor).build()?;
///     assert_eq!(context.range(0..1000).filter(|n| n % 7 == 0).count()?, 143);
///     Ok(())
/// }
/// ```
pub fn init() {
    executor::init_with_home(agent::home_of_this_process);
    executor::register(settings::SCHEME, connect);
    run_role();
}

/// Returns the executor for an address.
fn connect(address: &'static str) -> Result<std::sync::Arc<dyn executor::RemoteExecutor>> {
    let failed = |reason| Error::cluster(address, reason);
    let cluster = settings::ClusterAddress::parse(address).map_err(failed)?;
    let driver = driver::DriverSettings::from_env(&cluster.scheduler).map_err(failed)?;
    let engine = engine::Ballista::new(address, cluster.scheduler.clone());
    let cluster = driver::Cluster::new(address, cluster, driver, Box::new(engine))?;
    Ok(std::sync::Arc::new(cluster))
}

/// Runs the role that the environment sets, and exits. Returns if there is none.
fn run_role() {
    let role = match settings::text("HOLDALL_ROLE") {
        Ok(None) => return,
        Ok(Some(role)) => role,
        Err(reason) => fail(&reason),
    };
    let outcome = match &*role {
        "scheduler" => net::wait_for(engine::run_scheduler()),
        "worker" => net::wait_for(engine::run_worker()),
        _ => fail(&settings::refused(
            "HOLDALL_ROLE",
            &role,
            "scheduler or worker",
        )),
    };
    match outcome.map_err(|error| error.to_string()).flatten() {
        Ok(()) => std::process::exit(0),
        Err(reason) => fail(&reason),
    }
}

fn fail(reason: &str) -> ! {
    eprintln!("holdall: {reason}");
    std::process::exit(1)
}
