#!/usr/bin/perl

# Two workers, 64 connections, one client at full speed: neither a token more than the rate allows
# nor one fewer than that by more than rounding, and what is given back is given back to the token.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header keys_file status/;
use Tollgate::Client;

use POSIX qw//;
use Time::HiRes qw/clock_gettime CLOCK_MONOTONIC/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

# An empty bucket is full again after BURST / RATE seconds. A run is shorter, so that a bucket which
# was once empty doesn't overflow however long the machine stalls: no token is lost.
use constant {
	RATE => 200,
	BURST => 600,
	SECONDS => 2.8,
	PROCESSES => 8,
	CONNECTIONS => 8,
};

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(12)
	->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier fast { requests 200r/s burst=600; }
    # Refilled by less than one during the test.
    tollgate_tier deep { requests 100r/d burst=36000; }
    tollgate_limit rule key=$tollgate_client requests=200r/s burst=600;

    keepalive_requests 1000000;

    server {
        # Connections are spread over both workers.
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;

        location / {
            add_header X-Worker $pid always;
        }

        location /rule {
            tollgate_apply rule;
            add_header X-Worker $pid always;
        }
    }
}

EOF

$t->write_file('page', 'PAGE');
$t->write_file('rule', 'RULE');
$t->write_file('keys.json', keys_file(
	{ key => 'key-fast', client => 'fast', tier => 'fast' },
	{ key => 'key-deep', client => 'deep', tier => 'deep' },
));
$t->run();

###############################################################################

my $dir = $t->testdir();

hammer($dir, '/page', 'fast', 'one limit');
my $admitted = hammer($dir, '/rule', 'deep', 'two limits');

my $left = header(get('/page', 'X-API-Key: key-deep'), 'x-ratelimit-remaining-requests');
is($left, 36000 - $admitted - 1, 'what the second limit refused, the first has got back');

is(status(get('/page', 'X-API-Key: key-deep')), 200, 'and nobody is the worse for it');

###############################################################################

sub now {
	return clock_gettime(CLOCK_MONOTONIC);
}

# The number of requests that passed.
sub hammer {
	my ($dir, $uri, $client, $name) = @_;
	my $request = request($uri, "X-API-Key: key-$client");

	my $start = now();
	my @pids = map {
		my $pid = fork() // die "Can't fork: $!\n";
		if ($pid == 0) {
			open my $out, '>', "$dir/$client.$_" or POSIX::_exit(1);
			print $out send_requests($request, $start + SECONDS);
			close $out;
			# Not exit(): the end of the test is its parent's.
			POSIX::_exit(0);
		}
		$pid;
	} 1 .. PROCESSES;
	waitpid $_, 0 for @pids;
	my $end = now();

	# [status, worker, sent, answered]
	my @requests = map { [split / /] } map { split /\n/ } map {
		open my $in, '<', "$dir/$client.$_" or die "Can't open $client.$_: $!\n";
		local $/;
		<$in> // '';
	} 1 .. PROCESSES;
	my @passed = grep { $_->[0] == 200 } @requests;
	my @refused = grep { $_->[0] == 429 } @requests;

	my $count = @passed;
	my $most = int(BURST + RATE * ($end - $start));
	note(sprintf '%s: %d requests, %d passed, %d at most, %.3f s', $name, scalar @requests,
		$count, $most, $end - $start);

	is(@passed + @refused, scalar @requests, "$name: passed or refused, nothing else");
	cmp_ok($count, '<=', $most, "$name: burst + rate x time at most");

	# At each refusal the bucket held less than one token. So between the first and the last, as many
	# passed as were refilled, give or take one. When the worker decided is known up to the
	# time that the request was under way: count generously, and compare with the short side.
	SKIP: {
		skip "$name: too slow a machine to spend the burst", 3
			if !@refused or $end - $start > BURST / RATE;

		my ($first) = sort { $a->[3] <=> $b->[3] } @refused;
		my ($last) = sort { $b->[2] <=> $a->[2] } @refused;
		my (undef, undef, $first_sent, $first_answered) = @$first;
		my (undef, undef, $last_sent, $last_answered) = @$last;

		my $between = grep { $_->[3] >= $first_sent && $_->[2] <= $last_answered } @passed;
		my $refilled = RATE * ($last_sent - $first_answered);
		cmp_ok($between, '>=', int($refilled) - 1, "$name: and not one token fewer");

		my $surely = grep { $_->[2] >= $first_answered && $_->[3] <= $last_sent } @passed;
		my $at_most = RATE * ($last_answered - $first_sent) + 1;
		cmp_ok($surely, '<=', $at_most, "$name: while it is spent, the rate alone counts");

		my %workers = map { $_->[1] => 1 } @passed;
		is(scalar keys %workers, 2, "$name: both workers took part");
	}

	return $count;
}

# Several connections in turn, so that requests wait for both workers at any time.
sub send_requests {
	my ($request, $end) = @_;
	my @connections = map { connection() } 1 .. CONNECTIONS;
	my @lines;
	while (now() < $end) {
		my @sent = map { my $now = now(); $_->send($request); $now } @connections;
		for my $connection (@connections) {
			my $sent = shift @sent;
			my $response = $connection->answer();
			push @lines, join ' ', status($response) // 0, header($response, 'X-Worker') // 0,
				$sent, now();
		}
	}
	return join '', map { "$_\n" } @lines;
}

###############################################################################
