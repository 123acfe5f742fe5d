//! Credentials and settings for S3, from where Amazon's own tools take them.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ini::{Ini, Properties};
use object_store::aws::AwsCredential;
use object_store::{CredentialProvider, Error, Result};
use reqsign_aws_v4::{Credential, DefaultCredentialProvider};
use reqsign_core::{Context, OsEnv, ProvideCredential, SigningCredential};
use tokio::sync::Mutex;

use crate::bucket::Options;
use crate::requests::client;

/// Finds credentials in the environment, the profile files, single sign-on, web identity tokens, credential processes,
/// and the metadata of containers and machines, in this order. Repeats that before they expire.
#[derive(Debug)]
pub(crate) struct Credentials {
    context: Context,
    chain: DefaultCredentialProvider,
    last: Mutex<Option<(Credential, Arc<AwsCredential>)>>,
}

impl Credentials {
    pub(crate) fn new() -> Self {
        let context = Context::new()
            .with_file_read(reqsign_file_read_tokio::TokioFileRead)
            .with_http_send(reqsign_http_send_reqwest::ReqwestHttpSend::new(
                client().clone(),
            ))
            .with_command_execute(reqsign_command_execute_tokio::TokioCommandExecute)
            .with_env(OsEnv);
        Self {
            context,
            chain: DefaultCredentialProvider::new(),
            last: Mutex::new(None),
        }
    }
}

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>> {
        let mut last = self.last.lock().await;
        if let Some((credential, known)) = &*last
            && credential.is_valid()
        {
            return Ok(Arc::clone(known));
        }
        let error = |source| Error::Generic {
            store: "S3",
            source,
        };
        let found = self.chain.provide_credential(&self.context).await;
        let found = found.map_err(|source| error(source.into()))?;
        let found = found.ok_or_else(|| error(NO_CREDENTIALS.into()))?;
        let known = Arc::new(AwsCredential {
            key_id: found.access_key_id.clone(),
            secret_key: found.secret_access_key.clone(),
            token: found.session_token.clone(),
        });
        *last = Some((found, Arc::clone(&known)));
        Ok(known)
    }
}

const NO_CREDENTIALS: &str = "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
     AWS_PROFILE, or AWS_SKIP_SIGNATURE=true for a public bucket";

/// Returns the region and the endpoint of the profile that `AWS_PROFILE` names.
pub(crate) fn profile_settings() -> Options {
    let path = env::var_os("AWS_CONFIG_FILE").map(PathBuf::from);
    let path = path.or_else(|| Some(env::home_dir()?.join(".aws/config")));
    let profile = env::var("AWS_PROFILE").unwrap_or_else(|_| "default".to_owned());
    let section = match &*profile {
        "default" => profile,
        profile => format!("profile {profile}"),
    };
    // A missing file is no error. The search for credentials reports a damaged one.
    let file = path.and_then(|path| Ini::load_from_file(path).ok());
    let section = file.as_ref().and_then(|file| file.section(Some(section)));
    let fields = section.into_iter().flat_map(Properties::iter);
    let fields = fields.filter(|(name, _)| matches!(*name, "region" | "endpoint_url"));
    fields
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
