//! A program for tests of clusters: runs the programs of arrays, frames and searches, and prints what the status page says of
//! their jobs. Takes the variables of those programs.

use std::env;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use holdall::{BoxError, Context};
use serde_json::Value;

pub(crate) fn main() -> Result<(), BoxError> {
    let context = Context::builder().status("127.0.0.1:0").build()?;
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    let input = env::var_os("IN").ok_or("IN is not set")?;
    std::fs::create_dir_all(&out)?;
    crate::arrays::run(&context, Path::new(&out))?;
    crate::search::run(&context)?;
    crate::frames::run(&context, Path::new(&input))?;
    let url = context.status_url().ok_or("there is no status page")?;
    let jobs = get(&url, "api/jobs")?;
    for job in jobs["jobs"].as_array().ok_or("no jobs")? {
        let (stages, done) = (&job["stages"], &job["stages_done"]);
        println!("{} {} {stages} {done}", job["action"], job["state"]);
    }
    Ok(())
}

/// Requests a JSON document of the status page.
fn get(url: &str, path: &str) -> Result<Value, BoxError> {
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(host)?;
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (_, body) = response.split_once("\r\n\r\n").ok_or("no response")?;
    Ok(serde_json::from_str(body)?)
}
