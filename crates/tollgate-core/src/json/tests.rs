//! The scanner of what is only read along.

use super::text::HEAD_LEN;
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{json, Value};

/// A place is the path to a value; what is under `skip` has none.
const PLACES: usize = 64;

/// Writes down what it is told. Places are indices into the list of paths.
#[derive(Default)]
struct Record {
    paths: std::cell::RefCell<Vec<String>>,
    told: Vec<String>,
}

impl Record {
    fn place(&self, path: String) -> Option<usize> {
        let mut paths = self.paths.borrow_mut();
        if path.contains("skip") || paths.len() >= PLACES {
            return None;
        }
        paths.push(path);
        Some(paths.len())
    }

    fn path(&self, place: usize) -> String {
        place.checked_sub(1).map_or_else(|| "$".to_owned(), |at| self.paths.borrow()[at].clone())
    }

    fn tell(&mut self, place: usize, what: &str) {
        let path = self.path(place);
        self.told.push(format!("{path} {what}"));
    }
}

impl Reader for Record {
    type Place = usize;
    const STRICT: bool = false;

    fn member(&mut self, object: usize, key: JsonString<'_>) -> Result<Option<usize>, Stop> {
        Ok(self.place(format!("{}.{}", self.path(object), String::from_utf8_lossy(key.head))))
    }

    fn element(&mut self, array: usize) -> Option<usize> {
        self.place(format!("{}[]", self.path(array)))
    }

    fn begin(&mut self, place: usize, container: Container, _at: usize) -> Result<usize, Stop> {
        self.tell(place, if container == Container::Object { "{" } else { "[" });
        Ok(place)
    }

    fn end(&mut self, place: usize) -> Result<(), Stop> {
        self.tell(place, "end");
        Ok(())
    }

    fn string(&mut self, place: usize, string: JsonString<'_>) -> Result<(), Stop> {
        self.tell(place, &format!("{:?} {}", String::from_utf8_lossy(string.head), string.len));
        Ok(())
    }

    fn scalar(&mut self, place: usize, scalar: Scalar, _at: usize) -> Result<(), Stop> {
        self.tell(place, &format!("{scalar:?}"));
        Ok(())
    }
}

const MAX_DEPTH: usize = 8;

type Scanner = super::Scanner<usize, MAX_DEPTH>;

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Scanner) {
    let (mut scanner, mut record) = (Scanner::new(0), Record::default());
    pieces.into_iter().for_each(|piece| {
        let _ = scanner.read(piece, &mut record);
    });
    (record.told, scanner)
}

/// What is told of a document, which must not depend on how it is cut.
fn told(document: &[u8]) -> Vec<String> {
    let (whole, scanner) = read([document]);
    for len in 1..document.len().min(20) {
        let (cut, cut_scanner) = read(document.chunks(len));
        assert_eq!(cut, whole, "{len}");
        assert_eq!(cut_scanner.state, scanner.state, "{len}");
    }
    whole
}

fn is_done(document: &str) -> bool {
    read([document.as_bytes()]).1.is_done()
}

#[test]
fn values_are_told_with_their_places() {
    assert_eq!(
        told(br#" {"a" : [ 1, "x" ,{"b":null}, [] ],"skip":{"c":"d"}, "e":true , "f":false,"g":1.5} "#),
        [
            "$ {", "$.a [", "$.a[] Unsigned(1)", "$.a[] \"x\" 1", "$.a[] {", "$.a[].b Null",
            "$.a[] end", "$.a[] [", "$.a[] end", "$.a end", "$.e Bool(true)", "$.f Bool(false)", "$.g Other",
            "$ end",
        ]
    );
    assert_eq!(told(b"\"x\""), ["$ \"x\" 1"]);
    assert_eq!(told(b"{}"), ["$ {", "$ end"]);
}

#[test]
fn numbers_that_python_writes_and_halves_of_surrogate_pairs_break_nothing() {
    assert_eq!(
        told(br#"{"a":NaN,"b":[Infinity,-Infinity],"c":"\ud83d","d\udc00":NaN , "e":1}"#),
        [
            "$ {",
            "$.a Other",
            "$.b [",
            "$.b[] Other",
            "$.b[] Other",
            "$.b end",
            "$.c \"\u{fffd}\u{fffd}\" 2",
            "$.d\u{fffd}\u{fffd} Other",
            "$.e Unsigned(1)",
            "$ end"
        ]
    );
    // What comes as a byte is a byte.
    assert!(is_done(r#"{"a":NaN}"#));
    assert!(read([&b"{\"a\":\"\xed\xa0\xbd\xff\"}"[..]]).1.is_done());
}

#[test]
fn what_looks_like_json_in_a_string_is_none() {
    let document =
        br#"{"a":"\"b\":1,\\","skip":["\"}]\\\\\"",{"}":"{[\\"}],"skip2":"\\\"]","c":2}"#;
    assert_eq!(told(document), ["$ {", "$.a \"\\\"b\\\":1,\\\\\" 7", "$.c Unsigned(2)", "$ end"]);
}

#[test]
fn escapes_are_resolved_in_keys_and_lengths() {
    assert_eq!(
        told(br#"{"\u0061":"\n\t\/","a\"b":"\u00e9\u4f60\ud83d\ude00","\u0073kip":1,"sk\u0069p":{}}"#),
        ["$ {", "$.a \"\\n\\t/\" 3", "$.a\"b \"é你😀\" 9", "$ end"]
    );
}

#[test]
fn long_strings_are_measured_and_long_keys_have_no_place() {
    let text = "x".repeat(1_000);
    let head = "x".repeat(HEAD_LEN);
    assert_eq!(
        told(format!(r#"{{"{text}":1,"a":"{text}","b":"{text}\n"}}"#).as_bytes()),
        ["$ {", &format!("$.a {head:?} 1000"), &format!("$.b {head:?} 1001"), "$ end"]
    );
}

#[test]
fn any_depth_is_counted_and_containers_too_deep_have_no_place() {
    let deep = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(told(deep(MAX_DEPTH - 1).as_bytes()).len(), 2 * MAX_DEPTH + 1);
    assert_eq!(told(deep(MAX_DEPTH).as_bytes()).len(), 2 * MAX_DEPTH);
    assert!(is_done(&deep(100_000)));
    assert!(!is_done(&deep(100_000).replace("]}", "}")));
    assert!(is_done(&deep(50).replace("\"a\"", "\"skip\"")));
}

#[test]
fn a_document_that_broke_off_tells_the_string_it_was_in() {
    for (document, expected) in [
        (&br#"{"a":"xy"#[..], Some("$.a \"xy\" 2")),
        (br#"{"a":"xy\u00"#, Some("$.a \"xy\" 2")),
        (br#"{"a":12"#, None),
        (br#"{"a"#, None),
        (br#"{"skip":"xy"#, None),
    ] {
        let (mut scanner, mut record) = (Scanner::new(0), Record::default());
        scanner.read(document, &mut record).unwrap();
        scanner.cut(&mut record);
        assert_eq!(record.told.get(1).map(String::as_str), expected);
    }
}

#[test]
fn broken_documents_end_where_they_break() {
    for document in [
        "{\"a\" 1",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,",
        "{1:2}",
        "[1 2]",
        "[1,]x",
        "[,",
        "]",
        "}",
        ":",
        ",",
        "{]",
        "[}",
        "x",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u00g0\"}",
        "{\"a\":1]",
        "+1",
        "'a'",
        "{a:1}",
        "\u{feff}{}",
    ] {
        let (_, mut scanner) = read([document.as_bytes(), b"{}"]);
        // A comma before the bracket of an array is where the next element would be.
        assert!(scanner.is_broken(), "{document}");
        scanner.restart();
        scanner.read(b"{}", &mut Record::default()).unwrap();
        assert!(scanner.is_done());
    }
    assert!(is_done("{} whatever follows ]"));
}

fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u32>().prop_map(Value::from),
        "[ -~\"\\\\\n\u{e9}\u{1f600}]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 24, 4, |inner| {
        let key = "(skip|[ab\"\\\\{\u{e9}]{0,3})";
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((key, inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What must be told of a value, according to `serde_json`.
fn expected(value: &Value, path: &str, told: &mut Vec<String>) {
    if path.contains("skip") {
        return;
    }
    match value {
        Value::Null => told.push(format!("{path} Null")),
        Value::Bool(true) => told.push(format!("{path} Bool(true)")),
        Value::Bool(false) => told.push(format!("{path} Bool(false)")),
        Value::Number(number) => told.push(format!("{path} Unsigned({number})")),
        Value::String(text) => {
            let head = &text.as_bytes()[..text.len().min(HEAD_LEN)];
            told.push(format!("{path} {:?} {}", String::from_utf8_lossy(head), text.len()));
        }
        Value::Array(elements) => {
            told.push(format!("{path} ["));
            elements.iter().for_each(|element| expected(element, &format!("{path}[]"), told));
            told.push(format!("{path} end"));
        }
        Value::Object(members) => {
            told.push(format!("{path} {{"));
            members.iter().for_each(|(key, value)| expected(value, &format!("{path}.{key}"), told));
            told.push(format!("{path} end"));
        }
    }
}

proptest! {
    #[test]
    fn documents_are_read_as_serde_json_reads_them(
        document in documents(), pretty: bool, cuts in vec(0_usize..200, 0..6)
    ) {
        // A number on its own would have no end.
        let document = json!([document]);
        let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
        let text = text.unwrap();
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut % (text.len() + 1)).collect();
        cuts.push(0);
        cuts.push(text.len());
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]);
        let (told, scanner) = read(pieces);
        let mut wanted = Vec::new();
        expected(&document, "$", &mut wanted);
        prop_assert_eq!(told, wanted, "{}", text);
        prop_assert!(scanner.is_done());
    }

    #[test]
    fn anything_is_survived(bytes in vec(prop_oneof![
        1 => any::<u8>(), 4 => select(b"[]{}\",:\\u0 1ne".to_vec()),
    ], 0..200), cut: usize) {
        let (a, b) = bytes.split_at(cut % (bytes.len() + 1));
        let (told, scanner) = read([a, b]);
        let (whole, whole_scanner) = read([&bytes[..]]);
        prop_assert_eq!(told, whole);
        prop_assert_eq!(scanner.state, whole_scanner.state);
    }
}

#[test]
fn a_member_named_twice_is_told_twice() {
    assert_eq!(told(br#"{"a":1,"a":2}"#), ["$ {", "$.a Unsigned(1)", "$.a Unsigned(2)", "$ end"]);
    assert_eq!(json!({"a": 2}), serde_json::from_str::<Value>(r#"{"a":1,"a":2}"#).unwrap());
}
