use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::Ordering;

use ngx::ffi::{ngx_http_request_t, ngx_pool_cleanup_add};

use crate::guard::inside;
use crate::request::{flags, Kept, Request};
use crate::testing::{alone, FakeRequest, Remembered, Tested, FINALIZED};

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

/// A cleanup that asks for the state of the request at `data`, and puts there whether it got one.
unsafe extern "C" fn ask_for_state(data: *mut c_void) {
    // SAFETY: the test put it there; what it points at lives for ever.
    unsafe {
        let (r, has_state) = &mut *data.cast::<Asked>();
        let r = Request::<Tested>::from_raw(*r);
        *has_state = Some(r.state().is_some() || r.find_state().is_some());
    }
}

type Asked = (*mut ngx_http_request_t, Option<bool>);

fn add_cleanup(fake: &mut FakeRequest) -> *mut Asked {
    let asked: *mut Asked = Box::leak(Box::new((std::ptr::from_mut(fake.raw()), None)));
    // SAFETY: the pool of a test.
    unsafe {
        let cleanup = &mut *ngx_pool_cleanup_add(fake.raw().pool, 0);
        cleanup.data = asked.cast();
        cleanup.handler = Some(ask_for_state);
    }
    asked
}

#[test]
fn cleanups_find_no_state_whether_it_is_dropped_or_about_to_be() {
    let _alone = alone();
    let mut fake = FakeRequest::new();
    // The last one that is added runs first.
    let after = add_cleanup(&mut fake);
    fake.request().attach_state(|_| Remembered(Kept::EMPTY)).unwrap();
    let before = add_cleanup(&mut fake);
    assert!(fake.request().state().is_some());
    fake.free();
    // SAFETY: they live for ever.
    let answers = unsafe { [(*before).1, (*after).1] };
    assert_eq!(answers, [Some(false), Some(false)]);
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
    // SAFETY: it lives for ever.
    unsafe { flags::set_count(fake.raw(), 0) };
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
