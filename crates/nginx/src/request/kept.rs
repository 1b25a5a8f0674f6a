//! Bytes of a request, for its state, which has no lifetime of its own.

use std::marker::PhantomData;

/// Bytes that live as long as the request whose state remembers them. With any other request there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    data: *const u8,
    len: usize,
    generation: u64,
}

impl Kept {
    /// No bytes.
    pub const EMPTY: Self =
        Self { data: std::ptr::NonNull::dangling().as_ptr(), len: 0, generation: 0 };
}

/// Remembers bytes for the state of a request, before there is one.
#[derive(Debug)]
pub struct Keeper<'r> {
    generation: u64,
    life: PhantomData<&'r [u8]>,
}

impl<'r> Keeper<'r> {
    /// For the request that is to have this generation, and no other.
    ///
    /// # Safety
    ///
    /// No other request has had it, nor will have; bytes of `'r` live as long as the request.
    pub(crate) unsafe fn new(generation: u64) -> Self {
        Self { generation, life: PhantomData }
    }

    /// Remembers bytes of the request.
    #[must_use]
    pub fn keep(&self, bytes: &'r [u8]) -> Kept {
        Kept { data: bytes.as_ptr(), len: bytes.len(), generation: self.generation }
    }
}

impl Kept {
    /// The bytes, if they are those of the request with this generation.
    ///
    /// # Safety
    ///
    /// A request of this generation lives for `'r`.
    pub(crate) unsafe fn of<'r>(self, generation: u64) -> &'r [u8] {
        match generation == self.generation {
            // SAFETY: by the contracts of this function and of `Keeper::new`.
            true => unsafe { std::slice::from_raw_parts(self.data, self.len) },
            false => &[],
        }
    }
}
