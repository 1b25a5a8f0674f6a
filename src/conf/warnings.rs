//! What is warned of once all of `http` has been read. A configuration is often made by a program, or the same
//! lines are included in hundreds of servers: the first of a kind are told, and of the others how many.

use std::collections::{HashMap, HashSet};

use nginx::conf::ConfContext;

/// So many of each kind are told.
const SHOWN: usize = 10;

/// What has been told.
pub(super) struct Warnings<'c, 'x> {
    cx: &'c ConfContext<'x>,
    told: HashSet<String>,
    /// How many there are of each kind.
    counts: HashMap<&'static str, usize>,
}

impl<'c, 'x> Warnings<'c, 'x> {
    pub(super) fn new(cx: &'c ConfContext<'x>) -> Self {
        Self { cx, told: HashSet::new(), counts: HashMap::new() }
    }

    /// Warns, of the same thing once. Those about one directive are of one kind.
    pub(super) fn warn(&mut self, directive: &'static str, warning: String) {
        if self.told.contains(&warning) {
            return;
        }
        let count = self.counts.entry(directive).or_default();
        *count = count.saturating_add(1);
        if *count <= SHOWN {
            self.cx.log().warn(format_args!("{warning}"));
        }
        self.told.insert(warning);
    }

    /// Tells how many were not shown.
    pub(super) fn finish(self) {
        let mut counts: Vec<_> = self.counts.into_iter().collect();
        counts.sort_unstable();
        for (directive, count) in counts {
            let more = count.saturating_sub(SHOWN);
            if more > 0 {
                self.cx.log().warn(format_args!(
                    "{more} more warnings about \"{directive}\", which are like those above, are not shown; \
                     they show when those are mended"
                ));
            }
        }
    }
}
