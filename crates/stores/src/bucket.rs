//! Buckets and containers, with the settings that the environment, files and the program specify.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::io;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::list::PaginatedListStore;
use object_store::multipart::MultipartStore;
use object_store::signer::Signer;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use serde::{Deserialize, Serialize};

use crate::failure::failure;
use crate::{aws, azure};

/// Maximum time without a byte from a server, after which a request is repeated. A part must be uploaded within it.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum number of times that a request is repeated, after pauses that grow from 0.1 s to 5 s.
const MAX_RETRIES: usize = 6;

/// A service that has buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Service {
    S3,
    Gcs,
    Azure,
}

/// The operations on a bucket that holdall needs.
pub(crate) trait BucketClient:
    ObjectStore + MultipartStore + PaginatedListStore + Signer
{
}

impl<T: ObjectStore + MultipartStore + PaginatedListStore + Signer> BucketClient for T {}

pub(crate) type Bucket = Arc<dyn BucketClient>;

/// Settings by their names in lower case.
pub(crate) type Options = BTreeMap<String, String>;

/// Returns the client of a bucket. Clients are shared by all file systems of the process with the same options, and so
/// are their connections.
pub(crate) fn bucket(service: Service, options: &Options, name: &str) -> io::Result<Bucket> {
    type Known = HashMap<(Service, Options, String), Bucket>;
    static BUCKETS: Mutex<Option<Known>> = Mutex::new(None);
    if name.is_empty() {
        let reason = "the path names no bucket";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    let mut buckets = BUCKETS.lock().unwrap_or_else(PoisonError::into_inner);
    let buckets = buckets.get_or_insert_default();
    let key = (service, options.clone(), name.to_owned());
    if let Some(bucket) = buckets.get(&key) {
        return Ok(Arc::clone(bucket));
    }
    let bucket = connect(service, options, name).map_err(failure)?;
    buckets.insert(key, Arc::clone(&bucket));
    Ok(bucket)
}

fn connect(service: Service, options: &Options, name: &str) -> object_store::Result<Bucket> {
    Ok(match service {
        Service::S3 => {
            let settings = settings("AWS_", aws::profile_settings(), options)?;
            let has_keys = settings
                .iter()
                .any(|(key, _)| matches!(key, AmazonS3ConfigKey::AccessKeyId));
            let builder = AmazonS3Builder::new().with_client_options(client_options());
            let builder = builder.with_retry(retries());
            let builder = match has_keys {
                true => builder,
                false => builder.with_credentials(Arc::new(aws::Credentials::new())),
            };
            let set = |builder: AmazonS3Builder, (key, value)| builder.with_config(key, value);
            let builder = settings.into_iter().fold(builder, set);
            Arc::new(builder.with_bucket_name(name).build()?)
        }
        Service::Gcs => {
            let settings = settings("GOOGLE_", gcs_settings(), options)?;
            let builder = GoogleCloudStorageBuilder::new().with_client_options(client_options());
            let builder = builder.with_retry(retries());
            let set =
                |builder: GoogleCloudStorageBuilder, (key, value)| builder.with_config(key, value);
            let builder = settings.into_iter().fold(builder, set);
            Arc::new(builder.with_bucket_name(name).build()?)
        }
        Service::Azure => {
            let (container, account) = azure::split_name(name);
            let settings = settings("AZURE_", azure::settings(), options)?;
            let builder = MicrosoftAzureBuilder::new().with_client_options(client_options());
            let builder = builder.with_retry(retries());
            let set =
                |builder: MicrosoftAzureBuilder, (key, value)| builder.with_config(key, value);
            let builder = settings.into_iter().fold(builder, set);
            let builder = match account {
                Some(account) => builder.with_account(account),
                None => builder,
            };
            Arc::new(builder.with_container_name(container).build()?)
        }
    })
}

/// Returns the settings of a service. Those of the program override those of the environment, which override those of
/// its tools.
///
/// # Errors
///
/// Returns an error if the program has set an option that does not exist.
fn settings<K: FromStr<Err = object_store::Error>>(
    prefix: &str,
    of_tools: Options,
    of_program: &Options,
) -> object_store::Result<Vec<(K, String)>> {
    let of_environment = env::vars_os().filter_map(|(name, value)| {
        let name = name
            .into_string()
            .ok()
            .filter(|name| name.starts_with(prefix))?;
        Some((name.to_lowercase(), value.into_string().ok()?))
    });
    let optional: Vec<_> = of_tools.into_iter().chain(of_environment).collect();
    let is_plain = |(name, value): (&String, &String)| {
        let is_address = name.contains("endpoint") || name.contains("base_url");
        is_address && value.starts_with("http://")
    };
    let mut addresses = optional
        .iter()
        .map(|(name, value)| (name, value))
        .chain(of_program);
    let allow_http = addresses
        .any(is_plain)
        .then(|| ("allow_http".to_owned(), "true".to_owned()));

    let optional = allow_http.into_iter().chain(optional);
    // Variables with other names are for other programs.
    let optional = optional.filter_map(|(name, value)| Some(Ok((name.parse().ok()?, value))));
    let required = of_program
        .iter()
        .map(|(name, value)| Ok((name.parse()?, value.clone())));
    optional.chain(required).collect()
}

/// Returns the setting by which the clients of Google are directed to an emulator.
fn gcs_settings() -> Options {
    let Ok(host) = env::var("STORAGE_EMULATOR_HOST") else {
        return Options::new();
    };
    let address = match host.contains("://") {
        true => host,
        false => format!("http://{host}"),
    };
    let skip = ("skip_signature".to_owned(), "true".to_owned());
    Options::from([("base_url".to_owned(), address), skip])
}

/// A large object may take longer than any limit, so only the time without a byte has one.
fn client_options() -> ClientOptions {
    ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(READ_TIMEOUT)
}

fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: MAX_RETRIES,
        retry_timeout: Duration::from_secs(120),
    }
}
