//! What readers and makers are promised, in one process and its threads.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "in tests")]

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use shared_block::{Mapping, SharedBlock};

fn with(block: &[u8]) -> Arc<SharedBlock> {
    let shared = SharedBlock::new().unwrap();
    shared.make().unwrap().publish(block).unwrap();
    shared
}

fn bytes(mapping: &Mapping) -> &[u8] {
    mapping.as_ref()
}

#[test]
fn without_a_block_there_is_nothing_to_read() {
    let shared = SharedBlock::new().unwrap();
    assert_eq!(shared.current(), None);
    assert_eq!(shared.map().unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!shared.is_untidy());
}

#[test]
fn a_block_reads_as_it_was_written_and_has_the_next_number() {
    let shared = with(b"one");
    let one = shared.map().unwrap();
    assert_eq!((bytes(&one), one.stamp().number()), (&b"one"[..], 1));
    shared.make().unwrap().publish(b"second").unwrap();
    let second = shared.map().unwrap();
    assert_eq!((bytes(&second), second.stamp().number()), (&b"second"[..], 2));
    assert_eq!(shared.current(), Some(second.stamp()));
    // The first reader keeps what it has.
    assert_eq!(bytes(&one), b"one");
}

#[test]
fn an_empty_block_is_a_block() {
    let shared = with(b"");
    let empty = shared.map().unwrap();
    assert_eq!((bytes(&empty), empty.stamp().number()), (&b""[..], 1));
}

#[test]
fn a_block_that_is_read_keeps_its_place_for_as_long() {
    let shared = with(&[0]);
    let mut kept = vec![shared.map().unwrap()];
    let maker = shared.make().unwrap();
    // One is in force, and each of the others is read.
    for number in 1..32u8 {
        maker.publish(&[number]).unwrap();
        kept.push(shared.map().unwrap());
    }
    let error = maker.publish(&[32]).unwrap_err();
    assert!(error.to_string().contains("older keys"), "{error}");
    for (number, mapping) in (0..).zip(&kept) {
        assert_eq!(bytes(mapping), [number]);
    }
    drop(kept.remove(7));
    maker.publish(&[32]).unwrap();
    assert_eq!(bytes(&shared.map().unwrap()), [32]);
    assert_eq!(bytes(&kept[7]), [8]);
}

#[test]
fn memory_is_given_back_once_nobody_reads_it() {
    const LEN: u64 = 1 << 20;
    let large = vec![7; usize::try_from(LEN).unwrap()];
    let shared = with(&large);
    let kept = shared.map().unwrap();
    let maker = shared.make().unwrap();
    maker.publish(b"small").unwrap();
    assert!(shared.is_untidy());
    maker.clean();
    assert!(shared.is_untidy() && shared.memory_used().unwrap() >= LEN);
    assert_eq!(bytes(&kept), &large[..]);
    drop(kept);
    maker.clean();
    assert!(!shared.is_untidy() && shared.memory_used().unwrap() < LEN);
    assert_eq!(bytes(&shared.map().unwrap()), b"small");
}

#[test]
fn one_thread_makes_at_a_time() {
    let shared = with(b"one");
    let maker = shared.make().unwrap();
    assert!(shared.make().is_none());
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(shared.make().is_none()));
    });
    drop(maker);
    assert!(shared.make().is_some());
}

#[test]
fn numbers_of_the_callers_are_kept() {
    let shared = with(b"one");
    let maker = shared.make().unwrap();
    assert_eq!((shared.seen(), maker.told()), (0, 0));
    maker.set_seen(5);
    maker.set_told(6);
    maker.publish(b"two").unwrap();
    assert_eq!((shared.seen(), maker.told()), (5, 6));
}

#[test]
fn one_looks_in_an_interval() {
    let shared = SharedBlock::new().unwrap();
    assert!(shared.is_turn(1000, 100));
    assert!(!shared.is_turn(1099, 100));
    assert!(shared.is_turn(1100, 100));
    // A clock that is behind is nobody's turn.
    assert!(!shared.is_turn(500, 100));
}

/// Threads that read whatever is in force, as others make more: each sees one block, as it was written.
#[test]
fn threads_read_whole_blocks_while_others_make_them() {
    const BLOCKS: u8 = 200;
    let shared = with(&[0; 5000]);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut last = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let mapping = shared.map().unwrap();
                    let number = mapping.stamp().number();
                    assert!(number >= last);
                    last = number;
                    let first = bytes(&mapping)[0];
                    assert_eq!(u64::from(first) + 1, number);
                    assert!(bytes(&mapping).len() == 5000 + usize::from(first));
                    assert!(bytes(&mapping).iter().all(|byte| *byte == first));
                }
            });
        }
        for number in 1..=BLOCKS {
            let maker = shared.make().unwrap();
            maker.publish(&vec![number; 5000 + usize::from(number)]).unwrap();
            maker.clean();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(shared.current().unwrap().number(), u64::from(BLOCKS) + 1);
}
