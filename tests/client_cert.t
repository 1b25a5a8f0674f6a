#!/usr/bin/perl

# Client certificates: whom nginx has verified, which name in them counts, whose they are, and for how long.

use warnings;
use strict;

use Test::More;

use Digest::SHA qw/ sha256_hex /;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ header json status /;
use Tollgate::Client qw/ audit_lines curl poll reload_and_wait request /;
use Tollgate::Certs;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_ssl http_v2/)
	->has_daemon('curl')->has_daemon('openssl');

$t->plan(72)->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier      free { }
    tollgate_tier      pro { }
    tollgate_api_keys  keys.json;

    ssl_certificate        server.pem;
    ssl_certificate_key    server.key;
    ssl_protocols          TLSv1.2 TLSv1.3;
    underscores_in_headers on;

    add_header X-Client $tollgate_client always;
    add_header X-Auth   $tollgate_auth always;
    add_header X-Key    $tollgate_key_id always;
    add_header X-Tier   $tollgate_tier always;
    add_header X-Reason $tollgate_reason always;
    add_header X-Reused $ssl_session_reused always;

    tollgate             on;
    tollgate_auth        client_cert;
    tollgate_client_cert san_uri trust_domain=example.org;
    tollgate_audit_log   audit.log;

    server {
        listen       127.0.0.1:8080 ssl http2;
        server_name  localhost;

        ssl_verify_client      optional;
        ssl_client_certificate ca.pem;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /pattern {
            tollgate_client_cert san_uri spiffe://example.org/ns/*/sa/web;
            proxy_pass http://127.0.0.1:8081;
        }

        location /dns {
            tollgate_client_cert san_dns *.example.org;
            proxy_pass http://127.0.0.1:8081;
        }

        location /cn {
            tollgate_client_cert cn;
            proxy_pass http://127.0.0.1:8081;
        }

        location /fingerprint {
            tollgate_client_cert fingerprint;
            proxy_pass http://127.0.0.1:8081;
        }

        location /unlisted {
            tollgate_client_cert  san_uri unlisted=default_tier client_prefix=cert/;
            tollgate_default_tier free;
            proxy_pass http://127.0.0.1:8081;
        }

        location /both {
            tollgate_auth api_key client_cert;
            proxy_pass http://127.0.0.1:8081;
        }

        location /both/unlisted {
            tollgate_auth         api_key client_cert;
            tollgate_client_cert  san_uri unlisted=default_tier;
            tollgate_default_tier free;
            proxy_pass http://127.0.0.1:8081;
        }

        location /lead {
            tollgate off;
            rewrite ^ /behind last;
        }

        location = /led {
            tollgate_client_cert cn;
            error_page 404 = /behind;
            proxy_intercept_errors on;
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8080 ssl http2;
        server_name  other;

        ssl_verify_client      optional;
        ssl_client_certificate other.pem;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8080 ssl http2;
        server_name  lax;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8082 ssl;
        server_name  localhost;

        ssl_verify_client      optional_no_ca;
        ssl_client_certificate ca.pem;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8083;
        server_name  localhost;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8084 ssl;
        server_name  localhost;

        ssl_verify_client      on;
        ssl_client_certificate ca.pem;
        error_page             495 496 = @open;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location @open {
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        tollgate     off;

        location / {
            return 200 "$http_x_client_id $http_x_client_tier [$http_x_forwarded_client_cert]";
        }

        location = /led {
            return 404;
        }
    }
}

EOF

certs_in($t->testdir());
new_ca($_) for qw/ ca other /;
new_cert('ca', 'server', san => 'DNS:localhost,DNS:other,DNS:lax');

my $spiffe = 'spiffe://example.org/ns/prod/sa';
new_cert('ca', 'web', san => "URI:$spiffe/web,DNS:WEB.example.org,DNS:web.example.net", subject => '/CN=Web');
new_cert('ca', $_, san => "URI:$spiffe/$_") for qw/ batch gone late stranger /;
new_cert('ca', 'foreign', san => 'URI:spiffe://evil/ns/prod/sa/web');
new_cert('ca', 'two', san => "URI:$spiffe/web,URI:$spiffe/batch");
new_cert('ca', 'none', subject => '/CN=a/CN=b');
new_cert('ca', 'signer', san => "URI:$spiffe/web", ca => 1);
new_cert('ca', 'hosts', san => 'DNS:a.example.org,DNS:b.example.org');
new_cert('other', 'impostor', san => "URI:$spiffe/web", subject => '/CN=Web');

my $web = { id => 'web', cert => "$spiffe/web", client => 'acme', tier => 'pro' };
my @others = (
	{ id => 'batch', cert => "$spiffe/batch", client => 'batch', tier => 'free' },
	{ id => 'gone', cert => "$spiffe/gone", client => 'gone', tier => 'free', disabled => \1 },
	{ id => 'late', cert => "$spiffe/late", client => 'late', tier => 'free', expires => '2026-01-01T00:00:00Z' },
	{ id => 'short', cert => "$spiffe/short", client => 'short', tier => 'free' },
	{ id => 'foreign', cert => 'spiffe://evil/ns/prod/sa/web', client => 'evil', tier => 'free' },
	{ id => 'dns', cert => 'dns:web.example.org', client => 'host', tier => 'free' },
	{ id => 'cn', cert => 'cn:Web', client => 'name', tier => 'free' },
	{ id => 'fp', cert => 'sha256:' . der_sha256('batch'), client => 'finger', tier => 'free' },
	{ id => 'key', hash => 'sha256:' . sha256_hex('key-acme'), client => 'acme', tier => 'free' },
	{ id => 'other', hash => 'sha256:' . sha256_hex('key-other'), client => 'other', tier => 'free' },
);
put_keys();

$t->run();

sub put_keys {
	put_file('keys.json', json({ version => 1, keys => [ $web, @others ] }));
}

# "200 acme client_cert web pro", or "401 reason"
sub told {
	my ($response) = @_;
	my $status = status($response) // 'none';
	return join ' ', $status, map { header($response, $_) // '-' }
		$status eq '200' ? qw/ X-Client X-Auth X-Key X-Tier / : 'X-Reason';
}

sub at {
	my ($cert, $uri, @more) = @_;
	return told(with_cert($cert, 'https://localhost:' . port(8080) . $uri, @more));
}

my $acme = '200 acme client_cert web pro';

###############################################################################

# who it is

# The one that ends soon is first, while it is good.
my ($short_ends, $first, $short) = with_short_cert('200 short client_cert short free', { san => "URI:$spiffe/short" }, sub {
	my $connection = tls_connection('short', 8080, '-servername', 'localhost');
	return (told($connection->ask(request('/'))), $connection);
});
is($first, '200 short client_cert short free', 'a certificate that ends soon');

is(at('web', '/'), $acme, 'a workload');
is(at('batch', '/'), '200 batch client_cert batch free', 'another one');
is(http_content(with_cert('web', 'https://localhost:' . port(8080) . '/')), 'acme pro []', 'the backend is told');
is(at(undef, '/'), '401 missing_credential', 'no certificate');
is(at('stranger', '/'), '401 invalid_credential', 'one that nobody knows');
is(at('gone', '/'), '401 revoked_credential', 'one whose entry is disabled');
is(at('late', '/'), '401 expired_credential', 'one whose entry has expired');
is(at('foreign', '/'), '401 invalid_credential', 'another trust domain, though there is an entry');
is(at('two', '/'), '401 invalid_credential', 'two names');
is(at('none', '/'), '401 invalid_credential', 'no name');
is(at('signer', '/'), '401 invalid_credential', 'a CA');
is(at('web', '/pattern'), $acme, 'a pattern');
is(at('batch', '/pattern'), '401 invalid_credential', 'a name that fits no pattern');
is(at('web', '/dns'), '200 host client_cert dns free', 'a host, the one that fits');
is(at('hosts', '/dns'), '401 invalid_credential', 'two hosts that fit');
is(at('web', '/cn'), '200 name client_cert cn free', 'a common name');
is(at('none', '/cn'), '401 invalid_credential', 'two common names');
is(at('batch', '/fingerprint'), '200 finger client_cert fp free', 'a fingerprint');
is(at('web', '/fingerprint'), '401 invalid_credential', 'another fingerprint');

my $refusal = with_cert('stranger', 'https://localhost:' . port(8080) . '/');
like(http_content($refusal), qr/"code":"invalid_api_key"/, 'the body of a refusal');
like(header($refusal, 'WWW-Authenticate') // '', qr/invalid_token/, 'and its challenge');

# nobody in the file

is(at('stranger', '/unlisted'), "200 cert/$spiffe/stranger client_cert - free", 'unlisted: by the name');
is(at('web', '/unlisted'), $acme, 'unlisted: those that are listed are so');
is(at('gone', '/unlisted'), '401 revoked_credential', 'unlisted: nobody who is disabled');

# a credential besides

is(at('web', '/both'), $acme, 'both: the certificate');
is(at(undef, '/both', '-H', 'X-API-Key: key-acme'), '200 acme api_key key free', 'both: the key');
is(at('web', '/both', '-H', 'X-API-Key: key-acme'), '200 acme api_key key free', 'both: of the same client');
is(at('web', '/both', '-H', 'X-API-Key: key-other'), '400 conflicting_credentials', 'both: of different clients');
is(at('stranger', '/both', '-H', 'X-API-Key: key-other'), '200 other api_key other free',
	"both: with a certificate that is nobody's");
is(at('stranger', '/both/unlisted', '-H', 'X-API-Key: key-other'), '400 conflicting_credentials',
	'both: with one that would be a client');
is(at('web', '/both', '-H', 'X-API-Key: wrong'), '401 invalid_credential', 'both: no help for a wrong key');
is(at('web', '/both', '-H', 'Authorization: Basic eDp5'), $acme, 'both: another scheme is no credential');
is(at(undef, '/both'), '401 missing_credential', 'both: neither');
is(at(undef, '/both', '-H', 'X-API-Key: cn:Web'), '401 invalid_credential', 'a name is no key');

# where redirects lead

is(at('web', '/lead'), $acme, 'after a rewrite');
is(at('stranger', '/lead'), '401 invalid_credential', 'after a rewrite, refused');
is(at('web', '/led'), $acme, 'judged by the location where it ends');
is(at('batch', '/led'), '401 invalid_credential', 'and by the first one');

###############################################################################

# which server has verified it

my $port = port(8080);
is(told(with_cert('impostor', "https://other:$port/", '--resolve', "other:$port:127.0.0.1")), $acme,
	'another server, with a CA of its own');
is(status(with_cert('web', "https://localhost:$port/", '-H', 'Host: other')), 421,
	'nginx: not the server that was named');
is(told(with_cert('web', "https://127.0.0.1:$port/", '-H', 'Host: localhost')), $acme,
	'no server was named: the default one');
is(told(with_cert('web', "https://127.0.0.1:$port/", '-H', 'Host: other')), '401 invalid_credential',
	'no server was named: not another one, which has another CA');
is(told(with_cert('web', "https://127.0.0.1:$port/", '-H', 'Host: lax')), '401 invalid_credential',
	'a server that verifies nothing, on the connection of one that does');
like(with_cert('impostor', "https://localhost:$port/unlisted"), qr/ 400 .*SSL certificate error/s,
	'nginx refuses what it can not verify');
is(told(with_cert('web', 'https://localhost:' . port(8082) . '/')), '401 invalid_credential',
	'optional_no_ca is not enough');
is(told(with_cert('impostor', 'https://localhost:' . port(8082) . '/')), '401 invalid_credential',
	'nor for anybody else');
is(told(curl('-i', 'http://localhost:' . port(8083) . '/')), '401 missing_credential', 'no TLS');
is(told(with_cert('web', 'https://localhost:' . port(8084) . '/')), $acme, 'verify on');
is(told(with_cert('impostor', 'https://localhost:' . port(8084) . '/')), '401 invalid_credential',
	'an error_page for what nginx refuses opens nothing');
is(told(with_cert(undef, 'https://localhost:' . port(8084) . '/')), '401 missing_credential',
	'nor for who has no certificate');

# HTTP/2: several requests on one connection

my @answers = split /(?=HTTP\/2 )/,
	curl('-i', '-k', '--http2', '--cert', $t->testdir() . '/web.pem', '--key', $t->testdir() . '/web.key',
	map { "https://localhost:$port$_" } '/', '/cn', '/fingerprint');
is(join(', ', map { join ' ', /^HTTP\/2 (\d+)/, /^x-client: (.*?)\r?$/mi } @answers), '200 acme, 200 name, 401',
	'HTTP/2');

# what others say of certificates

is(http_content(with_cert('web', "https://localhost:$port/", '-H', "X-Forwarded-Client-Cert: URI=$spiffe/batch")),
	'acme pro []', 'a forwarded certificate is not the client, and goes nowhere');
is(http_content(with_cert('web', "https://localhost:$port/", '-H', 'X_Forwarded_Client-Cert: a')),
	'acme pro []', 'however it is spelt');
is(at(undef, '/', '-H', "X-Forwarded-Client-Cert: URI=$spiffe/web"), '401 missing_credential',
	'a forwarded certificate is none where nobody may forward one');

###############################################################################

# sessions that go on

my $session = $t->testdir() . '/session';
for my $version (qw/ -tls1_2 -tls1_3 /) {
	my @to = ('-servername', 'localhost', $version);
	my $new = tls_connection('web', 8080, @to, '-sess_out', $session);
	$new->ask(request('/'));
	$new->close();
	my $again = tls_connection(undef, 8080, @to, '-sess_in', $session);
	my $response = $again->ask(request('/'));
	is(told($response) . ' ' . (header($response, 'X-Reused') // ''), "$acme r", "a session that goes on, $version");
	$again->close();
	unlink $session;
}

# TLS 1.3 lets a session go on under another name than that of the server which has verified its certificate, or
# under none. (Of two servers, nginx itself may let none go on, as 1.30 does: then there is a new one, without a certificate.)
sub goes_on {
	my ($cert, $from, $to, $host) = @_;
	my @of = map { [ '-tls1_3', $_ ? ('-servername', $_) : '-noservername' ] } $from, $to;
	my $get = sub { "GET / HTTP/1.1\r\nHost: $_[0]\r\n\r\n" };
	my $new = tls_connection($cert, 8080, @{ $of[0] }, '-sess_out', $session);
	$new->ask($get->($from // 'localhost'));
	$new->close();
	my $again = tls_connection(undef, 8080, @{ $of[1] }, '-sess_in', $session);
	my $response = $again->ask($get->($host));
	$again->close();
	unlink $session;
	return told($response) . ' ' . (header($response, 'X-Reused') // '');
}

my $not_here = qr/^(?:401 invalid_credential r|401 missing_credential \.|none - |421 - r)$/;
is(goes_on('web', undef, undef, 'localhost'), "$acme r", 'a session goes on without a name, as it began');
is(goes_on('impostor', 'other', 'other', 'other'), "$acme r", 'a session of another server goes on there');
like(goes_on('impostor', 'other', undef, 'localhost'), $not_here, 'and not without a name at the default one');
like(goes_on('web', undef, 'other', 'other'), $not_here, 'nor one of the default server at another');
like(goes_on('impostor', 'other', 'localhost', 'localhost'), $not_here, 'nor under another name');

# for how long

my $last;
poll { ($last = told($short->ask(request('/')))) ne $first };
is($last, '401 expired_credential', 'a certificate ends on a connection that goes on');
cmp_ok(time(), '>=', $short_ends, 'and not before its time');
$short->close();

my $running = tls_connection('web', 8080, '-servername', 'localhost');
is(told($running->ask(request('/'))), $acme, 'a connection');

sub becomes {
	my ($uri, $expected, $name) = @_;
	my $last;
	poll { ($last = told($running->ask(request($uri)))) eq $expected };
	is($last, $expected, $name);
}

$web->{disabled} = \1;
put_keys();
becomes('/', '401 revoked_credential', 'its entry is disabled');
delete $web->{disabled};
$web->{expires} = 'soon';
put_keys();
becomes('/unlisted', '401 invalid_credential', 'an entry that is wrong holds its certificate');
delete $web->{expires};
put_keys();
becomes('/', $acme, 'and mended, it is good');
$running->close();

###############################################################################

# the log

my @lines = audit_lines($t, 'audit.log', 60);
my ($good) = grep { ($_->{key_id} // '') eq 'web' && $_->{decision} eq 'allow' } @lines;
is("$good->{auth} $good->{client} $good->{tier}", 'client_cert acme pro', 'audit: who it was');
my %details = map { $_ => 1 } grep { defined } map { $_->{detail} } @lines;
is_deeply([ grep { !$details{$_} } qw/ no_certificate unknown_cert cert_unverified cert_not_asked cert_without_name
	cert_ambiguous cert_name_unusable cert_name_refused cert_expired header_and_cert / ], [], 'audit: what was wrong');
my ($revoked) = grep { ($_->{reason} // '') eq 'revoked_credential' } @lines;
is("$revoked->{client} $revoked->{key_id}", 'gone gone', 'audit: whose certificate was refused');

reload_and_wait($t);
is(at('web', '/'), $acme, 'after a reload');

###############################################################################
