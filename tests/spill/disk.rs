//! Full disks and exhausted quotas.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use holdall::{Bag, Context, Error, ErrorContext, ErrorKind, StorageLevel};

use super::common::{Files, names_in};
use super::{EXECUTORS, PLENTY_BYTES, child, tight};

/// Returns the number of pairs that exceeds the minimum memory of these threads and one MiB of files.
fn count_for(threads: usize) -> u64 {
    (threads as u64 + 2) * 450
}

/// Returns pairs of 2,400 random bytes, which are as long in a file as in memory.
fn noisy_pairs(context: &Context, count: u64) -> Bag<(String, u64)> {
    let numbers = context.range_partitioned(0..count, 40);
    numbers.map(|n| (noise(n), n)).boxed()
}

/// Returns a text of at least 2,400 bytes that begins with its number, and in which nothing repeats within a short
/// distance.
fn noise(number: u64) -> String {
    static NOISE: LazyLock<String> = LazyLock::new(|| {
        let mut state = 1_u64;
        let mut next = move || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            char::from(b'!' + (state >> 33) as u8 % 90)
        };
        (0..1 << 20).map(|_| next()).collect()
    });
    let start = number as usize * 2_400 % (NOISE.len() - 2_400);
    format!("{number}{}", &NOISE[start..start + 2_400])
}

/// Returns bags whose shuffles partition records as they arrive, with the method of each.
fn dividing(context: &Context, count: u64) -> Vec<(&'static str, Bag<(String, u64)>)> {
    let pairs = || noisy_pairs(context, count);
    vec![
        ("sum_by_key", pairs().sum_by_key()),
        ("repartition", pairs().repartition(7)),
        ("partition_by", pairs().partition_by(7)),
    ]
}

/// Returns bags with all other kinds of shuffles, with the method of each.
fn gathering(context: &Context, count: u64) -> Vec<(&'static str, Bag<(String, u64)>)> {
    let pairs = || noisy_pairs(context, count);
    let groups = pairs().group_by_key();
    let joined = pairs().join(pairs());
    let by_hash = pairs().repartition_and_sort_within_partitions(7);
    vec![
        ("sort", pairs().keys().sort().map(|key| (key, 0)).boxed()),
        ("sort_by", pairs().sort_by(|a, b| a.0.cmp(&b.0))),
        ("repartition_and_sort_within_partitions", by_hash),
        ("reduce_by_key", pairs().reduce_by_key(|a, _| a)),
        (
            "group_by_key",
            groups.map(|(key, values)| (key, values.sum())).boxed(),
        ),
        ("join", joined.map(|(key, (a, b))| (key, a + b)).boxed()),
    ]
}

/// Returns all bags that write files, with the method of each.
fn writers(context: &Context, count: u64) -> Vec<(&'static str, Bag<(String, u64)>)> {
    let kept = noisy_pairs(context, count).persist(StorageLevel::Disk);
    let mut all = dividing(context, count);
    all.extend(gathering(context, count));
    all.push(("persist", kept.boxed()));
    all
}

/// Returns the context, the path, and the number of bytes of an error about disk space.
fn room_error(error: &Error) -> (&ErrorContext, &Path, u64) {
    match error.kind() {
        ErrorKind::QuotaExceeded {
            context: place,
            path,
            needed_bytes,
            ..
        }
        | ErrorKind::DiskFull {
            context: place,
            path,
            needed_bytes,
            ..
        } => (place, path, *needed_bytes),
        other => panic!("expected an error about room, got {other}"),
    }
}

/// Checks the content of an error, and that nothing of its job is left.
#[track_caller]
fn check_room_error(error: &Error, operator: &str, spill: &Path) {
    let (place, path, needed_bytes) = room_error(error);
    assert_eq!(place.stage, Some(1), "{error}");
    assert_eq!(place.operator, Some(operator), "{error}");
    assert!(path.starts_with(spill), "{error}");
    assert!(needed_bytes > 0 && needed_bytes < 1 << 20, "{error}");
    let text = error.to_string();
    for part in [
        "stage 1",
        operator,
        &path.display().to_string(),
        "cannot write ",
    ] {
        assert!(text.contains(part), "{text} has no {part}");
    }
    assert_eq!(names_in(spill), [""; 0]);
}

#[test]
fn a_quota_ends_the_job_and_not_the_context() {
    for (executor, threads) in EXECUTORS {
        let files = Files::new();
        let quota = 1 << 20;
        let context = tight(executor, files.root()).disk_quota(quota);
        let context = context.build().unwrap();
        for (operator, bag) in writers(&context, count_for(threads)) {
            let error = bag.count().unwrap_err();
            drop(bag);
            assert!(
                matches!(error.kind(), ErrorKind::QuotaExceeded { quota_bytes, .. } if *quota_bytes == quota),
                "{error}"
            );
            check_room_error(&error, operator, files.root());
        }
        assert_eq!(context.range(0..1000).distinct().count().unwrap(), 1000);
    }
}

/// With plenty of memory, nothing is written before all map tasks are done.
#[test]
fn a_quota_counts_what_is_written_for_a_second_reader() {
    let files = Files::new();
    let context = tight(EXECUTORS[2].0, files.root()).memory(PLENTY_BYTES as u64);
    let context = context.disk_quota(1 << 20).build().unwrap();
    for (operator, bag) in dividing(&context, count_for(2)) {
        let error = bag.clone().union(bag).count().unwrap_err();
        check_room_error(&error, operator, files.root());
    }
}

#[test]
fn a_quota_that_is_large_enough_does_not_show() {
    let files = Files::new();
    let context = tight(EXECUTORS[2].0, files.root()).disk_quota(20 << 20);
    let context = context.build().unwrap();
    let count = count_for(2);
    for (operator, bag) in writers(&context, count) {
        assert_eq!(bag.count().unwrap(), count, "{operator}");
        // Persisted data does not belong to a shuffle.
        let has_spilled = super::spilled_bytes(&context) > 0;
        assert_eq!(has_spilled, operator != "persist", "{operator}");
    }
}

/// A small file system for this test, if this user may mount one.
struct SmallDisk(Files);

impl SmallDisk {
    fn mount(options: &str) -> Option<Self> {
        let files = Files::new();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "none"]);
        let mounted = command.arg(files.root()).stderr(Stdio::null()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(files));
        }
        eprintln!("SKIPPED: no tmpfs can be mounted here");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.root()).status();
    }
}

fn fails_for_want_of_room(spill: &Path) {
    for (executor, threads) in EXECUTORS {
        let context = tight(executor, spill)
            .build()
            .expect("the settings are right");
        for (operator, bag) in writers(&context, count_for(threads)) {
            let error = bag.count().expect_err(operator);
            // Persisted files are deleted with their bag.
            drop(bag);
            assert!(
                matches!(error.kind(), ErrorKind::DiskFull { .. }),
                "{error}"
            );
            assert!(error.is_io() && std::error::Error::source(&error).is_some());
            check_room_error(&error, operator, spill);
        }
        // A job that needs less space still succeeds.
        assert_eq!(
            context
                .range(0..1000)
                .distinct()
                .count()
                .expect("there is room"),
            1000
        );
        assert_eq!(
            context.range(0..1000).sum::<u64>().expect("there is room"),
            499_500
        );
    }
}

#[test]
fn a_full_disk_ends_the_job_and_not_the_context() {
    if let Some(disk) = SmallDisk::mount("size=1m") {
        fails_for_want_of_room(disk.0.root());
    }
}

/// A limit on the length of files is not a full disk. But it makes a write fail in the middle, on any system.
#[cfg(unix)]
#[test]
fn a_write_that_fails_ends_the_job_and_names_the_file() {
    let files = Files::new();
    // The limit is in blocks of 512 bytes. The signal would end the process.
    let limits = "trap '' XFSZ; ulimit -f 400";
    let child = child::command_after(limits, "disk::child_writes", files.root(), "");
    let status = { child }.stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{status}");
    assert!(files.names().is_empty());
}

/// Not a test of its own: a process that cannot write long files.
#[test]
fn child_writes() {
    let Some((directory, _)) = child::task() else {
        return;
    };
    let context = tight(EXECUTORS[0].0, &directory)
        .build()
        .expect("the settings are right");
    let count = count_for(1);
    let dividing = dividing(&context, count).into_iter();
    for (operator, bag) in dividing.chain(gathering(&context, count)) {
        let error = bag.count().expect_err(operator);
        match error.kind() {
            ErrorKind::Io { path, source, .. } => {
                assert!(path.starts_with(&directory));
                assert_eq!(source.kind(), std::io::ErrorKind::FileTooLarge);
            }
            other => panic!("{operator}: {other}"),
        }
        assert!(names_in(&directory).is_empty());
    }
    assert_eq!(
        context
            .range(0..1000)
            .distinct()
            .count()
            .expect("there is room"),
        1000
    );
}

#[test]
fn a_spill_directory_is_made_on_the_way() {
    let files = Files::new();
    let spill = files.path("not/there/yet");
    let context = tight(EXECUTORS[0].0, &spill)
        .build()
        .expect("the settings are right");
    assert_eq!(
        context
            .range(0..1000)
            .distinct()
            .count()
            .expect("there is room"),
        1000
    );
    assert!(!spill.exists(), "nothing is to be spilled");
    assert_eq!(
        noisy_pairs(&context, count_for(1))
            .distinct()
            .count()
            .expect("there is room"),
        count_for(1)
    );
    assert_eq!(names_in(&spill), [""; 0]);
}

#[track_caller]
fn cannot_spill_into(spill: &Path) {
    for (executor, threads) in EXECUTORS {
        let context = tight(executor, spill)
            .build()
            .expect("the settings are right");
        for (operator, bag) in writers(&context, count_for(threads)) {
            let error = bag.count().expect_err(operator);
            match error.kind() {
                ErrorKind::Io {
                    operation: "create",
                    path,
                    ..
                } => assert!(path.starts_with(spill), "{error}"),
                other => panic!("expected no directory, got {other}"),
            }
            assert!(error.to_string().contains(&spill.display().to_string()));
        }
        assert_eq!(
            context
                .range(0..1000)
                .distinct()
                .count()
                .expect("there is room"),
            1000
        );
    }
}

#[test]
fn a_spill_directory_that_cannot_be_is_named() {
    let files = Files::new();
    let file = files.write("file", "not a directory");
    cannot_spill_into(&file);
    cannot_spill_into(&file.join("below"));
}

#[test]
fn a_spill_directory_that_cannot_be_written_is_named() {
    if let Some(disk) = SmallDisk::mount("ro") {
        cannot_spill_into(disk.0.root());
    }
}
