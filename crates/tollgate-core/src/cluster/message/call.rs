//! The calls of the script that a message takes, in the form in which it reads them.

use super::numbers::{begin, write, write_signed};
use super::{Line, Message, StoreId, Terms, MAX, MAX_HELD};

/// The most lines in a call, which the store executes in one go: some milliseconds.
pub const MAX_CALL: usize = 1_000;

/// The form of a call, and of its answer.
pub(super) const FORM: u64 = 1;

/// The numbers before the lines, and in each.
const HEAD: usize = 5;
const LINE: usize = 14;

/// Into how many parts the limits of a cluster are divided; each part lies on one server of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shards(u8);

impl Shards {
    /// All limits on one server.
    pub const ONE: Self = Self(1);
    /// For a Redis Cluster, which spreads them over its servers.
    pub const MANY: Self = Self(64);

    /// How many.
    #[must_use]
    pub fn count(self) -> u8 {
        self.0
    }

    /// In which one a limit is.
    #[must_use]
    pub fn of(self, id: StoreId) -> u8 {
        let [first, ..] = id.0;
        first % self.0
    }

    /// What the keys of a shard begin with. The braces are the part by which a Redis Cluster chooses a
    /// server.
    #[must_use]
    pub fn prefix(cluster: &str, shard: u8) -> String {
        format!("tollgate:{{{cluster}:{shard:02x}}}")
    }
}

/// One call of the script: lines of a message whose limits are in one shard.
#[derive(Clone, Debug)]
pub struct Call<'m> {
    pub(super) message: &'m Message,
    shard: u8,
    /// Where its lines are in the message.
    lines: Vec<usize>,
}

impl<'m> Call<'m> {
    /// The calls that the message takes, by shards. A message without lines takes one, in shard 0, which
    /// shows that the store is there.
    #[must_use]
    pub fn all(message: &'m Message, shards: Shards) -> Vec<Self> {
        let mut calls: Vec<Self> = Vec::new();
        let empty = |shard| Self { message, shard, lines: Vec::new() };
        let mut open: Vec<Option<usize>> = vec![None; usize::from(shards.0)];
        for (index, line) in message.lines.iter().enumerate() {
            let shard = shards.of(line.id);
            let Some(open) = open.get_mut(usize::from(shard)) else { continue };
            let last =
                open.and_then(|at| calls.get_mut(at)).filter(|call| call.lines.len() < MAX_CALL);
            match last {
                Some(call) => call.lines.push(index),
                None => {
                    *open = Some(calls.len());
                    calls.push(Self { lines: vec![index], ..empty(shard) });
                }
            }
        }
        if calls.is_empty() {
            calls.push(empty(0));
        }
        calls
    }

    /// Its shard.
    #[must_use]
    pub fn shard(&self) -> u8 {
        self.shard
    }

    /// The message of which it is a part.
    #[must_use]
    pub fn message(&self) -> &'m Message {
        self.message
    }

    /// Where its lines are in the message.
    #[must_use]
    pub fn places(&self) -> &[usize] {
        &self.lines
    }

    /// Its lines.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = &'m Line> + '_ {
        // An index is one of the message's: `all` made it.
        self.lines
            .iter()
            .filter_map(|index| self.message.lines.get(*index))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// The script's KEYS: that of the shard's life, and one for each line.
    #[must_use]
    pub fn keys(&self, cluster: &str) -> Vec<Vec<u8>> {
        let prefix = Shards::prefix(cluster, self.shard).into_bytes();
        let life = [&prefix[..], b":life"].concat();
        std::iter::once(life)
            .chain(self.lines().map(|line| [&prefix[..], &line.id.0].concat()))
            .collect()
    }

    /// The script's one argument. `life` is the shard's, as its last answer said; 0: not known.
    #[must_use]
    pub fn argument(&self, life: u64) -> Vec<u8> {
        let Message { incarnation, seq, latest_us, .. } = *self.message;
        let length = HEAD + LINE * self.lines.len();
        let mut out = Vec::with_capacity(2 * length + 64);
        begin(&mut out, u32::try_from(length).unwrap_or(0));
        for n in [FORM, incarnation.number(), seq, latest_us, life] {
            write(&mut out, n.min(MAX * 2 - 1));
        }
        for line in self.lines() {
            write_line(&mut out, line, latest_us);
        }
        out
    }
}

fn write_line(out: &mut Vec<u8>, line: &Line, latest_us: u64) {
    let (kind, terms) = match line.terms {
        Terms::Bucket { capacity, count, period_us } => (0, [capacity, count, period_us, 0]),
        Terms::Budget { amount, number, from_us, until_us } => {
            (1, [amount, number, from_us, until_us])
        }
        Terms::Slots { limit } => (2, [limit, 0, 0, 0]),
    };
    write(out, kind | u64::from(line.reset) << 2 | u64::from(line.in_doubt) << 3);
    for n in terms {
        write(out, n.min(MAX));
    }
    let line = line.cut();
    write(out, line.born);
    write(out, line.drawn);
    write_signed(out, line.adjust);
    write(out, line.drawn - line.acked_drawn);
    write_signed(out, line.adjust - line.acked_adjust);
    write(out, line.held);
    write(out, line.want);
    write(out, line.known);
    // When it was heard, as a time before `latest_us`, which is shorter; 0: never.
    write(
        out,
        match line.heard_us {
            0 => 0,
            heard => latest_us.saturating_sub(heard).clamp(1, MAX),
        },
    );
}

impl Line {
    /// With its numbers in the bounds of what can be said.
    pub(in crate::cluster) fn cut(&self) -> Self {
        let signed_max = i64::try_from(MAX).unwrap_or(i64::MAX);
        let drawn = self.drawn.min(MAX);
        Self {
            born: self.born.min(MAX),
            drawn,
            adjust: self.adjust.clamp(-signed_max, signed_max),
            acked_drawn: self.acked_drawn.min(drawn),
            acked_adjust: self.acked_adjust.clamp(-signed_max, signed_max),
            held: self.held.min(MAX_HELD),
            want: self.want.min(MAX_HELD),
            known: self.known.min(MAX),
            ..*self
        }
    }
}
