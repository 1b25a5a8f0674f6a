use super::super::reading::Said;
use super::*;
use proptest::prelude::*;

const RESERVED: Usage = Usage {
    input: 100,
    output: 50,
    cached_input: 0,
    cache_write: 0,
    cache_write_1h: 0,
    reasoning: 0,
};

/// What is reserved is the client's bound.
const TERMS: Terms = Terms { reserved: RESERVED, most_output: 50, stream: true, goes_on: false };

fn said(input: Option<u64>, output: Option<u64>) -> Said {
    Said { input, output, ..Said::default() }
}

fn streamed() -> Reading {
    Reading { is_streamed: true, ..Reading::default() }
}

fn charge(reading: Reading, cut: bool) -> (u64, u64, Source) {
    let (usage, source) = settle(Some(&reading), &TERMS, cut);
    (usage.input, usage.output, source)
}

#[test]
fn the_engines_last_word_counts_however_the_answer_went_on() {
    let reading = Reading {
        said: Said {
            input: Some(31),
            output: Some(400),
            cached_input: Some(26),
            cache_write: Some(4),
            cache_write_1h: Some(9),
            reasoning: Some(7),
        },
        said_final: true,
        deltas: 3,
        delta_bytes: 9,
        ..Reading::default()
    };
    let usage = Usage {
        input: 31,
        output: 400,
        cached_input: 26,
        cache_write: 4,
        cache_write_1h: 4,
        reasoning: 7,
    };
    for (ended, failed, cut) in [(true, false, false), (false, false, true), (false, true, true)] {
        for is_streamed in [false, true] {
            let reading = Reading { ended, failed, is_streamed, ..reading };
            assert_eq!(settle(Some(&reading), &TERMS, cut), (usage, Source::Measured));
        }
    }
}

#[test]
fn a_cut_stream_is_charged_by_its_deltas_up_to_the_bound() {
    let reading = Reading { deltas: 20, delta_bytes: 80, ..streamed() };
    assert_eq!(charge(reading, true), (100, 20, Source::Partial));
    // Without its end mark it is cut, even if nobody noticed.
    assert_eq!(charge(reading, false), (100, 20, Source::Partial));
    let more = Reading { deltas: 51, ..reading };
    assert_eq!(charge(more, true), (100, 50, Source::Partial));
    // The end mark itself may have been cut off from the client.
    let ended = Reading { ended: true, ..reading };
    assert_eq!(charge(ended, true), (100, 20, Source::Partial));
    assert_eq!(charge(streamed(), true), (100, 0, Source::Partial));
}

#[test]
fn a_cut_answer_that_is_no_stream_was_made_before_it_came() {
    let reading = Reading { deltas: 1, delta_bytes: 80, ..Reading::default() };
    assert_eq!(charge(reading, true), (100, 50, Source::Partial));
    let half_said =
        Reading { said: said(Some(31), Some(12)), late_deltas: 1, late_bytes: 80, ..reading };
    assert_eq!(charge(half_said, true), (31, 50, Source::Partial));
    let whole = Reading { said_final: true, ..half_said };
    assert_eq!(charge(whole, true), (31, 12, Source::Measured));
}

#[test]
fn what_the_engine_said_on_its_way_is_no_less_than_what_came() {
    let reading =
        Reading { said: said(Some(31), Some(12)), deltas: 9, delta_bytes: 9, ..streamed() };
    assert_eq!(charge(reading, true), (31, 12, Source::Partial));
    assert_eq!(charge(Reading { deltas: 14, ..reading }, true), (31, 14, Source::Partial));
    // Several tokens in a delta are as many as the engine says, whatever their length is.
    let bundled = Reading { delta_bytes: 160, ..reading };
    assert_eq!(charge(bundled, true), (31, 12, Source::Partial));
    let late = Reading { late_deltas: 1, late_bytes: 80, ..bundled };
    assert_eq!(charge(late, true), (31, 32, Source::Partial));
    let beyond = Reading { said: said(Some(31), Some(70)), ..reading };
    assert_eq!(charge(beyond, true), (31, 70, Source::Partial));
}

#[test]
fn a_whole_answer_without_usage_is_estimated() {
    let reading = Reading { ended: true, deltas: 60, delta_bytes: 240, ..streamed() };
    assert_eq!(charge(reading, false), (100, 60, Source::Estimated));
    let half_said = Reading { said: said(None, Some(12)), said_final: true, ..reading };
    assert_eq!(charge(half_said, false), (100, 12, Source::Estimated));
}

#[test]
fn what_is_not_recognised_is_charged_as_reserved() {
    for is_streamed in [false, true] {
        let whole = Reading { ended: true, is_streamed, ..Reading::default() };
        assert_eq!(charge(whole, false), (100, 50, Source::Estimated));
        assert_eq!(
            charge(Reading { is_strange: true, ..whole }, false),
            (100, 50, Source::Estimated)
        );
        let cut = Reading { is_strange: true, is_streamed, ..Reading::default() };
        assert_eq!(charge(cut, true), (100, 50, Source::Partial));
    }
}

#[test]
fn a_stream_that_ends_before_its_first_token_is_cut_whoever_notices() {
    // Where the end of the connection is that of the answer (HTTP/1.0), nginx can't tell an engine that has
    // died from one that is done: the end mark does.
    let begun = Reading { has_begun: true, ..streamed() };
    assert_eq!(charge(begun, true), (100, 0, Source::Partial));
    assert_eq!(charge(begun, false), (100, 0, Source::Partial));
    // What is no answer, and one that is whole, may hold what nobody recognised.
    assert_eq!(charge(streamed(), false), (100, 50, Source::Partial));
    assert_eq!(charge(Reading { ended: true, ..begun }, false), (100, 50, Source::Estimated));
    let document = Reading { is_streamed: false, ..begun };
    assert_eq!(charge(document, false), (100, 50, Source::Partial));
}

#[test]
fn an_answer_without_a_byte_costs_nothing_unless_it_was_cut() {
    assert_eq!(settle(None, &TERMS, false), (Usage::default(), Source::None));
    let (usage, source) = settle(None, &TERMS, true);
    assert_eq!((usage.input, usage.output, source), (100, 0, Source::Partial));
    // Its header says that all of it is ready.
    let whole = Terms { stream: false, ..TERMS };
    assert_eq!(settle(None, &whole, true), (RESERVED, Source::Partial));
    assert_eq!(settle(None, &whole, false), (Usage::default(), Source::None));
}

#[test]
fn who_leaves_pays_what_an_engine_makes_that_goes_on() {
    for (stream, goes_on, output) in
        [(true, true, 0), (true, false, 0), (false, false, 0), (false, true, 50)]
    {
        let (usage, source) = Terms { stream, goes_on, ..TERMS }.of_no_answer();
        assert_eq!((usage.input, usage.output, source), (100, output, Source::Partial));
    }
}

#[test]
fn an_error_costs_nothing_unless_output_had_come() {
    for input in [None, Some(1_500)] {
        for output in [None, Some(0)] {
            for said_final in [false, true] {
                let reading = Reading {
                    failed: true,
                    ended: true,
                    said: said(input, output),
                    said_final,
                    ..streamed()
                };
                assert_eq!(charge(reading, false), (0, 0, Source::None));
                let late = Reading { deltas: 2, delta_bytes: 8, said_final: false, ..reading };
                assert_eq!(charge(late, false), (input.unwrap_or(100), 2, Source::Partial));
            }
        }
    }
    let hidden = Reading { failed: true, said: said(Some(31), Some(7)), ..streamed() };
    assert_eq!(charge(hidden, false), (31, 7, Source::Partial));
}

#[test]
fn input_of_some_prompts_is_no_less_than_the_estimate_of_all() {
    let reading = Reading {
        said: said(Some(9), Some(15)),
        said_final: true,
        lacks_prompts: true,
        ended: true,
        ..Reading::default()
    };
    assert_eq!(charge(reading, false), (100, 15, Source::Estimated));
    let more = Reading { said: said(Some(109), Some(15)), ..reading };
    assert_eq!(charge(more, false), (109, 15, Source::Estimated));
}

#[test]
fn cached_input_that_was_told_twice_counts_once() {
    let reading = |whole: u64, sum| Reading {
        said: said(Some(sum), Some(5)),
        said_final: true,
        input_with_cache: Some(whole),
        ended: true,
        ..Reading::default()
    };
    assert_eq!(charge(reading(110, 200), false), (110, 5, Source::Measured));
    assert_eq!(charge(reading(80, 150), false), (80, 5, Source::Measured));
    // An estimate that fits neither, decides nothing.
    assert_eq!(charge(reading(60, 110), false), (110, 5, Source::Measured));
    assert_eq!(charge(reading(1_000, 1_900), false), (1_900, 5, Source::Measured));
}

proptest! {
    #[test]
    fn a_cut_stream_costs_between_what_came_and_what_was_reserved_or_said(
        deltas in 0_u64..100, bytes in 0_u64..2_000, output: Option<u16>,
    ) {
        let output = output.map(u64::from);
        let reading =
            Reading { said: said(None, output), deltas, delta_bytes: bytes, ..streamed() };
        let (usage, source) = settle(Some(&reading), &TERMS, true);
        prop_assert_eq!(source, Source::Partial);
        prop_assert!(usage.output >= deltas.min(RESERVED.output));
        prop_assert!(usage.output <= output.unwrap_or(0).max(RESERVED.output));
    }

    #[test]
    fn nobody_gets_text_for_nothing(
        deltas in 1_u64..100, bytes in 1_u64..2_000, is_streamed: bool, ended: bool, failed: bool,
        cut: bool, said_final: bool, input: Option<u16>,
    ) {
        let reading = Reading {
            said: said(input.map(u64::from), None),
            said_final, is_streamed, ended, failed, deltas, delta_bytes: bytes,
            ..Reading::default()
        };
        let (usage, source) = settle(Some(&reading), &TERMS, cut);
        prop_assert!(usage.output > 0 && source != Source::None);
    }
}
