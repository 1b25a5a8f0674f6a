#!/usr/bin/perl

# The memory of tollgate_owned_objects is bounded. A client that makes more than there is room for loses its own
# oldest, and nobody else loses anything.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/keys_file status/;
use Tollgate::Client;
use Tollgate::Metered;
use Tollgate::Metrics;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(12)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone           zone=tollgate:1m;
    # The smallest: 32 bytes an object, 127 sets of 16.
    tollgate_owned_objects  zone=objects:64k;

    tollgate_tier          plain  { }
    tollgate_default_tier  plain;
    tollgate_api_keys      keys.json;

    keepalive_requests  100000;
    # However slow the machine is.
    keepalive_timeout   1h;
    client_header_timeout 1h;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate  on;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location = /metrics {
            tollgate  off;
            allow     127.0.0.1;
            deny      all;
            tollgate_metrics;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 '{"id":"$http_x_makes","object":"file"}';
        }
    }
}

EOC

use constant ROOM => 127 * 16;

$t->write_file('keys.json', keys_file(map { { key => "key-$_", client => $_ } } qw/modest greedy late/));
$t->run();

###############################################################################

my %connection = map { $_ => connection() } qw/modest greedy late/;

makes('greedy', 'g', 1 .. 100);
is(reached('greedy', 'g', 1 .. 100), 100, 'there is room');
makes('modest', 'm', 1 .. 20);
makes('greedy', 'g', 101 .. 2 * ROOM);
is(reached('modest', 'm', 1 .. 20), 20, 'who has little keeps it');
is(reached('greedy', 'g', 2 * ROOM - 99 .. 2 * ROOM), 100, 'who has much keeps the latest');
is(reached('greedy', 'g', 1 .. 100), 0, 'and loses the oldest');
my $kept = reached('greedy', 'g', 1 .. 2 * ROOM);
cmp_ok($kept, '<=', ROOM - 20, 'all that is kept has room');
cmp_ok($kept, '>', 0.97 * (ROOM - 20), 'and all the room is used');

my $m = metrics();
my %slots = map { $_ => sum($m, 'tollgate_zone_slots', part => 'objects', state => $_) } qw/used free/;
is($slots{used}, $kept + 20, 'metrics: so many objects');
is($slots{used} + $slots{free}, ROOM, 'metrics: and so much room');

# Full, it has room for whoever has less.
makes('late', 'l', 1 .. 50);
is(reached('late', 'l', 1 .. 50), 50, 'who comes late has room');
is(reached('modest', 'm', 1 .. 20), 20, 'not that of who has little');
unlike($t->read_file('error.log'), qr/has no room/, 'nothing to complain of');
is(reached('modest', 'g', 2 * ROOM - 9 .. 2 * ROOM), 0, 'and no client reaches what is another one\'s');

###############################################################################

sub makes {
	my ($client, $prefix, @numbers) = @_;
	for my $number (@numbers) {
		my $r = $connection{$client}->ask(request('POST /v1/files', "X-API-Key: key-$client",
			"X-Makes: $prefix$number", 'Content-Length: 0'));
		status($r) == 200 or die "A file is not made\n";
	}
}

sub reached {
	my ($client, $prefix, @numbers) = @_;
	return scalar grep {
		my $r = $connection{$client}->ask(request("GET /v1/files/$prefix$_", "X-API-Key: key-$client"));
		status($r) == 200;
	} @numbers;
}

###############################################################################
