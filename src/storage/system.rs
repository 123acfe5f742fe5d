//! Calls into libc that std does not offer; the only `unsafe` of storage.
//!
//! Most are single calls with plain numbers or with a struct on the stack. There are two exceptions: the signal
//! handler, which may run between any two instructions of any thread, and the function that runs in a forked copy of
//! this process before `fork` returns there. Both use only atomics, and call only functions that POSIX allows in a
//! handler: `getpid`, `raise`, `sigaction` and `write`.
#![expect(
    unsafe_code,
    reason = "std has no resource limits, user ids or signals"
)]

#[cfg(unix)]
pub(super) use unix::*;
#[cfg(unix)]
pub(crate) use unix::{process_number, start_writing};

#[cfg(not(unix))]
pub(super) use other::*;
#[cfg(not(unix))]
pub(crate) use other::{process_number, start_writing};

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::{self, PipeWriter};
    use std::mem;
    use std::os::fd::IntoRawFd;
    use std::ptr;
    use std::sync::Once;
    use std::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};

    /// Type of a resource number, as the C library defines it.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    type Resource = libc::__rlimit_resource_t;
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    type Resource = libc::c_int;

    /// Returns the memory of the machine, in bytes.
    pub(in crate::storage) fn physical_memory_bytes() -> Option<u64> {
        // SAFETY: sysconf takes a number, and returns -1 if it does not know it.
        let (pages, page_bytes) = unsafe {
            (
                libc::sysconf(libc::_SC_PHYS_PAGES),
                libc::sysconf(libc::_SC_PAGESIZE),
            )
        };
        let pages = u64::try_from(pages).ok()?;
        pages.checked_mul(u64::try_from(page_bytes).ok()?)
    }

    /// Returns the lower of the limits on this process's address space and on its data.
    pub(in crate::storage) fn resource_limit_bytes() -> Option<u64> {
        let limits = [libc::RLIMIT_AS, libc::RLIMIT_DATA].map(limit_of);
        limits.into_iter().flatten().min()
    }

    /// Returns the maximum number of files that this process can have open.
    pub(in crate::storage) fn open_file_limit() -> Option<u64> {
        limit_of(libc::RLIMIT_NOFILE)
    }

    fn limit_of(resource: Resource) -> Option<u64> {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: the pointer is to a whole rlimit on the stack, which the call fills.
        let status = unsafe { libc::getrlimit(resource, &raw mut limit) };
        (status == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
    }

    /// Returns `true` if this process has privileges that its parent process lacks.
    pub(in crate::storage) fn is_privileged() -> bool {
        // SAFETY: getauxval takes a number, and returns 0 if it does not know it.
        #[cfg(target_os = "linux")]
        let is_privileged = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
        // SAFETY: these four calls take no arguments and cannot fail.
        #[cfg(not(target_os = "linux"))]
        let is_privileged =
            unsafe { libc::getuid() != libc::geteuid() || libc::getgid() != libc::getegid() };
        is_privileged
    }

    /// Returns `true` if `path` is a directory of this user, and not a link to one.
    #[cfg(not(target_os = "linux"))]
    pub(in crate::storage) fn is_own_directory(path: &std::path::Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        // SAFETY: geteuid takes no arguments and cannot fail.
        let user = unsafe { libc::geteuid() };
        std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == user)
    }

    /// Makes the system start writing the cached data of a file to disk, without waiting for it.
    pub(crate) fn start_writing(file: &File) {
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsRawFd;
            let file = file.as_raw_fd();
            // SAFETY: the call takes numbers. The range 0, 0 stands for the whole file.
            unsafe { libc::sync_file_range(file, 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
        }
        #[cfg(not(target_os = "linux"))]
        let _ = file;
    }

    /// Returns the number that distinguishes a file from all others of its file system.
    pub(in crate::storage) fn inode(file: &File) -> io::Result<u64> {
        Ok(std::os::unix::fs::MetadataExt::ino(&file.metadata()?))
    }

    /// Returns `true` if a process with this number exists.
    pub(in crate::storage) fn is_running(process: u32) -> bool {
        let Ok(process) = libc::pid_t::try_from(process) else {
            return false;
        };
        // SAFETY: kill takes numbers, and signal 0 is not sent.
        let status = unsafe { libc::kill(process, 0) };
        status == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
    }

    /// Number of forks since `look_after_forks` between the original process and this one.
    static FORKS: AtomicU32 = AtomicU32::new(0);

    /// Returns a number of this process that no forked copy of it shares. The process number does not suffice: a copy
    /// in another namespace may have the same.
    pub(crate) fn process_number() -> u64 {
        u64::from(std::process::id()) << 32 | u64::from(FORKS.load(Ordering::Relaxed))
    }

    /// Arranges that a forked copy of this process recognises itself as a copy, and that signals end it as usual.
    pub(in crate::storage) fn look_after_forks() {
        extern "C" fn in_child() {
            FORKS.fetch_add(1, Ordering::Relaxed);
            RECEIVED.store(0, Ordering::SeqCst);
            for signal in SIGNALS {
                if is_handled_by_us(signal) {
                    set_handler(signal, libc::SIG_DFL, 0);
                }
            }
        }
        static ONCE: Once = Once::new();
        // SAFETY: the function is static, and does only what a signal handler may do.
        ONCE.call_once(|| unsafe {
            libc::pthread_atfork(None, None, Some(in_child));
        });
    }

    /// Calls `work` when `main` returns or the user's code calls `exit`. `work` must not unwind.
    pub(in crate::storage) fn at_exit(work: extern "C" fn()) {
        static ONCE: Once = Once::new();
        // SAFETY: the function is static.
        ONCE.call_once(|| unsafe {
            libc::atexit(work);
        });
    }

    /// Signals that end a process and that holdall handles.
    pub(in crate::storage) const SIGNALS: [libc::c_int; 3] =
        [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

    /// Write end of the pipe that wakes the thread.
    static WAKE: AtomicI32 = AtomicI32::new(-1);
    /// The received signal that the thread has not processed yet, or 0.
    static RECEIVED: AtomicI32 = AtomicI32::new(0);

    /// Records the signal and wakes the thread. The pipe holds at most one byte, so `write` can neither block nor fail,
    /// and errno keeps the value that the interrupted code needs.
    ///
    /// A copy of the process that was made without `fork` has no thread that reads the pipe. There, the signal has the
    /// effect that it would have without this handler.
    extern "C" fn on_signal(signal: libc::c_int) {
        // SAFETY: getpid takes no arguments and cannot fail.
        if unsafe { libc::getpid() } != HANDLES_FOR.load(Ordering::SeqCst) {
            if is_handled_by_us(signal) {
                set_handler(signal, libc::SIG_DFL, 0);
                // SAFETY: raise takes a number. The signal is delivered when this handler has returned.
                unsafe { libc::raise(signal) };
            }
            return;
        }
        let noted = RECEIVED.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
        if noted.is_ok() {
            // SAFETY: the pointer is to one static byte. The descriptor is never closed.
            unsafe { libc::write(WAKE.load(Ordering::SeqCst), c"!".as_ptr().cast(), 1) };
        }
    }

    /// The process that installed the handler.
    static HANDLES_FOR: AtomicI32 = AtomicI32::new(0);

    /// The address of `on_signal` as it was installed, or 0. It is stored because the compiler does not guarantee that
    /// a function has a single address.
    static INSTALLED: AtomicUsize = AtomicUsize::new(0);

    /// Sets the pipe that the handler writes to.
    pub(in crate::storage) fn wake_by(pipe: PipeWriter) {
        WAKE.store(pipe.into_raw_fd(), Ordering::SeqCst);
        // SAFETY: getpid takes no arguments and cannot fail.
        HANDLES_FOR.store(unsafe { libc::getpid() }, Ordering::SeqCst);
    }

    /// Takes the received signal, or 0 if there is none.
    pub(in crate::storage) fn received_signal() -> libc::c_int {
        RECEIVED.swap(0, Ordering::SeqCst)
    }

    /// Installs the handler for `signal`, unless the signal is already handled or ignored.
    pub(in crate::storage) fn handle_if_default(signal: libc::c_int) {
        if handler_of(signal) == Some(libc::SIG_DFL) {
            // From now on, the signal interrupts no system call, and its handler runs on the stack that std keeps for
            // handlers.
            let handler = on_signal as extern "C" fn(libc::c_int) as libc::sighandler_t;
            let _ = INSTALLED.compare_exchange(0, handler, Ordering::SeqCst, Ordering::SeqCst);
            let flags = libc::SA_RESTART | libc::SA_ONSTACK;
            set_handler(signal, INSTALLED.load(Ordering::SeqCst), flags);
        }
    }

    /// Makes `signal` have no effect, unless it is already handled or ignored. Programs that this process starts are
    /// not affected; they would be if the signal were ignored.
    pub(in crate::storage) fn outlive_if_default(signal: libc::c_int) {
        extern "C" fn nothing(_signal: libc::c_int) {}
        if handler_of(signal) == Some(libc::SIG_DFL) {
            let handler = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
            set_handler(signal, handler, libc::SA_RESTART | libc::SA_ONSTACK);
        }
    }

    pub(in crate::storage) fn is_handled_by_us(signal: libc::c_int) -> bool {
        handler_of(signal) == Some(INSTALLED.load(Ordering::SeqCst))
    }

    /// Ends this process by `signal`, as if there were no handler.
    pub(in crate::storage) fn end_by(signal: libc::c_int) -> ! {
        set_handler(signal, libc::SIG_DFL, 0);
        // SAFETY: kill takes numbers. It targets the process and not this thread, which may block the signal.
        unsafe { libc::kill(libc::getpid(), signal) };
        // If every thread blocks the signal, it stays pending. After a second, exit with the status that a shell
        // reports for it.
        std::thread::sleep(std::time::Duration::from_secs(1));
        std::process::exit(128 + signal)
    }

    fn handler_of(signal: libc::c_int) -> Option<libc::sighandler_t> {
        // SAFETY: a zeroed sigaction is valid, and the call fills it. A null pointer as the new action changes nothing.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            (libc::sigaction(signal, ptr::null(), &raw mut action) == 0)
                .then_some(action.sa_sigaction)
        }
    }

    fn set_handler(signal: libc::c_int, handler: libc::sighandler_t, flags: libc::c_int) {
        // SAFETY: a zeroed sigaction is valid and has an empty mask. `handler` is SIG_DFL, SIG_IGN or a function that
        // takes the signal's number, as required without SA_SIGINFO.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = handler;
            action.sa_flags = flags;
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
    }

    #[cfg(test)]
    pub(in crate::storage) fn ignore(signal: libc::c_int) {
        set_handler(signal, libc::SIG_IGN, 0);
    }

    /// Restores the default of a signal that this process may have inherited as ignored.
    #[cfg(test)]
    pub(in crate::storage) fn heed(signal: libc::c_int) {
        set_handler(signal, libc::SIG_DFL, 0);
    }

    /// Replaces our handler by one that calls it.
    #[cfg(test)]
    pub(in crate::storage) fn cover_our_handler(signal: libc::c_int) {
        /// Makes this function differ from ours, so that the compiler cannot merge the two.
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        extern "C" fn covers(signal: libc::c_int) {
            CALLS.fetch_add(1, Ordering::SeqCst);
            on_signal(signal);
        }
        let covers = covers as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // Otherwise, the signal would interrupt the wait of the test's thread that receives it.
        set_handler(signal, covers, libc::SA_RESTART);
    }

    /// Sends a signal to another process.
    #[cfg(test)]
    pub(in crate::storage) fn send(process: u32, signal: libc::c_int) {
        let process = libc::pid_t::try_from(process).expect("a process number");
        // SAFETY: kill takes numbers.
        let status = unsafe { libc::kill(process, signal) };
        assert_eq!(status, 0, "the process is there");
    }
}

/// Fallbacks for systems other than Unix: values are unknown, and nothing is refused.
#[cfg(not(unix))]
mod other {
    use std::fs::{self, File};
    use std::io;
    use std::path::Path;

    pub(in crate::storage) fn physical_memory_bytes() -> Option<u64> {
        None
    }

    pub(in crate::storage) fn resource_limit_bytes() -> Option<u64> {
        None
    }

    pub(in crate::storage) fn is_privileged() -> bool {
        false
    }

    pub(in crate::storage) fn open_file_limit() -> Option<u64> {
        None
    }

    /// On these systems, each user has their own directories for temporary files.
    pub(in crate::storage) fn is_own_directory(path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
    }

    pub(crate) fn start_writing(_file: &File) {}

    pub(in crate::storage) fn inode(_file: &File) -> io::Result<u64> {
        Ok(0)
    }

    /// Always `false`, because processes are unknown here. The locks on a directory's files show whether it is in use.
    pub(in crate::storage) fn is_running(_process: u32) -> bool {
        false
    }

    /// Processes cannot be copied on these systems.
    pub(crate) fn process_number() -> u64 {
        std::process::id().into()
    }
}
