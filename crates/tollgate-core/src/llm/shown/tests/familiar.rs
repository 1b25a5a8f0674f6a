//! Events that are like those before them.

use super::super::editor::{Editor, Whole};
use super::super::form::Form;
use super::*;

fn event(id: &str, created_at: &str, content: &str, end: &str) -> String {
    format!(
        "data: {{\"id\":\"{id}\",\"created_at\":\"{created_at}\",\
         \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{content}\"}}}}]}}{end}"
    )
}

/// Whether the second of two events is read by what it has in common with the first.
fn is_familiar(first: &str, second: &str) -> bool {
    let mut editor = Editor::new(Form::of(Some(Endpoint::Chat)), guarded(true));
    let end = first.trim_end().len();
    let whole = Whole { bytes: first.as_bytes(), data: "data: ".len()..end };
    editor.read(&whole, true).unwrap();
    match editor.read_familiar(second.as_bytes()) {
        Some(read) => {
            assert_eq!(read, Ok(second.len()));
            true
        }
        None => false,
    }
}

#[test]
fn events_that_differ_in_pieces_and_times_alone_are_alike() {
    let first = event("a", "10:00", "Hello", "\n\n");
    assert!(is_familiar(&first, &event("a", "10:00", "Hello", "\n\n")));
    assert!(is_familiar(&first, &event("a", "10:01", " and\\nmore", "\n\n")));
    assert!(!is_familiar(&first, &event("b", "10:00", "Hello", "\n\n")));
    assert!(!is_familiar(&first, &event("a", "10:00", "Hello", "\r\n\r\n")));
    // An event goes on to the end of its line, and so must what is remembered of it.
    let cut = event("a", "10:00", "Hello", "");
    assert!(!is_familiar(&cut, &cut));
}
