//! Calls into libc, for what std does not offer; the only `unsafe` of storage.
//!
//! Each is a single call with plain numbers or with a struct of this frame. The exceptions are the signal handler, which
//! may run between any two instructions of any thread, and what runs in a copy of this process before `fork` returns
//! there. Both touch nothing but atomics, and call only what POSIX allows in a handler: `getpid`, `raise`, `sigaction`
//! and `write`.
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

    /// As the C library has it.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    type Resource = libc::__rlimit_resource_t;
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    type Resource = libc::c_int;

    /// The memory of the machine.
    pub(in crate::storage) fn physical_memory_bytes() -> Option<u64> {
        // SAFETY: sysconf takes a number, and answers -1 to one that it does not know.
        let (pages, page_bytes) = unsafe {
            (
                libc::sysconf(libc::_SC_PHYS_PAGES),
                libc::sysconf(libc::_SC_PAGESIZE),
            )
        };
        let pages = u64::try_from(pages).ok()?;
        pages.checked_mul(u64::try_from(page_bytes).ok()?)
    }

    /// The lesser of the limits of this process's address space and of its data.
    pub(in crate::storage) fn resource_limit_bytes() -> Option<u64> {
        let limits = [libc::RLIMIT_AS, libc::RLIMIT_DATA].map(limit_of);
        limits.into_iter().flatten().min()
    }

    /// The number of files that this process may have open at a time.
    pub(in crate::storage) fn open_file_limit() -> Option<u64> {
        limit_of(libc::RLIMIT_NOFILE)
    }

    fn limit_of(resource: Resource) -> Option<u64> {
        let mut limit = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: the pointer is to a whole rlimit of this frame, which the call fills.
        let status = unsafe { libc::getrlimit(resource, &raw mut limit) };
        (status == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
    }

    /// Whether this process has privileges that the process which started it lacks.
    pub(in crate::storage) fn is_privileged() -> bool {
        // SAFETY: the call takes a number, and answers 0 to one that it does not know.
        #[cfg(target_os = "linux")]
        let is_privileged = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
        // SAFETY: these four take nothing and cannot fail.
        #[cfg(not(target_os = "linux"))]
        let is_privileged =
            unsafe { libc::getuid() != libc::geteuid() || libc::getgid() != libc::getegid() };
        is_privileged
    }

    /// Whether there is a directory at `path`, itself and not by a link, that belongs to this user.
    #[cfg(not(target_os = "linux"))]
    pub(in crate::storage) fn is_own_directory(path: &std::path::Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        // SAFETY: geteuid takes nothing and cannot fail.
        let user = unsafe { libc::geteuid() };
        std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == user)
    }

    /// Has the system begin to write what it holds of a file to the disk, and does not wait for it.
    pub(crate) fn start_writing(file: &File) {
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsRawFd;
            let file = file.as_raw_fd();
            // SAFETY: the call takes numbers; all of the file is meant.
            unsafe { libc::sync_file_range(file, 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
        }
        #[cfg(not(target_os = "linux"))]
        let _ = file;
    }

    /// Returns what tells two files of a file system apart.
    pub(in crate::storage) fn inode(file: &File) -> io::Result<u64> {
        Ok(std::os::unix::fs::MetadataExt::ino(&file.metadata()?))
    }

    /// Whether there is a process with this number.
    pub(in crate::storage) fn is_running(process: u32) -> bool {
        let Ok(process) = libc::pid_t::try_from(process) else {
            return false;
        };
        // SAFETY: kill takes numbers, and signal 0 is not sent.
        let status = unsafe { libc::kill(process, 0) };
        status == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
    }

    /// How many times the process that this is a copy of has been copied since `look_after_forks`.
    static FORKS: AtomicU32 = AtomicU32::new(0);

    /// Returns a number of this process that no copy of it has. The process number alone would not do: a copy in another
    /// namespace may have the same.
    pub(crate) fn process_number() -> u64 {
        u64::from(std::process::id()) << 32 | u64::from(FORKS.load(Ordering::Relaxed))
    }

    /// Has a copy of this process know that it is one, and end by signals as any process does.
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
        // SAFETY: the function lives as long as the program, and does only what a signal handler may.
        ONCE.call_once(|| unsafe {
            libc::pthread_atfork(None, None, Some(in_child));
        });
    }

    /// Has `work` done when `main` returns or the program calls `exit`. It must not unwind.
    pub(in crate::storage) fn at_exit(work: extern "C" fn()) {
        static ONCE: Once = Once::new();
        // SAFETY: the function lives as long as the program.
        ONCE.call_once(|| unsafe {
            libc::atexit(work);
        });
    }

    /// The signals that end a process and are looked after.
    pub(in crate::storage) const SIGNALS: [libc::c_int; 3] =
        [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

    /// The end of the pipe that the handler writes to.
    static WAKE: AtomicI32 = AtomicI32::new(-1);
    /// The signal that has come and was not looked at yet, or 0.
    static RECEIVED: AtomicI32 = AtomicI32::new(0);

    /// Notes the signal and wakes the thread. One byte is in the pipe at most, so that `write` can neither block nor
    /// fail, and errno stays what the interrupted code needs.
    ///
    /// In a copy of the process that was made without `fork`, in which no thread waits at the other end, the signal does what
    /// it would have done without this handler.
    extern "C" fn on_signal(signal: libc::c_int) {
        // SAFETY: getpid takes nothing and cannot fail.
        if unsafe { libc::getpid() } != HANDLES_FOR.load(Ordering::SeqCst) {
            if is_handled_by_us(signal) {
                set_handler(signal, libc::SIG_DFL, 0);
                // SAFETY: raise takes a number; the signal comes when this handler has returned.
                unsafe { libc::raise(signal) };
            }
            return;
        }
        let noted = RECEIVED.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
        if noted.is_ok() {
            // SAFETY: the pointer is to one byte that lives as long as the program; the descriptor is never closed.
            unsafe { libc::write(WAKE.load(Ordering::SeqCst), c"!".as_ptr().cast(), 1) };
        }
    }

    /// The process that the handler was installed in.
    static HANDLES_FOR: AtomicI32 = AtomicI32::new(0);

    /// The address of `on_signal` as it was installed, or 0: the compiler promises no function one address only.
    static INSTALLED: AtomicUsize = AtomicUsize::new(0);

    /// Sets what the handler writes to.
    pub(in crate::storage) fn wake_by(pipe: PipeWriter) {
        WAKE.store(pipe.into_raw_fd(), Ordering::SeqCst);
        // SAFETY: getpid takes nothing and cannot fail.
        HANDLES_FOR.store(unsafe { libc::getpid() }, Ordering::SeqCst);
    }

    /// Takes the signal that has come; 0 if none has.
    pub(in crate::storage) fn received_signal() -> libc::c_int {
        RECEIVED.swap(0, Ordering::SeqCst)
    }

    /// Handles `signal` if nobody else handles or ignores it.
    pub(in crate::storage) fn handle_if_default(signal: libc::c_int) {
        if handler_of(signal) == Some(libc::SIG_DFL) {
            // What comes from now on interrupts no system call and runs on the stack that std keeps for handlers.
            let handler = on_signal as extern "C" fn(libc::c_int) as libc::sighandler_t;
            let _ = INSTALLED.compare_exchange(0, handler, Ordering::SeqCst, Ordering::SeqCst);
            let flags = libc::SA_RESTART | libc::SA_ONSTACK;
            set_handler(signal, INSTALLED.load(Ordering::SeqCst), flags);
        }
    }

    /// Has `signal` change nothing, if nobody else handles or ignores it. Programs that this process starts are not
    /// affected, as they would be if it were ignored.
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

    /// Ends this process by `signal`, as if nobody had handled it.
    pub(in crate::storage) fn end_by(signal: libc::c_int) -> ! {
        set_handler(signal, libc::SIG_DFL, 0);
        // SAFETY: kill takes numbers; to the process and not to this thread, which may have the signal blocked.
        unsafe { libc::kill(libc::getpid(), signal) };
        // Where every thread blocks it, it waits for ever; a shell reports an end by a signal like this.
        std::thread::sleep(std::time::Duration::from_secs(1));
        std::process::exit(128 + signal)
    }

    fn handler_of(signal: libc::c_int) -> Option<libc::sighandler_t> {
        // SAFETY: a sigaction of zeros is a valid one, and the call fills it; a null pointer means to change nothing.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            (libc::sigaction(signal, ptr::null(), &raw mut action) == 0)
                .then_some(action.sa_sigaction)
        }
    }

    fn set_handler(signal: libc::c_int, handler: libc::sighandler_t, flags: libc::c_int) {
        // SAFETY: a sigaction of zeros is a valid one with an empty mask; `handler` is SIG_DFL, SIG_IGN or a function
        // that takes the signal's number, as it must be without SA_SIGINFO.
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

    /// Ends the ignoring of a signal that this process was started with.
    #[cfg(test)]
    pub(in crate::storage) fn heed(signal: libc::c_int) {
        set_handler(signal, libc::SIG_DFL, 0);
    }

    /// Puts a handler over ours that calls it.
    #[cfg(test)]
    pub(in crate::storage) fn cover_our_handler(signal: libc::c_int) {
        /// Makes it another function than ours, with which it could be merged otherwise.
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        extern "C" fn covers(signal: libc::c_int) {
            CALLS.fetch_add(1, Ordering::SeqCst);
            on_signal(signal);
        }
        let covers = covers as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // Or the thread of the test that the signal comes to would stop waiting.
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

/// What these are where there is no Unix: nothing known, nothing refused.
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

    /// Directories for temporary files belong to one user there.
    pub(in crate::storage) fn is_own_directory(path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
    }

    pub(crate) fn start_writing(_file: &File) {}

    pub(in crate::storage) fn inode(_file: &File) -> io::Result<u64> {
        Ok(0)
    }

    /// Whether there is one is not known there; its files say so, since they are locked.
    pub(in crate::storage) fn is_running(_process: u32) -> bool {
        false
    }

    /// A process has no copies there.
    pub(crate) fn process_number() -> u64 {
        std::process::id().into()
    }
}
