#![cfg(not(tollgate_model))]

use super::super::fixtures::{at, Member, SECOND, STORE_START_US};
use super::super::message::StoreId;
use super::super::store::Store;
use super::super::table::{SET_WORDS, WAYS};
use super::super::times::IDLE;
use super::super::words::HEADER_WORDS;
use super::super::Drawn;
use super::*;
use crate::clock::UnixSeconds;

const ROUND: u64 = 50_000_000;
const WHILE: u64 = IDLE + SECOND;

/// What a request has that was let in by a lease, and runs for so long that nothing of its limit is left on the node.
struct Late {
    store: Store,
    member: Member,
    ask: Ask,
    backing: (Backing, Option<Name>),
    id: StoreId,
}

impl Late {
    /// One of `n`, in a table with room for the limits of eight clients.
    fn new(ask: impl Fn(&Member) -> Ask) -> Self {
        let mut store = Store::default();
        let mut member = Member::with_table(1, HEADER_WORDS + 8 + 2 * SET_WORDS).meet(&mut store);
        let ask = ask(&member);
        let need = |member: &Member| {
            let entry = member.node.entry("acme", &ask);
            entry.need(ask.reserved().div_ceil(entry.unit()));
        };
        need(&member);
        member.exchange(&mut store, at(ROUND));
        let entry = member.node.entry("acme", &ask);
        assert!(matches!(entry.draw(ask.reserved(), || at(ROUND)), Drawn::Taken(_)));
        let (name, id) = (entry.store_name(), StoreId(entry.name()));
        assert!(name.is_some());
        for n in 2..WHILE / ROUND {
            member.exchange(&mut store, at(n * ROUND));
        }
        Self { store, member, ask, backing: (Backing::Lease, name), id }
    }

    /// Others need its place.
    fn leave(&self) {
        for n in 0..WAYS {
            let client = format!("c{n}");
            self.member.node.entry(&client, &self.member.node.requests(&client, "100r/m", 1));
        }
        assert!(self.member.node.table().find(&self.ask).is_none());
    }

    /// Settles it; gives what the store counts as used then.
    fn settle(&mut self, used: u64) -> Result<u64, NoEntry> {
        let wall =
            UnixSeconds(i64::try_from((STORE_START_US + WHILE / 1_000) / 1_000_000).unwrap());
        let now = Now { mono: at(WHILE), wall };
        let (node, backing) = (&self.member.node, self.backing);
        node.table().settle(&self.ask, backing, used, now, &node.lock)?;
        self.member.exchange(&mut self.store, at(WHILE));
        Ok(self.store.used_and_leased(self.id).map_or(0, |(used, _)| used))
    }
}

fn money(member: &Member) -> Ask {
    let ask = member.node.money("acme", "20/day", 5_000_000);
    let mut asks = [ask];
    let wall = member.node.table().words().store_time(at(0)).unwrap();
    let now = Now { mono: at(0), wall };
    let lock = &member.node.lock;
    member
        .node
        .zone()
        .reserve(&mut asks, now, lock, None, &mut Vec::new(), &mut Vec::new())
        .unwrap();
    asks[0]
}

#[test]
fn what_was_used_is_reported_whether_the_limit_has_its_entry_still_or_not() {
    for is_gone in [false, true] {
        for (used, expected) in [(9_000_000, 9_000), (5_000_000, 5_000), (1_000_000, 1_000)] {
            let mut late = Late::new(money);
            if is_gone {
                late.leave();
            }
            assert_eq!(late.settle(used), Ok(expected), "{is_gone} {used}");
        }
    }
}

#[test]
fn without_a_name_or_with_that_of_another_seed_nothing_is_reported() {
    let mut late = Late::new(money);
    late.leave();
    late.backing = (Backing::Lease, None);
    assert_eq!(late.settle(9_000_000), Err(NoEntry::Unnamed));
    let mut late = Late::new(money);
    late.leave();
    late.member.node.table().words().set_seed((8, 9));
    assert_eq!(late.settle(9_000_000), Err(NoEntry::Unnamed));
}

#[test]
fn what_was_given_away_without_the_store_and_told_is_not_given_back() {
    for (used, expected) in [(9_000_000, 9_000), (1_000_000, 5_000)] {
        let mut late = Late::new(money);
        late.leave();
        late.backing.0 = Backing::Alone;
        assert_eq!(late.settle(used), Ok(expected));
    }
}

#[test]
fn where_there_is_no_room_that_is_said() {
    let mut late = Late::new(money);
    late.leave();
    for n in 0..WAYS {
        let client = format!("c{n}");
        let ask = late.member.node.requests(&client, "100r/m", 1);
        if let Some(entry) = late.member.node.table().find(&ask) {
            entry.need(1);
        }
    }
    assert_eq!(late.settle(9_000_000), Err(NoEntry::Full));
}
