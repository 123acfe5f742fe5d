//! Constants of the executable that say by their address which code is meant.
#![expect(
    unsafe_code,
    reason = "an address that comes from another process becomes a reference, once it is known what is there"
)]

use std::any::TypeId;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use super::Loader;
use super::image;
use crate::error::Result;

/// What an entry begins with. No instruction and no text has this in it by intention.
const MAGIC: [u64; 2] = [0x9d1c_7a3e_55f0_b286, 0x41e8_c25b_0f97_d36a];

/// Code that makes an `R` of what was saved.
///
/// It is a constant, so that it stands in the executable, at the same offset in each process. Who sends one sends the
/// offset; who is sent one looks at what is there before calling anything.
#[repr(C)]
pub(crate) struct FunctionEntry<R> {
    head: Head,
    load: fn(&mut Loader<'_>) -> Result<R>,
    result: PhantomData<fn() -> R>,
}

/// What is the same for all entries.
#[repr(C)]
#[derive(Clone, Copy)]
struct Head {
    magic: [u64; 2],
    /// What it makes.
    result: TypeId,
    /// The code: the compiler may give two types the same function, where it comes to the same.
    code: TypeId,
}

impl<R: 'static> FunctionEntry<R> {
    /// An entry for the code of the type `C`, which `load` reads.
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

    /// Where it stands in the executable, or why it cannot be sent.
    pub(super) fn offset(&'static self) -> Result<u64, String> {
        let address = std::ptr::from_ref(self).expose_provenance();
        image::offset_of(address, size_of::<Self>())
    }

    /// A number that other code has not, nor the same code in another program.
    pub(super) fn check(&self) -> u64 {
        let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
        (self.head.result, self.head.code).hash(&mut hasher);
        hasher.finish()
    }

    /// The entry that another process of this executable has at `offset`, with that `check`.
    pub(super) fn at(offset: u64, check: u64) -> Result<&'static Self, String> {
        let address = image::address_of(offset, size_of::<Self>())?;
        if !address.is_multiple_of(align_of::<Self>()) {
            return Err("an entry that is not aligned".to_owned());
        }
        // What is there may be no object, or the end of one and the start of another. So the system copies it.
        let magic = image::copy(address, size_of_val(&MAGIC))?;
        if magic != MAGIC.map(u64::to_ne_bytes).concat() {
            return Err("an entry that is none".to_owned());
        }
        let head = std::ptr::with_exposed_provenance::<Head>(address);
        // SAFETY: `address_of` says that so many bytes from here on are of the executable's own image, mapped as long
        // as the process lives, and that they are never written to; they are aligned. Nothing but an entry begins with
        // these 16 bytes, so this is an entry's head.
        let head = unsafe { *head };
        if head.result != TypeId::of::<R>() {
            return Err("an entry of another kind".to_owned());
        }
        // SAFETY: as above. It is an entry, and it makes an `R`: so it is an `FunctionEntry<R>`.
        let entry = unsafe { &*std::ptr::with_exposed_provenance::<Self>(address) };
        if entry.check() != check {
            return Err("an entry of other code".to_owned());
        }
        Ok(entry)
    }
}

/// The hash of Fowler, Noll and Vo: the same in each process, which std's need not be.
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
