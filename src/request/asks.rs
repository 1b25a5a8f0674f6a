//! The asks of the request that is being judged: what it takes from each limit.

use std::cmp::Reverse;
use std::num::NonZeroU16;
use std::sync::Arc;

use tollgate_core::cluster::{Name, Round};
use tollgate_core::limits::{Ask, Dimension, Need, Standing, Take};

use crate::per_worker::PerWorker;
use crate::request::estimate::{Estimate, Whose};
use crate::request::queue;
use crate::request::report::LimitReport;

/// How much of each dimension a request takes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Amounts {
    /// It has been charged as a request; what it takes was not known then.
    pub(crate) only_tokens: bool,
    /// And whether they have a price; `None`: its body isn't read, and it counts as a request only.
    pub(crate) tokens: Option<(Estimate, bool)>,
}

impl Amounts {
    /// In tokens; `None`: it isn't counted.
    pub(crate) fn of(self, dimension: Dimension, whose: Whose) -> Option<Need> {
        let (estimate, _) = self.tokens?;
        Some(match dimension {
            Dimension::Requests | Dimension::AuthFailures => return None,
            Dimension::Tokens => estimate.tokens(whose),
            Dimension::InputTokens => Need { known: estimate.input, guess: 0 },
            Dimension::OutputTokens => estimate.output(whose),
        })
    }
}

/// How wide the keys are that rules are counted by: of those rules whose own key has no room.
#[derive(Clone, Default)]
pub(crate) struct Widths(Vec<(usize, u8)>);

impl Widths {
    pub(crate) fn of(&self, rule: usize) -> u8 {
        self.0.iter().find(|(other, _)| *other == rule).map_or(0, |(_, width)| *width)
    }

    pub(crate) fn widen(&mut self, rule: usize) {
        match self.0.iter_mut().find(|(other, _)| *other == rule) {
            Some((_, width)) => *width = width.saturating_add(1),
            None => self.0.push((rule, 1)),
        }
    }
}

/// Where an ask comes from.
#[derive(Clone, Copy, Default)]
pub(crate) struct Source {
    /// The rule, by its number in the location.
    pub(crate) rule: Option<usize>,
    /// Where to wait, if it has a queue.
    pub(crate) place: Option<queue::Spot>,
    /// Whether the limit holds over all nodes of a cluster.
    pub(crate) is_shared: bool,
}

/// By what an ask was let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The limit of this node: there is no other one.
    Node,
    /// What this node has leased of a limit that holds over a cluster, with what that is called in the store where it is
    /// settled in the end.
    Lease(Round, Option<Name>),
    /// A place in flight, of those that this node has leased.
    Seat,
    /// The limit of this node, in place of that: the store is lost.
    Alone(Option<Name>),
}

impl Way {
    /// Whether the limit of this node is in place of one that holds over a cluster.
    pub(crate) fn is_alone(self) -> bool {
        matches!(self, Self::Alone(_))
    }
}

/// The asks of the request that is being judged, their names and how they stand. A worker keeps one,
/// so that a request costs few allocations.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) asks: Vec<Ask>,
    /// The name of each, and where it comes from.
    labels: Vec<(Arc<str>, Source)>,
    pub(crate) standings: Vec<Standing>,
    /// By what each was let through; empty where no limit holds over a cluster.
    pub(crate) ways: Vec<Way>,
    /// How many of the asks are those of the client's own limits; the others are those of rules.
    pub(crate) of_tier: usize,
}

/// The one of this worker, which a request takes for as long as it is judged.
pub(crate) static SCRATCH: PerWorker<Scratch> = PerWorker::new(Scratch::default);

impl Scratch {
    pub(crate) fn clear(&mut self) {
        self.asks.clear();
        self.labels.clear();
        self.standings.clear();
        self.ways.clear();
        self.of_tier = 0;
    }

    pub(crate) fn push(&mut self, ask: Ask, label: &Arc<str>, source: Source) {
        self.asks.push(ask);
        self.labels.push((Arc::clone(label), source));
    }

    pub(crate) fn has_budget(&self) -> bool {
        self.asks.iter().any(|ask| matches!(ask.take, Take::Budget { .. }))
    }

    pub(crate) fn has_concurrency(&self) -> bool {
        self.asks.iter().any(|ask| matches!(ask.take, Take::Concurrency { .. }))
    }

    /// Where to wait, with the number of the limit.
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, queue::Spot)> + '_ {
        let sources = self.labels.iter().enumerate();
        sources.filter_map(|(index, (_, source))| Some((index, source.place?)))
    }

    pub(crate) fn place(&self, index: usize) -> Option<queue::Spot> {
        self.labels.get(index)?.1.place
    }

    /// Whether the limit holds over all nodes of a cluster.
    pub(crate) fn is_shared(&self, index: usize) -> bool {
        self.labels.get(index).is_some_and(|(_, source)| source.is_shared)
    }

    /// By what an ask is let through, as far as that is known.
    pub(crate) fn way(&self, index: usize) -> Way {
        self.ways.get(index).copied().unwrap_or(Way::Node)
    }

    pub(crate) fn set_way(&mut self, index: usize, way: Way) {
        if let Some(place) = self.ways.get_mut(index) {
            *place = way;
        }
    }

    /// Has an ask counted by the limit of this node alone, as often as `weight` says.
    pub(crate) fn count_alone(&mut self, index: usize, weight: NonZeroU16) {
        self.set_way(index, Way::Alone(None));
        if let Some(ask) = self.asks.get_mut(index) {
            *ask = ask.weighing(weight);
        }
    }

    /// Asks for no more money than is known to be needed. `false`: it was so before, with these asks.
    pub(crate) fn forgo_guesses(&mut self, asks: impl Iterator<Item = usize>) -> bool {
        let mut had_any = false;
        for index in asks {
            let take = self.asks.get_mut(index).map(|ask| &mut ask.take);
            if let Some(Take::Budget { guess: guess @ 1.., .. }) = take {
                (*guess, had_any) = (0, true);
            }
        }
        had_any
    }

    pub(crate) fn rule(&self, index: usize) -> Option<usize> {
        self.labels.get(index)?.1.rule
    }

    /// The limits on requests and on tokens that have least left: the client's own, if it has any.
    pub(crate) fn least_left(&self) -> [Option<usize>; 2] {
        let (mut of_requests, mut of_tokens) = (None, None);
        for (index, (ask, standing)) in self.asks.iter().zip(&self.standings).enumerate() {
            let Take::Bucket { dimension, .. } = ask.take else { continue };
            let family = match dimension {
                Dimension::Requests | Dimension::AuthFailures => &mut of_requests,
                Dimension::Tokens | Dimension::InputTokens | Dimension::OutputTokens => {
                    &mut of_tokens
                }
            };
            let is_of_rule = index >= self.of_tier;
            let Standing { remaining, until_full_nanos, .. } = *standing;
            let found = (is_of_rule, remaining, Reverse(until_full_nanos), index);
            *family = Some(family.map_or(found, |known| found.min(known)));
        }
        [of_requests, of_tokens].map(|found| found.map(|(.., index)| index))
    }

    pub(crate) fn report(&self, index: usize) -> Option<LimitReport> {
        Some(LimitReport {
            label: Arc::clone(&self.labels.get(index)?.0),
            standing: *self.standings.get(index)?,
            is_own: index < self.of_tier,
            is_money: matches!(self.asks.get(index)?.take, Take::Budget { .. }),
        })
    }
}
