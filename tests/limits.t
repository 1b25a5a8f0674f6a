#!/usr/bin/perl

# The limits of a tier: how many requests pass, who shares them, and whether a refusal names the
# moment at which the same request passes. Rates are by the hour where a test counts, so that
# nothing is refilled meanwhile however slow the machine is.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header keys_file status/;
use Tollgate::Client;

use Time::HiRes qw/clock_gettime sleep CLOCK_MONOTONIC/;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(47)
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

    tollgate_tier minute  { requests 10r/m; }
    tollgate_tier several { requests 5r/h; requests 3r/d; }
    tollgate_tier burst   { requests 1r/h burst=5; }
    tollgate_tier small   { requests 10r/h burst=2; }
    tollgate_tier ten     { requests 10r/h; }
    tollgate_tier five    { requests 5r/h; }
    tollgate_tier slow    { requests 30r/m burst=1; }
    tollgate_tier slower  { requests 1000r/s; requests 20r/m burst=1; requests 1000r/d; }
    tollgate_tier open    { }

    tollgate_limit a    key=a    requests=3r/h;
    tollgate_limit b    key=b    requests=1r/h;
    tollgate_limit slow key=slow requests=30r/m burst=1;

    server {
        # Connections are spread over both workers.
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;
        tollgate_default_tier ten;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /other {
            proxy_pass http://127.0.0.1:8081;
        }

        location /a {
            tollgate_apply a;
            proxy_pass http://127.0.0.1:8081;
        }

        location /b {
            tollgate_apply b;
            proxy_pass http://127.0.0.1:8081;
        }

        location /ab {
            tollgate_apply a b;
            proxy_pass http://127.0.0.1:8081;
        }

        location /slow {
            tollgate_apply slow;
            proxy_pass http://127.0.0.1:8081;
        }

        location /worker {
            add_header X-Worker $pid;
            proxy_pass http://127.0.0.1:8081;
        }

        location /worker/pid {
            tollgate off;
            return 200 $pid;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        return       200 ENGINE;
    }
}

EOF

$t->write_file('keys.json', keys_file(
	(map { { key => "key-$_", client => $_, tier => $_ } }
		qw/minute several burst ten five slow slower open/),
	(map { { key => "key-$_", client => $_, tier => 'ten' } }
		qw/locations rules b workers/),
	{ key => 'key-default', client => 'default' },
	{ key => 'key-rule', client => 'rule', tier => 'open' },
	{ key => 'key-two-1', client => 'two', tier => 'ten' },
	{ key => 'key-two-2', client => 'two', tier => 'ten' },
	{ key => 'key-move-1', client => 'move', tier => 'ten' },
	{ key => 'key-move-2', client => 'move', tier => 'five' },
	{ key => 'key-move-3', client => 'move', tier => 'small' },
));
$t->run();

###############################################################################

# a fresh client may send its quota at once

my $start = now();
my ($passed, $r) = spend('/', 'minute');
my $refilled = int((now() - $start) / 6);

cmp_ok($passed, '>=', 10, '10r/m: ten pass at once');
cmp_ok($passed, '<=', 10 + $refilled, '10r/m: the 11th does not');
is(status($r), 429, '10r/m: refused with 429');

my ($secs, $ms) = (header($r, 'Retry-After'), header($r, 'retry-after-ms'));
cmp_ok($ms, '>', 0, '10r/m: there is something to wait for');
cmp_ok($ms, '<=', 6001, '10r/m: one more is allowed every six seconds');
is($secs, int(($ms + 999) / 1000), 'Retry-After is retry-after-ms in seconds, rounded up');

# several periods, a burst, none at all, the default

($passed, $r) = spend('/', 'several');
is($passed, 3, 'several periods: the tightest holds');
is(header($r, 'x-ratelimit-limit-requests'), 3, 'several periods: it is the one that is shown');
cmp_ok(header($r, 'retry-after-ms'), '>', 3600_000, 'several periods: it is the one to wait for');

($passed, $r) = spend('/', 'burst');
is($passed, 5, 'burst: so many at once');
cmp_ok(header($r, 'retry-after-ms'), '>', 3500_000, 'burst: refilled at the rate');

is((spend('/', 'open', 30))[0], 30, 'a tier without limits: nothing is refused');
is(header(get('/', 'X-API-Key: key-open'), 'x-ratelimit-limit-requests'), undef,
	'a tier without limits: no header');

is((spend('/', 'default'))[0], 10, 'the default tier');

# who shares a limit

is((spend('/', 'ten', 4))[0], 4, 'a client, four requests');
is(remaining('/', 'ten'), 5, 'each is counted once');
is(remaining('/', 'five'), 4, 'a client of another tier has limits of its own');
is(remaining('/', 'two-1'), 9, 'another client of the same tier, too');
is(remaining('/', 'two-2'), 8, 'two keys of one client share its limits');

is(remaining('/', 'locations'), 9, 'a location');
is(remaining('/other', 'locations'), 8, 'another location shares the limits of the client');

# a client that comes with a key of another tier has used what it has used

is((spend('/', 'move-1', 3))[0], 3, 'a client with two tiers: 3 of 10');
is(remaining('/', 'move-2'), 1, 'a client with two tiers: 4 of 5');
is(remaining('/', 'move-1'), 5, 'a client with two tiers: 5 of 10');
is(status(get('/', 'X-API-Key: key-move-3')), 429, 'a client with two tiers: no 6th of 2');
is(remaining('/', 'move-1'), 4, 'a client with two tiers: the refusal changed nothing');

# all or nothing

is(status(get('/b', 'X-API-Key: key-b')), 200, 'the only request of a rule');
is((spend('/b', 'rules'))[0], 0, 'the rule is for all clients');
is(remaining('/', 'rules'), 9, 'what a rule refuses, the tier does not count');
is((spend('/ab', 'rules'))[0], 0, 'two rules, one of them spent') for 1 .. 3;
is(remaining('/', 'rules'), 8, 'two rules: the tier does not count it');
is((spend('/a', 'rules'))[0], 3, 'two rules: nor does the other rule');
is(remaining('/', 'rules'), 4, 'and what passed was counted');

# two workers share one bucket

my %connection;
poll {
	my $c = connection();
	my ($pid) = $c->ask(request('/worker/pid')) =~ /(\d+)$/;
	$connection{$pid} = $c;
	keys %connection == 2;
};
is(scalar(keys %connection), 2, 'a connection to each worker');

my (%worker, @statuses);
for (1 .. 6) {
	for my $c (values %connection) {
		$r = $c->ask(request('/worker', 'X-API-Key: key-workers'));
		$worker{header($r, 'X-Worker')}++ if status($r) == 200;
		push @statuses, status($r);
	}
}
is("@statuses", join(' ', (200) x 10, (429) x 2), 'two workers, one bucket');
is_deeply([values %worker], [5, 5], 'each of them let half of the requests pass');

# retry-after-ms is true

is_true('/', 'slow', 'tier');
is_true('/', 'slower', 'several periods');
is_true('/slow', 'rule', 'rule');

###############################################################################

sub now {
	return clock_gettime(CLOCK_MONOTONIC);
}

# Sends requests until one is refused; how many passed, and the refusal.
sub spend {
	my ($uri, $client, $max) = @_;
	my $response;
	for my $passed (0 .. ($max // 100) - 1) {
		$response = get($uri, "X-API-Key: key-$client");
		return ($passed, $response) if status($response) != 200;
	}
	return ($max // 100, $response);
}

sub remaining {
	my ($uri, $client) = @_;
	return header(get($uri, "X-API-Key: key-$client"), 'x-ratelimit-remaining-requests');
}

# A refusal is made at some moment between the sending of the request and the arrival of the answer,
# so it promises a moment between those two plus retry-after-ms (rounded up to the millisecond). What
# is answered before 95% of the wait from the earlier one must be refused; what is sent after all of
# the wait from the later one must pass. Answers that straddle the 95% tell nothing: then the
# machine was busy, and we go again.
sub is_true {
	my ($uri, $client, $name) = @_;

	for my $round (1 .. 10) {
		# The bucket holds one, so the second of these is refused at the latest.
		my ($response, $sent, $answered);
		for (1 .. 100) {
			$sent = now();
			$response = get($uri, "X-API-Key: key-$client");
			$answered = now();
			last if status($response) == 429;
		}
		my $wait = header($response, 'retry-after-ms') / 1000;

		sleep_until($sent + 0.9 * $wait);
		my $sent_early = now();
		$response = get($uri, "X-API-Key: key-$client");
		my $answered_early = now();
		next if $answered_early > $sent + 0.95 * $wait;

		is(status($response), 429, "$name: refused 5% before retry-after-ms");
		my $rest = (header($response, 'retry-after-ms') // 0) / 1000;
		ok($sent_early + $rest - 0.001 <= $answered + $wait
			&& $sent + $wait - 0.001 <= $answered_early + $rest,
			"$name: both refusals name the same moment");

		sleep_until($answered + $wait);
		$response = get($uri, "X-API-Key: key-$client");
		is(status($response), 200, "$name: let through after retry-after-ms");
		return;
	}

	SKIP: {
		skip "$name: too busy a machine to tell", 3;
	}
}

sub sleep_until {
	my ($moment) = @_;
	while ((my $left = $moment - now()) > 0) {
		sleep $left;
	}
}

###############################################################################
