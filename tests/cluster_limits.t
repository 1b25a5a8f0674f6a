#!/usr/bin/perl

# Three nodes and one store: a limit is one limit, however its client spreads its requests. Rates are by the hour, so
# that nothing is refilled meanwhile.

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

my $t = Test::Nginx->new()->has(qw/http proxy/)->has_daemon('redis-server')->plan(21);

my @nodes = (8080, 8081, 8082);

$t->write_file('keys.json', keys_file(map { { key => "key-$_", client => $_, tier => s/-.*//r } }
	qw/ten-even ten-alone ten-uneven ten-late ten-reload here-a open-a open-b two/));

start_store($t);
for (['a', 8080], ['b', 8081], ['c', 8082]) {
	my ($name, $port) = @$_;
	start_node($t, $name, $port, cluster($name) . <<'EOF', <<'EOS');
    tollgate_tier ten  { requests 10r/h; }
    tollgate_tier here { scope node; requests 10r/h; }
    tollgate_tier open { }
    tollgate_tier two  { requests 2r/h; requests 100r/d; }
    tollgate_limit everybody key=all requests=1000r/h;
    tollgate_limit few       key=few requests=10r/h;
    tollgate_limit each      key=each requests=4r/h scope=node;
EOF
        tollgate_apply everybody;
        location /few { tollgate_apply everybody few; proxy_pass http://unix:%%TESTDIR%%/engine.sock; }
        location /each { tollgate_apply each; proxy_pass http://unix:%%TESTDIR%%/engine.sock; }
EOS
}
is((join ' ', map { knows_store($_, 1) } @nodes), '1 1 1', 'all nodes know the store');

###############################################################################
# one limit

my $all = let_in(10, 'ten requests on three nodes in turn', 'key-ten-even', (@nodes) x 5);
let_in(10 - $all, 'and no more on any', 'key-ten-even', @nodes);
$all = let_in(10, 'one node alone has all of the limit', 'key-ten-alone', (8081) x 12);
let_in(10 - $all, 'and then the others have nothing', 'key-ten-alone', 8080, 8082);
$all = let_in(10, 'nine to one to none: all of the limit is usable', 'key-ten-uneven', (8080) x 9, 8081);
let_in(10 - $all, 'but no more of it', 'key-ten-uneven', @nodes);
let_in(2, 'of several limits the one with least left counts', 'key-two', (8080, 8081, 8082) x 2);

my $r = answer_of('key-ten-late', 8080);
is(header($r, 'x-ratelimit-remaining-requests'), 9, 'what is left is told');
ok((poll {
	my $left = header(answer_of('key-ten-late', 8081), 'x-ratelimit-remaining-requests');
	defined $left && $left <= 7;
}), 'another node hears of it');
is((grep { $_ == 429 } asks('key-ten-late', (@nodes) x 4)) > 0, 1, 'until it is spent');
$r = answer_of('key-ten-late', 8082);
is(status($r), 429, 'it is refused');
cmp_ok(header($r, 'retry-after') // 0, '>', 1, 'with the time until there is more');

###############################################################################
# one limit for each node

is(admitted('key-here-a', (@nodes) x 11), 30, 'a tier with "scope node" has its limit on each node');

###############################################################################
# a rule

my $few = grep { status(answer_of("key-open-$$_[0]", $$_[1], '/few')) == 200 }
	map { (['a', 8080], ['b', 8081], ['a', 8082]) } 1 .. 5;
is($few, 10, 'a rule holds over the cluster');
my $each = grep { status(answer_of('key-open-a', $_, '/each')) == 200 } (@nodes) x 5;
is($each, 12, 'and one with "scope=node" over each node');

###############################################################################
# reload, and the death of a worker

is(admitted('key-ten-reload', 8080, 8081), 2, 'before a reload');
$t->reload();
let_in(8, 'a reload forgets nothing', 'key-ten-reload', (8080, 8081, 8082) x 4);

ok(knows_store(8080, 1), 'a newer worker speaks with the store');
my @workers = workers($t);
kill 'KILL', @workers;
ok((poll { my @new = workers($t); @new == 2 && !grep { my $pid = $_; grep { $_ == $pid } @workers } @new }),
	'workers are killed');
ok(knows_store(8080, 1), 'and others speak with the store');

$t->todo_alerts();
$t->stop();

###############################################################################
