#!/usr/bin/perl

# Another worker speaks with the store: where the one that did is stopped, where it begins to end, and where a newer nginx
# takes over (USR2). Nothing that was leased is lost by it, or spent twice.
#
# nginx obeys USR2 only if whoever started it is gone: so it is a daemon here.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/keys_file status/;
use Tollgate::Client;
use Tollgate::Cluster;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy/)->has_daemon('redis-server')->plan(20);
my $d = $t->testdir();

$t->write_file('keys.json', keys_file(map { { key => "key-$_", client => $_, tier => 'ten' } }
	qw/stop reload upgrade back fresh/));

# What a test that is cut short would leave behind.
END {
	for my $name ('nginx.pid', 'nginx.pid.oldbin') {
		my $path = ($d // next) . "/$name";
		open my $file, '<', $path or next;
		kill 'TERM', <$file> =~ /(\d+)/;
	}
}

start_store($t);
my $tiers = 'tollgate_tier ten { requests 10r/h; }';
start_node($t, b => 8081, cluster('b', 'on_loss=deny') . $tiers);
{
	local $Tollgate::Cluster::DAEMON = 'on';
	start_node($t, a => 8080, cluster('a', 'on_loss=deny') . $tiers);
}
is(join(' ', map { knows_store($_, 1) } 8080, 8081), '1 1', 'both nodes know the store');

###############################################################################
# the worker that speaks is stopped

my @workers = workers($t);
my ($stopped) = speakers(@workers);
ok($stopped, 'one worker speaks with the store');
is(admitted('key-stop', 8080, 8081, 8080, 8080), 4, 'a limit of both nodes');
kill 'STOP', $stopped;
my @others = grep { $_ != $stopped } @workers;
ok((poll { speakers(@others) }), 'another one does when that one is stopped');
kill 'CONT', $stopped;
ok((poll { !speakers($stopped) }), 'and the first one leaves that to it when it goes on');
is(scalar(speakers(@others)), 1, 'which it does');
is(admitted('key-stop', (8080, 8081) x 6), 6, 'what was leased before counts once');
like($t->read_file('error.log'), qr/process $stopped has spoken with the store of the cluster "default", and is silent/,
	'the log tells of it');

###############################################################################
# it begins to end

is(admitted('key-reload', 8080, 8081, 8080), 3, 'before a reload');
# A request that isn't whole keeps its worker.
my @held = map { connection() } 1 .. 8;
$_->send("POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer key-fresh\r\nContent-Length: 9\r\n\r\n1") for @held;
my @old = reload_and_wait($t);
my @new = workers($t);
ok((poll { speakers(@new) && !speakers(@old) }), 'new workers speak with the store, and old ones do not');
is(admitted('key-reload', (8080, 8081) x 6), 7, 'what was leased before counts once');
$_->close() for @held;

###############################################################################
# a newer nginx takes over

is(admitted('key-upgrade', 8080, 8081, 8080), 3, 'before an upgrade');
my $old = upgrade($t);
ok($old, 'a newer nginx');
is(admitted('key-upgrade', 8080, 8081, 8080), 3, 'both have the same leases');
kill 'QUIT', $old;
ok((poll { is_gone($old) }), 'the old one ends');
ok((poll { speakers(workers($t)) }), 'the newer one speaks with the store');
is(admitted('key-upgrade', (8080, 8081) x 6), 4, 'what was leased before counts once');

# Called off.
poll { !-e "$d/nginx.pid.oldbin" };
$old = upgrade($t);
my $newer = master();
is(admitted('key-back', 8080, 8081, 8080), 3, 'an upgrade');
kill 'QUIT', $newer;
poll { is_gone($newer) && master() == $old };
is(admitted('key-back', (8080, 8081) x 6), 7, 'that is called off');

my $end = master();
$t->stop();
ok((poll { is_gone($end) }), 'it ends');

###############################################################################

sub upgrade {
	my ($t) = @_;
	my $old = master();
	# Before it has workers, it takes a signal for one that it has seen to; and until its parent has ended, none.
	poll { workers($t) == 2 } or return;
	poll { !is_child_of_nginx($old) } or return;
	kill 'USR2', $old;
	poll { -e "$d/nginx.pid.oldbin" && -s "$d/nginx.pid" && master() != $old && workers($t) == 2 } or return;
	return $old;
}

sub is_child_of_nginx {
	my ($pid) = @_;
	open my $stat, '<', "/proc/$pid/stat" or return 0;
	my ($parent) = <$stat> =~ /\) \S (\d+)/;
	open my $name, '<', "/proc/$parent/comm" or return 0;
	return <$name> =~ /^nginx/;
}

sub is_gone {
	my ($pid) = @_;
	open my $stat, '<', "/proc/$pid/stat" or return 1;
	return (<$stat> // ') Z') =~ /\) Z/;
}

# Not with $t, which would so live longer than the plan.
sub master {
	open my $file, '<', "$d/nginx.pid" or return 0;
	my ($pid) = (<$file> // '') =~ /(\d+)/;
	return $pid // 0;
}
