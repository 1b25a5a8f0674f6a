//! The stream that a query names: `conv_id` of llama.cpp.

/// The longest id of a stream, in bytes.
pub const MAX_STREAM_LEN: usize = 128;

const NAME: &[u8] = b"conv_id";

/// The id of the stream that `query` names, decoded, if it names exactly one, and by an id that every server
/// reads alike.
#[must_use]
pub fn stream(query: &[u8]) -> Option<Vec<u8>> {
    let mut found = None;
    for pair in query.split(|byte| matches!(byte, b'&' | b';')) {
        let (name, value) = match memchr::memchr(b'=', pair) {
            Some(at) => (pair.get(..at)?, pair.get(at + 1..)?),
            None => (pair, &b""[..]),
        };
        if decoded(name).eq_ignore_ascii_case(NAME) && found.replace(value).is_some() {
            return None;
        }
    }
    Some(decoded(found?)).filter(|id| is_stream_id(id))
}

/// Whether a query names a call of `/v1/realtime`, which whoever does so hears and steers.
#[must_use]
pub fn names_call(query: &[u8]) -> bool {
    query.split(|byte| matches!(byte, b'&' | b';')).any(|pair| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        let name = decoded(name);
        let name = name.split(|byte| *byte == b'[').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"call_id")
    })
}

/// Whether it is an id of a stream that nobody can read in two ways.
#[must_use]
pub fn is_stream_id(id: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(byte);
    (1..=MAX_STREAM_LEN).contains(&id.len()) && id.iter().all(is_plain)
}

/// What of an id says whose it is. To llama.cpp, who looks for `x` finds `x::model` as well.
#[must_use]
pub fn stem(id: &[u8]) -> &[u8] {
    let end = id.windows(2).position(|two| two == b"::").unwrap_or(id.len());
    id.get(..end).unwrap_or(id)
}

/// The text with its escapes (`%XX`) resolved. What is none stays.
pub(super) fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        let escape = match (byte, after) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match escape.map(|(high, low)| u8::try_from(high * 16 + low)) {
            Some(Ok(byte)) => {
                plain.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => plain.push(*byte),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_plain_id_is_read() {
        for (query, id) in [
            ("conv_id=abc", "abc"),
            ("from=10&conv_id=a-b_c.d~e", "a-b_c.d~e"),
            ("conv%5Fid=%61bc&x", "abc"),
            ("CONV_ID=abc", "abc"),
            ("conv_id=a%3A%3Am&from=0", "a::m"),
        ] {
            assert_eq!(stream(query.as_bytes()).as_deref(), Some(id.as_bytes()), "{query}");
        }
    }

    #[test]
    fn what_servers_could_read_in_two_ways_is_none() {
        for query in [
            "",
            "conv_id",
            "conv_id=",
            "from=1",
            "conv_id=a&conv_id=a",
            "conv_id=a&conv%5fid=b",
            "conv_id=a&Conv_Id=b",
            "conv_id=a;conv_id=b",
            "conv_id=a+b",
            "conv_id=a%20b",
            "conv_id=a%2561",
            "conv_id=a%",
            "conv_id=a%00",
            "conv_id=a/b",
        ] {
            assert_eq!(stream(query.as_bytes()), None, "{query}");
        }
        assert_eq!(stream(&[b"conv_id=", &[b'a'; 129][..]].concat()), None);
    }

    #[test]
    fn variants_of_an_id_have_one_owner() {
        assert_eq!(stem(b"a::m"), b"a");
        assert_eq!(stem(b"a:b"), b"a:b");
        assert_eq!(stem(b"a::m::n"), b"a");
    }
}
