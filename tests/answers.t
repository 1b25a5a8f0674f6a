#!/usr/bin/perl

# What a refused client gets: status, body and headers of each answer; the operator's error_page in
# their place; and a connection that stays in step although nobody read the request's body.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header headers keys_file status/;
use Tollgate::Client;

use IO::Uncompress::Gunzip qw/gunzip/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()
	->has(qw/http proxy rewrite http_ssl http_v2 gzip ssi access auth_request/)
	->has_daemon('curl')->has_daemon('openssl')->plan(159)->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    # As small as it may be, so that it can be filled.
    tollgate_zone zone=tollgate:64k;
    tollgate_endpoints  +*:/*;
    tollgate_tier open { }
    tollgate_tier once { requests 1r/h; }
    tollgate_limit failures key=$http_x_failures auth_failures=1r/h;
    tollgate_limit two-failures key=$http_x_failures auth_failures=2r/h;
    tollgate_limit minted   key=$arg_x requests=2r/h;

    tollgate_api_keys keys.json;
    tollgate_audit_log %%TESTDIR%%/audit.log;

    client_max_body_size 10m;
    keepalive_requests   100000;

    server {
        listen       127.0.0.1:8080;
        # With TLS, as curl doesn't reuse connections of HTTP/2 without it.
        listen       127.0.0.1:8082 ssl http2;
        server_name  localhost;

        ssl_certificate     cert.pem;
        ssl_certificate_key key.pem;

        tollgate on;

        # Static files: the pages of error_page among them.
        location / {
        }

        location /v1 {
            tollgate_apply failures;
            proxy_pass http://127.0.0.1:8081;

            location /v1/health {
                tollgate off;
                proxy_pass http://127.0.0.1:8081;
            }
        }

        location /minted {
            tollgate_apply minted;
            proxy_pass http://127.0.0.1:8081;
        }

        location /gzip {
            gzip on;
            gzip_types application/json;
            gzip_min_length 1;
            proxy_pass http://127.0.0.1:8081;
        }

        location /page/static {
            error_page 401 429 /page.html;
            proxy_pass http://127.0.0.1:8081;
        }

        location /page/named {
            error_page 401 @named;
            proxy_pass http://127.0.0.1:8081;
        }

        location @named {
            return 200 NAMED;
        }

        location /page/ok {
            error_page 401 =200 /page.html;
            proxy_pass http://127.0.0.1:8081;
        }

        location /page/other {
            error_page 401 =404 /page.html;
            proxy_pass http://127.0.0.1:8081;
        }

        location /page/redirect {
            error_page 401 =302 https://login.example/;
            proxy_pass http://127.0.0.1:8081;
        }

        location /page/backend {
            error_page 401 429 =200 /v1/backend;
            proxy_pass http://127.0.0.1:8081;
        }

        location /page/named-backend {
            error_page 401 429 = @backend;
            proxy_pass http://127.0.0.1:8081;
        }

        location /page/failures {
            tollgate_apply two-failures;
            error_page 401 = /page/failures/backend;
            proxy_pass http://127.0.0.1:8081;

            location /page/failures/backend {
                proxy_pass http://127.0.0.1:8081;
            }
        }

        location @backend {
            proxy_pass http://127.0.0.1:8081;
        }

        location /page/recursive {
            recursive_error_pages on;
            error_page 401 /missing.html;
            error_page 404 /page.html;
            proxy_pass http://127.0.0.1:8081;
        }

        location /missing.html {
            error_page 404 /page.html;
            recursive_error_pages on;
        }

        location /page/loop {
            recursive_error_pages on;
            error_page 401 = /page/loop;
            proxy_pass http://127.0.0.1:8081;
        }

        location /page/of-another {
            error_page 502 /page.html;
            proxy_pass http://127.0.0.1:8081;
        }

        location /except {
            limit_except GET {
                deny 192.0.2.0/24;
            }
            proxy_pass http://127.0.0.1:8081;
        }

        location /if {
            if ($arg_x) {
                add_header X-If yes always;
            }
            proxy_pass http://127.0.0.1:8081;
        }

        location /ssi.html {
            ssi on;
        }

        location /subrequest {
            auth_request /auth;
            proxy_pass http://127.0.0.1:8081;
        }

        location = /auth {
            internal;
            proxy_pass http://127.0.0.1:8081/auth;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 "ENGINE $request_method $content_length";
        }
    }
}

EOF

$t->write_file('page.html', 'OPERATOR');
$t->write_file('ssi.html', 'A <!--#include virtual="/v1/one" --> B <!--#include virtual="/v1/two" -->');
$t->write_file('keys.json', keys_file(
	{ key => 'key-open', client => 'open', tier => 'open' },
	(map { { key => "key-once-$_", client => "once-$_", tier => 'once' } } 1 .. 9),
	{ key => 'key-elsewhere', client => 'far', tier => 'open', cidrs => ['203.0.113.0/24'] },
	{ key => 'key-tierless', client => 'lost' },
));

my $dir = $t->testdir();
system('openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost '
	. "-keyout $dir/key.pem -out $dir/cert.pem >>$dir/openssl.out 2>&1") == 0
	or die "Can't create a certificate: $!\n";

$t->run();

###############################################################################

# each answer

my $key = 'X-API-Key: key-open';

is(status(get('/v1', $key)), 200, 'a request that is not refused');
get('/v1', "X-API-Key: key-once-1");

my %answer = (
	'no credential' => [[], 401, 'invalid_request_error', 'invalid_api_key',
		'Bearer realm="tollgate"'],
	'wrong credential' => [['X-API-Key: wrong'], 401, 'invalid_request_error',
		'invalid_api_key', 'Bearer realm="tollgate", error="invalid_token"'],
	'two credentials' => [['X-API-Key: a', 'Authorization: Bearer b'], 400,
		'invalid_request_error', 'invalid_request'],
	'wrong network' => [['X-API-Key: key-elsewhere'], 403, 'invalid_request_error',
		'access_denied'],
	'no tier' => [['X-API-Key: key-tierless'], 403, 'invalid_request_error', 'access_denied'],
	'limit' => [['X-API-Key: key-once-1'], 429, 'requests', 'rate_limit_exceeded'],
	'failures' => [['X-API-Key: wrong', 'X-Failures: a'], 429, 'requests',
		'rate_limit_exceeded'],
);
get('/v1', 'X-API-Key: wrong', 'X-Failures: a');

for my $name (sort keys %answer) {
	answers_like($name, '/v1', @{$answer{$name}});
}

# error_page

my $r = get('/page/static');
is(status($r), 401, 'error_page: the status');
is(http_content($r), 'OPERATOR', 'error_page: the page, though it is in a protected location');
like(header($r, 'Content-Type'), qr/^text\/html/, 'error_page: its type');
is(header($r, 'WWW-Authenticate'), 'Bearer realm="tollgate"', 'error_page: the call to authenticate');
ok(header($r, 'X-Request-ID'), 'error_page: the id');
is(header($r, 'Content-Length'), 8, 'error_page: the length');

get('/page/static', 'X-API-Key: key-once-2');
$r = get('/page/static', 'X-API-Key: key-once-2');
is(status($r), 429, 'error_page of 429: the status');
is(http_content($r), 'OPERATOR', 'error_page of 429: the page');
cmp_ok(header($r, 'retry-after-ms'), '>', 0, 'error_page of 429: when to try again');
is(header($r, 'x-ratelimit-remaining-requests'), 0, 'error_page of 429: ratelimit headers');

$r = get('/page/static', $key);
is(http_content($r), 'ENGINE GET ', 'error_page: not for who may pass');

$r = get('/page/named');
is(status($r), 401, 'error_page @named: the status');
is(http_content($r), 'NAMED', 'error_page @named: what it returns');

$r = get('/page/ok');
is(status($r), 200, 'error_page =200: the status');
is(http_content($r), 'OPERATOR', 'error_page =200: the page');

$r = get('/page/other');
is(status($r), 404, 'error_page =404: the status');
is(http_content($r), 'OPERATOR', 'error_page =404: the page');

$r = get('/page/redirect');
is(status($r), 302, 'error_page =302: the status');
is(header($r, 'Location'), 'https://login.example/', 'error_page =302: where to');
unlike($r, qr/invalid_api_key/, 'error_page =302: not our body');

$r = get('/page/recursive');
is(http_content($r), 'OPERATOR', 'error_page of an error_page');

$r = get('/page/of-another');
is(content_json($r)->{error}{code}, 'invalid_api_key', 'error_page of another status: our body');

# A page of error_page that is a backend would let in whoever is refused.
for my $uri (qw!/page/backend /page/named-backend!) {
	$r = get($uri);
	unlike($r, qr/ENGINE/, "$uri: who was refused stays refused");
	is(content_json($r)->{error}{code}, 'invalid_api_key', "$uri: our body");
	is(headers($r, 'WWW-Authenticate'), 1, "$uri: one challenge");
	like(get($uri, $key), qr/ENGINE/, "$uri: who may pass, passes");
}

get('/page/failures', 'X-API-Key: wrong', 'X-Failures: twice');
$r = get('/page/failures', 'X-API-Key: wrong', 'X-Failures: twice');
is(header($r, 'WWW-Authenticate') ? 'counted once' : 'counted twice', 'counted once',
	'a wrong key is counted once, although two locations refuse it');

get('/page/backend', 'X-API-Key: key-once-3');
unlike(get('/page/backend', 'X-API-Key: key-once-3'), qr/ENGINE/, 'nor when a limit is spent');

$r = get('/page/loop');
is(status($r), 401, 'error_page to itself ends with the refusal');

# locations within locations

is(status(get('/v1/health')), 200, 'off in a nested location');
is(status(get('/v1/healthy', $key)), 200, 'the same path and more, with a key');

for my $method (qw/GET POST/) {
	is(status(connection()->ask(request("$method /except", 'Content-Length: 0'))), 401,
		"limit_except: $method without a key");
	is(status(connection()->ask(request("$method /except", 'Content-Length: 0', $key))), 200,
		"limit_except: $method with a key");
}

for my $uri (qw!/if /if?x=1!) {
	is(status(get($uri)), 401, "if: $uri without a key");
	is(status(get($uri, $key)), 200, "if: $uri with a key");
}
is(header(get('/if?x=1'), 'X-If'), 'yes', 'if: it is true for a refusal, too');

# subrequests

is(http_content(get('/ssi.html', $key)), 'A ENGINE GET  B ENGINE GET ', 'SSI: included');
is(content_json(get('/ssi.html'))->{error}{code}, 'invalid_api_key', 'SSI: refused');
is(status(get('/ssi.html', 'X-API-Key: key-once-4')), 200, 'SSI: a client with one request');
is(status(get('/ssi.html', 'X-API-Key: key-once-4')), 429, 'SSI: had one');

is(status(get('/subrequest', $key)), 200, 'auth_request to a protected location');
is(status(get('/subrequest')), 401, 'auth_request: without a key');
is(status(get('/subrequest', 'X-API-Key: key-once-5')), 200, 'auth_request: one request');
is(status(get('/subrequest', 'X-API-Key: key-once-5')), 429, 'auth_request: is one');

# gzip

# nginx compresses no other refusal than a 403.
my $plain = http_content(get('/gzip', 'X-API-Key: key-elsewhere'));
$r = connection()->ask(request('/gzip', 'X-API-Key: key-elsewhere', 'Accept-Encoding: gzip'));
is(header($r, 'Content-Encoding'), 'gzip', 'gzip: encoded');
my $body = http_content($r);
gunzip(\$body => \my $text);
is($text, $plain, 'gzip: the same body');

# HEAD

$r = get('/v1');
my $c = connection();
my $head = $c->ask(request('HEAD /v1'), head => 1);
is(status($head), 401, 'HEAD: status');
is(header($head, 'Content-Length'), length http_content($r), 'HEAD: the length of the body');
is(header($head, 'Content-Type'), 'application/json', 'HEAD: its type');
is(status($c->ask(request('/v1', $key))), 200, 'HEAD: no body follows');

# an unread body

my $big = 'x' x 1_000_000;
my @chunks = map { sprintf("%x\r\n%s\r\n", length, $_) } $big =~ /(.{1,30000})/g;

for my $case (
	['small', 'Content-Length: 10', '0123456789'],
	['like a request', 'Content-Length: 33', "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"],
	['large', 'Content-Length: 1000000', $big],
	['chunked', 'Transfer-Encoding: chunked', "3\r\nabc\r\n0\r\n\r\n"],
	['large and chunked', 'Transfer-Encoding: chunked', join('', @chunks) . "0\r\n\r\n"],
) {
	my ($name, $line, $body) = @$case;
	$line = 'Content-Length: ' . length $body if $line =~ /33/;

	for my $refused ([401], [429, 'X-API-Key: key-once-1']) {
		my ($status, @key) = @$refused;
		$c = connection();
		$c->send(request('POST /v1', $line, @key) . $body . request('/v1/next', $key));
		is(join(' ', map { status($c->answer()) // 'none' } 1 .. 2), "$status 200",
			"$status, unread body: $name");
		$c->close();
	}
}

$c = connection();
$r = $c->ask(request('POST /v1', 'Content-Length: 10', 'Expect: 100-continue'));
is(status($r), 401, 'Expect: 100-continue, refused');
# A client that keeps the connection owes it the body (RFC 9112, 6.3).
$c->send('0123456789');
is(status($c->ask(request('/v1', $key))), 200, 'Expect: 100-continue, the next request');
$r = $c->ask(request('POST /v1', $key, 'Content-Length: 3') . 'abc');
is(http_content($r), 'ENGINE POST 3', 'Expect: 100-continue, and the one after that');

# HTTP/2

$t->write_file('body', $big);
my $url = 'https://127.0.0.1:' . port(8082);
my @curl = ('-k', '-w', ' %{http_version} %{http_code} %{num_connects};');
my @post = ('--data-binary', "\@$dir/body");

is(curl(@curl, '-o', '/dev/null', $url . '/v1', '-o', '/dev/null', $url . '/v1/health'),
	' 2 401 1; 2 200 0;', 'HTTP/2: refused, and the next request on the same connection');
is(curl(@curl, @post, '-o', '/dev/null', $url . '/v1', '-o', '/dev/null', $url . '/v1/health'),
	' 2 401 1; 2 200 0;', 'HTTP/2: with a large body');
like(curl(@curl, '-i', @post, $url . '/v1'),
	qr/^HTTP\/2 401.*^content-type: application\/json\r.*^\r\n\{"error":.*\}\} 2 401/ms,
	'HTTP/2: the answer');
like(curl(@curl, '-I', $url . '/v1'), qr/^HTTP\/2 401.*\r\n\r\n 2 401/ms, 'HTTP/2: HEAD');
is(curl(@curl, $url . '/page/static'), 'OPERATOR 2 401 1;', 'HTTP/2: error_page');
is(curl(@curl, '-H', $key, @post, $url . '/v1'), 'ENGINE POST 1000000 2 200 1;',
	'HTTP/2: who may pass');

# A full part of the zone, at last. Whoever mints keys of rules is counted with all others for whom there
# is no room; who is known has a place of his own.

is(status(get('/v1', 'X-API-Key: key-once-6')), 200, 'a client');

$c = connection();
my ($n, $full) = (0);
while ($n++ < 5000) {
	$r = $c->ask(request("/minted?x=$n", $key));
	next if status($r) == 200;
	$full = $r;
	last;
}
cmp_ok($n, '>', 50, 'there was room for some');
is(status($full), 429, 'full: limited together');
is_deeply(error($full), ['requests', 'rate_limit_exceeded'], 'full: as by any limit');
is(status(get('/minted?x=1', $key)), 200, 'full: who was there before is served');
is(status(get('/minted?x=1', $key)), 429, 'full: and limited');
is(status(get('/minted', $key)), 200, 'full: so is who is not counted');
is(status(get('/v1', 'X-API-Key: key-once-6')), 429, 'full: clients have kept their place');
is(status(get('/v1', 'X-API-Key: key-once-7')), 200, 'full: and new ones find one');

# the log

$t->stop();

my (%reason, @smuggled);
for my $line (audit_lines($t, 'audit.log')) {
	$reason{($line->{reason} // 'none') . " $line->{status}"}++;
	push @smuggled, $line->{path} if $line->{path} =~ /smuggled/;
}
ok($reason{$_}, "log: $_") for 'missing_credential 401', 'invalid_credential 401',
	'conflicting_credentials 400', 'address_denied 403', 'tier_denied 403',
	'requests_exceeded 429', 'auth_failures_exceeded 429', 'missing_credential 302';
is("@smuggled", '', 'log: no body was taken for a request');

###############################################################################

sub error {
	my ($response) = @_;
	my $error = (content_json($response) // {})->{error} // {};
	return [@$error{qw/type code/}];
}

sub answers_like {
	my ($name, $uri, $lines, $status, $type, $code, $authenticate) = @_;
	my $response = get($uri, @$lines);
	is(status($response), $status, "$name: status");

	my $json = content_json($response);
	is_deeply([sort keys %$json], ['error'], "$name: an object as OpenAI has it");
	my $error = $json->{error};
	like(delete $error->{message}, qr/^[A-Z][^\n]{20,}\.$/, "$name: message");
	is_deeply($error, { type => $type, param => undef, code => $code }, "$name: type and code");

	is(header($response, 'Content-Type'), 'application/json', "$name: Content-Type");
	is(header($response, 'Content-Length'), length http_content($response),
		"$name: Content-Length");
	is(header($response, 'WWW-Authenticate'), $authenticate, "$name: WWW-Authenticate");
	is(defined header($response, 'Retry-After'), $status == 429, "$name: Retry-After");
	like(header($response, 'X-Request-ID'), qr/^[0-9a-f]{32}$/, "$name: X-Request-ID");
}

###############################################################################
