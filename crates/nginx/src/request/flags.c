/*
 * The bit fields of a request, read and written as nginx's own compiler sees them.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#define FLAG(name)                                                            \
    unsigned request_flag_##name(const ngx_http_request_t *r)                 \
    {                                                                         \
        return r->name;                                                       \
    }                                                                         \
                                                                              \
    void request_flag_set_##name(ngx_http_request_t *r, unsigned value)       \
    {                                                                         \
        r->name = value;                                                      \
    }

FLAG(allow_ranges)
FLAG(blocked)
FLAG(buffered)
#if (NGX_HTTP_CACHE)
FLAG(cached)
#endif
FLAG(count)
FLAG(error_page)
FLAG(filter_need_in_memory)
FLAG(header_only)
FLAG(header_sent)
FLAG(internal)
FLAG(limit_conn_status)
FLAG(limit_req_status)
FLAG(lingering_close)
FLAG(logged)
FLAG(post_action)
FLAG(preserve_body)
FLAG(quoted_uri)
FLAG(uri_changes)
FLAG(valid_location)
FLAG(valid_unparsed_uri)
