//! Bodies of requests. The reader gets them whole and cut, and must say the same; what it says is JSON or
//! not, must be that to serde_json as well.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_core::llm::request::{parse, BodyReader, RequestError};
use tollgate_core::llm::{Endpoint, Engine};

fuzz_target!(|data: &[u8]| {
    let [endpoint, engine, len, body @ ..] = data else { return };
    let endpoint = Endpoint::ALL[usize::from(*endpoint) % Endpoint::ALL.len()];
    let engine = Engine::ALL[usize::from(*engine) % Engine::ALL.len()];
    let whole = parse(body, endpoint, engine);
    let mut reader = BodyReader::new(endpoint, engine);
    body.chunks(usize::from(*len).max(1)).for_each(|slice| reader.read(slice));
    assert_eq!(reader.finish(), whole);

    let is_json = serde_json::from_slice::<serde_json::Value>(body).is_ok();
    if whole == Err(RequestError::NotJson) {
        assert!(!is_json);
    }
    // Engines take halves of surrogate pairs, and a byte order mark.
    let is_more = body.starts_with(b"\xef\xbb\xbf")
        || body.contains(&0xed)
        || body.windows(3).any(|part| matches!(part, [b'\\', b'u', b'd' | b'D']));
    if whole.is_ok() && !is_more {
        assert!(is_json);
    }
});
