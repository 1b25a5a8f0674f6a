//! `tollgate audit show`

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal as _};

use clap::Args;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::logs::{Logs, Place};
use super::record::read_object;
use crate::escape::{shown, shown_json};
use crate::exit::{print, tell, Exit, Failure};

/// Show all that the log has of a request, by its id.
///
/// The id is what the client got as x-request-id. Where several requests have the same one, as clients may
/// name it, all of them are shown. Exit status: 1 if there is none.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The id of the request.
    #[arg(value_name = "REQUEST_ID")]
    id: String,
    #[command(flatten)]
    logs: Logs,
    /// Print the lines as they are in the log.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let is_terminal = io::stdout().is_terminal();
        let mut found = 0_u64;
        let mut printed = Ok(());
        let damage = self.logs.each_line(|place| {
            let Some(place) = place.filter(|place| self.is_wanted(place.line)) else { return };
            let text = match self.json {
                true => as_it_is(place.line, is_terminal),
                false => {
                    let between = if found == 0 { "" } else { "\n" };
                    format!("{between}{}", readable(&place)).into_bytes()
                }
            };
            found += 1;
            if printed.is_ok() {
                printed = print(&text);
            }
        });
        printed?;
        match damage {
            Some(failure) => Err(failure),
            None if found == 0 => {
                tell(&format!("tollgate: no request \"{}\" in the log", self.id.escape_debug()));
                Ok(Exit::No)
            }
            None => Ok(Exit::Yes),
        }
    }

    fn is_wanted(&self, line: &[u8]) -> bool {
        #[derive(serde::Deserialize)]
        struct Id<'a> {
            #[serde(borrow, default)]
            request_id: Option<Cow<'a, str>>,
            seal: Option<IgnoredAny>,
        }
        let request = read_object::<Id<'_>>(line).filter(|line| line.seal.is_none());
        let id = request.and_then(|line| line.request_id);
        id.is_some_and(|id| id == *self.id)
    }
}

/// Byte for byte, unless a terminal would act on it.
fn as_it_is(line: &[u8], is_terminal: bool) -> Vec<u8> {
    let mut line = match is_terminal {
        true => shown_json(&String::from_utf8_lossy(line)).into_bytes(),
        false => line.to_vec(),
    };
    line.push(b'\n');
    line
}

/// Where it is, and a line for each field in the order of the log.
fn readable(place: &Place<'_>) -> String {
    let file = shown(&place.file.to_string_lossy());
    let mut text = format!("{file}, line {}\n", place.number);
    let Members(members) = serde_json::from_slice(place.line).unwrap_or_default();
    let width = members.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(24);
    for (name, value) in members {
        let value = match serde_json::from_str::<String>(value.get()) {
            Ok(text) => shown(&text),
            Err(_) => shown_json(value.get()),
        };
        text.push_str(&format!("{:<width$}  {value}\n", shown(&name)));
    }
    text
}

/// The members of an object, in their order.
#[derive(Default)]
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfAnObject;
        impl<'de> Visitor<'de> for OfAnObject {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(OfAnObject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown_line(line: &str) -> String {
        readable(&Place { file: "audit\u{1b}.log".as_ref(), number: 3, line: line.as_bytes() })
    }

    #[test]
    fn fields_are_shown_in_the_order_of_the_log() {
        assert_eq!(
            shown_line(
                r#"{"time":"2026-01-05T09:30:12.901Z","client":"a\"b","cost":0.0001575,"stream":true,"metadata":{"team":"x"},"seq":7}"#
            ),
            "audit\\u{1b}.log, line 3\n\
             time      2026-01-05T09:30:12.901Z\n\
             client    a\"b\n\
             cost      0.0001575\n\
             stream    true\n\
             metadata  {\"team\":\"x\"}\n\
             seq       7\n"
        );
    }

    proptest! {
        #[test]
        fn nothing_moves_the_cursor(name: String, value: String) {
            let line = serde_json::json!({
                &name: &value,
                "path": format!("\u{1b}[2J{value}\u{202e}"),
                "metadata": {&value: &name, "x": "\u{9b}"},
            });
            let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            prop_assert!(!shown_line(&line.to_string()).chars().any(bad));
        }
    }
}
