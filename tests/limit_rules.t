#!/usr/bin/perl

# tollgate_limit and tollgate_apply: limits on whatever nginx can express, and the one that counts
# wrong credentials. nginx's realip module lets a request come from any address.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header hs256 keys_file status/;
use Tollgate::Client;

use IO::Socket::UNIX;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy realip unix/)->plan(90)
	->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    set_real_ip_from 127.0.0.1;
    set_real_ip_from unix:;
    real_ip_header   X-Real-IP;

    tollgate_zone zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier open { }
    tollgate_tier ten { requests 10r/h; }

    tollgate_limit address  key=$binary_remote_addr requests=3r/h;
    tollgate_limit text     key=$remote_addr requests=3r/h;
    tollgate_limit path     key=$binary_remote_addr$uri requests=2r/h;
    tollgate_limit global   key=all requests=4r/h;
    tollgate_limit tenant   key=$http_x_tenant requests=2r/h;
    tollgate_limit client   key=$tollgate_client requests=2r/h;
    tollgate_limit tier     key=$tollgate_tier requests=2r/h;
    tollgate_limit twice    key=two requests=5r/h burst=4 requests=3r/d;
    tollgate_limit failures key=$binary_remote_addr auth_failures=3r/h;
    tollgate_limit guesses  key=$http_x_tenant auth_failures=1r/h;
    tollgate_limit both     key=$binary_remote_addr requests=2r/h auth_failures=1r/h burst=2;

    tollgate_audit_log %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        listen       unix:%%TESTDIR%%/unix.sock;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;

        location /address {
            tollgate_apply address;
            proxy_pass http://127.0.0.1:8081;

            location /address/inherited {
                proxy_pass http://127.0.0.1:8081;
            }

            location /address/off {
                tollgate_apply off;
                proxy_pass http://127.0.0.1:8081;
            }

            location /address/replaced {
                tollgate_apply global;
                proxy_pass http://127.0.0.1:8081;
            }
        }

        location /text {
            tollgate_apply text;
            proxy_pass http://127.0.0.1:8081;
        }

        location /path {
            tollgate_apply path;
            proxy_pass http://127.0.0.1:8081;
        }

        location /global {
            tollgate_apply global;
            proxy_pass http://127.0.0.1:8081;
        }

        location /tenant {
            tollgate_apply tenant;
            proxy_pass http://127.0.0.1:8081;
        }

        location /client {
            tollgate_apply client;
            proxy_pass http://127.0.0.1:8081;
        }

        location /tier {
            tollgate_apply tier;
            proxy_pass http://127.0.0.1:8081;
        }

        location /twice {
            tollgate_apply twice;
            proxy_pass http://127.0.0.1:8081;
        }

        location /anonymous {
            tollgate_auth none;
            tollgate_apply address client;
            proxy_pass http://127.0.0.1:8081;
        }

        location /failures {
            tollgate_auth api_key jwt;
            tollgate_jwt_key_file secret;
            tollgate_apply failures;
            proxy_pass http://127.0.0.1:8081;

            location /failures/uncounted {
                tollgate_apply off;
                proxy_pass http://127.0.0.1:8081;
            }
        }

        location /guesses {
            tollgate_apply guesses;
            proxy_pass http://127.0.0.1:8081;
        }

        location /both {
            tollgate_apply both;
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        return       200 ENGINE;
    }
}

EOF

my $secret = '0123456789abcdef0123456789abcdef';

$t->write_file('secret', $secret);
$t->write_file('keys.json', keys_file(
	{ key => 'key-one', client => 'one', tier => 'open' },
	{ key => 'key-other', client => 'other', tier => 'open' },
	{ key => 'key-ten', client => 'ten', tier => 'ten' },
	{ key => 'key-expired', client => 'late', tier => 'open', expires => '2020-01-01T00:00:00Z' },
	{ key => 'key-revoked', client => 'gone', tier => 'open', disabled => JSON::PP::true },
	{ key => 'key-early', client => 'soon', tier => 'open',
		not_before => '2100-01-01T00:00:00Z' },
	{ key => 'key-elsewhere', client => 'far', tier => 'open', cidrs => ['203.0.113.0/24'] },
	{ key => 'key-tierless', client => 'lost' },
));
$t->run();

my $unix = $t->testdir() . '/unix.sock';

###############################################################################

# by address

is(passed('/address', from('192.0.2.1')), 3, 'an address');
is(passed('/address', from('192.0.2.2')), 3, 'another address');
is(passed('/address/inherited', from('192.0.2.1')), 0, 'a nested location inherits the limit');
is(passed('/address/off', from('192.0.2.1')), 10, 'apply off');
is(passed('/address/replaced', from('192.0.2.1')), 4, 'a limit of its own replaces it');
is(passed('/address', from('192.0.2.1'), 'X-API-Key: key-other'), 0, 'whatever the client');

my $r = get('/address', from('192.0.2.1'), key());
is(status($r), 429, 'refused with 429');
cmp_ok(header($r, 'retry-after-ms'), '>', 1000_000, 'for as long as it takes');
is(header($r, 'x-ratelimit-limit-requests'), 3, 'a client without limits is told of the rule');

get('/address', from('192.0.2.9'), 'X-API-Key: key-ten');
$r = get('/address', from('192.0.2.9'), 'X-API-Key: key-ten');
is(header($r, 'x-ratelimit-limit-requests'), 10, 'a client with limits is told of its own');
is(header($r, 'x-ratelimit-remaining-requests'), 8, 'and how they stand');

for my $name (qw/address text/) {
	is(passed("/$name", from('2001:db8:1:2::1'), 2), 2, "IPv6 by $name");
	is(passed("/$name", from('2001:db8:1:2:ffff:ffff:ffff:ffff')), 1,
		"IPv6 by $name: the same /64");
	is(passed("/$name", from('2001:db8:1:3::1')), 3, "IPv6 by $name: another /64");
	is(passed("/$name", from('198.51.100.1'), 2), 2, "IPv4 by $name");
	is(passed("/$name", from('::ffff:198.51.100.1')), 1, "IPv4 by $name, mapped into IPv6");
	is(passed("/$name", from('198.51.100.2')), 3, "IPv4 by $name: the next address");
}

is(passed_unix('/address', 2), 2, 'UNIX-domain socket');
is(passed_unix('/address', 4), 1, 'UNIX-domain socket: all of its clients are one');

# by other expressions

is(passed('/path/a', from('192.0.2.1')), 2, 'address and path');
is(passed('/path/b', from('192.0.2.1')), 2, 'address and path: another path');
is(passed('/path/a', from('192.0.2.2')), 2, 'address and path: another address');

is(passed('/global', from('192.0.2.3')), 0, 'a constant: spent by whoever it was');

is(passed('/tenant', 'X-Tenant: a'), 2, 'a header');
is(passed('/tenant', 'X-Tenant: b'), 2, 'a header: another value');
is(passed('/tenant', 'X-Tenant: A'), 2, 'a header: values differ by case');
is(passed('/tenant'), 10, 'an empty key is not counted');
is(passed('/tenant', 'X-Tenant: ' . 'x' x 2000 . '1'), 2, 'a long value');
is(passed('/tenant', 'X-Tenant: ' . 'x' x 2000 . '2'), 2, 'a long value counts to its end');

is(passed('/client'), 2, 'the client');
is(passed('/client', 'X-API-Key: key-other'), 2, 'the client: another one');
is(passed('/tier'), 2, 'the tier');
is(passed('/tier', 'X-API-Key: key-other'), 0, 'the tier: another client of it');

is(passed('/twice'), 3, 'two periods: the tighter one holds');
is(header(get('/twice', key()), 'x-ratelimit-limit-requests'), 3, 'two periods: it is shown');

# anonymous

is(passed_anonymous('/anonymous', from('192.0.2.77')), 3, 'anonymous: by address');
$r = get('/anonymous', from('192.0.2.77'));
is(status($r), 429, 'anonymous: 429');
is(header($r, 'x-ratelimit-limit-requests'), 3, 'anonymous: told of the rule');
is(status(get('/anonymous', from('192.0.2.77'), key())), 429, 'anonymous: a key changes nothing');
is(status(get('/anonymous', from('192.0.2.78'), 'X-API-Key: wrong')), 200,
	'anonymous: nor does a wrong one');

# wrong credentials

my $good = hs256($secret, { sub => 'tom', tier => 'open', exp => time() + 3600 });
my $bad = hs256('x' x 32, { sub => 'tom', tier => 'open', exp => time() + 3600 });

is(status(get('/failures', from('192.0.2.1'))), 401, 'no credential') for 1 .. 5;
is(status(get('/failures', from('192.0.2.1'), 'X-API-Key: a', 'Authorization: Bearer b')), 400,
	'two credentials') for 1 .. 5;
is(status(get('/failures', from('192.0.2.1'), 'X-API-Key: key-elsewhere')), 403,
	'a key of another network') for 1 .. 5;
is(status(get('/failures', from('192.0.2.1'), 'X-API-Key: key-tierless')), 403,
	'no tier') for 1 .. 5;
is(passed('/failures', from('192.0.2.1')), 10, 'none of these counts, nor do good ones');

is(join(' ', failures('192.0.2.1', 'X-API-Key: wrong')), '401 401 401 429 429', 'wrong keys');

$r = get('/failures', from('192.0.2.1'), 'X-API-Key: wrong');
cmp_ok(header($r, 'retry-after-ms'), '>', 1000_000, 'for as long as it takes');
cmp_ok(header($r, 'retry-after-ms'), '<=', 1200_000, 'and not longer');
is(content_json($r)->{error}{code}, 'rate_limit_exceeded', 'said as other limits are');
is(header($r, 'WWW-Authenticate'), undef, 'no call to authenticate');

is(status(get('/failures', from('192.0.2.1'), key())), 429, 'good keys must wait, too');
is(status(get('/failures', from('192.0.2.1'), "Authorization: Bearer $good")), 429,
	'and good tokens');
is(status(get('/failures', from('192.0.2.1'))), 429, 'and whoever shows none');
is(status(get('/failures/uncounted', from('192.0.2.1'), key())), 200,
	'a location without the limit');
is(status(get('/failures', from('192.0.2.2'), "Authorization: Bearer $good")), 200,
	'another address');

is(join(' ', failures('192.0.2.10', "Authorization: Bearer $bad")), '401 401 401 429 429',
	'wrong tokens');
is(join(' ', failures('192.0.2.11', 'Authorization: Bearer')), '401 401 401 429 429',
	'empty tokens');
is(join(' ', failures('192.0.2.12', 'X-API-Key: key-expired')), '401 401 401 429 429',
	'expired keys');
is(join(' ', failures('192.0.2.13', 'X-API-Key: key-revoked')), '401 401 401 429 429',
	'revoked keys');
is(join(' ', failures('192.0.2.14', 'X-API-Key: key-early')), '401 401 401 429 429',
	'keys of the future');

is(join(' ', map { status(get('/guesses', 'X-API-Key: wrong')) } 1 .. 5),
	'401 401 401 401 401', 'an empty key is not counted here either');
is(join(' ', map { status(get('/guesses', 'X-API-Key: wrong', 'X-Tenant: a')) } 1 .. 2),
	'401 429', 'another one is');

is(passed('/both', from('192.0.2.1')), 2, 'requests and failures in one rule');
is(join(' ', map { status(get('/both', from('192.0.2.1'), 'X-API-Key: wrong')) } 1 .. 3),
	'401 401 429', 'each with its own count');

# what the log says: it is complete once nginx has stopped

$t->stop();

my %limit;
for my $line (audit_lines($t, 'audit.log')) {
	my $limit = $line->{limit} // next;
	my $reason = $line->{reason} // next;
	$limit{"$reason: $limit"}++;
}
ok($limit{'requests_exceeded: address requests 3r/h'}, 'log: a rule that refused');
ok($limit{'requests_exceeded: twice requests 3r/d'}, 'log: the limit of two');
ok($limit{'auth_failures_exceeded: failures auth_failures 3r/h'}, 'log: failures');
ok($limit{'auth_failures_exceeded: both auth_failures 1r/h burst=2'}, 'log: a burst');

###############################################################################

sub from {
	my ($address) = @_;
	return "X-Real-IP: $address";
}

sub key {
	return 'X-API-Key: key-one';
}

# How many of ten requests pass (or of fewer, if the last argument is a number). They are of the
# first client unless a header line says otherwise.
sub passed {
	my ($uri, @lines) = @_;
	push @lines, key() unless grep { /^X-API-Key/ } @lines;
	return passed_anonymous($uri, @lines);
}

sub passed_anonymous {
	my ($uri, @lines) = @_;
	my $count = 10;
	@lines = grep { /^\d+$/ ? ($count = $_, 0)[1] : 1 } @lines;
	return scalar grep { status(get($uri, @lines)) == 200 } 1 .. $count;
}

sub passed_unix {
	my ($uri, $count) = @_;
	return scalar grep {
		my $socket = IO::Socket::UNIX->new(Peer => $unix) or die "Can't connect: $!\n";
		status(http("GET $uri HTTP/1.0\nHost: localhost\n" . key() . "\n\n", socket => $socket))
			== 200;
	} 1 .. $count;
}

sub failures {
	my ($address, $line) = @_;
	return map { status(get('/failures', from($address), $line)) } 1 .. 5;
}

###############################################################################
