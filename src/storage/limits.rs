//! The maximum memory of this process, the default budget derived from it, and the number of files that may stay open.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::system;

/// Divisor of the lowest limit; the quotient is the default budget. With 2, that is half of the limit.
///
/// The other half is for what the budget does not count: the data, closures and results of the user's program, and the
/// overhead of the allocator. It is also for the page cache, which spilling depends on, and which counts towards the
/// limit of a cgroup.
const DEFAULT_SHARE: u64 = 2;

/// Assumed memory of a machine whose memory is unknown: 2 GiB.
const FALLBACK_BYTES: u64 = 2 << 30;

/// Returns the default budget in bytes: half of the minimum of the machine's memory, the limits of the cgroups of this
/// process (v1 and v2, `memory.max` and `memory.high`), and its `RLIMIT_AS` and `RLIMIT_DATA`.
///
/// If all of them are unknown, it is 1 GiB.
pub(crate) fn default_budget_bytes() -> usize {
    let limit = memory_limit_bytes(Path::new("/"));
    usize::try_from(limit / DEFAULT_SHARE).unwrap_or(usize::MAX)
}

/// Returns the minimum of all limits, in bytes. Reads files below `root`.
fn memory_limit_bytes(root: &Path) -> u64 {
    let machine = meminfo_bytes(root).or_else(system::physical_memory_bytes);
    let limits = [machine, cgroup_bytes(root), system::resource_limit_bytes()];
    limits.into_iter().flatten().min().unwrap_or(FALLBACK_BYTES)
}

/// Returns `MemTotal` of `/proc/meminfo`. In a container, it may be less than the memory of the machine.
fn meminfo_bytes(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Returns the lowest limit of the cgroups of this process and of their ancestors.
fn cgroup_bytes(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let groups = text.lines().filter_map(|line| {
        // Fields: hierarchy:controllers:path. Version 2 is hierarchy 0 without controllers.
        let mut fields = line.splitn(3, ':');
        let (hierarchy, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        if hierarchy == "0" && controllers.is_empty() {
            Some(least_on_the_way(
                &root.join("sys/fs/cgroup"),
                path,
                &["memory.max", "memory.high"],
            ))
        } else if controllers.split(',').any(|name| name == "memory") {
            let mount = root.join("sys/fs/cgroup/memory");
            Some(least_on_the_way(&mount, path, &["memory.limit_in_bytes"]))
        } else {
            None
        }
    });
    groups.flatten().min()
}

/// Returns the lowest limit in `mount` and in every directory from there down `path`.
///
/// In a container, `path` may be a path of the host that does not exist here. The limit of the container is then in
/// `mount`.
fn least_on_the_way(mount: &Path, path: &str, names: &[&str]) -> Option<u64> {
    // A path that leads up is relative to a namespace below it, and cannot be reached from here.
    let path = if path.contains("..") { "" } else { path };
    let directory = mount.join(path.trim_start_matches('/'));
    let groups = directory
        .ancestors()
        .take_while(|group| group.starts_with(mount));
    groups
        .flat_map(|group| names.iter().map(|name| group.join(name)))
        .filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()) // "max" is not a number
        .min()
}

/// Number of open files that this limit does not count: files that are being written, and files that the user's program
/// has open.
const OTHER_FILES: u64 = 32;

/// Maximum number of files that may stay open, even if the system allows more.
const MAX_KEPT_OPEN: usize = 16 << 10;

static KEPT_OPEN: AtomicUsize = AtomicUsize::new(0);

/// Permission to keep a file open while it is not in use.
///
/// At most half of the files that the process can open are kept open, whatever the number of threads and of runs that
/// each merges. Without permission, a file is opened again for each use. For a run, this adds a tenth to the time of
/// reading each frame.
#[derive(Debug)]
pub(crate) struct KeptOpen(());

impl KeptOpen {
    pub(crate) fn try_new() -> Option<Self> {
        let kept = Self(());
        (KEPT_OPEN.fetch_add(1, Ordering::Relaxed) < max_kept_open()).then_some(kept)
    }
}

impl Drop for KeptOpen {
    fn drop(&mut self) {
        KEPT_OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

fn max_kept_open() -> usize {
    static MAX: OnceLock<usize> = OnceLock::new();
    *MAX.get_or_init(|| {
        let limit = system::open_file_limit().unwrap_or(u64::MAX);
        let half = (limit / 2).saturating_sub(OTHER_FILES);
        usize::try_from(half)
            .unwrap_or(usize::MAX)
            .min(MAX_KEPT_OPEN)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_machine_is_the_limit_where_nothing_else_is() {
        let root = machine(&[("proc/meminfo", "MemFree: 1 kB\nMemTotal:   4096 kB\n")]);
        assert_eq!(memory_limit_bytes(root.path()), 4 << 20);
    }

    #[test]
    fn the_least_group_of_version_2_counts() {
        let root = machine(&[
            ("proc/meminfo", "MemTotal: 4096 kB\n"),
            ("proc/self/cgroup", "0::/a.slice/b.scope\n"),
            ("sys/fs/cgroup/a.slice/memory.max", "2000000\n"),
            ("sys/fs/cgroup/a.slice/b.scope/memory.max", "max\n"),
            ("sys/fs/cgroup/a.slice/b.scope/memory.high", "3000000\n"),
        ]);
        assert_eq!(memory_limit_bytes(root.path()), 2_000_000);
    }

    #[test]
    fn version_1_counts_also_where_the_path_is_the_hosts() {
        let root = machine(&[
            (
                "proc/self/cgroup",
                "9:name=systemd:/\n4:cpu,memory:/docker/0815\n0::/\n",
            ),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000000\n"),
        ]);
        assert_eq!(memory_limit_bytes(root.path()), 1_000_000);
    }

    #[test]
    fn a_path_does_not_lead_out_of_the_mount() {
        let root = machine(&[
            ("proc/self/cgroup", "0::/../..\n"),
            ("sys/memory.max", "5\n"),
        ]);
        assert_ne!(memory_limit_bytes(root.path()), 5);
    }

    #[test]
    fn this_machine_has_a_usable_default() {
        assert!(default_budget_bytes() > 1 << 20);
    }
}
