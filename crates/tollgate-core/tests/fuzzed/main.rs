//! What fuzzing was begun with, and what it has found, is tried again.

#![allow(clippy::unwrap_used, clippy::string_slice, clippy::indexing_slicing, reason = "a test")]

use std::path::Path;

mod files;
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

#[test]
fn a_keys_file_is_used_as_far_as_nothing_is_wrong_with_it() {
    each("keys", files::keys);
}

#[test]
fn whatever_is_in_a_block_of_keys_is_read_within() {
    each("key_block", files::key_block);
}

#[test]
fn a_token_that_nobody_signed_is_not_good() {
    each("token", files::token);
}

#[test]
fn a_token_is_good_only_if_the_answer_says_so() {
    each("introspection", files::introspection);
}

#[test]
fn rates_and_amounts_read_the_same_again() {
    each("quota", files::quota);
}

#[test]
fn a_line_of_the_log_is_one_object_whatever_clients_send() {
    each("audit", files::audit);
}

#[test]
fn what_is_restored_is_saved_and_read_again() {
    each("state", files::state);
}

#[test]
fn nothing_but_a_part_of_a_sealed_log_is_whole() {
    each("sealed_log", files::sealed_log);
}
