//! What comes of an answer before its format can be told: blanks, and byte order marks or parts of them.

use super::sse::{is_lead, Sse};

/// The reader of what comes before. However it is cut, it leaves behind the same.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    /// If the answer turns out to be a stream, it goes on with what a reader of its events knows by then. A name behind a
    /// blank is another one, and behind a whole mark it is none.
    sse: Sse,
}

impl Default for Beginning {
    fn default() -> Self {
        Self { sse: Sse::new() }
    }
}

impl Beginning {
    /// Where the first byte is that tells the format, and the byte. As long as there is none, `buffer` has been read.
    pub(crate) fn end(&mut self, buffer: &[u8]) -> Option<(usize, u8)> {
        let first = buffer.iter().copied().enumerate().find(|(_, byte)| !is_lead(*byte));
        if first.is_none() {
            // No event begins in it.
            let mut at = 0;
            while self.sse.next_piece(buffer, &mut at).is_some() {}
        }
        first
    }

    /// The reader of the events of a stream, as far as the buffers before the one that told the format.
    pub(crate) fn sse(&self) -> Sse {
        self.sse.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Asked, Format, Meter};
    use crate::llm::{Endpoint, Engine};

    /// What fuzzing found: a reading of lines that depended on how the blanks and half a mark before them were cut.
    #[test]
    fn however_what_comes_before_is_cut_the_same_is_read() {
        let reading = |answer: &[u8], format, size: usize| {
            let mut meter = Meter::new(Asked::one(Endpoint::Chat, Engine::Vllm), Some(format));
            answer.chunks(size).for_each(|buffer| meter.read(buffer, &mut |_| {}));
            meter.finish(&mut |_| {});
            meter.reading()
        };
        let event = &b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"[..];
        let leads = [
            &b"\n\xef\xef"[..],
            b"\xef\n",
            b"\t\n",
            b"\n\xef\xbb\xbf\n",
            b"\t",
            b"\xbb\xef \r\n",
            b"",
        ];
        for lead in leads {
            for (format, rest) in
                [(Format::Sse, event), (Format::Ndjson, b"-"), (Format::Json, b"{}")]
            {
                let answer = [lead, rest].concat();
                let whole = reading(&answer, format, answer.len());
                for size in 1..answer.len() {
                    assert_eq!(reading(&answer, format, size), whole, "{lead:?} {format:?} {size}");
                }
                // Where the name stands behind something in its line, the client sees no data.
                if format == Format::Sse {
                    let is_seen = lead.last().is_none_or(|last| *last == b'\n');
                    assert_eq!(whole.unwrap().deltas, u64::from(is_seen), "{lead:?}");
                }
            }
        }
    }
}
