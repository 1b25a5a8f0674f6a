//! Answers, as one document, as lines and as events: however they are cut, the same is read of them, and
//! the client gets the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::llm::meter::{Asked, Format, Hides, Meter, Part, Reading};
use tollgate_core::llm::{Endpoint, Engine};

fn read(
    asked: Asked,
    format: Format,
    alias: Option<&str>,
    answer: &[u8],
    len: usize,
) -> (Option<Reading>, Vec<u8>) {
    let (mut meter, mut got) = (Meter::new(asked, Some(format)), Vec::new());
    if let Some(alias) = alias {
        meter.show_model(alias);
    }
    for buffer in answer.chunks(len.max(1)) {
        meter.read(buffer, &mut |part| match part {
            Part::Held(bytes) => got.extend_from_slice(bytes),
            Part::Range(range) => got.extend_from_slice(&buffer[range]),
        });
    }
    meter.finish(&mut |part| {
        if let Part::Held(bytes) = part {
            got.extend_from_slice(bytes);
        }
    });
    (meter.reading(), got)
}

fuzz_target!(|data: &[u8]| {
    let [endpoint, engine, flags, len, answer @ ..] = data else { return };
    let endpoint = Endpoint::ALL[usize::from(*endpoint) % Endpoint::ALL.len()];
    let engine = Engine::ALL[usize::from(*engine) % Engine::ALL.len()];
    let hides = Hides { usage: flags & 1 != 0, running_usage: flags & 2 != 0 };
    let asked = Asked { hides, ..Asked::one(endpoint, engine) };
    let format = [Format::Json, Format::Sse, Format::Ndjson][usize::from(flags >> 2) % 3];
    let alias = (flags & 128 != 0).then_some("an \"alias\"");
    let whole = read(asked, format, alias, answer, answer.len());
    assert_eq!(read(asked, format, alias, answer, usize::from(*len)), whole);
});
