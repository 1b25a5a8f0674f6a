//! What holds for whatever comes in. The targets in `fuzz/` try it with inputs of their own, and the tests here with those
//! that are kept in `fuzz/seeds`.

use std::sync::{Arc, LazyLock};

use tollgate_core::cluster::message::{
    Call, Incarnation, Line, Message, Outcome, Shards, Status, StoreId, Terms,
};
use tollgate_core::llm::meter::{Format, Part};
use tollgate_core::llm::request::edits::Edits;
use tollgate_core::llm::shown::{Body, Guarded, Halt, Shown};
use tollgate_core::llm::texts::Texts;
use tollgate_core::llm::Endpoint;
use tollgate_guard::finding::{Action, RuleIndex};
use tollgate_guard::guard::Guard;
use tollgate_guard::settings::{Settings, What, Wish};
use tollgate_guard::stream::StreamGuard;

static GUARD: LazyLock<Arc<StreamGuard>> = LazyLock::new(|| {
    let wish = |what, action| Wish { what, action, threshold: None };
    let pattern = What::Pattern { name: "codename".into(), pattern: "open sesame".into() };
    let wishes = vec![
        wish(What::Pii(vec!["email".into(), "card".into()]), Action::Mask),
        wish(What::Secrets(vec!["aws_access_key".into(), "private_key".into()]), Action::Mask),
        wish(pattern, Action::Block),
    ];
    Guard::new(&Settings { wishes }).unwrap().stream().unwrap()
});

fn endpoint(byte: u8) -> Endpoint {
    Endpoint::ALL[usize::from(byte) % Endpoint::ALL.len()]
}

/// A changed body has what was put into it, and all its other texts as they were.
pub(crate) fn texts(data: &[u8]) {
    let [form, which, from, to, body @ ..] = data else { return };
    // Guards look into bodies that have been read and found good.
    if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err() {
        return;
    }
    let form = endpoint(*form);
    let Some(texts) = Texts::of(body.to_vec(), form) else { return };
    let said: Vec<&str> = texts.iter().map(|text| texts.said(text)).collect();
    let Some(index) = usize::from(*which).checked_rem(said.len()) else { return };
    let (text, old) = (texts.get(index).unwrap(), said[index]);
    let places: Vec<usize> = old.char_indices().map(|(at, _)| at).chain([old.len()]).collect();
    let place = |byte: u8| places[usize::from(byte) % places.len()];
    let (start, end) = (place(*from).min(place(*to)), place(*from).max(place(*to)));
    // Whoever changes a number asks first, and is told that it goes as a whole.
    let is_number = old.parse::<f64>().is_ok();
    if is_number && texts.changer(text).parts(start..end).iter().any(|part| part.is_quoted) {
        return;
    }
    let mut edits = Edits::default();
    texts.edit(text, [(start..end, "[\"\\\n]")].into_iter(), &mut edits);
    let changed = edits.apply(body).unwrap();
    assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&changed).is_ok());
    let new = Texts::of(changed, form).unwrap();
    let now: Vec<&str> = new.iter().map(|text| new.said(text)).collect();
    // A name or a kind that is changed may show more, or less, of what belongs to it.
    if now.len() == said.len() {
        for (place, (was, is)) in said.iter().zip(&now).enumerate() {
            match place == index {
                true => assert_eq!(*is, format!("{}[\"\\\n]{}", &was[..start], &was[end..])),
                false => assert_eq!(is, was),
            }
        }
    }
}

type Told = (Vec<u8>, Option<Halt>, Vec<(RuleIndex, u32)>);

fn shown(form: Option<Endpoint>, body: Body, answer: &[u8], len: usize, changes: bool) -> Told {
    let guarded = Guarded { guard: Arc::clone(&GUARD), vault: None, leak: None, changes };
    let mut shown = Shown::new(form, body, guarded, r#"{"error":{"message":"No."}}"#);
    let mut out = Vec::new();
    for buffer in answer.chunks(len.max(1)) {
        shown.read(&Part::Range(0..buffer.len()), buffer, &mut |part| match part {
            Part::Held(bytes) => out.extend_from_slice(bytes),
            Part::Range(range) => out.extend_from_slice(&buffer[range]),
        });
    }
    shown.finish(&mut |part| {
        if let Part::Held(bytes) = part {
            out.extend_from_slice(bytes);
        }
    });
    let counts = shown.counts();
    (out, shown.halted(), counts)
}

/// What the client is shown of an answer doesn't depend on how it is cut; one that may only be watched passes as it is.
pub(crate) fn answers(data: &[u8]) {
    let [form, kind, len, answer @ ..] = data else { return };
    let form = (*form != 255).then(|| endpoint(*form));
    let body = match kind % 5 {
        0 => Body::Documents(Some(Format::Json)),
        1 => Body::Documents(Some(Format::Sse)),
        2 => Body::Documents(Some(Format::Ndjson)),
        3 => Body::Documents(None),
        _ => Body::Plain,
    };
    let whole = shown(form, body, answer, answer.len(), true);
    for len in [usize::from(*len), 1] {
        let cut = shown(form, body, answer, len, true);
        if body == Body::Plain && std::str::from_utf8(answer).is_err() {
            // What comes before the byte that is none of a text may have been shown, or have blocked the answer.
            assert_eq!(cut.1.is_some(), whole.1.is_some());
        } else {
            assert_eq!(cut, whole);
        }
    }
    let (watched, halt, _) = shown(form, body, answer, usize::from(*len), false);
    assert_eq!(watched, answer);
    assert_eq!(halt, None);
    let is_json = |text: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
    if kind % 5 == 0 && whole.1.is_none() && is_json(answer) {
        assert!(is_json(&whole.0), "{}", String::from_utf8_lossy(&whole.0));
    }
}

/// Whatever bytes a store answers with: they are void, or an answer to each line of the call, in bounds.
pub(crate) fn cluster_wire(data: &[u8]) {
    let [lines, want, answer @ ..] = data else { return };
    let want = u64::from(*want);
    let line = |n: u8| Line {
        id: StoreId([n; 16]),
        terms: match n % 3 {
            0 => Terms::Bucket { capacity: 100, count: 1, period_us: 1_000_000 },
            1 => Terms::Budget { amount: 1_000_000, number: 3, from_us: 1, until_us: 1 << 51 },
            _ => Terms::Slots { limit: 9 },
        },
        born: 1,
        drawn: u64::MAX,
        adjust: i64::MIN,
        acked_drawn: 0,
        acked_adjust: i64::MAX,
        in_doubt: true,
        held: u64::MAX,
        want,
        known: 7,
        heard_us: 1,
        reset: false,
    };
    let lines = (0..lines % 8).map(line).collect();
    let message = Message { incarnation: Incarnation::from_random(1), seq: 5, latest_us: 9, lines };
    for call in Call::all(&message, Shards::ONE) {
        assert_eq!(call.keys("name").len(), 1 + message.lines.len());
        assert!(!call.argument(0).is_empty());
        let Ok(read) = call.read(answer) else { continue };
        assert!(answer.len() <= call.max_answer());
        // The same numbers may be written in other forms; in ours they read the same.
        assert_eq!(call.read(&read.to_bytes(&call)).as_ref(), Ok(&read));
        let Outcome::Done(sold) = read.outcome else { continue };
        assert_eq!(sold.len(), message.lines.len());
        for (sold, line) in sold.iter().zip(&message.lines) {
            assert!(sold.grant <= want && sold.unsold <= line.terms.capacity());
            assert!(sold.grant == 0 || sold.status == Status::Done);
        }
    }
}
