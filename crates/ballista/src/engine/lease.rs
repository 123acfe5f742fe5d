//! Requests slots from the scheduler of Ballista.

use std::path::Path;
use std::time::{Duration, Instant};

use ballista_core::extension::SessionConfigExt;
use ballista_core::serde::BallistaPhysicalExtensionCodec;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelJobParams, ExecuteQueryParams, GetJobStatusParams, KeyValuePair, execute_query_result,
    job_status,
};
use ballista_core::version::insert_version_header;
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use holdall::{Error, Result};
use serde::Deserialize;
use tonic::transport::{Channel, Endpoint};

use super::slots::{REFUSAL, plan};
use super::{Engine, Lease};
use crate::message::SlotSpec;
use crate::net::wait_for;

/// Maximum time of a call to the scheduler.
const LIMIT: Duration = Duration::from_secs(10);

/// Time after which the failure of a request counts as the loss of all its machines, and not as a refusal.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);

/// Time after which a machine that the scheduler has not heard from does not count, in milliseconds. A machine whose slots
/// are all in use reports every 5 s.
const GONE_MS: u64 = 15_000;

/// A cluster of Ballista.
#[derive(Clone)]
pub(crate) struct Ballista {
    address: &'static str,
    /// Host and port of the scheduler.
    scheduler: String,
}

/// A machine, as the scheduler describes it.
#[derive(Deserialize)]
struct Machine {
    /// Time of the scheduler's clock at which it last heard from the machine, in milliseconds.
    last_seen: Option<u64>,
    specification: Specification,
}

#[derive(Deserialize)]
struct Specification {
    vcores: usize,
}

impl Ballista {
    pub(crate) fn new(address: &'static str, scheduler: String) -> Self {
        Self { address, scheduler }
    }

    fn error(&self, reason: impl std::fmt::Display) -> Error {
        Error::cluster(self.address, reason.to_string())
    }

    async fn client(&self) -> Result<SchedulerGrpcClient<Channel>> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.scheduler));
        let endpoint = endpoint.map_err(|error| self.error(error))?;
        let endpoint = endpoint.connect_timeout(LIMIT).timeout(LIMIT);
        let channel = endpoint.connect().await.map_err(|error| {
            let reason = std::error::Error::source(&error)
                .map_or_else(String::new, |source| format!(": {source}"));
            self.error(format_args!("cannot reach the scheduler{reason}"))
        })?;
        Ok(SchedulerGrpcClient::new(channel))
    }

    /// Submits a job that requests slots, and returns its name.
    async fn submit(&self, spec: &SlotSpec, slots: usize) -> Result<String> {
        let plan = plan(spec, slots).map_err(|error| self.error(error))?;
        let codec = BallistaPhysicalExtensionCodec::default();
        let mut bytes = Vec::new();
        PhysicalPlanNode::try_from_physical_plan(plan, &codec)
            .and_then(|plan| plan.try_encode(&mut bytes))
            .map_err(|error| self.error(error))?;
        let settings = SessionConfig::new_with_ballista()
            .with_ballista_job_name(&job_name(&spec.driver))
            .set_str("ballista.scheduler.max_partitions_per_task", "1");
        let settings = settings.options().entries().into_iter();
        let settings = settings.map(|entry| KeyValuePair {
            key: entry.key,
            value: entry.value,
        });
        let unique = || uuid::Uuid::new_v4().to_string();
        let mut request = tonic::Request::new(ExecuteQueryParams {
            query: Some(Query::PhysicalPlan(bytes)),
            settings: settings.collect(),
            session_id: unique(),
            operation_id: unique(),
        });
        insert_version_header(request.metadata_mut());
        let answer = self.client().await?.execute_query(request).await;
        let answer = answer
            .map_err(|status| self.error(status.message()))?
            .into_inner();
        match answer.result {
            Some(execute_query_result::Result::Success(success)) => Ok(success.job_id),
            refusal => Err(self.error(format_args!(
                "the scheduler refuses the request: {refusal:?}"
            ))),
        }
    }
}

/// Number of slots of the machines that still report to the scheduler.
fn slots_of(machines: &[Machine]) -> usize {
    // The clock of the scheduler may differ from the one here, so machines are compared with each other.
    let seen = machines.iter().filter_map(|machine| machine.last_seen);
    let latest = seen.max().unwrap_or_default();
    let alive = machines.iter().filter(|machine| {
        let seen = machine.last_seen.unwrap_or(latest);
        seen.saturating_add(GONE_MS) >= latest
    });
    alive.map(|machine| machine.specification.vcores).sum()
}

/// Name of the job in the interfaces of Ballista.
fn job_name(driver: &str) -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let program = Path::new(&program)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    format!("holdall: {program} {}@{driver}", std::process::id())
}

impl Engine for Ballista {
    fn slots(&self) -> Result<usize> {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(LIMIT))
            .build()
            .new_agent();
        let answer = agent
            .get(format!("http://{}/api/executors", self.scheduler))
            .call();
        let text = answer.and_then(|mut answer| answer.body_mut().read_to_string());
        let text = text.map_err(|error| self.error(error))?;
        let machines: Vec<Machine> =
            serde_json::from_str(&text).map_err(|error| self.error(error))?;
        Ok(slots_of(&machines))
    }

    fn lease(&self, spec: &SlotSpec, slots: usize) -> Result<Box<dyn Lease>> {
        let (engine, spec) = (self.clone(), spec.clone());
        let job = wait_for(async move { engine.submit(&spec, slots).await })
            .map_err(|error| self.error(error))??;
        Ok(Box::new(BallistaLease {
            engine: self.clone(),
            job,
            begun: Instant::now(),
        }))
    }
}

/// A job that requests slots.
struct BallistaLease {
    engine: Ballista,
    job: String,
    begun: Instant,
}

impl Lease for BallistaLease {
    fn is_open(&mut self) -> Result<bool> {
        let (engine, job_id) = (self.engine.clone(), self.job.clone());
        let status = wait_for(async move {
            let mut client = engine.client().await.ok()?;
            Some(client.get_job_status(GetJobStatusParams { job_id }).await)
        });
        let status = match status {
            Ok(Some(Ok(answer))) => answer.into_inner().status.and_then(|status| status.status),
            // A scheduler that has been restarted does not know the job.
            Ok(Some(Err(status))) if status.code() != tonic::Code::Unavailable => None,
            // It is down, and may come back.
            _ => return Ok(true),
        };
        match status {
            Some(job_status::Status::Queued(_) | job_status::Status::Running(_)) => Ok(true),
            Some(job_status::Status::Failed(failed)) => self.failed(&failed.error).map(|()| false),
            Some(job_status::Status::Successful(_)) | None => Ok(false),
        }
    }
}

impl BallistaLease {
    /// Returns an error if the request was refused. Otherwise, all machines were lost, and it is repeated.
    fn failed(&self, error: &str) -> Result<()> {
        if let Some((_, reason)) = error.split_once(REFUSAL) {
            let reason = reason.split(['"', '\\', '\n']).next().unwrap_or(reason);
            return Err(self.engine.error(reason));
        }
        if self.begun.elapsed() < REFUSED_WITHIN {
            return Err(self.engine.error(error));
        }
        Ok(())
    }
}

impl Drop for BallistaLease {
    fn drop(&mut self) {
        // Slots that machines hold end with the driver's word to them. This withdraws those that are not free yet.
        let (engine, job_id) = (self.engine.clone(), self.job.clone());
        if let Ok(runtime) = crate::net::runtime() {
            runtime.spawn(async move {
                if let Ok(mut client) = engine.client().await {
                    let _ = client.cancel_job(CancelJobParams { job_id }).await;
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_silent_does_not_count() {
        let machine = |last_seen, vcores| Machine {
            last_seen,
            specification: Specification { vcores },
        };
        let machines = [
            machine(Some(1_700_000_020_000), 4),
            machine(Some(1_700_000_010_000), 2),
            machine(Some(1_700_000_001_000), 8),
            machine(None, 1),
        ];
        assert_eq!(slots_of(&machines), 7);
        assert_eq!(slots_of(&[]), 0);
    }
}
