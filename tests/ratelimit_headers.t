#!/usr/bin/perl

# The headers that tell a client how its limit stands: three styles, on success and on refusal.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header headers hs256 keys_file status/;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy http_v2/)->has_daemon('curl')->plan(71)
	->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier free  { requests 3r/h; }
    tollgate_tier pro   { requests 100r/d burst=2; }
    tollgate_tier two   { requests 50r/h; requests 10r/d; }
    tollgate_tier open  { }
    tollgate_limit rule key=$binary_remote_addr requests=1000r/h;

    tollgate_api_keys keys.json;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate on;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /openai {
            tollgate_ratelimit_headers openai;
            proxy_pass http://127.0.0.1:8081;
        }

        location /ietf {
            tollgate_ratelimit_headers ietf;
            proxy_pass http://127.0.0.1:8081;
        }

        location /legacy {
            tollgate_ratelimit_headers legacy;
            proxy_pass http://127.0.0.1:8081;
        }

        location /all {
            tollgate_ratelimit_headers legacy openai ietf;
            proxy_pass http://127.0.0.1:8081;

            location /all/inherited {
                proxy_pass http://127.0.0.1:8081;
            }
        }

        location /off {
            tollgate_ratelimit_headers off;
            proxy_pass http://127.0.0.1:8081;
        }

        location /rule {
            tollgate_apply rule;
            tollgate_ratelimit_headers openai legacy;
            proxy_pass http://127.0.0.1:8081;
        }

        location /jwt {
            tollgate_auth jwt;
            tollgate_jwt_key_file secret;
            tollgate_ratelimit_headers openai legacy;
            proxy_pass http://127.0.0.1:8081;
        }

        location /errors {
            tollgate_ratelimit_headers openai ietf;
            proxy_pass http://127.0.0.1:8081/status/;
        }

        location /missing {
        }

        location /unprotected {
            tollgate off;
            proxy_pass http://127.0.0.1:8081;
        }
    }

    # An engine that sends such headers, too.
    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        add_header X-RateLimit-Limit-Requests upstream always;
        add_header x-ratelimit-limit-tokens upstream always;
        add_header RateLimit upstream always;
        add_header ratelimit-policy upstream always;
        add_header X-RATELIMIT-LIMIT upstream always;
        add_header X-RateLimit-Tier upstream always;
        add_header Retry-After 7 always;
        add_header X-Request-ID upstream always;

        location / {
            return 200 ENGINE;
        }

        location /status/ {
            return 500 BROKEN;
        }
    }
}

EOF

my $secret = '0123456789abcdef0123456789abcdef';

$t->write_file('secret', $secret);
$t->write_file('keys.json', keys_file(
	(map { { key => "key-free-$_", client => "free-$_", tier => 'free' } }
		qw/default openai ietf legacy all off h2 errors/),
	{ key => 'key-pro', client => 'pro', tier => 'pro' },
	{ key => 'key-two', client => 'two', tier => 'two' },
	{ key => 'key-open', client => 'open', tier => 'open' },
));
$t->run();

###############################################################################

# openai

my $r = ask('/openai', 'free-openai');
is(header($r, 'x-ratelimit-limit-requests'), 3, 'openai: limit');
is(header($r, 'x-ratelimit-remaining-requests'), 2, 'openai: remaining');
is(duration(header($r, 'x-ratelimit-reset-requests')), '20m0s', 'openai: reset');
is(header($r, 'RateLimit'), undef, 'openai: the upstream must not contradict it in another style');
ask('/openai', 'free-openai') for 1 .. 2;
$r = ask('/openai', 'free-openai');
is(status($r), 429, 'openai: refused');
is(header($r, 'x-ratelimit-limit-requests'), 3, 'openai: refused, limit');
is(header($r, 'x-ratelimit-remaining-requests'), 0, 'openai: refused, remaining');
is(duration(header($r, 'x-ratelimit-reset-requests')), '1h0m0s', 'openai: refused, reset');

$r = ask('/', 'free-default');
is(header($r, 'x-ratelimit-limit-requests'), 3, 'openai is the default');

# ietf

$r = ask('/ietf', 'free-ietf');
is(header($r, 'RateLimit-Policy'), '"requests";q=3;w=3600', 'ietf: policy');
like(header($r, 'RateLimit'), qr/^"requests";r=2;t=1(200|19\d)$/, 'ietf: limit');
ask('/ietf', 'free-ietf') for 1 .. 2;
$r = ask('/ietf', 'free-ietf');
is(status($r), 429, 'ietf: refused');
is(header($r, 'RateLimit-Policy'), '"requests";q=3;w=3600', 'ietf: refused, policy');
like(header($r, 'RateLimit'), qr/^"requests";r=0;t=3(600|5\d\d)$/, 'ietf: refused, limit');

# legacy

my $now = time();
$r = ask('/legacy', 'free-legacy');
is(header($r, 'X-RateLimit-Limit'), 3, 'legacy: limit');
is(header($r, 'X-RateLimit-Remaining'), 2, 'legacy: remaining');
cmp_ok(header($r, 'X-RateLimit-Reset'), '>=', $now + 1200, 'legacy: reset is a unix time');
cmp_ok(header($r, 'X-RateLimit-Reset'), '<=', time() + 1201, 'legacy: reset, not later');
is(header($r, 'X-RateLimit-Tier'), 'free', 'legacy: tier');
ask('/legacy', 'free-legacy') for 1 .. 2;
$r = ask('/legacy', 'free-legacy');
is(status($r), 429, 'legacy: refused');
is(header($r, 'X-RateLimit-Remaining'), 0, 'legacy: refused, remaining');
is(header($r, 'X-RateLimit-Tier'), 'free', 'legacy: refused, tier');

# several, none

for my $uri (qw!/all /all/inherited!) {
	$r = ask($uri, 'free-all');
	is(header($r, 'x-ratelimit-limit-requests'), 3, "$uri: openai");
	is(header($r, 'RateLimit-Policy'), '"requests";q=3;w=3600', "$uri: ietf");
	is(header($r, 'X-RateLimit-Limit'), 3, "$uri: legacy");
}

$r = ask('/off', 'free-off');
is(header($r, 'x-ratelimit-limit-requests'), 'upstream', 'off: the upstream\'s own');
is(header($r, 'x-ratelimit-remaining-requests'), undef, 'off: none of ours');
ask('/off', 'free-off') for 1 .. 2;
$r = ask('/off', 'free-off');
is(status($r), 429, 'off: refused');
is(ours($r), '', 'off: refused without them');
cmp_ok(header($r, 'Retry-After'), '>', 0, 'off: Retry-After, though');
cmp_ok(header($r, 'retry-after-ms'), '>', 0, 'off: and retry-after-ms');

# which limit

$r = ask('/all', 'pro');
is(header($r, 'x-ratelimit-limit-requests'), 2, 'burst: the capacity is what counts');
is(header($r, 'RateLimit-Policy'), '"requests";q=100;w=86400', 'burst: the policy is the rate');
is(header($r, 'x-ratelimit-remaining-requests'), 1, 'burst: remaining');
is(duration(header($r, 'x-ratelimit-reset-requests')), '14m24s', 'burst: until it is full');

$r = ask('/all', 'two');
is(header($r, 'x-ratelimit-limit-requests'), 10, 'several periods: the one with least left');
is(header($r, 'RateLimit-Policy'), '"requests";q=10;w=86400', 'several periods: its policy');

$r = ask('/all', 'open');
is(header($r, 'x-ratelimit-limit-requests'), 'upstream', 'no limit: the upstream\'s own');
is(header($r, 'x-ratelimit-remaining-requests'), undef, 'no limit: none of ours');

$r = ask('/rule', 'open');
is(header($r, 'x-ratelimit-limit-requests'), 1000, 'only a rule: the rule');
is(header($r, 'X-RateLimit-Tier'), 'open', 'only a rule: the tier all the same');

# JWT

$r = get('/jwt', 'Authorization: Bearer '
	. hs256($secret, { sub => 'tom', tier => 'free', exp => time() + 3600 }));
is(header($r, 'x-ratelimit-limit-requests'), 3, 'JWT: of its tier');
is(header($r, 'X-RateLimit-Tier'), 'free', 'JWT: tier');

$r = get('/jwt', 'Authorization: Bearer '
	. hs256($secret, { sub => 'ann', tier => 'free', rate_limit => 60, exp => time() + 3600 }));
is(header($r, 'x-ratelimit-limit-requests'), 3, 'JWT: the limit with least left');

$r = get('/jwt', 'Authorization: Bearer '
	. hs256($secret, { sub => 'eve', tier => 'open', rate_limit => 60, exp => time() + 3600 }));
is(header($r, 'x-ratelimit-limit-requests'), 60, 'JWT: its own rate');
is(header($r, 'x-ratelimit-remaining-requests'), 59, 'JWT: its own rate, remaining');

# the upstream's

$r = ask('/all', 'free-all');
is(header($r, 'x-ratelimit-limit-tokens'), 'upstream', 'upstream: what we do not limit');
is(header($r, 'Retry-After'), 7, 'upstream: Retry-After of a request that passed');
is(headers($r, $_), 1, "upstream: one $_")
	for qw/RateLimit RateLimit-Policy X-RateLimit-Limit X-RateLimit-Tier X-Request-ID/;
isnt(header($r, 'X-Request-ID'), 'upstream', 'upstream: its id is replaced');
is(header(get('/unprotected'), 'X-RateLimit-Limit'), 'upstream', 'unprotected: untouched');
is(header(get('/unprotected'), 'X-Request-ID'), 'upstream', 'unprotected: so is the id');

$r = ask('/errors', 'free-errors');
is(status($r), 500, 'upstream: an error');
is(header($r, 'x-ratelimit-remaining-requests'), 2, 'upstream: an error has them, too');
$r = ask('/missing', 'free-errors');
is(status($r), 404, 'nginx: an error');
is(header($r, 'x-ratelimit-remaining-requests'), 1, 'nginx: an error has them, too');

# those who are nobody's

$r = get('/all');
is(status($r), 401, 'no credential');
is(ours($r), '', 'no credential: nothing to tell');
ok(header($r, 'X-Request-ID'), 'no credential: an id, though');

# HTTP/2: names are in lower case there

my $url = 'http://127.0.0.1:' . port(8082) . '/all';
$r = curl('--http2-prior-knowledge', '-i', '-H', 'X-API-Key: key-free-h2', $url);
like($r, qr/^HTTP\/2 200.*^x-ratelimit-remaining-requests: 2\r/ms, 'HTTP/2: openai');
like($r, qr/^ratelimit: "requests";r=2;t=1\d+\r/m, 'HTTP/2: ietf');
like($r, qr/^x-ratelimit-tier: free\r/m, 'HTTP/2: legacy');
curl('--http2-prior-knowledge', '-i', '-H', 'X-API-Key: key-free-h2', $url) for 1 .. 2;
$r = curl('--http2-prior-knowledge', '-i', '-H', 'X-API-Key: key-free-h2', $url);
like($r, qr/^HTTP\/2 429.*^retry-after-ms: \d+\r/ms, 'HTTP/2: refused');
like($r, qr/^x-ratelimit-remaining-requests: 0\r/m, 'HTTP/2: refused, remaining');

###############################################################################

sub ask {
	my ($uri, $key) = @_;
	return get($uri, "X-API-Key: key-$key");
}

# A reset, to the second, with the little that has been refilled meanwhile.
sub duration {
	my ($text) = @_;
	my ($h, $m, $s) = $text =~ /^(?:(\d+)h)?(?:(\d+)m)?([\d.]+)s$/ or return $text;
	my $seconds = ($h // 0) * 3600 + ($m // 0) * 60 + $s;
	for my $expected (['20m0s', 1200], ['1h0m0s', 3600], ['14m24s', 864]) {
		my ($name, $value) = @$expected;
		return $name if $seconds <= $value && $seconds > $value - 60;
	}
	return $text;
}

sub ours {
	my ($response) = @_;
	return join ', ', $response =~ /^((?:x-)?ratelimit[^:]*):/gmi;
}

###############################################################################
