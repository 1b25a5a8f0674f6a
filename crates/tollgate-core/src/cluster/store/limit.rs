//! What the store keeps of one limit.

use super::account::Account;
use super::level::Level;
use super::{DEAD_US, FORGET_US, KEEP_BUDGET_US, KEEP_US, MAX_ACCOUNTS};
use crate::cluster::message::{Incarnation, Line, Sold, Status, Terms};

/// Who asks, and when.
#[derive(Clone, Copy)]
pub(super) struct Asking {
    pub(super) incarnation: Incarnation,
    pub(super) seq: u64,
    pub(super) now_us: u64,
    /// For so long, nothing is sold.
    pub(super) grace_us: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    kind: Kind,
    level: Level,
    /// The period of a budget, else 0.
    number: u64,
    /// When this began to be kept; 0: it was reset, and nothing that was known before counts.
    since_us: u64,
    accounts: Vec<Account>,
    keep_us: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bucket,
    Budget,
    Slots,
}

impl Kind {
    fn of(terms: Terms) -> Self {
        match terms {
            Terms::Bucket { .. } => Self::Bucket,
            Terms::Budget { .. } => Self::Budget,
            Terms::Slots { .. } => Self::Slots,
        }
    }

    /// For how long the account of one who is silent is kept.
    fn patience_us(self) -> u64 {
        match self {
            Self::Bucket | Self::Slots => DEAD_US,
            Self::Budget => FORGET_US,
        }
    }
}

impl Limit {
    /// Executes a line. What isn't kept yet begins to be; a line that doesn't count changes nothing.
    pub(super) fn exchange(kept: &mut Option<Self>, line: &Line, asking: Asking) -> Sold {
        let Asking { now_us, .. } = asking;
        let kind = Kind::of(line.terms);
        let number = match line.terms {
            Terms::Budget { number, from_us, until_us, .. } => {
                let is_another = kept.as_ref().is_some_and(|kept| kept.number > number);
                if now_us < from_us || now_us >= until_us || is_another {
                    return Self::nothing(Status::Period);
                }
                number
            }
            _ => 0,
        };
        let mut limit = match kept {
            Some(limit) if limit.kind == kind && limit.number == number => limit.clone(),
            _ => Self::new(kind, number, now_us),
        };
        let own = limit.accounts.iter().find(|own| own.incarnation == asking.incarnation).copied();
        limit.drain(line.terms, now_us);
        if own.is_some_and(|own| own.seq >= asking.seq) {
            return limit.say(line, asking, Status::Old, 0);
        }
        limit.drop_silent(asking.incarnation, now_us);
        if own.is_none() && limit.accounts.len() >= MAX_ACCOUNTS {
            return limit.say(line, asking, Status::Crowded, 0);
        }
        if limit.has_lost(own.as_ref(), line, asking) {
            limit.level.used = limit.level.used.max(line.known);
        }
        limit.count(own.as_ref(), line);
        let sold = limit.sell(line, asking);
        *kept = Some(limit);
        sold
    }

    fn new(kind: Kind, number: u64, now_us: u64) -> Self {
        let level = Level { at_us: now_us, ..Level::default() };
        Self { kind, level, number, since_us: now_us, accounts: Vec::new(), keep_us: 0 }
    }

    fn nothing(status: Status) -> Sold {
        Sold { status, grant: 0, used: 0, unsold: 0, others: 0, is_short: false, wait_us: 0 }
    }

    /// Drops the accounts of those others who haven't said anything for long. What they held begins to drain
    /// now: it may have been spent until a moment ago.
    fn drop_silent(&mut self, speaker: Incarnation, now_us: u64) {
        let Self { kind, level, accounts, .. } = self;
        let patience_us = kind.patience_us();
        accounts.retain_mut(|account| {
            // The clock stepped back.
            account.seen_us = account.seen_us.min(now_us);
            let is_silent = account.incarnation != speaker
                && now_us.saturating_sub(account.seen_us) > patience_us;
            if is_silent && *kind != Kind::Slots {
                level.add(i64::try_from(account.leased).unwrap_or(i64::MAX));
            }
            !is_silent
        });
    }

    fn drain(&mut self, terms: Terms, now_us: u64) {
        match terms {
            Terms::Bucket { count, period_us, .. } => self.level.drain(count, period_us, now_us),
            Terms::Budget { .. } | Terms::Slots { .. } => self.level.at_us = now_us,
        }
    }

    /// Whether the speaker knows of something that this doesn't: data were lost, or it was told before this began
    /// to be kept. A bucket forgets by itself, so there it counts only for a while after data were lost.
    fn has_lost(&self, own: Option<&Account>, line: &Line, asking: Asking) -> bool {
        let is_known = own.is_none() && line.heard_us > 0 && self.since_us > 0;
        let is_older = line.heard_us < self.since_us;
        is_known
            && match self.kind {
                Kind::Bucket => asking.grace_us > 0,
                Kind::Budget => asking.grace_us > 0 || is_older,
                Kind::Slots => false,
            }
    }

    /// Counts what was drawn and adjusted since the speaker's last message.
    fn count(&mut self, own: Option<&Account>, line: &Line) {
        let (drawn, adjust) = Account::news(own, line);
        if self.kind != Kind::Slots {
            self.level.add(i64::try_from(drawn).unwrap_or(i64::MAX));
            self.level.add(adjust);
        }
        if line.reset {
            self.level.used = 0;
            self.since_us = 0;
        }
    }

    /// Sells what is wanted, as far as there is some, and writes the speaker's account.
    fn sell(&mut self, line: &Line, asking: Asking) -> Sold {
        let Asking { incarnation, seq, now_us, grace_us } = asking;
        let held: u64 = self.others(incarnation);
        let taken = self.level.used + held + line.held;
        let room = line.terms.capacity().saturating_sub(taken);
        let grant = if grace_us > 0 { 0 } else { line.want.min(room) };
        let account = Account {
            incarnation,
            seq,
            born: line.born,
            drawn: line.drawn,
            adjust: line.adjust,
            leased: line.held + grant,
            wish: line.want - grant,
            seen_us: now_us,
        };
        match self.accounts.iter_mut().find(|own| own.incarnation == incarnation) {
            Some(own) => *own = account,
            None => self.accounts.push(account),
        }
        self.keep_us = self.keep(line.terms, taken + grant, now_us);
        self.say(line, asking, Status::Done, grant)
    }

    /// What the speaker is told. What it holds itself is in its account.
    fn say(&self, line: &Line, asking: Asking, status: Status, grant: u64) -> Sold {
        let Asking { incarnation, now_us, grace_us, .. } = asking;
        let others = self.others(incarnation);
        let own = self.accounts.iter().find(|own| own.incarnation == incarnation);
        let taken = self.level.used + others + own.map_or(0, |own| own.leased);
        let capacity = line.terms.capacity();
        let is_others_wish =
            |account: &Account| account.incarnation != incarnation && account.is_wishing(now_us);
        Sold {
            status,
            grant,
            used: self.level.used,
            unsold: capacity.saturating_sub(taken),
            others,
            is_short: self.accounts.iter().any(is_others_wish),
            wait_us: match (status, line.want - grant, grace_us) {
                (Status::Done, 0, _) => 0,
                (Status::Done, _, 0) => self.wait_us(line.terms, taken, now_us),
                (Status::Done, _, grace_us) => grace_us,
                _ => 0,
            },
        }
    }

    fn others(&self, incarnation: Incarnation) -> u64 {
        self.accounts
            .iter()
            .filter(|own| own.incarnation != incarnation)
            .map(|own| own.leased)
            .sum()
    }

    /// In how many microseconds there is one more to sell.
    fn wait_us(&self, terms: Terms, taken: u64, now_us: u64) -> u64 {
        match terms {
            Terms::Bucket { capacity, count, .. } => {
                let missing = (taken + 1).saturating_sub(capacity);
                if missing > self.level.used {
                    0
                } else {
                    self.level.wait_us(missing, count)
                }
            }
            Terms::Budget { until_us, .. } => until_us - now_us,
            Terms::Slots { .. } => 0,
        }
    }

    /// For how long it has to be kept when nobody says anything more.
    fn keep(&self, terms: Terms, taken: u64, now_us: u64) -> u64 {
        match terms {
            Terms::Bucket { count, .. } => KEEP_US + self.level.wait_us(taken, count),
            Terms::Budget { until_us, .. } => KEEP_BUDGET_US + (until_us - now_us),
            Terms::Slots { .. } => KEEP_US,
        }
    }

    pub(super) fn used_and_leased(&self) -> (u64, u64) {
        (self.level.used, self.accounts.iter().map(|account| account.leased).sum())
    }

    pub(super) fn leased(&self, incarnation: Incarnation) -> u64 {
        let own = self.accounts.iter().find(|own| own.incarnation == incarnation);
        own.map_or(0, |own| own.leased)
    }

    pub(super) fn keep_us(&self) -> u64 {
        self.keep_us
    }

    pub(super) fn expires_us(&self) -> u64 {
        self.level.at_us.saturating_add(self.keep_us)
    }
}
