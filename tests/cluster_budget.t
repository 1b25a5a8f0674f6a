#!/usr/bin/perl

# Tokens and money over two nodes: what was reserved goes back when it was not used, in all nodes, and what is spent on
# one is missing on the other.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::Cluster;
use Tollgate::Engine;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy/)->has_daemon('redis-server')->plan(12);

$t->write_file('keys.json', keys_file(map { { key => "key-$_", client => $_, tier => s/-.*//r } }
	qw/tokens-a tokens-b money-a money-b/));

start_engine($t, 8090);
start_store($t);
for (['a', 8080], ['b', 8081]) {
	my ($name, $port) = @$_;
	start_node($t, $name, $port, cluster($name, 'expected_nodes=2') . <<'EOF', '', 'http://127.0.0.1:8090');
    tollgate_price * input=1000000 output=1000000;
    tollgate_tier tokens { tokens 1000/d burst=1000; }
    tollgate_tier money  { budget 1000/day; }
EOF
}
is((join ' ', map { knows_store($_, 1) } 8080, 8081), '1 1', 'both nodes know the store');

# Each reserves 10 + 4 + 186, and takes 10 + 40.
my %of_tokens = (client => 'tokens-a', input => 10, max => 186, tokens => 40);
is(status(complete(%of_tokens, port => 8080)), 200, 'tokens on one node');
ok((poll {
	my $left = header(complete(client => 'tokens-b', input => 1, max => 1, tokens => 1, port => 8081),
		'x-ratelimit-remaining-tokens');
	defined $left;
}), 'and on the other one');
# The next one finds what the first one gave back: 1000 - 50 - 200.
ok((poll {
	my $r = complete(%of_tokens, port => 8081);
	my $left = header($r, 'x-ratelimit-remaining-tokens') // -1;
	status($r) == 200 && $left == 1000 - 50 - 200;
}), 'the other node knows what was taken, and not what was reserved');
# Where the nodes have the rest between them, one of them gives its part back when another one asks.
my ($passed, $refused) = (2, 0);
for (1 .. 60) {
	my $is_in = status(complete(%of_tokens, port => 8080 + $_ % 2)) == 200;
	$is_in ? ($passed++, $refused = 0) : $refused++;
	last if $refused == 6;
}
# 50 each, and the last one needs 200.
cmp_ok($passed, '>=', 14, 'most of the limit is usable');
cmp_ok($passed, '<=', 17, 'and no more than all of it');

# Money: the same numbers, as a token costs one.
my %of_money = (client => 'money-a', input => 10, max => 190, tokens => 40);
($passed, $refused) = (0, 0);
my $refusal = '';
for (1 .. 60) {
	my $r = complete(%of_money, port => 8080 + $_ % 2);
	if (status($r) == 200) {
		($passed, $refused) = ($passed + 1, 0);
		next;
	}
	$refusal = $r;
	last if ++$refused == 6;
}
is(status($refusal), 429, 'money is spent');
like($refusal, qr/"insufficient_quota"/, 'as a budget is');
cmp_ok($passed, '>=', 16, 'most of the budget is usable');
cmp_ok($passed, '<=', 20, 'and no more than all of it');
is((join ' ', map { status(complete(client => 'money-a', input => 10, max => 990, port => $_)) } 8080, 8081), '429 429',
	'on neither node');
is(status(complete(client => 'money-b', input => 10, max => 900, tokens => 1, port => 8081)), 200, 'others have their own');

###############################################################################
