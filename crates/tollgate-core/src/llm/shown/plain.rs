//! An answer that is text and nothing else.

use super::channel::Channel;
use super::relay::Relay;
use super::texts::{Halt, Texts};
use crate::llm::meter::Part;

/// The reader of such an answer.
#[derive(Debug)]
pub(super) struct Plain {
    channel: Channel,
    /// The first bytes of a character whose rest is in the next buffer.
    begun: Vec<u8>,
    out: String,
}

impl Plain {
    pub(super) fn new(texts: &Texts) -> Self {
        Self { channel: texts.plain_channel(), begun: Vec::new(), out: String::new() }
    }

    pub(super) fn read<P: FnMut(Part<'_>)>(
        &mut self,
        texts: &mut Texts,
        relay: &mut Relay<'_, P>,
    ) -> Result<(), Halt> {
        let mut joined = std::mem::take(&mut self.begun);
        let is_joined = !joined.is_empty();
        joined.extend_from_slice(if is_joined { relay.bytes } else { &[] });
        let bytes = if is_joined { &joined } else { relay.bytes };
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) if error.error_len().is_none() => {
                let (text, begun) =
                    bytes.split_at_checked(error.valid_up_to()).unwrap_or((bytes, &[]));
                self.begun = begun.to_vec();
                std::str::from_utf8(text).map_err(|_| Halt::Unreadable)?
            }
            Err(_) => return Err(Halt::Unreadable),
        };
        self.out.clear();
        let read = texts.read_plain(&mut self.channel, text, false, &mut self.out);
        let is_same = read.is_ok() && self.out == text && !is_joined && self.begun.is_empty();
        if is_same {
            relay.up_to(bytes.len());
        } else {
            relay.leave_out(relay.bytes.len());
            relay.put(self.out.as_bytes());
        }
        read
    }

    pub(super) fn finish<P: FnMut(Part<'_>)>(
        &mut self,
        texts: &mut Texts,
        relay: &mut Relay<'_, P>,
    ) -> Result<(), Halt> {
        self.out.clear();
        let read = texts.read_plain(&mut self.channel, "", true, &mut self.out);
        relay.put(self.out.as_bytes());
        match self.begun.is_empty() {
            true => read,
            false => read.and(Err(Halt::Unreadable)),
        }
    }
}
