//! The bit fields of a request.
//!
//! Since nginx 1.29.3 a field of two bytes comes right before them. C then counts their bits from the first of
//! these bytes, and bindgen from the first behind them: from `uri_changes` on, which would lie across two words,
//! bindgen has each of them two bits before its place. There flags.c reads and writes them.

use ngx::ffi::ngx_http_request_t;

macro_rules! read {
    ($name:ident by $in_c:ident) => {
        /// # Safety
        ///
        /// The request is live.
        #[inline]
        pub(crate) unsafe fn $name(r: *const ngx_http_request_t) -> u32 {
            #[cfg(not(bits_behind_port))]
            // SAFETY: by the contract of this function.
            unsafe {
                (*r).$name()
            }
            #[cfg(bits_behind_port)]
            {
                extern "C" {
                    fn $in_c(r: *const ngx_http_request_t) -> u32;
                }
                // SAFETY: as above.
                unsafe { $in_c(r) }
            }
        }
    };
}

macro_rules! write {
    ($name:ident by $in_c:ident) => {
        /// # Safety
        ///
        /// The request is live, and nothing else refers to it meanwhile.
        #[inline]
        pub(crate) unsafe fn $name(r: *mut ngx_http_request_t, value: u32) {
            #[cfg(not(bits_behind_port))]
            // SAFETY: by the contract of this function.
            unsafe {
                (*r).$name(value);
            }
            #[cfg(bits_behind_port)]
            {
                extern "C" {
                    fn $in_c(r: *mut ngx_http_request_t, value: u32);
                }
                // SAFETY: as above.
                unsafe { $in_c(r, value) }
            }
        }
    };
}

read!(blocked by request_flag_blocked);
read!(buffered by request_flag_buffered);
#[cfg(ngx_feature = "http_cache")]
read!(cached by request_flag_cached);
read!(count by request_flag_count);
read!(header_only by request_flag_header_only);
read!(header_sent by request_flag_header_sent);
read!(internal by request_flag_internal);
read!(post_action by request_flag_post_action);
read!(quoted_uri by request_flag_quoted_uri);
read!(valid_location by request_flag_valid_location);
read!(valid_unparsed_uri by request_flag_valid_unparsed_uri);

write!(set_allow_ranges by request_flag_set_allow_ranges);
write!(set_buffered by request_flag_set_buffered);
write!(set_count by request_flag_set_count);
write!(set_error_page by request_flag_set_error_page);
write!(set_filter_need_in_memory by request_flag_set_filter_need_in_memory);
write!(set_limit_conn_status by request_flag_set_limit_conn_status);
write!(set_limit_req_status by request_flag_set_limit_req_status);
write!(set_lingering_close by request_flag_set_lingering_close);
write!(set_logged by request_flag_set_logged);
write!(set_post_action by request_flag_set_post_action);
write!(set_preserve_body by request_flag_set_preserve_body);
write!(set_uri_changes by request_flag_set_uri_changes);
write!(set_valid_location by request_flag_set_valid_location);

#[cfg(test)]
mod tests {
    use super::*;

    /// A bit that lands beside its place changes a neighbour, and another one than C means.
    #[test]
    fn each_flag_is_its_own() {
        // SAFETY: all fields are numbers, pointers or optional functions, for which zeros stand for nothing.
        let mut request: ngx_http_request_t = unsafe { std::mem::zeroed() };
        let r = &raw mut request;
        // SAFETY: it lives as long as this function.
        unsafe {
            set_buffered(r, 15);
            set_count(r, 0xffff);
            set_filter_need_in_memory(r, 1);
            assert_eq!((buffered(r), count(r)), (15, 0xffff));
            assert_eq!((blocked(r), header_sent(r), internal(r), post_action(r)), (0, 0, 0, 0));
            set_buffered(r, 0);
            set_count(r, 0);
            set_post_action(r, 1);
            set_valid_location(r, 1);
            assert_eq!((buffered(r), count(r), post_action(r), valid_location(r)), (0, 0, 1, 1));
            assert_eq!((header_only(r), internal(r), valid_unparsed_uri(r)), (0, 0, 0));
            set_filter_need_in_memory(r, 0);
            set_post_action(r, 0);
            set_valid_location(r, 0);
        }
        let bytes = (&raw const request).cast::<u8>();
        // SAFETY: all of them are set, by zeroed() and above.
        let bytes = unsafe { std::slice::from_raw_parts(bytes, size_of::<ngx_http_request_t>()) };
        assert!(bytes.iter().all(|byte| *byte == 0));
    }
}
