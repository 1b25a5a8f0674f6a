//! What nginx remembers of variables that come of the request's header.
//!
//! nginx evaluates a variable once: whoever asks again gets the value of before. An `if` or a `map` in
//! the rewrite phase so keeps what the client sent (`$http_authorization`, `$http_x_client_id`,
//! `$content_length`) through all that we take off and change, and `proxy_set_header` brings it back. So
//! these values are forgotten: nginx evaluates them again, from the header as it is then. What other
//! variables (`map`, `geo`, `split_clients`) made of them is evaluated again at once.
//!
//! Which of the others those are isn't known from outside. Each is tried: evaluated on a copy of the
//! values, in which those of the header are missing. If they are there afterwards, it has asked for them.
//! What nginx knows of regular expressions (`$1`) is put aside meanwhile.
//!
//! What was made of our variables before there was anything in them is forgotten in the same way, once there
//! is.
//!
//! A value of `set`, or a named part of a regular expression, is none that could be evaluated again. It
//! stays as it is, unless a credential is in it. So do the parts without a name (`$1`), unless they are
//! of a value that is another one now.

use ngx::ffi::{
    ngx_http_core_main_conf_t, ngx_http_core_module, ngx_http_get_indexed_variable,
    ngx_http_request_t, ngx_http_variable_value_t, ngx_palloc,
};

use super::header_variables::HeaderVariables;
use super::Request;
use crate::types::Types;

fn is_known(value: &ngx_http_variable_value_t) -> bool {
    value.valid() != 0 || value.not_found() != 0
}

fn forget(value: &mut ngx_http_variable_value_t) {
    value.set_valid(0);
    value.set_not_found(0);
}

impl<T: Types> Request<'_, T> {
    fn header_variables(&self) -> &HeaderVariables {
        self.main_entry().header_variables.get_or_init(|| {
            // SAFETY: nginx keeps the array, which requests don't change, with such elements.
            unsafe { HeaderVariables::of(core_conf(self.as_ptr()).variables.as_slice(), T::NAME) }
        })
    }

    /// Whether `text` is what somebody assigned to a variable, which would stay.
    pub fn is_assigned(self, text: &[u8]) -> bool {
        self.header_variables().assigned.iter().any(|index| {
            // SAFETY: the request is live, and has a value for each variable of its configuration.
            let value = unsafe { &*(*self.as_ptr()).variables.add(*index) };
            // SAFETY: the value is valid.
            value.valid() != 0 && unsafe { bytes(value) } == text
        })
    }

    /// Whether one of our variables was asked for.
    pub fn has_read_ours(self) -> bool {
        self.header_variables().ours.iter().any(|index| {
            // SAFETY: as above.
            is_known(unsafe { &*(*self.as_ptr()).variables.add(*index) })
        })
    }

    /// Has nginx evaluate again what was made of our variables: they have other values now.
    pub fn forget_made_of_ours(self) {
        let r = self.as_ptr();
        let places = self.header_variables();
        // SAFETY: the request is live, and has a value for each variable of its configuration. Nothing
        // refers to the values while they are evaluated.
        unsafe {
            let value = |index: &usize| &mut *(*r).variables.add(*index);
            places.ours.iter().for_each(|index| forget(value(index)));
            let known = places.derived.iter().filter(|index| is_known(value(index)));
            let made: Vec<&usize> = known
                .filter(|index| evaluate(r, places, &places.ours, **index).is_some())
                .collect();
            made.into_iter().for_each(|index| forget(value(index)));
        }
    }

    /// Has nginx evaluate again what comes of the header, now that it is another one. Values that
    /// can't be, and that `has_secret` says so of, are made empty.
    pub fn forget_header_variables(self, has_secret: impl Fn(&[u8]) -> bool) {
        let r = self.as_ptr();
        let places = self.header_variables();
        // SAFETY: the request is live, and has a value for each variable of its configuration. Nothing
        // refers to the values while they are evaluated.
        unsafe {
            let value = |index: &usize| &mut *(*r).variables.add(*index);
            let captured = captured_of(r, places);
            if places.header.iter().any(|index| is_known(value(index))) {
                places.header.iter().for_each(|index| forget(value(index)));
                let is_known = |index: &&usize| is_known(value(index));
                // All of them before any is changed: one may be made of another one.
                let fresh: Vec<(usize, Fresh)> = places
                    .derived
                    .iter()
                    .filter(is_known)
                    .filter_map(|index| {
                        Some((*index, evaluate(r, places, &places.header, *index)?))
                    })
                    .collect();
                for (index, fresh) in fresh {
                    match fresh {
                        Fresh::Value(fresh) => *value(&index) = fresh,
                        Fresh::Unknown => forget(value(&index)),
                    }
                }
            }
            for index in &places.assigned {
                let assigned = value(index);
                if assigned.valid() != 0 && has_secret(bytes(assigned)) {
                    assigned.set_len(0);
                }
            }
            let is_outdated = captured.is_some_and(|(index, was)| {
                let is = ngx_http_get_indexed_variable(r, index).as_ref();
                is.is_none_or(|is| is.valid() == 0 || bytes(is) != was)
            });
            if is_outdated || has_captured(r, has_secret) {
                (*r).ncaptures = 0;
            }
        }
    }
}

/// The variable whose value a regular expression was compared with last, and that value: of those that
/// come of the header.
///
/// # Safety
///
/// `r` is live.
unsafe fn captured_of<'r>(
    r: *mut ngx_http_request_t,
    places: &HeaderVariables,
) -> Option<(usize, &'r [u8])> {
    // SAFETY: by the contract of this function; the bytes of a value live as long as the request.
    unsafe {
        if (*r).ncaptures == 0 {
            return None;
        }
        let mut all = places.header.iter().chain(&places.derived);
        all.find_map(|index| {
            let value: &'r ngx_http_variable_value_t = &*(*r).variables.add(*index);
            let is_it = value.valid() != 0 && std::ptr::eq(value.data, (*r).captures_data);
            is_it.then(|| (*index, bytes(value)))
        })
    }
}

/// Whether `has_secret` says so of a part that a regular expression found, other than in the path.
///
/// # Safety
///
/// `r` is live.
unsafe fn has_captured(r: *mut ngx_http_request_t, has_secret: impl Fn(&[u8]) -> bool) -> bool {
    // SAFETY: by the contract of this function; nginx keeps pairs of offsets into what was compared, which
    // lives as long as the request. The first is that of the whole, which is there only if there are more.
    unsafe {
        let (count, data) = ((*r).ncaptures, (*r).captures_data);
        let captures = (*r).captures;
        let is_path = std::ptr::eq(data, (*r).uri.data);
        if count <= 2 || captures.is_null() || data.is_null() || is_path {
            return false;
        }
        let ends = std::slice::from_raw_parts(captures, count);
        ends.chunks_exact(2).skip(1).any(|pair| {
            let [start, end] = *pair else { return false };
            let (Ok(start), Ok(end)) = (usize::try_from(start), usize::try_from(end)) else {
                return false;
            };
            end > start && has_secret(std::slice::from_raw_parts(data.add(start), end - start))
        })
    }
}

/// What a variable is now.
enum Fresh {
    Value(ngx_http_variable_value_t),
    /// It couldn't be evaluated.
    Unknown,
}

/// # Safety
///
/// `r` is live.
unsafe fn core_conf<'r>(r: *mut ngx_http_request_t) -> &'r ngx_http_core_main_conf_t {
    // SAFETY: by the contract of this function; the core module's main configuration is complete.
    unsafe { &*(*(*r).main_conf.add(ngx_http_core_module.ctx_index)).cast() }
}

/// # Safety
///
/// The value is valid.
unsafe fn bytes(value: &ngx_http_variable_value_t) -> &[u8] {
    let len = usize::try_from(value.len()).unwrap_or(0);
    match len == 0 || value.data.is_null() {
        true => &[],
        // SAFETY: by the contract of this function; its bytes live as long as the request.
        false => unsafe { std::slice::from_raw_parts(value.data, len) },
    }
}

/// What the variable is now, if it is made of one of `sources`.
///
/// # Safety
///
/// `r` is live, the values of the sources are forgotten, and `index` is one of the variables.
unsafe fn evaluate(
    r: *mut ngx_http_request_t,
    places: &HeaderVariables,
    sources: &[usize],
    index: usize,
) -> Option<Fresh> {
    // SAFETY: by the contract of this function. The request has its own values, and what it knows of
    // regular expressions, back before anybody else sees it; what the trial makes stays in its pool.
    unsafe {
        let count = core_conf(r).variables.nelts;
        let size = count.checked_mul(size_of::<ngx_http_variable_value_t>());
        let copy: *mut ngx_http_variable_value_t = match size {
            Some(size) => ngx_palloc((*r).pool, size).cast(),
            None => std::ptr::null_mut(),
        };
        if copy.is_null() {
            return Some(Fresh::Unknown);
        }
        std::ptr::copy_nonoverlapping((*r).variables, copy, count);
        for derived in &places.derived {
            forget(&mut *copy.add(*derived));
        }
        let values = std::mem::replace(&mut (*r).variables, copy);
        let captures = std::mem::replace(&mut (*r).captures, std::ptr::null_mut());
        let ncaptures = std::mem::take(&mut (*r).ncaptures);
        let captures_data = (*r).captures_data;
        let found = ngx_http_get_indexed_variable(r, index);
        (*r).variables = values;
        (*r).captures = captures;
        (*r).ncaptures = ncaptures;
        (*r).captures_data = captures_data;
        match found.as_ref() {
            None => Some(Fresh::Unknown),
            Some(found) => {
                let asked = sources.iter().any(|source| is_known(&*copy.add(*source)));
                asked.then_some(Fresh::Value(*found))
            }
        }
    }
}
