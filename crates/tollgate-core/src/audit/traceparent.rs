//! `traceparent` of W3C Trace Context (level 2, section 3.2).

/// `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`
const LEN: usize = 55;

/// The part of the value whose meaning is defined, if it is well-formed.
///
/// A version above 00 may append more after another `-`; nobody knows what, so it is not logged.
pub(super) fn well_formed(value: &[u8]) -> Option<&[u8]> {
    let (known, more) = value.split_at_checked(LEN)?;
    let mut fields = known.split(|&b| b == b'-');
    let mut field = |len| fields.next().filter(|field| is_lower_hex(field, len));
    let (version, trace_id, parent_id, _flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
    let may_go_on = match version {
        b"ff" => return None,
        b"00" => false,
        _ => more.first() == Some(&b'-'),
    };
    let is_set = |id: &[u8]| id.iter().any(|&b| b != b'0');
    ((more.is_empty() || may_go_on) && is_set(trace_id) && is_set(parent_id)).then_some(known)
}

fn is_lower_hex(field: &[u8], len: usize) -> bool {
    field.len() == len && field.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const LATER: &str = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn well_formed_values_pass() {
        for value in [
            GOOD,
            "00-00000000000000000000000000000001-0000000000000001-00",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff",
            "fe-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(well_formed(value.as_bytes()), Some(value.as_bytes()));
        }
    }

    #[test]
    fn a_later_version_is_logged_as_far_as_it_is_known() {
        let value = format!("{LATER}-what the future\nbrings");
        assert_eq!(well_formed(value.as_bytes()), Some(&value.as_bytes()[..LEN]));
        assert_eq!(well_formed(format!("{LATER}x").as_bytes()), None);
    }

    #[test]
    fn malformed_values_do_not_pass() {
        for value in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
            "00-0af7651916cd43dd8448eb211c80319cb-7ad6b7169203331-01",
            "0-00af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
            " 0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331--1",
        ] {
            assert_eq!(well_formed(value.as_bytes()), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_needs_no_escape(mut value in Just(GOOD.as_bytes().to_vec()), at in 0_usize..55, byte: u8) {
            value[at] = byte;
            if let Some(known) = well_formed(&value) {
                prop_assert!(known.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-'));
            }
        }
    }
}
