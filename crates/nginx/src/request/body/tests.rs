use std::fs::File;
use std::io::Write as _;
use std::os::fd::IntoRawFd as _;

use ngx::ffi::{ngx_buf_t, ngx_chain_t, ngx_file_t, ngx_http_request_body_t, ngx_table_elt_t};
use proptest::prelude::*;

use super::Splice;
use crate::testing::{zeroed, FakeRequest};

/// A file without a name that holds these bytes.
fn file(bytes: &[u8]) -> &'static mut ngx_file_t {
    let path = std::env::temp_dir().join(format!(
        "tollgate-nginx-body-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let mut options = File::options();
    let mut file = options.read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all(bytes).unwrap();
    let of_nginx: &mut ngx_file_t = zeroed();
    of_nginx.fd = file.into_raw_fd();
    of_nginx
}

/// A request with this body: each part in memory, or in a file (behind some other bytes).
fn request(parts: &[(Vec<u8>, bool)]) -> FakeRequest {
    let mut fake = FakeRequest::new();
    let body: &mut ngx_http_request_body_t = zeroed();
    let mut link: *mut *mut ngx_chain_t = &raw mut body.bufs;
    let mut len = 0;
    for (bytes, is_in_file) in parts {
        len += bytes.len();
        let buffer: &mut ngx_buf_t = zeroed();
        if *is_in_file {
            buffer.file = file(&[b"before", bytes.as_slice()].concat());
            buffer.file_pos = 6;
            buffer.file_last = 6 + i64::try_from(bytes.len()).unwrap();
            buffer.set_in_file(1);
        } else {
            let range = Box::leak(bytes.clone().into_boxed_slice()).as_mut_ptr_range();
            (buffer.start, buffer.pos) = (range.start, range.start);
            (buffer.last, buffer.end) = (range.end, range.end);
            buffer.set_temporary(1);
        }
        let next: &mut ngx_chain_t = zeroed();
        next.buf = buffer;
        // SAFETY: points into the structure, or into the link before.
        unsafe { *link = next };
        link = &raw mut next.next;
    }
    let r = fake.raw();
    r.request_body = body;
    r.headers_in.content_length_n = i64::try_from(len).unwrap();
    r.headers_in.content_length = zeroed::<ngx_table_elt_t>();
    fake
}

fn body(fake: &mut FakeRequest) -> Vec<u8> {
    let mut body = Vec::new();
    fake.request().read_body_part(0, u64::MAX, |slice| body.extend_from_slice(slice)).unwrap();
    body
}

fn said_length(fake: &mut FakeRequest) -> Vec<u8> {
    // SAFETY: `request` made the line.
    let value = unsafe { (*fake.raw().headers_in.content_length).value };
    // SAFETY: the text is in the pool of the request.
    unsafe { std::slice::from_raw_parts(value.data, value.len) }.to_vec()
}

fn parts() -> impl Strategy<Value = Vec<(Vec<u8>, bool)>> {
    prop::collection::vec((prop::collection::vec(any::<u8>(), 0..30), any::<bool>()), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Wherever the parts of a body lie, it is read as one.
    #[test]
    fn a_body_is_its_parts_in_their_order(parts in parts()) {
        let mut fake = request(&parts);
        let whole: Vec<u8> = parts.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        prop_assert_eq!(body(&mut fake), &whole[..]);
        prop_assert_eq!(fake.request().body_len(), whole.len() as u64);
        // And so are the parts that each turn of the event loop reads.
        for most in 1..=whole.len() as u64 + 1 {
            let mut read = Vec::new();
            loop {
                let at = read.len() as u64;
                let count = fake.request().read_body_part(at, most, |slice| read.extend_from_slice(slice)).unwrap();
                prop_assert_eq!(count, most.min(whole.len() as u64 - at));
                prop_assert_eq!(read.len() as u64, at + count);
                if count == 0 {
                    break;
                }
            }
            prop_assert_eq!(&read, &whole);
        }
    }

    /// Texts take the places of parts of the body, wherever those lie; and its length is said to be what it is
    /// then. Undone, the body is what it was.
    #[test]
    fn splices_replace_these_bytes_and_no_others(
        parts in parts(),
        wanted in prop::collection::vec((0_usize..40, 0_usize..20, prop::collection::vec(any::<u8>(), 0..20)), 1..4),
    ) {
        let mut fake = request(&parts);
        let whole: Vec<u8> = parts.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let (mut splices, mut undo) = (Vec::new(), Vec::new());
        let (mut expected, mut at, mut end) = (Vec::new(), 0, 0);
        let mut fits = true;
        for (gap, replaced, text) in &wanted {
            let start = end + gap;
            splices.push(Splice { at: start as u64, replaced: *replaced as u64, text });
            end = start + replaced;
            fits &= end <= whole.len();
            if fits {
                let was = &whole[start..end];
                expected.extend_from_slice(&whole[at..start]);
                undo.push(Splice { at: expected.len() as u64, replaced: text.len() as u64, text: was });
                expected.extend_from_slice(text);
                at = end;
            }
        }
        let done = fake.request().edit_body(&splices);
        prop_assert_eq!(done.is_some(), fits);
        if !fits {
            prop_assert_eq!(body(&mut fake), &whole[..]);
            return Ok(());
        }
        expected.extend_from_slice(&whole[at..]);
        prop_assert_eq!(body(&mut fake), &expected[..]);
        prop_assert_eq!(said_length(&mut fake), expected.len().to_string().into_bytes());
        prop_assert_eq!(fake.request().content_length(), Some(expected.len() as u64));
        fake.request().edit_body(&undo).unwrap();
        prop_assert_eq!(body(&mut fake), &whole[..]);
    }
}

#[test]
fn a_body_that_was_not_read_is_empty() {
    let mut fake = FakeRequest::new();
    assert_eq!(fake.request().body_len(), 0);
    assert_eq!(body(&mut fake), b"");
    assert!(fake.request().edit_body(&[Splice { at: 1, replaced: 0, text: b"x" }]).is_none());
}

#[test]
fn splices_out_of_order_are_refused() {
    let mut fake = request(&[(b"0123456789".to_vec(), false)]);
    let splice = |at, replaced| Splice { at, replaced, text: b"x" };
    for splices in [[splice(4, 0), splice(3, 0)], [splice(1, 3), splice(3, 1)]] {
        assert!(fake.request().edit_body(&splices).is_none());
        assert_eq!(body(&mut fake), b"0123456789");
    }
}
