use std::cell::Cell;
use std::sync::atomic::Ordering;

use crate::guard::inside;
use crate::request::Kept;
use crate::testing::{alone, FakeRequest, Remembered, FINALIZED};

fn with_state() -> FakeRequest {
    let mut fake = FakeRequest::new();
    fake.request().attach_state(|keeper| Remembered(keeper.keep(b"its own"))).unwrap();
    fake
}

#[test]
fn a_request_finds_what_its_state_remembers() {
    let _alone = alone();
    let mut fake = with_state();
    let r = fake.request();
    let kept = r.state().unwrap().borrow().0;
    assert_eq!(r.kept(kept), b"its own");
    assert_eq!(r.kept(r.keep(b"more")), b"more");
    assert_eq!(r.kept(Kept::EMPTY), b"");
}

#[test]
fn bytes_of_another_request_are_none() {
    let _alone = alone();
    let mut first = with_state();
    let kept = first.request().state().unwrap().borrow().0;
    let mut second = with_state();
    assert_eq!(second.request().kept(kept), b"");
    first.free();
    assert_eq!(second.request().kept(kept), b"");
    assert_eq!(FakeRequest::new().request().kept(kept), b"");
}

#[test]
fn a_request_without_state_remembers_nothing_and_has_no_handles() {
    let _alone = alone();
    let mut fake = FakeRequest::new();
    let r = fake.request();
    assert_eq!(r.keep(b"bytes"), Kept::EMPTY);
    assert!(r.in_flight().is_none());
    assert!(r.park().is_none());
}

#[test]
fn a_handle_that_outlived_its_request_does_nothing() {
    let _alone = alone();
    let mut fake = with_state();
    let (handle, parked) = (fake.request().in_flight().unwrap(), fake.request().park().unwrap());
    fake.free();
    let was_asked = Cell::new(false);
    handle.cut_off_if(|_| {
        was_asked.set(true);
        true
    });
    assert!(!was_asked.get());
    parked.resume();
}

#[test]
fn a_request_that_is_being_freed_is_gone_already() {
    let _alone = alone();
    let mut fake = with_state();
    let handle = fake.request().in_flight().unwrap();
    fake.raw().set_count(0);
    handle.cut_off_if(|_| panic!("it is asked of"));
}

#[test]
fn a_handle_in_another_thread_does_nothing() {
    let _alone = alone();
    let mut fake = with_state();
    let handle = fake.request().in_flight().unwrap();
    std::thread::spawn(move || handle.cut_off_if(|_| panic!("it is asked of"))).join().unwrap();
}

#[test]
fn no_request_is_cut_off_while_nginx_works_on_one() {
    let _alone = alone();
    let mut fake = with_state();
    let handle = fake.request().in_flight().unwrap();
    inside((), || handle.cut_off_if(|_| panic!("it is asked of")));
}

#[test]
fn what_is_asked_of_a_request_cannot_end_it() {
    let _alone = alone();
    let mut fake = with_state();
    let handle = fake.request().in_flight().unwrap();
    let before = FINALIZED.load(Ordering::Relaxed);
    handle.cut_off_if(|_| {
        handle.cut_off_if(|_| true);
        assert_eq!(FINALIZED.load(Ordering::Relaxed), before);
        true
    });
    assert_eq!(FINALIZED.load(Ordering::Relaxed), before + 1);
}

#[test]
fn a_parked_request_goes_on_once() {
    let _alone = alone();
    let mut fake = with_state();
    let (first, second) = (fake.request().park().unwrap(), fake.request().park().unwrap());
    let runs = |fake: &mut FakeRequest| {
        let runs = ngx::ffi::ngx_http_core_run_phases as *const () as usize;
        fake.raw().write_event_handler.map(|handler| handler as usize) == Some(runs)
    };
    assert!(!runs(&mut fake));
    first.resume();
    assert!(runs(&mut fake));
    // Somebody else has the request by now.
    fake.raw().write_event_handler = None;
    second.resume();
    assert!(fake.raw().write_event_handler.is_none());
}
