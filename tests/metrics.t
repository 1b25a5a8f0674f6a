#!/usr/bin/perl

# What all workers count is on one page, for Prometheus.

use warnings;
use strict;

use Test::More;

use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ keys_file /;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(7);

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_tier pro { }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
            tollgate on;
            tollgate_api_keys %%TESTDIR%%/keys.json;
            tollgate_default_tier pro;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /metrics {
            tollgate_metrics;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 "{}";
        }
    }
}

EOF

$t->write_file('keys.json', keys_file({ key => 'key-alice', client => 'alice' }));
$t->run();

get('/v1/models', 'key-alice') for 1 .. 3;
get('/v1/models', 'key-nobody') for 1 .. 2;

my $page = http_get('/metrics');
like($page, qr!^HTTP/1.1 200 OK!, 'the page');
like($page, qr!^Content-Type: text/plain; version=0\.0\.4!m, 'its type');
is(requests($page, 'allow', ''), 3, 'requests that were let in');
is(requests($page, 'deny', 'invalid_credential'), 2, 'requests that were refused');

like(http_head('/metrics'), qr!^HTTP/1.1 200 OK.*Content-Length: [1-9]!s, 'its head');
like(http("POST /metrics HTTP/1.0\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"),
    qr!^HTTP/1.1 405.*^Allow: GET, HEAD!ms, 'it takes nothing');

$t->reload();
get('/v1/models', 'key-alice');
is(requests(http_get('/metrics'), 'allow', ''), 4, 'what was counted outlives a reload');

sub get {
    my ($uri, $key) = @_;
    return http("GET $uri HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer $key\r\n\r\n");
}

sub requests {
    my ($text, $decision, $reason) = @_;
    my $sum = 0;
    $sum += $1
        while $text =~
        /^tollgate_requests_total\{[^}]*decision="$decision",reason="$reason"\} (\d+)$/mg;
    return $sum;
}
