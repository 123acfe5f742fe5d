//! The scheduler and the workers of a cluster: this program, by `HOLDALL_ROLE`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::error::BallistaError;
use ballista_core::utils::GrpcServerConfig;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_executor::executor_server::TERMINATING;
use ballista_executor::shutdown::Shutdown;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::scheduler_process::start_server;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use holdall::IntoByteSize;
use holdall::executor::{ScratchDirectory, default_memory_bytes};
use tokio::task::JoinHandle;

use super::slots::SlotEngine;
use crate::agent::{Agent, AgentSettings};
use crate::settings::{self, Setting, host_and_port, parsed, text};
use crate::tls::Security;

/// Default address of the scheduler.
const SCHEDULER: &str = "127.0.0.1:50050";

/// Minimum memory of a slot, in bytes. A job with a shuffle needs it.
const MIN_SLOT_BYTES: usize = 1 << 20;

/// Interval at which a worker checks whether it has been told to end.
const LOOK: Duration = Duration::from_millis(100);

/// Runs the scheduler. Returns only after an error.
pub(crate) async fn run_scheduler() -> Setting<()> {
    let parse = |address: &str| address.parse::<SocketAddr>().ok();
    let bind = parsed("HOLDALL_BIND", "an address such as 0.0.0.0:50050", parse)?;
    let bind = match bind {
        Some(bind) => bind,
        None => (Ipv4Addr::LOCALHOST, 50050).into(),
    };
    Security::from_env()?.check(bind.ip())?;
    let host = text("HOLDALL_HOST")?.unwrap_or_else(|| bind.ip().to_string());
    let config = SchedulerConfig {
        bind_host: bind.ip().to_string(),
        bind_port: bind.port(),
        external_host: host,
        scheduling_policy: TaskSchedulingPolicy::PullStaged,
        executor_timeout_seconds: 30,
        expire_dead_executor_interval_seconds: 5,
        no_executors_grace_period_seconds: 60,
        ..SchedulerConfig::default()
    };
    let cluster = BallistaCluster::new_from_config(&config).await;
    let cluster = cluster.map_err(|error| error.to_string())?;
    start_server(cluster, bind, Arc::new(config))
        .await
        .map_err(|error| error.to_string())
}

/// Runs a worker until it is told to end by SIGTERM or Ctrl-C.
pub(crate) async fn run_worker() -> Setting<()> {
    let scheduler = text("HOLDALL_SCHEDULER")?.unwrap_or_else(|| SCHEDULER.to_owned());
    let expected = "HOST:PORT";
    let (host, port) = scheduler
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)))
        .ok_or_else(|| settings::refused("HOLDALL_SCHEDULER", &scheduler, expected))?;
    let parse = |address: &str| address.parse::<IpAddr>().ok();
    let bind = parsed("HOLDALL_BIND", "an IP address", parse)?;
    let bind = bind.unwrap_or(Ipv4Addr::LOCALHOST.into());
    let security = Security::from_env()?;
    security.check(bind)?;
    let own_host = own_host(bind, &scheduler)?;
    let count = |count: &str| count.parse::<usize>().ok().filter(|count| *count > 0);
    let slots = parsed("HOLDALL_SLOTS", "a number of 1 or more", count)?;
    let slots = slots.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let spill_directory = settings::path("HOLDALL_SPILL_DIR").unwrap_or_else(std::env::temp_dir);
    // Ballista wants a directory, and puts nothing there.
    let unused = ScratchDirectory::create(&spill_directory).map_err(|error| error.to_string())?;
    let agent = Agent::start(AgentSettings {
        host: own_host.clone(),
        bind,
        security,
        spill_directory,
        worker_memory_bytes: memory_bytes(slots)? / slots,
    });
    let agent = agent.await?;
    tokio::spawn(leave_in_time(Arc::clone(&agent)));
    let config = ExecutorProcessConfig {
        bind_host: bind.to_string(),
        external_host: Some(own_host),
        port: agent.port(),
        grpc_port: agent.port(),
        scheduler_host: host.to_owned(),
        scheduler_port: port,
        scheduler_connect_timeout_seconds: 600,
        vcores: slots,
        task_scheduling_policy: TaskSchedulingPolicy::PullStaged,
        work_dir: unused.path().to_str().map(str::to_owned),
        memory_pool_size: Some(0),
        override_execution_engine: Some(Arc::new(SlotEngine { agent })),
        override_runtime_producer: Some(Arc::new(|_| runtime_without_files())),
        override_arrow_flight_service: Some(Arc::new(no_flight_service)),
        ..ExecutorProcessConfig::default()
    };
    let address = host_and_port(host, port);
    let ended = start_executor_process(Arc::new(config)).await;
    ended.map_err(|error| format!("{address}: {error}"))
}

/// Returns the name by which other machines reach this one.
fn own_host(bind: IpAddr, scheduler: &str) -> Setting<String> {
    match text("HOLDALL_HOST")? {
        Some(host) => Ok(host),
        None if !bind.is_unspecified() => Ok(bind.to_string()),
        None => settings::route_to(scheduler)
            .map(|address| address.to_string())
            .map_err(|error| format!("{scheduler}: {error}")),
    }
}

/// Returns the memory of all slots of this machine.
fn memory_bytes(slots: usize) -> Setting<usize> {
    let Some(text) = text("HOLDALL_MEMORY")? else {
        return Ok(default_memory_bytes().max(slots * MIN_SLOT_BYTES));
    };
    let size = text.as_str().into_byte_size();
    let size =
        size.map_err(|_| settings::refused("HOLDALL_MEMORY", &text, "a size such as 4GiB"))?;
    let bytes = usize::try_from(size.0).unwrap_or(usize::MAX);
    if bytes / slots < MIN_SLOT_BYTES {
        let wanted = format!("at least {slots}MiB for {slots} slots");
        return Err(settings::refused("HOLDALL_MEMORY", &text, &wanted));
    }
    Ok(bytes)
}

/// Returns a runtime for tasks that are slots. It does not create files, which would be left when the worker ends.
fn runtime_without_files() -> datafusion::error::Result<Arc<RuntimeEnv>> {
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let runtime = RuntimeEnvBuilder::new().with_disk_manager_builder(disk);
    runtime.build().map(Arc::new)
}

/// Takes the place of the port from which Ballista reads records. No records pass through Ballista, so it stays closed.
fn no_flight_service(
    _: String,
    _: SocketAddr,
    mut shutdown: Shutdown,
    _: GrpcServerConfig,
) -> JoinHandle<Result<(), BallistaError>> {
    tokio::spawn(async move {
        shutdown.recv().await;
        Ok(())
    })
}

/// Ends the slots of this machine when it has been told to end, so that Ballista need not wait for them.
async fn leave_in_time(agent: Arc<Agent>) {
    while !TERMINATING.load(Ordering::Acquire) {
        tokio::time::sleep(LOOK).await;
    }
    agent.leave().await;
}
