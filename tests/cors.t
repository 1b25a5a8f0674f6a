#!/usr/bin/perl

# tollgate_cors, answers: a page that is let in can read all of them, refusals and nginx's own errors too, and
# the headers that it needs; any other page none. What the backend says about it is replaced.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get header headers keys_file status /;
use Tollgate::Client;
use Tollgate::Conf;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy cache rewrite limit_req gzip ssi http_v2/)->has_daemon('curl');
$t->plan(125);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone       zone=tollgate:1m;
    tollgate_tier       free { }
    tollgate_tier       few { requests 1r/h; }
    tollgate_api_keys   keys.json;
    tollgate_endpoints  +*:/*;

    limit_req_zone $server_port zone=slow:1m rate=1r/m;
    proxy_cache_path    %%TESTDIR%%/cache keys_zone=cache:1m;

    server {
        root         %%TESTDIR%%/html;
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 %%HTTP2%%;
        server_name  localhost;
        %%HTTP2_ON%%

        tollgate       on;
        tollgate_cors  https://app.example.com https://*.example.org;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /unbuffered/ {
            proxy_buffering off;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /credentials/ {
            tollgate_cors https://app.example.com credentials;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /any/ {
            tollgate_cors *;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /off/ {
            tollgate_cors off;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /cached/ {
            proxy_cache cache;
            proxy_cache_valid 200 1h;
            add_header X-Cache $upstream_cache_status;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /small/ {
            client_max_body_size 1;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /slow/ {
            limit_req zone=slow;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /gone/ {
            proxy_pass http://127.0.0.1:8083;
        }

        location /zipped/ {
            gzip on;
            gzip_types text/plain;
            gzip_min_length 1;
            gzip_vary on;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /paged/ {
            error_page 401 /page.html;
            proxy_pass http://127.0.0.1:8081/;
        }

        location = /page.html {
            tollgate off;
        }

        location /tried/ {
            try_files /no/such/file @backend;
        }

        location @backend {
            tollgate_cors https://other.example.com;
            proxy_pass http://127.0.0.1:8081;
        }

        location /asked/ {
            if ($http_origin) { set $asked 1; }
            proxy_set_header X-Origin $http_origin;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /dry/ {
            tollgate_dry_run on;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /parts/ {
            ssi on;
            ssi_types text/plain;
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        # As vLLM's CORSMiddleware does it, and more.
        add_header access-control-allow-origin *;
        add_header Access-Control-Allow-Credentials true;
        add_header Access-Control-Expose-Headers X-Theirs;
        add_header Access-Control-Allow-Methods GET;
        default_type text/plain;

        location / {
            return 200 "origin=$http_origin;$http_x_origin";
        }

        location /vary {
            add_header Vary "Accept-Encoding, ORIGIN";
            return 200 "varies";
        }

        location /vary/other {
            add_header Vary Accept-Language;
            return 200 "varies";
        }

        location /parts/ {
            return 200 '<!--# include virtual="/off/part" -->';
        }
    }
}

EOF

my $is_new = $t->has_version('1.25.1');
$conf =~ s/%%HTTP2%%/$is_new ? '' : 'http2'/e;
$conf =~ s/%%HTTP2_ON%%/$is_new ? 'http2 on;' : ''/e;
my @keys = (
	{ key => 'tg_good', client => 'acme', tier => 'free' },
	{ key => 'tg_few', client => 'few', tier => 'few' },
);
$t->write_file('keys.json', keys_file(@keys));
mkdir $t->testdir() . '/html';
$t->write_file('html/page.html', 'page');
$t->write_file_expand('nginx.conf', $conf);
$t->run();

###############################################################################

my $app = 'https://app.example.com';
my @key = ('X-API-Key: tg_good');
my @names = qw/Access-Control-Allow-Origin Access-Control-Allow-Credentials Access-Control-Allow-Methods/;

# an answer of the backend's

for my $location ('', '/unbuffered') {
	my $r = get("$location/v1/models", @key, "Origin: $app");
	is(status($r), 200, "$location: good");
	is(join('|', headers($r, 'Access-Control-Allow-Origin')), $app, "$location: once, and this one");
	is(join('|', headers($r, 'Access-Control-Allow-Credentials')), '', "$location: no credentials");
	is(join('|', headers($r, 'Access-Control-Allow-Methods')), '', "$location: nothing of a preflight");
	is(scalar(my @lists = headers($r, 'Access-Control-Expose-Headers')), 1, "$location: readable headers, once");
	unlike($lists[0], qr/X-Theirs/, "$location: and ours");
	is(header($r, 'Vary'), 'Origin', "$location: vary");
	is(http_content($r), 'origin=;', "$location: the backend isn't told of the page");
}
my $r = get('/v1/models', @key, "Origin: $app");
my %exposed = map { $_ => 1 } split /, /, header($r, 'Access-Control-Expose-Headers');
for my $name (qw/x-request-id request-id retry-after retry-after-ms x-should-retry x-ratelimit-remaining-requests
	x-ratelimit-reset-tokens ratelimit ratelimit-policy x-ratelimit-tier www-authenticate/)
{
	ok($exposed{$name}, "readable: $name");
}

is(header(get('/credentials/', @key, "Origin: $app"), 'Access-Control-Allow-Credentials'), 'true', 'credentials');
$r = get('/any/', @key, 'Origin: https://whoever.example');
is(join('|', headers($r, 'Access-Control-Allow-Origin')), '*', 'any');
is(join('|', headers($r, 'Access-Control-Allow-Credentials')), '', 'any, no credentials');
is(header(get('/', @key, 'Origin: https://a.example.org'), 'Access-Control-Allow-Origin'), 'https://a.example.org',
	'a name below another one');

# no page, or one that isn't let in

for my $case (['none'], ['another', 'https://evil.example'], ['null', 'null'], ['two', $app, $app],
	['two others', $app, 'https://a.example.org'], ['a list', "$app, $app"], ['empty', ''])
{
	my ($name, @origins) = @$case;
	$r = get('/v1/models', @key, map { "Origin: $_" } @origins);
	is(status($r), 200, "$name: CORS refuses nobody");
	is(join('', map { headers($r, $_) } @names, 'Access-Control-Expose-Headers'), '', "$name: nothing is said");
	is(header($r, 'Vary'), 'Origin', "$name: vary");
}
is(join('', headers(get('/any/', @key, 'Origin: null'), 'Access-Control-Allow-Origin')), '', 'any, but not null');

# errors

get('/slow/', @key);
for my $case (
	['without a key', 401, '/v1/models'],
	['a wrong key', 401, '/v1/models', 'X-API-Key: wrong'],
	['two keys', 400, '/v1/models', 'X-API-Key: a', 'Authorization: Bearer b'],
	['nobody there', 502, '/gone/', @key],
	['by nginx: too large', 413, '/small/', @key, 'Content-Length: 10'],
	['by nginx: limit_req', 503, '/slow/', @key],
	['a page of the operator\'s', 401, '/paged/'],
) {
	my ($name, $status, $uri, @lines) = @$case;
	$r = get($uri, @lines, "Origin: $app");
	is(status($r), $status, "$name: $status");
	is(join('|', headers($r, 'Access-Control-Allow-Origin')), $app, "$name: readable");
	is(join('|', headers(get($uri, @lines, 'Origin: https://evil.example'), 'Access-Control-Allow-Origin')), '',
		"$name: not for others");
}
get('/v1/models', 'X-API-Key: tg_few');
$r = get('/v1/models', 'X-API-Key: tg_few', "Origin: $app");
is(status($r), 429, 'a limit');
is(header($r, 'Access-Control-Allow-Origin'), $app, 'a limit: readable');
like(header($r, 'Retry-After'), qr/^\d+$/, 'a limit: with the wait');
like(header($r, 'Access-Control-Expose-Headers'), qr/retry-after/, 'a limit: readable headers');

# Vary

is(join('|', headers(get('/vary', @key, "Origin: $app"), 'Vary')), 'Accept-Encoding, ORIGIN', 'vary: as it is');
is(join('|', headers(get('/vary/other', @key, "Origin: $app"), 'Vary')), 'Accept-Language|Origin', 'vary: more');
$r = get_1_1('/zipped/', @key, "Origin: $app", 'Accept-Encoding: gzip');
is(join('|', sort(headers($r, 'Vary'))), 'Accept-Encoding|Origin', 'vary: compressed');

# nginx's cache

$r = get('/cached/1', @key, "Origin: $app");
is(header($r, 'X-Cache'), 'MISS', 'cache: made');
is(header($r, 'Access-Control-Allow-Origin'), $app, 'cache: made for a page');
$r = get('/cached/1', @key, 'Origin: https://a.example.org');
is(header($r, 'X-Cache'), 'HIT', 'cache: kept');
is(header($r, 'Access-Control-Allow-Origin'), 'https://a.example.org', 'cache: for another one');
$r = get('/cached/1', @key, 'Origin: https://evil.example');
is(header($r, 'X-Cache'), 'HIT', 'cache: kept for all');
is(join('|', headers($r, 'Access-Control-Allow-Origin')), '', 'cache: not for who isn\'t let in');

# where another location answers

$r = get('/tried/', @key, 'Origin: https://other.example.com');
is(header($r, 'Access-Control-Allow-Origin'), 'https://other.example.com', 'redirect: the one that answers says');
is(join('|', headers(get('/tried/', @key, "Origin: $app"), 'Access-Control-Allow-Origin')), '', 'redirect: and no other');
$r = get('/tried/', "Origin: $app");
is(join('|', status($r), headers($r, 'Access-Control-Allow-Origin')), "401|$app", 'redirect: the one that refuses');

is(http_content(get('/asked/', @key, "Origin: $app")), 'origin=;', 'a variable that was read early');
$r = get('/off/', @key, "Origin: $app");
is(http_content($r), "origin=$app;", 'off: the backend is told');
is(header($r, 'Access-Control-Allow-Origin'), '*', 'off: as the backend has it');
$r = get('/parts/', @key, "Origin: $app");
is(join('|', headers($r, 'Access-Control-Allow-Origin')), $app, 'subrequests say nothing');

# a dry run

$r = get('/dry/', "Origin: $app");
is(http_content($r), "origin=$app;", 'dry run: the backend is told');
is(join('|', headers($r, 'Access-Control-Allow-Origin')), $app, 'dry run: said');
$r = get('/dry/', 'Origin: https://evil.example');
is(header($r, 'Access-Control-Allow-Origin'), '*', 'dry run: others are told what they were told');

# HTTP/2

my $url = 'http://127.0.0.1:' . port(8082) . '/v1/models';
$r = curl('--http2-prior-knowledge', '-i', '-H', "Origin: $app", '-H', $key[0], $url);
like($r, qr/^HTTP\/2 200.*^access-control-allow-origin: \Q$app\E\r$/ms, 'HTTP/2');
is(scalar(() = $r =~ /^access-control-allow-origin/mg), 1, 'HTTP/2: once');
$r = curl('--http2-prior-knowledge', '-i', '-H', "Origin: $app", $url);
like($r, qr/^HTTP\/2 401.*^access-control-allow-origin: \Q$app\E\r$/ms, 'HTTP/2: a refusal');
is(curl('--http2-prior-knowledge', '-H', "Origin: $app", '-H', $key[0], $url), 'origin=;', 'HTTP/2: the backend');

###############################################################################

# what nginx -t says

$t->write_file('good.json', keys_file($keys[0]));
my $on = "tollgate on;\ntollgate_api_keys good.json;";
check_refused($t, $_) for (
	['null', ['"null" in "tollgate_cors" is what browsers send'], location => "$on\ntollgate_cors null; # !"],
	['no scheme', ['has no scheme'], location => "$on\ntollgate_cors app.example.com; # !"],
	['a path', ['written "https://app.example.com" by browsers'],
		location => "$on\ntollgate_cors https://app.example.com/; # !"],
	['its own port', ['written "https://app.example.com" by browsers'],
		location => "$on\ntollgate_cors https://app.example.com:443; # !"],
	['capitals', ['written "https://app.example.com" by browsers'],
		location => "$on\ntollgate_cors https://App.example.com; # !"],
	['a name too wide', ['everybody who has a name there'], location => "$on\ntollgate_cors https://*.com; # !"],
	['a star within', ['"*" where none can stand'], location => "$on\ntollgate_cors https://*app.example.com; # !"],
	['any with credentials', ['"*" with "credentials"'], location => "$on\ntollgate_cors * credentials; # !"],
	['any beside others', ['"*" is every origin'], location => "$on\ntollgate_cors * https://a.example; # !"],
	['twice', ['named twice'], location => "$on\ntollgate_cors https://a.example https://a.example; # !"],
	['no origin', ['names no origin'], location => "$on\ntollgate_cors credentials max_age=1h; # !"],
	['a variable', ['the variable "$http_origin"'], location => "$on\ntollgate_cors \$http_origin; # !"],
	['off and more', ['"off" in "tollgate_cors" stands alone'], location => "$on\ntollgate_cors off https://a.example; # !"],
	['too long', ['invalid "max_age=2d"'], location => "$on\ntollgate_cors https://a.example max_age=2d; # !"],
	['max_age twice', ['"max_age" of "tollgate_cors" is given twice'],
		location => "$on\ntollgate_cors https://a.example max_age=1h max_age=1h; # !"],
	['the directive twice', ['duplicate'],
		location => "$on\ntollgate_cors https://a.example;\ntollgate_cors https://b.example; # !"],
);
check_warned($t, $_) for (
	['a name that anybody can have', ['lets in pages of strangers'],
		location => "$on\ntollgate_cors https://*.github.io; # !"],
	['add_header', ['"add_header Access-Control-Allow-Origin" comes beside', 'leave it out'],
		location => "$on\ntollgate_cors https://a.example;\nadd_header Access-Control-Allow-Origin *; # !"],
);
check_accepted($t, $_) for (
	['all of it', location => "$on\ntollgate_cors https://a.example http://*.b.example:8080 credentials max_age=1h;"],
	['any', location => "$on\ntollgate_cors * max_age=0s;"],
	['add_header without it', location => "$on\nadd_header Access-Control-Allow-Origin *;"],
);

###############################################################################

sub get_1_1 {
	my ($uri, @lines) = @_;
	return http(request($uri, @lines, 'Connection: close'));
}

###############################################################################
