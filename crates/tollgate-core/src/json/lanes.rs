//! Sixteen bytes at once: which of them are what, as a mask with a bit for each, the first byte's lowest.

use wide::{i8x16, u8x16};

/// Sixteen bytes.
#[derive(Clone, Copy)]
pub(crate) struct Lanes(u8x16);

impl Lanes {
    pub(crate) const LEN: usize = 16;

    #[inline(always)]
    pub(crate) fn of(bytes: &[u8; Self::LEN]) -> Self {
        Self(u8x16::new(*bytes))
    }

    /// Those that are `byte`.
    #[inline(always)]
    pub(crate) fn is(self, byte: u8) -> u32 {
        self.0.simd_eq(u8x16::splat(byte)).to_bitmask()
    }

    /// Those of a string that are not plain: a quote, a backslash, a control character, or no ASCII.
    #[inline(always)]
    pub(crate) fn specials(self) -> Specials {
        // As numbers with a sign, those that are no ASCII are below the control characters; and with
        // this bit turned, a quote is next to them, where a blank was.
        let turned = Self(self.0 ^ u8x16::splat(b'"' ^ b' ')).signed();
        let backslash = self.signed().simd_eq(i8x16::splat(b'\\'.cast_signed()));
        Specials(turned.simd_lt(i8x16::splat(0x21)) | backslash)
    }

    /// Those that end a run of a string: a quote, a backslash and, if they count, a control character.
    #[inline(always)]
    pub(crate) fn ends_run(self, controls: bool) -> u32 {
        let ends = self.0.simd_eq(u8x16::splat(b'"')) | self.0.simd_eq(u8x16::splat(b'\\'));
        let controls_end = self.0.min(u8x16::splat(0x1f)).simd_eq(self.0);
        let ends = if controls { ends | controls_end } else { ends };
        ends.to_bitmask()
    }

    /// Those that are a quote or a bracket of either kind.
    #[inline(always)]
    pub(crate) fn quotes_or_brackets(self) -> u32 {
        // The brackets of the two kinds are one bit apart.
        let brackets = self.0 | u8x16::splat(b'[' ^ b'{');
        let open = brackets.simd_eq(u8x16::splat(b'{'));
        let close = brackets.simd_eq(u8x16::splat(b'}'));
        (self.0.simd_eq(u8x16::splat(b'"')) | open | close).to_bitmask()
    }

    /// Those from `first` to `last`, which are ASCII.
    #[inline(always)]
    pub(crate) fn within(self, first: u8, last: u8) -> u32 {
        // Moved up so that the last one is the largest number with a sign.
        let most = i8::MAX.cast_unsigned();
        let moved = Self(self.0 + u8x16::splat(most.wrapping_sub(last)));
        let least = most.wrapping_sub(last.wrapping_sub(first));
        moved.signed().simd_gt(i8x16::splat(least.cast_signed().wrapping_sub(1))).to_bitmask()
    }

    /// Those that are control characters, DEL among them; and those that are no ASCII.
    #[inline(always)]
    pub(crate) fn controls_or_not_ascii(self) -> u32 {
        let moved = Self(self.0 + u8x16::splat(1));
        moved.signed().simd_lt(i8x16::splat(0x21)).to_bitmask()
    }

    /// The bits that are set in either, byte by byte.
    #[inline(always)]
    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are no ASCII.
    #[inline(always)]
    pub(crate) fn not_ascii(self) -> u32 {
        self.0.to_bitmask()
    }

    #[inline(always)]
    fn signed(self) -> i8x16 {
        i8x16::new(self.0.to_array().map(u8::cast_signed))
    }
}

/// Which of sixteen bytes are not plain.
#[derive(Clone, Copy)]
pub(crate) struct Specials(i8x16);

impl Specials {
    #[inline(always)]
    pub(crate) fn mask(self) -> u32 {
        self.0.to_bitmask()
    }

    /// Whether there is any in either of them, in one of these.
    #[inline(always)]
    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn masks_say_which_bytes_are_what(bytes: [u8; 16], near in "[ -~]{16}", first: u8, last: u8) {
            let near: [u8; 16] = near.into_bytes().try_into().unwrap();
            for bytes in [bytes, near] {
                let expected = |is: &dyn Fn(u8) -> bool| {
                    (0..16).fold(0, |mask, at| mask | u32::from(is(bytes[at])) << at)
                };
                let lanes = Lanes::of(&bytes);
                prop_assert_eq!(lanes.is(first), expected(&|byte| byte == first));
                prop_assert_eq!(lanes.not_ascii(), expected(&|byte| !byte.is_ascii()));
                let controls = |byte: u8| byte.is_ascii_control() || !byte.is_ascii();
                prop_assert_eq!(lanes.controls_or_not_ascii(), expected(&controls));
                let (first, last) = (first & 0x7f, last & 0x7f);
                let (first, last) = (first.min(last), first.max(last));
                prop_assert_eq!(lanes.within(first, last), expected(&|byte| (first..=last).contains(&byte)));
                prop_assert_eq!(lanes.ends_run(false), expected(&|byte| b"\"\\".contains(&byte)));
                let specials = |byte: u8| b"\"\\".contains(&byte) || byte < 0x20 || !byte.is_ascii();
                prop_assert_eq!(lanes.specials().mask(), expected(&specials));
                let ends = |byte| b"\"\\".contains(&byte) || byte < 0x20;
                prop_assert_eq!(lanes.ends_run(true), expected(&ends));
                prop_assert_eq!(
                    lanes.quotes_or_brackets(),
                    expected(&|byte| b"\"[]{}".contains(&byte))
                );
            }
        }
    }
}
