//! Runs the program with limits on descriptors, threads, memory or file sizes, or in an unusual state.
#![expect(unsafe_code, reason = "std does not set limits or signal handlers")]

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::common::Files;
use super::harness::{Outcome, Run, Scene};
use super::program::{EXECUTORS, WORK};
use super::sample::{Tally, in_places, undisturbed};

/// Called in the program: applies a limit, such as `nofile=40`, or a state, such as `closed`.
pub(crate) fn apply(limit: &str) {
    let (name, value) = limit.split_once('=').unwrap_or((limit, "0"));
    let value: u32 = value.parse().expect("a number");
    let resource = |resource| {
        let limit = libc::rlimit {
            rlim_cur: value.into(),
            rlim_max: value.into(),
        };
        // SAFETY: the pointer is to a whole rlimit on the stack.
        unsafe { libc::setrlimit(resource, &raw const limit) }
    };
    // SAFETY: all of these calls take numbers, and this test program does not rely on its standard streams.
    let status = unsafe {
        match name {
            "nofile" => resource(libc::RLIMIT_NOFILE),
            "nproc" => resource(libc::RLIMIT_NPROC),
            "as" => resource(libc::RLIMIT_AS),
            "fsize" => resource(libc::RLIMIT_FSIZE),
            "closed" => libc::close(0) | libc::close(1) | libc::close(2),
            "ignore" => match libc::signal(value.cast_signed(), libc::SIG_IGN) {
                libc::SIG_ERR => -1,
                _ => 0,
            },
            "default" => match libc::signal(value.cast_signed(), libc::SIG_DFL) {
                libc::SIG_ERR => -1,
                _ => 0,
            },
            _ => panic!("there is no limit {name}"),
        }
    };
    assert_eq!(status, 0, "{limit}: {}", std::io::Error::last_os_error());
}

/// Runs each operation under each of the limits, on one of the executors. Returns the number of right answers.
fn right_answers_under(limits: &[String], executors: &[&'static str], user: Option<u32>) -> u64 {
    let limits = limits.iter().enumerate();
    let runs = limits.flat_map(|(number, limit)| {
        let works = WORK.iter().enumerate();
        works.map(move |(index, (work, _))| Run {
            limits: limit.clone(),
            user,
            ..undisturbed(work, executors[(number + index) % executors.len()])
        })
    });
    let tally = Tally::default();
    in_places(runs, |scene, run| tally.add(&run, &scene.run(&run)));
    tally.finish()
}

/// A user that most likely runs no other processes.
const NOBODY: u32 = 61_234;

/// Returns `true` if this program can be started as another user, and can then access temporary files.
fn can_run_as(user: u32) -> bool {
    let mut command = Command::new("/proc/self/exe");
    command.arg("--list").stdout(Stdio::null());
    command
        .current_dir(std::env::temp_dir())
        .uid(user)
        .gid(user);
    command.status().is_ok_and(|status| status.success())
}

fn limits(name: &str, values: &[u32]) -> Vec<String> {
    values
        .iter()
        .map(|value| format!("{name}={value}"))
        .collect()
}

#[test]
fn too_few_descriptors_are_an_error_and_leave_nothing() {
    let right = right_answers_under(
        &limits("nofile", &[6, 8, 10, 12, 16, 24, 32, 64]),
        &EXECUTORS,
        None,
    );
    assert!(right > 0, "some have enough");
}

#[test]
fn too_few_threads_are_an_error_and_leave_nothing() {
    // The limit does not apply to root.
    let user = Some(NOBODY).filter(|user| can_run_as(*user));
    let limits = [1, 2, 4, 8].map(|value| format!("nproc={value}"));
    let executors = ["threads", "threads:2", "processes:2"];
    right_answers_under(&limits, &executors, user);
}

#[test]
fn too_little_memory_leaves_nothing_for_long() {
    right_answers_under(
        &limits("as", &[30 << 20, 50 << 20, 70 << 20, 100 << 20]),
        &EXECUTORS,
        None,
    );
}

#[test]
fn files_that_may_not_grow_are_an_error_and_leave_nothing() {
    right_answers_under(&limits("fsize", &[0, 1_000, 100_000]), &EXECUTORS, None);
}

#[test]
fn closed_streams_and_odd_signals_change_nothing() {
    let states = [
        "closed".to_owned(),
        format!("ignore={}", libc::SIGCHLD),
        format!("default={}", libc::SIGPIPE),
    ];
    let right = right_answers_under(&states, &EXECUTORS, None);
    assert_eq!(right, (states.len() * WORK.len()) as u64);
}

#[test]
fn a_full_disk_is_an_error_and_leaves_nothing() {
    let files = Files::new();
    let disk = files.root();
    if !mount(disk) {
        eprintln!("SKIPPED: no tmpfs can be mounted here");
        return;
    }
    let _mounted = Mounted(disk);
    let scene = Scene::new(disk);
    for (index, (work, _)) in WORK.iter().enumerate() {
        let run = undisturbed(work, EXECUTORS[index % EXECUTORS.len()]);
        let report = scene.run(&run);
        match report.outcome {
            Ok(Outcome::Error) => {
                let message = report.message.unwrap_or_default();
                assert!(message.starts_with("disk full: cannot "), "{message}");
            }
            // Spilled data is compressed, so it may fit.
            Ok(Outcome::Right) => assert!(!matches!(*work, "write_text" | "overwrite"), "{run}"),
            Err(reason) => panic!("{run}: {reason}"),
        }
    }
}

/// A file system that is unmounted when this value is dropped.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// Mounts a file system with little more space than the text of the program needs.
fn mount(path: &Path) -> bool {
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", "size=3200k,mode=777", "none"]);
    let status = command.arg(path).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
