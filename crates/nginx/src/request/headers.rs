//! Header lines of requests, and what both kinds of lists are read and made by.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};

use ngx::ffi::{
    ngx_int_t, ngx_list_init, ngx_list_part_t, ngx_list_push, ngx_list_t, ngx_palloc, ngx_str_t,
    ngx_table_elt_t, ngx_uint_t, NGX_OK,
};

use super::Request;
use crate::text;
use crate::types::Types;

const ACCEPT_ENCODING: HeaderName = HeaderName::new("Accept-Encoding", "accept-encoding");

/// The name of a header line that we add to a request, as nginx has it.
#[derive(Clone, Copy, Debug)]
pub struct HeaderName {
    name: &'static str,
    lowercase: &'static str,
    hash: ngx_uint_t,
}

impl HeaderName {
    /// To be made a constant. `name` and its lower-case form are of one length, which is checked then.
    #[must_use]
    pub const fn new(name: &'static str, lowercase: &'static str) -> Self {
        assert!(name.len() == lowercase.len() && name.eq_ignore_ascii_case(lowercase));
        Self { name, lowercase, hash: hash(lowercase.as_bytes()) }
    }
}

/// A header line of the request.
#[derive(Clone, Copy)]
pub struct HeaderIn<'r> {
    /// In lower case.
    pub name: &'r [u8],
    /// As it is.
    pub value: &'r [u8],
}

impl<'r> HeaderIn<'r> {
    /// # Safety
    ///
    /// `line` is a line of a live request. nginx sets name and value of each, which point into the
    /// request's header.
    pub(crate) unsafe fn of(line: *const ngx_table_elt_t) -> Self {
        // SAFETY: by the contract of this function.
        unsafe {
            let line = &*line;
            let name = match line.lowcase_key.is_null() {
                true => text::bytes(line.key),
                false => std::slice::from_raw_parts(line.lowcase_key, line.key.len),
            };
            Self { name, value: text::bytes(line.value) }
        }
    }

    /// Whether the name holds a blank or a control character, which a backend may overlook: `X-Id : root`. An
    /// nginx that refuses such requests (1.21.1) has none of them.
    #[must_use]
    #[inline]
    pub fn is_malformed(&self) -> bool {
        #[cfg(not(checked_header_names))]
        {
            self.name.iter().any(|&byte| byte <= b' ' || byte == 0x7f)
        }
        #[cfg(checked_header_names)]
        {
            false
        }
    }
}

/// Whether the header lines of a request are being changed: whoever is asked about them meanwhile must not
/// change them. nginx runs on one thread.
static IS_CHANGING: AtomicBool = AtomicBool::new(false);

/// The right to change header lines of a request.
pub(super) struct Alone(());

impl Alone {
    /// `None`: somebody else has it.
    pub(super) fn begin() -> Option<Self> {
        let is_free = !IS_CHANGING.load(Ordering::Relaxed);
        is_free.then(|| {
            IS_CHANGING.store(true, Ordering::Relaxed);
            Self(())
        })
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        IS_CHANGING.store(false, Ordering::Relaxed);
    }
}

/// The elements of a list of header lines.
pub(crate) struct Lines<'r> {
    part: *mut ngx_list_part_t,
    index: usize,
    life: PhantomData<&'r ngx_table_elt_t>,
}

impl Lines<'_> {
    /// # Safety
    ///
    /// `list` is a live list of header lines, which isn't changed while the iterator is used.
    pub(crate) unsafe fn of(list: *mut ngx_list_t) -> Self {
        // SAFETY: by the contract of this function.
        let part = unsafe { &raw mut (*list).part };
        Self { part, index: 0, life: PhantomData }
    }
}

impl Iterator for Lines<'_> {
    type Item = *mut ngx_table_elt_t;

    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: a part holds `nelts` elements, and points at the next part or is null.
        unsafe {
            while let Some(part) = self.part.as_ref() {
                if self.index < part.nelts {
                    let element = part.elts.cast::<ngx_table_elt_t>().add(self.index);
                    self.index += 1;
                    return Some(element);
                }
                (self.part, self.index) = (part.next, 0);
            }
        }
        None
    }
}

impl<'r, T: Types> Request<'r, T> {
    fn headers_in_list(self) -> *mut ngx_list_t {
        // SAFETY: the request is live.
        unsafe { &raw mut (*self.as_ptr()).headers_in.headers }
    }

    /// The same, made first where nginx has made none: for HTTP/0.9, and for a request line that it
    /// couldn't read. Such a list has no part to be pushed to.
    fn list_to_push_in(self) -> Option<*mut ngx_list_t> {
        let list = self.headers_in_list();
        // SAFETY: the request is live, and so is its pool. A list that was never made is all zero, and
        // holds nothing.
        unsafe {
            if (*list).part.elts.is_null() {
                let size = size_of::<ngx_table_elt_t>();
                if ngx_list_init(list, (*self.as_ptr()).pool, 8, size) != NGX_OK as ngx_int_t {
                    return None;
                }
            }
        }
        Some(list)
    }

    /// The header lines of the request, in the order in which they came.
    pub fn headers_in(self) -> impl Iterator<Item = HeaderIn<'r>> {
        // SAFETY: the list is live; callers don't change it meanwhile.
        unsafe { Lines::of(self.headers_in_list()).map(|line| HeaderIn::of(line)) }
    }

    /// Adds a header line to the request. `None` when nginx has no memory, or while lines are being removed.
    pub fn push_header_in(self, name: &HeaderName, value: &'r [u8]) -> Option<()> {
        let _alone = Alone::begin()?;
        // SAFETY: the list is live.
        let line = unsafe { push_in(self.list_to_push_in()?, name, value) };
        (!line.is_null()).then_some(())
    }

    /// Asks upstream servers for a body that isn't compressed. What the client accepts is still
    /// known to nginx, which may compress for it. `None` when nginx has no memory.
    pub fn accept_identity_upstream(self) -> Option<()> {
        // SAFETY: the request is live; the copy is a whole line, in its pool.
        let known = unsafe {
            match (*self.as_ptr()).headers_in.accept_encoding.as_ref() {
                Some(line) => {
                    let copy: *mut ngx_table_elt_t =
                        ngx_palloc((*self.as_ptr()).pool, size_of::<ngx_table_elt_t>()).cast();
                    if copy.is_null() {
                        return None;
                    }
                    std::ptr::copy_nonoverlapping(line, copy, 1);
                    #[cfg(linked_headers)]
                    {
                        (*copy).next = std::ptr::null_mut();
                    }
                    copy
                }
                None => std::ptr::null_mut(),
            }
        };
        self.remove_headers_in(|header| header.name == b"accept-encoding");
        self.push_header_in(&ACCEPT_ENCODING, b"identity")?;
        // SAFETY: as above.
        unsafe { (*self.as_ptr()).headers_in.accept_encoding = known };
        Some(())
    }

    /// Has nginx answer as if the client had set no conditions, and asked for all of it. nginx looks at them
    /// when the answer is there (of its cache at least), whatever the method, and the engine has done its
    /// work by then. Upstream servers still get them.
    pub fn ignore_conditions(self) {
        // SAFETY: the request is live; each is null where there is no such line.
        let headers = unsafe { &mut (*self.as_ptr()).headers_in };
        headers.if_match = std::ptr::null_mut();
        headers.if_unmodified_since = std::ptr::null_mut();
        headers.if_none_match = std::ptr::null_mut();
        headers.if_modified_since = std::ptr::null_mut();
        headers.range = std::ptr::null_mut();
        headers.if_range = std::ptr::null_mut();
    }
}

/// Adds a line to the list of a request; null when nginx has no memory.
///
/// # Safety
///
/// As for [`push`].
pub(crate) unsafe fn push_in(
    list: *mut ngx_list_t,
    name: &HeaderName,
    value: &[u8],
) -> *mut ngx_table_elt_t {
    // SAFETY: by the contract of this function; `push` gives a new element, or null.
    unsafe {
        let line = push(list, name.name, value);
        if let Some(line) = line.as_mut() {
            line.hash = name.hash;
            line.lowcase_key = name.lowercase.as_ptr().cast_mut();
        }
        line
    }
}

/// Adds a line to a list; null when nginx has no memory.
///
/// # Safety
///
/// `list` is a live list of header lines, and `value` lives as long as its request.
pub(super) unsafe fn push(
    list: *mut ngx_list_t,
    name: &'static str,
    value: &[u8],
) -> *mut ngx_table_elt_t {
    // SAFETY: by the contract of this function; all fields are set, as nginx doesn't clear them.
    unsafe {
        let line: *mut ngx_table_elt_t = ngx_list_push(list).cast();
        if !line.is_null() {
            line.write_bytes(0, 1);
            (*line).hash = 1;
            (*line).key = text::of_static(name.as_bytes());
            (*line).value = ngx_str_t { len: value.len(), data: value.as_ptr().cast_mut() };
        }
        line
    }
}

/// nginx's `ngx_hash_key`.
const fn hash(name: &[u8]) -> ngx_uint_t {
    let (mut key, mut rest): (ngx_uint_t, _) = (0, name);
    while let [byte, more @ ..] = rest {
        key = key.wrapping_mul(31).wrapping_add(*byte as ngx_uint_t);
        rest = more;
    }
    key
}
