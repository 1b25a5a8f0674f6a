//! What fuzzing was begun with, and what it has found, is tried again.

#![allow(clippy::unwrap_used, clippy::string_slice, clippy::indexing_slicing, reason = "a test")]

use std::path::Path;

mod properties;

fn each(target: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut count = 0;
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        // If it fails, the last one that is named is the one.
        println!("{}", path.display());
        property(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 0, "no seeds in {}", folder.display());
}

#[test]
fn a_changed_body_keeps_its_other_texts() {
    each("texts", properties::texts);
}

#[test]
fn an_answer_is_shown_the_same_however_it_is_cut() {
    each("answers", properties::answers);
}

#[test]
fn an_answer_of_a_store_is_one_to_what_it_was_asked() {
    each("cluster_wire", properties::cluster_wire);
}
