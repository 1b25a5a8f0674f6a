//! gzip (RFC 1952) with stored blocks (RFC 1951, section 3.2.4): valid, and no shorter.

/// The longest that a stored block can be, in bytes.
const BLOCK_BYTES: usize = 0xffff;

/// A gzip member that is made piece by piece.
#[derive(Debug)]
pub(crate) struct Gzip {
    crc: u32,
    /// Of what was encoded, modulo 2^32.
    length: u32,
    begun: bool,
}

impl Gzip {
    pub(crate) fn new() -> Self {
        Self { crc: !0, length: 0, begun: false }
    }

    /// Appends `bytes`, encoded, so that they can be decoded without what follows.
    pub(crate) fn encode(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.begin(out);
        for block in bytes.chunks(BLOCK_BYTES) {
            push_block(block, false, out);
        }
        for &byte in bytes {
            self.crc = (0..8).fold(self.crc ^ u32::from(byte), |crc, _| {
                if crc & 1 == 1 {
                    (crc >> 1) ^ 0xedb8_8320
                } else {
                    crc >> 1
                }
            });
            self.length = self.length.wrapping_add(1);
        }
    }

    /// Appends the end of the member.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        push_block(&[], true, out);
        out.extend((!self.crc).to_le_bytes());
        out.extend(self.length.to_le_bytes());
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            // No name, no time, an unknown system.
            out.extend([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
        }
    }
}

fn push_block(bytes: &[u8], last: bool, out: &mut Vec<u8>) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.push(u8::from(last));
    out.extend(length.to_le_bytes());
    out.extend((!length).to_le_bytes());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_crc_32_is_right() {
        let mut gzip = Gzip::new();
        let mut out = Vec::new();
        gzip.encode(b"1234", &mut out);
        gzip.encode(b"56789", &mut out);
        gzip.finish(&mut out);
        // The check value of the CRC catalogue, then the length.
        assert!(out.ends_with(&[0x26, 0x39, 0xf4, 0xcb, 9, 0, 0, 0]), "{out:x?}");
        assert_eq!(&out[10..19], b"\x00\x04\x00\xfb\xff1234");
    }

    #[test]
    fn long_bytes_are_several_blocks() {
        let mut out = Vec::new();
        Gzip::new().encode(&vec![b'x'; BLOCK_BYTES + 1], &mut out);
        assert_eq!(out.len(), 10 + 5 + BLOCK_BYTES + 5 + 1);
    }
}
