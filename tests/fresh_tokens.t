#!/usr/bin/perl

# Times are compared to the millisecond, and by the kernel's clock where nginx's own lags: here that one
# stands still, by timer_resolution, from the worker's start on.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get header hs256 keys_file status /;
use Tollgate::Client;

use POSIX qw/strftime/;
use Time::HiRes qw/sleep time/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(22);

$t->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
timer_resolution 1000s;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone          zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier          free { requests 1000000r/h; }
    tollgate_default_tier  free;
    tollgate_api_keys      keys.json;
    tollgate_jwt_key_file  secret;

    add_header X-Reason  $tollgate_reason always;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_auth api_key jwt;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 204;
        }
    }
}

EOC

my $secret = 's' x 32;
my $start = int time() + 3;
my $date = sub { strftime('%Y-%m-%dT%H:%M:%S', gmtime $_[0]) . ($_[1] // '') . 'Z' };
$t->write_file('secret', $secret);
$t->write_file('keys.json', keys_file(
	{ key => 'begins', client => 'one', not_before => $date->($start) },
	{ key => 'begins-later', client => 'later', not_before => $date->($start + 3600) },
	{ key => 'begins-now', client => 'three', not_before => $date->($start + 1, '.250') },
	{ key => 'ends', client => 'two', expires => $date->($start) },
	{ key => 'ends-later', client => 'later', expires => $date->($start + 3600) },
));
$t->run();

###############################################################################

# The worker's own clock is at its start, which is before that.
my $early_key = outcome('X-API-Key: begins-now');
is(time() < $start + 1.25 ? $early_key : '401 not_yet_valid', '401 not_yet_valid', 'a key with a fraction: not yet');
poll { time() > $start + 1.25 };
is(outcome('X-API-Key: begins-now'), '204', 'a key with a fraction: as soon as its time has come');

is(outcome('X-API-Key: begins'), '204', 'a key that has begun');
is(outcome('X-API-Key: begins-later'), '401 not_yet_valid', 'a key that has not');
is(outcome('X-API-Key: ends'), '401 expired_credential', 'a key that has ended');
is(outcome('X-API-Key: ends-later'), '204', 'a key that has not ended');

for my $name (qw/iat nbf/) {
	is(bearer($name => int time()), '204', "$name: this second");
	is(bearer($name => time()), '204', "$name: this moment");
	my $soon = time() + 1.5;
	my $token = token($name => $soon);
	my $early = outcome("Authorization: Bearer $token");
	is(time() < $soon ? $early : '401 not_yet_valid', '401 not_yet_valid', "$name: not yet");
	poll { time() > $soon };
	is(outcome("Authorization: Bearer $token"), '204', "$name: as soon as its time has come");
	is(bearer($name => time() + 3600), '401 not_yet_valid', "$name: not for long");
}

# What some write for "never".
is(bearer(exp => 9223372036854775), '204', 'exp: of the last year there is');
is(bearer(exp => 9223372036854775807), '204', 'exp: of the largest number there is');
is(bearer(nbf => 9223372036854775), '401 not_yet_valid', 'nbf: of the last year there is');

my $end = time() + 0.25;
my $ending = token(exp => $end);
my $before = outcome("Authorization: Bearer $ending");
is(time() < $end ? $before : '204', '204', 'exp: not yet');
poll { time() > $end };
is(outcome("Authorization: Bearer $ending"), '401 expired_credential', 'exp: a fraction of a second');
is(bearer(exp => $start), '401 expired_credential', 'exp: after the start of the worker');

###############################################################################

sub outcome {
	my ($line) = @_;
	my $r = get('/', $line);
	return join ' ', grep { length } status($r), status($r) == 204 ? '' : header($r, 'X-Reason');
}

sub token {
	my (%claims) = @_;
	return hs256($secret, { sub => 'acme', exp => int(time()) + 3600, %claims });
}

sub bearer {
	return outcome('Authorization: Bearer ' . token(@_));
}

###############################################################################
