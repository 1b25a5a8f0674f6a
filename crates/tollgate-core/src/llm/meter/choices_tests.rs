//! What is charged of several answers to one request.

use super::numbers_tests::{charge, engine, AS_RESERVED};
use super::tests::{reading_of, DELTA, DONE};
use super::*;
use crate::llm::Source;

fn choice(index: u64, text: &str, usage: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":{index},\"text\":\"{text}\"}}]{usage}}}\n\n")
}

fn running(input: u64, output: u64) -> String {
    format!(",\"usage\":{{\"prompt_tokens\":{input},\"completion_tokens\":{output}}}")
}

#[test]
fn usage_of_one_choice_is_not_that_of_the_request() {
    let four = Asked { choices: 4, per_prompt: 4, ..engine(Endpoint::Completions, Engine::Vllm) };
    let stream: String = (0..200).map(|n| choice(n % 4, "a", &running(7, 1 + n / 4))).collect();
    assert_eq!(charge(four, Format::Sse, &stream), (7, 200, Source::Partial));
    // Two prompts of two answers each; the second prompt's first answer hasn't begun.
    let two = Asked { per_prompt: 2, ..four };
    let stream = [(0, 7, 3), (1, 7, 4), (3, 9, 5)]
        .map(|(index, input, output)| choice(index, "a", &running(input, output)))
        .concat();
    assert_eq!(charge(two, Format::Sse, &stream), (16, 12, Source::Partial));
    // One prompt of two has been told of.
    let begun = choice(0, "a", &running(7, 3));
    assert_eq!(charge(two, Format::Sse, &begun), (100, 3, Source::Partial));
    // The last word is of the request.
    let last =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":16,\"completion_tokens\":13}}\n\n";
    let whole = [&*stream, last, DONE].concat();
    assert_eq!(charge(two, Format::Sse, &whole), (16, 13, Source::Measured));
}

#[test]
fn several_tokens_in_a_chunk_are_as_many_as_the_engine_says() {
    let one = engine(Endpoint::Completions, Engine::Vllm);
    // A busy vLLM sends what it has made meanwhile at once; by their length it would be 30.
    let long = "word word word word word word word words";
    let stream = [2, 4, 6].map(|output| choice(0, long, &running(7, output))).concat();
    assert_eq!(charge(one, Format::Sse, &stream), (7, 6, Source::Partial));
    // What comes behind the last number is counted, by its length where it is too long for a token.
    let more = [&*stream, &choice(0, "a", ""), &choice(0, "b", "")].concat();
    assert_eq!(charge(one, Format::Sse, &more), (7, 8, Source::Partial));
    let more = [&*stream, &choice(0, long, "")].concat();
    assert_eq!(charge(one, Format::Sse, &more), (7, 16, Source::Partial));
    // Of several answers the number may be that of one.
    let several = Asked { choices: 3, per_prompt: 1, engine: Engine::OpenAi, ..one };
    assert_eq!(charge(several, Format::Sse, &stream), (7, 30, Source::Partial));
}

#[test]
fn llamacpp_says_the_usage_of_one_answer_at_a_time() {
    let n2 = Asked { choices: 2, per_prompt: 2, ..engine(Endpoint::Chat, Engine::LlamaCpp) };
    let finish = |index: u64| {
        format!("data: {{\"choices\":[{{\"index\":{index},\"finish_reason\":\"stop\",\"delta\":{{}}}}]}}\n\n")
    };
    let usage = |output: u64| {
        format!(
            "data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":25,\"completion_tokens\":{output}}},\
             \"timings\":{{\"cache_n\":20,\"prompt_n\":5,\"predicted_n\":{output}}}}}\n\n"
        )
    };
    let stream = [&*finish(1), &usage(3), &finish(0), &usage(4), DONE].concat();
    // Also where it isn't known who answers.
    for asked in [n2, Asked { engine: Engine::OpenAi, ..n2 }] {
        assert_eq!(charge(asked, Format::Sse, &stream), (25, 7, Source::Measured));
        let cut = [&*finish(1), &usage(3), DELTA].concat();
        assert_eq!(charge(asked, Format::Sse, &cut), (25, 3, Source::Partial));
    }
    let json = |second: &str| {
        format!(
            "{{\"choices\":[{{\"finish_reason\":\"length\",\"message\":{{\"content\":\"12345678\"}}}},{second}],\
             \"usage\":{{\"prompt_tokens\":25,\"completion_tokens\":4}},\"timings\":{{\"prompt_n\":25}}}}"
        )
    };
    let at_bound = "{\"finish_reason\":\"length\",\"message\":{\"content\":\"1\"}}";
    assert_eq!(charge(n2, Format::Json, &json(at_bound)), (25, 8, Source::Measured));
    // One that stopped before, has as many tokens as the first for as much text.
    let stopped = "{\"finish_reason\":\"stop\",\"message\":{\"content\":\"123456\"}}";
    assert_eq!(charge(n2, Format::Json, &json(stopped)), (25, 7, Source::Estimated));
    // The first may have been thinking all the time.
    let mute = json(stopped).replace("12345678", "");
    assert_eq!(charge(n2, Format::Json, &mute), (25, 6, Source::Estimated));
    // vLLM says all of it.
    let vllm = Asked { engine: Engine::Vllm, ..n2 };
    let json = json(stopped).replace(",\"timings\":{\"prompt_n\":25}", "");
    assert_eq!(charge(vllm, Format::Json, &json), (25, 4, Source::Measured));
    // Without usage, the timings say it.
    let timings = "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"delta\":{}}],\
                   \"timings\":{\"cache_n\":26,\"prompt_n\":5,\"predicted_n\":12}}\n\n";
    let one = engine(Endpoint::Chat, Engine::LlamaCpp);
    let reading = reading_of(one, Some(Format::Sse), &[DELTA, timings, DONE].concat()).unwrap();
    assert_eq!(reading.said.cached_input, Some(26));
    assert_eq!(charge(one, Format::Sse, &[DELTA, timings].concat()), (31, 12, Source::Measured));
}

#[test]
fn native_answers_say_how_far_each_answer_came() {
    let llama = engine(Endpoint::LlamaCompletion, Engine::LlamaCpp);
    let one = "{\"index\":0,\"content\":\"...\",\"tokens_predicted\":8,\"tokens_evaluated\":5,\
               \"stop\":true,\"stop_type\":\"limit\",\"timings\":{\"cache_n\":4}}";
    assert_eq!(charge(llama, Format::Json, one), (5, 8, Source::Measured));
    let reading = reading_of(llama, Some(Format::Json), one).unwrap();
    assert_eq!((reading.said.cached_input, reading.hit_bound), (Some(4), true));
    let bare = "{\"content\":\"...\",\"tokens_predicted\":8,\"tokens_evaluated\":5}";
    assert_eq!(charge(llama, Format::Json, bare), (5, 8, Source::Measured));
    // An array of them: two prompts, or two answers to one.
    let two = format!("[{one},{}]", one.replace("\"index\":0", "\"index\":1"));
    let prompts = Asked { choices: 2, per_prompt: 1, ..llama };
    assert_eq!(charge(prompts, Format::Json, &two), (10, 16, Source::Measured));
    let n = Asked { choices: 2, per_prompt: 2, ..llama };
    assert_eq!(charge(n, Format::Json, &two), (5, 16, Source::Measured));
    // Broken off, the rest is as reserved.
    let cut = two.get(..two.len() - 30).unwrap_or_default();
    assert_eq!(charge(prompts, Format::Json, cut).1, 50);

    let event = |index: u64, output: u64, stop: bool| {
        format!(
            "data: {{\"index\":{index},\"content\":\"a\",\"tokens\":[1],\"stop\":{stop},\
             \"tokens_predicted\":{output},\"tokens_evaluated\":5}}\n\n"
        )
    };
    let stream =
        ["data: null\n\n", &event(1, 1, false), &event(0, 1, false), &event(0, 3, true)].concat();
    assert_eq!(charge(prompts, Format::Sse, &stream), (10, 4, Source::Partial));
    let whole = [&*stream, &event(1, 2, true)].concat();
    assert_eq!(charge(prompts, Format::Sse, &whole), (10, 5, Source::Measured));
    // Of more answers than are kept, what one has said before its end doesn't add up.
    let many = Asked { choices: 300, ..prompts };
    let stream: String =
        (0..300).map(|index| event(index, 1, false) + &event(index, 2, true)).collect();
    assert_eq!(charge(many, Format::Sse, &stream), (1_500, 600, Source::Measured));

    let sglang = engine(Endpoint::SglangGenerate, Engine::Sglang);
    let meta = |output: u64, finish: &str| {
        format!(
            "{{\"text\":\"some text\",\"meta_info\":{{\"id\":\"x\",\"finish_reason\":{finish},\
             \"prompt_tokens\":7,\"completion_tokens\":{output},\"cached_tokens\":3}}}}"
        )
    };
    let length = "{\"type\":\"length\",\"length\":9}";
    assert_eq!(charge(sglang, Format::Json, &meta(9, length)), (7, 9, Source::Measured));
    let reading = reading_of(sglang, Some(Format::Json), &meta(9, length)).unwrap();
    assert_eq!((reading.said.cached_input, reading.hit_bound), (Some(3), true));
    let both = Asked { choices: 2, per_prompt: 2, ..sglang };
    let array = format!("[{},{}]", meta(9, length), meta(4, "{\"type\":\"stop\"}"));
    assert_eq!(charge(both, Format::Json, &array), (7, 13, Source::Measured));
    // Cumulative text is no delta.
    let stream: String = (1..=5).map(|n| format!("data: {}\n\n", meta(n, "null"))).collect();
    assert_eq!(charge(sglang, Format::Sse, &stream), (7, 5, Source::Partial));
    let whole = format!("{stream}data: {}\n\n{DONE}", meta(6, length));
    assert_eq!(charge(sglang, Format::Sse, &whole), (7, 6, Source::Measured));
    // Its client chose not to be told.
    let silent = "{\"text\":\"twelve bytes\"}";
    assert_eq!(charge(sglang, Format::Json, silent), AS_RESERVED);
    let silent = format!("{{\"content\":\"{}\"}}", "a".repeat(400));
    assert_eq!(charge(llama, Format::Json, &silent), (100, 100, Source::Estimated));
}

#[test]
fn each_of_many_answers_is_charged() {
    let prompts = 1_000;
    let asked = Asked { choices: prompts, ..engine(Endpoint::Completions, Engine::LlamaCpp) };
    let answer = |index| {
        format!(
            "data: {{\"choices\":[{{\"index\":{index},\"text\":\"a\",\"finish_reason\":\"length\"}}],\
             \"usage\":{{\"prompt_tokens\":2,\"completion_tokens\":10}}}}\n\n"
        )
    };
    let stream: String = (0..prompts).map(answer).collect();
    assert_eq!(charge(asked, Format::Sse, &stream), (2_000, 10_000, Source::Measured));
}

#[test]
fn what_tgi_made_and_did_not_choose_is_charged() {
    let best_of = Asked { choices: 3, per_prompt: 3, ..engine(Endpoint::TgiGenerate, Engine::Tgi) };
    let others = "\"best_of_sequences\":[{\"generated_tokens\":4},{\"generated_tokens\":5}]";
    let answer = format!(
        "{{\"generated_text\":\"a\",\"details\":{{\"generated_tokens\":3,\
         \"prefill\":[{{\"id\":1}}],{others}}}}}"
    );
    assert_eq!(charge(best_of, Format::Json, &answer), (1, 12, Source::Measured));
    let silent = "{\"generated_text\":\"twelve bytes\"}";
    assert_eq!(charge(best_of, Format::Json, silent), (100, 9, Source::Estimated));
}
