use super::*;
use crate::nginx_text::text::{read, Files};

struct NoFiles;

impl Files for NoFiles {
    fn include(&mut self, _pattern: &str) -> Vec<(String, String)> {
        Vec::new()
    }
}

fn open(text: &str) -> Vec<(&'static str, usize)> {
    let found = find(&read(text, "nginx.conf", &mut NoFiles));
    found.iter().map(|open| (open.page, open.line)).collect()
}

fn is_open(of_http: &str, of_server: &str, of_location: &str) -> bool {
    let text = format!(
        "http {{ {of_http} server {{ {of_server} location / {{ location /m {{\n tollgate_metrics; {of_location} }} }} }} }}"
    );
    let found = open(&text);
    assert!(found.is_empty() || found == [("tollgate_metrics", 2)], "{found:?}");
    !found.is_empty()
}

/// Each form that guards nothing has a twin that does: of the same words, as far as that can be.
#[test]
fn a_page_is_told_of_where_nothing_guards_it() {
    for (guarded, unguarded) in [
        ("allow 127.0.0.1; deny all;", ""),
        ("deny all; allow all;", "allow all; deny all;"),
        ("deny all;", "deny 192.0.2.1;"),
        ("deny all;", "allow 127.0.0.1;"),
        ("allow 10.0.0.0/8; deny all;", "allow 0.0.0.0/1; deny all;"),
        ("deny 0.0.0.0/0;", "deny ::/0;"),
        ("satisfy any; allow 127.0.0.1; auth_basic x;", "satisfy any; allow all; auth_basic x;"),
        ("satisfy all; allow all; auth_basic x;", "satisfy any; allow all; auth_basic x;"),
        ("satisfy any; deny all; auth_basic x;", "satisfy any; allow 127.0.0.1;"),
        ("satisfy any; deny all; tollgate on;", "satisfy any; allow all; deny all; tollgate on;"),
        (
            "satisfy any; auth_basic x; auth_request off;",
            "satisfy any; auth_basic off; auth_request off;",
        ),
        ("auth_basic metrics;", "auth_basic off;"),
        ("auth_basic metrics;", "auth_basic_user_file users; auth_delay 1s;"),
        ("auth_request /who;", "auth_request_set $x $y;"),
        ("auth_jwt metrics;", "auth_jwt_key_file keys;"),
        ("access_by_lua_file who.lua;", "access_by_lua_no_postpone on;"),
        ("tollgate on;", "tollgate off;"),
        ("internal;", "satisfy any;"),
        ("limit_except POST { deny all; } deny all;", "limit_except GET { deny all; }"),
    ] {
        assert!(!is_open("", "listen 80;", guarded), "{guarded}");
        assert!(is_open("", "listen 80;", unguarded), "{unguarded}");
    }
}

#[test]
fn what_is_said_around_holds_within_until_it_is_said_anew() {
    for (outer, inner, is_told) in [
        ("allow 127.0.0.1; deny all;", "", false),
        ("allow 127.0.0.1; deny all;", "allow all;", true),
        ("deny all;", "deny 192.0.2.1;", true),
        ("deny 192.0.2.1;", "", true),
        ("tollgate on;", "", false),
        ("tollgate on;", "tollgate off;", true),
        ("auth_basic x;", "", false),
        ("auth_basic x;", "auth_basic off;", true),
        // One that is off is not another one.
        ("auth_request /who;", "auth_basic off;", false),
        ("satisfy any;", "allow all; auth_basic x;", true),
        ("satisfy any;", "satisfy all; allow all; auth_basic x;", false),
    ] {
        for (of_http, of_server) in [(outer, ""), ("", outer)] {
            assert_eq!(is_open(of_http, of_server, inner), is_told, "{outer} {inner}");
        }
    }
    // What another location says guards nothing here.
    let text = "http { server { location /a { deny all; } location /b { tollgate_status; } } }";
    assert_eq!(open(text), [("tollgate_status", 1)]);
}

#[test]
fn it_depends_on_who_can_connect() {
    for (server, location, is_told) in [
        ("listen unix:/run/m.sock;", "", false),
        ("listen unix:/run/m.sock; listen 80;", "", true),
        ("listen 127.0.0.1:80;", "", true),
        ("", "deny 0.0.0.0/0;", false),
        ("listen *:80;", "deny 0.0.0.0/0;", false),
        ("listen 80; listen [::]:80;", "deny 0.0.0.0/0;", true),
        ("listen 80; listen [::]:80;", "deny 0.0.0.0/0; deny ::/0;", false),
        ("listen [::]:80;", "deny ::/0;", false),
        ("listen [::]:80 ipv6only=off;", "deny ::/0;", true),
        ("listen localhost:80;", "deny 0.0.0.0/0;", true),
        // A proxy says who comes.
        ("listen 80; set_real_ip_from 10.0.0.1;", "deny 0.0.0.0/0;", true),
        ("listen 80;", "set_real_ip_from 10.0.0.1; deny 0.0.0.0/0;", true),
        ("listen 80; set_real_ip_from 10.0.0.1;", "deny all;", false),
        // Nobody is asked for a certificate without TLS.
        ("listen 443 ssl; ssl_verify_client on;", "", false),
        (
            "listen 443 ssl; listen 443 quic; ssl_verify_client on;",
            "satisfy any; allow all;",
            false,
        ),
        ("listen 443; ssl on; ssl_verify_client on;", "", false),
        ("listen 443 ssl; listen 80; ssl_verify_client on;", "", true),
        ("listen 443 ssl; ssl_verify_client optional;", "", true),
    ] {
        assert_eq!(is_open("", server, location), is_told, "{server} {location}");
    }
}

#[test]
fn pages_are_told_with_their_lines() {
    let text = "http { server { location / { location /s {\n\n tollgate_status; } } } }";
    assert_eq!(open(text), [("tollgate_status", 3)]);
    assert_eq!(open("http { server { location @m { tollgate_metrics; } } }"), []);
    // Usage is for clients, who have to say who they are.
    assert_eq!(open("http { server { location / { tollgate_usage; } } }"), []);
}
