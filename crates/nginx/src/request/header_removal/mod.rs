//! Taking header lines off a request.
//!
//! proxy_pass and its like copy every line that is in the list, whatever its `hash`. So a line has to
//! leave the list: those behind it in its part move up, and every pointer of nginx's to a line that
//! moves or leaves is mended before. Each line and each pointer is come by once, however many lines leave:
//! whoever sends thousands of them must not make the worker busy.

use ngx::ffi::{ngx_http_headers_in_t, ngx_list_part_t, ngx_list_t, ngx_table_elt_t};
use smallvec::SmallVec;

use crate::request::headers::{Alone, HeaderIn};
use crate::request::Request;
use crate::types::Types;

type Line = *mut ngx_table_elt_t;

/// Where a line is going to be.
#[derive(Clone, Copy)]
enum Fate {
    At(Line),
    Gone,
}

/// A line that leaves.
#[derive(Clone, Copy)]
struct Leaving {
    line: Line,
    /// Behind the last line of its part.
    end: Line,
    /// How many lines of its part leave before it.
    before: usize,
}

impl Leaving {
    /// Where `line` is going to be, if no line between the two leaves.
    #[inline]
    fn fate(&self, line: Line) -> Fate {
        match line {
            line if line == self.line => Fate::Gone,
            line if line > self.line && line < self.end => {
                Fate::At(line.wrapping_sub(self.before + 1))
            }
            line => Fate::At(line),
        }
    }
}

/// The lines that leave, by address. Mostly it is the credential alone, and what a client says of the id.
struct Changes(SmallVec<[Leaving; 4]>);

impl<'r, T: Types> Request<'r, T> {
    /// Removes the header lines of the request for which `unwanted` says so, as if the client
    /// hadn't sent them. `unwanted` can't change the lines itself.
    pub fn remove_headers_in(self, unwanted: impl FnMut(HeaderIn<'r>) -> bool) {
        let Some(_alone) = Alone::begin() else { return };
        // SAFETY: the request is live, and nothing else refers to its list meanwhile.
        unsafe {
            let headers = &raw mut (*self.as_ptr()).headers_in;
            let list = &raw mut (*headers).headers;
            let changes = Changes::of(list, unwanted);
            match changes.0.as_slice() {
                [] => return,
                // Most often.
                [only] => mend(headers, |line| only.fate(line)),
                _ => mend(headers, |line| changes.fate(line)),
            }
            compact(list, &changes);
        }
    }
}

impl Changes {
    /// # Safety
    ///
    /// `list` is that of the header lines of a live request.
    unsafe fn of<'r>(
        list: *mut ngx_list_t,
        mut unwanted: impl FnMut(HeaderIn<'r>) -> bool,
    ) -> Self {
        let mut leaving: SmallVec<[Leaving; 4]> = SmallVec::new();
        // SAFETY: a part holds `nelts` lines.
        unsafe {
            let mut part: *const ngx_list_part_t = &raw const (*list).part;
            while let Some(this) = part.as_ref() {
                let lines: Line = this.elts.cast();
                let (end, first) = (lines.add(this.nelts), leaving.len());
                for index in 0..this.nelts {
                    let line = lines.add(index);
                    if unwanted(HeaderIn::of(line)) {
                        leaving.push(Leaving { line, end, before: leaving.len() - first });
                    }
                }
                part = this.next;
            }
        }
        leaving.sort_unstable_by_key(|leaving| leaving.line);
        Self(leaving)
    }

    /// Where `line` is going to be.
    fn fate(&self, line: Line) -> Fate {
        let behind = self.0.partition_point(|leaving| leaving.line <= line);
        let last = behind.checked_sub(1).and_then(|last| self.0.get(last));
        last.map_or(Fate::At(line), |leaving| leaving.fate(line))
    }
}

/// Where a pointer to a line has to point then: at the line, or nowhere.
#[cfg(not(linked_headers))]
fn resolve(fate: Fate) -> Line {
    match fate {
        Fate::At(then) => then,
        Fate::Gone => std::ptr::null_mut(),
    }
}

/// Moves the lines that stay together in their parts, and takes out parts that are empty then.
///
/// # Safety
///
/// `list` is that of the header lines of a live request, and `changes` are those of it.
unsafe fn compact(list: *mut ngx_list_t, changes: &Changes) {
    // SAFETY: by the contract of this function; a part holds `nelts` lines, of which each is moved towards
    // its start at most.
    unsafe {
        let mut part: *mut ngx_list_part_t = &raw mut (*list).part;
        let mut before: *mut ngx_list_part_t = std::ptr::null_mut();
        while !part.is_null() {
            let lines: Line = (*part).elts.cast();
            let end = lines.add((*part).nelts);
            let first = changes.0.partition_point(|leaving| leaving.line < lines);
            let in_part = changes.0.get(first..).unwrap_or_default().iter();
            let in_part = in_part.take_while(|leaving| leaving.line < end);
            let mut left = 0;
            for (leaving, next) in in_part.clone().zip(in_part.skip(1).map(Some).chain([None])) {
                left += 1;
                let start = leaving.line.add(1);
                let stop = next.map_or(end, |next| next.line);
                std::ptr::copy(start, start.sub(left), stop.offset_from_unsigned(start));
            }
            (*part).nelts -= left;
            // Whoever goes through a list in nginx's way takes every part but the first to have an
            // element: of an empty one he would see what was there before.
            if (*part).nelts == 0 && !before.is_null() {
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
}

/// Links the lines of one name again: those that stay, where they are going to be. nginx links known names
/// only; in other lines, `next` is whatever was in memory, and mustn't be looked at.
///
/// # Safety
///
/// `first` points to nginx's pointer to the first line of a name, and no line has moved yet.
#[cfg(linked_headers)]
unsafe fn relink(first: *mut Line, fate: impl Fn(Line) -> Fate) {
    let mut link = first;
    // SAFETY: by the contract of this function. Each line belongs to one name, and is come by once: what it
    // has for its next one is read before that is changed.
    unsafe {
        let mut line = *first;
        while !line.is_null() {
            let next = (*line).next;
            if let Fate::At(then) = fate(line) {
                *link = then;
                link = &raw mut (*line).next;
            }
            line = next;
        }
        *link = std::ptr::null_mut();
    }
}

/// Mends every pointer of nginx's to a header line.
///
/// # Safety
///
/// `headers` is that of a live request, `fate` says where the lines of its list are going to be, and none has
/// moved yet.
unsafe fn mend(headers: *mut ngx_http_headers_in_t, fate: impl Fn(Line) -> Fate) {
    // The known headers lie side by side in the structure, from `host` up to `user`.
    const FIRST: usize = std::mem::offset_of!(ngx_http_headers_in_t, host);
    const COUNT: usize =
        (std::mem::offset_of!(ngx_http_headers_in_t, user) - FIRST) / size_of::<Line>();
    // `cookie` among them, so that it is mended once.
    #[cfg(linked_headers)]
    const _: () = assert!(
        std::mem::offset_of!(ngx_http_headers_in_t, cookie)
            < std::mem::offset_of!(ngx_http_headers_in_t, user)
    );
    // SAFETY: each word between the two is a pointer to a line, except, before 1.23, those of an
    // array of such pointers, whose words (a length, a size, pointers elsewhere) never equal the
    // address of a line, nor lie between those of lines of one part.
    unsafe {
        let known: *mut Line = headers.byte_add(FIRST).cast();
        for index in 0..COUNT {
            let pointer = known.add(index);
            if (*pointer).is_null() {
                continue;
            }
            #[cfg(linked_headers)]
            relink(pointer, &fate);
            #[cfg(not(linked_headers))]
            {
                *pointer = resolve(fate(*pointer));
            }
        }
        #[cfg(not(linked_headers))]
        for array in [&raw mut (*headers).cookies, &raw mut (*headers).x_forwarded_for] {
            let lines: *mut Line = (*array).elts.cast();
            let mut kept = 0;
            for index in 0..(*array).nelts {
                let line = resolve(fate(*lines.add(index)));
                if !line.is_null() {
                    *lines.add(kept) = line;
                    kept += 1;
                }
            }
            (*array).nelts = kept;
        }
    }
}

#[cfg(test)]
mod tests;
