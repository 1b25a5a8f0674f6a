#!/usr/bin/perl

# Requests that nginx has no header list of: HTTP/0.9, which has no headers, and those that it couldn't
# read, where an error_page leads to a protected location. They are judged as others are, the backend
# learns who is asking, and no worker dies.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get keys_file status/;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http http_v2 proxy rewrite/)->has_daemon('curl')->plan(32)
	->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier      free { requests 100000r/h; }
    tollgate_limit     everybody key=all requests=100000r/h;
    tollgate_api_keys  keys.json;
    tollgate_audit_log %%TESTDIR%%/audit.log;

    large_client_header_buffers 2 1k;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;

        tollgate on;

        location /closed/ {
            proxy_pass http://127.0.0.1:8081;
        }

        location /none/ {
            tollgate_auth none;
            tollgate_apply everybody;

            location /none/engine {
                proxy_pass http://127.0.0.1:8081;
            }

            location /none/metered/v1/completions {
                proxy_pass http://127.0.0.1:8081;
            }
        }

        location /dry/ {
            tollgate_dry_run on;

            location /dry/engine {
                proxy_pass http://127.0.0.1:8081;
            }
        }
    }

    server {
        listen       127.0.0.1:8083;

        tollgate       on;
        tollgate_auth  none;
        tollgate_apply everybody;

        error_page 400 405 414 494 505 = /early;

        location / {
            return 204;
        }

        location = /early {
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8084;

        tollgate       on;

        error_page 400 405 414 494 505 = /early;

        location = /early {
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;

        location / {
            return 200 "ENGINE id=$http_x_request_id client=$http_x_client_id.";
        }
    }
}

EOF

$t->write_file('keys.json', keys_file({ key => 'tg_good', client => 'acme', tier => 'free' }));
mkdir $t->testdir() . "/$_" or die "Can't create $_: $!\n" for qw/none dry closed/;
$t->write_file("$_/index.html", "INDEX-$_") for qw/none dry closed/;
$t->run();

###############################################################################

# HTTP/0.9: nginx answers with the body alone.

is(ask(8080, "GET /none/index.html\r\n"), 'INDEX-none', 'a file');
is(ask(8080, "GET /dry/index.html\r\n"), 'INDEX-dry', 'a file, in a dry run');
like(ask(8080, "GET /none/engine\r\n"), qr/^ENGINE id=[0-9a-f]{32} client=\.$/, 'a backend');
like(ask(8080, "GET /dry/engine\r\n"), qr/^ENGINE id=[0-9a-f]{32} client=\.$/, 'a backend, in a dry run');
like(ask(8080, "GET /none/metered/v1/completions\r\n"), qr/^ENGINE/, 'an endpoint that is metered');
unlike(ask(8080, "GET /closed/index.html\r\n"), qr/INDEX|ENGINE/, 'nothing without a key');
like(ask(8080, "GET /closed/index.html\r\n"), qr/invalid_api_key/, 'but our words');

# The twins.

is(http_content(get('/none/index.html')), 'INDEX-none', 'HTTP/1.0: a file');
like(http_content(get('/closed/engine', 'X-API-Key: tg_good')), qr/client=acme\./, 'HTTP/1.0: a backend');

# What nginx couldn't read, at each point, and where it is led to.

my %broken = (
	'request line' => ["nonsense\x01 / HTTP/1.1\r\n\r\n", 400],
	'version' => ["GET / HTTP/7.0\r\n\r\n", 505],
	'request line too long' => ['GET /' . 'a' x 3000 . " HTTP/1.1\r\n\r\n", 414],
	'header' => ["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
	'no host' => ["GET / HTTP/1.1\r\n\r\n", 400],
	'header too long' => ["GET / HTTP/1.1\r\nHost: a\r\nX: " . 'a' x 3000 . "\r\n\r\n", 494],
	'content-length' => ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: b\r\n\r\n", 400],
	'method' => ["TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405],
);
for my $what (sort keys %broken) {
	my ($request) = @{$broken{$what}};
	like(ask(8083, $request), qr/ENGINE id=[0-9a-f]{32} client=\./, "$what: led to a backend that is open");
	my $r = ask(8084, $request);
	like($r, qr/invalid_api_key/, "$what: and to one that isn't");
}

is(curl('--http2-prior-knowledge', 'http://127.0.0.1:' . port(8082) . '/none/index.html'), 'INDEX-none',
	'HTTP/2: a file');
like(curl('--http2-prior-knowledge', '-H', 'X: ' . 'a' x 3000, '-o', '/dev/null', '-w', '%{http_code}',
	'http://127.0.0.1:' . port(8082) . '/none/index.html'), qr/^(000|4\d\d|200)$/, 'HTTP/2: a header too long');

is(scalar(my @workers = workers($t)), 1, 'the worker is there');
is(status(get('/none/index.html')), 200, 'and answers');

$t->stop();
unlike($t->read_file('error.log'), qr/exited on signal/, 'none has died');
my @lines = audit_lines($t, 'audit.log');
is(scalar(grep { !ref } @lines), 0, 'each line of the log is one');
is(scalar(grep { ($_->{path} // '') eq '/none/engine' && $_->{decision} eq 'allow' } @lines), 1,
	'HTTP/0.9 is logged');

###############################################################################

sub ask {
	my ($port, $request) = @_;
	return http($request, socket => IO::Socket::INET->new(Proto => 'tcp',
		PeerAddr => '127.0.0.1:' . port($port))) // '';
}

###############################################################################
