//! What a request was charged to, so that nothing is charged twice.

use std::rc::Rc;
use std::sync::Arc;

use tollgate_core::principal::Principal;

use crate::conf::policy::Policy;

/// One entry for each location that charged the request: mostly it is one.
#[derive(Default)]
pub(crate) struct Charges {
    first: Option<Charged>,
    more: Vec<Charged>,
}

impl Charges {
    pub(crate) fn push(&mut self, charged: Charged) {
        match self.first {
            None => self.first = Some(charged),
            Some(_) => self.more.push(charged),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Charged> {
        self.first.iter().chain(&self.more)
    }
}

/// What the request was charged to.
pub(crate) struct Charged {
    pub(crate) policy: Rc<Policy>,
    pub(crate) principal: Option<Arc<Principal>>,
    /// Whether that was for its tokens as well.
    pub(crate) with_tokens: bool,
}
