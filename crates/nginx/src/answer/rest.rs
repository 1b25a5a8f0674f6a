//! How much of an answer is still to come.

/// The header of a response, as far as it says how long the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// HTTP status.
    pub status: u16,
    /// Bytes; `None` where they aren't known.
    pub content_length: Option<u64>,
    /// It is sent without a body, as to HEAD.
    pub has_no_body: bool,
}

/// What is still to come of an answer. Its client has all of it when nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It ends with its last buffer.
    Unknown,
    /// So many bytes, which its header promised: whoever has them needs no other sign that it is the end
    /// (RFC 9112 section 6.3).
    Bytes(u64),
}

impl Rest {
    /// What comes after this header.
    #[must_use]
    pub(crate) fn after(head: &Head) -> Self {
        match (head.status, head.content_length) {
            // The connection goes on with another protocol.
            (101, _) => Self::Unknown,
            (204 | 304, _) => Self::Bytes(0),
            _ if head.has_no_body => Self::Bytes(0),
            (_, Some(bytes)) => Self::Bytes(bytes),
            (_, None) => Self::Unknown,
        }
    }

    /// So many bytes go out, and maybe the last buffer with them: whether that is the end.
    #[must_use]
    pub(crate) fn takes(&mut self, bytes: u64, is_last: bool) -> bool {
        match self {
            Self::Unknown => is_last,
            Self::Bytes(left) => {
                *left = left.saturating_sub(bytes);
                is_last || *left == 0
            }
        }
    }

    /// Whether nothing is to come.
    #[must_use]
    pub(crate) fn is_nothing(self) -> bool {
        self == Self::Bytes(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(status: u16, content_length: Option<u64>, has_no_body: bool) -> Rest {
        Rest::after(&Head { status, content_length, has_no_body })
    }

    #[test]
    fn an_answer_without_a_body_ends_with_its_header() {
        for (status, length, has_no_body) in
            [(204, None, false), (304, Some(9), false), (200, Some(9), true), (200, Some(0), false)]
        {
            assert!(after(status, length, has_no_body).is_nothing(), "{status} {length:?}");
        }
        for (status, length) in [(200, None), (200, Some(1)), (404, None), (101, Some(0))] {
            assert!(!after(status, length, false).is_nothing(), "{status} {length:?}");
        }
    }

    #[test]
    fn another_protocol_has_no_end_by_its_length() {
        assert_eq!(after(101, Some(0), false), Rest::Unknown);
        assert_eq!(after(101, None, true), Rest::Unknown);
    }

    proptest! {
        /// However it is cut into buffers, it ends with the promised byte and not before, or with the last
        /// buffer if that comes first.
        #[test]
        fn it_ends_once_the_client_has_what_it_was_promised(
            promised in prop::option::of(1_u64..200), parts in prop::collection::vec(0_u64..50, 1..20),
            last_at in 0_usize..25,
        ) {
            let mut rest = after(200, promised, false);
            let mut sent = 0;
            for (index, part) in parts.into_iter().enumerate() {
                sent += part;
                let is_last = index == last_at;
                let all_there = promised.is_some_and(|promised| sent >= promised);
                prop_assert_eq!(rest.takes(part, is_last), is_last || all_there);
            }
        }
    }
}
