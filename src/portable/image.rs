//! Address ranges of the executable that never change.
//!
//! A position-independent executable has another base address in each process, so processes exchange offsets from this
//! base. Constants that contain addresses are written once by the loader, which then makes them read-only
//! (`PT_GNU_RELRO`). All other constants are in read-only segments.
#![cfg_attr(
    target_os = "linux",
    expect(
        unsafe_code,
        reason = "the loader's list of segments is read from libc"
    )
)]

use std::ops::Range;
use std::sync::OnceLock;

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
type ProgramHeader = libc::Elf64_Phdr;
#[cfg(all(target_os = "linux", target_pointer_width = "32"))]
type ProgramHeader = libc::Elf32_Phdr;

/// The executable in memory.
struct Image {
    /// Load bias: the difference between an address in memory and the address in the file.
    base: usize,
    /// Address ranges that are readable, but neither writable nor executable, in ascending order.
    constants: Vec<Range<usize>>,
}

impl Image {
    /// Returns `true` if all `bytes` from `address` on are constant.
    fn holds(&self, address: usize, bytes: usize) -> bool {
        let Some(end) = address.checked_add(bytes) else {
            return false;
        };
        let holds = |range: &Range<usize>| range.start <= address && end <= range.end;
        self.constants.iter().any(holds)
    }
}

fn image() -> Result<&'static Image, String> {
    static IMAGE: OnceLock<Option<Image>> = OnceLock::new();
    let image = IMAGE.get_or_init(read_image).as_ref();
    image.ok_or_else(|| "code can be sent to other processes on Linux only".to_owned())
}

/// Returns the offset of `address` in the executable. Fails unless all `bytes` from there on are constants of the
/// executable.
pub(super) fn offset_of(address: usize, bytes: usize) -> Result<u64, String> {
    let image = image()?;
    if image.holds(address, bytes) {
        Ok(address.wrapping_sub(image.base) as u64)
    } else {
        Err("its code is in a shared library, where a worker process would not find it".to_owned())
    }
}

/// Returns the address in this process of `bytes` at `offset` in the executable. Fails unless all of them are constants
/// of the executable.
pub(super) fn address_of(offset: u64, bytes: usize) -> Result<usize, String> {
    let image = image()?;
    let offset = usize::try_from(offset).ok();
    let address = offset.and_then(|offset| image.base.checked_add(offset));
    address
        .filter(|address| image.holds(*address, bytes))
        .ok_or_else(|| "a function entry outside of the executable".to_owned())
}

/// Copies `bytes` from `address`.
#[cfg(target_os = "linux")]
pub(super) fn copy(address: usize, bytes: usize) -> Result<Vec<u8>, String> {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::FileExt;

    static MEMORY: OnceLock<io::Result<File>> = OnceLock::new();
    let mut copy = vec![0; bytes];
    let copied = match MEMORY.get_or_init(|| File::open("/proc/self/mem")) {
        Ok(memory) => memory.read_exact_at(&mut copy, address as u64),
        Err(error) => Err(error.kind().into()),
    };
    match copied {
        Ok(()) => Ok(copy),
        Err(error) => Err(format!("/proc/self/mem cannot be read: {error}")),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn copy(_: usize, _: usize) -> Result<Vec<u8>, String> {
    Err("code can be sent to other processes on Linux only".to_owned())
}

#[cfg(not(target_os = "linux"))]
fn read_image() -> Option<Image> {
    None
}

#[cfg(target_os = "linux")]
fn read_image() -> Option<Image> {
    use std::ffi::{c_int, c_void};

    /// Receives the first image, which is the executable, and stops the iteration.
    unsafe extern "C" fn first(
        info: *mut libc::dl_phdr_info,
        _: libc::size_t,
        found: *mut c_void,
    ) -> c_int {
        // SAFETY: `dl_iterate_phdr` passes a pointer to its own `dl_phdr_info`, which is valid during the call.
        let info = unsafe { &*info };
        let headers: &[ProgramHeader] = if info.dlpi_phdr.is_null() {
            &[]
        } else {
            // SAFETY: the loader guarantees that there are `dlpi_phnum` program headers. They remain in place.
            unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) }
        };
        let found = found.cast::<Option<Image>>();
        // SAFETY: this is the pointer that `read_image` passed. It points to a local variable that no other code uses
        // during the call.
        unsafe { *found = Some(constants(info.dlpi_addr as usize, headers)) };
        1
    }

    let mut found: Option<Image> = None;
    let place: *mut Option<Image> = &raw mut found;
    // SAFETY: `first` has the required signature and does not unwind. `place` points to `found`, which outlives the
    // call.
    unsafe { libc::dl_iterate_phdr(Some(first), place.cast()) };
    found
}

#[cfg(target_os = "linux")]
fn constants(base: usize, headers: &[ProgramHeader]) -> Image {
    let mut constants: Vec<Range<usize>> = headers
        .iter()
        .filter(|header| match header.p_type {
            libc::PT_LOAD => header.p_flags & (libc::PF_R | libc::PF_W | libc::PF_X) == libc::PF_R,
            libc::PT_GNU_RELRO => true,
            _ => false,
        })
        .map(|header| {
            let start = base.wrapping_add(header.p_vaddr as usize);
            start..start.saturating_add(header.p_memsz as usize)
        })
        .collect();
    constants.sort_by_key(|range| range.start);
    Image { base, constants }
}
