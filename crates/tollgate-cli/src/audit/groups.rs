//! Requests that have something in common, and what they came to.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;

use clap::ValueEnum;

use super::by::By;
use super::record::Record;
use super::totals::Totals;

/// More groups than this are put into one: whoever names a new model with each request must not fill
/// the memory.
const MAX_GROUPS: usize = 1_000_000;

/// What the requests of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Common {
    /// In the order of what they are put together by; `None` where they have none.
    Names(Vec<Option<String>>),
    /// There were too many groups: nothing.
    Others,
    /// They are all that there are.
    All,
}

impl Common {
    /// The order of rows by name: what has no name comes after what has one.
    fn by_name(&self, other: &Self) -> Ordering {
        fn keys(names: &[Option<String>]) -> impl Iterator<Item = (bool, Option<&str>)> {
            names.iter().map(|name| (name.is_none(), name.as_deref()))
        }
        let rank = |common: &Self| match common {
            Self::Names(_) => 0,
            Self::Others => 1,
            Self::All => 2,
        };
        match (self, other) {
            (Self::Names(a), Self::Names(b)) => keys(a).cmp(keys(b)),
            _ => rank(self).cmp(&rank(other)),
        }
    }
}

/// A row of a report.
pub(super) struct Group {
    pub(super) common: Common,
    pub(super) totals: Totals,
}

/// The totals of each client, or of each model, and so on.
pub(super) struct Groups {
    by: Vec<By>,
    named: HashMap<Box<[u8]>, Totals>,
    others: Totals,
    /// The key of the last request; kept, so that most requests need no memory.
    key: Vec<u8>,
}

impl Groups {
    pub(super) fn new(by: &[By]) -> Self {
        let (named, others) = (HashMap::new(), Totals::default());
        Self { by: by.to_vec(), named, others, key: Vec::new() }
    }

    /// Counts a request, its times included.
    pub(super) fn count(&mut self, record: &Record<'_>) {
        let totals = self.totals_of(record);
        totals.count(record);
        totals.count_times(record);
    }

    /// Counts a request without its times, which take most of the memory.
    pub(super) fn count_use(&mut self, record: &Record<'_>) {
        self.totals_of(record).count(record);
    }

    fn totals_of(&mut self, record: &Record<'_>) -> &mut Totals {
        self.key.clear();
        self.by.iter().for_each(|by| write_name(&mut self.key, by.of(record).as_deref()));
        if !self.named.contains_key(&*self.key) {
            if self.named.len() >= MAX_GROUPS {
                return &mut self.others;
            }
            self.named.insert((*self.key).into(), Totals::default());
        }
        self.named.get_mut(&*self.key).unwrap_or(&mut self.others)
    }

    /// Adds those of another time.
    pub(super) fn add(&mut self, other: &Self) {
        for (key, totals) in &other.named {
            if self.named.len() < MAX_GROUPS || self.named.contains_key(key) {
                self.named.entry(key.clone()).or_default().add(totals);
            } else {
                self.others.add(totals);
            }
        }
        self.others.add(&other.others);
    }

    /// All groups, in no order, and the sum of them.
    pub(super) fn finish(self) -> (Vec<Group>, Totals) {
        let named = self.named.into_iter().map(|(key, totals)| {
            let names = self.by.iter().zip(read_names(&key));
            let names = names.map(|(by, name)| name.map(|name| by.shown(name).into_owned()));
            Group { common: Common::Names(names.collect()), totals }
        });
        let mut groups: Vec<Group> = named.collect();
        if self.others.requests > 0 {
            groups.push(Group { common: Common::Others, totals: self.others });
        }
        let mut sum = Totals::default();
        groups.iter().for_each(|group| sum.add(&group.totals));
        (groups, sum)
    }
}

/// Names with their lengths before them, so that no two lists of names look the same.
pub(super) fn write_name(key: &mut Vec<u8>, name: Option<&str>) {
    match name {
        None => key.push(0),
        Some(name) => {
            key.push(1);
            // A line is shorter than that.
            key.extend(u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes());
            key.extend(name.as_bytes());
        }
    }
}

fn read_names(key: &[u8]) -> impl Iterator<Item = Option<&str>> {
    let mut rest = key;
    std::iter::from_fn(move || {
        let (is_there, after) = rest.split_first()?;
        if *is_there == 0 {
            rest = after;
            return Some(None);
        }
        let (len, after) = after.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
        let (name, after) = after.split_at_checked(len)?;
        rest = after;
        std::str::from_utf8(name).ok().map(Some)
    })
}

/// The order of rows: the largest first, or by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Sort {
    Requests,
    Refused,
    Tokens,
    Cost,
    Name,
}

impl Sort {
    pub(super) fn sort(self, groups: &mut [Group]) {
        let key = |totals: &Totals| match self {
            Self::Requests => totals.requests.into(),
            Self::Refused => totals.refused.into(),
            Self::Tokens => totals.input_tokens + totals.output_tokens,
            Self::Cost => totals.cost_nanos,
            Self::Name => 0,
        };
        groups.sort_by(|a, b| {
            let by_key = Reverse(key(&a.totals)).cmp(&Reverse(key(&b.totals)));
            let by_requests = match self {
                Self::Name => Ordering::Equal,
                _ => b.totals.requests.cmp(&a.totals.requests),
            };
            by_key.then(by_requests).then_with(|| a.common.by_name(&b.common))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_come_back(names: Vec<Option<String>>) {
            let mut key = Vec::new();
            names.iter().for_each(|name| write_name(&mut key, name.as_deref()));
            let read: Vec<_> = read_names(&key).map(|name| name.map(str::to_owned)).collect();
            prop_assert_eq!(read, names);
        }
    }
}
