#!/usr/bin/perl

# tollgate_cors, preflights: a browser asks without a credential whether a page may send a request. That is
# answered without the backend and before anybody is refused; what only looks like a preflight is judged as
# any request.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get header headers keys_file status /;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite auth_basic access limit_req http_v2/)->has_daemon('curl');
$t->plan(98);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone       zone=tollgate:1m;
    tollgate_tier       free { requests 3r/h; concurrency 1; }
    tollgate_limit      per_address key=$remote_addr requests=1r/h;
    tollgate_api_keys   keys.json;
    tollgate_endpoints  +*:/*;
    tollgate_audit_log  %%TESTDIR%%/audit.log;
    tollgate_cors       https://app.example.com https://*.example.org;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 %%HTTP2%%;
        server_name  localhost;
        %%HTTP2_ON%%

        tollgate on;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /named/ {
            tollgate_api_key_header X-My-Key;
            tollgate_cors https://app.example.com credentials max_age=2h;
            proxy_pass http://127.0.0.1:8081;
        }

        location /any/ {
            tollgate_cors *;
            proxy_pass http://127.0.0.1:8081;
        }

        location /off/ {
            tollgate_cors off;
            proxy_pass http://127.0.0.1:8081;
        }

        location /open/ {
            tollgate off;
            proxy_pass http://127.0.0.1:8081;
        }

        location /limited/ {
            tollgate_apply per_address;
            proxy_pass http://127.0.0.1:8081;
        }

        location /any_of/ {
            satisfy any;
            deny all;
            auth_basic "closed";
            auth_basic_user_file users;
            proxy_pass http://127.0.0.1:8081;
        }

        location /dry/ {
            tollgate_dry_run on;
            proxy_pass http://127.0.0.1:8081;
        }

        location /paged/ {
            error_page 403 = /page/;
            proxy_pass http://127.0.0.1:8081;
        }

        location /page/ {
            proxy_pass http://127.0.0.1:8081;
        }

        location /paged_away/ {
            error_page 403 @backend;
            proxy_pass http://127.0.0.1:8081;
        }

        location @backend {
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            add_header Access-Control-Allow-Origin *;
            return 200 "backend $request_method";
        }
    }
}

EOF

my $is_new = $t->has_version('1.25.1');
$conf =~ s/%%HTTP2%%/$is_new ? '' : 'http2'/e;
$conf =~ s/%%HTTP2_ON%%/$is_new ? 'http2 on;' : ''/e;
$t->write_file('keys.json', keys_file({ key => 'tg_good', client => 'acme', tier => 'free' }));
$t->write_file('users', 'x:{PLAIN}y');
$t->write_file_expand('nginx.conf', $conf);
$t->run();

###############################################################################

my $app = 'https://app.example.com';

# an origin that is let in

my $r = preflight('/v1/chat/completions', $app);
is(status($r), 204, 'answered');
is(http_content($r), '', 'no body');
is(header($r, 'Access-Control-Allow-Origin'), $app, 'the origin');
is(header($r, 'Access-Control-Allow-Credentials'), undef, 'no credentials');
is(header($r, 'Access-Control-Max-Age'), '600', 'for a while');
is(header($r, 'Access-Control-Expose-Headers'), undef, 'nothing to be read of this one');
is(header($r, 'WWW-Authenticate'), undef, 'no challenge');
my %methods = map { $_ => 1 } split /, /, header($r, 'Access-Control-Allow-Methods');
ok($methods{POST} && $methods{DELETE} && !$methods{TRACE}, 'methods');
my %allowed = map { $_ => 1 } split /, /, header($r, 'Access-Control-Allow-Headers');
for my $name (qw/authorization content-type x-api-key openai-organization openai-project openai-beta
	anthropic-version anthropic-beta anthropic-dangerous-direct-browser-access traceparent idempotency-key/)
{
	ok($allowed{$name}, "header $name");
}
ok(!$allowed{'*'} && !$allowed{'x-client-id'} && !$allowed{cookie}, 'no others');
is(join('|', headers($r, 'Vary')), 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers, '
	. 'Access-Control-Request-Private-Network', 'vary');
like(header($r, 'x-request-id'), qr/./, 'an id');

$r = preflight('/v1/chat/completions', $app, 'Access-Control-Request-Headers: authorization,x-stainless-os,x-evil',
	'Access-Control-Request-Headers: X-Stainless-Arch,x-stainless-"q"');
%allowed = map { $_ => 1 } split /, /, header($r, 'Access-Control-Allow-Headers');
ok($allowed{'x-stainless-os'} && $allowed{'x-stainless-arch'}, 'what an SDK says of itself');
ok(!(grep { /evil|"/ } keys %allowed), 'and nothing else that is asked for');

is(header(preflight('/v1/models', 'https://a.b.example.org'), 'Access-Control-Allow-Origin'),
	'https://a.b.example.org', 'a name below another one');
is(status(preflight('/v1/models', $app, 'Authorization: Bearer wrong')), 204, 'whatever credential comes with it');
is(status(preflight('/x/%0a', $app)), 204, 'whatever path');
is(header(preflight('/v1/models', $app, 'Access-Control-Request-Private-Network: true'),
	'Access-Control-Allow-Private-Network'), 'true', 'a private network');

# what a location says

$r = preflight('/named/', $app);
is(header($r, 'Access-Control-Allow-Credentials'), 'true', 'credentials');
is(header($r, 'Access-Control-Max-Age'), '7200', 'max_age');
like(header($r, 'Access-Control-Allow-Headers'), qr/, x-my-key(,|$)/, 'its own header for keys');
is(status(preflight('/named/', 'https://a.example.org')), 403, 'its own origins');

$r = preflight('/any/', 'https://whoever.example');
is(header($r, 'Access-Control-Allow-Origin'), '*', 'any origin');
is(header($r, 'Access-Control-Allow-Credentials'), undef, 'any origin, no credentials');
is(header(preflight('/any/', $app, 'Access-Control-Request-Private-Network: true'),
	'Access-Control-Allow-Private-Network'), undef, 'any origin, no private network');

# origins that aren't

for my $origin ('https://evil.example', 'null', 'http://app.example.com', "$app:8443", "$app.evil.example",
	"$app, $app", 'https://example.org', 'https://xexample.org', uc $app)
{
	$r = preflight('/v1/models', $origin);
	is(status($r), 403, "$origin: refused");
	is(join('', headers($r, 'Access-Control-Allow-Origin')), '', "$origin: not let in");
}
$r = preflight('/v1/models', 'https://evil.example');
like(http_content($r), qr/"code":"access_denied"/, 'in our words');
is(header($r, 'Vary'), 'Origin', 'refused: vary');
is(status(preflight('/any/', 'null')), 403, 'null is nobody, where all are let in');
$r = preflight('/v1/messages', 'https://evil.example');
like(http_content($r), qr/Pages of this origin/, 'whatever path');

# what is none

my @asks = ("Origin: $app", 'Access-Control-Request-Method: POST');
for my $case (
	['no origin', 'OPTIONS', $asks[1]],
	['no method', 'OPTIONS', $asks[0]],
	['neither', 'OPTIONS'],
	['two origins', 'OPTIONS', @asks, 'Origin: https://a.example.org'],
	['the same one twice', 'OPTIONS', @asks, $asks[0]],
	['two methods', 'OPTIONS', @asks, 'Access-Control-Request-Method: GET'],
	['an empty method', 'OPTIONS', $asks[0], 'Access-Control-Request-Method:'],
	['a list of methods', 'OPTIONS', $asks[0], 'Access-Control-Request-Method: GET, POST'],
	['another method', 'POST', @asks],
	['a GET', 'GET', @asks],
) {
	my ($name, $method, @lines) = @$case;
	is(status(http(request("$method /v1/models", @lines, 'Connection: close'))), 401, "$name: judged");
}
unlike(http(request('OPTIONS *', @asks, 'Connection: close')), qr/Access-Control-Allow-Methods|backend/, 'OPTIONS *');

is(status(preflight('/off/', $app)), 401, 'off: judged');
is(http_content(preflight('/open/', $app)), 'backend OPTIONS', 'not protected: the backend');
$r = http(request('OPTIONS /v1/models', 'Authorization: Bearer tg_good', 'Connection: close'));
is(http_content($r), 'backend OPTIONS', 'a plain OPTIONS with a key');
unlike($r, qr/Access-Control-Allow-Origin/, 'and no page is let in by the backend');

# it costs nothing

preflight('/v1/models', $app) for 1 .. 20;
is(status(get('/v1/models', 'X-API-Key: tg_good')), 200, 'limits are as they were');
is(status(preflight('/limited/', $app)), 204, 'a limit per address') for 1 .. 3;
is(status(get('/limited/', 'X-API-Key: tg_good')), 200, 'a limit per address: a request');
is(status(get('/limited/', 'X-API-Key: tg_good')), 429, 'a limit per address: spent');
is(status(preflight('/limited/', $app)), 204, 'a limit that is spent');
is(status(preflight('/limited/', 'https://evil.example')), 403, 'a limit that is spent, another origin');

# wherever nginx leads it

is(status(preflight('/any_of/', $app)), 204, 'satisfy any: answered');
is(status(preflight('/any_of/', 'https://evil.example')), 403, 'satisfy any: refused');
unlike(preflight('/paged/', 'https://evil.example'), qr/backend/, 'an error_page is no way to the backend');
unlike(preflight('/paged_away/', 'https://evil.example'), qr/backend/, 'nor is a named location');
is(status(preflight('/paged/', $app)), 204, 'an error_page is none of a good one');

is(status(preflight('/dry/', $app)), 204, 'dry run: answered');
$r = preflight('/dry/', 'https://evil.example');
is(http_content($r), 'backend OPTIONS', 'dry run: goes where it went');
is(header($r, 'Access-Control-Allow-Origin'), '*', 'dry run: and is answered as it was');

# with a body, and one after the other

my $connection = connection();
$connection->send(request('OPTIONS /v1/models', @asks, 'Content-Length: 5') . 'hello');
is(status($connection->answer()), 204, 'with a body');
$connection->send(request('OPTIONS /v1/models', @asks));
is(status($connection->answer()), 204, 'and another one on its connection');
$connection->close();

# HTTP/2

my $url = 'http://127.0.0.1:' . port(8082) . '/v1/models';
$r = curl('--http2-prior-knowledge', '-i', '-X', 'OPTIONS', '-H', $asks[0], '-H', $asks[1], $url);
like($r, qr/^HTTP\/2 204/, 'HTTP/2');
like($r, qr/^access-control-allow-origin: \Q$app\E\r$/m, 'HTTP/2: let in');
$r = curl('--http2-prior-knowledge', '-i', '-X', 'OPTIONS', '-H', 'Origin: https://evil.example', '-H', $asks[1], $url);
like($r, qr/^HTTP\/2 403/, 'HTTP/2: refused');
unlike($r, qr/access-control-allow/, 'HTTP/2: not let in');
like(curl('--http2-prior-knowledge', '-i', '-X', 'OPTIONS', '-H', $asks[0], $url), qr/^HTTP\/2 401/, 'HTTP/2: none');

###############################################################################

$t->stop();
my @lines = audit_lines($t, 'audit.log');
my @good = grep { ($_->{method} // '') eq 'OPTIONS' && $_->{status} == 204 } @lines;
ok(@good > 20 && !(grep { $_->{decision} ne 'allow' || defined $_->{client} || defined $_->{upstream} } @good),
	'log: let in, nobody\'s, and without a backend');
my @bad = grep { ($_->{reason} // '') eq 'origin_denied' } @lines;
ok(@bad > 10 && !(grep { $_->{upstream} } @bad), 'log: refused, and without a backend');
unlike($t->read_file('audit.log'), qr/evil/, 'log: nothing that a page says of itself');

###############################################################################

sub preflight {
	my ($uri, $origin, @lines) = @_;
	return http(request("OPTIONS $uri", "Origin: $origin", 'Access-Control-Request-Method: POST', @lines,
		'Connection: close'));
}

###############################################################################
