//! What a request may take, before it is known.

use tollgate_core::limits::{LearnedKeys, Need, Zone};
use tollgate_core::llm::estimate::{output_tokens, text, tokens_of_text, START_RATES};
use tollgate_core::llm::{LlmRequest, Usage};
use tollgate_core::price::Price;

use crate::clock::mono_now;
use crate::conf::policy::Policy;
use crate::conf::settings::Reserve;

/// What a request may take, in tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Estimate {
    pub(crate) input: u64,
    /// The output that it says itself.
    known: u64,
    /// The output that is guessed beyond that: for the client's own limits, and for those that it shares
    /// with others.
    guess: [u64; 2],
}

/// Whose limit something is reserved from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The client's own.
    Own,
    /// That of a rule, which others may have to do with.
    Shared,
}

impl Estimate {
    /// The tokens of the input, and those of the output that are reserved.
    pub(crate) fn usage(&self) -> Usage {
        let output = self.output(Whose::Own);
        let output = output.known.saturating_add(output.guess);
        Usage { input: self.input, output, ..Usage::default() }
    }

    /// The output.
    pub(crate) fn output(&self, whose: Whose) -> Need {
        let [own, shared] = self.guess;
        let guess = if whose == Whose::Own { own } else { shared };
        Need { known: self.known, guess }
    }

    /// The input and the output.
    pub(crate) fn tokens(&self, whose: Whose) -> Need {
        let Need { known, guess } = self.output(whose);
        Need { known: self.input.saturating_add(known), guess }
    }

    /// What they cost at most, in nano-units.
    pub(crate) fn cost(&self, price: &Price, whose: Whose) -> Need {
        let Need { known, guess } = self.output(whose);
        let most = |output| price.most(self.input, output);
        let (least, all) = (most(known), most(known.saturating_add(guess)));
        Need { known: least, guess: all.saturating_sub(least) }
    }
}

/// What the request may take.
pub(crate) fn estimate(
    policy: &Policy,
    zone: &Zone<'_>,
    request: &LlmRequest,
    learned: &LearnedKeys,
) -> Estimate {
    let (bound, now) = (request.output_bound, mono_now());
    let by_bound = bound.filter(|_| policy.reserve == Reserve::Bound);
    let rates = match policy.estimate.input.is_learned() {
        true => zone.text_rates(learned, &START_RATES, now),
        false => None,
    };
    let guess = match by_bound {
        Some(_) => [0, 0],
        None => {
            let guess = zone.guess_output(learned, policy.estimate.output, now);
            [guess.own, guess.shared].map(|guess| {
                let each = u64::from(guess).min(bound.unwrap_or(u64::MAX));
                output_tokens(request, each)
            })
        }
    };
    Estimate {
        input: policy.estimate.input.input_tokens(request, rates.as_ref()),
        known: by_bound.map_or(0, |bound| output_tokens(request, bound)),
        guess,
    }
}

/// What of a request is kept to learn from its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lesson {
    pub(super) keys: LearnedKeys,
    /// `None`: nothing is to be learned from its input.
    pub(super) input: Option<InputLesson>,
}

/// The input of such a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct InputLesson {
    pub(super) text: tollgate_core::limits::Text,
    pub(super) token_ids: u64,
}

impl Lesson {
    pub(crate) fn of(policy: &Policy, request: &LlmRequest, keys: LearnedKeys) -> Self {
        // With more than all token ids, something is left for the text.
        let token_ids = request.input.token_ids;
        let input = tokens_of_text(request, token_ids.saturating_add(1))
            .filter(|_| policy.estimate.input.is_learned())
            .map(|_| InputLesson { text: text(request), token_ids });
        Self { keys, input }
    }
}
