#!/usr/bin/perl

# tollgate_jwt_key_request: the keys of tokens come from an internal location. The first request waits
# for them, and so do all that come meanwhile. The provider learns nothing of them, and nothing that
# it answers can change what is in force, but a set of public keys.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get header json jws status /;
use Tollgate::Client;
use Tollgate::Provider;

use IO::Socket::INET;
use MIME::Base64 qw/encode_base64url/;
use Time::HiRes qw/time/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http access cache gunzip mirror proxy rewrite upstream_keepalive/)
	->has_daemon('openssl')->has_daemon('curl');

my $has_http2 = $t->has_module('http_v2') && `curl -V 2>/dev/null` =~ /\bHTTP2\b/;
my $listen_http2 = $t->has_version('1.25.1')
	? 'listen 127.0.0.1:8082; http2 on;' : 'listen 127.0.0.1:8082 http2;';

start_provider($t, 8090);
new_key($_) for qw/one two/;
new_key('rsa', 'RSA');
my $token = token('one', { sub => 'acme' });
my $good = key_set('one');

# Answers that are no key set, and what is special in their locations.
my $many = json({ keys => [map { jwk('one', kid => "k$_") } 1 .. 257] });
my $pem = $t->read_file('one.pub');
my %bad = (
	'not-found' => [{ status => 404, body => '{"error":"not found"}' }],
	'not-found-with-keys' => [{ status => 404, body => $good }],
	'created' => [{ status => 201, body => $good }],
	'failure' => [{ status => 500, body => $good }],
	'redirect' => [{ status => 302, body => $good, headers => ['Location: http://127.0.0.1/'] }],
	'closed' => [{ close => 1 }],
	'slow' => [{ delay => 3, body => $good }, 'proxy_read_timeout 300ms;'],
	'page' => [{ body => '<!DOCTYPE html><title>Sign in</title>', type => 'text/html' }],
	'empty' => [{ body => '' }],
	'no-set' => [{ body => '[]' }],
	'no-keys' => [{ body => '{"keys":[]}' }],
	'not-json' => [{ body => substr($good, 0, -1) }],
	'trailing' => [{ body => "$good x" }],
	'truncated' => [{ body => $good, cut => 1 }],
	'huge' => [{ body => '{"keys":[],"x":"' . 'x' x (300 * 1024) . '"}' }],
	'huge-but-good' => [{ body => $good . ' ' x (300 * 1024) }],
	'endless' => [{ body => ' ' x 65536, endless => 0.001 }],
	'drips' => [{ body => ' ', endless => 0.1 }],
	'many' => [{ body => $many }],
	'private' => [{ body => json({ keys => [jwk('one', d => encode_base64url('d' x 32))] }) }],
	'secret' => [{ body => json({ keys => [{ kty => 'oct', kid => 'one',
		k => encode_base64url('s' x 32) }] }) }],
	'encryption' => [{ body => json({ keys => [jwk('one', use => 'enc')] }) }],
	'pem' => [{ body => $pem, type => 'text/plain' }],
	# As an answer to "proxy_set_header Accept-Encoding gzip" that was meant for the engine.
	'compressed' => [{ body => "\x1f\x8b\x08" . 'x' x 100, headers => ['Content-Encoding: gzip'] }, 'gunzip on;'],
);

# Places that differ in nothing but where they have their keys from.
my @places = (qw/first crowd leak post large-post unnamed chunks completion pipeline http2 http2-leaves streams leaves gone
	large huge-set deaf asked mirrored any dry failures strangers/, map { "bad-$_" } sort keys %bad);
my %special = (
	asked => $t->has_module('auth_request') ? 'auth_request /auth;' : '',
	mirrored => 'mirror /mirror;',
	any => 'satisfy any; deny all;',
	dry => 'tollgate_dry_run on;',
	failures => 'tollgate_apply failures;',
);
my $locations = join '', map {
	my ($name) = /^bad-(.*)/;
	my $own = $special{$_} // '';
	my $internal = $name ? $bad{$name}[1] // '' : '';
	my $cache = $name ? 'tollgate_jwt_key_cache 1s stale=1h;' : '';
	"        location /$_/ { tollgate_jwt_key_request /_$_; $cache $own proxy_pass http://backend/; }\n"
		. "        location = /_$_ { internal; $internal proxy_pass http://127.0.0.1:8090/$_; }\n";
} @places;

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone          zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier          free { requests 1000000r/h; }
    tollgate_limit         failures key=$http_x_failures auth_failures=1r/d;
    tollgate_default_tier  free;
    tollgate_auth          jwt;
    tollgate_audit_log     %%TESTDIR%%/audit.log;
    proxy_cache_path       %%TESTDIR%%/cache keys_zone=keys:1m;

    # Of each server its own location.
    tollgate_jwt_key_request /_own;

    add_header X-Reason    $tollgate_reason   always;
    add_header X-Decision  $tollgate_decision always;
    add_header X-Key-ID    $tollgate_key_id   always;

    upstream backend {
        server 127.0.0.1:8081;
    }

    upstream kept {
        server 127.0.0.1:8090;
        keepalive 2;
    }

    server {
        listen       127.0.0.1:8080;
        %%LISTEN_HTTP2%%
        server_name  localhost;

        tollgate on;
        tollgate_jwt_key_request /_first;

%%LOCATIONS%%

        location = /auth {
            internal;
            proxy_pass http://127.0.0.1:8090/auth;
        }

        location = /mirror {
            internal;
            proxy_pass http://127.0.0.1:8090/mirror;
        }

        location = /ping {
            tollgate off;
            return 204;
        }

        location /own-headers/ {
            tollgate_jwt_key_request /_own-headers;
            proxy_pass http://backend/;
        }

        location = /_own-headers {
            internal;
            proxy_set_header Host           login.example.com;
            proxy_set_header Authorization  "Basic c2VjcmV0";
            proxy_set_header X-Refetch      $tollgate_key_refetch;
            proxy_pass http://127.0.0.1:8090/own-headers?tenant=1;
        }

        # the same keys in two places

        location /shared/1/ {
            tollgate_jwt_key_request /_shared;
            proxy_pass http://backend/;
        }

        location /shared/2/ {
            tollgate_jwt_key_request /_shared;
            proxy_pass http://backend/;
        }

        location = /_shared {
            internal;
            proxy_pass http://127.0.0.1:8090/shared;
        }

        # connections to the provider that are kept

        location /kept/1/ {
            tollgate_jwt_key_request /_kept-1;
            proxy_pass http://backend/;
        }

        location /kept/2/ {
            tollgate_jwt_key_request /_kept-2;
            proxy_pass http://backend/;
        }

        location = /_kept-1 {
            internal;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://kept/kept;
        }

        location = /_kept-2 {
            internal;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_pass http://kept/kept;
        }

        # no provider at all

        location /file/ {
            tollgate_jwt_key_request /_file;
            proxy_pass http://backend/;
        }

        location = /_file {
            internal;
            sendfile on;
            alias %%TESTDIR%%/served.json;
        }

        location /no-file/ {
            tollgate_jwt_key_request /_no-file;
            proxy_pass http://backend/;
        }

        location = /_no-file {
            internal;
            alias %%TESTDIR%%/no-such.json;
        }

        location /text/ {
            tollgate_jwt_key_request /_text;
            proxy_pass http://backend/;
        }

        location = /_text {
            internal;
            return 200 '%%KEYS%%';
        }

        location /no-location/ {
            tollgate_jwt_key_request /_no-location;
            proxy_pass http://backend/;
        }

        # whose name nobody knows

        location /nameless/ {
            tollgate_jwt_key_request /_nameless;
            proxy_pass http://backend/;
        }

        location = /_nameless {
            internal;
            resolver 127.0.0.1:%%PORT_8981_UDP%%;
            set $name login.example.com;
            proxy_pass http://$name/keys;
        }

        # itself protected: a subrequest is not judged

        location /open/ {
            tollgate_jwt_key_request /_open;
            proxy_pass http://backend/;
        }

        location = /_open {
            proxy_pass http://127.0.0.1:8090/open;
        }

        # cached by nginx

        location /cached/ {
            tollgate_jwt_key_request /_cached;
            proxy_pass http://backend/;
        }

        location = /_cached {
            internal;
            proxy_cache         keys;
            proxy_cache_key     cached;
            proxy_cache_valid   200 1h;
            proxy_cache_bypass  $tollgate_key_refetch;
            proxy_pass http://127.0.0.1:8090/cached;
        }

        # and this one found in the cache

        location /found/ {
            tollgate_jwt_key_request /_found;
            proxy_pass http://backend/;
        }

        location = /_found {
            internal;
            proxy_cache         keys;
            proxy_cache_key     cached;
            proxy_cache_valid   200 1h;
            proxy_pass http://127.0.0.1:8090/found;
        }

        # a file in place of the request that holds around it

        location /replaced/ {
            tollgate_jwt_key_request /_replaced;
            proxy_pass http://backend/;

            location /replaced/file/ {
                tollgate_jwt_key_file two.pub;
                proxy_pass http://backend/;
            }

            location /replaced/open/ {
                tollgate off;
                proxy_pass http://backend/;
            }
        }

        location = /_replaced {
            internal;
            proxy_pass http://127.0.0.1:8090/replaced;
        }

        # bodies

        location /backend/ {
            tollgate_jwt_key_request /_backend;
            client_body_buffer_size 1k;
            proxy_pass http://127.0.0.1:8090/;
        }

        location = /_backend {
            internal;
            proxy_pass http://127.0.0.1:8090/post-keys;
        }
    }

    server {
        listen       127.0.0.1:8083;
        server_name  one;
        tollgate on;

        location / {
            proxy_pass http://backend;
        }

        location = /_own {
            internal;
            proxy_pass http://127.0.0.1:8090/own-one;
        }
    }

    server {
        listen       127.0.0.1:8083;
        server_name  two;
        tollgate on;

        location / {
            proxy_pass http://backend;
        }

        location = /_own {
            internal;
            proxy_pass http://127.0.0.1:8090/own-two;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 $http_x_client_id;
        }
    }
}

EOC

# Those with a body of their own have the provider for a backend.
$locations =~ s!(location /(?:$_)/ .*)http://backend/!$1http://127.0.0.1:8090/backend/!g for
	'post|large-post|chunks|completion';
$conf =~ s/%%LISTEN_HTTP2%%/$has_http2 ? $listen_http2 : ''/e;
$conf =~ s/%%LOCATIONS%%/$locations/;
$conf =~ s/%%KEYS%%/$good/;
$t->plan(117 + 4 * keys %bad)->write_file_expand('nginx.conf', $conf);
$t->write_file('served.json', $good);

answers($_, body => $good) for @places, qw/own-headers shared kept open cached replaced/;
answers($_, body => '{}') for qw/backend auth mirror/;
$t->run();

my @bearer = ("Authorization: Bearer $token");

###############################################################################

# the first request waits

hold('first');
my $c = connection();
$c->send(request('/first/', @bearer));
is(scalar(asked_soon('first', 1)), 1, 'first: the provider is asked');
ping();
ok(!$c->has_answer(), 'first: the request waits');
release('first');
my $r = $c->answer();
is(status($r), 200, 'first: passes');
is(http_content($r), 'acme', 'first: as who it is');
is(header($r, 'X-Key-ID'), 'one', 'first: by which key');
$r = $c->ask(request('/first/', @bearer));
is(status($r), 200, 'first: the next one on the connection');
is(status(get('/first/', @bearer)), 200, 'first: the next one on another');
$r = get('/first/', 'Authorization: Bearer ' . unsigned('one', { sub => 'acme' }));
is(status($r), 401, 'first: a forged token');
is(header($r, 'X-Reason'), 'invalid_token', 'first: a forged token: why');
is(status(get('/first/')), 401, 'first: no token');
is(scalar(asked('first')), 2, 'first: asked once, and once more for a key that the forged token may have');
is(client('/shared/1/') . client('/shared/2/'), 'acmeacme', 'two places with the same keys');
is(scalar(asked('shared')), 1, 'two places with the same keys: asked once');

# those who have nothing to show need no keys

is(status(get('/strangers/')), 401, 'strangers: no credential');
is(status(get('/strangers/', 'Authorization: Basic dXNlcjpwYXNz')), 401, 'strangers: another scheme');
is(scalar(asked('strangers')), 0, 'strangers: the provider is not asked');
is(status(get('/strangers/', 'Authorization: Bearer no-token')), 401, 'strangers: no token');
is(client('/strangers/'), 'acme', 'strangers: but for somebody with a token');

# fifty at once

hold('crowd');
my @crowd = map { connection() } 1 .. 50;
$_->send(request('/crowd/', @bearer)) for @crowd[0 .. 48];
$crowd[49]->send(request('/crowd/', 'Authorization: Bearer ' . unsigned('one', { sub => 'acme' })));
asked_soon('crowd', 1);
ping();
is(scalar(grep { $_->has_answer() } @crowd), 0, 'crowd: all wait');
release('crowd');
my %statuses;
$statuses{status($_->answer()) // 'none'}++ for @crowd;
is($statuses{200}, 49, 'crowd: all with a good token pass');
is($statuses{401}, 1, 'crowd: the one with a forged token does not');
is(scalar(asked('crowd')), 2, 'crowd: one fetch for all, and one more for the forged token');

# two requests in one piece

hold('pipeline');
$c = connection();
$c->send(request('/pipeline/', @bearer) . request('/pipeline/', @bearer));
asked_soon('pipeline', 1);
release('pipeline');
is(status($c->answer()) . status($c->answer()), '200200', 'pipeline: both');
is(scalar(asked('pipeline')), 1, 'pipeline: one fetch');

# the provider learns nothing of the client

my $secret = 'of-the-client';
my @leaks = ('Cookie: session=' . $secret, "X-API-Key: $secret", "X-Custom: $secret",
	"User-Agent: $secret", "Referer: http://$secret/", "X-Forwarded-For: 203.0.113.7",
	'Accept-Encoding: gzip', 'Accept: text/html', 'Range: bytes=0-1', 'If-None-Match: "x"',
	'If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT', "X-Client-ID: $secret", "Origin: $secret",
	'Content-Type: application/x-secret');
$r = http(request("POST /leak/$secret?$secret=$secret", @bearer, 'Connection: close',
	'Content-Length: ' . length $secret, @leaks) . $secret);
is(status($r), 200, 'leak: passes');
my ($asked) = asked('leak');
is("$asked->{method} $asked->{uri} $asked->{body}", 'GET /leak ', 'leak: what is asked');
# ("Connection: close" is of nginx, where it speaks HTTP/1.0 itself: until 1.29.7.)
delete $asked->{headers}{connection};
is(join(' ', sort keys %{$asked->{headers}}), 'accept host', 'leak: with no header of the client');
unlike(json($asked), qr/\Q$secret\E|\Q$token\E/, 'leak: with nothing of the client');

$r = get('/own-headers/', @bearer, 'X-Custom: x');
is(status($r), 200, 'own headers: passes');
($asked) = asked('own-headers');
is($asked->{uri}, '/own-headers?tenant=1', 'own headers: what is asked');
delete $asked->{headers}{connection};
is(join(' ', map { "$_=$asked->{headers}{$_}" } sort keys %{$asked->{headers}}),
	'accept=application/json authorization=Basic c2VjcmV0 host=login.example.com',
	'own headers: those of the configuration');

# bodies of requests that wait come to the backend

hold('post');
$c = connection();
$c->send(request('POST /post/', @bearer, 'Content-Length: 10') . 'hello');
asked_soon('post', 1);
ping();
release('post');
$c->send('world');
is(status($c->answer()), 200, 'body: passes');
$r = backend(1);
is($r->{body}, 'helloworld', 'body: arrives');
is($r->{headers}{'x-client-id'}, 'acme', 'body: with an identity');
is($r->{headers}{authorization}, undef, 'body: without the token');
is(header($c->ask(request('GET /ping')), 'Server') ? 1 : 0, 1, 'body: the connection goes on');

my $large = 'x' x 100_000;
is(status(http(request('POST /large-post/', @bearer, 'Connection: close',
	'Content-Length: ' . length $large) . $large)), 200, 'large body: passes');
ok(backend(2)->{body} eq $large, 'large body: arrives');

hold('chunks');
$c = connection();
$c->send(request('POST /chunks/', @bearer, 'Transfer-Encoding: chunked') . "5\r\nhello\r\n");
asked_soon('chunks', 1);
release('chunks');
$c->send("5\r\nworld\r\n0\r\n\r\n");
is(status($c->answer()), 200, 'chunks: passes');
is(backend(3)->{body}, 'helloworld', 'chunks: arrive');

my $body = '{"model":"m","messages":[]}';
$r = http(request('POST /completion/v1/chat/completions', @bearer, 'Connection: close',
	'Content-Type: application/json', 'Content-Length: ' . length $body) . $body);
is(status($r), 200, 'a body that is read: passes');
is(backend(4)->{body}, $body, 'a body that is read: arrives');
my ($line) = grep { $_->{path} =~ /completion/ } audit_lines($t, 'audit.log', 1);
is($line->{model}, 'm', 'a body that is read: is in the log');
is(scalar(grep { $_->{path} =~ /^\/_/ } audit_lines($t, 'audit.log')), 0,
	'the log has no line for the provider');

# HTTP/2

SKIP: {
	skip 'no HTTP/2', 7 unless $has_http2;
	my $url = 'http://127.0.0.1:' . port(8082);
	my @options = ('--http2-prior-knowledge', '-i', '-H', $bearer[0], '-H', 'X-Custom: x');
	$r = curl(@options, '-d', 'body', "$url/http2/");
	like($r, qr/^HTTP\/2 200 .*acme$/s, 'HTTP/2: passes');
	my ($asked) = asked('http2');
	delete $asked->{headers}{connection};
	is("$asked->{method} $asked->{body} " . join(' ', sort keys %{$asked->{headers}}),
		'GET  accept host', 'HTTP/2: nothing of the client');
	hold('streams');
	my @curls = map {
		open(my $curl, '-|', 'curl', '-s', '--max-time', 20, @options, "$url/streams/$_")
			// die "Can't run curl: $!\n";
		$curl;
	} 1 .. 5;
	asked_soon('streams', 1);
	ping();
	release('streams');
	is(scalar(grep { join('', <$_>) =~ /^HTTP\/2 200/ } @curls), 5, 'HTTP/2: several');
	is(scalar(asked('streams')), 1, 'HTTP/2: one fetch');
	like(curl(@options[0, 1], "$url/http2/"), qr/^HTTP\/2 401 /, 'HTTP/2: without a token');

	hold('http2-leaves');
	my $pid = open(my $leaves, '-|', 'curl', '-s', @options, "$url/http2-leaves/")
		// die "Can't run curl: $!\n";
	asked_soon('http2-leaves', 1);
	my $stays = connection();
	$stays->send(request('/http2-leaves/', @bearer));
	ping();
	kill 'KILL', $pid;
	close $leaves;
	ping();
	release('http2-leaves');
	is(status($stays->answer()), 200, 'HTTP/2: a client leaves, another one is served');
	is(scalar(asked('http2-leaves')), 1, 'HTTP/2: by the fetch that it began');
}

# a client that leaves during the fetch

hold('leaves');
my $leaves = connection();
$leaves->send(request('/leaves/', @bearer));
asked_soon('leaves', 1);
my @stay = map { my $c = connection(); $c->send(request('/leaves/', @bearer)); $c } 1 .. 3;
ping();
$leaves->close();
ping();
release('leaves');
is(join(' ', map { status($_->answer()) // 'none' } @stay), '200 200 200',
	'leaves: the others are served');
is(scalar(asked('leaves')), 1, 'leaves: by the fetch that it began');

hold('gone');
$leaves = connection();
$leaves->send(request('/gone/', @bearer));
asked_soon('gone', 1);
$leaves->close();
ping();
release('gone');
is(client('/gone/'), 'acme', 'leaves: and who comes when nobody waits');
is(scalar(asked('gone')), 1, 'leaves: by the fetch that nobody waited for');

hold('deaf');
$leaves = connection();
$leaves->send(request('/deaf/', @bearer));
asked_soon('deaf', 1);
$leaves->close();
$c = connection();
$c->send(request('/deaf/', @bearer));
ping();
release('deaf');
is(status($c->answer()), 200, 'leaves: and who comes when the provider has not answered yet');
is(scalar(asked('deaf')), 1, 'leaves: by the same fetch');

# other places for keys

is(client('/file/'), 'acme', 'file');
is(client('/text/'), 'acme', 'return');
is(client('/open/'), 'acme', 'a location that is not internal');
$r = get('/no-file/', @bearer);
is(status($r) . ' ' . header($r, 'X-Reason'), '503 keys_unavailable', 'no file');
$r = get('/no-location/', @bearer);
is(status($r) . ' ' . header($r, 'X-Reason'), '503 keys_unavailable', 'no location');
is(status(get('/_first', @bearer)), 404, 'nobody else gets there');

# A nameserver that says nothing.
my $silent = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1:' . port(8981, udp => 1))
	or die "Can't create UDP socket: $!\n";
my $began = time();
$r = connection()->ask(request('/nameless/', @bearer));
is(status($r) . ' ' . header($r, 'X-Reason'), '503 keys_unavailable', 'no name');
cmp_ok(time() - $began, '<', 8, 'no name: after the time that a provider has');

is(client('/replaced/'), 'acme', 'replaced: around');
is(client('/replaced/file/', token('two', { sub => 'zoe' }, kid => undef)), 'zoe',
	'replaced: by a file');
is(status(get('/replaced/file/', @bearer)), 401, 'replaced: nothing of it holds');
is(status(get('/replaced/open/')), 200, 'replaced: off');

is(client('/kept/1/') . client('/kept/2/'), 'acmeacme', 'kept connection');
my @kept = asked('kept');
is(scalar(@kept), 2, 'kept connection: two fetches');
is($kept[0]{connection}, $kept[1]{connection}, 'kept connection: one connection');

# one directive for several servers, each of which has a location of its own by that name

answers('own-one', body => key_set('one'));
answers('own-two', body => key_set('two'));
for my $server (qw/one two/) {
	for my $key (qw/one two/) {
		my $token = token($key, { sub => $key });
		my $r = http(request('/', "Authorization: Bearer $token", 'Connection: close')
			=~ s/localhost/$server/r, PeerAddr => '127.0.0.1:' . port(8083));
		is(status($r), $server eq $key ? 200 : 401, "server $server: a token of $key");
	}
}
is(scalar(asked('own-two')) > 0, 1, 'server two: its own provider is asked');

# nginx's cache

is(client('/cached/'), 'acme', 'cached');
is(client('/found/'), 'acme', 'cached: found in the cache');
is(scalar(asked('cached')) . scalar(asked('found')), '10', 'cached: asked once');
answers('cached', body => key_set('one', 'two'));
my $new = token('two', { sub => 'zoe' });
is(status(get('/found/', "Authorization: Bearer $new")), 401, 'cached: a new key, from the cache');
is(client('/cached/', $new), 'zoe', 'cached: a new key, past the cache');
is(scalar(asked('cached')), 2, 'cached: asked again');

# large sets: as large as the providers' own, and as large as they may be

my $padded = json({ keys => [map({ jwk('rsa', kid => "rsa-$_", x5c => ['x' x 1400]) } 1 .. 10),
	jwk('one')] });
# Keys without a kid are tried for a token without one: the first, as many as are not too many.
my @unnamed = map { my $key = jwk($_); delete $key->{kid}; $key } ('one', ('two') x 40, 'one');
answers('unnamed', body => json({ keys => \@unnamed }));
my $nameless = token('one', { sub => 'acme' }, kid => undef);
is(client('/unnamed/', $nameless), 'acme', 'unnamed: the first key');
like($t->read_file('error.log'), qr/\[warn\].*"\/_unnamed".*the last of them verify nothing/,
	'unnamed: more than are tried');

answers('large', body => $padded);
is(client('/large/'), 'acme', 'large: ' . length($padded) . ' bytes');
my $huge = json({ keys => [map({ jwk('rsa', kid => "rsa-$_", x5c => ['x' x 500]) } 1 .. 255),
	jwk('one')] });
$huge .= ' ' x (256 * 1024 - length $huge);
answers('huge-set', body => $huge);
is(client('/huge-set/'), 'acme', 'large: 256 keys in 256k');
my $rsa = token('rsa', { sub => 'acme' }, kid => 'rsa-255');
is(client('/huge-set/', $rsa), 'acme', 'large: and another one of them');
$t->write_file('served.json', $huge);
reload_and_wait($t);
is(client('/file/', $rsa), 'acme', 'large: from a file');
answers('cached', body => $huge);
is(client('/cached/'), 'acme', 'large: from the cache');
is(client('/cached/', $rsa), 'acme', 'large: past the cache');
reload_and_wait($t);
is(client('/cached/', $rsa), 'acme', 'large: into the cache and out of it');
is(scalar(asked('cached')), 3, 'large: which did not ask again');

# others who make subrequests

is(client('/asked/'), 'acme', 'auth_request, and keys that are fetched');
is(client('/mirrored/'), 'acme', 'mirror, and keys that are fetched');
my ($mirrored) = asked_soon('mirror', 1);
is($mirrored->{headers}{'x-client-id'}, 'acme', 'mirror: as who it is');
is($mirrored->{headers}{authorization}, undef, 'mirror: without the token');

# satisfy, dry_run

answers('any', status => 500);
is(status(get('/any/', @bearer)), 503, 'satisfy any: no keys');
answers('any', body => $good);
ok((poll { status(get('/any/', @bearer)) == 200 }), 'satisfy any: passes');
is(status(get('/any/', 'Authorization: Bearer ' . unsigned('one', {}))), 401,
	'satisfy any: a forged token');
reload_and_wait($t);
hold('any');
# Before it is asked again: afterwards nobody knows which one was the last of before.
my $count = asked('any');
$c = connection();
$c->send(request('/any/', @bearer));
asked_soon('any', $count + 1);
release('any');
is(status($c->answer()), 200, 'satisfy any: waits');

answers('dry', status => 500);
$r = get('/dry/', @bearer);
is(status($r), 200, 'dry_run: passes without keys');
is(header($r, 'X-Decision') . ' ' . header($r, 'X-Reason'), 'deny keys_unavailable',
	'dry_run: what would have been');
is(http_content($r), '', 'dry_run: as nobody');
answers('dry', body => $good);
ok((poll { header(get('/dry/', @bearer), 'X-Decision') eq 'allow' }), 'dry_run: with keys');
is(client('/dry/'), 'acme', 'dry_run: with keys, as who it is');

# whoever comes while there are no keys has made no mistake

answers('failures', status => 500);
my @failures = (@bearer, 'X-Failures: a');
is(join(' ', map { status(get('/failures/', @failures)) } 1 .. 3), '503 503 503',
	'auth_failures: no keys');
answers('failures', body => $good);
ok((poll { status(get('/failures/', @failures)) == 200 }), 'auth_failures: none was counted');
my @forged = ('Authorization: Bearer ' . unsigned('one', {}), 'X-Failures: a');
is(join(' ', map { status(get('/failures/', @forged)) } 1 .. 2), '401 429',
	'auth_failures: a forged token is');

# the answer

answers('failures', status => 500);
reload_and_wait($t);
$r = get('/failures/v1/chat/completions', @bearer);
is(status($r), 503, 'refused');
is(content_json($r)->{error}{type}, 'server_error', 'refused: in the form of the API');
is(header($r, 'WWW-Authenticate'), undef, 'refused: without a challenge');
unlike($r, qr/127\.0\.0\.1|_failures/, 'refused: with nothing of the provider');
($line) = grep { ($_->{reason} // '') eq 'keys_unavailable' } audit_lines($t, 'audit.log', 1);
is($line->{decision} . ' ' . $line->{status}, 'deny 503', 'refused: in the log');
is($line->{client}, undef, 'refused: in the log, without a client');

###############################################################################

# bad answers: without keys nobody passes, and those that are there stay in force, unless it is a set, whose
# keys can't be used

my @names = sort keys %bad;
my $respond = sub { answers("bad-$_[0]", %{$bad{$_[0]}[0]}) };
for my $name (@names) {
	$respond->($name);
	my $r = quick("/bad-$name/");
	is(status($r) . ' ' . header($r, 'X-Reason'), '503 keys_unavailable', "$name: no keys");
	answers("bad-$name", body => $good);
}
for my $name (@names) {
	ok((poll { status(quick("/bad-$name/")) == 200 }), "$name: a good answer is taken");
}

# Two more fetches of each: the second one comes when the first has been dealt with. If answers never
# end, that takes long, and the complaint will do.
my %withdraws = map { $_ => 1 } qw/no-keys private secret encryption/;
my %left = map { $respond->($_); $_ => asked("bad-$_") + 2 } @names;
my %seen;
poll {
	for my $name (keys %left) {
		$seen{$name}{status(quick("/bad-$name/")) // 'none'}++;
		delete $left{$name} if $bad{$name}[0]{endless} ? complaints($t, "/_bad-$name") == 2
			: asked("bad-$name") >= $left{$name};
	}
	!%left;
};
is(join(' ', sort keys %left), '', 'the provider is asked again');
for my $name (@names) {
	if ($withdraws{$name}) {
		ok($seen{$name}{503}, "$name: takes the keys out of use");
	} else {
		is(join(' ', keys %{$seen{$name}}), '200', "$name: changes nothing");
	}
	# The first failure is told, and the third, as it went well between them.
	is(complaints($t, "/_bad-$name"), 2, "$name: is told once");
}

like($t->read_file('error.log'), qr!"/_bad-compressed" .*: its answer is compressed, .*"proxy_set_header Accept-Encoding!,
	'compressed: said what to do');

###############################################################################

# The client that the backend sees, or the status.
sub client {
	my ($uri, $other) = @_;
	my $r = get($uri, 'Authorization: Bearer ' . ($other // $token));
	return status($r) == 200 ? http_content($r) : status($r);
}

# The response to a good token as soon as it is complete: the connection may be busy for longer.
sub quick {
	my ($uri) = @_;
	my $connection = connection();
	my $response = $connection->ask(request($uri, "Authorization: Bearer $token"));
	$connection->close();
	return $response;
}

sub hold {
	my ($name) = @_;
	answers($name, hold => 1);
}

sub release {
	my ($name) = @_;
	answers($name, body => $good);
}

# The request number $number that came to the backend which records them.
sub backend {
	my ($number) = @_;
	return (asked_soon('backend', $number))[$number - 1];
}

###############################################################################
