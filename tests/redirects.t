#!/usr/bin/perl

# Internal redirects: nginx forgets what a module knows of a request, and Tollgate must not. However
# many locations a request goes through, it is judged where it is let in, charged once, logged once,
# and the backend at the end learns who is asking.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header headers keys_file status/;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(97)
	->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier ten  { requests 10r/h; }
    tollgate_tier five { requests 5r/h; }
    tollgate_limit rule  key=$tollgate_client requests=3r/h;
    tollgate_limit other key=$tollgate_client requests=2r/h;

    tollgate_api_keys  keys.json;
    tollgate_audit_log %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;

        location /v1 {
            proxy_pass http://127.0.0.1:8081;
        }

        # The engine answers /accel/PATH with X-Accel-Redirect: /PATH.
        location /accel/ {
            proxy_pass http://127.0.0.1:8081;
        }

        location /try {
            try_files /missing.html /v1/try;
        }

        location /try-named {
            try_files /missing.html @engine;
        }

        location @engine {
            proxy_pass http://127.0.0.1:8081;
        }

        location /index/ {
        }

        location /rewrite {
            rewrite ^ /v1/rewritten last;
        }

        location /fallback {
            error_page 502 = @engine;
            proxy_pass http://127.0.0.1:8083;
        }

        location /fallback-uri {
            error_page 502 =200 /v1/fallback;
            proxy_pass http://127.0.0.1:8083;
        }

        location /intercept {
            proxy_intercept_errors on;
            error_page 404 = /v1/intercepted;
            proxy_pass http://127.0.0.1:8081/status/404;
        }

        location /internal {
            internal;
            proxy_pass http://127.0.0.1:8081;
        }

        location /rule {
            tollgate_apply rule;
            proxy_pass http://127.0.0.1:8081;
        }

        location /rules {
            tollgate_apply rule other;
            proxy_pass http://127.0.0.1:8081;
        }

        location /ruled/ {
            tollgate_apply rule;
            proxy_pass http://127.0.0.1:8081/accel/;
        }

        location /strict {
            tollgate_api_keys strict.json;
            proxy_pass http://127.0.0.1:8081;
        }

        location /strict-static {
            tollgate_api_keys strict.json;
        }

        location /dry/ {
            tollgate_dry_run on;
            proxy_pass http://127.0.0.1:8081/accel/;
        }

        location /static {
            default_type text/plain;
        }

        location /open/ {
            tollgate off;
            proxy_pass http://127.0.0.1:8081/accel/;
        }

        location /opened {
            tollgate off;
            proxy_pass http://127.0.0.1:8081;
        }
    }
}

EOF

$t->write_file('static', 'STATIC');
$t->write_file('strict-static', 'STRICT');
mkdir $t->testdir() . '/index' or die "Can't create index: $!\n";
$t->write_file('index/index.html', 'INDEX');

my @clients = map { "c$_" } 1 .. 40;
$t->write_file('keys.json', keys_file(
	map { { key => "key-$_", client => $_, tier => 'ten' } } @clients));
$t->write_file('strict.json', keys_file(
	(map { { key => "key-$_", client => "strict-$_", tier => 'five', id => "s_$_" } }
		@clients[0 .. 29])));

$t->run_daemon(\&engine, port(8081));
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8081));

###############################################################################

my $r;

# each way through nginx: charged once, and the engine knows who it is

for my $case (
	['/v1', 'no redirect'],
	['/try', 'try_files'],
	['/try-named', 'try_files to a named location'],
	['/rewrite', 'rewrite'],
	['/fallback', 'error_page to a named location'],
	['/fallback-uri', 'error_page to a path'],
	['/intercept', 'proxy_intercept_errors'],
	['/accel/v1', 'X-Accel-Redirect'],
	['/accel/internal', 'X-Accel-Redirect to an internal location'],
	['/accel/accel/v1', 'two of them'],
	['/accel/try', 'X-Accel-Redirect and try_files'],
) {
	my ($uri, $name) = @$case;
	my $client = shift @clients;
	$r = get($uri, "X-API-Key: key-$client", 'X-Client-ID: root', 'X_Client_Tier: root',
		'Authorization: Basic cm9vdDpyb290');

	is(status($r), 200, "$name: let through");
	is(header($r, 'x-ratelimit-remaining-requests'), 9, "$name: charged once");
	is(engine_saw($r), "$client ten", "$name: the engine knows who it is");
	is(headers($r, 'X-Request-ID'), 1, "$name: one id");
	is(status(get($uri)), 401, "$name: not without a key");
}

my $client = shift @clients;
is(http_content(get('/index/', "X-API-Key: key-$client")), 'INDEX', 'index: let through');
is(remaining($client), 8, 'index: charged once');
is(status(get('/index/')), 401, 'index: not without a key');

$client = shift @clients;
$r = get('/accel/static', "X-API-Key: key-$client");
is(http_content($r), 'STATIC', 'X-Accel-Redirect to a file: let through');
is(header($r, 'x-ratelimit-remaining-requests'), 9, 'X-Accel-Redirect to a file: charged once');

# into a location with other limits

$client = shift @clients;
$r = get('/accel/rule', "X-API-Key: key-$client");
is(status($r), 200, 'another limit: let through');
is(header($r, 'x-ratelimit-remaining-requests'), 9, 'another limit: the tier is charged once');
is(status(get('/accel/rule', "X-API-Key: key-$client")), 200, 'another limit: 2 of 3');
is(status(get('/rule', "X-API-Key: key-$client")), 200, 'another limit: 3 of 3');
$r = get('/accel/rule', "X-API-Key: key-$client");
is(status($r), 429, 'another limit: spent');
unlike($r, qr/^X-Saw/m, 'another limit: the second backend is not asked');
is(content_json($r)->{error}{code}, 'rate_limit_exceeded', 'another limit: our answer');

$client = shift @clients;
is(status(get('/ruled/rule', "X-API-Key: key-$client")), 200, 'the same limit twice')
	for 1 .. 3;
is(status(get('/ruled/rule', "X-API-Key: key-$client")), 429, 'is charged once');

$client = shift @clients;
is(status(get('/ruled/rules', "X-API-Key: key-$client")), 200, 'one limit more') for 1 .. 2;
is(status(get('/ruled/rules', "X-API-Key: key-$client")), 429, 'is charged, too');

# into a location with other keys: the credential is remembered, although it was stripped

$client = shift @clients;
$r = get('/accel/strict', "X-API-Key: key-$client");
is(status($r), 200, 'other keys: judged anew');
is(engine_saw($r), "strict-$client five", 'other keys: whom that location knows');
is(header($r, 'x-ratelimit-limit-requests'), 5, 'other keys: charged there');

$r = get('/accel/strict', 'X-API-Key: key-c40');
is(status($r), 401, 'other keys: unknown there');
unlike($r, qr/^X-Saw/m, 'other keys: the second backend is not asked');
is(status(get('/accel/strict-static', 'X-API-Key: key-c40')), 401, 'other keys: not even a file');
is(http_content(get('/accel/strict-static', "X-API-Key: key-$client")), 'STRICT',
	'other keys: a file for whom they know');

# between open and protected locations

$client = shift @clients;
$r = get('/open/v1', "X-API-Key: key-$client", 'X-Client-ID: root');
is(status($r), 200, 'from an open location: with a key');
is(engine_saw($r), "$client ten", 'from an open location: identity');
is(header($r, 'x-ratelimit-remaining-requests'), 9, 'from an open location: charged');
$r = get('/open/v1');
is(status($r), 401, 'from an open location: without a key');
unlike($r, qr/^X-Saw/m, 'from an open location: the second backend is not asked');
is(status(get('/open/static')), 401, 'from an open location: not even a file');

$r = get('/accel/opened', "X-API-Key: key-$client", 'X-Client-ID: root');
is(engine_saw($r), "$client ten", 'to an open location: the identity stays');

# dry_run holds where it is on, and not where it leads

is(status(get('/dry/v1')), 401, 'from a dry run: a backend');
is(status(get('/dry/static')), 401, 'from a dry run: a file');
is(status(get('/dry/opened')), 200, 'from a dry run: an open location');

# the log

$t->stop();

my %lines;
for my $line (audit_lines($t, 'audit.log')) {
	push @{$lines{$line->{path}}}, join ' ', grep { defined }
		@$line{qw/decision reason status client upstream_status/};
}

is_deeply($lines{'/accel/accel/v1'},
	['allow 200 c10 200', 'deny missing_credential 401'], 'log: two redirects');
is_deeply($lines{'/try'},
	['allow 200 c2 200', 'deny missing_credential 401'], 'log: try_files');
is_deeply($lines{'/fallback'},
	['allow 200 c5 200', 'deny missing_credential 401'], 'log: error_page');
is($lines{'/accel/rule'}[-1], 'deny requests_exceeded 429 c14 200', 'log: refused at the end');
is_deeply($lines{'/accel/strict'},
	['allow 200 strict-c17 200', 'deny invalid_credential 401 200'], 'log: other keys');
is_deeply($lines{'/open/v1'},
	['allow 200 c18 200', 'deny missing_credential 401 200'], 'log: from an open location');

###############################################################################

sub remaining {
	my ($client) = @_;
	return header(get('/v1', "X-API-Key: key-$client"), 'x-ratelimit-remaining-requests');
}

# Client and tier in the headers that the last backend got, and whatever it should not have got.
sub engine_saw {
	my ($response) = @_;
	return join ' ', map { s/^.*?: //r } sort grep {
		/^X.Client|^X-API-Key|^Authorization: Bearer/i
	} split /\n/, http_content($response) // '';
}

# Sends the headers that it got, and redirects where the path says so.
sub engine {
	my ($port) = @_;

	my $server = IO::Socket::INET->new(
		Proto => 'tcp',
		LocalAddr => "127.0.0.1:$port",
		Listen => 5,
		ReuseAddr => 1
	)
		or die "Can't create listening socket: $!\n";

	local $SIG{PIPE} = 'IGNORE';

	while (my $client = $server->accept()) {
		my ($uri, $head) = ('', '');
		while (<$client>) {
			$uri = $1 if /^GET (\S+)/;
			last if /^\x0d?\x0a?$/;
			$head .= s/\x0d//r;
		}

		my $status = $uri =~ m!^/status/(\d+)! ? "$1 Status" : '200 OK';
		my $redirect = $uri =~ m!^/accel(/.*)! ? "X-Accel-Redirect: $1\x0d\x0a" : '';
		my $seen = $redirect ? '' : "X-Saw: $uri\x0d\x0a";
		print $client "HTTP/1.1 $status\x0d\x0a${redirect}${seen}Connection: close\x0d\x0a"
			. 'Content-Length: ' . length($head) . "\x0d\x0a\x0d\x0a$head";
		close $client;
	}
}

###############################################################################
