//! The program with the examples runs on a cluster of three workers on this machine.

use std::process::Command;

#[test]
fn programs_print_on_three_workers_what_they_print_on_one_thread() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../ballista/tests/loopback.sh");
    let programs = env!("CARGO_BIN_EXE_holdall-ballista-examples");
    let status = Command::new(script).env("PROGRAMS", programs).status();
    assert!(status.unwrap().success());
}
