//! The functions of libc that this program calls. Each may fail as [`faults`](super::faults) determines.
//!
//! A function that a program defines replaces the function of the same name in a shared library, for all code that is
//! linked into the program: std, this crate and its dependencies. Preloading a library is therefore not necessary.
//! Calls within libc cannot be replaced; a preloaded library could not replace them, either.
#![expect(
    unsafe_code,
    reason = "functions that stand in for those of libc have their signatures"
)]

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use libc::{
    DIR, dirent64, id_t, idtype_t, iovec, mode_t, msghdr, off64_t, pid_t, pollfd,
    posix_spawn_file_actions_t, posix_spawnattr_t, pthread_attr_t, pthread_t, siginfo_t, size_t,
    sockaddr, socklen_t, ssize_t,
};

use super::faults::{Effect, Operation, effect};

/// Result of a function that fails.
trait Failed {
    fn failed(error: c_int) -> Self;
}

/// -1, with the error in `errno`.
impl Failed for c_int {
    fn failed(error: c_int) -> Self {
        set_errno(error);
        -1
    }
}

impl Failed for ssize_t {
    fn failed(error: c_int) -> Self {
        set_errno(error);
        -1
    }
}

impl Failed for i64 {
    fn failed(error: c_int) -> Self {
        set_errno(error);
        -1
    }
}

/// Null, with the error in `errno`.
impl<T> Failed for *mut T {
    fn failed(error: c_int) -> Self {
        set_errno(error);
        ptr::null_mut()
    }
}

/// Result of a function that returns the error instead of setting `errno`.
#[repr(transparent)]
struct Code(c_int);

impl Failed for Code {
    fn failed(error: c_int) -> Self {
        Self(error)
    }
}

fn set_errno(error: c_int) {
    // SAFETY: the pointer is to the `errno` of this thread.
    unsafe { *libc::__errno_location() = error };
}

/// Returns the address of the function of this name in libc.
fn next(found: &AtomicUsize, name: &CStr) -> usize {
    let mut address = found.load(Ordering::Relaxed);
    if address == 0 {
        // SAFETY: the name ends with a zero.
        address = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }.expose_provenance();
        if address == 0 {
            // The function does not exist in this version of libc, so no code can have been linked to it.
            std::process::abort();
        }
        found.store(address, Ordering::Relaxed);
    }
    address
}

/// Calls libc's function.
macro_rules! call_next {
    ($name:ident($($argument:ident: $type:ty),*) -> $result:ty) => {{
        static FOUND: AtomicUsize = AtomicUsize::new(0);
        let name = concat!(stringify!($name), "\0").as_bytes();
        let name = CStr::from_bytes_with_nul(name).unwrap_or_default();
        let address: *const () = ptr::with_exposed_provenance(next(&FOUND, name));
        // SAFETY: libc's function of this name has this signature. The arguments are those of the caller. The caller
        // must follow the rules of the function.
        unsafe {
            let next: unsafe extern "C" fn($($type),*) -> $result = std::mem::transmute(address);
            next($($argument),*)
        }
    }};
}

/// Functions that either fail or call libc's function.
macro_rules! may_fail {
    ($($operation:ident $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name($($argument: $type),*) -> $result {
            if let Some(Effect::Error(error)) = effect(Operation::$operation) {
                return Failed::failed(error);
            }
            call_next!($name($($argument: $type),*) -> $result)
        }
    )*};
}

/// Functions that transfer a number of bytes, and may transfer fewer.
macro_rules! may_be_short {
    ($($operation:ident $name:ident(
        $descriptor:ident, $buffer:ident: $pointer:ty, $bytes:ident
        $(, $argument:ident: $type:ty)*
    );)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $name(
            $descriptor: c_int, $buffer: $pointer, $bytes: size_t $(, $argument: $type)*
        ) -> ssize_t {
            let $bytes = match effect(Operation::$operation) {
                Some(Effect::Error(error)) => return Failed::failed(error),
                Some(Effect::Short) => $bytes.div_ceil(2),
                None => $bytes,
            };
            call_next!($name(
                $descriptor: c_int, $buffer: $pointer, $bytes: size_t $(, $argument: $type)*
            ) -> ssize_t)
        }
    )*};
}

may_be_short! {
    Read read(descriptor, buffer: *mut c_void, bytes);
    Read pread64(descriptor, buffer: *mut c_void, bytes, offset: off64_t);
    Write write(descriptor, buffer: *const c_void, bytes);
    Write pwrite64(descriptor, buffer: *const c_void, bytes, offset: off64_t);
    Send send(descriptor, buffer: *const c_void, bytes, flags: c_int);
    Receive recv(descriptor, buffer: *mut c_void, bytes, flags: c_int);
}

// Functions with a variable number of arguments are defined with all arguments that they may have. On the platforms of
// this test, these are passed in the same registers.
may_fail! {
    Open open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    Open open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    Open openat(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    Open openat64(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int;
    Open opendir(path: *const c_char) -> *mut DIR;
    Open fdopendir(descriptor: c_int) -> *mut DIR;
    List readdir64(directory: *mut DIR) -> *mut dirent64;
    Stat stat64(path: *const c_char, found: *mut libc::stat64) -> c_int;
    Stat lstat64(path: *const c_char, found: *mut libc::stat64) -> c_int;
    Stat fstat64(descriptor: c_int, found: *mut libc::stat64) -> c_int;
    Stat fstatat64(directory: c_int, path: *const c_char, found: *mut libc::stat64, flags: c_int) -> c_int;
    Stat statx(
        directory: c_int, path: *const c_char, flags: c_int, mask: c_uint, found: *mut libc::statx
    ) -> c_int;
    Seek lseek64(descriptor: c_int, offset: off64_t, from: c_int) -> off64_t;
    Read readv(descriptor: c_int, pieces: *const iovec, count: c_int) -> ssize_t;
    Write writev(descriptor: c_int, pieces: *const iovec, count: c_int) -> ssize_t;
    Truncate ftruncate64(descriptor: c_int, bytes: off64_t) -> c_int;
    Sync fsync(descriptor: c_int) -> c_int;
    Sync fdatasync(descriptor: c_int) -> c_int;
    Sync syncfs(descriptor: c_int) -> c_int;
    Lock flock(descriptor: c_int, operation: c_int) -> c_int;
    MakeDirectory mkdir(path: *const c_char, mode: mode_t) -> c_int;
    MakeDirectory mkdirat(directory: c_int, path: *const c_char, mode: mode_t) -> c_int;
    Rename rename(from: *const c_char, to: *const c_char) -> c_int;
    Rename renameat(a: c_int, from: *const c_char, b: c_int, to: *const c_char) -> c_int;
    Rename link(from: *const c_char, to: *const c_char) -> c_int;
    Rename linkat(
        a: c_int, from: *const c_char, b: c_int, to: *const c_char, flags: c_int
    ) -> c_int;
    Exchange renameat2(
        a: c_int, from: *const c_char, b: c_int, to: *const c_char, flags: c_uint
    ) -> c_int;
    Remove unlink(path: *const c_char) -> c_int;
    Remove unlinkat(directory: c_int, path: *const c_char, flags: c_int) -> c_int;
    Remove rmdir(path: *const c_char) -> c_int;
    Path getcwd(buffer: *mut c_char, bytes: size_t) -> *mut c_char;
    Path chdir(path: *const c_char) -> c_int;
    Path realpath(path: *const c_char, buffer: *mut c_char) -> *mut c_char;
    Path readlink(path: *const c_char, buffer: *mut c_char, bytes: size_t) -> ssize_t;
    Mode chmod(path: *const c_char, mode: mode_t) -> c_int;
    Mode fchmod(descriptor: c_int, mode: mode_t) -> c_int;
    Duplicate dup(descriptor: c_int) -> c_int;
    Duplicate dup2(from: c_int, to: c_int) -> c_int;
    Duplicate dup3(from: c_int, to: c_int, flags: c_int) -> c_int;
    Pipe pipe2(ends: *mut c_int, flags: c_int) -> c_int;
    Pipe socketpair(family: c_int, kind: c_int, protocol: c_int, ends: *mut c_int) -> c_int;
    Option setsockopt(
        descriptor: c_int, level: c_int, name: c_int, value: *const c_void, bytes: socklen_t
    ) -> c_int;
    Option getsockopt(
        descriptor: c_int, level: c_int, name: c_int, value: *mut c_void, bytes: *mut socklen_t
    ) -> c_int;
    Send sendmsg(descriptor: c_int, message: *const msghdr, flags: c_int) -> ssize_t;
    Receive recvmsg(descriptor: c_int, message: *mut msghdr, flags: c_int) -> ssize_t;
    Send sendto(
        descriptor: c_int, buffer: *const c_void, bytes: size_t, flags: c_int,
        to: *const sockaddr, to_bytes: socklen_t
    ) -> ssize_t;
    Receive recvfrom(
        descriptor: c_int, buffer: *mut c_void, bytes: size_t, flags: c_int,
        from: *mut sockaddr, from_bytes: *mut socklen_t
    ) -> ssize_t;
    Poll poll(descriptors: *mut pollfd, count: libc::nfds_t, milliseconds: c_int) -> c_int;
    Spawn fork() -> pid_t;
    Spawn posix_spawn(
        process: *mut pid_t, path: *const c_char, actions: *const posix_spawn_file_actions_t,
        attributes: *const posix_spawnattr_t, arguments: *const *mut c_char, environment: *const *mut c_char
    ) -> Code;
    Spawn posix_spawnp(
        process: *mut pid_t, path: *const c_char, actions: *const posix_spawn_file_actions_t,
        attributes: *const posix_spawnattr_t, arguments: *const *mut c_char, environment: *const *mut c_char
    ) -> Code;
    Wait waitpid(process: pid_t, status: *mut c_int, options: c_int) -> pid_t;
    Wait waitid(kind: idtype_t, id: id_t, found: *mut siginfo_t, options: c_int) -> c_int;
    Kill kill(process: pid_t, signal: c_int) -> c_int;
    Thread pthread_create(
        thread: *mut pthread_t, attributes: *const pthread_attr_t,
        start: extern "C" fn(*mut c_void) -> *mut c_void, argument: *mut c_void
    ) -> Code;
    Random getrandom(buffer: *mut c_void, bytes: size_t, flags: c_uint) -> ssize_t;
}

/// Only the commands that duplicate a descriptor need a resource that can be exhausted.
#[unsafe(no_mangle)]
extern "C" fn fcntl(descriptor: c_int, command: c_int, argument: c_long) -> c_int {
    if matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC)
        && let Some(Effect::Error(error)) = effect(Operation::Duplicate)
    {
        return Failed::failed(error);
    }
    call_next!(fcntl(descriptor: c_int, command: c_int, argument: c_long) -> c_int)
}

/// System calls that have no function in some versions of libc, or that are called without it.
#[unsafe(no_mangle)]
extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    let operation = match number {
        libc::SYS_renameat2 => Some(Operation::Exchange),
        libc::SYS_getdents64 => Some(Operation::List),
        libc::SYS_statx => Some(Operation::Stat),
        libc::SYS_getrandom => Some(Operation::Random),
        _ => None,
    };
    if let Some(Effect::Error(error)) = operation.and_then(effect) {
        return Failed::failed(error);
    }
    call_next!(syscall(
        number: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long
    ) -> c_long)
}
