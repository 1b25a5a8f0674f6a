#!/usr/bin/perl

# Parallel clients on one limit, while the engine answers as it likes: with estimates that are upper
# bounds, no token more is used than the bucket held and was refilled, and no money more spent than
# the budget.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;

use JSON::PP qw//;
use POSIX qw//;
use Time::HiRes qw/clock_gettime CLOCK_MONOTONIC/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

use constant {
	RATE => 200,
	BURST => 2000,
	SECONDS => 2.5,
	PROCESSES => 8,
	CONNECTIONS => 4,
	# What one request at most takes, in nano-units, of BUDGET: 4 + 6 tokens, at 0.001 each.
	COST => 10_000_000,
	BUDGET => 95_000_000,
};

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;
worker_processes WORKERS;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_price * input=1000 output=1000;

    tollgate_tier fast { tokens 200/s burst=2000; }
    tollgate_tier poor { budget 0.095/month; }
    tollgate_tier open { }
    tollgate_limit rule key=all tokens=200/s burst=2000;
    tollgate_limit purse key=all budget=0.095/month;

    tollgate_audit_log audit.log;
    keepalive_requests 1000000;

    server {
        # Connections are spread over all workers.
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;
        tollgate_estimate bytes_per_token=1;

        add_header X-Worker $pid always;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /rule/ {
            tollgate_apply rule;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /purse/ {
            tollgate_apply purse;
            proxy_pass http://127.0.0.1:8081/;
        }
    }
}

EOC

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(2 * 6 + 4 * 6);

write_conf($t, $conf, 2);
$t->write_file('keys.json', keys_file(
	{ key => 'key-fast', client => 'fast', tier => 'fast' },
	(map { { key => "key-poor-$_", client => "poor-$_", tier => 'poor' } } 2, 4),
	(map { { key => "key-open-$_", client => "open-$_", tier => 'open' } } 1 .. PROCESSES),
));
start_engine($t, 8081, qw/--latency-ms 5/);
$t->run();

###############################################################################

tokens_are_exact($t, 'a client', '/v1/completions', 'fast');
tokens_are_exact($t, 'a rule', '/rule/v1/completions', 'open');

money_is_exact($t, '2 workers, a client', '/v1/completions', 'poor-2', 2);
money_is_exact($t, '2 workers, a rule', '/purse/v1/completions', 'open', 2);

# The purse is to be full again.
$conf =~ s/tollgate_limit purse key=all/tollgate_limit purse key=others/;
write_conf($t, $conf, 4);
reload_and_wait($t);
poll { workers($t) == 4 };

money_is_exact($t, '4 workers, a client', '/v1/completions', 'poor-4', 4);
money_is_exact($t, '4 workers, a rule', '/purse/v1/completions', 'open', 4);

###############################################################################

sub write_conf {
	my ($t, $conf, $workers) = @_;
	$conf =~ s/WORKERS/$workers/;
	$t->write_file_expand('nginx.conf', $conf);
}

sub now {
	return clock_gettime(CLOCK_MONOTONIC);
}

# Requests of all sizes; the engine makes between nothing and all of what each may take.
sub tokens_are_exact {
	my ($t, $name, $uri, $client) = @_;

	my $logged = lines_of($t);
	my $made = stats(8081)->{tokens_sent};
	my $start = now();
	my @results = in_parallel($t->testdir(), sub {
		my ($number) = @_;
		srand $number;
		my @connections = map { connection() } 1 .. CONNECTIONS;
		my @statuses;
		while (now() < $start + SECONDS) {
			for my $connection (@connections) {
				my $max = 1 + int rand 100;
				$connection->send(completion(uri => $uri, input => 1 + int rand 50, max => $max,
					tokens => int rand(1.5 * $max), stream => rand() < 0.5,
					client => $client eq 'fast' ? 'fast' : "open-$number"));
			}
			push @statuses, status($_->answer()) // 0 for @connections;
		}
		return @statuses;
	});
	my $end = now();
	my $passed = grep { $_ == 200 } @results;
	my $refused = grep { $_ == 429 } @results;
	my @lines = lines_from($t, $logged, scalar @results);

	$made = stats(8081)->{tokens_sent} - $made;

	my ($used, $output, $unmeasured) = (0, 0, 0);
	for my $line (@lines) {
		$unmeasured++ if $line->{usage} ne 'measured';
		$used += $line->{input_tokens} + $line->{output_tokens};
		$output += $line->{output_tokens};
	}
	my $most = BURST + RATE * ($end - $start);
	note(sprintf '%s: %d requests, %d passed, %d tokens used, %d at most', $name, scalar @results,
		$passed, $used, $most);

	is($passed + $refused, scalar @results, "$name: passed or refused, nothing else");
	is(scalar @lines, $passed, "$name: each that passed is in the log");
	is($unmeasured, 0, "$name: with what the engine said that it used");
	is($output, $made, "$name: which is what it made");
	cmp_ok($used, '<=', $most, "$name: capacity and refill at most");
	cmp_ok($refused, '>', 0, "$name: the limit was reached");
}

# 200 requests at once, where there is money for 9.
sub money_is_exact {
	my ($t, $name, $uri, $client, $workers) = @_;

	my $logged = lines_of($t);
	my @results = in_parallel($t->testdir(), sub {
		my ($number) = @_;
		my @connections = map { connection() } 1 .. 200 / PROCESSES;
		my $who = $client eq 'open' ? "open-$number" : $client;
		$_->send(completion(uri => $uri, client => $who, input => 4, max => 2, tokens => 2))
			for @connections;
		return map { my $r = $_->answer(); (status($r) // 0) . ':' . (header($r, 'X-Worker') // '') }
			@connections;
	});
	my (%count, %workers);
	for (@results) {
		my ($status, $worker) = split /:/;
		$count{$status}++;
		$workers{$worker}++;
	}
	note("$name: ", join ', ', map { "$count{$_} x $_" } sort keys %count);

	my @lines = lines_from($t, $logged, 200);
	my $spent = 0;
	# Amounts this small are exact after rounding.
	$spent += int(($_->{cost} // 0) * 1e9 + 0.5) for @lines;

	is(($count{200} // 0) + ($count{429} // 0), 200, "$name: passed or refused, nothing else");
	cmp_ok($spent, '<=', BUDGET, "$name: no more is spent than there is");
	cmp_ok($count{200} // 0, '>=', 1, "$name: somebody passes");
	is(scalar(keys %workers), $workers, "$name: all workers took part");

	# With what was given back, more fit: 6 tokens cost 0.006 a request.
	my $who = $client eq 'open' ? 'open-1' : $client;
	my $more = 0;
	for (1 .. 50) {
		last if status(complete(uri => $uri, client => $who, input => 4, max => 2, tokens => 2)) != 200;
		$more++;
	}
	@lines = lines_from($t, $logged, 200 + $more + 1);
	$spent = 0;
	$spent += int(($_->{cost} // 0) * 1e9 + 0.5) for @lines;
	cmp_ok($spent, '<=', BUDGET, "$name: later, too");
	cmp_ok($spent, '>', BUDGET - COST, "$name: and all of it is spent, but for what fits no request");
}

# What the sub returns in each of the processes.
sub in_parallel {
	my ($dir, $code) = @_;
	my @pids = map {
		my $number = $_;
		my $pid = fork() // die "Can't fork: $!\n";
		if ($pid == 0) {
			open my $out, '>', "$dir/result.$number" or POSIX::_exit(1);
			print $out map { "$_\n" } $code->($number);
			close $out;
			# Not exit(): the end of the test is its parent's.
			POSIX::_exit(0);
		}
		$pid;
	} 1 .. PROCESSES;
	waitpid $_, 0 for @pids;
	return map {
		open my $in, '<', "$dir/result.$_" or die "Can't open result.$_: $!\n";
		chomp(my @lines = <$in>);
		@lines;
	} 1 .. PROCESSES;
}

sub lines_of {
	my ($t) = @_;
	return (eval { $t->read_file('audit.log') } // '') =~ tr/\n//;
}

# What the log has, after its first $from lines, of those who passed; once there are $count lines more.
sub lines_from {
	my ($t, $from, $count) = @_;
	poll { lines_of($t) >= $from + $count };
	my @lines = split /\n/, $t->read_file('audit.log');
	my $json = JSON::PP->new->utf8;
	return map { $json->decode($_) } grep { /"decision":"allow"/ } @lines[$from .. $#lines];
}

###############################################################################
