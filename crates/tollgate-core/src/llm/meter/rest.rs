//! The choices of an answer that is one document and has the usage of the first of them alone, as
//! llama.cpp says it.

/// What came of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    /// The length of the text before the choice at hand.
    start: u64,
    first: Option<Choice>,
    /// Those that ended at their bound.
    at_bound: u64,
    /// Those that ended before it, and their text.
    others: u64,
    bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Choice {
    bytes: u64,
    is_at_bound: bool,
}

/// How long a token of text is taken to be where the first choice has none.
const BYTES_PER_TOKEN: u64 = 4;

impl Rest {
    /// A choice begins; the choices before it had text of `bytes` bytes.
    pub(super) fn begin_choice(&mut self, bytes: u64) {
        self.start = bytes;
    }

    /// A choice ends.
    pub(super) fn end_choice(&mut self, bytes: u64, is_at_bound: bool) {
        let bytes = bytes.saturating_sub(self.start);
        if self.first.is_none() {
            self.first = Some(Choice { bytes, is_at_bound });
        } else if is_at_bound {
            self.at_bound = self.at_bound.saturating_add(1);
        } else {
            self.others = self.others.saturating_add(1);
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }

    /// The tokens of all choices but the first, which had `first`; `None` where they can't be known. Those
    /// that ended at their bound have as many as any other that did, or as the client set.
    pub(super) fn output(&self, first: u64, bound: Option<u64>) -> Option<u64> {
        match self.first.filter(|first| first.is_at_bound) {
            _ if self.others > 0 => None,
            _ if self.at_bound == 0 => Some(0),
            Some(_) => Some(first.saturating_mul(self.at_bound)),
            None => bound.map(|bound| bound.saturating_mul(self.at_bound)),
        }
    }

    /// The same where it can't be known: as many tokens as the first choice had for as much text. One
    /// that ended at its bound has no fewer than the first.
    pub(super) fn estimate(&self, first: u64) -> u64 {
        let others = match self.first {
            Some(choice) if choice.bytes > 0 => {
                self.bytes.saturating_mul(first).div_ceil(choice.bytes)
            }
            _ => self.bytes.div_ceil(BYTES_PER_TOKEN),
        };
        others.max(self.others).saturating_add(first.saturating_mul(self.at_bound))
    }
}
