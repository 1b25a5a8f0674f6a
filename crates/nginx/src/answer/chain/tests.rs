use std::ptr::null_mut;

use ngx::ffi::{ngx_buf_t, ngx_chain_t, ngx_pool_t};
use proptest::prelude::*;

use super::{Chain, Pieces, Room};
use crate::answer::passing::Buffers;
use crate::buffers::bytes_of;
use crate::module::Part;
use crate::testing::zeroed;

fn room() -> Room {
    Room { pool: zeroed::<ngx_pool_t>(), tag: zeroed::<u64>() as *mut u64 as *mut _ }
}

/// A buffer as an upstream gives it, over memory of its own.
fn buffer(bytes: &[u8], last: bool, flush: bool) -> *mut ngx_buf_t {
    let bytes = Box::leak(bytes.to_vec().into_boxed_slice());
    let range = bytes.as_mut_ptr_range();
    let buffer: &mut ngx_buf_t = zeroed();
    (buffer.start, buffer.pos) = (range.start, range.start);
    (buffer.last, buffer.end) = (range.end, range.end);
    buffer.set_temporary(1);
    buffer.set_last_buf(last.into());
    buffer.set_flush(flush.into());
    buffer
}

/// What is sent of a chain, and where in it the end is told.
fn sent(chain: &Chain) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    let mut link = chain.first;
    // SAFETY: a chain that was made here.
    unsafe {
        while let Some(entry) = link.as_ref() {
            bytes.extend_from_slice(bytes_of(&*entry.buf));
            if (*entry.buf).last_buf() != 0 {
                ends.push(bytes.len());
            }
            link = entry.next;
        }
    }
    (bytes, ends)
}

#[derive(Clone, Debug)]
enum Wanted {
    Held(Vec<u8>),
    Range(usize, usize),
}

fn wanted() -> impl Strategy<Value = Wanted> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 1..40).prop_map(Wanted::Held),
        (0_usize..60, 0_usize..60).prop_map(|(from, len)| Wanted::Range(from, from + len)),
    ]
}

proptest! {
    /// Whatever a reader says of the buffers, those bytes are sent, in their order, nothing is read beyond the
    /// end of a buffer, and the end of the answer comes after all of them.
    #[test]
    fn the_client_gets_what_the_reader_passes(
        buffers in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..50), prop::collection::vec(wanted(), 0..4), any::<bool>()),
            1..8,
        ),
    ) {
        let room = room();
        let mut ours = Buffers::default();
        let mut chain: Option<Chain> = None;
        let mut expected = Vec::new();
        let count = buffers.len();
        for (index, (bytes, parts, flush)) in buffers.iter().enumerate() {
            let mut pieces = Pieces::default();
            for part in parts {
                match part {
                    Wanted::Held(held) => {
                        pieces.push(Part::Held(held));
                        expected.extend_from_slice(held);
                    }
                    Wanted::Range(start, end) => {
                        pieces.push(Part::Range(*start..*end));
                        let end = (*end).min(bytes.len());
                        expected.extend_from_slice(&bytes[(*start).min(end)..end]);
                    }
                }
            }
            let buffer = buffer(bytes, index + 1 == count, *flush);
            let chain = chain.get_or_insert(Chain { first: null_mut(), last: null_mut() });
            // SAFETY: the pieces are those of this buffer.
            let pushed = unsafe { chain.push(room, &mut ours, buffer, pieces) };
            prop_assert_eq!(pushed, Some(()));
        }
        let (bytes, ends) = sent(&chain.unwrap());
        prop_assert_eq!(&bytes, &expected);
        prop_assert_eq!(ends, vec![expected.len()]);
    }
}

#[test]
fn a_piece_is_the_whole_buffer_only_if_it_is_all_of_it() {
    let is_all = |parts: &[Part<'_>], len| {
        let mut pieces = Pieces::default();
        parts.iter().cloned().for_each(|part| pieces.push(part));
        pieces.is_all_of(len)
    };
    assert!(is_all(&[], 0));
    assert!(is_all(&[Part::Range(0..5)], 5));
    assert!(!is_all(&[], 5));
    assert!(!is_all(&[Part::Range(0..4)], 5));
    assert!(!is_all(&[Part::Held(b"12345")], 5));
    assert!(!is_all(&[Part::Range(0..2), Part::Range(2..5)], 5));
}

#[test]
fn what_comes_before_a_change_goes_on_as_it_is() {
    let buffers = [buffer(b"one", false, false), buffer(b"two", false, false)];
    let mut links = [
        ngx_chain_t { buf: buffers[0], next: null_mut() },
        ngx_chain_t { buf: buffers[1], next: null_mut() },
    ];
    let [first, second] = &mut links;
    first.next = second;
    let end: *mut ngx_chain_t = second;
    // SAFETY: a chain of two, of which the end is one.
    let chain = unsafe { Chain::up_to(room(), first, end) }.unwrap();
    assert_eq!(sent(&chain).0, b"one");
    // SAFETY: one link.
    unsafe { assert_eq!((*chain.first).buf, buffers[0]) };
}
