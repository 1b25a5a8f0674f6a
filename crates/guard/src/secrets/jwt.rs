//! JSON Web Tokens.

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};

use super::kind::{begins_alone, detector, stands_alone};
use crate::detector::{Detector, LONGEST};

/// Base64url without padding; bits that are left over may be set.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// The compact form of RFC 7515 (three parts) and RFC 7516 (five parts). Its header begins with `{"`, and names
/// the algorithm.
pub(super) fn jwt() -> Detector {
    detector(
        "jwt",
        "JWT",
        r"eyJ[A-Za-z0-9_-]{10,200}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)*",
        &[],
        |candidate, _| {
            let (header, rest) = candidate.text().split_once('.')?;
            let parts = rest.split('.').count();
            // A long one is cut before its second dot.
            let is_cut = candidate.text().len() >= LONGEST;
            let is_whole = (parts == 2 || parts == 4) && stands_alone(candidate);
            if !(is_whole || is_cut && begins_alone(candidate)) {
                return None;
            }
            let header = BASE64URL.decode(header).ok()?;
            let header: serde_json::Map<_, _> = serde_json::from_slice(&header).ok()?;
            header.get("alg")?.as_str().map(|_| 100)
        },
    )
}
