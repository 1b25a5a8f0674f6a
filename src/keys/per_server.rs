//! What each `server` has for itself, although the directives for it may stand around all of them: an
//! internal location is one of the server that a request is in, and so is what came of asking it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::types::Request;

/// One `T` for each server, made when it is first asked for.
pub(crate) struct PerServer<T> {
    made: RefCell<HashMap<usize, Rc<T>>>,
    make: Box<dyn Fn() -> T>,
}

impl<T> PerServer<T> {
    pub(crate) fn new(make: impl Fn() -> T + 'static) -> Rc<Self> {
        Rc::new(Self { made: RefCell::default(), make: Box::new(make) })
    }

    /// That of the server that the request is in.
    pub(crate) fn of(&self, r: Request<'_>) -> Rc<T> {
        let mut made = self.made.borrow_mut();
        Rc::clone(made.entry(r.server()).or_insert_with(|| Rc::new((self.make)())))
    }
}
