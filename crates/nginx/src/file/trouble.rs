//! What is said of a log file that can't be written: once, now and then while lines are lost, and when it
//! is over.

use std::io::{Error, ErrorKind};

use crate::log::cycle_error;

/// What a log is called in messages.
#[derive(Clone, Copy, Debug)]
pub struct Title {
    /// Its module.
    pub module: &'static str,
    /// Such as `access log`.
    pub log: &'static str,
    /// Which asks for it.
    pub directive: &'static str,
}

impl Title {
    /// Says that not all could be written: because of `error`, or because the disk is full. So many lines were lost.
    pub(super) fn tell_failure(&self, path: &str, error: Option<Error>, lost: u64) {
        let Self { module, log, .. } = self;
        let so_far = format_args!(
            "lines wait for as long as the buffer has room; {lost} lines were lost so far"
        );
        match error {
            Some(error) if error.kind() == ErrorKind::WouldBlock => cycle_error(format_args!(
                "{module}: cannot write the {log} \"{path}\": whoever reads it takes too little; {so_far}"
            )),
            Some(error) => cycle_error(format_args!(
                "{module}: cannot write the {log} \"{path}\": {error}; {so_far}"
            )),
            None => cycle_error(format_args!(
                "{module}: the {log} \"{path}\" was written in part, is the disk full? {so_far}"
            )),
        }
    }
}

/// Milliseconds between two messages about the same trouble.
const REMIND_MS: i64 = 60_000;

/// Whether a log file can be written, and what of that was said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble {
    /// When it was said last, as long as it lasts.
    said: Option<i64>,
    /// Lines lost since it began.
    lost: u64,
    /// Whether there are some of which nothing was said.
    is_news: bool,
}

impl Trouble {
    /// A write has failed, in whole or in part, and so many more lines are lost. `Some`: that is to be said,
    /// with the number of all that were lost since it began.
    pub(crate) fn failed(&mut self, now_ms: i64, lost: u64) -> Option<u64> {
        self.lose(lost);
        let is_due = match self.said {
            None => true,
            // A clock that was set back must not keep it quiet.
            Some(said) => {
                let since = now_ms.saturating_sub(said);
                self.is_news && !(0..REMIND_MS).contains(&since)
            }
        };
        if !is_due {
            return None;
        }
        self.said = Some(now_ms);
        self.is_news = false;
        Some(self.lost)
    }

    /// All that waited is written, but for so many more lines that are lost. `Some`: it works again, which
    /// is to be said, with the number of all that were lost.
    pub(crate) fn ended(&mut self, lost: u64) -> Option<u64> {
        self.lose(lost);
        self.said?;
        let all = self.lost;
        *self = Self::default();
        Some(all)
    }

    fn lose(&mut self, lost: u64) {
        self.lost = self.lost.saturating_add(lost);
        self.is_news |= lost > 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_end_tells_of_all_lost_lines() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.failed(0, 0), Some(0)); // it begins: that is said
        assert_eq!(trouble.failed(500, 2), None); // two lines are lost
        assert_eq!(trouble.ended(1), Some(3)); // it works again, after one more
        assert_eq!(trouble.ended(0), None);
    }

    #[test]
    fn it_is_said_once_and_when_it_is_over() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.ended(0), None);
        assert_eq!(trouble.failed(1000, 0), Some(0));
        for second in 2..1000 {
            assert_eq!(trouble.failed(second * 1000, 0), None);
        }
        assert_eq!(trouble.ended(0), Some(0));
        assert_eq!(trouble.ended(0), None);
        assert_eq!(trouble.failed(2_000_000, 4), Some(4));
    }

    #[test]
    fn lost_lines_are_told_once_a_minute() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.failed(0, 1), Some(1));
        assert_eq!(trouble.failed(59_999, 1), None);
        assert_eq!(trouble.failed(60_000, 1), Some(3));
        assert_eq!(trouble.failed(200_000, 0), None);
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_nothing_quiet() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.failed(1_000_000, 0), Some(0));
        assert_eq!(trouble.failed(0, 1), Some(1));
    }

    proptest! {
        /// What is said when it is over, is how many were lost since it began.
        #[test]
        fn no_lost_line_is_forgotten(losses in prop::collection::vec((0_i64..100_000, 0_u64..5), 1..50)) {
            let mut trouble = Trouble::default();
            let (mut now, mut all) = (0, 0);
            for (pause, lost) in losses {
                now += pause;
                all += lost;
                if let Some(said) = trouble.failed(now, lost) {
                    prop_assert_eq!(said, all);
                }
            }
            prop_assert_eq!(trouble.ended(2), Some(all + 2));
        }
    }
}
