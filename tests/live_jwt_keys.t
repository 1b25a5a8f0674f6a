#!/usr/bin/perl

# A change of a file with the keys of tokens is in force in every worker without a reload: key sets, PEM
# files and secrets. Tokens that were accepted before are judged anew. A broken file changes nothing,
# and is told once; so is one that is removed.

use warnings;
use strict;

use Test::More;

use Digest::SHA qw/ sha512 /;
use MIME::Base64 qw/ encode_base64url /;

use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ hs256 json jws keys_file /;
use Tollgate::Client;
use Tollgate::Live;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->has_daemon('openssl')->plan(80)
	->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;
worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone          zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier          free { }
    tollgate_default_tier  free;

    add_header X-Reason $tollgate_reason always;
    keepalive_requests 1000000;

    server {
        # Connections are spread over all workers.
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        tollgate on;
        tollgate_auth jwt;
        tollgate_jwt_key_file set.json;

        location /set {
            tollgate_jwt_key_file set.json;
            proxy_pass http://127.0.0.1:8081;
        }

        location /again {
            tollgate_jwt_key_file set.json;
            proxy_pass http://127.0.0.1:8081;
        }

        location /pem {
            tollgate_jwt_key_file public.pem;
            proxy_pass http://127.0.0.1:8081;
        }

        location /secret {
            tollgate_jwt_key_file secret;
            proxy_pass http://127.0.0.1:8081;
        }

        location /both {
            tollgate_jwt_key_file one.json;
            tollgate_jwt_key_file other.json;
            proxy_pass http://127.0.0.1:8081;
        }

        location /mixed {
            tollgate_auth api_key jwt;
            tollgate_api_keys     keys.json;
            tollgate_jwt_key_file mixed.json;
            proxy_pass http://127.0.0.1:8081;
        }

        location /fence {
            tollgate_auth api_key;
            tollgate_api_keys fence.json;
            proxy_pass http://127.0.0.1:8081;
        }

        location /pid {
            tollgate off;
            return 200 $pid;
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
my $refused = '401 invalid_token';
my %claims = (sub => 'acme', exp => time() + 3600);
my %token = map { $_ => hs256(secret($_), \%claims, kid => $_) } qw/a b c/;

for my $name (qw/first second/) {
	openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', "$d/$name.key");
	openssl('pkey', '-in', "$d/$name.key", '-pubout', '-out', "$d/$name.pub");
}

$t->write_file('set.json', key_set('a'));
$t->write_file('one.json', key_set('a'));
$t->write_file('other.json', key_set('b'));
$t->write_file('mixed.json', key_set('a'));
$t->write_file('secret', secret('a'));
$t->write_file('public.pem', $t->read_file('first.pub'));
$t->write_file('keys.json', keys_file({ key => 'key-acme', client => 'acme', tier => 'free' }));
$t->write_file('fence.json', keys_file({ key => 'key-fence', client => 'fence', tier => 'free' }));
$t->run();
live_in($d);
# What was said of the files at the start is none of this.
told($_) for qw/secret other.json/;

###############################################################################

# a key set

is(everywhere('/set', by('a')), '200 acme', 'a set: the key that is in it');
is(everywhere('/set', by('b')), $refused, 'a set: one that is not');

put('set.json', key_set('a', 'b'));
becomes('200 acme', '/set', by('b'), 'a set: a key comes');
is(everywhere('/set', by('a')), '200 acme', 'a set: the other one stays');

# Tokens that were seen before are not remembered for longer than their keys are there.
put('set.json', key_set('b'));
becomes($refused, '/set', by('a'), 'a set: a key goes');
is(everywhere('/set', by('b')), '200 acme', 'a set: the other one is there');
becomes($refused, '/again', by('a'), 'a set: elsewhere as well');
is(everywhere('/again', by('b')), '200 acme', 'a set: elsewhere as well, the other one');

put('set.json', key_set('a'));
becomes('200 acme', '/set', by('a'), 'a set: the key comes back');
becomes($refused, '/set', by('b'), 'a set: and the other one goes');

# Another secret by the same name.
put('set.json', json({ keys => [{ kty => 'oct', kid => 'a', k => encode_base64url(secret('b')) }] }));
becomes($refused, '/set', by('a'), 'a set: another key of the same kid');
my $renamed = 'Authorization: Bearer ' . hs256(secret('b'), \%claims, kid => 'a');
is(everywhere('/set', $renamed), '200 acme', 'a set: its tokens');

# Of another kind: a public key.
put('set.json', json({ keys => [rsa_jwk('first', 'a')] }));
becomes('200 acme', '/set', rs256('first', kid => 'a'), 'a set: a key of another kind');
is(everywhere('/set', $renamed), $refused, 'a set: the secret is none any more');

in_place('set.json', key_set('b', 'c'));
becomes('200 acme', '/set', by('c'), 'a set: in place, in pieces');
link_to('set.json', key_set('c'));
becomes($refused, '/set', by('b'), 'a set: by a link');
link_to('set.json', key_set('a'));
becomes('200 acme', '/set', by('a'), 'a set: by a folder that is replaced');
put('set.json', key_set('b'));
becomes($refused, '/set', by('a'), 'a set: a file again');
told('set.json');

# a broken one

my $other = key_set('c');
my @broken = (
	['cut off', substr $other, 0, -9],
	['empty', ''],
	['no keys in it', '{"keys":[]}'],
	['a key that is too short', '{"keys":[{"kty":"oct","k":"c2hvcnQ"}]}'],
	['a private key', $t->read_file('second.key')],
	['no set', '["c"]'],
);
for my $case (@broken) {
	my ($name, $content) = @$case;
	put('set.json', $content);
	my @lines = told('set.json', 1);
	stays('200 acme', '/set', by('b'), "$name: the keys of before stay");
	push @lines, told('set.json');
	is(scalar @lines, 1, "$name: told once") or diag(@lines);
	like($lines[0], qr/\[error\].*stays in force/, "$name: an error");
	unlike("@lines", qr/c2hvcnQ|PRIVATE/, "$name: without what is in the file");
}
is(everywhere('/set', by('c')), $refused, 'broken: nothing of it is in force');

# an odd key among others

put('set.json', json({ keys => [{ %{jwk('x')}, kid => 'odd', k => 'c2hvcnQ' }, jwk('c')] }));
becomes('200 acme', '/set', by('c'), 'odd: the other key is in force');
my @odd = told('set.json', 1);
is(scalar @odd, 1, 'odd: told once') or diag(@odd);
like($odd[0], qr/\[warn\].*key 1 \("odd"\): .*that key is not used/, 'odd: named');
put('set.json', $other);
becomes('200 acme', '/set', by('c'), 'repaired');
becomes($refused, '/set', by('b'), 'repaired: the key of before goes');
is(join('', told('set.json')), '', 'repaired: nothing to be told');

# Kinds that must not be mixed, unless algorithms are named.
put('set.json', json({ keys => [jwk('a'), rsa_jwk('first', 'r')] }));
@odd = told('set.json', 1);
is(scalar @odd, 1, 'mixed kinds: told') or diag(@odd);
stays('200 acme', '/set', by('c'), 'mixed kinds: the keys of before stay');
put('set.json', key_set('a'));
becomes('200 acme', '/set', by('a'), 'mixed kinds: no more');

# one that is removed

unlink "$d/set.json";
my @lines = told('set.json', 1);
stays('200 acme', '/set', by('a'), 'removed: the keys of before stay');
push @lines, told('set.json');
is(scalar @lines, 1, 'removed: told once') or diag(@lines);
put('set.json', key_set('b'));
becomes('200 acme', '/set', by('b'), 'there again');
is(everywhere('/set', by('a')), $refused, 'there again: the key of before goes');

# PEM

is(everywhere('/pem', rs256('first')), '200 acme', 'PEM: the key');
put('public.pem', $t->read_file('second.pub'));
becomes('200 acme', '/pem', rs256('second'), 'PEM: another key');
is(everywhere('/pem', rs256('first')), $refused, 'PEM: the one of before');
in_place('public.pem', $t->read_file('second.pub') . $t->read_file('first.pub'));
becomes('200 acme', '/pem', rs256('first'), 'PEM: two keys');
is(everywhere('/pem', rs256('second')), '200 acme', 'PEM: two keys, the other one');

# a secret

is(everywhere('/secret', by('a')), '200 acme', 'a secret');
put('secret', secret('b'));
becomes('200 acme', '/secret', by('b'), 'a secret: another one');
is(everywhere('/secret', by('a')), $refused, 'a secret: the one of before');
put('secret', 'too short');
@lines = told('secret', 1);
is(scalar @lines, 1, 'a secret that is too short: told') or diag(@lines);
stays('200 acme', '/secret', by('b'), 'a secret that is too short: the one of before stays');

# several files

is(everywhere('/both', by('a')), '200 acme', 'two files: a key of the first');
is(everywhere('/both', by('b')), '200 acme', 'two files: a key of the second');
put('other.json', key_set('c'));
becomes('200 acme', '/both', by('c'), 'two files: the second is changed');
is(everywhere('/both', by('b')), $refused, 'two files: its key of before');
is(everywhere('/both', by('a')), '200 acme', 'two files: the first stays');
put('other.json', '{');
@lines = told('other.json', 1);
is(scalar @lines, 1, 'two files: the second is broken') or diag(@lines);
stays('200 acme', '/both', by('c'), 'two files: its keys of before stay');

# beside API keys

my $key = 'X-API-Key: key-acme';
is(everywhere('/mixed', by('a')), '200 acme', 'beside API keys: a token');
put('mixed.json', key_set('b'));
becomes($refused, '/mixed', by('a'), 'beside API keys: a change of the set');
is(everywhere('/mixed', $key), '200 acme', 'beside API keys: they stay');
put('keys.json', keys_file());
becomes('401 invalid_credential', '/mixed', $key, 'beside API keys: a change of them');
is(everywhere('/mixed', by('b')), '200 acme', 'beside API keys: tokens stay');

# reload

put('set.json', key_set('c'));
put('other.json', key_set('c'));
put('secret', secret('a'));
put('keys.json', keys_file({ key => 'key-acme', client => 'acme', tier => 'free' }));
reload_and_wait($t);
live_in($d);
is(everywhere('/set', by('c')), '200 acme', 'reload: the set as it is');
put('set.json', key_set('a'));
becomes($refused, '/set', by('c'), 'reload: a change after it');

###############################################################################

sub secret {
	my ($name) = @_;
	return unpack 'H*', sha512("secret of $name");
}

sub jwk {
	my ($name) = @_;
	return { kty => 'oct', kid => $name, alg => 'HS256', k => encode_base64url(secret($name)) };
}

sub key_set {
	my (@names) = @_;
	return json({ keys => [map { jwk($_) } @names] });
}

# The header line with the token that this secret signed.
sub by {
	my ($name) = @_;
	return "Authorization: Bearer $token{$name}";
}

# The header line with a token that this private key signed.
sub rs256 {
	my ($name, %header) = @_;
	return 'Authorization: Bearer ' . jws({ alg => 'RS256', %header }, \%claims, sub {
		open my $in, '>:raw', "$d/input" or die "Can't create input: $!\n";
		print $in $_[0];
		close $in;
		openssl('dgst', '-sha256', '-sign', "$d/$name.key", '-out', "$d/signature", "$d/input");
		open my $out, '<:raw', "$d/signature" or die "Can't open signature: $!\n";
		local $/;
		return scalar <$out>;
	});
}

# The public key of that name as a JWK.
sub rsa_jwk {
	my ($name, $kid) = @_;
	my ($modulus) = `openssl rsa -pubin -in $d/$name.pub -noout -modulus` =~ /=([0-9A-F]+)/;
	return { kty => 'RSA', kid => $kid, n => encode_base64url(pack 'H*', $modulus), e => 'AQAB' };
}

sub openssl {
	my (@arguments) = @_;
	system("openssl @arguments >>$d/openssl.out 2>&1") == 0 or die "Can't run openssl @arguments\n";
}

###############################################################################
