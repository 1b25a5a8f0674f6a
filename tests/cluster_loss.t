#!/usr/bin/perl

# What a node does when the store of its cluster is gone, as on_loss says, and when it is back. Nothing here is
# waited for but the second after which the store counts as lost.

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

my $t = Test::Nginx->new()->has(qw/http proxy/)->has_daemon('redis-server')->plan(26);

$t->write_file('keys.json', keys_file(map { { key => "key-$_", client => $_, tier => s/-.*//r } }
	qw/eight-before eight-early eight-early2 eight-early3 eight-share eight-local eight-deny eight-back slots-share here-deny/));

my $tiers = <<'EOF';
    tollgate_tier eight { requests 8r/h; }
    tollgate_tier slots { concurrency 8; requests 100r/h; }
    tollgate_tier here  { scope node; requests 8r/h; }
EOF

start_store($t);
start_node($t, a => 8080, cluster('a', 'expected_nodes=4') . $tiers);
start_node($t, b => 8081, cluster('b', 'on_loss=local') . $tiers);
start_node($t, c => 8082, cluster('c', 'on_loss=deny') . $tiers);
my @nodes = (8080, 8081, 8082);

is((join ' ', map { knows_store($_, 1) } @nodes), '1 1 1', 'all nodes know the store');
is(admitted('key-eight-before', (@nodes) x 4), 8, 'with the store one limit');
ok((poll { metrics_of(8080) =~ /^tollgate_cluster_nodes 3$/m }), 'as many nodes as there are');
like(metrics_of(8080), qr/^tollgate_cluster_expected_nodes 4$/m, 'and as there should be');

stop_store($t);
# Before a node knows that, who has nothing leased waits until it does.
is(status(answer_of('key-eight-early', 8080)), 200, 'share: who asks just then is judged by that');
is(status(answer_of('key-eight-early2', 8082)), 503, 'deny: and is not told that it was too much');
is((join ' ', map { knows_store($_, 0) } @nodes), '1 1 1', 'all nodes know that it is gone');
like($t->read_file('error.log'), qr/tollgate: the store of the cluster "default" cannot be used: /, 'the log says why');

is(admitted('key-eight-share', (8080) x 9), 2, 'share: a node gives away its part');
is(admitted('key-eight-local', (8081) x 9), 8, 'local: it gives away all');
my $r = answer_of('key-eight-deny', 8082);
is(status($r), 503, 'deny: it refuses');
like($r, qr/"service_unavailable"/, 'as it does where it can not decide');
ok((poll { $t->read_file('c.log') =~ /"decision":"deny","reason":"store_lost",.*"client":"eight-deny"/ }), 'and logs why');
is(admitted('key-here-deny', (8082) x 9), 8, 'limits of a node alone are none of that');
is(admitted('key-slots-share', 8080), 1, 'share: and its part of places in flight');

my $page = metrics_of(8080);
unlike($page, qr/^tollgate_cluster_nodes /m, 'nobody knows how many nodes there are');
like($page, qr/^tollgate_cluster_alone_total [1-9]/m, 'what was decided alone is counted');
like($page, qr/^tollgate_cluster_exchange_seconds_count\{result="failed"\} [1-9]/m, 'and so are exchanges that failed');

# Without what it knew.
start_store($t);
is((join ' ', map { knows_store($_, 1) } @nodes), '1 1 1', 'the store is back');
ok((poll { $t->read_file('error.log') =~ /tollgate: the store of the cluster "default" can be used again/ }), 'the log says so');
# It sells nothing until all nodes can have told it what they had leased.
ok((poll { admitted('key-eight-back', 8080) }), 'it sells again');
is(admitted('key-eight-back', (@nodes) x 4), 7, 'and there is one limit again');
ok((poll { admitted('key-eight-before', @nodes) == 0 }), 'what was used before is not forgotten');

# A store that is there and says nothing.
stop_store($t, 'STOP');
is(status(answer_of('key-eight-early3', 8080)), 200, 'a store that hangs: the same');
is(knows_store(8080, 0), 1, 'a store that hangs is lost as well');
stop_store($t, 'CONT');
is(knows_store(8080, 1), 1, 'until it goes on');

###############################################################################
