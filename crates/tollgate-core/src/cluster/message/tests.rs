use super::numbers::Numbers;
use super::*;

fn line(n: u16) -> Line {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&n.to_le_bytes());
    Line {
        id: StoreId(id),
        terms: Terms::Bucket { capacity: 100, count: 60, period_us: 60_000_000 },
        born: 3,
        drawn: 1_000,
        adjust: -7,
        acked_drawn: 990,
        acked_adjust: 2,
        in_doubt: true,
        held: 20,
        want: 30,
        known: 40,
        heard_us: 1_799_999_999_999_000,
        reset: true,
    }
}

fn message(lines: u16) -> Message {
    Message {
        incarnation: Incarnation::from_random(u64::MAX),
        seq: 5,
        latest_us: 1_800_000_000_000_000,
        lines: (0..lines).map(line).collect(),
    }
}

#[test]
fn a_call_says_what_its_lines_say() {
    let message = message(1);
    let call = &Call::all(&message, Shards::ONE)[0];
    let bytes = call.argument(77);
    let mut numbers = Numbers::of(&bytes).unwrap();
    let said: Vec<u64> =
        std::iter::from_fn(|| (numbers.left() > 11).then(|| numbers.next().unwrap())).collect();
    let head = [1, (1 << 53) - 1, 5, 1_800_000_000_000_000, 77];
    assert_eq!(said[..5], head);
    assert_eq!(said[5..], [12, 100, 60]);
    assert_eq!([numbers.next(), numbers.next()], [Some(60_000_000), Some(0)]);
    assert_eq!([numbers.next(), numbers.next()], [Some(3), Some(1_000)]);
    // Adjusted less than nothing, which an answer never says.
    assert_eq!(numbers.next(), None);
    let keys = call.keys("prod");
    assert_eq!(keys[0], b"tollgate:{prod:00}:life");
    assert_eq!(keys[1], [&b"tollgate:{prod:00}"[..], &[0; 16]].concat());
}

#[test]
fn a_long_message_takes_several_calls_and_each_line_is_in_one() {
    let message = message(5_000);
    for shards in [Shards::ONE, Shards::MANY] {
        let calls = Call::all(&message, shards);
        let mut places: Vec<usize> = Vec::new();
        for call in &calls {
            assert!(call.lines().len() <= MAX_CALL);
            assert!(call.lines().all(|line| shards.of(line.id) == call.shard()));
            places.extend(call.places());
        }
        places.sort_unstable();
        assert_eq!(places, (0..5_000).collect::<Vec<_>>());
        assert_eq!(calls.len(), if shards == Shards::ONE { 5 } else { 64 });
    }
}

#[test]
fn a_message_without_lines_is_a_call() {
    let message = message(0);
    let calls = Call::all(&message, Shards::MANY);
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].shard(), calls[0].keys("a").len()), (0, 1));
}

/// An answer as a store writes it.
fn bytes(numbers: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    super::numbers::begin(&mut out, u32::try_from(numbers.len()).unwrap());
    numbers.iter().for_each(|n| super::numbers::write(&mut out, *n));
    out
}

#[test]
fn an_answer_counts_as_a_whole_or_not_at_all() {
    let message = message(2);
    let call = &Call::all(&message, Shards::ONE)[0];
    let good = [1, 0, 5, 9_000_000, 8_000_000, 0, 30, 10, 50, 7, 1, 0, 1, 0, 10, 50, 7, 0, 99];
    let read = call.read(&bytes(&good)).unwrap();
    let Outcome::Done(sold) = &read.outcome else { panic!("{read:?}") };
    assert_eq!((sold[0].grant, sold[0].is_short, sold[1].status), (30, true, Status::Old));
    let mistakes: &[(usize, u64)] = &[
        (0, 2),       // another form
        (1, 2),       // neither executed nor late
        (1, 1),       // late, and lines
        (2, 6),       // to another message
        (3, 1 << 53), // no time
        (5, 4),       // no status
        (6, 31),      // more than was wanted
        (8, 101),     // more left than there is
        (10, 2),      // neither short nor not
        (13, 1),      // sold, but not executed
        (18, 1 << 60),
    ];
    for (at, wrong) in mistakes {
        let mut numbers = good;
        numbers[*at] = *wrong;
        assert_eq!(call.read(&bytes(&numbers)), Err(Void), "{at}: {wrong}");
    }
    assert_eq!(call.read(&bytes(&good[..12])), Err(Void));
    assert_eq!(call.read(&[&bytes(&good)[..], b"\x00"].concat()), Err(Void));
    let cut = bytes(&good);
    for length in 0..cut.len() {
        assert_eq!(call.read(&cut[..length]), Err(Void));
    }
}

#[test]
fn numbers_that_are_too_great_are_said_as_the_greatest() {
    let signed = i64::try_from(MAX).unwrap();
    let great = Line {
        born: u64::MAX,
        drawn: u64::MAX,
        adjust: i64::MIN,
        acked_drawn: u64::MAX,
        acked_adjust: i64::MAX,
        held: u64::MAX,
        want: u64::MAX,
        known: u64::MAX,
        ..line(1)
    };
    let cut = Line {
        born: MAX,
        drawn: MAX,
        adjust: -signed,
        acked_drawn: MAX,
        acked_adjust: signed,
        held: MAX_HELD,
        want: MAX_HELD,
        known: MAX,
        ..line(1)
    };
    assert_eq!(great.cut(), cut);
    // More than was drawn can't have been acknowledged.
    let unsaid = Line { drawn: 989, ..line(1) };
    assert_eq!(unsaid.cut(), Line { acked_drawn: 989, ..unsaid });
    assert_eq!(line(1).cut(), line(1));
}

#[test]
fn an_array_is_read_by_each_of_its_forms_and_ends_with_its_bytes() {
    let read = |bytes: &[u8]| {
        let mut numbers = Numbers::of(bytes)?;
        (0..numbers.left()).map(|_| numbers.next()).collect::<Option<Vec<_>>>()
    };
    let three = [0xcc, 0xff, 0xd2, 0x7f, 0, 0, 1, 7];
    for head in [&[0x93][..], &[0xdc, 0, 3], &[0xdd, 0, 0, 0, 3]] {
        let bytes = [head, &three].concat();
        assert_eq!(read(&bytes), Some(vec![0xff, 0x7f00_0001, 7]), "{head:x?}");
        assert_eq!(read(&bytes[..bytes.len() - 1]), None, "{head:x?}");
    }
    // Less than nothing.
    for negative in [&[0xd0, 0xff][..], &[0xd2, 0xff, 0, 0, 1], &[0xe0]] {
        assert_eq!(read(&[&[0x91], negative].concat()), None, "{negative:x?}");
    }
}
