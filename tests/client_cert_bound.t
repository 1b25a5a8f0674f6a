#!/usr/bin/perl

# Tokens that are bound to a certificate (RFC 8705): good with that one, and with nothing else.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ header hs256 json status /;
use Tollgate::Client qw/ audit_lines curl poll request /;
use Tollgate::Certs;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_ssl/)
	->has_daemon('curl')->has_daemon('openssl');

$t->plan(35)->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier      free { }
    tollgate_api_keys  keys.json;

    ssl_certificate     server.pem;
    ssl_certificate_key server.key;

    add_header X-Client $tollgate_client always;
    add_header X-Auth   $tollgate_auth always;
    add_header X-Reason $tollgate_reason always;

    tollgate              on;
    tollgate_default_tier free;
    tollgate_audit_log    audit.log;
    tollgate_auth         jwt;
    tollgate_jwt_key_file secret;

    server {
        listen       127.0.0.1:8080 ssl;
        listen       127.0.0.1:8082;
        server_name  localhost;

        # whoever has signed it: the thumbprint is in the token
        ssl_verify_client optional_no_ca;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /asked {
            tollgate_auth introspection;
            tollgate_introspection_request /provider;
            proxy_pass http://127.0.0.1:8081;
        }

        location = /provider {
            internal;
            tollgate off;
            proxy_pass http://127.0.0.1:8081;
        }

        location /proxied {
            tollgate_xfcc_from 127.0.0.1;
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8083 ssl;
        server_name  localhost;

        ssl_verify_client      optional;
        ssl_client_certificate ca.pem;

        location / {
            tollgate_auth        jwt client_cert;
            tollgate_client_cert san_uri;
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        tollgate     off;

        location / {
            return 200 "$http_x_client_id";
        }

        location = /provider {
            default_type application/json;
            return 200 %%ANSWER%%;
        }
    }
}

EOF

certs_in($t->testdir());
new_ca('ca');
new_ca('self');
new_cert('ca', 'server', san => 'DNS:localhost');
new_cert('ca', 'mine', san => 'URI:spiffe://example.org/mine');
new_cert('ca', 'theirs', san => 'URI:spiffe://example.org/theirs');

my $secret = 'a secret of thirty-two bytes or so';
$t->write_file('secret', $secret);
$t->write_file('keys.json', json({ version => 1, keys => [
	{ id => 'mine', cert => 'spiffe://example.org/mine', client => 'mine' },
	{ id => 'theirs', cert => 'spiffe://example.org/theirs', client => 'theirs' } ] }));
my $answer = json({ active => \1, sub => 'opaque', cnf => { 'x5t#S256' => thumbprint('mine') } });
my $conf = $t->read_file('nginx.conf');
$conf =~ s/%%ANSWER%%/'$answer'/;
$t->write_file('nginx.conf', $conf);
$t->run();

sub token {
	my (%claims) = @_;
	return hs256($secret, { sub => 'acme', exp => time() + 3600, %claims });
}

sub bound_to {
	my ($name) = @_;
	return token(cnf => { 'x5t#S256' => thumbprint($name) });
}

sub told {
	my ($response) = @_;
	my $status = status($response) // 'none';
	return join ' ', $status, map { header($response, $_) // '-' } $status eq '200' ? qw/ X-Client X-Auth / : 'X-Reason';
}

sub with {
	my ($cert, $token, $uri, $number, @more) = @_;
	return told(with_cert($cert, 'https://localhost:' . port($number // 8080) . ($uri // '/'),
		'-H', "Authorization: Bearer $token", @more));
}

my $good = '200 acme jwt';
my $bad = '401 invalid_token';

###############################################################################

is(with(undef, token()), $good, 'a token that is bound to nothing');
is(with('mine', token()), $good, 'with a certificate');
my $mine = bound_to('mine');
for my $name ('new', 'remembered') {
	is(with('mine', $mine), $good, "with its certificate, $name");
	is(with('theirs', $mine), $bad, "with another one, $name");
	is(with(undef, $mine), $bad, "without, $name");
	is(told(curl('-i', '-H', "Authorization: Bearer $mine", 'http://localhost:' . port(8082) . '/')), $bad,
		"without TLS, $name");
}
is(with('self', bound_to('self')), $good, 'one that the client has signed itself');
is(with('mine', bound_to('self')), $bad, 'and another one');

# with the example of the RFC, whose certificate nobody here has
my $rfc = token(cnf => { 'x5t#S256' => 'bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2' });
is(with($_, $rfc), $bad, 'the example of RFC 8705') for 'mine', undef;

for my $cnf ({}, { jkt => thumbprint('mine') }, { 'x5t#S256' => thumbprint('mine'), jkt => 'x' },
	{ 'x5t#S256' => thumbprint('mine') . '=' }, { 'x5t#S256' => [] }, 'x', undef)
{
	is(with('mine', token(cnf => $cnf)), $bad, 'cnf: ' . Tollgate::json([$cnf]));
}

# the same of tokens that somebody else tells of

is(with('mine', 'opaque-token', '/asked'), '200 opaque introspection', 'introspection: with its certificate');
is(with('theirs', 'opaque-token', '/asked'), $bad, 'introspection: with another one');
is(with(undef, 'opaque-token', '/asked'), $bad, 'introspection: without');

# where certificates are credentials as well

is(with('mine', $mine, '/', 8083), $good, 'beside client_cert: the token counts, as it is bound');
is(with('theirs', $mine, '/', 8083), $bad, 'beside client_cert: not with another one');
is(with('theirs', token(), '/', 8083), '400 conflicting_credentials', 'beside client_cert: a token of another client');
is(with('theirs', token(sub => 'theirs'), '/', 8083), '200 theirs jwt', 'beside client_cert: of the same client');

# from a proxy

my $hash = der_sha256('mine');
is(with(undef, $mine, '/proxied', 8080, '-H', "X-Forwarded-Client-Cert: Hash=$hash"), $good, 'a proxy tells of it');
is(with('mine', $mine, '/proxied'), $bad, "a proxy's own certificate is not the client's");
is(with(undef, $mine, '/', 8080, '-H', "X-Forwarded-Client-Cert: Hash=$hash"), $bad, 'who is no proxy tells nothing');

# it ends with its certificate

my ($ends, $first, $short, $request) = with_short_cert($good, {}, sub {
	my $connection = tls_connection('short', 8080);
	my $asked = request('/', 'Authorization: Bearer ' . bound_to('short'));
	return (told($connection->ask($asked)), $connection, $asked);
});
is($first, $good, 'a certificate that ends soon');
my $last;
poll { ($last = told($short->ask($request))) ne $good };
is($last, '401 expired_credential', 'a token ends with its certificate');
cmp_ok(time(), '>=', $ends, 'and not before its time');
$short->close();

my @lines = audit_lines($t, 'audit.log', 30);
my %details = map { $_ => 1 } grep { defined } map { $_->{detail} } @lines;
is_deeply([ grep { !$details{$_} } 'token_without_cert', 'token_of_other_cert', 'unknown_binding', 'bad_claim cnf' ], [],
	'audit: what was wrong');

###############################################################################
