//! The strings of JSON: what is kept of them, and what is told.

use crate::surrogate::MARK;

/// How much of a string is kept, and the longest key that can be compared with anything, in bytes. The
/// longest name of interest is `response.function_call_arguments.delta`.
pub(crate) const HEAD_LEN: usize = 48;

/// A string, with its escapes resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JsonString<'a> {
    /// Its first bytes, at most [`HEAD_LEN`], without halves of surrogate pairs.
    pub(crate) head: &'a [u8],
    /// How long it is, in bytes of UTF-8, halves left out where they are told apart.
    pub(crate) len: u64,
    /// Whether it has a half of a surrogate pair, or what stands for one.
    pub(crate) has_half: bool,
    /// All of it, if it has no escapes and is in one slice. What is no such string, has been told in parts
    /// before where that was wanted.
    pub(crate) plain: Option<&'a [u8]>,
}

impl<'a> JsonString<'a> {
    /// A string without escapes or halves.
    #[inline]
    pub(crate) fn plain(bytes: &'a [u8]) -> Self {
        let head = bytes.get(..HEAD_LEN).unwrap_or(bytes);
        Self { head, len: len_of(bytes), has_half: false, plain: Some(bytes) }
    }

    /// A string of this length that is written so.
    #[inline]
    pub(crate) fn of_len(written: &'a [u8], len: u64) -> Self {
        match len_of(written) == len {
            true => Self::plain(written),
            false => Self { head: &[], len, has_half: false, plain: None },
        }
    }

    /// The whole of it, if it is short and has no half of a surrogate pair.
    #[inline]
    pub(crate) fn whole(self) -> Option<&'a [u8]> {
        self.short().filter(|_| !self.has_half)
    }

    /// The whole of it but for the halves, if it is short.
    #[inline]
    pub(crate) fn short(self) -> Option<&'a [u8]> {
        (len_of(self.head) == self.len).then_some(self.head)
    }
}

/// The head of a text, and its length.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    head: [u8; HEAD_LEN],
    len: u64,
    has_half: bool,
}

impl Text {
    pub(crate) const EMPTY: Self = Self { head: [0; HEAD_LEN], len: 0, has_half: false };

    pub(crate) fn clear(&mut self) {
        self.len = 0;
        self.has_half = false;
    }

    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.len < len_of(&self.head) {
            self.keep(bytes);
        }
        self.len = self.len.saturating_add(len_of(bytes));
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = usize::try_from(self.len).ok().and_then(|len| self.head.get_mut(len..));
        let room = room.unwrap_or_default();
        let kept = bytes.get(..room.len()).unwrap_or(bytes);
        if let Some(room) = room.get_mut(..kept.len()) {
            room.copy_from_slice(kept);
        }
    }

    /// As [`Self::push`], but halves of surrogate pairs, and what stands for one, are only noted.
    pub(crate) fn push_whole(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.push(std::slice::from_ref(byte));
            let end = usize::try_from(self.len).unwrap_or(usize::MAX);
            let last = end.checked_sub(3).and_then(|start| self.head.get(start..end));
            if last.is_some_and(is_half) {
                self.len -= 3;
                self.has_half = true;
            }
        }
    }

    pub(crate) fn note_half(&mut self) {
        self.has_half = true;
    }

    pub(crate) fn string(&self) -> JsonString<'_> {
        let stored = usize::try_from(self.len).ok().and_then(|len| self.head.get(..len));
        let head = stored.unwrap_or(&self.head);
        JsonString { head, len: self.len, has_half: self.has_half, plain: None }
    }
}

/// Whether it is half of a surrogate pair in three bytes, or a [`MARK`].
fn is_half(bytes: &[u8]) -> bool {
    bytes == MARK.encode_utf8(&mut [0; 3]).as_bytes()
        || matches!(bytes, [0xed, 0xa0..=0xbf, 0x80..=0xbf])
}

fn len_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_noted_wherever_a_text_is_cut() {
        let bytes = b"ab\xed\xa0\xbdc\xef\xbf\xbfd\xed\x9f\xbf";
        for cut in 0..bytes.len() {
            let mut text = Text::EMPTY;
            let (before, after) = bytes.split_at(cut);
            text.push_whole(before);
            text.push_whole(after);
            assert_eq!(text.string().short(), Some(&b"abcd\xed\x9f\xbf"[..]));
            assert_eq!(text.string().whole(), None);
        }
    }

    #[test]
    fn no_more_than_the_head_is_kept() {
        let mut text = Text::EMPTY;
        text.push(&[b'a'; 40]);
        text.push(&[b'b'; 40]);
        assert_eq!((text.string().head.len(), text.string().len), (HEAD_LEN, 80));
        assert_eq!((text.string().short(), text.string().whole()), (None, None));
    }
}
