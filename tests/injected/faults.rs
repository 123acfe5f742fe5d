//! Determines the system calls that fail and their errors, and counts calls of each kind. All processes of a run share
//! it.
#![expect(
    unsafe_code,
    reason = "the counters are memory that processes share, which std does not offer"
)]

use std::ffi::{CStr, c_int};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering::SeqCst};

/// Environment variable with the file that the processes of a run share. A process without it has no faults.
pub(crate) const VARIABLE: &CStr = c"HOLDALL_TEST_FAULTS";

macro_rules! operations {
    ($($name:ident $label:literal [$($error:ident)*])*) => {
        /// A kind of system call, of which the n-th fails.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Operation { $($name),* }

        impl Operation {
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            pub(crate) fn label(self) -> &'static str {
                match self { $(Self::$name => $label),* }
            }

            /// Returns the errors with which it may plausibly fail, except for interruptions.
            pub(crate) fn errors(self) -> &'static [c_int] {
                match self { $(Self::$name => &[$(libc::$error),*]),* }
            }
        }
    };
}

operations! {
    Open "open" [EMFILE EACCES EIO ENOENT]
    List "readdir" [EIO]
    Stat "stat" [EIO EACCES]
    Seek "lseek" [EINVAL]
    Read "read" [EIO]
    Write "write" [ENOSPC EIO EFBIG]
    Truncate "ftruncate" [EIO]
    Sync "fsync" [EIO ENOSPC]
    Lock "flock" [ENOLCK EWOULDBLOCK]
    MakeDirectory "mkdir" [ENOSPC EACCES EEXIST]
    Rename "rename" [ENOSPC EACCES EIO ENOENT]
    Exchange "renameat2" [EINVAL ENOSYS EIO]
    Remove "unlink" [EIO EACCES EBUSY]
    Path "path" [EACCES]
    Mode "chmod" [EPERM]
    Duplicate "dup" [EMFILE]
    Pipe "pipe" [EMFILE]
    Option "setsockopt" [ENOMEM]
    Send "send" [EPIPE ENOBUFS]
    Receive "recv" [ECONNRESET ENOMEM]
    Poll "poll" [ENOMEM]
    Spawn "spawn" [EAGAIN ENOMEM EACCES]
    Wait "wait" [ECHILD]
    Kill "kill" [EPERM]
    Thread "thread" [EAGAIN]
    Random "getrandom" [ENOSYS]
}

impl Operation {
    /// Returns `true` if a signal may interrupt the call.
    pub(crate) fn is_interruptible(self) -> bool {
        use Operation::*;
        matches!(
            self,
            Open | Read | Write | Truncate | Sync | Lock | Send | Receive | Poll | Wait | Random
        )
    }

    /// Returns `true` if the call may transfer fewer bytes than requested.
    pub(crate) fn may_be_short(self) -> bool {
        use Operation::*;
        matches!(self, Read | Write | Send | Receive)
    }
}

/// Effect of a fault on a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The call fails with this error.
    Error(c_int),
    /// The call transfers about half of the bytes.
    Short,
}

/// Affected calls, from the n-th on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    Once,
    Always,
    /// Every second call, like in a program that receives many signals.
    Alternately,
}

/// Processes whose calls count and may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    All,
    Driver,
    Workers,
}

/// The fault of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) operation: Operation,
    pub(crate) effect: Effect,
    pub(crate) times: Times,
    pub(crate) scope: Scope,
    /// Number of the first affected call, counted from 1.
    pub(crate) first: u64,
}

/// Maximum number of processes of a run. Killed workers are replaced a limited number of times.
const MAX_PROCESSES: usize = 500;

/// Data that the processes of a run share in a file.
#[repr(C)]
struct Shared {
    /// The process that calls [`begin`]. The others are workers.
    driver: AtomicU32,
    is_active: AtomicU32,
    operation: AtomicI32,
    /// 0 stands for [`Effect::Short`].
    error: AtomicI32,
    times: AtomicU32,
    scope: AtomicU32,
    first: AtomicU64,
    affected: AtomicU64,
    answer: AtomicU64,
    counts: [AtomicU64; Operation::ALL.len()],
    processes: [AtomicU32; MAX_PROCESSES],
    /// The message of an error, followed by zeros.
    message: [AtomicU8; 1 << 12],
}

/// The file of a run, mapped by its harness.
pub(crate) struct Control(NonNull<Shared>);

impl Control {
    /// Creates the file, for a run with `fault`.
    pub(crate) fn create(path: &Path, fault: Option<Fault>) -> io::Result<Self> {
        let mut options = File::options();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        file.set_len(size_of::<Shared>() as u64)?;
        let control = Self(map(file.as_raw_fd()).ok_or_else(io::Error::last_os_error)?);
        let shared = control.shared();
        shared.operation.store(-1, SeqCst);
        if let Some(fault) = fault {
            shared.operation.store(fault.operation as i32, SeqCst);
            let error = match fault.effect {
                Effect::Error(error) => error,
                Effect::Short => 0,
            };
            shared.error.store(error, SeqCst);
            shared.times.store(fault.times as u32, SeqCst);
            shared.scope.store(fault.scope as u32, SeqCst);
            shared.first.store(fault.first, SeqCst);
        }
        Ok(control)
    }

    /// Returns the number of affected calls.
    pub(crate) fn affected(&self) -> u64 {
        self.shared().affected.load(SeqCst)
    }

    /// Returns the result that the program has reported by [`answer`].
    pub(crate) fn answer(&self) -> Result<u64, String> {
        let message = self.shared().message.iter();
        let message = message.map(|byte| byte.load(SeqCst));
        let message: Vec<_> = message.take_while(|byte| *byte != 0).collect();
        if message.is_empty() {
            Ok(self.shared().answer.load(SeqCst))
        } else {
            Err(String::from_utf8_lossy(&message).into_owned())
        }
    }

    /// Returns the number of calls of a kind.
    pub(crate) fn count(&self, operation: Operation) -> u64 {
        self.shared().counts[operation as usize].load(SeqCst)
    }

    /// Returns the processes of the run, including those that have ended.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let processes = self.shared().processes.iter();
        let processes = processes.map(|process| process.load(SeqCst));
        processes.take_while(|process| *process != 0).collect()
    }

    fn shared(&self) -> &Shared {
        // SAFETY: `create` has mapped the memory, which stays mapped until this value is dropped. It consists of
        // atomics.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // SAFETY: `create` has mapped the memory with this length, and no reference outlives this value.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<Shared>()) };
    }
}

/// From now on, calls count and may fail, in this process and in its workers.
pub(crate) fn begin() {
    if let Some(shared) = attached() {
        shared.driver.store(std::process::id(), SeqCst);
        shared.is_active.store(1, SeqCst);
    }
}

/// From now on, calls succeed, until the next [`begin`].
pub(crate) fn pause() {
    if let Some(shared) = attached() {
        shared.is_active.store(0, SeqCst);
    }
}

/// Reports the checksum of the answer, or the message of the error, to the harness.
pub(crate) fn answer(answer: Result<u64, String>) {
    let Some(shared) = attached() else {
        return;
    };
    match answer {
        Ok(checksum) => shared.answer.store(checksum, SeqCst),
        Err(message) => {
            let bytes = shared.message.iter().zip(message.bytes());
            bytes.for_each(|(place, byte)| place.store(byte, SeqCst));
        }
    }
}

/// Counts a call, and returns the effect on it, if any.
pub(crate) fn effect(operation: Operation) -> Option<Effect> {
    let shared = attached()?;
    if shared.is_active.load(SeqCst) == 0 {
        return None;
    }
    let is_driver = shared.driver.load(SeqCst) == std::process::id();
    let scope = shared.scope.load(SeqCst);
    if (scope == Scope::Driver as u32 && !is_driver)
        || (scope == Scope::Workers as u32 && is_driver)
    {
        return None;
    }
    let number = shared.counts[operation as usize].fetch_add(1, SeqCst) + 1;
    let since = number.checked_sub(shared.first.load(SeqCst))?;
    let times = shared.times.load(SeqCst);
    let is_affected = shared.operation.load(SeqCst) == operation as i32
        && (times == Times::Always as u32
            || since == 0
            || (times == Times::Alternately as u32 && since.is_multiple_of(2)));
    if !is_affected {
        return None;
    }
    shared.affected.fetch_add(1, SeqCst);
    Some(match shared.error.load(SeqCst) {
        0 => Effect::Short,
        error => Effect::Error(error),
    })
}

/// Returns the data that the processes of this run share; `None` if this process is not part of a run.
fn attached() -> Option<&'static Shared> {
    /// Null before the first call. Dangling, and never read, if there is no run.
    static ATTACHED: AtomicPtr<Shared> = AtomicPtr::new(ptr::null_mut());
    let found = ATTACHED.load(SeqCst);
    let found = if found.is_null() {
        let shared = attach().map_or(ptr::dangling_mut(), NonNull::as_ptr);
        // If another thread was faster, this mapping remains unused.
        match ATTACHED.compare_exchange(ptr::null_mut(), shared, SeqCst, SeqCst) {
            Ok(_) => {
                register(shared);
                shared
            }
            Err(other) => other,
        }
    } else {
        found
    };
    // SAFETY: the pointer is dangling, or to a mapping of atomics that this process keeps to its end.
    (found != ptr::dangling_mut()).then(|| unsafe { &*found })
}

/// Maps the file that the environment variable names. Makes no call that could itself be counted.
fn attach() -> Option<NonNull<Shared>> {
    // SAFETY: the name ends with a zero. This runs at the first call of the process, before other threads change the
    // environment. `syscall` receives the arguments of the system call; the path is a string that `getenv` has
    // returned.
    let descriptor = unsafe {
        let path = libc::getenv(VARIABLE.as_ptr());
        if path.is_null() {
            return None;
        }
        let flags = libc::O_RDWR | libc::O_CLOEXEC;
        libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, flags, 0)
    };
    let descriptor = c_int::try_from(descriptor).ok().filter(|d| *d >= 0)?;
    let shared = map(descriptor);
    // SAFETY: the descriptor is that of the file just opened, and the mapping does not need it.
    unsafe { libc::syscall(libc::SYS_close, descriptor) };
    shared
}

fn map(descriptor: c_int) -> Option<NonNull<Shared>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: this is a new mapping at an address that the kernel chooses. The file is as long as `Shared`, whose
    // fields are atomics, which any bytes represent.
    let address = unsafe {
        libc::syscall(
            libc::SYS_mmap,
            ptr::null::<u8>(),
            size_of::<Shared>(),
            protection,
            libc::MAP_SHARED,
            descriptor,
            0_i64,
        )
    };
    let address = usize::try_from(address).ok()?;
    NonNull::new(ptr::with_exposed_provenance_mut(address))
}

/// Adds this process to those of its run.
fn register(shared: *mut Shared) {
    if shared == ptr::dangling_mut() {
        return;
    }
    // SAFETY: the pointer is not dangling, so it is to a mapping of atomics that this process keeps to its end.
    let shared = unsafe { &*shared };
    let id = std::process::id();
    let mut places = shared.processes.iter();
    places.find(|place| place.compare_exchange(0, id, SeqCst, SeqCst).is_ok());
}
