//! Values of credentials: whether one is random, and not the example of a manual.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// Words of which placeholders are made, in lower case: long enough not to come up by chance.
const PLACEHOLDERS: [&str; 24] = [
    "example",
    "your_",
    "your-",
    "yourapi",
    "yourkey",
    "yourtoken",
    "yoursecret",
    "yourpass",
    "xxxx",
    "placeholder",
    "dummy",
    "redacted",
    "changeme",
    "change_me",
    "change-me",
    "insert",
    "replace",
    "goes_here",
    "goes-here",
    "fake_",
    "fake-",
    "....",
    "****",
    "secret_key",
];

/// Whether somebody wrote it in the place of a value: `your-key-here`, `xxxxxxxx`, `<token>`, `${TOKEN}`.
pub(super) fn is_placeholder(value: &str) -> bool {
    if value.contains(['<', '>', '{', '}', '$', '[', ']', '…']) || value.starts_with('%') {
        return true;
    }
    static WORDS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
        AhoCorasick::builder().ascii_case_insensitive(true).build(PLACEHOLDERS).ok()
    });
    WORDS.as_ref().is_some_and(|words| words.is_match(value))
}

/// How many bits a byte of the value has, by how often each one occurs in it.
pub(super) fn entropy(value: &str) -> f32 {
    let mut counts = [0_u16; 256];
    for byte in value.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count = count.saturating_add(1);
        }
    }
    let total = f32::from(u16::try_from(value.len()).unwrap_or(u16::MAX));
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| {
            let share = f32::from(*count) / total;
            -share * share.log2()
        })
        .sum()
}

/// How many bits a byte has at least of what was drawn at random, of 16 characters or more, from as few as 16.
const RANDOM: f32 = 2.7;

/// Whether it looks as if drawn at random: no placeholder, no run of the alphabet, no word again and again.
pub(super) fn is_random(value: &str) -> bool {
    if is_placeholder(value) {
        return false;
    }
    let least = match value.len() {
        0..=7 => return false,
        8..=11 => 2.0,
        12..=15 => 2.4,
        _ => RANDOM,
    };
    entropy(value) >= least && !is_run(value)
}

/// Whether it is what a manual or a test shows in the place of a value, with all that belongs to its form: capitals with
/// `EXAMPLE` among them, and digits.
pub(super) fn is_specimen(value: &str) -> bool {
    value.contains("EXAMPLE")
        && value.bytes().any(|byte| byte.is_ascii_digit())
        && !value.bytes().any(|byte| byte.is_ascii_lowercase())
        && entropy(value) >= RANDOM
        && !is_run(value)
}

/// Whether most characters are those that follow in the alphabet, or repeat: `abcdefgh`, `12345678`, `aabbccdd`.
fn is_run(value: &str) -> bool {
    let bytes = value.as_bytes();
    let near = |(one, other): (&u8, &u8)| {
        let (one, other) = (one.to_ascii_lowercase(), other.to_ascii_lowercase());
        one.abs_diff(other) <= 1
            || (one, other) == (b'9', b'0')
            || (one, other) == (b'9', b'a')
            || (one, other) == (b'0', b'a')
    };
    let runs = bytes.iter().zip(bytes.iter().skip(1)).filter(|pair| near(*pair)).count();
    runs * 2 > bytes.len()
}

/// Whether it has letters and digits.
pub(super) fn is_mixed(value: &str) -> bool {
    value.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// The CRC-32 of IEEE 802.3 (reversed, 0xEDB88320), as zlib has it.
pub(super) fn crc32(value: &str) -> u32 {
    !value.bytes().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            }
        })
    })
}

/// The value of six digits to the base of 62, digits first, then capitals.
pub(super) fn base62(digits: &str) -> Option<u32> {
    let value = digits.bytes().try_fold(0_u64, |value, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        value.checked_mul(62)?.checked_add(u64::from(digit))
    })?;
    u32::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_not_random() {
        for value in [
            "xxxxxxxxxxxxxxxxxxxxxxxx",
            "YOUR_API_KEY_GOES_HERE_12345",
            "AKIAIOSFODNN7EXAMPLE",
            "<your-token>",
            "${GITHUB_TOKEN}",
            "1234567890abcdef1234567890abcdef",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "0000000000000000000000000000000",
            "aabbccddeeffgghhiijjkkll",
            "abababababababababababab",
            "short",
        ] {
            assert!(!is_random(value), "{value}");
        }
        assert!(is_random("wJalrXUtnFEMIK7MDENGbPxRfiCY0a9d"));
        assert!(is_random("9f86d081884c7d659a2feaa0c55ad015"));
    }

    #[test]
    fn checksums_are_those_of_zlib() {
        // RFC 1952, section 8, and the check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32("123456789"), 0xCBF4_3926);
        assert_eq!(crc32(""), 0);
        assert_eq!(base62("000010"), Some(62));
        assert_eq!(base62("00000z"), Some(61));
        assert_eq!(base62("zzzzzz"), None);
        assert_eq!(base62("a-"), None);
    }
}
