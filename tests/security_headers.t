#!/usr/bin/perl

# tollgate_security_headers: what browsers are told not to do with answers. What the backend says already
# stays, nothing is said twice, and HSTS over TLS alone.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get headers keys_file status /;
use Tollgate::Client;
use Tollgate::Conf;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_ssl http_v2/)->has_daemon('curl')->has_daemon('openssl');
$t->plan(45);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone              zone=tollgate:1m;
    tollgate_tier              free { }
    tollgate_api_keys          keys.json;
    tollgate_endpoints         +*:/*;
    tollgate_security_headers  on;

    server {
        root         %%TESTDIR%%/html;
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 ssl %%HTTP2%%;
        server_name  localhost;
        %%HTTP2_ON%%

        ssl_certificate     cert.pem;
        ssl_certificate_key key.pem;

        tollgate on;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /off/ {
            tollgate_security_headers off;
            proxy_pass http://127.0.0.1:8081;
        }

        location /open/ {
            tollgate off;
            proxy_pass http://127.0.0.1:8081;
        }

        location /gone/ {
            proxy_pass http://127.0.0.1:8083;
        }

        location /paged/ {
            error_page 401 /page.html;
            proxy_pass http://127.0.0.1:8081;
        }

        location /page.html {
        }

        location /tried/ {
            try_files /no/such/file @backend;
        }

        location @backend {
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 "good";
        }

        location /own {
            add_header x-content-type-options nosniff;
            add_header Content-Security-Policy "default-src 'self'";
            add_header Strict-Transport-Security "max-age=1";
            return 200 "good";
        }

        location /bad {
            return 404 "bad";
        }
    }
}

EOF

my $is_new = $t->has_version('1.25.1');
$conf =~ s/%%HTTP2%%/$is_new ? '' : 'http2'/e;
$conf =~ s/%%HTTP2_ON%%/$is_new ? 'http2 on;' : ''/e;
my $dir = $t->testdir();
system('openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost '
	. "-keyout $dir/key.pem -out $dir/cert.pem >>$dir/openssl.out 2>&1") == 0
	or die "Can't make a certificate\n";
$t->write_file('keys.json', keys_file({ key => 'tg_good', client => 'acme', tier => 'free' }));
mkdir "$dir/html";
$t->write_file('html/page.html', 'page');
$t->write_file_expand('nginx.conf', $conf);
$t->run();

###############################################################################

my @key = ('X-API-Key: tg_good');
my $frames = "frame-ancestors 'none'";
my $nothing = "default-src 'none'; $frames";

for my $case (
	['an answer', 200, $frames, '/v1/models', @key],
	['a refusal', 401, $nothing, '/v1/models'],
	['an error of nginx', 502, $nothing, '/gone/', @key],
	['an error of the backend', 404, $nothing, '/bad', @key],
	['an answer of another location', 200, $frames, '/tried/', @key],
	['a page of the operator\'s', 401, $frames, '/paged/'],
) {
	my ($name, $status, $csp, $uri, @lines) = @$case;
	my $r = get($uri, @lines);
	is(status($r), $status, "$name: $status");
	is(said($r), "nosniff; no-referrer; $csp; ", $name);
}

my $r = get('/own', @key);
is(join('|', headers($r, 'X-Content-Type-Options')), 'nosniff', 'there already: once');
is(join('|', headers($r, 'Content-Security-Policy')), "default-src 'self'", 'there already: as the backend has it');
is(join('|', headers($r, 'Referrer-Policy')), 'no-referrer', 'there already: not this one');
is(join('|', headers($r, 'Strict-Transport-Security')), 'max-age=1', 'the backend\'s business');

is(said(get('/off/', @key)), '; ; ; ', 'off');
is(said(get('/off/')), '; ; ; ', 'off: a refusal');
is(said(get('/open/')), '; ; ; ', 'not protected');

# TLS

my $base = 'https://127.0.0.1:' . port(8082);
for my $version ('--http1.1', '--http2') {
	$r = curl('-k', $version, '-i', '-H', $key[0], "$base/v1/models");
	like($r, qr/^strict-transport-security: max-age=31536000\r$/mi, "$version: HSTS");
	like($r, qr/^content-security-policy: \Q$frames\E\r$/mi, "$version: CSP");
	$r = curl('-k', $version, '-i', "$base/v1/models");
	like($r, qr/^strict-transport-security: max-age=31536000\r$/mi, "$version: HSTS of a refusal");
	like($r, qr/^content-security-policy: \Q$nothing\E\r$/mi, "$version: CSP of a refusal");
	$r = curl('-k', $version, '-i', '-H', $key[0], "$base/own");
	is(scalar(() = $r =~ /^strict-transport-security: max-age=1\r$/mgi), 1, "$version: HSTS of the backend's");
	is(scalar(() = $r =~ /^strict-transport-security/mgi), 1, "$version: and no other");
}

###############################################################################

# what nginx -t says

my $on = $usual{location};
check_refused($t, ['neither on nor off', ['it must be "on" or "off"'],
	location => "$on\ntollgate_security_headers yes; # !"]);
check_refused($t, ['twice', ['duplicate'],
	location => "$on\ntollgate_security_headers on;\ntollgate_security_headers off; # !"]);
for my $name ('X-Content-Type-Options nosniff', 'strict-transport-security max-age=1', 'Referrer-Policy no-referrer',
	'Content-Security-Policy x')
{
	my ($header) = split / /, $name;
	check_warned($t, [$header, ["\"add_header $header\" comes beside", 'leave out one of them'],
		location => "$on\ntollgate_security_headers on;\nadd_header $name; # !"]);
	check_accepted($t, ["$header without it", location => "$on\nadd_header $name;"]);
}

###############################################################################

sub said {
	my ($r) = @_;
	return join '; ', map { join '|', headers($r, $_) }
		qw/X-Content-Type-Options Referrer-Policy Content-Security-Policy Strict-Transport-Security/;
}

###############################################################################
