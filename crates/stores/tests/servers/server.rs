//! The servers that `ci/stores` starts, and how holdall reaches them.

use std::env;

use holdall::files::FileSystem;
use holdall::{Context, Executor};
use holdall_stores::{CloudStore, HdfsFiles, HttpFiles};

/// The key of all emulators of Azure.
const AZURITE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    S3,
    Gcs,
    Azure,
    Http,
    Hdfs,
}

impl Server {
    pub(crate) const ALL: [Self; 5] = [Self::S3, Self::Gcs, Self::Azure, Self::Http, Self::Hdfs];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
            Self::Http => "http",
            Self::Hdfs => "hdfs",
        }
    }

    /// Returns the address that `ci/stores` has passed.
    pub(crate) fn address(self) -> String {
        let name = match self {
            Self::S3 => "HOLDALL_TEST_S3",
            Self::Gcs => "HOLDALL_TEST_GCS",
            Self::Azure => "HOLDALL_TEST_AZURE",
            Self::Http => "HOLDALL_TEST_HTTP",
            Self::Hdfs => "HOLDALL_TEST_HDFS",
        };
        env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run ci/stores"))
    }

    /// Returns a context whose requests go to `address`.
    pub(crate) fn context_at(self, address: &str, executor: Executor) -> Context {
        let builder = Context::builder().executor(executor).progress(false);
        let builder = match self {
            Self::S3 => builder.file_system("s3", s3(address)),
            Self::Gcs => builder.file_system("gs", gcs(address)),
            Self::Azure => builder.file_system("az", azure(address)),
            Self::Http => builder.file_system("http", HttpFiles::http()),
            Self::Hdfs => builder.file_system("hdfs", HdfsFiles::new()),
        };
        builder.build().expect("the settings are right")
    }

    pub(crate) fn context(self, executor: Executor) -> Context {
        self.context_at(&self.address(), executor)
    }

    /// Returns the path of a directory for a test, at `address`.
    pub(crate) fn directory_at(self, address: &str, test: &str) -> String {
        let place = match self {
            Self::S3 | Self::Gcs | Self::Azure => "holdall".to_owned(),
            Self::Http | Self::Hdfs => format!("{address}/holdall"),
        };
        format!(
            "{name}://{place}/{name}-{test}-{}",
            std::process::id(),
            name = self.name()
        )
    }

    pub(crate) fn directory(self, test: &str) -> String {
        self.directory_at(&self.address(), test)
    }

    /// Returns the path of a file with any name in a directory.
    pub(crate) fn file(self, directory: &str, name: &str) -> String {
        if self != Self::Http {
            return format!("{directory}/{name}");
        }
        let encode = |byte: u8| match byte {
            b'/' | b'.' | b'_' | b'-' => char::from(byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        };
        format!(
            "{directory}/{}",
            name.bytes().map(encode).collect::<String>()
        )
    }
}

pub(crate) fn s3(address: &str) -> CloudStore {
    CloudStore::s3()
        .option("endpoint", address)
        .option("access_key_id", "me")
        .option("secret_access_key", "secret")
}

pub(crate) fn gcs(address: &str) -> CloudStore {
    CloudStore::gcs()
        .option("base_url", address)
        .option("bearer_token", "any")
}

pub(crate) fn azure(address: &str) -> CloudStore {
    CloudStore::azure()
        .option("endpoint", address)
        .option("account_name", "devstoreaccount1")
        .option("account_key", AZURITE_KEY)
}

/// Runs a test on each executor.
pub(crate) fn on_each(server: Server, test: impl Fn(&Context, &str)) {
    for (executor, name) in [
        (Executor::Inline, "inline"),
        (Executor::Threads(2), "threads"),
        (Executor::Processes(2), "processes"),
    ] {
        test(&server.context(executor), name);
    }
}

/// Removes a file past holdall.
pub(crate) fn remove(server: Server, path: &str) {
    let (_, rest) = path.split_once("://").unwrap();
    let address = server.address();
    match server {
        Server::S3 => s3(&address).remove(rest),
        Server::Gcs => gcs(&address).remove(rest),
        Server::Azure => azure(&address).remove(rest),
        Server::Http => HttpFiles::http().remove(rest),
        Server::Hdfs => HdfsFiles::new().remove(rest),
    }
    .unwrap();
}
