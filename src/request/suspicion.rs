//! What was counted as a wrong credential before its provider had answered.

use std::cell::RefCell;
use std::rc::Rc;

use tollgate_core::limits::Ask;

use crate::clock::now;
use crate::keys::introspection::Suspicion;
use crate::zone::{member, Mapped};

/// What was counted as a wrong credential when its provider was asked. That is up to the answer, whether or
/// not the client is still there to hear it.
pub(crate) struct Counted {
    taken: RefCell<Vec<Ask>>,
    zone: Rc<Mapped>,
}

impl Suspicion for Counted {
    /// The credential is not known to be wrong after all: it is given back.
    fn clear(&self) {
        let taken = self.taken.take();
        member::note_changed();
        self.zone.get().give_back(&taken, now());
    }
}

impl Counted {
    /// This was taken from the limits of the zone.
    pub(super) fn new(taken: Vec<Ask>, zone: Rc<Mapped>) -> Self {
        Self { taken: RefCell::new(taken), zone }
    }

    /// Whether it is still held against the credential.
    pub(super) fn stands(&self) -> bool {
        !self.taken.borrow().is_empty()
    }
}
