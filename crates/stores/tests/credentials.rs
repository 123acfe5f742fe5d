//! Sources of credentials and addresses. A server in this process sees what a child process sends.

#![expect(
    clippy::unwrap_used,
    reason = "the tests share a function, which clippy does not know as a test"
)]

use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use holdall::Context;

/// Path that the child process reads.
const PATH: &str = "HOLDALL_TEST_PATH";

/// The child process.
#[test]
fn reader() {
    let Ok(path) = env::var(PATH) else { return };
    holdall_stores::init();
    let context = Context::builder().progress(false).build().unwrap();
    let error = context.read_text(path).unwrap_err();
    writeln!(io::stdout(), "error: {error}").unwrap();
}

/// Reads `path` in a process with variables in which `ADDRESS` stands for this server. Returns the head of its first
/// request, if there is one, and what it prints.
fn run(path: &str, variables: &[(&str, &str)]) -> (String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut first = String::new();
        loop {
            let mut client = listener.accept().unwrap().0;
            let mut bytes = [0; 8192];
            let read = client.read(&mut bytes).unwrap();
            if read == 0 {
                // The end of the test.
                return first;
            }
            if first.is_empty() {
                first = String::from_utf8_lossy(&bytes[..read]).into_owned();
            }
            client
                .write_all(
                    b"HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
                )
                .unwrap();
        }
    });
    let replace = |value: &str| value.replace("ADDRESS", &address.to_string());
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "reader", "--nocapture"])
        .env_clear()
        .env(PATH, path)
        .envs(variables.iter().map(|(name, value)| (name, replace(value))))
        .output()
        .unwrap();
    drop(std::net::TcpStream::connect(address).unwrap());
    (
        server.join().unwrap(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn s3_takes_keys_from_the_environment() {
    let (request, printed) = run(
        "s3://bucket/a",
        &[
            ("AWS_ACCESS_KEY_ID", "KEYID"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_SESSION_TOKEN", "TOKEN"),
            ("AWS_REGION", "eu-west-3"),
            ("AWS_ENDPOINT_URL", "http://ADDRESS"),
            ("AWS_PAGER", "not an option"),
        ],
    );
    assert!(request.starts_with("GET /bucket"), "{request}");
    assert!(request.contains("Credential=KEYID/"), "{request}");
    assert!(request.contains("/eu-west-3/s3/"), "{request}");
    assert!(request.contains("TOKEN"), "{request}");
    let error = "error: cannot list s3://bucket/a: the server answered 403 Forbidden";
    assert!(printed.contains(error), "{printed}");
}

#[test]
fn s3_takes_keys_region_and_endpoint_from_a_profile() {
    let directory = tempfile::tempdir().unwrap();
    let (config, credentials) = (
        directory.path().join("config"),
        directory.path().join("credentials"),
    );
    fs::write(
        &config,
        "[default]\nregion = us-west-1\n[profile mine]\nregion = eu-north-1\n",
    )
    .unwrap();
    fs::write(
        &credentials,
        "[default]\naws_access_key_id = OTHER\naws_secret_access_key = x\n\
         [mine]\naws_access_key_id = MINE\naws_secret_access_key = secret\n",
    )
    .unwrap();
    for (profile, key, region) in [("mine", "MINE", "eu-north-1"), ("", "OTHER", "us-west-1")] {
        let mut variables = vec![
            ("AWS_CONFIG_FILE", config.to_str().unwrap()),
            ("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().unwrap()),
            ("AWS_ENDPOINT_URL", "http://ADDRESS"),
        ];
        if !profile.is_empty() {
            variables.push(("AWS_PROFILE", profile));
        }
        let (request, _) = run("s3://bucket/a", &variables);
        assert!(request.contains(&format!("Credential={key}/")), "{request}");
        assert!(request.contains(&format!("/{region}/s3/")), "{request}");
    }
}

#[test]
fn public_buckets_need_no_credentials() {
    let (request, _) = run(
        "s3://bucket/a",
        &[
            ("AWS_SKIP_SIGNATURE", "true"),
            ("AWS_ENDPOINT_URL", "http://ADDRESS"),
        ],
    );
    assert!(request.starts_with("GET /bucket"), "{request}");
    assert!(
        !request.to_lowercase().contains("authorization"),
        "{request}"
    );
}

#[test]
fn missing_credentials_are_an_error() {
    let (request, printed) = run(
        "s3://bucket/a",
        &[
            ("AWS_ENDPOINT_URL", "http://ADDRESS"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ],
    );
    assert_eq!(request, "");
    assert!(
        printed.contains("error: cannot list s3://bucket/a: no credentials were found; set "),
        "{printed}"
    );
}

#[test]
fn google_clients_can_be_directed_to_an_emulator() {
    let (request, _) = run("gs://bucket/a", &[("STORAGE_EMULATOR_HOST", "ADDRESS")]);
    assert!(request.starts_with("GET /bucket"), "{request}");
}

#[test]
fn azure_takes_a_connection_string() {
    let text = "DefaultEndpointsProtocol=http;AccountName=me;AccountKey=c2VjcmV0;BlobEndpoint=http://ADDRESS/me;";
    let (request, printed) = run("az://box/a", &[("AZURE_STORAGE_CONNECTION_STRING", text)]);
    assert!(request.starts_with("GET /me/box"), "{request}");
    assert!(request.contains("SharedKey me:"), "{request}");
    assert!(
        printed.contains("error: cannot list az://box/a: the server answered 403"),
        "{printed}"
    );
    let (request, _) = run(
        "az://box/a",
        &[
            ("AZURE_STORAGE_ACCOUNT", "you"),
            ("AZURE_STORAGE_KEY", "c2VjcmV0"),
            ("AZURE_STORAGE_ENDPOINT", "http://ADDRESS/you"),
        ],
    );
    assert!(request.contains("SharedKey you:"), "{request}");
}
