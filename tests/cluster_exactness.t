#!/usr/bin/perl

# Several clients at once, on three nodes, from several processes: as many requests pass as the limits say, and none
# more; and nearly all of that is used.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/keys_file/;
use Tollgate::Cluster;

select STDERR; $| = 1;
select STDOUT; $| = 1;

use constant { CLIENTS => 6, LIMIT => 20, PROCESSES => 6 };

my $t = Test::Nginx->new()->has(qw/http proxy/)->has_daemon('redis-server')->plan(3);
my $dir = $t->testdir();

$t->write_file('keys.json', keys_file(map { { key => "key-$_", client => "c$_", tier => 'some' } } 1 .. CLIENTS));

start_store($t);
for (['a', 8080], ['b', 8081], ['c', 8082]) {
	my ($name, $port) = @$_;
	start_node($t, $name, $port, cluster($name) . "tollgate_tier some { requests @{[LIMIT]}r/h; }");
}
is((join ' ', map { knows_store($_, 1) } 8080, 8081, 8082), '1 1 1', 'all nodes know the store');
my ($alone, $lost) = apart(8080, 8081, 8082);

my @pids;
for my $process (1 .. PROCESSES) {
	my $pid = fork() // die "Can't fork: $!\n";
	if ($pid) {
		push @pids, $pid;
		next;
	}
	my %passed;
	for my $round (1 .. 2 * LIMIT / PROCESSES + 2) {
		for my $client (1 .. CLIENTS) {
			# One client is on one node nearly always, another one on all.
			my $port = 8080 + (rand() < $client / CLIENTS ? int rand 3 : $client % 3);
			$passed{$client} += admitted("key-$client", $port);
		}
	}
	open my $out, '>', "$dir/passed.$process" or die "Can't write: $!\n";
	print $out join(' ', map { $passed{$_} } 1 .. CLIENTS), "\n";
	close $out;
	require POSIX;
	POSIX::_exit(0);
}
waitpid $_, 0 for @pids;

my @sums = (0) x CLIENTS;
for my $process (1 .. PROCESSES) {
	my @passed = split ' ', $t->read_file("passed.$process");
	$sums[$_] += $passed[$_] for 0 .. $#passed;
}
my ($alone_now, $lost_now) = apart(8080, 8081, 8082);
my $more = $alone_now - $alone;
is((join ' ', grep { $_ > LIMIT + $more } @sums), '', 'nobody gets more than the limit')
	or diag("@sums, $more without the store");
# A node that is without the store gives away a part, and that is less.
SKIP: {
	skip 'nodes were without the store', 1 if $lost_now > $lost || $more;
	is((join ' ', grep { $_ < LIMIT - 2 } @sums), '', 'nor much less') or diag("@sums");
}

###############################################################################
