//! How long things live in a cluster, in nanoseconds. A node that is stopped spends nothing of a lease that the
//! store has taken back: [`LIFE`] counts from the sending of a message, [`DEAD`] from its arrival, and a message
//! that is under way for longer than the difference is refused by the store.

const MS: u64 = 1_000_000;

/// A lease may be spent for so long after the message was sent by which it was bought, or renewed.
pub const LIFE: u64 = 3_000 * MS;
/// The store takes back what a node has leased that it hasn't heard of for so long.
pub const DEAD: u64 = 5_000 * MS;
/// A node that hasn't heard from the store for so long does without it.
pub const LOST: u64 = 1_000 * MS;
/// A lease is renewed when so much of its life is over.
pub const RENEWAL: u64 = LIFE / 3;
/// How often a node says who it is, and asks which keys are revoked in all nodes: so they are refused within a
/// second. It does so with an exchange.
pub const GREETING: u64 = 400 * MS;
/// A node that has nothing else to say says so as often: more than once before it would take the store for lost.
pub const HEARTBEAT: u64 = GREETING;
/// How often a node asks which nodes there are.
pub const NODES_LOOK: u64 = 5_000 * MS;
/// The longest time from one exchange to the next with which that is so.
pub const LONGEST_EXCHANGE: u64 = 250 * MS;
/// A lease that nothing is drawn from goes back after so long at the latest.
pub const IDLE: u64 = 10_000 * MS;
/// How a limit stands by which a node refuses is asked for when it was heard so long ago: other nodes may have given
/// something back since, or an operator.
pub const OUTDATED: u64 = 1_000 * MS;
/// Whoever speaks with the store for its node, and hasn't said for so long that it goes on, is taken for a process that
/// was stopped: another one does it then. Between two times that it says so it may connect, or wait for an answer.
pub const SILENT: u64 = 2_000 * MS;
/// The least that a call to the store may take.
const CALL: u64 = 250 * MS;
/// Exchanges that a request waits for, at most: in the first the store hears that something is lacking, in the second those
/// hear it who hold it idly, and in the third they have given it back.
pub const ROUNDS: u32 = 3;
/// So many of them, and a call, are as long as it may take: a call is rarely as long as it may be.
const ROUNDS_IN_TIME: u64 = 2;

/// How long a call to the store may take where there is one each `exchange` nanoseconds.
#[must_use]
pub fn call_timeout(exchange: u64) -> u64 {
    exchange.saturating_mul(4).clamp(CALL, DEAD - LIFE)
}

/// How long a request waits for the store at most that is there. What hears nothing from it waits until it counts as lost
/// ([`LOST`]).
#[must_use]
pub fn longest_wait(exchange: u64) -> u64 {
    exchange.saturating_mul(ROUNDS_IN_TIME).saturating_add(call_timeout(exchange))
}

const _: () = assert!(RENEWAL + LOST < LIFE && LIFE < DEAD, "a lease is renewed before it ends");
const _: () = assert!(HEARTBEAT + 2 * LONGEST_EXCHANGE < LOST, "who is silent isn't lost");
