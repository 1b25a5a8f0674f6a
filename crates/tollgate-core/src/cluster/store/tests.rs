use super::*;
use crate::cluster::message::{Incarnation, Line, Message, Shards, Sold, Status, Terms};

const START: u64 = 1_800_000_000_000_000;
const ID: StoreId = StoreId([7; 16]);
const HUNDRED_A_MINUTE: Terms = Terms::Bucket { capacity: 100, count: 100, period_us: 60_000_000 };

/// A node as far as the store sees it.
struct Node {
    incarnation: Incarnation,
    seq: u64,
    life: u64,
    line: Line,
}

impl Node {
    fn new(number: u64, terms: Terms) -> Self {
        let line = Line {
            id: ID,
            terms,
            born: 1,
            drawn: 0,
            adjust: 0,
            acked_drawn: 0,
            acked_adjust: 0,
            in_doubt: false,
            held: 0,
            want: 0,
            known: 0,
            heard_us: 0,
            reset: false,
        };
        Self { incarnation: Incarnation::from_random(number << 11), seq: 0, life: 0, line }
    }

    fn message(&mut self, want: u64, now_us: u64) -> Message {
        self.seq += 1;
        self.line.want = want;
        Message {
            incarnation: self.incarnation,
            seq: self.seq,
            latest_us: now_us + 250_000,
            lines: vec![self.line],
        }
    }

    /// An exchange whose answer arrives.
    fn exchange(&mut self, store: &mut Store, want: u64, now_us: u64) -> Sold {
        let message = self.message(want, now_us);
        let (answer, sold) = execute(store, &message, self.life, now_us);
        self.life = answer.life;
        if sold.status == Status::Done {
            self.line.held += sold.grant;
            self.line.acked_drawn = self.line.drawn;
            self.line.acked_adjust = self.line.adjust;
            self.line.known = sold.used;
            self.line.heard_us = now_us;
        }
        sold
    }

    fn draw(&mut self, n: u64) {
        self.line.held -= n;
        self.line.drawn += n;
    }
}

fn execute(store: &mut Store, message: &Message, life: u64, now_us: u64) -> (Answer, Sold) {
    let calls = Call::all(message, Shards::ONE);
    let answer = store.exchange(&calls[0], life, now_us);
    let bytes = answer.to_bytes(&calls[0]);
    assert_eq!(calls[0].read(&bytes), Ok(answer.clone()));
    let Outcome::Done(sold) = &answer.outcome else { panic!("{answer:?}") };
    let sold = sold[0];
    (answer, sold)
}

#[test]
fn a_bucket_is_sold_once() {
    let mut store = Store::default();
    let [mut a, mut b] = [1, 2].map(|number| Node::new(number, HUNDRED_A_MINUTE));
    assert_eq!(a.exchange(&mut store, 70, START).grant, 70);
    let sold = b.exchange(&mut store, 70, START);
    assert_eq!((sold.grant, sold.unsold, sold.others, sold.wait_us), (30, 0, 70, 0));
    // What is held doesn't drain.
    let sold = a.exchange(&mut store, 0, START + 2_000_000);
    assert!(sold.unsold == 0 && sold.used == 0 && sold.others == 30);
    // What was spent does, from when that is known.
    a.draw(70);
    let sold = a.exchange(&mut store, 10, START + 2_500_000);
    assert_eq!((sold.grant, sold.used, sold.wait_us), (0, 70, 600_000));
    let sold = a.exchange(&mut store, 10, START + 3_100_000);
    assert_eq!((sold.grant, sold.used), (1, 69));
    let sold = b.exchange(&mut store, 0, START + 3_100_000);
    assert!(sold.is_short);
}

#[test]
fn a_grant_whose_answer_is_lost_comes_back() {
    let mut store = Store::default();
    let mut node = Node::new(1, HUNDRED_A_MINUTE);
    let lost = node.message(100, START);
    assert_eq!(execute(&mut store, &lost, 0, START).1.grant, 100);
    assert_eq!(node.exchange(&mut store, 100, START + 1).grant, 100);
    // The lost one, once more.
    let (_, sold) = execute(&mut store, &lost, 0, START + 2);
    assert_eq!((sold.status, sold.grant), (Status::Old, 0));
    assert_eq!(store.used_and_leased(ID), Some((0, 100)));
}

#[test]
fn what_is_said_twice_counts_once() {
    let mut store = Store::default();
    let mut node = Node::new(1, HUNDRED_A_MINUTE);
    node.exchange(&mut store, 50, START);
    node.draw(40);
    let unanswered = node.message(0, START);
    execute(&mut store, &unanswered, node.life, START);
    node.draw(5);
    assert_eq!(node.exchange(&mut store, 0, START).used, 45);
    node.line.adjust = -30;
    let unanswered = node.message(0, START);
    execute(&mut store, &unanswered, node.life, START);
    assert_eq!(node.exchange(&mut store, 0, START).used, 15);
}

#[test]
fn an_entry_made_anew_counts_anew() {
    let mut store = Store::default();
    let mut node = Node::new(1, HUNDRED_A_MINUTE);
    node.exchange(&mut store, 50, START);
    node.draw(50);
    node.exchange(&mut store, 0, START);
    let seq = node.seq;
    node.line = Line { born: seq + 1, ..Node::new(1, HUNDRED_A_MINUTE).line };
    node.exchange(&mut store, 20, START);
    node.draw(20);
    assert_eq!(node.exchange(&mut store, 0, START).used, 70);
}

#[test]
fn a_late_message_is_not_executed() {
    let mut store = Store::default();
    let mut node = Node::new(1, HUNDRED_A_MINUTE);
    let message = node.message(100, START);
    let calls = Call::all(&message, Shards::ONE);
    let answer = store.exchange(&calls[0], 0, START + 250_001);
    assert_eq!(answer.outcome, Outcome::Stale);
    assert_eq!(calls[0].read(&answer.to_bytes(&calls[0])), Ok(answer));
    assert_eq!(store.limits(), 0);
}

#[test]
fn what_a_dead_node_held_of_a_bucket_counts_as_used_and_of_slots_as_free() {
    for (terms, used, grant) in [(HUNDRED_A_MINUTE, 100, 0), (Terms::Slots { limit: 100 }, 0, 100)]
    {
        let mut store = Store::default();
        let [mut dead, mut alive] = [1, 2].map(|number| Node::new(number, terms));
        dead.exchange(&mut store, 100, START);
        assert_eq!(alive.exchange(&mut store, 100, START + DEAD_US).grant, 0);
        let sold = alive.exchange(&mut store, 100, START + DEAD_US + 1);
        assert_eq!((sold.used, sold.grant, sold.others), (used, grant, 0));
    }
}

#[test]
fn a_doubtful_gift_back_is_not_counted_twice() {
    let mut store = Store::default();
    let [mut node, mut other] = [1, 2].map(|number| Node::new(number, HUNDRED_A_MINUTE));
    node.exchange(&mut store, 100, START);
    node.draw(100);
    node.exchange(&mut store, 0, START);
    node.line.adjust = -50;
    let unanswered = node.message(0, START);
    assert_eq!(execute(&mut store, &unanswered, node.life, START).1.used, 50);
    // The account is dropped meanwhile.
    other.exchange(&mut store, 0, START + DEAD_US + 1);
    let used = other.exchange(&mut store, 0, START + DEAD_US + 1).used;
    node.line.in_doubt = true;
    assert_eq!(node.exchange(&mut store, 0, START + DEAD_US + 1).used, used);
    // Without doubt it counts, though there is no account any more.
    other.exchange(&mut store, 0, START + 2 * DEAD_US + 2);
    let used = other.exchange(&mut store, 0, START + 2 * DEAD_US + 2).used;
    node.line.in_doubt = false;
    node.line.adjust -= 10;
    assert_eq!(node.exchange(&mut store, 0, START + 2 * DEAD_US + 2).used, used - 10);
}

#[test]
fn a_budget_is_spent_in_its_period() {
    let budget = |number| Terms::Budget {
        amount: 1_000,
        number,
        from_us: START + (number - 5) * 3_600_000_000,
        until_us: START + (number - 4) * 3_600_000_000,
    };
    let mut store = Store::default();
    let [mut a, mut b] = [1, 2].map(|number| Node::new(number, budget(5)));
    a.exchange(&mut store, 600, START);
    assert_eq!(b.exchange(&mut store, 600, START).wait_us, 3_600_000_000);
    // A dead node's share stays its own, and isn't for sale.
    let sold = b.exchange(&mut store, 600, START + 30_000_000);
    assert_eq!((sold.used, sold.others, sold.grant), (0, 600, 0));
    // It comes back, and finds its account.
    a.draw(100);
    a.line.held = 0;
    assert_eq!(a.exchange(&mut store, 0, START + 40_000_000).used, 100);
    // The next period.
    let next = START + 3_600_000_000;
    assert_eq!(a.exchange(&mut store, 1, next).status, Status::Period);
    a.line = Line { born: 77, ..Node::new(1, budget(6)).line };
    assert_eq!(a.exchange(&mut store, 1_000, next).grant, 1_000);
    assert_eq!(b.exchange(&mut store, 1, next).status, Status::Period);
    assert_eq!(b.exchange(&mut store, 1, next - 1).status, Status::Period);
}

#[test]
fn after_loss_of_all_data_nodes_say_what_they_know_before_anything_is_sold() {
    let budget = Terms::Budget { amount: 1_000, number: 1, from_us: 0, until_us: START * 2 };
    for terms in [HUNDRED_A_MINUTE, budget] {
        let mut store = Store::default();
        let [mut a, mut b, mut new] = [1, 2, 3].map(|number| Node::new(number, terms));
        a.exchange(&mut store, 50, START);
        a.draw(40);
        b.exchange(&mut store, 30, START + 1);
        b.draw(30);
        a.exchange(&mut store, 0, START + 2);
        b.exchange(&mut store, 0, START + 3);
        a.exchange(&mut store, 0, START + 4);
        let before = store.used_and_leased(ID).unwrap();
        store = Store::default();
        let lost = START + 1_000;
        assert_eq!(a.exchange(&mut store, 40, lost).grant, 0);
        assert_eq!(new.exchange(&mut store, 40, lost).grant, 0);
        assert_eq!(b.exchange(&mut store, 40, lost).grant, 0);
        assert_eq!(store.used_and_leased(ID), Some(before));
        assert_eq!(before, (70, 10));
        let sold = b.exchange(&mut store, terms.capacity(), lost + GRACE_US);
        assert_eq!(sold.grant, terms.capacity() - 80 + u64::from(terms == HUNDRED_A_MINUTE) * 2);
    }
}

#[test]
fn a_reset_is_not_undone_by_what_nodes_knew() {
    let budget = Terms::Budget { amount: 1_000, number: 1, from_us: 0, until_us: START * 2 };
    let mut store = Store::default();
    let [mut a, mut b] = [1, 2].map(|number| Node::new(number, budget));
    a.exchange(&mut store, 500, START);
    a.draw(500);
    a.exchange(&mut store, 0, START);
    b.exchange(&mut store, 0, START);
    a.line.reset = true;
    assert_eq!(a.exchange(&mut store, 0, START + 1).used, 0);
    a.line.reset = false;
    // Long after, b's account is gone, and it knows of 500.
    assert_eq!(a.exchange(&mut store, 0, START + 2 * FORGET_US).used, 0);
    assert_eq!(b.exchange(&mut store, 0, START + 2 * FORGET_US).used, 0);
}

#[test]
fn nor_is_one_that_comes_soon_after_a_loss() {
    let budget = Terms::Budget { amount: 1_000, number: 1, from_us: 0, until_us: START * 2 };
    for terms in [HUNDRED_A_MINUTE, budget] {
        let mut store = Store::default();
        let [mut a, mut b] = [1, 2].map(|number| Node::new(number, terms));
        a.exchange(&mut store, 50, START);
        a.draw(50);
        a.exchange(&mut store, 0, START);
        assert_eq!(b.exchange(&mut store, 0, START).used, 50);
        store = Store::default();
        let lost = START + 1_000;
        a.line.reset = true;
        assert_eq!(a.exchange(&mut store, 0, lost).used, 0);
        assert_eq!(b.exchange(&mut store, 0, lost).used, 0);
    }
}

#[test]
fn a_clock_that_steps_back_lets_nothing_drain() {
    let mut store = Store::default();
    let mut node = Node::new(1, HUNDRED_A_MINUTE);
    node.exchange(&mut store, 100, START);
    node.draw(100);
    node.exchange(&mut store, 0, START);
    assert_eq!(node.exchange(&mut store, 0, START - 3_600_000_000).used, 100);
    assert_eq!(node.exchange(&mut store, 0, START - 3_600_000_000 + 600_000).used, 99);
}

#[test]
fn a_clock_that_steps_back_keeps_no_dead_node_alive() {
    let mut store = Store::default();
    let [mut dead, mut alive] = [1, 2].map(|number| Node::new(number, Terms::Slots { limit: 10 }));
    dead.exchange(&mut store, 10, START);
    let back = START - 3_600_000_000;
    assert_eq!(alive.exchange(&mut store, 10, back).grant, 0);
    assert_eq!(alive.exchange(&mut store, 10, back + DEAD_US + 1).grant, 10);
}
