#!/usr/bin/perl

# What a worker that was killed had in flight is free again, and whoever waits in another worker
# gets its turn; nothing that others have in flight is freed with it.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;

use Time::HiRes qw/time/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

# nginx logs an alert for a worker that was killed.
my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->todo_alerts()->plan(22)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_tier four   { concurrency 4; tokens 100/d burst=2000; }
    tollgate_tier queue  { concurrency 2 queue=8 timeout=1h; }
    # A key of the same client with one of these is refused at once where so many wait.
    tollgate_tier probe-1 { concurrency 2 queue=1 timeout=300ms; }
    tollgate_tier probe-2 { concurrency 2 queue=2 timeout=300ms; }
    tollgate_tier open   { }
    tollgate_limit all key=all concurrency=4;

    server {
        # Connections are spread over both workers.
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;
        proxy_buffering off;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /all/ {
            tollgate_apply all;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /pid {
            tollgate off;
            return 200 $pid;
        }
    }
}

EOC

$t->write_file('keys.json', keys_file(
	{ key => 'key-four', client => 'four', tier => 'four' },
	{ key => 'key-queue', client => 'queue', tier => 'queue' },
	(map { { key => "key-probe-$_", client => 'queue', tier => "probe-$_" } } 1, 2),
	{ key => 'key-open', client => 'open', tier => 'open' },
));
start_engine($t, 8081);
$t->run();

###############################################################################

for my $round (1 .. 3) {
	my $connections = connections_to_workers(2, 3);
	my ($killed, $other) = sort keys %$connections;

	# Two in each worker.
	my %held;
	for my $pid ($killed, $other, $killed, $other) {
		my $connection = shift @{$connections->{$pid}};
		my (undef, $head) = hold(client => 'four', max => 100, on => $connection);
		push @{$held{$pid}}, $connection if status($head) == 200;
	}
	is(join(' ', map { scalar @$_ } values %held), '2 2', "$round: two in flight in each worker");
	is(status(complete(client => 'four', max => 1)), 429, "$round: and no more");

	my $killed_at = kill_worker($t, $killed);
	my @two;
	poll {
		my ($connection, $head) = hold(client => 'four', max => 100);
		push @two, $connection if (status($head) // 0) == 200;
		@two == 2;
	};
	note(sprintf 'free again after %.3f s', time() - $killed_at);
	is(@two, 2, "$round: killed: what it had in flight is free");
	is(status(complete(client => 'four', max => 1)), 429, "$round: what the other one has in flight is not");
	$_->close() for @two, @{$held{$other}};
	my $passed = poll { status(complete(client => 'four', max => 1, tokens => 1)) == 200 };
	ok($passed, "$round: nothing is lost");
}

# whoever waits

my $connections = connections_to_workers(2, 3);
my ($killed, $other) = sort keys %$connections;
my @held = map { my $c = $_; hold(client => 'queue', on => $c); $c }
	map { shift @{$connections->{$_}} } $killed, $other;
my $lost = queue($connections->{$killed}[0]);
poll { waits(1) };
my $kept = queue($connections->{$other}[0]);
ok((poll { waits(2) }), 'one waits in each worker');
kill_worker($t, $killed);
is(status($kept->answer(head => 1)), 200, 'killed: the one in the other worker passes');
my $after = queue();
ok((poll { waits(1) }), 'killed: another one waits, as one of the two places is taken');
$held[1]->close();
is(status($after->answer(head => 1)), 200, 'killed: until its turn');
$_->close() for $kept, $after;

# all of them

@held = map { (hold(client => 'open', uri => '/all/v1/completions'))[0] } 1 .. 4;
is(status(complete(client => 'open', uri => '/all/v1/completions')), 429, 'a rule: four, and no more');
my %all = map { $_ => 1 } workers($t);
kill 'KILL', keys %all;
poll { my @now = workers($t); @now == 2 && !grep { $all{$_} } @now };
my @again;
poll {
	my ($connection, $head) = hold(client => 'open', uri => '/all/v1/completions');
	push @again, $connection if (status($head) // 0) == 200;
	@again == 4;
};
is(@again, 4, 'all killed: all are free');
is(status(complete(client => 'open', uri => '/all/v1/completions')), 429, 'all killed: and no more than all');
$_->close() for @again;

###############################################################################

# Kills the worker, and waits for the one that takes its place. Returns when it was killed.
sub kill_worker {
	my ($t, $pid) = @_;
	kill 'KILL', $pid;
	my $now = time();
	poll { my @now = workers($t); @now == 2 && !grep { $_ == $pid } @now };
	return $now;
}

sub queue {
	my ($connection) = @_;
	$connection //= connection();
	$connection->send(completion(client => 'queue', tokens => 1, hold => 1));
	return $connection;
}

# Whether so many wait, at least.
sub waits {
	my ($count) = @_;
	my $sent = time();
	my $response = complete(client => "probe-$count");
	return (status($response) // 0) == 429 && time() - $sent < 0.3;
}

###############################################################################
