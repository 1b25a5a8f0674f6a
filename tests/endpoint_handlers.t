#!/usr/bin/perl

# What forwards a request isn't always proxy_pass, where there is one: a block of "if" may have another directive, and
# so may the location itself. The path that is judged is the one that this one forwards.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite uwsgi/)->plan(16)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    tollgate_tier      open { }
    tollgate_api_keys  keys.json;

    tollgate_default_tier  open;

    add_header  X-Cause $tollgate_detail always;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate         on;
        tollgate_engine  vllm;

        set  $up 127.0.0.1:8081;

        # Refused or not, uwsgi_pass gets no answer that it can read: 502.
        location = /metrics {
            proxy_pass  http://127.0.0.1:8081/health;
            if ($arg_other) {
                uwsgi_pass  127.0.0.1:8082;
            }
        }

        location = /else {
            proxy_pass  http://$up/health;
            if ($arg_other) {
                uwsgi_pass  127.0.0.1:8082;
            }
        }

        location = /ping {
            proxy_pass  http://127.0.0.1:8081/metrics;
            if ($arg_other) {
                uwsgi_pass  127.0.0.1:8082;
            }
        }

        # The later one counts.
        location = /load {
            proxy_pass  http://127.0.0.1:8081/health;
            uwsgi_pass  127.0.0.1:8082;
        }

        location = /server_info {
            uwsgi_pass  127.0.0.1:8082;
            proxy_pass  http://127.0.0.1:8081/health;
        }

        # Blocks without anything of their own.
        location /if/ {
            proxy_pass  http://127.0.0.1:8081/;
            if ($arg_other) {
                set  $x 1;
            }
        }

        location /except/ {
            proxy_pass  http://127.0.0.1:8081/;
            limit_except GET {
                deny  10.0.0.0/8;
            }
        }

        location = /is_sleeping {
            uwsgi_pass  127.0.0.1:8082;
            if ($arg_other) {
                proxy_pass  http://127.0.0.1:8081;
            }
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            add_header  X-Saw "$request_method $request_uri" always;
            return      200 "{}";
        }
    }
}

EOC
$t->write_file('keys.json', keys_file({ key => 'key-a', client => 'acme' }));
$t->run();

# What the engine got, or why it got nothing.
sub outcome {
	my ($path, $method) = (@_, 'GET');
	my $r = http("$method $path HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-API-Key: key-a\r\n"
		. "Content-Length: 0\r\n\r\n") // '';
	return header($r, 'X-Saw') // join ' ', status($r), header($r, 'X-Cause') // ();
}

is(outcome('/metrics'), 'GET /health', 'proxy_pass with a path');
is(outcome('/metrics?other=1'), '403 operators_endpoint', 'uwsgi_pass, for operators');
is(outcome('/else'), 'GET /health', 'proxy_pass with variables');
is(outcome('/else?other=1'), '403 unknown_endpoint vllm', 'uwsgi_pass beside variables');
is(outcome('/ping'), '403 operators_endpoint', 'proxy_pass, for operators');
is(outcome('/ping?other=1'), '502', 'uwsgi_pass, for clients');
is(outcome('/load'), '403 operators_endpoint', 'beside each other, uwsgi_pass is the later one');
is(outcome('/server_info'), 'GET /health', 'proxy_pass is the later one');
for my $query ('', '?other=1') {
	is(outcome("/if/health$query"), "GET /health$query", "if without a handler, $query");
	is(outcome("/if/metrics$query"), '403 operators_endpoint', "if without a handler, for operators, $query");
}
is(outcome('/except/health'), 'GET /health', 'limit_except, GET');
is(outcome('/except/ping', 'POST'), 'POST /ping', 'limit_except, POST');
is(outcome('/except/sleep', 'POST'), '403 operators_endpoint', 'limit_except, for operators');
is(outcome('/is_sleeping?other=1'), '403 operators_endpoint', 'proxy_pass in if');
