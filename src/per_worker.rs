//! What one worker process keeps to itself.

use parking_lot::Mutex;

use crate::random;

/// A value that a worker makes when it is first asked for it, and so after nginx has forked the workers.
pub(crate) struct PerWorker<T> {
    value: Mutex<Option<T>>,
    make: fn() -> T,
}

impl<T> PerWorker<T> {
    pub(crate) const fn new(make: fn() -> T) -> Self {
        Self { value: Mutex::new(None), make }
    }

    /// Runs `f` with the value. `f` must not call into nginx, which might call us back.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(self.made(&mut self.value.lock()))
    }

    /// The same from where somebody else may be in the middle of that. `None`: so it is.
    pub(crate) fn try_with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        Some(f(self.made(&mut *self.value.try_lock()?)))
    }

    #[inline]
    fn made<'v>(&self, value: &'v mut Option<T>) -> &'v mut T {
        if value.is_none() {
            *value = Some(made(self.make));
        }
        // It is there by now.
        value.get_or_insert_with(self.make)
    }
}

#[cold]
#[inline(never)]
fn made<T>(make: fn() -> T) -> T {
    make()
}

/// A key that no other worker has. A worker without random keys must not serve: the panic is caught by the
/// guard of the callback, which refuses the request.
#[allow(clippy::expect_used)]
pub(crate) fn random_key() -> [u8; 16] {
    random::key().expect("random bytes from the kernel")
}
