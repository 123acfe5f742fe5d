//! Features of some of the stores.

use std::process::Command;

use holdall::{Context, Executor};
use holdall_stores::{CloudStore, HttpFiles};

use crate::contract::{put, read};
use crate::server::{Server, azure, s3};

fn context_of(scheme: &str, store: CloudStore) -> Context {
    let builder = Context::builder()
        .executor(Executor::Threads(2))
        .progress(false);
    builder.file_system(scheme, store).build().unwrap()
}

#[test]
fn a_missing_bucket_is_named() {
    for (server, code) in [
        (Server::S3, "NoSuchBucket"),
        (Server::Azure, "ContainerNotFound"),
    ] {
        let context = server.context(Executor::Threads(2));
        let path = format!("{}://no-such-bucket/a", server.name());
        let error = context.read_text(&path).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("cannot list {path}: the server answered 404")),
            "{error}"
        );
        assert!(error.contains(code), "{error}");
        let error = context
            .range(0..3_u64)
            .write_text(&path)
            .unwrap_err()
            .to_string();
        assert!(error.contains(&path) && error.contains(code), "{error}");
    }
    let context = Server::S3.context(Executor::Inline);
    let error = context.read_text("s3://").unwrap_err().to_string();
    assert_eq!(error, "cannot list s3://: the path names no bucket");
}

#[test]
fn wrong_credentials_are_an_error() {
    let store = azure(&Server::Azure.address()).option("account_key", "d3Jvbmc=");
    let error = context_of("az", store)
        .read_text("az://holdall/a")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot list az://holdall/a: the server answered 403"),
        "{error}"
    );
    assert!(
        error.contains("AuthenticationFailed") || error.contains("AuthorizationFailure"),
        "{error}"
    );
}

#[test]
fn an_unknown_option_is_an_error() {
    let store = s3(&Server::S3.address()).option("endpiont", "x");
    let error = context_of("s3", store)
        .read_text("s3://holdall/a")
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("cannot list s3://holdall/a: "), "{error}");
    assert!(error.contains("endpiont"), "{error}");
}

#[test]
fn a_key_that_cannot_be_used_is_an_error() {
    let context = Server::S3.context(Executor::Threads(2));
    for path in ["s3://holdall/a//b", "s3://holdall/a/../b"] {
        let error = context
            .range(0..3_u64)
            .write_text(path)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("cannot create {path} at ")),
            "{error}"
        );
    }
}

#[test]
fn markers_of_directories_are_no_files() {
    let context = Server::S3.context(Executor::Threads(2));
    let directory = Server::S3.directory("markers");
    put(&context, &(directory.clone() + "/d/file"), "text");
    put(&context, &(directory.clone() + "/empty"), "");
    // As the console of S3 creates a directory.
    let url = directory.replace("s3://", &format!("{}/", Server::S3.address()));
    for name in ["d/", "alone/"] {
        let client = Command::new("curl")
            .args(["-sf", "-X", "PUT", &format!("{url}/{name}")])
            .output();
        assert!(client.unwrap().status.success());
    }
    assert_eq!(
        read(&context, &(directory.clone() + "/d")).unwrap(),
        ["text"]
    );
    assert_eq!(read(&context, &directory).unwrap(), ["text"]);
    assert!(read(&context, &(directory.clone() + "/alone")).is_err());
    context
        .range(0..3_u64)
        .write_text(directory.clone() + "/alone")
        .unwrap();
    assert_eq!(read(&context, &(directory + "/alone")).unwrap().len(), 3);
}

#[test]
fn passwords_of_web_servers_are_used() {
    let address = Server::Http.address();
    let path = format!("http://{address}/locked/file");
    let context = Server::Http.context(Executor::Threads(2));
    let error = context.read_text(&path).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("cannot list {path}: the server answered 401 Unauthorized")
    );
    // me:secret
    let private = HttpFiles::http().header("authorization", "Basic bWU6c2VjcmV0");
    let private = Context::builder()
        .file_system("http", private)
        .build()
        .unwrap();
    put(&private, &path, "text");
    assert_eq!(read(&private, &path).unwrap(), ["text"]);
    let path = format!("http://me:secret@{address}/locked/file");
    assert_eq!(read(&context, &path).unwrap(), ["text"]);
}

#[test]
fn one_line_adds_all_stores() {
    holdall_stores::init();
    let path = Server::Http.directory("init") + "/file";
    put(&Server::Http.context(Executor::Inline), &path, "text");
    assert_eq!(
        holdall::read_text(&path).unwrap().collect().unwrap(),
        ["text"]
    );
    let context = Context::builder()
        .executor(Executor::Processes(2))
        .progress(false);
    let context = context.build().unwrap();
    assert_eq!(read(&context, &path).unwrap(), ["text"]);
    let hdfs = Server::Hdfs.directory("init") + "/out";
    context.range(0..10_u64).write_text(&hdfs).unwrap();
    assert_eq!(read(&context, &hdfs).unwrap().len(), 10);
}
