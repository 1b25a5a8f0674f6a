//! Taking header lines off a request.
//!
//! proxy_pass and its like copy every line that is in the list, whatever its `hash`. So a line has to
//! leave the list: those behind it in its part move up, and every pointer of nginx's to a line that
//! moved or left is mended. All of it in two passes, however many lines leave: whoever sends
//! thousands of them must not make the worker busy.

use ngx::ffi::{ngx_http_headers_in_t, ngx_list_part_t, ngx_table_elt_t};

use super::headers::HeaderIn;
use super::Request;
use crate::types::Types;

type Line = *mut ngx_table_elt_t;

/// What became of a line.
#[derive(Clone, Copy)]
enum Fate {
    /// It is here now.
    At(Line),
    /// It left.
    Gone {
        /// The next line of its name, where that was then: of a known name only, else anything.
        #[cfg(linked_headers)]
        next: Line,
    },
}

/// What became of the lines of one part of the list.
struct Part {
    start: usize,
    fates: Vec<Fate>,
}

/// The parts in which something changed, by address.
struct Changes(Vec<Part>);

impl<T: Types> Request<'_, T> {
    /// Removes the header lines of the request for which `unwanted` says so, as if the client
    /// hadn't sent them.
    pub fn remove_headers_in(self, unwanted: impl FnMut(HeaderIn<'_>) -> bool) {
        // SAFETY: the request is live, and nothing else refers to its list meanwhile.
        unsafe {
            let headers = &raw mut (*self.as_ptr()).headers_in;
            let changes = compact(headers, unwanted);
            if !changes.0.is_empty() {
                mend(headers, &changes);
            }
        }
    }
}

/// Moves the lines that stay together in their parts, and takes out parts that are empty.
///
/// # Safety
///
/// `headers` is that of a live request.
unsafe fn compact(
    headers: *mut ngx_http_headers_in_t,
    mut unwanted: impl FnMut(HeaderIn<'_>) -> bool,
) -> Changes {
    let mut changes = Vec::new();
    // SAFETY: a part holds `nelts` lines, of which each is moved towards its start at most.
    unsafe {
        let list = &raw mut (*headers).headers;
        let mut part: *mut ngx_list_part_t = &raw mut (*list).part;
        let mut before: *mut ngx_list_part_t = std::ptr::null_mut();
        while !part.is_null() {
            let lines: Line = (*part).elts.cast();
            let (mut kept, mut fates) = (0, Vec::new());
            for index in 0..(*part).nelts {
                let line = lines.add(index);
                if unwanted(HeaderIn::of(line)) {
                    // Until here, all of them are where they were.
                    fates.reserve_exact((*part).nelts - fates.len());
                    fates.extend((fates.len()..index).map(|stays| Fate::At(lines.add(stays))));
                    fates.push(Fate::Gone {
                        #[cfg(linked_headers)]
                        next: (*line).next,
                    });
                    continue;
                }
                if kept < index {
                    std::ptr::copy(line, lines.add(kept), 1);
                    fates.push(Fate::At(lines.add(kept)));
                }
                kept += 1;
            }
            if !fates.is_empty() {
                changes.push(Part { start: lines as usize, fates });
            }
            (*part).nelts = kept;
            // Whoever goes through a list in nginx's way takes every part but the first to have an
            // element: of an empty one he would see what was there before.
            if kept == 0 && !before.is_null() {
                (*before).next = (*part).next;
                if (*list).last == part {
                    (*list).last = before;
                }
            } else {
                before = part;
            }
            part = (*part).next;
        }
    }
    changes.sort_unstable_by_key(|part| part.start);
    Changes(changes)
}

impl Changes {
    fn fate(&self, line: Line) -> Option<Fate> {
        let address = line as usize;
        let behind = self.0.partition_point(|part| part.start <= address);
        let part = self.0.get(behind.checked_sub(1)?)?;
        let offset = address.checked_sub(part.start)?;
        part.fates.get(offset / size_of::<ngx_table_elt_t>()).copied()
    }

    /// Where a pointer to `line` has to point now: at the line, or nowhere.
    #[cfg(not(linked_headers))]
    fn resolve(&self, line: Line) -> Line {
        match self.fate(line) {
            None => line,
            Some(Fate::At(now)) => now,
            Some(Fate::Gone { .. }) => std::ptr::null_mut(),
        }
    }
}

/// Links the lines of one name again: those that stay, where they are now. nginx links known names
/// only; in other lines, `next` is whatever was in memory, and mustn't be looked at.
///
/// # Safety
///
/// `first` points to nginx's pointer to the first line of a name, and [`compact`] made `changes`.
#[cfg(linked_headers)]
unsafe fn relink(first: *mut Line, changes: &Changes) {
    let mut link = first;
    // SAFETY: by the contract of this function. What a line has for its next one still is where that
    // was, as each line belongs to one name, and is come by once.
    unsafe {
        let mut line = *first;
        while !line.is_null() {
            let here = match changes.fate(line) {
                None => line,
                Some(Fate::At(now)) => now,
                Some(Fate::Gone { next }) => {
                    line = next;
                    continue;
                }
            };
            line = (*here).next;
            *link = here;
            link = &raw mut (*here).next;
        }
        *link = std::ptr::null_mut();
    }
}

/// Mends every pointer of nginx's to a header line.
///
/// # Safety
///
/// `headers` is that of a live request, and `changes` what [`compact`] did to it.
unsafe fn mend(headers: *mut ngx_http_headers_in_t, changes: &Changes) {
    // The known headers lie side by side in the structure, from `host` up to `user`.
    let first = std::mem::offset_of!(ngx_http_headers_in_t, host);
    let end = std::mem::offset_of!(ngx_http_headers_in_t, user);
    // `cookie` among them, so that it is mended once.
    #[cfg(linked_headers)]
    const _: () = assert!(
        std::mem::offset_of!(ngx_http_headers_in_t, cookie)
            < std::mem::offset_of!(ngx_http_headers_in_t, user)
    );
    // SAFETY: each word between the two is a pointer to a line, except, before 1.23, those of an
    // array of such pointers, whose words (a length, a size, pointers elsewhere) never equal the
    // address of a line.
    unsafe {
        for offset in (first..end).step_by(size_of::<Line>()) {
            let pointer: *mut Line = headers.byte_add(offset).cast();
            #[cfg(linked_headers)]
            relink(pointer, changes);
            #[cfg(not(linked_headers))]
            if !(*pointer).is_null() {
                *pointer = changes.resolve(*pointer);
            }
        }
        #[cfg(not(linked_headers))]
        for array in [&raw mut (*headers).cookies, &raw mut (*headers).x_forwarded_for] {
            let lines: *mut Line = (*array).elts.cast();
            let mut kept = 0;
            for index in 0..(*array).nelts {
                let line = changes.resolve(*lines.add(index));
                if !line.is_null() {
                    *lines.add(kept) = line;
                    kept += 1;
                }
            }
            (*array).nelts = kept;
        }
    }
}
