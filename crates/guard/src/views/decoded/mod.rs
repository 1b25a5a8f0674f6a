//! What is encoded in parts of a text.

use super::blocks::Blocks;
use super::map::Copy;

mod base85;
mod ciphers;
mod escapes;
mod found;
mod hidden;
mod signs;
mod spelled;
mod tokens;
mod uuencode;

use found::Found;

/// What is encoded in parts of a text: one copy for characters that are escaped, and one for all else.
pub(super) fn decoded(text: &str, blocks: &Blocks) -> Vec<Copy> {
    let mut found = Found::new(text);
    hidden::read(text, &mut found);
    tokens::read(text, &mut found);
    signs::read(text, blocks, &mut found);
    ciphers::read(text, blocks, &mut found);
    spelled::read(text, &mut found);
    let mut copies = Vec::new();
    copies.extend(escapes::read(text, blocks));
    copies.extend(found.finish());
    copies
}
