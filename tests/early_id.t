#!/usr/bin/perl

# What nginx and its own modules say of a request in the error log, before Tollgate is asked, has the id that
# the client and the audit log are told.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::Metered;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http http_v2 proxy rewrite limit_req access auth_basic auth_request/)
	->has_daemon('curl')->plan(20);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone       zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier       free { requests 1000r/s; }
    tollgate_api_keys   keys.json;
    tollgate_audit_log  %%TESTDIR%%/audit.log;

    limit_req_zone  $uri zone=one:1m rate=1r/m;
    error_log       %%TESTDIR%%/info.log info;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate on;

        location /limited/ {
            limit_req  zone=one;
            alias      %%TESTDIR%%/;
        }

        location /denied/ {
            deny   all;
            alias  %%TESTDIR%%/;
        }

        location /basic/ {
            auth_basic            realm;
            auth_basic_user_file  %%TESTDIR%%/users;
            alias                 %%TESTDIR%%/;
        }

        location /asked/ {
            auth_request  /ask;
            alias         %%TESTDIR%%/;
        }

        location = /ask {
            internal;
            tollgate    off;
            proxy_pass  http://127.0.0.1:8081;
        }

        location /large/ {
            client_max_body_size  4;
            alias                 %%TESTDIR%%/;
        }

        location /loop/ {
            rewrite  ^ /loop/x;
        }

        location /other/ {
            tollgate_api_key_header  X-My-Key;
            deny   all;
            alias  %%TESTDIR%%/;
        }

        # Said before we are asked, and let in.
        location /noted/ {
            rewrite_log  on;
            set          $noted 1;
            rewrite      ^/noted/(.*) /noted/file.html break;
            root         %%TESTDIR%%;
        }

        location /off/ {
            tollgate off;
            deny     all;
        }
    }
}

EOC

mkdir $t->testdir() . '/noted';
$t->write_file('noted/file.html', 'FILE');
$t->write_file('file.html', 'FILE');
$t->write_file('users', 'a:b');
my $key = 'a-key-of-some-length';
$t->write_file('keys.json', keys_file({ key => $key, client => 'c', tier => 'free' }));
$t->run();

###############################################################################

my @cases = (
	['/limited/file.html', 503, qr/limiting requests/],
	['/denied/file.html', 403, qr/access forbidden by rule/],
	['/basic/file.html', 401, qr/password mismatch/, 'Authorization: Basic YTpj'],
	['/asked/file.html', 500, qr/auth request unexpected status/],
	['/large/file.html', 413, qr/too large body/],
	['/loop/file.html', 500, qr/redirection cycle/],
	['/noted/a', 200, qr/rewritten data/],
);
is(status(get('/limited/file.html')), 200, 'the first one');
for my $case (@cases) {
	my ($uri, $status, $said, @lines) = @$case;
	for my $given (undef, new_id()) {
		my $id = defined $given ? "X-Request-ID: $given" : undef;
		my @all = ("X-API-Key: $key", 'Connection: close', $id // (), @lines);
		my $r = ask($uri =~ /large/ ? post($uri, 'too large', @all) : request($uri, @all));
		my $told = header($r, 'x-request-id') // 'none';
		my ($line) = audited($t, $told);
		is(join(' ', status($r), $line->{path}, $line->{status}, said($t, $told, $said), $told eq ($given // $told)),
			"$status $uri $status 1 1", $uri . (defined $given ? ', an id of its client' : ''));
	}
}

# HTTP/2

for my $case (['/denied/file.html', qr/access forbidden/], ['/limited/file.html', qr/limiting requests/]) {
	my ($uri, $said) = @$case;
	my $r = curl('--http2-prior-knowledge', '-i', '-H', "X-API-Key: $key", 'http://127.0.0.1:' . port(8082) . $uri);
	is(said($t, header($r, 'x-request-id'), $said), 1, "$uri, HTTP/2");
}

# A key that somebody takes for an id.

my $secret = 'another-key-of-some-length';
my $r = ask(request('/other/file.html', "X-My-Key: $secret", "X-Request-ID: $secret", 'Connection: close'));
is(said($t, header($r, 'x-request-id'), qr/access forbidden/), 1, 'a key for an id');
unlike($t->read_file('info.log'), qr/\Q$secret\E/, 'a key for an id: not logged');

# Where Tollgate has no say, there is no id.

ask(request('/off/file.html', 'Connection: close'));
unlike((grep { m!GET /off/! } split /\n/, $t->read_file('info.log'))[0], qr/request_id/, 'off');

###############################################################################

sub get {
	my ($uri) = @_;
	return ask(request($uri, "X-API-Key: $key", 'Connection: close'));
}

# Whether this was said of the request with this id.
sub said {
	my ($t, $id, $said) = @_;
	return scalar(() = grep { /$said/ && /, request_id: \Q$id\E, / } split /\n/, $t->read_file('info.log')) ? 1 : 0;
}

###############################################################################
