#!/usr/bin/perl

# Places in flight over two nodes: no more than the limit together, and a queue that goes on when another node gives a
# place back.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/keys_file status/;
use Tollgate::Client;
use Tollgate::Cluster;
use Tollgate::Engine;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy/)->has_daemon('redis-server')->plan(12);

$t->write_file('keys.json', keys_file(map { { key => "key-$_", client => $_, tier => s/-.*//r } }
	qw/three-a three-b one-a here-a/));

start_engine($t, 8090);
start_store($t);
for (['a', 8080], ['b', 8081]) {
	my ($name, $port) = @$_;
	start_node($t, $name, $port, cluster($name, 'expected_nodes=2') . <<'EOF', '', 'http://127.0.0.1:8090');
    tollgate_tier three { concurrency 3; }
    tollgate_tier one   { concurrency 1 queue=8 timeout=1h; }
    tollgate_tier here  { scope node; concurrency 1; }
EOF
}
is((join ' ', map { knows_store($_, 1) } 8080, 8081), '1 1', 'both nodes know the store');

my @held = map { [hold(client => 'three-a', port => $_)] } 8080, 8081, 8080;
is((join ' ', map { status($_->[1]) } @held), '200 200 200', 'three on two nodes');
is((join ' ', map { status(complete(client => 'three-a', port => $_)) } 8080, 8081), '429 429', 'a fourth one on neither');
$held[1][0]->close();
ok((poll { status(complete(client => 'three-a', port => 8080)) == 200 }), 'a place that one node gives back is there for the other');
is((join ' ', map { status($_->[1]) } map { [hold(client => 'three-b', port => 8081)] } 1 .. 4), '200 200 200 429',
	'one node alone has all of the limit');

my ($running, $head) = hold(client => 'one-a', port => 8080);
is(status($head), 200, 'one in flight');
my $waiting = connection(port => 8081);
$waiting->send(completion(client => 'one-a', tokens => 1));
my $second = connection(port => 8080);
$second->send(completion(client => 'one-a', tokens => 1));
ok((poll { metrics_of(8081) =~ /^tollgate_queued\{tier="one"\} 1$/m }), 'another one waits on the other node');
ok((poll { metrics_of(8080) =~ /^tollgate_queued\{tier="one"\} 1$/m }), 'and one on the same');
$running->close();
is(status($waiting->answer()), 200, 'it goes on when the first has ended');
is(status($second->answer()), 200, 'and so does the other one');

is((join ' ', map { status($_->[1]) } map { [hold(client => 'here-a', port => $_)] } 8080, 8081), '200 200',
	'a limit of each node');
unlike($t->read_file('error.log'), qr/tollgate: the store/, 'the store was there all the time');

###############################################################################
