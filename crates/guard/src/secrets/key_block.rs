//! Private keys in text blocks.

use super::kind::detector;
use crate::detector::Detector;

/// PEM (RFC 7468, RFC 1421), OpenSSH's own, PGP (RFC 9580, section 6.2) and SSH2 (RFC 4716). The first line alone
/// counts: whatever follows, belongs to it, also where line feeds are written as `\n`, or as blanks.
pub(super) fn private_key() -> Detector {
    detector(
        "private_key",
        "PRIVATE_KEY",
        concat!(
            r"-----? ?BEGIN (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)?(?: ?-----?)",
            r"(?:[A-Za-z0-9+/=\s\\:,.]|-[A-Za-z0-9])*",
            r"(?:-----? ?END (?:[A-Z0-9]{2,12} ){0,3}PRIVATE KEY(?: BLOCK)? ?-----?)?",
        ),
        &[],
        |_, _| Some(100),
    )
}

/// PuTTY's, by its manual, appendix C.
pub(super) fn putty_key() -> Detector {
    detector(
        "private_key_putty",
        "PRIVATE_KEY",
        r"PuTTY-User-Key-File-[1-3]: [a-z0-9@.-]{4,40}(?:[A-Za-z0-9+/=\s\\:,.]|-[A-Za-z0-9])*",
        &[],
        |_, _| Some(100),
    )
}
