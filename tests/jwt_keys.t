#!/usr/bin/perl

# The keys of tokens: every algorithm, out of key sets, PEM files, certificates and secrets. The key
# says what it may be used for, never the token.

use warnings;
use strict;

use Test::More;

use Digest::SHA qw/ hmac_sha256 /;
use MIME::Base64 qw/ encode_base64url decode_base64 /;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get header hs256 json jws status /;
use Tollgate::Client qw/ poll reload_and_wait /;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->has_daemon('openssl')->plan(71);

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone          zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier          free { }
    tollgate_default_tier  free;
    tollgate_auth          jwt;

    add_header X-Key-ID  $tollgate_key_id  always;
    add_header X-Reason  $tollgate_reason  always;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_jwt_key_file rsa.pub;

        location /jwks {
            tollgate_jwt_key_file jwks.json;
            proxy_pass http://127.0.0.1:8081;
        }

        location /unnamed {
            tollgate_jwt_key_file unnamed.json;
            proxy_pass http://127.0.0.1:8081;
        }

        location /jwk {
            tollgate_jwt_key_file jwk.json;
            proxy_pass http://127.0.0.1:8081;
        }

        location /pem {
            proxy_pass http://127.0.0.1:8081;
        }

        location /certificate {
            tollgate_jwt_key_file rsa.crt;
            proxy_pass http://127.0.0.1:8081;
        }

        location /several {
            tollgate_jwt_key_file rsa.pub;
            tollgate_jwt_key_file p256.pub;
            tollgate_jwt_key_file p384.pub;
            tollgate_jwt_key_file ed25519.pub;
            proxy_pass http://127.0.0.1:8081;

            # either these or those above, not both
            location /several/own {
                tollgate_jwt_key_file p256.pub;
                proxy_pass http://127.0.0.1:8081;
            }
        }

        location /bundle {
            tollgate_jwt_key_file bundle.pem;
            proxy_pass http://127.0.0.1:8081;
        }

        location /mixed {
            tollgate_jwt_key_file    rsa.pub;
            tollgate_jwt_key_file    secret;
            tollgate_jwt_algorithms  RS256 HS256;
            proxy_pass http://127.0.0.1:8081;
        }

        location /narrow {
            tollgate_jwt_key_file    rsa.pub;
            tollgate_jwt_algorithms  RS512 PS256;
            proxy_pass http://127.0.0.1:8081;
        }

        location /rotating {
            tollgate_jwt_key_file rotating.json;
            proxy_pass http://127.0.0.1:8081;
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

EOF

my $d = $t->testdir();
my $secret = 'a secret of thirty-two bytes or more';
my %claims = (sub => 'acme', exp => time() + 3600);

my %kinds = (
	rsa => [qw/RSA -pkeyopt rsa_keygen_bits:2048/],
	foreign => [qw/RSA -pkeyopt rsa_keygen_bits:2048/],
	p256 => [qw/EC -pkeyopt ec_paramgen_curve:P-256/],
	other => [qw/EC -pkeyopt ec_paramgen_curve:P-256/],
	p384 => [qw/EC -pkeyopt ec_paramgen_curve:P-384/],
	ed25519 => [qw/ED25519/],
);
for my $name (sort keys %kinds) {
	openssl('genpkey', '-algorithm', @{$kinds{$name}}, '-out', "$d/$name.key");
	openssl('pkey', '-in', "$d/$name.key", '-pubout', '-out', "$d/$name.pub");
}
openssl('req', '-x509', '-new', '-key', "$d/rsa.key", '-subj', '/CN=issuer', '-days', 1,
	'-out', "$d/rsa.crt", '-config', config());

$t->write_file('secret', $secret);
$t->write_file('bundle.pem', join "subject=of no interest\n", map { $t->read_file($_) }
	qw/p256.pub rsa.crt ed25519.pub/);
$t->write_file('jwks.json', json({ keys => [
	jwk('rsa', kid => 'rsa-1'),
	jwk('p256', kid => 'p256-1', use => 'sig', key_ops => ['verify'], alg => 'ES256'),
	jwk('p384', kid => 'p384-1'),
	jwk('ed25519', kid => 'ed-1'),
	jwk('ed25519', kid => 'ed-2', alg => 'Ed25519'),
	jwk('rsa', kid => 'rsa-pss', alg => 'PS256'),
	# not for signatures
	jwk('foreign', kid => 'encryption', use => 'enc'),
	jwk('foreign', kid => 'wrapping', key_ops => ['wrapKey']),
	jwk('foreign', kid => 'oaep', alg => 'RSA-OAEP'),
	# of a kind that nobody knows yet
	{ kty => 'AKP', kid => 'pq-1', pub => 'AA' },
] }));
$t->write_file('unnamed.json', json({ keys => [map { jwk($_) } qw/rsa p256 other ed25519/] }));
$t->write_file('jwk.json', json(jwk('p256', kid => 'single')));
$t->write_file('rotating.json', json({ keys => [jwk('p256', kid => 'current')] }));

$t->run();

###############################################################################

# every algorithm

my %signer = (RS => 'rsa', PS => 'rsa', ES256 => 'p256', ES384 => 'p384', EdDSA => 'ed25519');
for my $alg (qw/RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA/) {
	my $key = $signer{$alg} // $signer{substr $alg, 0, 2};
	is(client('/jwks', signed($key, $alg)), 'acme', "$alg, without kid");
}
# The other name of EdDSA on this curve (RFC 9864), in a token and in a key.
is(client('/jwks', signed('ed25519', 'Ed25519', kid => 'ed-1')), 'acme', 'Ed25519, a key for any');
is(client('/jwks', signed('ed25519', $_, kid => 'ed-2')), 'acme', "$_, a key for Ed25519") for qw/EdDSA Ed25519/;
is(client('/pem', signed('rsa', $_)), 'acme', "$_, PEM") for qw/RS256 PS512/;
is(client('/certificate', signed('rsa', $_)), 'acme', "$_, certificate") for qw/RS256 PS256/;
is(client('/jwk', signed('p256', 'ES256')), 'acme', 'single key');
is(client('/several', signed($signer{$_}, $_)), 'acme', "$_, one of several files")
	for qw/ES256 ES384 EdDSA/;
is(client('/several', signed('rsa', 'RS256')), 'acme', 'RS256, one of several files');
is(client('/bundle', signed($_->[0], $_->[1])), 'acme', "$_->[1], one of several blocks")
	for [p256 => 'ES256'], [rsa => 'RS256'], [ed25519 => 'EdDSA'];
is(client('/several/own', signed('p256', 'ES256')), 'acme', 'own list');
is(client('/several/own', signed('rsa', 'RS256')), undef, 'own list, key of the level above');

# kid

my $r = bearer('/jwks', signed('rsa', 'RS256', kid => 'rsa-1'));
is(status($r) . header($r, 'X-Key-ID'), '200rsa-1', 'kid');
$r = bearer('/jwks', signed('ed25519', 'EdDSA'));
is(status($r) . header($r, 'X-Key-ID'), '200ed-1', 'no kid, the one that fits is named');
is(client('/jwks', signed('rsa', 'RS256', kid => 'p256-1')), undef, 'kid of another kind');
is(client('/jwks', signed('rsa', 'RS256', kid => 'rsa-2')), undef, 'unknown kid');
is(client('/jwks', signed('rsa', 'RS256', kid => '')), undef, 'empty kid');
is(client('/jwks', signed('rsa', 'RS256', kid => 'RSA-1')), undef, 'kid in another case');
is(client('/unnamed', signed('other', 'ES256')), 'acme', 'keys without kid, the second that fits');
is(client('/unnamed', signed('other', 'ES256', kid => 'x')), 'acme', 'keys without kid, a kid');
is(client('/pem', signed('rsa', 'RS256', kid => 'x')), 'acme', 'PEM, a kid');

# what the key is for

is(client('/jwks', signed('rsa', 'PS256', kid => 'rsa-pss')), 'acme', 'alg of the key');
is(client('/jwks', signed('rsa', 'RS256', kid => 'rsa-pss')), undef, 'another alg');
is(client('/jwks', signed('rsa', 'PS384', kid => 'rsa-pss')), undef, 'another alg, same padding');
for my $kid (qw/encryption wrapping oaep/) {
	is(client('/jwks', signed('foreign', 'RS256', kid => $kid)), undef, "$kid is not signing");
}
is(client('/jwks', signed('foreign', 'RS256')), undef, 'not without kid, either');
is(client('/narrow', signed('rsa', 'RS512')), 'acme', 'algorithm that is configured');
is(client('/narrow', signed('rsa', 'PS256')), 'acme', 'the other one');
is(client('/narrow', signed('rsa', 'RS256')), undef, 'algorithm that is not configured');
is(client('/mixed', signed('rsa', 'RS256')), 'acme', 'mixed kinds, public key');
is(client('/mixed', hs256($secret, \%claims)), 'acme', 'mixed kinds, secret');
is(client('/mixed', signed('rsa', 'RS512')), undef, 'mixed kinds, another algorithm');

# forgeries

is(client('/pem', signed('foreign', 'RS256')), undef, 'a key of their own');
is(client('/pem', signed('foreign', 'RS256', jwk => jwk('foreign'))), undef, 'it comes along');
is(client('/pem', signed('foreign', 'RS256', x5c => ['MIIB'])), undef, 'its certificate does');
is(client('/pem', signed('rsa', 'RS256', alg => 'PS256')), undef, 'another padding than it says');
is(client('/several', signed('p256', 'ES256', alg => 'ES384')), undef, 'another curve');
is(client('/several', signed('p256', 'ES256', alg => 'RS256')), undef, 'another kind of key');

# What everybody can know is no secret, in whatever form (CVE-2015-9235).
my $pem = $t->read_file('rsa.pub');
my ($base64) = $pem =~ /-----\n(.*?)-----/s;
my %public = (
	'the PEM file' => $pem,
	'the PEM file without its last line break' => $pem =~ s/\n$//r,
	'its base64' => $base64,
	'its base64 in one line' => $base64 =~ s/\n//gr,
	'its DER' => decode_base64($base64),
	'the certificate' => $t->read_file('rsa.crt'),
	'the key set' => $t->read_file('jwks.json'),
	'nothing' => '',
);
for my $what (sort keys %public) {
	my $token = hs256($public{$what}, \%claims);
	is(join(' ', map { status(bearer("/$_", $token)) } qw/pem certificate jwks mixed unnamed/),
		'401 401 401 401 401', "signed with $what as the secret");
}

# CVE-2022-21449, and a signature in the form that openssl gives.
my $zero = sub { "\0" x 64 };
is(client('/jwk', jws({ alg => 'ES256' }, \%claims, $zero)), undef, 'signature of zeros');
my $der = sub { openssl_sign('p256', 'ES256', $_[0]) };
is(client('/jwk', jws({ alg => 'ES256' }, \%claims, $der)), undef, 'signature in DER');

# keys are rotated by a reload: a token that was remembered goes with its key

my $old = signed('p256', 'ES256', kid => 'current');
my $new = signed('other', 'ES256', kid => 'current');
is(client('/rotating', $old) . ':' . status(bearer('/rotating', $new)), 'acme:401', 'before');

$t->write_file('rotating.json', json({ keys => [jwk('other', kid => 'current')] }));
reload_and_wait($t);
is(status(bearer('/rotating', $old)), 401, 'after, the old key under the same name');
is(client('/rotating', $new), 'acme', 'after, the new key');

$t->write_file('rotating.json', json({ keys => [jwk('p256', kid => 'new'),
	jwk('other', kid => 'current')] }));
reload_and_wait($t);
is(client('/rotating', $new), 'acme', 'overlap, current');
is(client('/rotating', signed('p256', 'ES256', kid => 'new')), 'acme', 'overlap, new');

$t->write_file('rotating.json', '{"keys":[');
$t->reload();
ok(poll { $t->read_file('error.log') =~ /\[emerg\].*"tollgate_jwt_key_file".*rotating\.json/ },
	'a broken file is refused');
is(client('/rotating', $new), 'acme', 'and the old one holds');

###############################################################################

sub bearer {
	my ($uri, $token) = @_;
	return get($uri, "Authorization: Bearer $token");
}

# The client that the backend sees; undef where the token is refused.
sub client {
	my ($uri, $token) = @_;
	my $r = bearer($uri, $token);
	return http_content($r) if status($r) == 200;
	return status($r) == 401 && header($r, 'X-Reason') eq 'invalid_token' ? undef : status($r);
}

sub signed {
	my ($key, $alg, %header) = @_;
	return jws({ alg => $alg, %header }, \%claims, sub {
		my $signature = openssl_sign($key, $alg, $_[0]);
		return $alg =~ /^ES/ ? raw($signature, $alg eq 'ES256' ? 32 : 48) : $signature;
	});
}

sub openssl_sign {
	my ($key, $alg, $input) = @_;
	my ($in, $out) = map { "$d/$_" } qw/input signature/;
	write_raw($in, $input);
	if ($alg =~ /^Ed/) {
		openssl('pkeyutl', '-sign', '-rawin', '-inkey', "$d/$key.key", '-in', $in, '-out', $out);
	} else {
		my @padding = $alg !~ /^PS/ ? ()
			: map { ('-sigopt', $_) } 'rsa_padding_mode:pss', 'rsa_pss_saltlen:-1';
		openssl('dgst', '-sha' . substr($alg, 2), @padding, '-sign', "$d/$key.key",
			'-out', $out, $in);
	}
	return read_raw($out);
}

# From the two integers of an ECDSA-Sig-Value (RFC 3279 section 2.2.3) to two fields of $size bytes
# (RFC 7518 section 3.4).
sub raw {
	my ($der, $size) = @_;
	my ($r, $s) = unpack 'x2 xC/a xC/a', $der;
	return join '', map { substr "\0" x $size . $_, -$size } $r, $s;
}

# The public key of that name as a JWK (RFC 7518 section 6, RFC 8037 section 2).
sub jwk {
	my ($name, %members) = @_;
	my ($base64) = read_raw("$d/$name.pub") =~ /-----\n(.*?)-----/s;
	my $der = decode_base64($base64);
	if ($name =~ /rsa|foreign/) {
		my ($modulus) = `openssl rsa -pubin -in $d/$name.pub -noout -modulus` =~ /=([0-9A-F]+)/;
		return { kty => 'RSA', n => encode_base64url(pack 'H*', $modulus), e => 'AQAB', %members };
	}
	return { kty => 'OKP', crv => 'Ed25519', x => encode_base64url(substr $der, -32), %members }
		if $name eq 'ed25519';
	my ($curve, $size) = $name eq 'p384' ? ('P-384', 48) : ('P-256', 32);
	my ($x, $y) = map { encode_base64url($_) } unpack "a$size a$size", substr $der, -2 * $size;
	return { kty => 'EC', crv => $curve, x => $x, y => $y, %members };
}

# Where the system has no openssl.cnf, `openssl req` asks for one.
sub config {
	write_raw("$d/openssl.conf", "[ req ]\ndistinguished_name = name\n[ name ]\n");
	return "$d/openssl.conf";
}

sub openssl {
	my (@arguments) = @_;
	system("openssl @arguments >>$d/openssl.out 2>&1") == 0
		or die "Can't run openssl @arguments:\n" . read_raw("$d/openssl.out");
}

# No named sub may refer to $t, which is to be destroyed at the end.

sub read_raw {
	my ($path) = @_;
	open my $file, '<:raw', $path or die "Can't open $path: $!\n";
	local $/;
	return scalar <$file>;
}

sub write_raw {
	my ($path, $content) = @_;
	open my $file, '>:raw', $path or die "Can't create $path: $!\n";
	print $file $content;
	close $file or die "Can't write $path: $!\n";
}

###############################################################################
