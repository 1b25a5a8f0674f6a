//! Sixteen bytes at once: which of them are what, as a mask with a bit for each, the first byte's lowest.

use wide::u8x16;

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

    /// Those that end a run of a string: a quote, a backslash and, if they count, a control character.
    #[inline(always)]
    pub(crate) fn ends_run(self, controls: bool) -> u32 {
        let ends = self.0.simd_eq(u8x16::splat(b'"')) | self.0.simd_eq(u8x16::splat(b'\\'));
        let ends = if controls { ends | self.up_to(0x1f) } else { ends };
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

    /// Those from `first` to `last`.
    #[inline(always)]
    pub(crate) fn within(self, first: u8, last: u8) -> u32 {
        Self(self.0 - u8x16::splat(first)).up_to(last.wrapping_sub(first)).to_bitmask()
    }

    /// Those that are no ASCII.
    #[inline(always)]
    pub(crate) fn not_ascii(self) -> u32 {
        self.0.to_bitmask()
    }

    #[inline(always)]
    fn up_to(self, last: u8) -> u8x16 {
        self.0.min(u8x16::splat(last)).simd_eq(self.0)
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
                let (first, last) = (first.min(last), first.max(last));
                prop_assert_eq!(lanes.within(first, last), expected(&|byte| (first..=last).contains(&byte)));
                prop_assert_eq!(lanes.ends_run(false), expected(&|byte| b"\"\\".contains(&byte)));
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
