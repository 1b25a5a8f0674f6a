use super::*;
use proptest::prelude::*;

fn push(batch: &mut Batch, line: &str) -> bool {
    batch.push(|out| out.extend_from_slice(line.as_bytes()))
}

#[test]
fn a_line_that_panics_half_way_is_not_there() {
    let mut batch = Batch::new(64);
    push(&mut batch, "{\"n\":1}\n");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        batch.push(|out| {
            out.extend_from_slice(b"{\"n\":");
            panic!("half way");
        })
    }));
    assert!(panicked.is_err());
    push(&mut batch, "{\"n\":3}\n");
    assert_eq!(batch.as_bytes(), b"{\"n\":1}\n{\"n\":3}\n");
}

#[test]
fn a_batch_is_full_at_its_capacity() {
    let mut batch = Batch::new(8);
    assert!(!push(&mut batch, "abc\n"));
    assert!(push(&mut batch, "def\n"));
    batch.written(8);
    assert!(batch.is_empty());
    assert!(!push(&mut batch, "abc\n"));
}

#[test]
fn without_a_buffer_each_line_is_written() {
    let mut batch = Batch::new(0);
    for _ in 0..3 {
        assert!(push(&mut batch, "abc\n"));
        assert_eq!(batch.as_bytes(), b"abc\n");
        batch.written(4);
    }
    assert_eq!(batch.take_dropped(), 0);
}

#[test]
fn a_full_batch_drops_whole_new_lines_and_counts_them() {
    let mut batch = Batch::new(4);
    push(&mut batch, "abcdef\n");
    for _ in 0..3 {
        assert!(push(&mut batch, "dropped\n"));
        batch.written(0);
    }
    assert_eq!(batch.as_bytes(), b"abcdef\n");
    assert_eq!(batch.take_dropped(), 3);
    assert_eq!(batch.take_dropped(), 0);
}

#[test]
fn after_a_short_write_comes_the_rest_of_the_torn_line() {
    let mut batch = Batch::new(64);
    push(&mut batch, "abc\n");
    push(&mut batch, "def\n");
    batch.written(5);
    push(&mut batch, "ghi\n");
    assert_eq!(batch.as_bytes(), b"ef\nghi\n");
    batch.written(1);
    assert_eq!(batch.as_bytes(), b"f\nghi\n");
    batch.written(6);
    assert!(batch.is_empty());
}

#[test]
fn a_new_file_begins_with_a_whole_line() {
    let mut batch = Batch::new(64);
    push(&mut batch, "abc\n");
    push(&mut batch, "def\n");
    batch.written(6);
    batch.reopened();
    assert_eq!(batch.as_bytes(), b"def\n");
}

#[test]
fn what_is_given_up_is_counted_with_what_was_dropped() {
    let mut batch = Batch::new(8);
    assert_eq!(batch.abandon(), 0);
    push(&mut batch, "abc\n");
    push(&mut batch, "def\n");
    assert!(batch.is_full());
    push(&mut batch, "dropped\n");
    // All but the line feed of the first one: it is lost as well.
    batch.written(3);
    assert_eq!(batch.abandon(), 3);
    assert!(batch.is_empty() && batch.as_bytes().is_empty() && !batch.is_full());
    push(&mut batch, "ghi\n");
    assert_eq!(batch.as_bytes(), b"ghi\n");
    batch.written(4);
    assert_eq!(batch.abandon(), 0);
}

#[test]
fn seals_are_told_when_they_are_written_and_are_no_lines_that_are_counted() {
    let seal = |batch: &mut Batch| batch.seal(|out| out.extend_from_slice(b"seal\n"));
    let written = |lines, seals| Written { lines, seals };
    let mut batch = Batch::new(8);
    push(&mut batch, "abc\n");
    assert!(batch.has_open());
    seal(&mut batch);
    assert!(!batch.has_open() && batch.is_full());
    // A seal has room where a line has none.
    seal(&mut batch);
    assert!(batch.push_own(|_| panic!("there is no room")));
    assert_eq!(batch.as_bytes(), b"abc\nseal\nseal\n");
    assert_eq!(batch.written(8), written(1, 0));
    assert!(batch.is_torn());
    assert_eq!(batch.written(1), written(0, 1));
    assert!(!batch.is_torn());
    assert!(batch.push_own(|out| out.extend_from_slice(b"own\n")));
    assert!(batch.has_open());
    batch.written(5);
    push(&mut batch, "def\n");
    seal(&mut batch);
    assert_eq!(batch.written(2), written(0, 0));
    batch.reopened();
    assert_eq!(batch.as_bytes(), b"own\ndef\nseal\n");
    assert_eq!(batch.clone().written(13), written(1, 1));
    assert_eq!(batch.abandon(), 1);
    assert_eq!((batch.written(1), batch.has_open()), (written(0, 0), false));
}

#[test]
fn a_piece_is_whole_lines() {
    let mut batch = Batch::new(64);
    assert_eq!(batch.piece(8), b"");
    for line in ["abc\n", "def\n", "longer\n"] {
        push(&mut batch, line);
    }
    assert_eq!(batch.piece(64), b"abc\ndef\nlonger\n");
    assert_eq!(batch.piece(15), b"abc\ndef\nlonger\n");
    assert_eq!(batch.piece(14), b"abc\ndef\n");
    assert_eq!(batch.piece(8), b"abc\ndef\n");
    assert_eq!(batch.piece(7), b"abc\n");
    assert_eq!(batch.piece(2), b"abc\n");
    batch.written(9);
    assert_eq!(batch.piece(2), b"onger\n");
}

#[test]
fn more_than_there_was_is_all_there_was() {
    let mut batch = Batch::new(64);
    push(&mut batch, "abc\n");
    batch.written(usize::MAX);
    assert!(batch.is_empty() && batch.as_bytes().is_empty());
    batch.written(1);
    push(&mut batch, "def\n");
    assert_eq!(batch.as_bytes(), b"def\n");
}

#[derive(Clone, Debug)]
enum Event {
    /// A line of so many bytes before its line feed.
    Push(usize),
    /// A write of which so many bytes got through.
    Write(usize),
    /// The log was rotated.
    Reopen,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_usize..40).prop_map(Event::Push),
        3 => (0_usize..80).prop_map(Event::Write),
        1 => Just(Event::Write(0)),
        1 => Just(Event::Reopen),
    ]
}

proptest! {
    /// Each line is numbered, so that a torn, repeated, reordered or joined one shows.
    #[test]
    fn every_file_is_whole_lines_in_order_except_possibly_its_last(
        capacity in 0_usize..100, events in prop::collection::vec(event(), 0..80),
    ) {
        let mut batch = Batch::new(capacity);
        let mut accepted = Vec::new();
        let (mut dropped, mut counted) = (0, 0);
        let mut files = vec![Vec::new()];
        let write = |batch: &mut Batch, files: &mut Vec<Vec<u8>>, len: usize| {
            let bytes = batch.as_bytes();
            let len = len.min(bytes.len());
            files.last_mut().unwrap().extend_from_slice(&bytes[..len]);
            batch.written(len)
        };
        for (number, event) in events.into_iter().enumerate() {
            match event {
                Event::Push(len) => {
                    let line = format!("{number}:{}\n", "x".repeat(len));
                    let mut taken = false;
                    let full = batch.push(|out| {
                        taken = true;
                        out.extend_from_slice(line.as_bytes());
                    });
                    prop_assert!(taken || full);
                    if taken { accepted.push(line) } else { dropped += 1 }
                    prop_assert_eq!(full, batch.lines.len() >= capacity);
                    prop_assert!(batch.lines.len() < capacity + 64);
                }
                Event::Write(len) => counted += write(&mut batch, &mut files, len).lines,
                Event::Reopen => {
                    batch.reopened();
                    files.push(Vec::new());
                }
            }
        }
        counted += write(&mut batch, &mut files, usize::MAX).lines;
        prop_assert_eq!(counted, accepted.len() as u64);
        prop_assert!(batch.is_empty());
        prop_assert_eq!(batch.take_dropped(), dropped);

        // Whole lines of all files together: exactly the accepted ones, in order. A torn line
        // stands only at the end of a file that was rotated away, and again in the next.
        let mut whole = Vec::new();
        for (at, file) in files.iter().enumerate() {
            let file = String::from_utf8(file.clone()).unwrap();
            for line in file.split_inclusive('\n') {
                if line.ends_with('\n') {
                    whole.push(line.to_owned());
                } else {
                    prop_assert!(file.ends_with(line) && at + 1 < files.len());
                    prop_assert!(accepted[whole.len()].starts_with(line));
                }
            }
        }
        prop_assert_eq!(whole, accepted);
    }

    #[test]
    fn at_every_moment_one_file_is_a_prefix_of_the_accepted_lines(
        writes in prop::collection::vec((0_usize..30, 0_usize..60), 0..60),
    ) {
        let mut batch = Batch::new(50);
        let (mut accepted, mut file) = (Vec::new(), Vec::new());
        for (number, (line, len)) in writes.into_iter().enumerate() {
            batch.push(|out| {
                let line = format!("{number}:{}\n", "x".repeat(line));
                accepted.extend_from_slice(line.as_bytes());
                out.extend_from_slice(line.as_bytes());
            });
            let len = len.min(batch.as_bytes().len());
            file.extend_from_slice(&batch.as_bytes()[..len]);
            batch.written(len);
            prop_assert!(accepted.starts_with(&file));
            prop_assert_eq!([file.as_slice(), batch.as_bytes()].concat(), accepted.clone());
        }
    }
}
