//! An answer that is not metered, in which the client sees the alias that it asked for.

use super::shown_model::ShownModel;
use super::{Beginning, Format, Part};
use crate::llm::Endpoint;

/// Reads one such answer. Nothing is held back.
#[derive(Clone, Debug)]
pub struct Renamed {
    shown: ShownModel,
    promised: Option<Format>,
    has_begun: bool,
    beginning: Beginning,
}

impl Renamed {
    /// Of an answer in the form of `endpoint`, of which its `Content-Type` promises this format. What comes decides.
    #[must_use]
    pub fn new(alias: &str, endpoint: Endpoint, promised: Option<Format>) -> Self {
        let shown = ShownModel::new(alias, endpoint);
        Self { shown, promised, has_begun: false, beginning: Beginning::default() }
    }

    /// Reads one buffer. `pass` is called for what the client gets, in order.
    pub fn read(&mut self, buffer: &[u8], pass: &mut impl FnMut(Part<'_>)) {
        if !self.has_begun {
            if let Some((_, first)) = self.beginning.end(buffer) {
                self.has_begun = true;
                let format = Format::of_first_byte(first, self.promised);
                self.shown.begin(format, self.beginning.sse());
            }
        }
        if !buffer.is_empty() {
            self.shown.pass(Part::Range(0..buffer.len()), buffer, pass);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(answer: &str, size: usize) -> String {
        let mut renamed = Renamed::new("chat", Endpoint::Embeddings, Some(Format::Json));
        let mut out = Vec::new();
        for buffer in answer.as_bytes().chunks(size) {
            renamed.read(buffer, &mut |part| match part {
                Part::Held(bytes) => out.extend_from_slice(bytes),
                Part::Range(range) => out.extend_from_slice(&buffer[range]),
            });
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_alias_is_shown_however_the_answer_is_cut() {
        for (answer, expected) in [
            (
                r#"{"model":"real","x":{"model":"real"}}"#,
                r#"{"model":"chat","x":{"model":"real"}}"#,
            ),
            (
                "\u{feff} {\"id\":1,\"model\" : \"real\"}",
                "\u{feff} {\"id\":1,\"model\" : \"chat\"}",
            ),
            (
                "data: {\"model\":\"real\"}\n\ndata: [DONE]\n\n",
                "data: {\"model\":\"chat\"}\n\ndata: [DONE]\n\n",
            ),
            ("", ""),
            ("no JSON \"model\":\"real\"", "no JSON \"model\":\"real\""),
        ] {
            for size in 1..=answer.len().max(1) {
                assert_eq!(renamed(answer, size), expected, "{answer}, {size}");
            }
        }
    }
}
