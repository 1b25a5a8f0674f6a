#!/usr/bin/perl

# What strangers keep in flight, and more rules than the zone has a part for: neither is a reason to
# refuse a client.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use IO::Socket::INET;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get keys_file status/;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy realip/)->plan(6);

# Each has a name and a key of its own.
my @rules = map { "r$_" } 1 .. 40;
my $rules = join "\n", map {
	"    tollgate_limit $_ key=of-$_ requests=1000r/s auth_failures=1000r/s;"
} @rules;

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;

events {
    worker_connections 4096;
}

http {
    %%TEST_GLOBALS_HTTP%%

    set_real_ip_from 127.0.0.1;
    real_ip_header   X-Real-IP;

    tollgate_zone zone=tollgate:64k;
    tollgate_endpoints  +*:/*;
    tollgate_tier open { concurrency 4; }

%%RULES%%
    tollgate_limit anonymous key=$binary_remote_addr concurrency=100;

    tollgate_audit_log %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /rules {
            tollgate_apply %%NAMES%%;
            proxy_pass http://127.0.0.1:8081;
        }

        location /anonymous {
            tollgate_auth none;
            tollgate_apply anonymous;
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        return       200 ENGINE;
    }
}

EOC
$conf =~ s/%%RULES%%/$rules/;
$conf =~ s/%%NAMES%%/@rules/;
$t->write_file_expand('nginx.conf', $conf);

$t->write_file('keys.json', keys_file(
	map { { key => "key-$_", client => "client-$_", tier => 'open' } } 1 .. 12
));
$t->run();

###############################################################################

# more rules than the part of the zone for them has room for

is(statuses('/rules'), '200' . ' 200' x 11, 'each of many rules counts a client');
is(status(get('/rules', 'X-API-Key: wrong')), 401, 'and a wrong key');

# Requests that are let in, and whose bodies never come. One that is refused is answered.
my (@held, $full);
for my $n (0 .. 1999) {
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . port(8080)) or die "$!\n";
	my $address = '203.0.113.' . int($n / 50);
	$socket->print("POST /anonymous HTTP/1.1\r\nHost: localhost\r\nX-Real-IP: $address\r\n"
		. "Content-Length: 5\r\n\r\n");
	push @held, $socket;
	next if $n % 50;
	$full = is_refused('198.51.100.' . int($n / 50));
	last if $full;
}
ok($full, 'strangers have no more requests in flight than there is room for');
is(statuses('/'), '200' . ' 200' x 11, 'and clients have theirs');
like($t->read_file('error.log'), qr/has no room for a further request in flight/, 'the log says so');

close $_ for @held;
ok(poll { !is_refused('198.51.100.200') }, 'strangers pass again');

###############################################################################

sub is_refused {
	my ($address) = @_;
	return status(get('/anonymous', "X-Real-IP: $address")) == 503;
}

sub statuses {
	my ($uri) = @_;
	return join ' ', map { status(get($uri, "X-API-Key: key-$_")) } 1 .. 12;
}

###############################################################################
