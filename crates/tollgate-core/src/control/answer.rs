//! What is answered at the control socket: `{"ok":...}`, or `{"error":{"code":"...","message":"..."}}`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The line is longer than any that can be asked.
    TooLong,
    /// It can't be asked so.
    Malformed(String),
    /// The client was not seen.
    UnknownClient,
    /// There is no such `tollgate_limit`.
    UnknownLimit,
    /// Too many orders at once.
    TooMany,
    /// nginx forgot what became of an order.
    UnknownOrder,
    /// No location has `tollgate on`, or there is no zone.
    NotInUse,
    /// Something is wrong with the module.
    Internal,
}

impl Refused {
    /// A word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed(_) => "malformed",
            Self::UnknownClient => "unknown_client",
            Self::UnknownLimit => "unknown_limit",
            Self::TooMany => "too_many",
            Self::UnknownOrder => "unknown_order",
            Self::NotInUse => "not_in_use",
            Self::Internal => "internal_error",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the line is too long",
            Self::Malformed(what) => what,
            Self::UnknownClient => "no client of that name was seen lately",
            Self::UnknownLimit => "no tollgate_limit has that name",
            Self::TooMany => {
                "too many clients were dropped within a moment; try again in two seconds"
            }
            Self::UnknownOrder => "nothing is known of an order with that number",
            Self::NotInUse => "no location of this nginx has \"tollgate on\"",
            Self::Internal => "it could not be done; the error log says more",
        })
    }
}

impl std::error::Error for Refused {}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// Limits have begun anew.
    Reset {
        /// How many sets of limits that were: those of the client, and of each `model` block that it used;
        /// or those of a rule, and its failures.
        slots: usize,
    },
    /// The requests of a client are to end.
    Drop {
        /// By which [`Request::Dropped`](super::Request::Dropped) asks.
        order: u64,
    },
    /// What became of that.
    Dropped {
        /// How many requests have ended for it so far.
        requests: u64,
    },
}

/// A line that says what was found or done. `value` is JSON.
#[must_use]
pub fn ok(value: &[u8]) -> Vec<u8> {
    [br#"{"ok":"#, value, b"}"].concat()
}

/// The line for what was done or refused.
#[must_use]
pub fn line(outcome: &Result<Done, Refused>) -> Vec<u8> {
    match outcome {
        Ok(done) => ok(json!(done).to_string().as_bytes()),
        Err(refused) => {
            let error = json!({"code": refused.code(), "message": refused.to_string()});
            json!({ "error": error }).to_string().into_bytes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(outcome: Result<Done, Refused>) -> String {
        String::from_utf8(line(&outcome)).unwrap()
    }

    #[test]
    fn an_answer_is_one_line_of_json() {
        assert_eq!(text(Ok(Done::Reset { slots: 2 })), r#"{"ok":{"reset":{"slots":2}}}"#);
        assert_eq!(text(Ok(Done::Dropped { requests: 0 })), r#"{"ok":{"dropped":{"requests":0}}}"#);
        let refused = text(Err(Refused::Malformed("\"\n".to_owned())));
        assert_eq!(refused, r#"{"error":{"code":"malformed","message":"\"\n"}}"#);
        assert_eq!(ok(b"[1]"), b"{\"ok\":[1]}");
    }

    #[test]
    fn each_refusal_has_a_word_of_its_own() {
        let all = [
            Refused::TooLong,
            Refused::Malformed(String::new()),
            Refused::UnknownClient,
            Refused::UnknownLimit,
            Refused::TooMany,
            Refused::UnknownOrder,
            Refused::NotInUse,
            Refused::Internal,
        ];
        let mut codes: Vec<_> = all.iter().map(Refused::code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all.len());
    }
}
