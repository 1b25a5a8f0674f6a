#!/usr/bin/perl

# JSON Web Tokens: which are good, what their claims mean, and that a good one is not remembered for
# longer, or for more, than it says. Signed with HS256; tests/jwt_keys.t has the other algorithms.

use warnings;
use strict;

use Test::More;

use Digest::SHA qw/ hmac_sha256 hmac_sha384 hmac_sha512 /;
use MIME::Base64 qw/ encode_base64url /;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get get_with header hs256 json jws keys_file status /;
use Tollgate::Client qw/ poll /;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/);

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier  free { }
    tollgate_tier  pro  {
        requests 60r/m;
        requests 5000r/d;
    }

    tollgate_auth          jwt;
    tollgate_jwt_key_file  secret;

    add_header X-Client  $tollgate_client  always;
    add_header X-Tier    $tollgate_tier    always;
    add_header X-Tenant  $tollgate_tenant  always;
    add_header X-Auth    $tollgate_auth    always;
    add_header X-Reason  $tollgate_reason  always;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        large_client_header_buffers 4 64k;

        tollgate               on;
        tollgate_default_tier  free;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /issuer {
            tollgate_jwt_issuer    https://a.example https://b.example;
            tollgate_jwt_audience  api chat;
            proxy_pass http://127.0.0.1:8081;
        }

        location /forever {
            tollgate_jwt_require_exp off;
            proxy_pass http://127.0.0.1:8081;
        }

        location /leeway {
            tollgate_jwt_leeway 1h;
            proxy_pass http://127.0.0.1:8081;
        }

        location /small {
            tollgate_jwt_max_size 512;
            proxy_pass http://127.0.0.1:8081;
        }

        location /large {
            tollgate_jwt_max_size 32k;
            proxy_pass http://127.0.0.1:8081;
        }

        location /claims {
            tollgate_jwt_claim  client      user.name;
            tollgate_jwt_claim  tier        https://example.com/tier;
            tollgate_jwt_claim  tenant      org.unit.id;
            tollgate_jwt_claim  rate_limit  limits.rpm;
            proxy_pass http://127.0.0.1:8081;
        }

        location /both {
            tollgate_auth      api_key jwt;
            tollgate_api_keys  keys.json;
            proxy_pass http://127.0.0.1:8081;
        }

        location /keys {
            tollgate_auth      api_key;
            tollgate_api_keys  keys.json;
            proxy_pass http://127.0.0.1:8081;
        }
    }

    # no default tier, and the size of header lines that nginx has by default
    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        tollgate on;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 "$http_x_client_id:$http_authorization";
        }
    }
}

EOF

my $secret = join '', map { chr } 128 .. 191;	# 64 bytes, enough for HS512
my $now = time();
my %acme = (sub => 'acme', exp => $now + 3600);
my $good = token(%acme);

# One that has the shape of a token, and was once handed out as a key.
my $shaped = 'eyJhbGciOiJub25lIn0.e30.c2ln';

$t->write_file('secret', $secret);
$t->write_file('keys.json', keys_file(
	{ key => $shaped, client => 'shaped' },
	{ key => 'a.b.c', client => 'dots' },
	{ key => 'tg_plain', client => 'plain' },
));

# name, token, reason

my @bad = (
	# the signature
	['unsigned', jws({ alg => 'none' }, \%acme, sub { '' })],
	['unsigned, other spelling', jws({ alg => 'nOnE' }, \%acme, sub { '' })],
	['none, but signed', hs256($secret, \%acme, alg => 'none')],
	['no algorithm', jws({ typ => 'JWT' }, \%acme, \&sign)],
	['algorithm in lower case', hs256($secret, \%acme, alg => 'hs256')],
	['algorithm as a list', hs256($secret, \%acme, alg => ['HS256'])],
	['another algorithm than it says', hs256($secret, \%acme, alg => 'HS512')],
	['public-key algorithm', hs256($secret, \%acme, alg => 'RS256')],
	['a key of its own', hs256('another secret of thirty-two bytes', \%acme,
		jwk => { kty => 'oct', k => encode_base64url('another secret of thirty-two bytes') })],
	['another secret', hs256($secret ^ "\1", \%acme)],
	['empty secret', hs256('', \%acme)],
	['no signature', $good =~ s/[^.]*$//r],
	['half a signature', substr($good, 0, -20)],
	['further signature', "${good}A"],
	['padding', "$good="],
	['a dot behind', "$good."],
	['another header', header_part(alg => 'HS256', x => 1) . $good =~ s/^[^.]*//r],
	['another payload', with_payload($good, { %acme, sub => 'root' })],

	# the form
	['two parts', $good =~ s/\.[^.]*$//r],
	['five parts', "$good.a.b"],
	['JSON serialisation', '{"payload":"' . (split /\./, $good)[1] . '","signature":"x"}'],
	['blanks', $good =~ s/\./ ./r],
	['quoted', "\"$good\""],
	['payload that is no object', jws({ alg => 'HS256' }, '["acme"]', \&sign)],
	['payload that is no JSON', jws({ alg => 'HS256' }, json(\%acme) . '}', \&sign)],
	['duplicate claim', jws({ alg => 'HS256' }, json(\%acme) =~ s/\}$/,"sub":"root"}/r, \&sign)],
	['duplicate claim, escaped',
		jws({ alg => 'HS256' }, json(\%acme) =~ s/\}$/,"\\u0073ub":"root"}/r, \&sign)],
	['duplicate in the header', jws('{"alg":"none","alg":"HS256"}', \%acme, \&sign)],
	['invalid UTF-8', jws({ alg => 'HS256' }, json(\%acme) =~ s/acme/acm\xff/r, \&sign)],

	# header members that would have to be obeyed
	(map { ["member $_->[0]", hs256($secret, \%acme, @$_)] }
		[crit => ['exp']], [crit => []], [b64 => JSON::PP::false()], [b64 => JSON::PP::true()],
		[zip => 'DEF'], [enc => 'A128GCM'], [kid => 1], [kid => undef],
		[typ => 'dpop+jwt'], [typ => 1]),

	# times
	['expired', token(%acme, exp => $now - 1), 'expired_credential'],
	['expired in 1970', token(%acme, exp => 0), 'expired_credential'],
	['expired before that', token(%acme, exp => -1), 'expired_credential'],
	['not before', token(%acme, nbf => $now + 3600), 'not_yet_valid'],
	['issued in the future', token(%acme, iat => $now + 3600), 'not_yet_valid'],
	['no expiry', token(sub => 'acme')],
	['expiry as a string', token(%acme, exp => '' . ($now + 3600))],
	['expiry as null', token(%acme, exp => undef)],
	['expiry as a list', token(%acme, exp => [$now + 3600])],
	['not before as a string', token(%acme, nbf => "$now")],
	['issued at, as true', token(%acme, iat => JSON::PP::true())],

	# other claims of the wrong type
	['no client', token(exp => $now + 3600)],
	['client as a number', token(%acme, sub => 7)],
	['empty client', token(%acme, sub => '')],
	['client with a line break', token(%acme, sub => "acme\r\nX-Client-Tier: pro")],
	['client with a blank behind', token(%acme, sub => 'acme ')],
	['client of 257 bytes', token(%acme, sub => 'a' x 257)],
	['issuer as a number', token(%acme, iss => 7)],
	['audience as an object', token(%acme, aud => {})],
	['tier as a list', token(%acme, tier => ['pro'])],
	['scope as a number', token(%acme, scope => 7)],
	(map { ["rate limit of $_->[0]", token(%acme, rate_limit => $_->[1])] }
		['0', 0], ['-1', -1], ['1.5', 1.5], ['a string', '100'], ['null', undef],
		['too much', 4294967296]),
);

my @good = (
	['plain', $good],
	['HS384', jws({ alg => 'HS384' }, \%acme, sub { hmac_sha384($_[0], $secret) })],
	['HS512', jws({ alg => 'HS512' }, \%acme, sub { hmac_sha512($_[0], $secret) })],
	['type of an access token', hs256($secret, \%acme, typ => 'at+JWT')],
	['a kid that no key has', hs256($secret, \%acme, kid => '../../dev/null')],
	# ignored, and never followed
	(map { ["member $_->[0]", hs256($secret, \%acme, @$_)] }
		[jku => 'http://127.0.0.1:8081/'], [x5u => 'http://127.0.0.1:8081/'], [x5c => ['AA']],
		[jwk => { kty => 'oct', k => encode_base64url($secret) }]),
	['unknown members', hs256($secret, \%acme, x5t => 'x', y => {})],
	['a fraction of a second', jws({ alg => 'HS256' },
		'{"sub":"acme","exp":' . ($now + 3600) . '.25}', \&sign)],
	['already valid', token(%acme, nbf => $now - 1, iat => $now - 1)],
	['any issuer and audience', token(%acme, iss => 'x', aud => ['y', 'z'])],
	['client of 256 bytes', token(%acme, sub => 'a' x 256)],
);

$t->plan(2 * @bad + @good + 75);
$t->run();

###############################################################################

my $r = bearer('/', $good);
is(http_content($r), 'acme:', 'good token, and the backend does not see it');
is(header($r, 'X-Auth'), 'jwt', 'method');
is(header($r, 'X-Client'), 'acme', 'client');
is(header($r, 'X-Tier'), 'free', 'default tier');
is(header($r, 'X-Tenant'), undef, 'no tenant');

is(status(bearer('/', $_->[1])), 200, "good, $_->[0]") for @good;

my $refused = http_content(bearer('/', 'x'));
my $challenge = 'Bearer realm="tollgate", error="invalid_token"';
for (@bad) {
	my ($what, $token, $reason) = @$_;
	$r = bearer('/', $token);
	is(header($r, 'X-Reason') // status($r), $reason // 'invalid_token', "bad, $what");
	is(status($r) . header($r, 'WWW-Authenticate') . http_content($r), "401$challenge$refused",
		"bad, $what, the one answer");
}

# issuer and audience

my %issued = (%acme, iss => 'https://a.example', aud => 'api');
is(status(bearer('/issuer', token(%issued))), 200, 'issuer and audience');
is(status(bearer('/issuer', token(%issued, iss => 'https://b.example'))), 200, 'other issuer');
is(status(bearer('/issuer', token(%issued, aud => ['x', 'chat']))), 200, 'audience in a list');
is(status(bearer('/issuer', token(%issued, iss => 'https://a.example/'))), 401, 'not quite');
is(status(bearer('/issuer', token(%issued, iss => 'HTTPS://a.example'))), 401, 'other case');
is(status(bearer('/issuer', token(%issued, aud => 'apis'))), 401, 'foreign audience');
is(status(bearer('/issuer', token(%issued, aud => []))), 401, 'no audience in a list');
is(status(bearer('/issuer', token(%issued, aud => 'api chat'))), 401, 'a list in a string');
is(status(bearer('/issuer', token(%issued, aud => ['api', 7]))), 401, 'wrong type in the list');
is(status(bearer('/issuer', token(%acme, aud => 'api'))), 401, 'no issuer');
is(status(bearer('/issuer', token(%acme, iss => 'https://a.example'))), 401, 'no audience');
is(status(bearer('/issuer', $good)), 401, 'good elsewhere, and remembered there');

# times that are configured

is(status(bearer('/forever', token(sub => 'acme'))), 200, 'no expiry needed');
is(status(bearer('/forever', token(%acme, exp => $now - 1))), 401, 'an expiry holds all the same');
is(status(bearer('/forever', token(%acme, exp => undef))), 401, 'null is not absent');
is(status(bearer('/leeway', token(%acme, exp => $now - 1800))), 200, 'leeway, expired');
is(status(bearer('/leeway', token(%acme, exp => $now - 3601))), 401, 'leeway, expired for longer');
is(status(bearer('/leeway', token(%acme, nbf => $now + 1800))), 200, 'leeway, not before');
is(status(bearer('/leeway', token(%acme, nbf => $now + 7200))), 401, 'leeway, later');

# size

my ($fits, $too_long) = around(512);
is(status(bearer('/small', $fits)), 200, length($fits) . ' of 512 bytes');
is(status(bearer('/small', $too_long)), 401, length($too_long) . ' of 512 bytes');
is(status(bearer('/', $too_long)), 200, 'good elsewhere');
is(status(bearer('/small', $too_long)), 401, 'remembered there, and too long all the same');
($fits, $too_long) = around(16384);
is(status(bearer('/', $fits)), 200, length($fits) . ' of 16384 bytes');
is(status(bearer('/', $too_long)), 401, length($too_long) . ' of 16384 bytes');
is(status(bearer('/large', $too_long)), 200, 'of 32768 bytes');

my %small_buffers = (PeerAddr => '127.0.0.1:' . port(8082));
my $pro = token(%acme, tier => 'pro', x => 'x' x 5500);
is(status(get_with('/', \%small_buffers, "Authorization: Bearer $fits")), 400,
	'more than the header buffers of nginx');
is(status(get_with('/', \%small_buffers, "Authorization: Bearer $pro")), 200,
	'as much as they hold');

# tiers

$r = bearer('/', token(%acme, sub => 'paying', tier => 'pro'));
is(status($r) . header($r, 'X-Tier'), '200pro', 'tier of the token');
$r = bearer('/', token(%acme, tier => 'PRO'));
is(status($r) . header($r, 'X-Reason'), '403tier_denied', 'unknown tier, in spite of the default');
is(header($r, 'WWW-Authenticate'), undef, 'unknown tier, no challenge');
is(header($r, 'X-Tier'), undef, 'unknown tier, no variable');
$r = get_with('/', \%small_buffers, "Authorization: Bearer $good");
is(status($r) . header($r, 'X-Reason'), '403tier_denied', 'no tier and no default');
is(status(bearer('/', token(%acme, tier => ''))), 401, 'an empty tier is not an absent one');

# the rate of the token, in place of the tier's per minute

$r = bearer('/', token(%acme, sub => 'c1', tier => 'pro'));
is(limit($r), '60/59', 'rate of the tier');
$r = bearer('/', token(%acme, sub => 'c2', tier => 'pro', rate_limit => 7));
is(limit($r), '7/6', 'rate of the token');
$r = bearer('/', token(%acme, sub => 'c3', rate_limit => 5000));
is(limit($r), '5000/4999', 'rate of the token where the tier has none');
$r = bearer('/', token(%acme, sub => 'c4', tier => 'pro', rate_limit => 100000));
is(limit($r), '5000/4999', "the tier's other limits hold");
$r = bearer('/', token(%acme, sub => 'c5', rate_limit => 4294967295));
is(status($r), 200, 'the highest rate');

my $slow = token(%acme, sub => 'c6', rate_limit => 1);
is(status(bearer('/', $slow)), 200, 'one a minute, first');
$r = bearer('/', $slow);
is(status($r), 429, 'one a minute, second');
ok(header($r, 'Retry-After') > 0 && header($r, 'Retry-After') <= 60, 'one a minute, when again');
is(status(bearer('/', token(%acme, sub => 'c6', rate_limit => 1, jti => 2))), 429,
	'another token of the same client');

# claims

my %mapped = (
	exp => $now + 3600, user => { name => 'carol' }, org => { unit => { id => 'u-7' } },
	'https://example.com/tier' => 'pro', limits => { rpm => 9 },
);
$r = bearer('/claims', token(%mapped));
is(status($r) . header($r, 'X-Client'), '200carol', 'client by a path');
is(header($r, 'X-Tier'), 'pro', 'tier by a URL');
is(header($r, 'X-Tenant'), 'u-7', 'tenant by a long path');
is(limit($r), '9/8', 'rate by a path');
is(status(bearer('/claims', $good)), 401, 'the default claim no longer counts');
is(status(bearer('/claims', token(%mapped, org => { unit => 'u-7' }))), 401,
	'a path that ends too soon');
is(header(bearer('/claims', token(%mapped, org => {})), 'X-Tenant'), undef, 'an absent claim');
is(header(bearer('/claims', token(%mapped, 'user.name' => 'dan')), 'X-Client'), 'dan',
	'a claim of the whole name comes first');
is(http_content(bearer('/claims', token(%mapped, user => { name => "\x{e9}\x{4e2d}" }))),
	"\xc3\xa9\xe4\xb8\xad:", 'beyond ASCII');

# remembered, but not for longer than it is valid; more seconds where the machine is slow

my $short;
for my $seconds (2, 5, 20) {
	$short = token(%acme, sub => 'short', exp => time() + $seconds);
	$r = bearer('/', $short);
	last if status($r) == 200;
}
is(status($r), 200, 'a token that will expire soon');
ok(poll { status($r = bearer('/', $short)) == 401 }, 'and does');
is(header($r, 'X-Reason'), 'expired_credential', 'and does, reason');

# remembered by all of it

is(status(bearer('/', $good)), 200, 'remembered');
for my $last (substr $good, -1) {
	# The last of 43 characters stands for four bits: three other characters mean the same.
	my $alphabet = join '', 'A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_';
	my $index = index $alphabet, $last;
	my @same = grep { $_ ne $last } map { substr $alphabet, ($index & ~3) + $_, 1 } 0 .. 3;
	my $changed = substr $alphabet, $index ^ 4, 1;
	is(join(' ', map { status(bearer('/', substr($good, 0, -1) . $_)) } @same, $changed),
		'401 401 401 401', 'the last character changed');
}
is(status(bearer('/', substr $good, 0, -1)), 401, 'the last character missing');
is(status(bearer('/', with_payload($good, { %acme, tier => 'pro' }))), 401, 'payload changed');
is(status(bearer('/', $good)), 200, 'still remembered');

# keys and tokens: the shape picks the judge, and nobody else is asked

is(http_content(bearer('/both', $good)), 'acme:', 'both, token');
is(http_content(bearer('/both', 'tg_plain')), 'plain:', 'both, key');
is(http_content(bearer('/both', 'a.b.c')), 'dots:', 'both, key with dots');
is(http_content(get('/both', 'X-API-Key: tg_plain')), 'plain:', 'both, key in its header');
$r = bearer('/both', $shaped);
is(header($r, 'X-Reason'), 'invalid_token', 'both, a key with the shape of a token is no key');
is(http_content(bearer('/keys', $shaped)), 'shaped:', 'keys only, it is one');
$r = bearer('/keys', $good);
is(header($r, 'X-Reason'), 'invalid_credential', 'keys only, token');
$r = bearer('/', 'tg_plain');
is(header($r, 'X-Reason'), 'invalid_token', 'tokens only, key');
$r = get('/', 'X-API-Key: tg_plain');
is(header($r, 'X-Reason'), 'missing_credential', 'tokens only, key in its header');
is(header($r, 'WWW-Authenticate'), 'Bearer realm="tollgate"', 'tokens only, challenge');

###############################################################################

sub bearer {
	my ($uri, $token) = @_;
	return get($uri, "Authorization: Bearer $token");
}

sub token {
	my (%claims) = @_;
	return hs256($secret, \%claims);
}

sub sign {
	my ($input) = @_;
	return hmac_sha256($input, $secret);
}

sub header_part {
	my (%members) = @_;
	return encode_base64url(json(\%members));
}

sub with_payload {
	my ($token, $claims) = @_;
	my ($header, undef, $signature) = split /\./, $token;
	return join '.', $header, encode_base64url(json($claims)), $signature;
}

# The longest token that has at most so many bytes, and the next one.
sub around {
	my ($size) = @_;
	my ($fits, $padding) = ($good, int($size * 3 / 4) - 150);
	while (1) {
		my $longer = token(%acme, x => 'x' x $padding++);
		return ($fits, $longer) if length $longer > $size;
		$fits = $longer;
	}
}

sub limit {
	my ($r) = @_;
	return join '/', map { header($r, "x-ratelimit-$_-requests") // '' } qw/limit remaining/;
}

###############################################################################
