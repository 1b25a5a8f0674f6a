//! The queue of what happens, in the order of time.

use std::collections::BTreeMap;

/// What is to happen, and when; of what happens at once, the first that was planned comes first.
#[derive(Debug)]
pub struct Queue<E> {
    events: BTreeMap<(u64, u64), E>,
    planned: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self { events: BTreeMap::new(), planned: 0 }
    }
}

impl<E> Queue<E> {
    /// Plans something.
    pub fn plan(&mut self, at_us: u64, event: E) {
        self.planned += 1;
        self.events.insert((at_us, self.planned), event);
    }

    /// The next one, and when it happens.
    pub fn pop(&mut self) -> Option<(u64, E)> {
        self.events.pop_first().map(|((at_us, _), event)| (at_us, event))
    }
}
