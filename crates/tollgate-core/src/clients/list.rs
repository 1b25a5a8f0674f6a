//! Some of the clients, in an order. All of them are looked at each time, without sorting or keeping many more than
//! what is asked for.

use std::cmp::Ordering;

use memchr::memmem::Finder;

use super::directory::Directory;
use super::entry::Entry;
use super::MAX_NAME_LEN;

/// What comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Who has used most of one of its limits, as was found lately.
    #[default]
    Used,
    /// Who has used most of one of its budgets, as was found lately.
    Budget,
    /// Who had most requests.
    Requests,
    /// Who had most tokens; of those who had none, most requests.
    Tokens,
    /// Who cost most.
    Cost,
    /// By the bytes of their names, the only order that ascends.
    Name,
    /// Who was seen last.
    LastSeen,
}

impl Sort {
    /// Those that can be asked for by name.
    pub const ALL: [Self; 6] =
        [Self::Used, Self::Requests, Self::Tokens, Self::Cost, Self::Name, Self::LastSeen];

    /// The name in a query, and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Budget => "budget",
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Cost => "cost",
            Self::Name => "name",
            Self::LastSeen => "last_seen",
        }
    }

    /// The order of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == name)
    }
}

/// Which of the clients are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// What comes first.
    pub sort: Sort,
    /// What is in their names; empty: anything.
    pub search: String,
    /// How many are left out at the beginning.
    pub offset: usize,
    /// How many there are to be.
    pub limit: usize,
}

/// The most that can be asked for at once.
pub const MAX_LIMIT: usize = 1000;

impl Query {
    /// With what can't be asked for cut down: [`MAX_LIMIT`], and a search for what is longer than any name.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.limit = self.limit.min(MAX_LIMIT);
        if self.search.len() > MAX_NAME_LEN {
            let end = (0..=MAX_NAME_LEN).rev().find(|end| self.search.is_char_boundary(*end));
            self.search.truncate(end.unwrap_or(0));
        }
        self
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The numbers of their entries, in the order that was asked for.
    pub numbers: Vec<u32>,
    /// How many clients there are in all that have what is searched for in their names.
    pub total: usize,
}

/// The first bytes of a name, which mostly say all.
const PREFIX: usize = 32;

impl Directory<'_> {
    /// The clients that are asked for.
    #[must_use]
    pub fn list(&self, query: &Query) -> Found {
        match query.sort {
            Sort::Name => {
                let by_name = |one: &([u8; PREFIX], u32), other: &([u8; PREFIX], u32)| {
                    one.0.cmp(&other.0).then_with(|| self.compare_names(one.1, other.1))
                };
                self.first(query, |entry| entry.name_prefix(), by_name)
            }
            sort => {
                // Of equals, the first one that came: so that a second page goes on where the first one ended.
                let descending = |one: &((u64, u64), u32), other: &((u64, u64), u32)| {
                    other.0.cmp(&one.0).then(one.1.cmp(&other.1))
                };
                self.first(query, |entry| entry.rank(sort), descending)
            }
        }
    }

    /// Those that come first, without the ones that are left out. Of all others no more is kept than of these.
    fn first<K: Copy>(
        &self,
        query: &Query,
        key: impl Fn(&Entry<'_>) -> K,
        compare: impl Fn(&(K, u32), &(K, u32)) -> Ordering,
    ) -> Found {
        let Query { ref search, offset, limit, .. } = *query;
        let finder = Finder::new(search);
        let has_it = |entry: &Entry<'_>| match search.is_empty() {
            true => entry.low() != 0,
            false => entry.with_name(|name| finder.find(name).is_some()).unwrap_or(false),
        };
        let count = offset.saturating_add(limit);
        let (mut kept, mut last, mut total) = (Vec::new(), None, 0);
        for number in 0..self.given() {
            let Some(entry) = self.entry(number).filter(&has_it) else { continue };
            total += 1;
            let found = (key(&entry), number);
            if last.as_ref().is_some_and(|last| compare(last, &found) == Ordering::Less) {
                continue;
            }
            kept.push(found);
            if kept.len() > count.saturating_mul(2) {
                if let Some(at) = count.checked_sub(1) {
                    last = Some(*kept.select_nth_unstable_by(at, &compare).1);
                }
                kept.truncate(count);
            }
        }
        let numbers = part(&mut kept, offset, limit, compare).iter().map(|(_, number)| *number);
        Found { numbers: numbers.collect(), total }
    }

    fn compare_names(&self, one: u32, other: u32) -> Ordering {
        let name = |number: u32| {
            self.entry(number).and_then(|entry| entry.with_name(<[u8]>::to_vec)).unwrap_or_default()
        };
        name(one).cmp(&name(other)).then(one.cmp(&other))
    }
}

/// The part of `found` that is asked for, in order: the rest isn't sorted.
fn part<T>(
    found: &mut [T],
    offset: usize,
    limit: usize,
    compare: impl Fn(&T, &T) -> Ordering,
) -> &[T] {
    if (1..found.len()).contains(&offset) {
        found.select_nth_unstable_by(offset, &compare);
    }
    let rest = found.get_mut(offset..).unwrap_or_default();
    if (1..rest.len()).contains(&limit) {
        rest.select_nth_unstable_by(limit, &compare);
    }
    let count = limit.min(rest.len());
    let asked = rest.get_mut(..count).unwrap_or_default();
    asked.sort_unstable_by(compare);
    asked
}

impl Entry<'_> {
    /// What it is ordered by, but for names.
    fn rank(&self, sort: Sort) -> (u64, u64) {
        let (requests, tokens) = self.use_so_far();
        match sort {
            Sort::Used => (self.ratio_words().0, requests),
            Sort::Budget => (self.ratio_words().1, requests),
            Sort::Tokens => (tokens, requests),
            Sort::Cost => (self.cost(), requests),
            Sort::LastSeen => (self.age_mark(), 0),
            Sort::Requests | Sort::Name => (requests, tokens),
        }
    }

    fn name_prefix(&self) -> [u8; PREFIX] {
        let prefix = self.with_name(|name| {
            let mut prefix = [0; PREFIX];
            prefix.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
            prefix
        });
        prefix.unwrap_or_default()
    }
}
