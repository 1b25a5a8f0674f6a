/* A module of nginx that makes the mistake which the header X-Plant names: scripts/fuzz-nginx --self-test must find it. */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

static ngx_table_elt_t *named(ngx_http_request_t *r) {
    ngx_list_part_t *part = &r->headers_in.headers.part;
    ngx_table_elt_t *header = part->elts;
    for (ngx_uint_t i = 0;; i++) {
        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }
            part = part->next;
            header = part->elts;
            i = 0;
        }
        if (header[i].key.len == 7 && ngx_strncasecmp(header[i].key.data, (u_char *)"X-Plant", 7) == 0) {
            return &header[i];
        }
    }
}

static int is(ngx_table_elt_t *header, const char *name) {
    return header->value.len == strlen(name) && ngx_strncmp(header->value.data, name, header->value.len) == 0;
}

/* A compiler leaves out what nobody can reach. */
static u_char *volatile kept;

static ngx_int_t plant(ngx_http_request_t *r) {
    ngx_table_elt_t *header = named(r);
    volatile u_char *some;
    if (header == NULL) {
        return NGX_DECLINED;
    }
    if (is(header, "overflow")) {
        some = ngx_palloc(r->pool, 24);
        some[24] = 1;
    } else if (is(header, "freed")) {
        some = malloc(64);
        free((void *)some);
        some[0] = 1;
    } else if (is(header, "ends")) {
        _exit(3);
    } else if (is(header, "hangs")) {
        for (;;) {
            pause();
        }
    } else if (is(header, "alert")) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0, "planted");
    } else if (is(header, "connection")) {
        /* Whoever ends it is not the last. */
        r->main->count++;
    } else if (is(header, "memory")) {
        kept = malloc(65536);
        memset(kept, 1, 65536);
    }
    return NGX_DECLINED;
}

/* Behind the access phase, in which a place is taken: nobody goes on with it, and nobody looks whether the client is there. */
static ngx_int_t plant_late(ngx_http_request_t *r) {
    ngx_table_elt_t *header = named(r);
    return header != NULL && is(header, "place") ? NGX_DONE : NGX_DECLINED;
}

static ngx_int_t add(ngx_http_core_main_conf_t *main, ngx_uint_t phase, ngx_http_handler_pt what) {
    ngx_http_handler_pt *handler = ngx_array_push(&main->phases[phase].handlers);
    if (handler == NULL) {
        return NGX_ERROR;
    }
    *handler = what;
    return NGX_OK;
}

static ngx_int_t configured(ngx_conf_t *cf) {
    ngx_http_core_main_conf_t *main = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    if (add(main, NGX_HTTP_PREACCESS_PHASE, plant) != NGX_OK) {
        return NGX_ERROR;
    }
    return add(main, NGX_HTTP_PRECONTENT_PHASE, plant_late);
}

static ngx_http_module_t context = {NULL, configured, NULL, NULL, NULL, NULL, NULL, NULL};

ngx_module_t ngx_http_plants_module = {NGX_MODULE_V1, &context, NULL, NGX_HTTP_MODULE, NULL, NULL, NULL, NULL, NULL, NULL,
                                       NULL, NGX_MODULE_V1_PADDING};

ngx_module_t *ngx_modules[] = {&ngx_http_plants_module, NULL};
char *ngx_module_names[] = {"ngx_http_plants_module", NULL};
char *ngx_module_order[] = {NULL};
