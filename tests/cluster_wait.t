#!/usr/bin/perl

# A request for which nothing is leased waits for the next exchange with the store: over HTTP/1 and HTTP/2, through a
# reload, until its client leaves. An exchange is as far from the next one as it may be, so that each does.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::Cluster;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy http_v2 access/)->has_daemon('redis-server')->has_daemon('curl')->plan(14);

$t->write_file('keys.json', keys_file(map { { key => "key-$_", client => $_, tier => s/-.*//r } }
	qw/two-first two-h2 two-leaves two-leaves2 two-reload two-any two-page two-late dry-a/));

my $tiers = 'tollgate_tier two { requests 2r/h; } tollgate_tier dry { requests 2r/h; }';
my $http2 = $t->has_version('1.25.1') ? 'listen 127.0.0.1:8083; http2 on;' : 'listen 127.0.0.1:8083 http2;';

start_store($t);
start_node($t, a => 8080, cluster('a', 'on_loss=deny exchange=250ms') . $tiers, <<"EOF");
        $http2
        location /any { satisfy any; deny all; proxy_pass http://unix:%%TESTDIR%%/engine.sock; }
        location /page { error_page 429 = \@busy; proxy_pass http://unix:%%TESTDIR%%/engine.sock; }
        location \@busy { return 418 BUSY; }
        location /dry { tollgate_dry_run on; proxy_pass http://unix:%%TESTDIR%%/engine.sock; }
EOF
is(knows_store(8080, 1), 1, 'the node knows the store');

is(status(answer_of('key-two-first', 8080)), 200, 'the first request of a client waits, and goes on');
like(metrics_of(8080), qr/^tollgate_cluster_waits_total [1-9]/m, 'that is counted');

my $r = curl('-i', '--http2-prior-knowledge', '-H', 'X-API-Key: key-two-h2', 'http://127.0.0.1:' . port(8083) . '/');
like($r, qr!^HTTP/2 200 .*ENGINE$!s, 'so does one over HTTP/2');

# Who leaves meanwhile has taken nothing.
for my $client (qw/two-leaves two-leaves2/) {
	my $connection = connection();
	$connection->send(request('/', "X-API-Key: key-$client"));
	poll { $t->read_file('a.log'); 1 };
	$connection->close();
}
is(admitted('key-two-leaves', 8080, 8080, 8080), 2, 'a client that left while it waited has all of its limit');

my $connection = connection();
$connection->send(request('/', 'X-API-Key: key-two-reload'));
$t->reload();
is(status($connection->answer()), 200, 'a reload ends no wait');
ok(knows_store(8080, 1), 'the store is there after it');

is(status(answer_of('key-two-any', 8080, '/any')), 200, 'satisfy any: let in by its key');
is(status(answer_of('key-two-any', 8080, '/any')), 200, 'and once more');
is(status(answer_of('key-two-any', 8080, '/any')), 429, 'until its limit is spent');

is(join(' ', map { status(answer_of('key-two-page', 8080, '/page')) } 1 .. 3), '200 200 418', 'error_page');

is(status(answer_of('key-dry-a', 8080, '/dry')), 200, 'tollgate_dry_run');
my ($dry) = grep { ref && ($_->{client} // '') eq 'dry-a' } audit_lines($t, 'a.log', 17);
cmp_ok($dry->{duration_ms} // 1000, '<', 250, 'waits for nothing');

is(status(answer_of('key-two-late', 8080)), 200, 'all goes on');

###############################################################################
