use ngx::ffi::{ngx_list_part_t, ngx_str_t, ngx_table_elt_t};
use proptest::prelude::*;

use crate::request::headers::HeaderName;
use crate::testing::{alone, zeroed, FakeRequest};

const NAMES: [&str; 6] = ["host", "user-agent", "authorization", "cookie", "x-a", "x-b"];

/// Lines of one part.
const ROOM: usize = 4;

fn str_of(text: &'static str) -> ngx_str_t {
    ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() }
}

fn line(name: &'static str, value: usize) -> ngx_table_elt_t {
    let line: &mut ngx_table_elt_t = zeroed();
    line.hash = 1;
    line.key = str_of(name);
    line.lowcase_key = name.as_ptr().cast_mut();
    // The length tells lines of one name from each other.
    line.value = ngx_str_t { len: value, data: VALUE.as_ptr().cast_mut() };
    *line
}

static VALUE: [u8; 256] = [b'v'; 256];

/// A request with these parts of header lines. nginx's pointers to the known ones are set as nginx does it.
fn request(parts: &[Vec<usize>]) -> FakeRequest {
    let mut fake = FakeRequest::new();
    let headers = &raw mut fake.raw().headers_in;
    let mut number = 0;
    // SAFETY: the request lives for ever; each part has room for its lines.
    unsafe {
        let list = &raw mut (*headers).headers;
        (*list).size = size_of::<ngx_table_elt_t>();
        (*list).nalloc = ROOM;
        let mut part: *mut ngx_list_part_t = &raw mut (*list).part;
        for (index, names) in parts.iter().enumerate() {
            if index > 0 {
                let next: *mut ngx_list_part_t = zeroed::<ngx_list_part_t>();
                (*part).next = next;
                part = next;
            }
            let mut lines: Vec<ngx_table_elt_t> = names
                .iter()
                .map(|name| {
                    number += 1;
                    line(NAMES[*name], number)
                })
                .collect();
            (*part).nelts = lines.len();
            // nginx makes room for as many in each part.
            lines.resize(ROOM, line(NAMES[4], 0));
            (*part).elts = Box::leak(lines.into_boxed_slice()).as_mut_ptr().cast();
        }
        (*list).last = part;
        point(headers);
    }
    fake
}

/// Points at the lines of known names.
///
/// # Safety
///
/// `headers` are those of a request of `request`.
unsafe fn point(headers: *mut ngx::ffi::ngx_http_headers_in_t) {
    // SAFETY: by the contract of this function.
    unsafe {
        for line in all(headers) {
            let known = match (*line).key.len {
                4 => &raw mut (*headers).host,
                10 => &raw mut (*headers).user_agent,
                13 => &raw mut (*headers).authorization,
                _ => continue,
            };
            #[cfg(linked_headers)]
            {
                let mut link = known;
                while !(*link).is_null() {
                    link = &raw mut (**link).next;
                }
                *link = line;
            }
            #[cfg(not(linked_headers))]
            if (*known).is_null() {
                *known = line;
            }
        }
        #[cfg(not(linked_headers))]
        {
            let cookies: Vec<*mut ngx_table_elt_t> =
                all(headers).into_iter().filter(|line| (**line).key.len == 6).collect();
            (*headers).cookies.nelts = cookies.len();
            (*headers).cookies.elts = Box::leak(cookies.into_boxed_slice()).as_mut_ptr().cast();
        }
    }
}

/// # Safety
///
/// As for `point`.
unsafe fn all(headers: *mut ngx::ffi::ngx_http_headers_in_t) -> Vec<*mut ngx_table_elt_t> {
    let mut lines = Vec::new();
    // SAFETY: by the contract of this function.
    unsafe {
        let mut part = &raw mut (*headers).headers.part;
        while !part.is_null() {
            for index in 0..(*part).nelts {
                lines.push((*part).elts.cast::<ngx_table_elt_t>().add(index));
            }
            part = (*part).next;
        }
    }
    lines
}

fn values(fake: &mut FakeRequest) -> Vec<usize> {
    fake.request().headers_in().map(|header| header.value.len()).collect()
}

/// The values of the lines that nginx finds by its own pointers, of one name.
fn pointed(fake: &mut FakeRequest, name: usize) -> Vec<usize> {
    let headers = &raw mut fake.raw().headers_in;
    // SAFETY: null, or a line of the list.
    unsafe {
        #[cfg(not(linked_headers))]
        if name == 3 {
            let lines = (*headers).cookies.elts.cast::<*mut ngx_table_elt_t>();
            return (0..(*headers).cookies.nelts).map(|at| (**lines.add(at)).value.len).collect();
        }
        let first = match name {
            0 => (*headers).host,
            1 => (*headers).user_agent,
            _ => (*headers).authorization,
        };
        let mut found = Vec::new();
        let mut line = first;
        while !line.is_null() {
            assert_eq!((*line).key.len, NAMES[name].len());
            found.push((*line).value.len);
            #[cfg(linked_headers)]
            {
                line = (*line).next;
            }
            #[cfg(not(linked_headers))]
            {
                line = std::ptr::null_mut();
            }
        }
        found
    }
}

proptest! {
    /// However the lines lie in their parts: those that are not wanted are gone, the others stay in their
    /// order, and nginx's own pointers are at the lines that they were at, wherever these are now.
    #[test]
    fn what_is_not_wanted_leaves_and_all_else_stays(
        parts in prop::collection::vec(prop::collection::vec(0_usize..NAMES.len(), 1..5), 1..6),
        unwanted in prop::collection::vec(any::<bool>(), 30),
    ) {
        let _alone = alone();
        let mut fake = request(&parts);
        let names: Vec<usize> = parts.concat();
        let before: Vec<Vec<usize>> = [0, 1, 2].map(|name| pointed(&mut fake, name)).into();
        let stays = |value: &usize| !unwanted[*value];
        fake.request().remove_headers_in(|header| unwanted[header.value.len()]);
        let expected: Vec<usize> = (1..=names.len()).filter(stays).collect();
        prop_assert_eq!(values(&mut fake), expected);
        for (name, before) in before.iter().enumerate() {
            let expected: Vec<usize> = before.iter().copied().filter(stays).collect();
            prop_assert_eq!(pointed(&mut fake, name), expected);
        }
        #[cfg(not(linked_headers))]
        {
            let cookies = (1..=names.len()).filter(|value| names[value - 1] == 3 && stays(value));
            prop_assert_eq!(pointed(&mut fake, 3), cookies.collect::<Vec<_>>());
        }
        // nginx takes every part but the first to have a line.
        let list = &raw mut fake.raw().headers_in.headers;
        // SAFETY: the parts of a list.
        unsafe {
            let mut last = &raw mut (*list).part;
            while !(*last).next.is_null() {
                last = (*last).next;
                prop_assert!((*last).nelts > 0);
            }
            prop_assert_eq!((*list).last, last);
        }
    }
}

#[test]
fn lines_cannot_be_changed_by_who_is_asked_about_them() {
    const X_NEW: HeaderName = HeaderName::new("X-New", "x-new");
    let _alone = alone();
    let mut fake = request(&[vec![0, 2], vec![4]]);
    let r = fake.request();
    r.remove_headers_in(|header| {
        r.remove_headers_in(|_| true);
        assert!(r.push_header_in(&X_NEW, b"value").is_none());
        header.name == b"authorization"
    });
    assert_eq!(values(&mut fake), [1, 3]);
    let r = fake.request();
    assert!(r.push_header_in(&X_NEW, b"value").is_some());
    assert_eq!(values(&mut fake), [1, 3, 5]);
}

#[test]
fn a_part_that_is_full_is_followed_by_another_one() {
    const X_NEW: HeaderName = HeaderName::new("X-New", "x-new");
    let _alone = alone();
    let mut fake = request(&[vec![0, 1, 4, 5]]);
    fake.request().push_header_in(&X_NEW, b"12345678").unwrap();
    assert_eq!(values(&mut fake), [1, 2, 3, 4, 8]);
}
