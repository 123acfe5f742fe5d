//! Constants of the executable whose addresses identify code.
#![expect(
    unsafe_code,
    reason = "an address that comes from another process becomes a reference, once it is known what is there"
)]

use std::any::TypeId;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use super::image;
use super::state::{Loader, Saver, damaged};
use crate::error::{Error, ErrorKind, Result};

/// The first bytes of each entry. No instructions or text contain them, except by accident.
const MAGIC: [u64; 2] = [0x9d1c_7a3e_55f0_b286, 0x41e8_c25b_0f97_d36a];

/// A function that decodes an `R`.
///
/// Entries are constants, so each has the same offset in the executable in every process. The sender sends this offset.
/// The receiver verifies the entry at the offset before it calls the function.
#[repr(C)]
pub(crate) struct FunctionEntry<R> {
    head: Head,
    load: fn(&mut Loader<'_>) -> Result<R>,
    result: PhantomData<fn() -> R>,
}

/// The part of an entry that does not depend on the type of its result.
#[repr(C)]
#[derive(Clone, Copy)]
struct Head {
    magic: [u64; 2],
    /// Type of the result.
    result: TypeId,
    /// Type that identifies the code. The address of `load` does not suffice: the compiler may merge the functions of
    /// two types if their machine code is identical.
    code: TypeId,
}

impl<R: 'static> FunctionEntry<R> {
    /// Creates an entry for the code of type `C`, which `load` decodes.
    pub(crate) const fn of<C: 'static>(load: fn(&mut Loader<'_>) -> Result<R>) -> Self {
        Self {
            head: Head {
                magic: MAGIC,
                result: TypeId::of::<R>(),
                code: TypeId::of::<C>(),
            },
            load,
            result: PhantomData,
        }
    }

    pub(crate) fn load(&self, from: &mut Loader<'_>) -> Result<R> {
        (self.load)(from)
    }

    /// Returns the offset of the entry in the executable, or the reason that it cannot be sent.
    pub(super) fn offset(&'static self) -> Result<u64, String> {
        let address = std::ptr::from_ref(self).expose_provenance();
        image::offset_of(address, size_of::<Self>())
    }

    /// Returns a hash that distinguishes this entry from those of other code and of other programs.
    pub(super) fn check(&self) -> u64 {
        let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
        (self.head.result, self.head.code).hash(&mut hasher);
        hasher.finish()
    }

    /// Returns the entry at `offset` in this process. Fails if there is no entry, or if its hash is not `check`.
    pub(super) fn at(offset: u64, check: u64) -> Result<&'static Self, String> {
        let address = image::address_of(offset, size_of::<Self>())?;
        if !address.is_multiple_of(align_of::<Self>()) {
            return Err("a function entry that is not aligned".to_owned());
        }
        // These bytes may be no object, or the end of one and the start of another, so the system copies them.
        let magic = image::copy(address, size_of_val(&MAGIC))?;
        if magic != MAGIC.map(u64::to_ne_bytes).concat() {
            return Err("a function entry with a wrong header".to_owned());
        }
        let head = std::ptr::with_exposed_provenance::<Head>(address);
        // SAFETY: `address_of` guarantees that the bytes of an entry at `address` belong to the image of the
        // executable. They remain mapped while the process lives, and are never written to. The address is aligned.
        // Only entries begin with these 16 bytes, so this is the head of an entry.
        let head = unsafe { *head };
        if head.result != TypeId::of::<R>() {
            return Err("an entry of another kind".to_owned());
        }
        // SAFETY: as above. This is an entry whose result is an `R`, so it is a `FunctionEntry<R>`.
        let entry = unsafe { &*std::ptr::with_exposed_provenance::<Self>(address) };
        if entry.check() != check {
            return Err("an entry of other code".to_owned());
        }
        Ok(entry)
    }
}

impl Saver {
    /// Writes the entry of the code that reads the following bytes.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::NotPortable`] if the code is not in the executable itself.
    pub(crate) fn entry<R: 'static>(&mut self, entry: &'static FunctionEntry<R>) -> Result<()> {
        let offset = entry.offset().map_err(|reason| {
            let context = self.context();
            Error::new(ErrorKind::NotPortable { context, reason })
        })?;
        self.data(&(offset, entry.check()))
    }
}

impl Loader<'_> {
    /// See [`Saver::entry`]. Also calls the entry, which reads the bytes that follow.
    pub(crate) fn entry<R: 'static>(&mut self) -> Result<R> {
        let (offset, check) = self.data()?;
        let entry = FunctionEntry::at(offset, check).map_err(damaged)?;
        entry.load(self)
    }
}

/// The Fowler–Noll–Vo hash (FNV-1a). Unlike std's default hash, it is the same in each process.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
