//! What an engine says of each answer to a request that has several: to `n`, or to several prompts.

use super::event::Counts;

/// Of how many answers the numbers are kept. Those beyond count when they have ended.
const MAX_SHARES: usize = 256;

/// The numbers of each answer, by its index. Most requests have one answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares {
    first: Option<(u64, Counts)>,
    more: Vec<(u64, Counts)>,
    /// Of all that are not kept. Hardly any request has so many.
    others: Option<Box<Others>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Others {
    counts: Counts,
    prompts: u64,
}

impl Shares {
    /// The engine says `counts` of the answer `index`, one of `per_prompt` to its prompt; `is_last`: which
    /// has ended with that.
    pub(super) fn say(&mut self, index: u64, counts: Counts, per_prompt: u64, is_last: bool) {
        let known = self.first.iter_mut().chain(&mut self.more);
        if let Some((_, known)) = known.into_iter().find(|(other, _)| *other == index) {
            known.update(counts);
        } else if self.first.is_none() {
            self.first = Some((index, counts));
        } else if self.more.len() < MAX_SHARES {
            self.more.push((index, counts));
        } else if is_last {
            let others = self.others.get_or_insert_default();
            add(&mut others.counts.output, counts.output);
            add(&mut others.counts.reasoning, counts.reasoning);
            if index.is_multiple_of(per_prompt.max(1)) {
                add(&mut others.counts.input, counts.input);
                add(&mut others.counts.cached_input, counts.cached_input);
                add(&mut others.counts.cache_write, counts.cache_write);
                others.prompts = others.prompts.saturating_add(1);
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = &(u64, Counts)> {
        self.first.iter().chain(&self.more)
    }

    /// How many prompts have been told of, where each has `per_prompt` answers.
    pub(super) fn prompts(&self, per_prompt: u64) -> u64 {
        let is_first = |at: usize, prompt: u64| {
            !self.iter().take(at).any(|(index, _)| index / per_prompt.max(1) == prompt)
        };
        let prompts = self
            .iter()
            .enumerate()
            .filter(|(at, (index, _))| is_first(*at, index / per_prompt.max(1)));
        let others = self.others.as_ref().map_or(0, |others| others.prompts);
        u64::try_from(prompts.count()).unwrap_or(u64::MAX).saturating_add(others)
    }

    /// All together: the output of each answer, and the input of each prompt once, whatever the number of
    /// answers to it.
    pub(super) fn sum(&self, per_prompt: u64) -> Counts {
        let per_prompt = per_prompt.max(1);
        let mut sum = self.others.as_ref().map_or_else(Counts::default, |others| others.counts);
        for (at, (index, counts)) in self.iter().enumerate() {
            add(&mut sum.output, counts.output);
            add(&mut sum.reasoning, counts.reasoning);
            // The largest of its siblings stands for the prompt.
            let earlier =
                self.iter().take(at).filter(|(other, _)| other / per_prompt == index / per_prompt);
            let known = earlier.fold((0, 0), |(input, cached), (_, counts)| {
                (input.max(counts.input.unwrap_or(0)), cached.max(counts.cached_input.unwrap_or(0)))
            });
            add(&mut sum.input, counts.input.map(|input| input.saturating_sub(known.0)));
            add(
                &mut sum.cached_input,
                counts.cached_input.map(|cached| cached.saturating_sub(known.1)),
            );
        }
        sum
    }
}

fn add(sum: &mut Option<u64>, count: Option<u64>) {
    if let Some(count) = count {
        *sum = Some(sum.unwrap_or(0).saturating_add(count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(input: u64, output: u64) -> Counts {
        Counts { input: Some(input), output: Some(output), ..Counts::default() }
    }

    #[test]
    fn outputs_add_up_and_each_prompt_counts_once() {
        let mut shares = Shares::default();
        for (index, input, output) in [(1, 5, 2), (0, 5, 3), (2, 7, 4), (3, 7, 1), (1, 5, 9)] {
            shares.say(index, counts(input, output), 2, false);
        }
        // Two prompts with two answers each; the last word of an answer counts.
        assert_eq!(shares.sum(2), counts(12, 17));
        assert_eq!(shares.prompts(2), 2);
        // Four answers to one prompt, four prompts.
        assert_eq!(shares.sum(4), counts(7, 17));
        assert_eq!(shares.sum(1), counts(24, 17));
        assert_eq!((shares.prompts(4), shares.prompts(1), shares.prompts(0)), (1, 4, 4));
        assert_eq!(Shares::default().sum(0), Counts::default());
    }

    #[test]
    fn a_zero_takes_nothing_back_and_memory_is_bounded() {
        let mut shares = Shares::default();
        shares.say(0, counts(5, 3), 1, false);
        shares.say(0, counts(0, 0), 1, true);
        assert_eq!(shares.sum(1), counts(5, 3));
        for index in 0..100_000 {
            shares.say(index, counts(1, 1), 1, false);
        }
        assert_eq!(shares.more.len(), MAX_SHARES);
    }

    #[test]
    fn answers_that_are_not_kept_count_when_they_end() {
        let mut shares = Shares::default();
        for index in 0..1_000 {
            shares.say(index, counts(2, 4), 2, false);
            shares.say(index, counts(2, 10), 2, true);
        }
        assert_eq!(shares.sum(2), counts(1_000, 10_000));
        assert_eq!(shares.prompts(2), 500);
    }
}
