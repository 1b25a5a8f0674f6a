use super::super::entry::{Backing, Drawn, Round};
use super::super::fixtures::{answer, at, store_us, Member, SECOND, START};
use super::super::message::{Outcome, Status};
use super::super::store::Store;
use super::super::times::LIFE;
use super::*;
use crate::limits::{Ask, Now};

const ROUND: u64 = 50_000_000;

fn draw(member: &Member, client: &str, ask: &Ask, n: u64, now: MonoNanos) -> bool {
    let entry = member.node.entry(client, ask);
    match entry.draw(n, || now) {
        Drawn::Taken(_) => true,
        Drawn::Short { missing } => {
            entry.need(missing.div_ceil(entry.unit()));
            false
        }
        Drawn::Moved => panic!(),
    }
}

fn mirrored(member: &Member, ask: &Ask, now: MonoNanos) -> u64 {
    let zone = member.node.zone();
    let wall = member.node.table().words().store_time(now).unwrap();
    zone.view(ask.key, &ask.take, Now { mono: now, wall }).used
}

/// Gives the limit a slot in the zone, as a request that was let through does, and takes nothing.
fn reserve_nothing(member: &Member, ask: &Ask, now: MonoNanos) {
    let zone = member.node.zone();
    let wall = member.node.table().words().store_time(now).unwrap();
    let now = Now { mono: now, wall };
    let mut asks = [*ask];
    let lock = &member.node.lock;
    zone.reserve(&mut asks, now, lock, None, &mut Vec::new(), &mut Vec::new()).unwrap();
    zone.give_back(&asks, now);
}

#[test]
fn a_request_waits_for_one_exchange_and_those_after_it_for_none() {
    let mut store = Store::default();
    let mut member = Member::new(1).meet(&mut store);
    let ask = member.node.requests("acme", "100r/m", 1);
    assert!(!draw(&member, "acme", &ask, 1, at(0)));
    let round = member.node.table().words().round();
    let entry = |member: &Member| member.node.entry("acme", &ask).is_answered(round);
    assert!(!entry(&member));
    let applied = member.exchange(&mut store, at(ROUND)).unwrap();
    assert_eq!((applied.counted, applied.is_whole), (1, true));
    assert!(entry(&member));
    for n in 1..60 {
        assert!(draw(&member, "acme", &ask, 1, at(n * ROUND)), "{n}");
        member.exchange(&mut store, at(n * ROUND));
    }
}

#[test]
fn who_has_nothing_to_say_says_so_in_time() {
    let mut store = Store::default();
    let mut member = Member::new(1).meet(&mut store);
    let spoke = (1..=100).filter(|n| member.exchange(&mut store, at(n * ROUND)).is_some()).count();
    assert_eq!(spoke, 12);
    assert_eq!(member.node.table().words().contact(), Some(at(96 * ROUND)));
}

#[test]
fn what_is_held_idly_is_renewed_and_goes_back() {
    let mut store = Store::default();
    let mut member = Member::new(1).meet(&mut store);
    let ask = member.node.requests("acme", "100r/m", 1);
    assert!(!draw(&member, "acme", &ask, 1, at(0)));
    member.exchange(&mut store, at(ROUND));
    assert!(draw(&member, "acme", &ask, 1, at(ROUND)));
    let held = |member: &Member| member.node.entry("acme", &ask).balance();
    let mut lines = 0;
    for n in 2..400 {
        let now = at(n * ROUND);
        if let Some(asked) = member.collect(now) {
            lines += asked.message.lines.len();
            let answer = answer(&mut store, &asked, store_us(now));
            member.apply(&asked, Some(answer), now);
        }
        // For ten seconds.
        match n {
            3..200 => assert!(held(&member) > 0 && member.memory.tracked() == 1, "{n}"),
            230.. => assert!(held(&member) == 0 && member.memory.tracked() == 0, "{n}"),
            _ => {}
        }
    }
    assert!((10..25).contains(&lines), "{lines}");
}

#[test]
fn an_answer_that_is_lost_changes_nothing() {
    let mut store = Store::default();
    let mut member = Member::new(1).meet(&mut store);
    let ask = member.node.requests("acme", "10r/m", 1);
    assert!(!draw(&member, "acme", &ask, 4, at(0)));
    for n in 1..6 {
        let asked = member.collect(at(n * ROUND)).unwrap();
        assert_eq!(asked.message.lines[0].in_doubt, n > 1);
        answer(&mut store, &asked, store_us(at(n * ROUND)));
        assert_eq!(member.apply(&asked, None, at(n * ROUND)).uncounted, 1);
        assert!(!draw(&member, "acme", &ask, 4, at(n * ROUND)));
    }
    member.exchange(&mut store, at(6 * ROUND));
    assert!(draw(&member, "acme", &ask, 4, at(6 * ROUND)));
    for n in 7..9 {
        let asked = member.collect(at(n * ROUND)).unwrap();
        answer(&mut store, &asked, store_us(at(n * ROUND)));
        member.apply(&asked, None, at(n * ROUND));
    }
    member.exchange(&mut store, at(9 * ROUND));
    let asked = member.collect(at(10 * ROUND));
    assert!(asked.is_none_or(|asked| asked.message.lines[0].drawn == 4));
    let (id, _) = store_id(&member, &ask);
    assert_eq!(store.used_and_leased(id).map(|(used, _)| used), Some(4));
}

fn store_id(member: &Member, ask: &Ask) -> (StoreId, u64) {
    let entry = member.node.entry("acme", ask);
    (StoreId(entry.name()), entry.words[entry::BORN].load(Ordering::Relaxed))
}

#[test]
fn a_lease_that_ran_out_is_given_back_and_not_spent() {
    let mut store = Store::default();
    let mut member = Member::new(1).meet(&mut store);
    let ask = member.node.requests("acme", "10r/m", 1);
    assert!(!draw(&member, "acme", &ask, 4, at(0)));
    member.exchange(&mut store, at(ROUND));
    let over = ROUND + LIFE;
    assert!(draw(&member, "acme", &ask, 1, at(over - 1)));
    assert!(!draw(&member, "acme", &ask, 1, at(over)));
    let asked = member.collect(at(over)).unwrap();
    let line = asked.message.lines[0];
    assert_eq!((line.held, line.drawn), (0, 1));
}

#[test]
fn what_was_put_back_after_it_was_reported_is_spent() {
    let mut store = Store::default();
    let mut member = Member::new(1).meet(&mut store);
    let ask = member.node.requests("acme", "10r/m", 1);
    assert!(!draw(&member, "acme", &ask, 4, at(0)));
    member.exchange(&mut store, at(ROUND));
    assert!(draw(&member, "acme", &ask, 3, at(ROUND)));
    assert_eq!(member.collect(at(2 * ROUND)).unwrap().message.lines[0].drawn, 3);
    let entry = member.node.entry("acme", &ask);
    let held = entry.balance();
    // The message was begun between the look at its number and this.
    entry.undo(3, Round(member.node.table().words().round()));
    assert_eq!(entry.balance(), held + 3);
    let line = member.collect(at(3 * ROUND)).unwrap().message.lines[0];
    assert_eq!(line.drawn, 3);
    assert!(line.held <= held);
}

#[test]
fn who_takes_over_goes_on() {
    let mut store = Store::default();
    let mut member = Member::new(1).meet(&mut store);
    let ask = member.node.requests("acme", "100r/m", 1);
    assert!(!draw(&member, "acme", &ask, 1, at(0)));
    member.exchange(&mut store, at(ROUND));
    assert!(draw(&member, "acme", &ask, 1, at(ROUND)));
    let asked = member.collect(at(2 * ROUND)).unwrap();
    answer(&mut store, &asked, store_us(at(2 * ROUND)));
    // Its process is killed, and with it what it remembered.
    member.memory = Memory::default();
    let again = member.collect(at(3 * ROUND)).unwrap();
    assert!(again.message.seq > asked.message.seq);
    let line = again.message.lines[0];
    assert_eq!((line.drawn, line.acked_drawn, line.in_doubt), (1, 0, true));
    let answered = answer(&mut store, &again, store_us(at(3 * ROUND)));
    assert_eq!(member.apply(&again, Some(answered), at(3 * ROUND)).counted, 1);
    let (id, _) = store_id(&member, &ask);
    assert_eq!(store.used_and_leased(id).unwrap().0, 1);
}

#[test]
fn the_mirror_shows_what_all_nodes_use() {
    let mut store = Store::default();
    let mut members = [1, 2].map(|n| Member::new(n).meet(&mut store));
    let ask = members[0].node.requests("acme", "100r/m", 10);
    members.iter().for_each(|member| reserve_nothing(member, &ask, at(0)));
    for n in 1..=3 {
        for member in &mut members {
            draw(member, "acme", &ask, 10, at(n * ROUND));
            member.exchange(&mut store, at(n * ROUND));
        }
    }
    let now = at(3 * ROUND);
    let shown: Vec<_> = members.iter().map(|member| mirrored(member, &ask, now)).collect();
    assert_eq!(shown[1], 40);
    let entry = members[1].node.entry("acme", &ask);
    assert!(entry.settle(Backing::Lease, (10, 4), false));
    members[1].exchange(&mut store, at(4 * ROUND));
    assert_eq!(mirrored(&members[1], &ask, at(4 * ROUND)), 34);
    members[0].exchange(&mut store, at(4 * ROUND + SECOND));
    // One has drained meanwhile, and a part of another one.
    assert_eq!(mirrored(&members[0], &ask, at(4 * ROUND + SECOND)), 33);
}

#[test]
fn what_was_given_away_alone_is_told_as_far_as_it_counts() {
    let mut store = Store::default();
    let mut member = Member::new(1).meet(&mut store);
    let (bucket, money) =
        (member.node.requests("acme", "60r/m", 10), member.node.money("acme", "20/day", 1));
    let zone = member.node.zone();
    let wall = member.node.table().words().store_time(at(0)).unwrap();
    let lock = &member.node.lock;
    let now = Now { mono: at(0), wall };
    zone.reserve(&mut [bucket, money], now, lock, None, &mut Vec::new(), &mut Vec::new()).unwrap();
    assert!(member.node.entry("acme", &bucket).spend_alone(10));
    assert!(member.node.entry("acme", &money).spend_alone(1_500));
    // For four seconds the store is away.
    for n in 1..=80 {
        let asked = member.collect(at(n * ROUND)).unwrap();
        member.apply(&asked, None, at(n * ROUND));
    }
    member.exchange(&mut store, at(4 * SECOND)).unwrap();
    let used = |ask: &Ask| store.used_and_leased(store_id(&member, ask).0).unwrap().0;
    assert_eq!((used(&bucket), used(&money)), (6, 2));
    let told = member.node.entry("acme", &bucket).count();
    assert_eq!((told.alone, told.adjust), (0, 6));
    assert_eq!(mirrored(&member, &bucket, at(4 * SECOND)), 6);
}

#[test]
fn the_turn_of_a_period_ends_its_lease() {
    let mut store = Store::default();
    let mut member = Member::new(1).meet(&mut store);
    // The hour turns an hour after the start.
    let ask = member.node.money("acme", "1/hour", 1);
    let hour = 3_600 * SECOND;
    // Heartbeats until then.
    for n in 1..3_600 {
        member.exchange(&mut store, at(n * SECOND));
    }
    assert!(!draw(&member, "acme", &ask, 600_000_000, at(hour - 2 * ROUND)));
    member.exchange(&mut store, at(hour - 2 * ROUND));
    assert!(draw(&member, "acme", &ask, 600_000_000, at(hour - 1)));
    member.node.entry("acme", &ask).adjust(-5_000);
    assert!(member.node.entry("acme", &ask).balance() > 0);
    assert!(!draw(&member, "acme", &ask, 1, at(hour)), "it is over");
    let asked = member.collect(at(hour + ROUND)).unwrap();
    let line = asked.message.lines[0];
    assert_eq!((line.held, line.drawn - line.acked_drawn), (0, 0));
    assert_eq!(line.adjust, line.acked_adjust);
    let answered = answer(&mut store, &asked, store_us(at(hour + ROUND)));
    member.apply(&asked, Some(answered), at(hour + ROUND));
    assert_eq!(store.used_and_leased(line.id).unwrap().0, 0);
    assert!(draw(&member, "acme", &ask, 1, at(hour + ROUND)));
}

#[test]
fn a_reset_is_asked_for_until_it_is_answered() {
    let mut store = Store::default();
    let mut member = Member::new(1).meet(&mut store);
    let ask = member.node.requests("acme", "10r/m", 1);
    assert!(!draw(&member, "acme", &ask, 8, at(0)));
    member.exchange(&mut store, at(ROUND));
    assert!(draw(&member, "acme", &ask, 8, at(ROUND)));
    member.exchange(&mut store, at(2 * ROUND));
    member.node.entry("acme", &ask).ask_for_reset();
    let asked = member.collect(at(3 * ROUND)).unwrap();
    assert!(asked.message.lines[0].reset);
    member.apply(&asked, None, at(3 * ROUND));
    let asked = member.collect(at(4 * ROUND)).unwrap();
    assert!(asked.message.lines[0].reset);
    let answered = answer(&mut store, &asked, store_us(at(4 * ROUND)));
    member.apply(&asked, Some(answered), at(4 * ROUND));
    assert_eq!(store.used_and_leased(asked.message.lines[0].id).unwrap().0, 0);
    let next = member.collect(at(5 * ROUND));
    assert!(next.is_none_or(|next| !next.message.lines[0].reset));
}

#[test]
fn a_limit_that_this_node_has_nothing_of_begins_anew() {
    let mut store = Store::default();
    let [mut member, mut other] = [1, 2].map(|number| Member::new(number).meet(&mut store));
    let ask = member.node.requests("acme", "10r/m", 1);
    assert!(!draw(&member, "acme", &ask, 8, at(0)));
    member.exchange(&mut store, at(ROUND));
    assert!(draw(&member, "acme", &ask, 8, at(ROUND)));
    let asked = member.collect(at(2 * ROUND)).unwrap();
    let answered = answer(&mut store, &asked, store_us(at(2 * ROUND)));
    member.apply(&asked, Some(answered), at(2 * ROUND));
    let id = asked.message.lines[0].id;
    assert_eq!(store.used_and_leased(id).unwrap().0, 8);
    // That one knows another size of it.
    let another = other.node.requests("acme", "1r/m", 1);
    let name = |seed: crate::limits::Seed| Some(seed.client_key("acme"));
    other.node.table().reset(&another, name, &other.node.lock).unwrap();
    other.exchange(&mut store, at(3 * ROUND));
    assert_eq!(store.used_and_leased(id).unwrap().0, 0);
    // An entry that is there is left as large as it is.
    member.node.table().reset(&another, name, &member.node.lock).unwrap();
    let asked = member.collect(at(4 * ROUND)).unwrap();
    let line = asked.message.lines[0];
    assert!(line.reset && line.terms.capacity() == 10, "{line:?}");
}

#[test]
fn who_refuses_by_what_was_heard_long_ago_asks_again() {
    const UNIT: u64 = 1_000_000_000;
    let mut store = Store::default();
    let [mut member, mut other] = [1, 2].map(|number| Member::new(number).meet(&mut store));
    let ask = member.node.money("acme", "20/day", 1);
    for (one, begin) in [(&mut member, 0), (&mut other, 300)] {
        reserve_nothing(one, &ask, at(begin * ROUND));
        assert!(!draw(one, "acme", &ask, 4 * UNIT, at(begin * ROUND)));
        one.exchange(&mut store, at((begin + 1) * ROUND));
        assert!(draw(one, "acme", &ask, 4 * UNIT, at((begin + 1) * ROUND)));
        // Until nothing of it is held any more.
        for n in begin + 2..begin + 300 {
            one.exchange(&mut store, at(n * ROUND));
        }
        assert_eq!(one.memory.tracked(), 0);
    }
    assert_eq!(mirrored(&other, &ask, at(600 * ROUND)), 8 * UNIT);
    // What the first one gives back the second one doesn't hear of by itself.
    assert!(member.node.entry("acme", &ask).adjust(-2_000_000_000));
    member.exchange(&mut store, at(600 * ROUND));
    let lines = |asked: &Option<Asked>| asked.as_ref().map_or(0, |asked| asked.message.lines.len());
    let asked = other.collect(at(601 * ROUND));
    assert_eq!(lines(&asked), 0, "nobody was refused");
    other.node.entry("acme", &ask).look_again();
    other.exchange(&mut store, at(602 * ROUND)).unwrap();
    assert_eq!(mirrored(&other, &ask, at(602 * ROUND)), 6 * UNIT);
    for (round, expected) in [(603, 0), (625, 1)] {
        other.node.entry("acme", &ask).look_again();
        let asked = other.collect(at(round * ROUND));
        assert_eq!(lines(&asked), expected, "{round}: once a second is enough");
    }
}

#[test]
fn a_refused_line_is_no_contact_lost_but_a_stale_message_is() {
    let mut store = Store::default();
    let mut member = Member::new(1);
    // The first one is stale: the store's time wasn't known.
    let applied = member.exchange(&mut store, START).unwrap();
    assert!(!applied.is_whole);
    assert_eq!(member.node.table().words().contact(), None);
    assert_eq!(
        member.node.table().words().store_us(at(7_000)),
        Some((store_us(at(7_000)), store_us(at(7_000))))
    );
    let ask = member.node.money("acme", "20/day", 1);
    assert!(!draw(&member, "acme", &ask, 1, at(0)));
    let asked = member.collect(at(ROUND)).unwrap();
    let mut answered = answer(&mut store, &asked, store_us(at(ROUND)));
    let Outcome::Done(lines) = &mut answered.outcome else { panic!() };
    (lines[0].status, lines[0].grant) = (Status::Period, 0);
    let applied = member.apply(&asked, Some(answered), at(ROUND));
    assert_eq!((applied.uncounted, applied.is_whole), (1, true));
    assert_eq!(member.node.table().words().contact(), Some(at(ROUND)));
    assert!(member.node.entry("acme", &ask).is_answered(asked.message.seq));
}

#[test]
fn a_settlement_counts_once_though_the_entry_was_given_away_meanwhile() {
    let mut store = Store::default();
    let mut member = Member::new(1).meet(&mut store);
    let ask = member.node.money("acme", "20/day", 1);
    assert!(!draw(&member, "acme", &ask, 9_000, at(0)));
    member.exchange(&mut store, at(ROUND));
    assert!(draw(&member, "acme", &ask, 9_000, at(ROUND)));
    let (id, born) = store_id(&member, &ask);
    let used = |store: &Store| store.used_and_leased(id).unwrap();
    // The request takes a while, and nothing is left to be said of its limit.
    for n in 2..400 {
        member.exchange(&mut store, at(n * ROUND));
    }
    assert_eq!(used(&store), (9, 0));
    let place = member.node.entry("acme", &ask).place;
    let ways = super::super::table::WAYS;
    assert!(member.node.table().evict(place / ways, place % ways));
    assert!(member.node.table().find(&ask).is_none());
    assert!(member.node.entry("acme", &ask).settle(Backing::Lease, (9_000, 4_000), false));
    assert_ne!(store_id(&member, &ask), (id, born));
    for n in 400..410 {
        member.exchange(&mut store, at(n * ROUND));
    }
    assert_eq!(used(&store), (4, 0));
}

mod schedules;

/// A client has drawn a lot over time, one at a time.
fn drawn_for_long(member: &mut Member, store: &mut Store, ask: &Ask) {
    for n in 0..200 {
        draw(member, "acme", ask, 1, at(n * ROUND));
        member.exchange(store, at(n * ROUND));
    }
}

#[test]
fn who_comes_again_buys_no_more_than_he_needs_whatever_he_drew_before() {
    let mut store = Store::default();
    let mut member = Member::new(1).meet(&mut store);
    let ask = member.node.requests("acme", "1000r/s", 1);
    drawn_for_long(&mut member, &mut store, &ask);
    for n in 200..500 {
        member.exchange(&mut store, at(n * ROUND));
    }
    assert_eq!(member.memory.tracked(), 0);
    assert!(!draw(&member, "acme", &ask, 1, at(500 * ROUND)));
    let asked = member.collect(at(500 * ROUND)).unwrap();
    assert_eq!(asked.message.lines.iter().map(|line| line.want).collect::<Vec<_>>(), [2]);
}

#[test]
fn who_takes_over_keeps_what_was_leased_and_buys_no_more_than_was_drawn_lately() {
    let mut store = Store::default();
    let mut member = Member::new(1).meet(&mut store);
    let ask = member.node.requests("acme", "1000r/s", 1);
    drawn_for_long(&mut member, &mut store, &ask);
    let held = member.node.entry("acme", &ask).balance();
    assert!(held > 0);
    for drawn in [0, 1] {
        member.memory = Memory::default();
        if drawn > 0 {
            assert!(draw(&member, "acme", &ask, drawn, at(200 * ROUND)));
        }
        let asked = member.collect(at(200 * ROUND)).unwrap();
        let [line] = &asked.message.lines[..] else { panic!() };
        assert_eq!(line.held, held - drawn);
        assert!(line.want <= drawn, "{}", line.want);
    }
    // What is needed is bought at once.
    member.memory = Memory::default();
    member.node.entry("acme", &ask).need(7);
    let asked = member.collect(at(201 * ROUND)).unwrap();
    assert!(asked.message.lines[0].want >= 7);
}
