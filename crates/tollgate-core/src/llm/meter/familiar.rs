//! Reading the documents of a stream that resemble each other, which nearly all of them do.
//!
//! An event or a line is what the one before was, but for a few strings: its text, mostly. So a
//! document is taken as stretches that stay the same, with a string that varies between each two.
//! What a stretch leaves, depends on its bytes and on what was before it, and of that the strings
//! change nothing. So a stretch that follows the same stretches as the last time, and has the same
//! bytes, leaves what it left then: it is enough to compare it. Any other is read, and remembered.

use super::event::Event;
use super::json_events::Scanner;
use super::places::Place;
use super::tally::Tally;

/// How many stretches of a document are remembered: a line of Ollama's chat has three.
const MAX_STRETCHES: usize = 4;

/// How many bytes of a document are remembered.
const MAX_BYTES: usize = 1024;

/// When so many more stretches had to be read than were found familiar, it is not tried any more:
/// the choices of a stream with several may come in turn.
const MAX_STRANGE: u8 = 32;

/// What is remembered of the last document.
#[derive(Clone, Debug, Default)]
pub(super) struct Familiar {
    /// The bytes of the stretches, one after the other.
    bytes: Vec<u8>,
    stretches: Vec<Stretch>,
    strange: u8,
}

#[derive(Clone, Debug)]
struct Stretch {
    /// Where it ends in the bytes.
    end: usize,
    /// The scanner behind it: before a string that varies, or after the document.
    scanner: Scanner<Place>,
    /// The event behind it.
    event: Event,
}

impl Familiar {
    /// Reads what there is of a document, from its start.
    pub(super) fn read(&mut self, bytes: &[u8], scanner: &mut Scanner<Place>, tally: &mut Tally) {
        let mut rest = bytes;
        let mut start = 0;
        for number in 0..MAX_STRETCHES {
            if self.strange >= MAX_STRANGE {
                break;
            }
            if let Some((stretch, after)) = self.find(number, start, rest) {
                scanner.clone_from(&stretch.scanner);
                tally.set_event(stretch.event);
                start = stretch.end;
                rest = after;
                self.strange = self.strange.saturating_sub(1);
            } else {
                let after = scanner.read_until(rest, tally, Place::varies);
                let stretch = rest.strip_suffix(after).unwrap_or_default();
                start += stretch.len();
                rest = after;
                // Otherwise the rest of the stretch is in the next buffer.
                if !rest.is_empty() || scanner.is_done() {
                    self.remember(number, stretch, scanner, tally);
                }
            }
            match scanner.read_plain_string(rest, tally) {
                Some(after) => rest = after,
                None => break,
            }
        }
        scanner.read(rest, tally);
    }

    /// The stretch of this number, which begins at `start` in the bytes remembered, if `document`
    /// goes on with it, and what comes after it.
    fn find<'a>(
        &self,
        number: usize,
        start: usize,
        document: &'a [u8],
    ) -> Option<(&Stretch, &'a [u8])> {
        let stretch = self.stretches.get(number)?;
        let after = document.strip_prefix(self.bytes.get(start..stretch.end)?)?;
        Some((stretch, after))
    }

    /// Remembers a stretch in the place of the one of this number, and of those that followed it.
    fn remember(&mut self, number: usize, bytes: &[u8], scanner: &Scanner<Place>, tally: &Tally) {
        self.strange += 1;
        self.stretches.truncate(number);
        let start = self.stretches.last().map_or(0, |stretch| stretch.end);
        let end = start + bytes.len();
        // One that is too long, is missing, and so are those that follow it.
        if self.stretches.len() == number && end <= MAX_BYTES {
            self.bytes.truncate(start);
            self.bytes.extend_from_slice(bytes);
            let (scanner, event) = (scanner.clone(), tally.event());
            self.stretches.push(Stretch { end, scanner, event });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Asked, Format, Meter};
    use super::*;
    use crate::llm::{Endpoint, Engine};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    /// Lines that begin and go on like each other, of an endpoint each.
    const CHAT: &[&str] = &[
        r#"{"id":"x","choices":[{"index":0,"delta":{"content":"TEXT"},"finish_reason":null}]}"#,
        r#"{"id":"x","choices":[{"index":0,"delta":{"content":"TEXT"},"usage":{"prompt_tokens":3}}]}"#,
        r#"{"id":"x","choices":[{"index":0,"delta":{"content":"TEXT","reasoning":"TEXT"}}],"usage":null}"#,
        r#"{"id":"x","choices":[{"index":0,"delta":{"content":null,"refusal":["TEXT"]}}]}"#,
        r#"{"id":"x","choices":[{"index":0,"delta":{"tool_calls":[{"function":{"arguments":"TEXT"}}]}}]}"#,
        r#"{"id":"x","choices":[{"index":0,"delta":{"content":"TEXT"},"finish_reason":null}]} "TEXT""#,
        r#"{"id":"x","choices":[{"index":0,"delta":{"content":"TEXT"},"finish_reason":null}}"#,
        r#"{"id": "x", "choices": [{"index": 0, "delta": {"content": "TEXT"}}], "usage": {"#,
        r#"{"id":"x","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7},"obfuscation":"TEXT"}"#,
        r#"{"id":"x","choices":[],"error":{"message":"TEXT"}}"#,
        r#"{"id":"x","choices":[],"error":"TEXT"}"#,
    ];
    const RESPONSES: &[&str] = &[
        r#"{"type":"response.output_text.delta","delta":"TEXT","sequence_number":1}"#,
        r#"{"type":"response.output_text.delta","delta":"TEXT","sequence_number":2}"#,
        r#"{"delta":"TEXT","type":"response.output_text.delta"}"#,
        r#"{"delta":"TEXT","type":"response.audio.delta","obfuscation":"TEXT"}"#,
        r#"{"delta":"TEXT","type":"response.completed","response":{"usage":{"input_tokens":4}}}"#,
        r#"{"type":"response.failed","response":{"error":null,"usage":{"output_tokens":6}}}"#,
    ];
    const OLLAMA: &[&str] = &[
        r#"{"model":"m","created_at":"TEXT","message":{"role":"assistant","content":"TEXT"},"done":false}"#,
        r#"{"model":"m","created_at":"TEXT","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"TEXT","arguments":{"a":"TEXT","b":["TEXT",1,"TEXT"]}}}]},"done":false}"#,
        r#"{"model":"m","created_at":"TEXT","response":"TEXT","done":true,"eval_count":9}"#,
        r#"{"model":"m","created_at":"TEXT","done":true,"prompt_eval_count":2}"#,
    ];

    fn streams() -> impl Strategy<Value = (Endpoint, String)> {
        select(vec![
            (Endpoint::Chat, CHAT),
            (Endpoint::Responses, RESPONSES),
            (Endpoint::OllamaChat, OLLAMA),
        ])
        .prop_flat_map(|(endpoint, lines)| {
            let text =
                select(vec!["", "a", "some words", "a\\nb", "\\u00e9", "\",\"content\":\"b"]);
            let line = (select(lines), text).prop_map(|(line, text)| line.replace("TEXT", text));
            (Just(endpoint), vec(line, 0..60).prop_map(|lines| lines.join("\n")))
        })
    }

    proptest! {
        #[test]
        fn what_is_familiar_is_read_as_what_is_not((endpoint, stream) in streams(), cut: usize) {
            let stream = stream.as_bytes();
            let reading = |buffers: &mut dyn Iterator<Item = &[u8]>| {
                let mut meter = Meter::new(Asked::one(endpoint, Engine::OpenAi), Some(Format::Ndjson));
                buffers.for_each(|buffer| meter.read(buffer, &mut |_| {}));
                meter.finish(&mut |_| {});
                meter.reading()
            };
            // Of a document that comes byte by byte, nothing is ever whole enough to be remembered.
            let single = reading(&mut stream.chunks(1));
            prop_assert_eq!(&reading(&mut std::iter::once(stream)), &single);
            let (a, b) = stream.split_at(cut % (stream.len() + 1));
            prop_assert_eq!(&reading(&mut [a, b].into_iter()), &single);
        }
    }

    /// How many stretches are remembered, and how many had to be read, after these documents.
    fn remembered(documents: &[&str]) -> (usize, u8) {
        let mut familiar = Familiar::default();
        for document in documents {
            let mut scanner = Scanner::new(Place::OpenAi);
            let mut tally = Tally::new(Asked::one(Endpoint::Chat, Engine::OpenAi), true);
            familiar.read(document.as_bytes(), &mut scanner, &mut tally);
            assert!(scanner.is_done(), "{document}");
        }
        (familiar.stretches.len(), familiar.strange)
    }

    #[test]
    fn a_document_like_the_last_is_familiar_whatever_its_text() {
        let [a, b] = ["a", "other words"].map(|text| CHAT[0].replace("TEXT", text));
        assert_eq!(remembered(&[&a]), (2, 2));
        assert_eq!(remembered(&[&a, &b]), (2, 0));
        assert_eq!(remembered(&[&a, CHAT[1]]), (2, 2));
        assert_eq!(remembered(&[&a, CHAT[9], &b]), (2, 5));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let choices = (0..1_000).map(|n| CHAT[0].replace("\"index\":0", &format!("\"index\":{n}")));
        let choices: Vec<_> = choices.collect();
        let choices: Vec<_> = choices.iter().map(String::as_str).collect();
        assert_eq!(remembered(&choices), (2, MAX_STRANGE));
        let long =
            CHAT[0].replace("\"id\":\"x\"", &format!("\"id\":\"{}\"", "x".repeat(MAX_BYTES)));
        assert_eq!(remembered(&[&long]).0, 0);
        let texts = format!(
            "{{\"choices\":[{{\"delta\":{{{}\"content\":\"\"}}}}]}}",
            "\"content\":\"a\",".repeat(99)
        );
        assert_eq!(remembered(&[&texts]).0, MAX_STRETCHES);
    }
}
