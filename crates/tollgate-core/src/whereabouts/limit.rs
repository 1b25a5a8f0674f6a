//! `addresses 8/h [alert | refuse]`: from how many networks a key may be used within an hour.

use std::fmt;
use std::sync::Arc;

use super::memory::Sighting;
use super::MAX_NETWORKS;

/// The most that a limit can say. One more can be counted, so that more than that is seen.
pub const MAX_LIMIT: u16 = MAX_NETWORKS - 1;

/// From how many networks a key of a tier may be used within an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressLimit {
    most: u16,
    on_excess: OnExcess,
    label: Arc<str>,
}

/// What becomes of requests from more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExcess {
    /// They are let in, and told of.
    Alert,
    /// Those from further networks are refused. Those from networks that count already are not.
    Refuse,
}

/// How a request stands to the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The key is used from no more networks than it may be.
    Within,
    /// It is used from more, which is to be told. From how many, with that of the request.
    Over(u16),
    /// The request is from one more, and is refused.
    Refused(u16),
}

/// Why a text is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitError {
    /// Networks are counted by the hour.
    NotByHour,
    /// No number, or one out of range.
    OutOfRange,
    /// Something else than what to do.
    UnknownWord,
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotByHour => f.write_str("networks are counted by the hour, as in \"8/h\""),
            Self::OutOfRange => {
                write!(f, "it takes 1 to {MAX_LIMIT} networks an hour, as in \"8/h\"")
            }
            Self::UnknownWord => {
                f.write_str("behind the number it takes \"alert\" or \"refuse\", once")
            }
        }
    }
}

impl std::error::Error for LimitError {}

impl AddressLimit {
    /// Reads `8/h`, `8/h alert` or `8/h refuse`.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and the word that is.
    pub fn parse<'t>(words: &[&'t str]) -> Result<Self, (&'t str, LimitError)> {
        let (rate, rest) = words.split_first().map_or(("", &[][..]), |(rate, rest)| (*rate, rest));
        let number = rate.strip_suffix("/h").ok_or((rate, LimitError::NotByHour))?;
        let is_plain = !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit());
        let most = number.parse().ok().filter(|most| is_plain && (1..=MAX_LIMIT).contains(most));
        let most = most.ok_or((rate, LimitError::OutOfRange))?;
        let on_excess = match rest {
            [] | ["alert"] => OnExcess::Alert,
            ["refuse"] => OnExcess::Refuse,
            ["alert" | "refuse", word, ..] | [word, ..] => {
                return Err((word, LimitError::UnknownWord))
            }
        };
        Ok(Self { most, on_excess, label: format!("addresses {rate}").into() })
    }

    /// The networks that a key may be used from within an hour.
    #[must_use]
    pub fn most(&self) -> u16 {
        self.most
    }

    /// `addresses 8/h`, for logs.
    #[must_use]
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// How many networks of a key are remembered: where further ones are refused, those aren't.
    #[must_use]
    #[inline]
    pub fn counted(&self) -> u16 {
        match self.on_excess {
            OnExcess::Alert => MAX_NETWORKS,
            OnExcess::Refuse => self.most,
        }
    }

    /// How a request stands to it, by what was seen. What there is no room to remember is let in, as long as it is
    /// not known to be too much.
    #[must_use]
    #[inline]
    pub fn judge(&self, seen: &Sighting) -> Verdict {
        let all = seen.networks.saturating_add(u16::from(!seen.counts)).min(MAX_NETWORKS);
        match self.on_excess {
            _ if all <= self.most => Verdict::Within,
            OnExcess::Refuse if !seen.counts => Verdict::Refused(all),
            // Where the limit was larger a moment ago, all that were seen then go on being served.
            OnExcess::Refuse | OnExcess::Alert => Verdict::Over(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> AddressLimit {
        let words: Vec<&str> = text.split(' ').collect();
        AddressLimit::parse(&words).unwrap()
    }

    #[test]
    fn what_is_accepted() {
        assert_eq!(limit("8/h"), limit("8/h alert"));
        assert_eq!((limit("8/h").most(), limit("8/h").counted()), (8, MAX_NETWORKS));
        assert_eq!((limit("255/h refuse").most(), limit("1/h refuse").counted()), (255, 1));
        assert_eq!(&**limit("8/h refuse").label(), "addresses 8/h");
    }

    #[test]
    fn what_is_refused_is_named() {
        for (text, word, error) in [
            ("", "", LimitError::NotByHour),
            ("8", "8", LimitError::NotByHour),
            ("8/m", "8/m", LimitError::NotByHour),
            ("8r/h", "8r/h", LimitError::OutOfRange),
            ("/h", "/h", LimitError::OutOfRange),
            ("0/h", "0/h", LimitError::OutOfRange),
            ("+8/h", "+8/h", LimitError::OutOfRange),
            ("08/h", "08/h", LimitError::OutOfRange),
            ("256/h", "256/h", LimitError::OutOfRange),
            ("65537/h", "65537/h", LimitError::OutOfRange),
            ("8/h deny", "deny", LimitError::UnknownWord),
            ("8/h alert refuse", "refuse", LimitError::UnknownWord),
            ("8/h refuse refuse", "refuse", LimitError::UnknownWord),
            ("8/h burst=2", "burst=2", LimitError::UnknownWord),
        ] {
            let words: Vec<&str> = text.split(' ').collect();
            assert_eq!(AddressLimit::parse(&words), Err((word, error)), "{text}");
        }
        assert_eq!(AddressLimit::parse(&[]), Err(("", LimitError::NotByHour)));
    }

    #[test]
    fn an_alert_lets_in_and_a_refusal_is_for_further_networks_alone() {
        let seen = |networks, counts| Sighting { networks, counts, crowded: false, is_new: false };
        let (alert, refuse) = (limit("2/h"), limit("2/h refuse"));
        for (networks, counts, alerted, refused) in [
            (1, true, Verdict::Within, Verdict::Within),
            (2, true, Verdict::Within, Verdict::Within),
            // No room to remember another one.
            (1, false, Verdict::Within, Verdict::Within),
            (2, false, Verdict::Over(3), Verdict::Refused(3)),
            // It was 3/h before.
            (3, true, Verdict::Over(3), Verdict::Over(3)),
            (3, false, Verdict::Over(4), Verdict::Refused(4)),
            (256, false, Verdict::Over(256), Verdict::Refused(256)),
        ] {
            assert_eq!(alert.judge(&seen(networks, counts)), alerted, "{networks} {counts}");
            assert_eq!(refuse.judge(&seen(networks, counts)), refused, "{networks} {counts}");
        }
    }
}
