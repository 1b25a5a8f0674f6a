#!/usr/bin/perl

# JWK Sets as identity providers publish them, each with a key beside the good one that can't be used: it is
# ignored, as RFC 7517 section 5 asks, and named in the log, and tokens signed with the good key are.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get header hs256 json jws status /;
use Tollgate::Client;
use Tollgate::Provider;

use MIME::Base64 qw/encode_base64 encode_base64url/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->has_daemon('openssl');

start_provider($t, 8090);
new_key('rsa', 'RSA');
new_key($_) for qw/ec other/;
my $pem = $t->read_file('rsa.pub');
my $certificate = encode_base64('no certificate ' x 20, '');
my $x5t = encode_base64url("\xa5" x 20);

# Keys that can't be used, and what the log says of them. Their names are "odd".
my $small = encode_base64url("\xa5" x 128);
my %odd = (
	'a small RSA key' => [{ kty => 'RSA', kid => 'odd', n => $small, e => 'AQAB' }, 'RSA modulus'],
	'a short coordinate' => [jwk('ec', kid => 'odd', x => encode_base64url('x' x 31)), 'not as long'],
	'no point' => [jwk('ec', kid => 'odd', x => encode_base64url('x' x 32)), 'no point'],
	'null' => [undef, 'is no JWK', 'key \d'],
	'a string' => ['odd', 'is no JWK', 'key \d'],
	'an array' => [[jwk('ec')], 'is no JWK', 'key \d'],
	'nothing' => [{}, '"kty"', 'key \d'],
	'no modulus' => [{ kty => 'RSA', kid => 'odd', e => 'AQAB' }, '"n"'],
	'no base64url' => [{ kty => 'RSA', kid => 'odd', n => 'a+/=', e => 'AQAB' }, '"n"'],
	'a number as algorithm' => [jwk('ec', kid => 'odd', alg => 7), '"alg"'],
	'another algorithm' => [jwk('ec', kid => 'odd', alg => 'RS256'), '"alg" does not fit'],
	'an unknown algorithm' => [jwk('ec', kid => 'odd', alg => 'SHA256withECDSA'), 'not supported'],
	'an unknown kind' => [{ kty => 'AKP', kid => 'odd', alg => 'ML-DSA-44', pub => 'AA' }, 'not supported'],
	'an unknown curve' => [jwk('ec', kid => 'odd', crv => 'secp256k1'), 'not supported'],
	'a private key' => [jwk('ec', kid => 'odd', d => encode_base64url('d' x 32)), 'private key'],
	'a secret' => [{ kty => 'oct', kid => 'odd', k => encode_base64url('s' x 32) }, 'symmetric'],
	'for encryption' => [jwk('ec', kid => 'odd', use => 'enc'), 'not for verifying'],
	'a name with control characters' => [jwk('ec', kid => "odd\e[31m\n"), '"kid"', 'key \d \("odd.u.1b.\[31m.n"\)'],
	'a long name' => [jwk('ec', kid => 'odd' x 100), '"kid"', 'key \d \("(?:odd)+o"\.\.\.\)'],
	'a name that is a number' => [jwk('ec', kid => 7), '"kid"', 'key \d'],
);

# Those that are used nevertheless.
my %remarked = (
	'a null name' => [jwk('other', kid => undef), '"kid" is null', 'key \d'],
	'a null algorithm' => [jwk('other', alg => undef, d => undef), '"alg" is null', 'key \d \("other"\)'],
	'a null use' => [jwk('other', use => undef), '"use" is null', 'key \d \("other"\)'],
	'a shared name' => [jwk('other', kid => 'ec'), 'common algorithm', 'key "ec"'],
);

# What providers write beside the key itself, and a key of theirs that is no use here.
my %providers = (
	'Keycloak' => [{ alg => 'RS256', x5c => [$certificate], x5t => $x5t, 'x5t#S256' => $x5t },
		{ kid => 'enc', kty => 'RSA', alg => 'RSA-OAEP', use => 'enc', n => $small, e => 'AQAB' }],
	'Entra ID v1' => [{ x5t => 'rsa', x5c => [$certificate] },
		{ kty => 'RSA', use => 'sig', kid => 'old', x5t => 'old', n => $small, e => 'AQAB' }],
	'Entra ID v2' => [{ x5t => 'rsa', x5c => [$certificate], cloud_instance_name => 'microsoftonline.com',
		issuer => 'https://login.microsoftonline.com/{tenantid}/v2.0' }, undef],
	'Auth0' => [{ alg => 'RS256', x5t => $x5t, x5c => [$certificate] },
		{ alg => 'RS256', kty => 'RSA', use => 'sig', kid => 'next', n => $small, e => 'AQAB' }],
	'Okta' => [{ alg => 'RS256', status => 'ACTIVE', expiresAt => undef },
		{ kty => 'RSA', alg => 'RS256', kid => 'next', use => 'sig', e => 'AQAB' }],
	'Google' => [{ alg => 'RS256' }, { kty => 'EC', alg => 'ES256', crv => 'P-256', kid => 'iap', use => 'sig',
		x => encode_base64url('x' x 31), y => encode_base64url('y' x 32) }],
	'Cognito' => [{ alg => 'RS256' }, { alg => 'RS256', e => 'AQAB', kid => 'x', kty => 'RSA', n => undef,
		use => 'sig' }],
	'Apigee' => [{ use => undef, alg => undef }, { kty => 'EC', crv => 'secp256k1', kid => 'k', x => 'AA', y => 'AA' }],
	'Cloud Foundry UAA' => [{ alg => 'RS256', value => $pem },
		{ kty => 'MAC', alg => 'HMACSHA256', use => 'sig', kid => 'legacy', value => 'tokenkey' }],
	'SAP' => [{ alg => 'RS256', value => $pem, key_ops => ['verify'], 'x5t#S256' => $x5t },
		{ kty => 'RSA', alg => 'SHA256withRSA', use => 'sig', kid => 'old', value => $pem, n => $small,
			e => 'AQAB' }],
);

my (%set, %place);
my $add = sub {
	my ($name, $body) = @_;
	$place{$name} = 'set-' . (1 + keys %place);
	$set{$name} = $body;
};
for my $name (keys %odd) {
	$add->("$name, before", json({ keys => [$odd{$name}[0], jwk('ec')] }));
	$add->("$name, behind", json({ keys => [jwk('ec'), $odd{$name}[0]] }));
}
$add->($_, json({ keys => [$remarked{$_}[0], jwk('ec')] })) for keys %remarked;
$add->($_, json({ keys => [jwk('rsa', %{$providers{$_}[0]}), $providers{$_}[1]] })) for keys %providers;
$add->('a member twice', '{"keys":[{"kty":"EC","kid":"odd","kid":"ec"},' . json(jwk('ec')) . ']}');
$add->('half a surrogate pair', '{"keys":[{"kty":"EC","name":"\ud83d"},' . json(jwk('ec')) . ']}');
$add->('the same key twice', json({ keys => [jwk('ec'), jwk('ec')] }));
$add->('a byte order mark', "\xef\xbb\xbf" . key_set('ec'));
$add->('nothing usable', json({ keys => [$odd{'a small RSA key'}[0], undef] }));
$add->('many odd keys', json({ keys => [jwk('ec'), (undef) x 100] }));
$add->('empty', '{"keys":[]}');
$add->('withdrawn', key_set('ec'));

my $locations = join '', map {
	my $cache = $_ eq 'withdrawn' ? 'tollgate_jwt_key_cache 1s stale=1h;' : '';
	"        location /$place{$_}/ { tollgate_jwt_key_request /_$place{$_}; $cache proxy_pass http://127.0.0.1:8081/; }\n"
		. "        location = /_$place{$_} { internal; proxy_pass http://127.0.0.1:8090/$place{$_}?refetch=\$tollgate_key_refetch; }\n";
} sort keys %set;
answers($place{$_}, body => $set{$_}) for keys %set;

$t->plan(5 * keys(%odd) + 3 * keys(%remarked) + 2 * keys(%providers) + 28);

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
    tollgate_default_tier  free;
    tollgate_auth          jwt;

    add_header X-Reason  $tollgate_reason always;
    add_header X-Key-ID  $tollgate_key_id always;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_jwt_key_request /_none;

%%LOCATIONS%%

        location = /_none {
            internal;
            return 404;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 "$http_x_client_id";
        }
    }
}

EOC
$conf =~ s/%%LOCATIONS%%/$locations/;
$t->write_file_expand('nginx.conf', $conf);
# The harness looks at the log when nobody holds $t any more, so no sub may.
my $dir = $t->testdir();
$t->run();

my ($ec, $rsa) = (token('ec', { sub => 'acme' }), token('rsa', { sub => 'acme' }));
my $as_odd = token('ec', { sub => 'acme' }, kid => 'odd');
my $other = token('other', { sub => 'acme' });

###############################################################################

for my $name (sort keys %odd) {
	my (undef, $why, $which) = @{$odd{$name}};
	$which //= 'key \d \("odd"\)';
	for my $where (qw/before behind/) {
		is(outcome("$name, $where", $ec), '200 acme', "$name, $where: the good key is used");
		like(told("$name, $where"), qr/$which: .*\Q$why\E.*that key is not used$/m, "$name, $where: named");
	}
	like(outcome("$name, before", $as_odd), qr/^401/, "$name: opens nothing");
}

for my $name (sort keys %remarked) {
	my (undef, $why, $which) = @{$remarked{$name}};
	is(outcome($name, $ec), '200 acme', "$name: the other key is used");
	like(told($name), qr/\[warn\].*$which: .*\Q$why\E/, "$name: named");
	my $kid = $name eq 'a null name' ? undef : $name eq 'a shared name' ? 'ec' : 'other';
	is(outcome($name, token('other', { sub => 'acme' }, kid => $kid)), '200 acme', "$name: used");
}

for my $name (sort keys %providers) {
	is(outcome($name, $rsa), '200 acme', "$name: a token is good");
	like(told($name), qr/key 2(?: \("\w+"\))?: .*that key is not used$/m, "$name: the other key is named");
}

is(outcome('a member twice', $ec), '200 acme', 'a member twice: only that key is ignored');
like(told('a member twice'), qr/key 1: is no JWK/, 'a member twice: named');
is(outcome('half a surrogate pair', $ec), '200 acme', 'half a surrogate pair: only that key');
is(outcome('the same key twice', $ec), '200 acme', 'the same key twice: is used');
like(told('the same key twice'), qr/key 2 \("ec"\): is in the set already/, 'the same key twice: named');
is(outcome('a byte order mark', $ec), '200 acme', 'a byte order mark: is passed over');
is(outcome('nothing usable', $ec), '503 keys_unavailable', 'nothing usable: no keys');
like(told('nothing usable'), qr/\[error\].*its answer key 1 \("odd"\): the RSA modulus/, 'nothing usable: said');
is(outcome('many odd keys', $ec), '200 acme', 'many odd keys: the good one is used');
my $lines = () = told('many odd keys') =~ /that key is not used/g;
is($lines, 10, 'many odd keys: the first are named');
like(told('many odd keys'), qr/90 more keys/, 'many odd keys: and the rest counted');
unlike($t->read_file('error.log'), qr/\e|tokenkey|ZGRkZGRk/, 'no control characters, no secrets');

# A key that is withdrawn is, whatever stands beside those that are left.

is(outcome('withdrawn', $ec), '200 acme', 'withdrawn: not yet');
answers($place{withdrawn}, body => json({ keys => [undef, jwk('other'), $odd{'a small RSA key'}[0]] }));
ok((poll { outcome('withdrawn', $ec) =~ /^401/ }), 'withdrawn: within the time of a fresh set');
is(outcome('withdrawn', $other), '200 acme', 'withdrawn: the new key is used');
# A set that has none left takes them out of use; what is no set doesn't.
answers($place{withdrawn}, body => '<title>Sign in</title>');
ok((poll { outcome('withdrawn', $other); told('withdrawn') =~ /\[error\].*the keys of before are used/ }), 'no set later: said');
is(outcome('withdrawn', $other), '200 acme', 'no set later: the last keys stay');
for my $name ('nothing usable', 'empty') {
	answers($place{withdrawn}, body => $set{$name});
	ok((poll { outcome('withdrawn', $other) eq '503 keys_unavailable' }), "$name later: the last keys go");
	my $said = () = told('withdrawn') =~ /\[error\].*those of before aren't any longer, and tokens can't be verified/g;
	is($said, $name eq 'empty' ? 2 : 1, "$name later: said");
	# Within a second, though the set was to be good for hours.
	answers($place{withdrawn}, body => key_set('other'));
	ok((poll { outcome('withdrawn', $other) eq '200 acme' }), "$name later: asked again soon");
	like((asked($place{withdrawn}))[-1]{uri}, qr/\?refetch=1$/, "$name later: past nginx's cache");
}

# Keys that a token brings, or points to.

is(outcome('withdrawn', unsigned('other', { sub => 'acme' })), '401 invalid_token', 'a wrong signature');
is(outcome('withdrawn', token('other', { sub => 'acme' }, jku => 'http://127.0.0.1:8090/jku',
	x5u => 'http://127.0.0.1:8090/jku', jwk => jwk('ec'), x5c => ['AA'])), '200 acme', 'keys of its own: ignored');
is(scalar asked('jku'), 0, 'keys of its own: never followed');

###############################################################################

sub outcome {
	my ($name, $token) = @_;
	my $r = get("/$place{$name}/", "Authorization: Bearer $token");
	return status($r) . ' ' . (status($r) == 200 ? http_content($r) : header($r, 'X-Reason'));
}

# What the log says of this set. It is there before the token that waited for the set is answered.
sub told {
	my ($name) = @_;
	open my $log, '<', "$dir/error.log" or die "Can't open error.log: $!\n";
	return join '', grep { m!"/_$place{$name}"! && /tollgate:/ } <$log>;
}

###############################################################################
