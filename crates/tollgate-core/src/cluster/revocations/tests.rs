use std::collections::HashMap;

use proptest::prelude::*;

use super::file::FileError;
use super::*;
use crate::limits::sync::AtomicU64;

fn memory() -> Vec<AtomicU64> {
    (0..MEMORY_WORDS).map(|_| AtomicU64::new(7)).collect()
}

fn key(number: u32) -> KeyHash {
    // Few places, so that keys meet.
    let mut hash = [0; 32];
    hash[0] = u8::try_from(number % 3).unwrap();
    hash[28..].copy_from_slice(&number.to_le_bytes());
    KeyHash(hash)
}

fn word(key: KeyHash, is_revoked: bool, number: u64) -> Word {
    Word { key, is_revoked, number }
}

#[test]
fn a_revoked_key_is_refused_until_that_is_lifted() {
    let memory = memory();
    let list = Revocations::format(&memory).unwrap();
    assert!(!list.has(&key(1)));
    list.hear(word(key(1), true, 5)).unwrap();
    assert!(list.has(&key(1)) && !list.has(&key(2)));
    list.hear(word(key(1), false, 4)).unwrap();
    assert!(list.has(&key(1)), "an older word doesn't count");
    list.hear(word(key(1), false, 6)).unwrap();
    assert!(!list.has(&key(1)));
    list.hear(word(key(1), true, 5)).unwrap();
    assert!(!list.has(&key(1)));
    list.hear(word(key(1), true, 7)).unwrap();
    assert!(list.has(&key(1)));
    assert_eq!(list.in_force(), 1);
}

#[test]
fn files_have_the_last_word_once_they_have_heard() {
    let memory = memory();
    let list = Revocations::format(&memory).unwrap();
    list.hear(word(key(1), true, 1)).unwrap();
    let turns = list.turns();
    assert_eq!(list.settle(|_| InFiles::Missing), 0, "the file with the key may be on its way");
    assert_eq!(list.settle(|_| InFiles::Enabled), 0);
    assert!(list.has(&key(1)) && list.turns() == turns);
    assert_eq!(list.settle(|_| InFiles::Missing), 1, "it was there, and was removed");
    assert!(!list.has(&key(1)) && list.turns() > turns);
    list.hear(word(key(1), true, 1)).unwrap();
    assert!(!list.has(&key(1)), "the word that was settled doesn't come back");
    list.hear(word(key(2), true, 2)).unwrap();
    assert_eq!(list.settle(|_| InFiles::Disabled), 1);
    assert!(!list.has(&key(2)));
    list.hear(word(key(2), true, 3)).unwrap();
    assert!(list.has(&key(2)), "a new word counts");
}

#[test]
fn the_list_has_room_for_what_a_store_keeps_and_says_so_when_it_has_none() {
    let memory = memory();
    let list = Revocations::format(&memory).unwrap();
    let spread = |number: u64| {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        KeyHash(hash)
    };
    for number in 1..=10_000 {
        list.hear(word(spread(number), true, number)).unwrap();
    }
    assert!((1..=10_000).all(|number| list.has(&spread(number))));
    assert!(!(10_001..20_000).any(|number| list.has(&spread(number))));
    // A hostile store, which has all keys at one place.
    let mut full = None;
    for number in 1..1000 {
        if list.hear(word(key(3 * number), true, 20_000 + u64::from(number))).is_err() {
            full = Some(number);
            break;
        }
    }
    let full = full.unwrap();
    assert!(list.has(&key(3)) && !list.has(&key(3 * full)));
    list.hear(word(key(3), false, 50_000)).unwrap();
    list.hear(word(key(3 * full), true, 50_001)).unwrap();
    assert!(list.has(&key(3 * full)), "a settled word gives its place");
}

#[test]
fn a_file_gives_back_what_was_written() {
    let (before, after) = (memory(), memory());
    let list = Revocations::format(&before).unwrap();
    list.hear(word(key(1), true, 1)).unwrap();
    list.settle(|_| InFiles::Enabled);
    list.hear(word(key(2), true, 2)).unwrap();
    list.hear(word(key(3), true, 3)).unwrap();
    list.hear(word(key(3), false, 4)).unwrap();
    list.set_number(9);
    let bytes = file::write(&list);
    let restored = Revocations::format(&after).unwrap();
    file::read(&bytes, &restored).unwrap();
    assert_eq!((restored.number(), restored.in_force()), (9, 2));
    assert_eq!(file::write(&restored), bytes);
    assert_eq!(restored.settle(|_| InFiles::Missing), 1, "that files had it is remembered");
    assert!(!restored.has(&key(1)) && restored.has(&key(2)) && !restored.has(&key(3)));
}

#[test]
fn a_damaged_file_is_not_half_read() {
    let (before, after) = (memory(), memory());
    let list = Revocations::format(&before).unwrap();
    list.hear(word(key(1), true, 1)).unwrap();
    let bytes = file::write(&list);
    let restored = Revocations::format(&after).unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(file::read(&changed, &restored).is_err(), "{at}");
        assert!(file::read(&bytes[..at], &restored).is_err(), "{at}");
    }
    assert_eq!(restored.in_force(), 0);
    assert_eq!(file::read(b"something else, and long enough", &restored), Err(FileError::Foreign));
}

#[test]
fn memory_of_something_else_is_not_taken() {
    let memory = memory();
    assert!(Revocations::attach(&memory).is_err());
    assert!(Revocations::format(&memory[..MEMORY_WORDS - 1]).is_err());
    Revocations::format(&memory).unwrap().hear(word(key(1), true, 1)).unwrap();
    assert!(Revocations::attach(&memory).unwrap().has(&key(1)));
}

#[test]
fn hashes_are_read_as_keys_files_have_them() {
    let text = format!("sha256:{}", "0f".repeat(32));
    assert_eq!(KeyHash::parse(&text), Some(KeyHash([0x0f; 32])));
    let (bare, short) = (text.trim_start_matches("sha256:"), text.get(..70).unwrap());
    for wrong in [bare, short, &format!("{text}0"), &text.to_uppercase(), "sha256:"] {
        assert_eq!(KeyHash::parse(wrong), None, "{wrong}");
    }
    assert_eq!(format!("{:?}", KeyHash([1; 32])), "KeyHash(..)");
}

proptest! {
    #[test]
    fn whatever_is_heard_and_settled_it_is_as_a_map_has_it(
        steps in proptest::collection::vec((0u32..40, 0u8..5, 1u64..60), 1..120)
    ) {
        let memory = memory();
        let list = Revocations::format(&memory).unwrap();
        let mut model: HashMap<u32, (u64, bool, bool)> = HashMap::new();
        for (id, what, number) in steps {
            match what {
                0..=2 => {
                    list.hear(word(key(id), what < 2, number)).unwrap();
                    let known = model.entry(id).or_insert((0, false, false));
                    if number > known.0 {
                        *known = (number, what < 2, false);
                    }
                }
                _ => {
                    let of = |key: &KeyHash| u32::from_le_bytes(key.0[28..].try_into().unwrap()) == id;
                    let says = if what == 3 { InFiles::Enabled } else { InFiles::Missing };
                    // Of all others, nothing that would change anything.
                    list.settle(|key| if of(key) { says } else { InFiles::Enabled });
                    for (other, known) in &mut model {
                        if known.1 {
                            let is_gone = *other == id && what == 4 && known.2;
                            known.2 |= *other != id || what == 3;
                            known.1 = !is_gone;
                        }
                    }
                }
            }
            for id in 0..40 {
                prop_assert_eq!(list.has(&key(id)), model.get(&id).is_some_and(|known| known.1), "{}", id);
            }
            let in_force = model.values().filter(|known| known.1).count();
            prop_assert_eq!(list.in_force(), in_force as u64);
        }
    }
}
